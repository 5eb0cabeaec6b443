//! Comparisons, the search for a limit, and the files that results go to.

use shardcast_tests::bench::Bench;
use shardcast_tests::daemon::Daemon;

fn one_turn(options: &str) -> Bench {
    let bench = Bench::with("--json --readers 10 --turns 1").brief();
    bench.and(options)
}

#[test]
fn turns_with_the_bare_relay_give_ratios() {
    let comparison = one_turn("--against floor --cpu-at-most 1000").run().good();
    let ratio = "/ratios/cpu_per_packet_and_reader/of_medians";
    assert!(comparison.number(ratio) > 0.0);
    assert!(comparison.number("/ratios/latency_p99/of_medians") > 0.0);
    for side in ["ours", "theirs"] {
        // One that was not valid on a busy machine is there, too.
        let turns = comparison.list(&format!("/{side}/turns")).iter();
        let counted: Vec<_> = turns.filter(|turn| turn["is_counted"] == true).collect();
        assert_eq!(counted.len(), 1);
        assert_eq!(counted[0]["run"]["readers"]["sampled"]["lost"], 0);
    }
}

#[test]
fn a_ratio_above_its_bound_is_told_by_the_exit_status() {
    let done = one_turn("--against floor --cpu-at-most 0.001").run();
    assert_ne!(done.code, Some(0), "{done}");
    let bound = done.figures();
    assert_eq!(bound.at("/bounds/0/is_kept").as_bool(), Some(false));
}

#[test]
fn turns_with_another_server_give_ratios() {
    let (one, other) = (
        Daemon::start("paths:\n  all_others:\n").unwrap(),
        Daemon::start("paths:\n  all_others:\n").unwrap(),
    );
    let options = format!(
        "--target rtsp://{}/cam --pid {} --compare rtsp://{}/cam --compare-pid {} --transport udp",
        one.address(),
        one.process_id(),
        other.address(),
        other.process_id()
    );
    let comparison = one_turn(&options).run().good();
    assert!(comparison.number("/ratios/cpu_per_packet_and_reader/of_medians") > 0.0);
    assert!(comparison.number("/ratios/resident/of_medians") > 0.0);
}

#[test]
fn turns_with_the_same_server_under_another_load_give_ratios() {
    let bench = one_turn("--stalled 2 --lost-at-most 0 --memory-grows-at-most 1G --baseline");
    let done = bench.and_word("--stalled 0 --readers 8").run();
    let comparison = done.good();
    let name = comparison.at("/theirs/name").as_str();
    assert_eq!(name, Some("shardcast with --stalled 0 --readers 8"));
    assert_eq!(comparison.number("/load/stalled"), 2.0);
    assert_eq!(comparison.number("/baseline/stalled"), 0.0);
    let playing = "/theirs/turns/0/run/readers/playing";
    assert_eq!(comparison.number(playing), 8.0);
    for bound in comparison.list("/bounds") {
        assert_eq!(bound["is_kept"], true, "{bound}\n{done}");
    }
}

#[test]
fn a_start_above_its_bound_is_told_by_the_exit_status() {
    let bench = Bench::with("--json --readers 2 --start-at-most 1ns").brief();
    let done = bench.run();
    assert_ne!(done.code, Some(0), "{done}");
    let bound = done.figures();
    assert_eq!(bound.at("/bounds/0/is_kept").as_bool(), Some(false));
}

#[test]
fn a_search_ends_at_the_readers_that_it_may_try() {
    let bench = Bench::with("--json --find-limit --readers 4 --max-readers 8").brief();
    let found = bench.run().good();
    assert_eq!(found.number("/limit_readers"), 8.0);
    assert_eq!(found.at("/is_at_least").as_bool(), Some(true));
    assert!(!found.list("/curve").is_empty());
}

#[test]
fn the_limit_of_the_bare_relay_is_searched_beside_that_of_the_server() {
    let bench = Bench::with("--json --find-limit --against floor --readers 2 --max-readers 4");
    let found = bench.brief().run().good();
    assert_eq!(found.at("/kind").as_str(), Some("limit_comparison"));
    for side in ["ours", "theirs"] {
        assert!(!found.at(&format!("/{side}")).is_null());
    }
}

#[test]
fn a_search_finds_nothing_where_nothing_is_good_enough() {
    let bench = Bench::with("--json --find-limit --readers 2 --max-readers 2 --max-p99 1ns");
    let done = bench.brief().run();
    let found = done.figures();
    assert_eq!(found.number("/limit_readers"), 0.0, "{done}");
}

#[test]
fn two_limits_that_nobody_has_reached_have_no_ratio_and_keep_no_bound() {
    let bench = Bench::with("--json --find-limit --readers 4 --max-readers 4 --plot run.svg");
    let bench = bench.brief().and("--against floor --limit-at-least 0.1");
    let done = bench.run();
    assert_ne!(done.code, Some(0), "{done}");
    let limits = done.figures();
    assert_eq!(limits.at("/ratio_is").as_str(), Some("unknown"));
    assert!(limits.at("/bounds/0/is_kept").is_null());
    for side in ["ours", "theirs"] {
        assert!(!limits.list(&format!("/{side}/curve")).is_empty());
    }
    assert!(done.read("run.svg").contains("</svg>"));
}

#[test]
fn results_go_to_files_beside_the_table() {
    let done = Bench::with("--readers 5 --json=run.json --plot run.svg")
        .brief()
        .run();
    assert!(matches!(done.code, Some(0 | 3)), "{done}");
    for word in ["latency", "p99", "CPU", "seed"] {
        assert!(done.stdout.contains(word), "no {word}\n{done}");
    }
    let json: serde_json::Value = serde_json::from_str(&done.read("run.json")).unwrap();
    assert_eq!(json["kind"], "run");
    let plot = done.read("run.svg");
    assert!(plot.contains("<svg") && plot.contains("</svg>"), "{plot}");
}

#[test]
fn a_quiet_run_says_nothing_on_the_way() {
    let done = Bench::with("--quiet --json --readers 2").brief().run();
    done.good();
    assert_eq!(done.stderr, "", "{done}");
}
