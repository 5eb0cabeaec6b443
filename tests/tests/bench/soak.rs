//! `shardcast soak` in short: a server comes back to what it was, and one that does not is found out.

use shardcast_tests::bench::Bench;

/// A small crowd for a few seconds.
fn soak(options: &str) -> Bench {
    let bench = Bench::soak("--json --quiet --paths 3 --readers 8 --publishers 2 --seed 3");
    bench.and(options)
}

#[test]
fn a_server_that_was_soaked_comes_back_to_what_it_was() {
    let done = soak("--duration 3s").run();
    let soaked = done.good();
    assert_eq!(soaked.number("/seed"), 3.0);
    assert_eq!(soaked.list("/rounds").len(), 1);
    for act in ["leave", "stall", "crawl", "reset", "vanish", "break_off"] {
        assert!(soaked.number(&format!("/deeds/{act}/done")) > 0.0, "{done}");
    }
    for transport in ["tcp", "udp"] {
        let packets = soaked.number(&format!("/steady/{transport}/packets"));
        assert!(packets > 0.0, "{done}");
    }
    let descriptors = "descriptors";
    assert_eq!(
        soaked.number(&format!("/baseline/{descriptors}")),
        soaked.number(&format!("/rounds/0/vitals/{descriptors}"))
    );
}

#[test]
fn what_does_not_come_back_is_named() {
    let done = soak("--duration 1s --patience 2s --companions 2").run();
    assert_eq!(done.code, Some(1), "{done}");
    let soaked = done.figures();
    let deviations = soaked.list("/rounds/0/deviations");
    for what in ["descriptors", "tasks", "sessions"] {
        let deviation = deviations.iter().find(|it| it["what"] == what);
        let deviation = deviation.unwrap_or_else(|| panic!("no {what}: {done}"));
        let (is, was) = (deviation["is"].as_u64(), deviation["was"].as_u64());
        assert!(is >= was.map(|was| was + 2), "{what}: {done}");
    }
}

#[test]
fn options_of_a_soak_that_make_no_sense_are_refused() {
    for (options, said) in [
        ("--duration 0s", "--duration"),
        ("--paths 0", "--paths"),
        ("--readers many", "--readers"),
        ("--mbit 0", "--mbit"),
        ("--set coalesce", "--set"),
        ("--memory-tolerance 1T", "--memory-tolerance"),
    ] {
        let done = Bench::soak(options).run();
        assert_eq!(done.code, Some(2), "{options}\n{done}");
        assert!(done.stderr.contains(said), "{options}\n{done}");
    }
}
