//! What goes wrong: each failure ends the run at once, with one line that names its cause and an exit status that tells it
//! from a result; what had been measured until then is not thrown away.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use shardcast_tests::bench::{Bench, Done};
use shardcast_tests::daemon::Daemon;
use shardcast_tests::port::free_tcp_port;

use crate::odd_server::{Oddity, start};

/// A failure is told after no longer than this, far below the time that a run would have taken.
const AT_ONCE: Duration = Duration::from_secs(30);

/// Reads what somebody else publishes there, or would if it were a server.
fn reading(address: impl std::fmt::Display) -> Bench {
    Bench::with(&format!(
        "--target rtsp://{address}/cam --no-publish --readers 3 --duration 120s"
    ))
}

/// Publishes there.
fn publishing(address: impl std::fmt::Display) -> Bench {
    Bench::with(&format!(
        "--target rtsp://{address}/cam --readers 3 --duration 120s"
    ))
}

fn assert_fails_at_once(bench: Bench, words: &[&str]) {
    let done = bench.run();
    done.assert_failed(1, words);
    assert!(done.took < AT_ONCE, "{done}");
}

/// By its exit status, which also says when the machine was too busy for a result of any length.
fn is_interrupted(done: &Done) -> bool {
    matches!(done.code, Some(1 | 3))
}

#[test]
fn a_target_that_nobody_listens_at_is_named() {
    let address = format!("127.0.0.1:{}", free_tcp_port().unwrap());
    for bench in [publishing(&address), reading(&address)] {
        assert_fails_at_once(bench, &["cannot connect to", &address]);
    }
}

