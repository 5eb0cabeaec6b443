//! Readers and publishers that misbehave on purpose: they do what they are told, and the others lose nothing by it.

use shardcast_tests::bench::{Bench, Figures};

fn disturbed(options: &str) -> Figures {
    let bench = Bench::with("--json --readers 10 --mbit 2").brief_for("2s");
    bench.and(options).run().good()
}

fn assert_others_lose_nothing(run: &Figures) {
    for place in [
        "sampled/lost",
        "sampled/skipped",
        "sampled/broken",
        "short",
        "closed",
    ] {
        let count = run.number(&format!("/run/readers/{place}"));
        assert_eq!(count, 0.0, "{place}: {:#}", run.at("/run/readers"));
    }
}

#[test]
fn a_storm_of_readers_joins_while_the_others_are_measured() {
    let run = disturbed("--storm 40 --storm-within 1s");
    assert_others_lose_nothing(&run);
    assert_eq!(run.number("/run/joins/count"), 50.0);
    assert_eq!(run.number("/run/readers/refused"), 0.0);
}

#[test]
fn a_storm_that_stays_plays_to_the_end() {
    let run = disturbed("--storm 20 --storm-within 500ms --storm-stays");
    assert_others_lose_nothing(&run);
    assert_eq!(run.number("/run/joins/count"), 30.0);
    let (all, others) = ("/run/readers/bytes", "/run/readers/sampled/bytes");
    assert!(
        run.number(all) > 1.5 * run.number(others),
        "they are sent the stream"
    );
    let starts = run.number("/run/starts/count");
    assert_eq!(starts, 20.0, "ten readers, and of the storm as many");
}

#[test]
fn readers_that_stall_or_crawl_or_vanish_are_no_loss_to_the_others() {
    let run = disturbed("--stalled 3 --crawling 3 --crawl-mbit 0.5 --vanishing 3");
    assert_others_lose_nothing(&run);
    assert_eq!(run.number("/run/readers/playing"), 10.0);
}

#[test]
fn publishers_that_flap_come_back() {
    let options = "--paths 2 --flapping 1 --flap-every 700ms --flap-away 200ms \
                   --set pathDefaults.publisherGrace=10s";
    let run = disturbed(options);
    assert!(run.number("/run/publishers/flaps") >= 1.0);
    assert_eq!(run.number("/run/readers/sampled/broken"), 0.0);
}
