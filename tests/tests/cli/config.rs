//! `shardcast config`: what is shown, changed, refused and kept.

use super::client::Served;

const PATHS: &str = "logLevel: info\npaths:\n  cam:\n    maxReaders: 5\n";

#[test]
fn the_configuration_is_shown_as_a_whole_and_in_parts() {
    let served = Served::start(PATHS);
    let global = served.run(&["config", "get"]).done();
    assert!(
        global
            .lines()
            .any(|line| line == "api                       true" || line.starts_with("api "))
    );
    let json = served.run(&["config", "get", "--json", "global"]).json();
    assert_eq!(json["logLevel"], "info");
    let path = served
        .run(&["config", "get", "--json", "path", "cam"])
        .json();
    assert_eq!(path["maxReaders"], 5);
    let defaults = served
        .run(&["config", "get", "--json", "pathdefaults"])
        .json();
    assert_eq!(defaults["maxReaders"], 0);
    assert_eq!(served.run(&["config", "get", "paths"]).done(), "cam\n");
    served
        .run(&["config", "get", "path", "nowhere"])
        .failed(3, "not found");
}

#[test]
fn keys_are_set_added_deleted_and_taken_back() {
    let served = Served::start(PATHS);
    let run = |arguments: &[&str]| served.run(arguments).done();
    run(&["config", "set", "logLevel=debug"]);
    run(&["config", "set", "--path", "cam", "maxReaders=7"]);
    run(&["config", "add", "~^more/", "maxReaders=3"]);
    let added = served
        .run(&["config", "get", "--json", "path", "~^more/"])
        .json();
    assert_eq!(added["maxReaders"], 3);
    let changes = run(&["config", "changes"]);
    assert!(changes.starts_with("KEY"), "{changes}");
    assert!(
        changes.lines().any(|line| line.starts_with("logLevel ")),
        "{changes}"
    );
    let json = served.run(&["config", "changes", "--json"]).json();
    let items = json["items"].as_array().expect("a list");
    let level = items.iter().find(|change| change["key"] == "logLevel");
    let level = level.expect("the level was changed");
    assert_eq!(
        (&level["file"], &level["now"]),
        (&"info".into(), &"debug".into())
    );
    run(&["config", "delete", "~^more/"]);
    served
        .run(&["config", "delete", "~^more/"])
        .failed(3, "not found");
    run(&["config", "revert"]);
    let json = served.run(&["config", "changes", "--json"]).json();
    assert_eq!(json["itemCount"], 0);
}

#[test]
fn what_is_wrong_is_refused_and_changes_nothing() {
    let served = Served::start(PATHS);
    served
        .run(&["config", "set", "logLevel=nonsense"])
        .failed(1, "400");
    served
        .run(&["config", "set", "nonsense=1"])
        .failed(1, "nonsense");
    served
        .run(&["config", "patch", "there-is-none.json"])
        .failed(2, "there-is-none.json");
    let json = served.run(&["config", "changes", "--json"]).json();
    assert_eq!(json["itemCount"], 0);
}

#[test]
fn a_file_of_changes_is_kept_when_that_is_asked_for() {
    let served = Served::start(PATHS);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("changes.json");
    std::fs::write(&file, "{\"maxReaders\": 9}").expect("it is written");
    let file = file.to_str().expect("a name in UTF-8");
    served
        .run(&["config", "patch", "--path", "cam", "--persist", file])
        .done();
    let changes = served.run(&["config", "changes", "--json"]).json();
    let change = &changes["items"][0];
    assert_eq!(
        (&change["now"], &change["persisted"]),
        (&9.into(), &true.into())
    );
}
