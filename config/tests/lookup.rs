//! Which entry of `paths` serves a name.

use std::path::Path;

use shardcast_config::{Config, parse};

fn config(paths: &str) -> Config {
    let loaded = parse(Some(Path::new("mediamtx.yml")), paths, std::iter::empty());
    loaded.unwrap().config
}

fn entry<'config>(config: &'config Config, name: &str) -> Option<&'config str> {
    config.paths.find(name).map(|(entry, _)| entry)
}

#[test]
fn exact_names_go_before_regular_expressions_and_these_before_all_others() {
    let config = config("paths:\n  all_others:\n  ~^cam:\n  cam1:\n  ~^b:\n  ~^(a|cam1):\n");
    assert_eq!(entry(&config, "cam1"), Some("cam1"));
    assert_eq!(entry(&config, "cam11"), Some("~^(a|cam1)"));
    assert_eq!(entry(&config, "cam2"), Some("~^cam"));
    assert_eq!(entry(&config, "b"), Some("~^b"));
    assert_eq!(entry(&config, "x"), Some("all_others"));
    let order: Vec<&str> = config.paths.iter().map(|(name, _)| name).collect();
    assert_eq!(order, ["cam1", "~^(a|cam1)", "~^b", "~^cam", "all_others"]);
}

#[test]
fn a_name_that_nothing_matches_is_not_configured() {
    let config = config("paths:\n  cam1:\n  '~^team-\\d+$':\n");
    assert!(config.path("cam1").is_some());
    assert!(config.path("team-42").is_some());
    assert!(config.path("team-x").is_none());
    assert!(config.path("all_others").is_none());
}

#[test]
fn all_is_another_name_of_all_others() {
    for name in ["all", "all_others"] {
        let config = config(&format!("paths:\n  {name}:\n  ~^z:\n"));
        assert_eq!(entry(&config, "a"), Some("all_others"), "{name}");
        assert_eq!(entry(&config, "z"), Some("~^z"), "{name}");
    }
}

#[test]
fn the_expression_that_matches_everything_keeps_its_turn() {
    let config = config("paths:\n  ~^.*$:\n  ~^z:\n");
    assert_eq!(entry(&config, "z"), Some("~^.*$"));
}

#[test]
fn an_expression_matches_anywhere_unless_it_is_anchored() {
    let config = config("paths:\n  '~am':\n");
    assert!(config.path("cam1").is_some());
    assert!(config.path("cup").is_none());
}

#[test]
fn the_groups_of_the_expression_that_serves_a_name_are_known() {
    let config = config(
        "paths:\n  ~^live/(.+)/(\\d+)?x?$:\n  ~^live/one/(.)$:\n  live/exact/1:\n  all_others:\n",
    );
    assert_eq!(config.paths.groups("live/a/b/42"), ["a/b", "42"]);
    assert_eq!(config.paths.groups("live/a/x"), ["a", ""]);
    // The first in sorted order, as for the entry itself.
    assert_eq!(config.paths.groups("live/one/7"), ["one", "7"]);
    assert!(config.paths.groups("live/exact/1").is_empty());
    assert!(config.paths.groups("other").is_empty());
}
