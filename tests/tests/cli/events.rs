//! `shardcast events`: what is followed, and over an interruption.

use std::io::{BufRead as _, BufReader};
use std::process::Child;

use serde_json::Value;
use shardcast_tests::peer::publisher::Publisher;

use super::client::Served;

const OPEN: &str = "paths:\n  all_others:\n";

/// The lines that a command writes.
fn lines(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let out = child.stdout.take().expect("it is piped");
    BufReader::new(out).lines().map_while(Result::ok)
}

fn json(line: Option<String>) -> Value {
    serde_json::from_str(&line.expect("a line")).expect("JSON")
}

#[test]
fn events_are_followed_as_they_are_asked_for() {
    let served = Served::start(OPEN);
    let _other = Publisher::start(served.rtsp(), "other").expect("it publishes");
    let _publisher = Publisher::start(served.rtsp(), "cam").expect("it publishes");
    let people = [
        "events", "--since", "begin", "--count", "3", "--path", "cam",
    ];
    let told = served.run(&people).done();
    let lines: Vec<Vec<&str>> = told.lines().map(|line| line.split(' ').collect()).collect();
    let kinds: Vec<_> = lines
        .iter()
        .filter_map(|words| words.get(1).copied())
        .collect();
    assert_eq!(kinds.first(), Some(&"gap"));
    assert!(
        kinds.contains(&"pathReady") && kinds.contains(&"sessionBegun"),
        "{told}"
    );
    assert!(told.contains(" cam "), "{told}");
    let programs = [
        "events",
        "--since",
        "begin",
        "--count=2",
        "--kind",
        "pathReady,stallOver",
        "--json",
    ];
    let told = served.run(&programs).done();
    let last = json(told.lines().last().map(str::to_owned));
    assert_eq!(
        (&last["kind"], &last["path"]),
        (&"pathReady".into(), &"other".into())
    );
    served
        .run(&["events", "--kind", "nonsense"])
        .failed(1, "unknown kind");
}

#[test]
fn events_go_on_behind_the_last_one_and_tell_of_another_process() {
    let served = Served::start(OPEN);
    let mut child = served.begin(&[
        "events",
        "--since",
        "begin",
        "--json",
        "--kind",
        "pathReady",
        "--count",
        "4",
    ]);
    let mut told = lines(&mut child);
    assert_eq!(json(told.next())["kind"], "gap");
    let first = Publisher::start(served.rtsp(), "first").expect("it publishes");
    assert_eq!(json(told.next())["path"], "first");
    drop(first);
    let served = served.restart(OPEN);
    let _second = Publisher::start(served.rtsp(), "second").expect("it publishes");
    let gap = json(told.next());
    assert_eq!(
        (&gap["kind"], &gap["missed"]),
        (&"gap".into(), &Value::Null)
    );
    assert_eq!(json(told.next())["path"], "second");
    assert!(child.wait().expect("it ends").success());
}
