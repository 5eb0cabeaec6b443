//! The files for operators in `config/`: whatever they ask of Prometheus, a server tells.
//!
//! Not caught here: whether the expressions are what Prometheus understands, which the test with a real one is for.

use shardcast_tests::operators::{Expression, dashboard, rules};
use shardcast_tests::scene::house::House;

use super::Scene;

#[test]
fn every_metric_of_the_dashboard_and_the_rules_is_in_a_scrape() {
    let mut scene = Scene::begin(House::USUAL, 2, "paths:\n  all_others:\n  idle:\n");
    scene.send(5);
    let page = scene.wait("latency", |page| {
        let late = page.sum("shardcast_path_latency_p99_seconds", &[]);
        late.map(|_| page.clone())
    });
    let expressions: Vec<Expression> = dashboard().into_iter().chain(rules()).collect();
    assert!(expressions.len() > 40, "{}", expressions.len());
    for expression in &expressions {
        let metrics = expression.metrics();
        assert!(!metrics.is_empty(), "{expression:?}");
        for metric in metrics.iter().filter(|metric| *metric != "up") {
            assert!(page.has(metric), "{metric} of {expression:?}");
        }
    }
}