#[test]
fn a_target_that_speaks_something_else_is_named() {
    let answers = [
        Oddity::Says(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
        Oddity::Says(&[0xff; 4096]),
        Oddity::Closes,
    ];
    for answer in answers {
        let address = start(answer);
        let word = address.to_string();
        assert_fails_at_once(publishing(address), &[&word]);
        assert_fails_at_once(reading(address), &[&word]);
    }
}

#[test]
fn a_server_that_refuses_to_describe_is_quoted() {
    for status in ["404 Not Found", "500 Internal Server Error"] {
        let address = start(Oddity::RefusesDescribe(status));
        let code = status.split(' ').next().unwrap_or_default();
        assert_fails_at_once(reading(address), &[code, &address.to_string()]);
    }
}

#[test]
fn a_server_that_never_answers_is_named() {
    // The system accepts; nobody reads.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    assert_fails_at_once(reading(address), &[&address.to_string()]);
}

#[test]
fn wrong_credentials_are_told_as_such() {
    let daemon = Daemon::start(
        "authInternalUsers:\n\
         - {user: alice, pass: 0th3r, permissions: [{action: publish}, {action: read}]}\n\
         paths:\n  all_others:\n",
    )
    .unwrap();
    let address = format!("alice:wr0ng@{}", daemon.address());
    assert_fails_at_once(publishing(&address), &["401"]);
}

#[test]
fn a_server_that_ends_leaves_a_partial_result() {
    let daemon = Daemon::start("paths:\n  all_others:\n").unwrap();
    let options = format!(
        "--json --target rtsp://{}/cam --readers 3",
        daemon.address()
    );
    let mut running = Bench::with(&options).brief_for("120s").start();
    running.wait_said("measured");
    drop(daemon);
    let done = running.wait();
    assert_eq!(done.code, Some(1), "{done}");
    let partial = done.figures();
    assert_eq!(partial.at("/is_partial").as_bool(), Some(true));
    assert!(partial.number("/run/readers/sampled/packets") > 0.0);
}

#[test]
fn descriptors_that_run_out_are_told_with_their_limit() {
    let daemon = Daemon::start("paths:\n  all_others:\n").unwrap();
    let options = format!("--target rtsp://{}/cam --readers 200", daemon.address());
    let bench = Bench::with(&options).brief().behind("ulimit -n 100");
    let done = bench.run();
    done.assert_failed(1, &["descriptors", "100"]);
}

#[test]
fn a_file_that_cannot_be_written_is_told_before_anything_runs() {
    for option in ["--plot missing/run.svg", "--json=missing/run.json"] {
        let bench = Bench::with("--readers 3 --duration 120s").and(option);
        assert_fails_at_once(bench, &["missing/run"]);
    }
}

#[test]
fn a_file_that_fails_at_the_end_keeps_nobody_from_the_table() {
    let done = Bench::with("--readers 3 --json=/dev/full").brief().run();
    done.assert_failed(1, &["/dev/full"]);
    assert!(done.stdout.contains("p99"), "{done}");
}

#[test]
fn a_file_that_is_no_stream_is_named() {
    assert_fails_at_once(Bench::with("--file missing.mp4"), &["missing.mp4"]);
    assert_fails_at_once(Bench::with("--file /dev/null"), &["/dev/null"]);
}

#[test]
fn options_that_make_no_sense_are_refused() {
    for (options, said) in [
        ("--duration ten", "--duration"),
        ("--duration=-1s", "--duration"),
        ("--gap 1parsec", "--gap"),
        ("--readers many", "--readers"),
        ("--readers 10 --readers-per-path 10", "--readers-per-path"),
        ("--no-publish", "--target"),
        ("--pid 1", "--target"),
        ("--cpu-at-most 1.2", "--against"),
        ("--limit-at-least 0.9 --against floor", "--find-limit"),
        ("--max-p99 1s", "--find-limit"),
        ("--against floor --find-limit --turns 2", "--find-limit"),
        ("--target rtsp://127.0.0.1/cam --pid 4294967295", "--pid"),
        ("--json=run --plot run", "--plot"),
        ("--compare-pid 1", "--compare"),
        ("--memory-grows-at-most 1M", "--against"),
        ("--lost-at-most 1 --find-limit", "--find-limit"),
        ("--start-at-most 1parsec", "--start-at-most"),
        ("--baseline --audio --against floor", "--baseline"),
        ("--baseline=--turns", "--baseline: --turns"),
        ("--baseline=--nonsense", "--baseline: --nonsense"),
        ("--load-cpus 9999", "--load-cpus"),
        ("--load-cpus 1-", "--load-cpus"),
        ("--server-cpus x", "--server-cpus"),
        ("--target http://127.0.0.1/cam", "--target"),
        ("--target cam", "--target"),
        ("--packet-bytes 10", "--packet-bytes"),
        ("--fps 0", "--fps"),
        ("--duration 0s", "--duration"),
        ("--set coalesce", "--set"),
    ] {
        let done = Bench::with(options).run();
        assert_eq!(done.code, Some(2), "{options}\n{done}");
        assert!(done.stderr.contains(said), "{options}\n{done}");
    }
}

#[test]
fn a_run_that_is_interrupted_prints_what_it_has() {
    for signal in ["INT", "TERM"] {
        let bench = Bench::with("--json --readers 5").brief_for("120s");
        let mut running = bench.start();
        running.wait_said("measured");
        running.signal(signal);
        let done = running.wait();
        assert!(done.took < AT_ONCE, "{done}");
        assert!(is_interrupted(&done), "{signal}\n{done}");
        let partial = done.figures();
        assert_eq!(partial.at("/is_partial").as_bool(), Some(true));
        assert_eq!(partial.number("/run/readers/sampled/lost"), 0.0);
    }
}

#[test]
fn a_search_and_a_comparison_that_are_interrupted_print_what_they_have() {
    for options in ["--find-limit --readers 5", "--against floor --readers 5"] {
        let bench = Bench::with("--json").brief_for("120s").and(options);
        let mut running = bench.start();
        running.wait_said("measured");
        running.signal("INT");
        let done = running.wait();
        assert!(is_interrupted(&done), "{options}\n{done}");
        assert_eq!(done.figures().at("/is_partial").as_bool(), Some(true));
    }
}
