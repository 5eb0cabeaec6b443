//! Loads where nothing is wrong: nothing is lost, and all figures fit together.

use shardcast_tests::bench::{Bench, Figures};
use shardcast_tests::daemon::Daemon;

/// Figures that come from different counts of the same packets differ by what was under way at the ends of the measured
/// time: a tenth is far more than that.
const TOLERANCE: f64 = 0.1;

/// Ten readers of two paths with sound, all looked at packet by packet.
fn small() -> Bench {
    Bench::with("--json --readers 10 --paths 2 --audio --mbit 1").brief()
}

fn assert_nothing_is_lost(run: &Figures, readers: f64) {
    for place in ["lost", "skipped", "duplicates", "reordered", "broken"] {
        let count = run.number(&format!("/run/readers/sampled/{place}"));
        assert_eq!(count, 0.0, "{place}: {:#}", run.at("/run/readers"));
    }
    for place in ["short", "refused", "failed", "closed"] {
        assert_eq!(run.number(&format!("/run/readers/{place}")), 0.0, "{place}");
    }
    assert_eq!(run.number("/run/readers/playing"), readers);
    assert_eq!(run.number("/run/joins/count"), readers);
}

fn assert_near(what: &str, one: f64, other: f64) {
    let is_near = (one - other).abs() <= TOLERANCE * other;
    assert!(is_near && other > 0.0, "{what}: {one} and {other}");
}

fn assert_adds_up(run: &Figures) {
    let readers = run.number("/load/readers");
    let paths = run.number("/load/paths");
    let packets = run.number("/run/readers/sampled/packets");
    assert_eq!(run.number("/run/readers/sampled/readers"), readers);
    let published = run.number("/run/publishers/packets");
    assert_near("packets", packets, published / paths * readers);
    assert_near("deliveries", run.number("/run/readers/deliveries"), packets);
    // Parameter sets carry no moment.
    let latencies = run.number("/run/latency/count");
    assert!(latencies <= packets && latencies > 0.5 * packets);
    let buckets = run.list("/run/latency/buckets").iter();
    let counted: f64 = buckets.filter_map(|bucket| bucket[1].as_f64()).sum();
    assert_eq!(counted, run.number("/run/latency/count"));
    assert_eq!(run.number("/run/starts/count"), readers);
    let quantiles = ["min", "p50", "p90", "p99", "p99_9", "max"];
    let quantiles = quantiles.map(|it| run.number(&format!("/run/latency/{it}_ns")));
    assert!(quantiles.is_sorted(), "{quantiles:?}");
    assert!(run.number("/run/wall_s") >= 1.0);
    assert!(run.number("/run/server/cpu_ns") > 0.0);
}

#[test]
fn nothing_is_lost_and_all_figures_add_up_over_tcp() {
    let run = small().run().good();
    assert_nothing_is_lost(&run, 10.0);
    assert_adds_up(&run);
}

#[test]
fn nothing_is_lost_and_all_figures_add_up_over_udp() {
    let run = small()
        .and("--transport udp --publisher-transport udp")
        .run()
        .good();
    assert_nothing_is_lost(&run, 10.0);
    assert_adds_up(&run);
}

#[test]
fn readers_that_are_only_counted_are_counted_in_full() {
    // The 2 % by which one counts as short are more than a frame of so long a time.
    let run = Bench::with("--json --readers 40 --sampled 4")
        .brief_for("3s")
        .run()
        .good();
    assert_nothing_is_lost(&run, 40.0);
    assert_eq!(run.number("/run/readers/sampled/readers"), 4.0);
    let sampled = run.number("/run/readers/sampled/packets");
    assert_near(
        "deliveries",
        run.number("/run/readers/deliveries"),
        10.0 * sampled,
    );
}

#[test]
fn packets_with_a_gap_between_them_all_arrive() {
    let run = Bench::with("--json --readers 4 --mbit 2 --gap 600us")
        .brief()
        .run()
        .good();
    assert_nothing_is_lost(&run, 4.0);
    assert_eq!(run.number("/load/gap_ns"), 600_000.0);
}

#[test]
fn the_bit_rate_is_the_one_that_was_asked_for() {
    let bench = Bench::with("--json --readers 2 --mbit 4 --fps 30 --packet-bytes 900");
    let run = bench.brief().run().good();
    let bytes = run.number("/run/publishers/bytes");
    let seconds = run.number("/run/wall_s");
    assert_near("Mbit/s", bytes * 8e-6 / seconds, 4.0);
}

#[test]
fn the_seed_is_printed_and_taken() {
    let by_chance = small().run();
    let seed = by_chance.good().at("/seed").as_u64().expect("a number");
    assert!(
        by_chance.stderr.contains(&format!("seed {seed}")),
        "{by_chance}"
    );
    let again = small().and(&format!("--seed {seed}")).run();
    assert_eq!(again.good().at("/seed").as_u64(), Some(seed));
    assert!(again.stderr.contains(&format!("seed {seed}")), "{again}");
}

#[test]
fn a_server_of_ones_own_is_loaded_with_users_by_digest_and_its_process_looked_at() {
    let daemon = Daemon::start(
        "authInternalUsers:\n\
         - {user: alice, pass: 0th3r, permissions: [{action: publish}, {action: read}]}\n\
         rtspAuthMethods: [digest]\n\
         paths:\n  all_others:\n",
    )
    .unwrap();
    let (address, process) = (daemon.address(), daemon.process_id());
    let target = format!("--target rtsp://alice:0th3r@{address}/cam --pid {process}");
    let done = small().and(&target).run();
    let run = done.good();
    assert_nothing_is_lost(&run, 10.0);
    assert_adds_up(&run);
    assert!(run.number("/run/server/resident_bytes") > 1e6);
    let said = [&done.stdout, &done.stderr];
    assert!(
        said.iter().all(|it| !it.contains("0th3r")),
        "a password is told\n{done}"
    );
    assert!(daemon.stop().unwrap().success());
}

#[test]
fn somebody_elses_stream_is_read() {
    let daemon = Daemon::start("paths:\n  all_others:\n").unwrap();
    let address = daemon.address();
    let url = format!("--target rtsp://{address}/cam");
    let mut publishing = Bench::with(&format!("{url} --readers 1"))
        .brief_for("60s")
        .start();
    publishing.wait_said("measured");
    let run = Bench::with(&format!("--json {url} --no-publish --readers 5"))
        .brief()
        .run()
        .good();
    assert_nothing_is_lost(&run, 5.0);
    assert_eq!(run.number("/run/publishers/packets"), 0.0);
    drop(publishing);
}

#[test]
fn a_setting_reaches_the_server_that_is_started() {
    let wrong = Bench::with("--set coalesce=soon").brief().run();
    wrong.assert_failed(1, &["coalesce"]);
    let unknown = Bench::with("--set wakeReader=64").brief().run();
    unknown.assert_failed(1, &["MTX_WAKEREADER"]);
    small()
        .and("--set shards=1 --set coalesce=1ms")
        .run()
        .good();
}
