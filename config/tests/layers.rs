//! What lies over what: deprecated keys, merge keys, the environment; and what is warned about.

use std::num::NonZero;
use std::path::Path;

use shardcast_config::{ConfigError, Loaded, LogDestination, ShardCount, SlowReader, parse};

const FILE: &str = "paths: {all_others: }\n";

fn with_env(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let variables = variables
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()));
    parse(Some(Path::new("mediamtx.yml")), text, variables)
}

fn parsed(text: &str) -> Loaded {
    with_env(text, &[]).unwrap()
}

fn refusal(variables: &[(&str, &str)]) -> String {
    with_env(FILE, variables).unwrap_err().to_string()
}

#[test]
fn a_deprecated_key_acts_as_its_successor() {
    let loaded =
        parsed("rtspDisable: yes\npathDefaults: {disablePublisherOverride: yes}\npaths: {a: }\n");
    assert!(!loaded.config.rtsp.enabled);
    assert!(!loaded.config.path("a").unwrap().override_publisher);
    assert_eq!(
        loaded.warnings,
        [
            "deprecated keys: pathDefaults.disablePublisherOverride (line 2) is now overridePublisher, \
         rtspDisable (line 1) is now rtsp"
        ]
    );
}

#[test]
fn a_deprecated_key_whose_successor_is_not_built_is_named_in_the_same_warning() {
    let text = "record: yes\nhlsDisable: yes\nhlsAllowOrigin: '*'\nauthJWTInHTTPQuery: true\n\
                runOnConnect: /bin/true\npaths: {all_others: {runOnReady: /bin/true}}\n";
    let warnings = parsed(text).warnings;
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert_eq!(
        warnings[0],
        "accepted but not built yet, without effect: pathDefaults.record (line 1), \
         paths.all_others.runOnReady (line 6), hlsDisable (line 2), runOnConnect (line 5)"
    );
    assert!(warnings[1].contains("authJWTInHTTPQuery (line 4) has no effect any more"));
}

#[test]
fn one_warning_names_every_key_that_is_not_built() {
    let text =
        "playback: yes\ndumpPackets: yes\nhlsVariant: fmp4\nlogDestinations: [stdout, syslog]\n\
                pathDefaults: {rtspRangeStart: now}
paths:
  \
                cam1: {record: yes}
  cam2: {record: yes, rtspRangeType: npt}
";
    let loaded = parsed(text);
    assert_eq!(loaded.warnings.len(), 1);
    for name in [
        "playback (line 1)",
        "dumpPackets (line 2)",
        "hlsVariant (line 3)",
        "logDestinations: syslog (line 4)",
        "pathDefaults.rtspRangeStart (line 5)",
        "paths.cam1.record (line 7, and 1 more)",
        "paths.cam2.rtspRangeType (line 8)",
    ] {
        assert!(
            loaded.warnings[0].contains(name),
            "{name}: {:?}",
            loaded.warnings
        );
    }
    // What is not built leaves what is as it was.
    assert_eq!(loaded.config.log.destinations, [LogDestination::Stdout]);
}

#[test]
fn a_write_queue_in_packets_is_one_in_bytes_unless_that_is_said() {
    let bytes_of = |text: &str| {
        let config = parsed(text).config;
        let path = |name| config.path(name).unwrap().reader_queue_bytes;
        (path("cam1"), path("cam2"))
    };
    let paths = "paths: {cam1: , cam2: {readerQueueBytes: 3M}}\n";
    for (text, bytes) in [
        ("", 8 << 20),
        ("writeQueueSize: 512\n", 512 * 1472),
        ("readBufferCount: 1024\n", 1024 * 1472),
        // A queue below a few frames could hold none.
        ("writeQueueSize: 1\n", 64 << 10),
        (
            "writeQueueSize: 2048\npathDefaults: {readerQueueBytes: 1M}\n",
            1 << 20,
        ),
    ] {
        assert_eq!(
            bytes_of(&format!("{text}{paths}")),
            (bytes, 3 << 20),
            "{text}"
        );
    }
}

#[test]
fn logs_that_would_go_nowhere_go_to_standard_output() {
    let loaded = parsed("logDestinations: [syslog]\npaths: {a: }\n");
    assert_eq!(loaded.config.log.destinations, [LogDestination::Stdout]);
}

#[test]
fn merge_keys_bring_what_is_absent() {
    let text = "pathDefaults: &base\n  maxReaders: 2\n  logAge: 1s\npaths:\n  a: &a\n    <<: *base\n    \
                maxReaders: 3\n  b: {<<: [*a, *base]}\n  c: *a\n";
    let config = parsed(text).config;
    for name in ["a", "b", "c"] {
        let path = config.path(name).unwrap();
        assert_eq!(path.max_readers.map(NonZero::get), Some(3), "{name}");
        assert_eq!(path.log_age.as_secs(), 1, "{name}");
    }
}

#[test]
fn a_merge_key_that_brings_no_map_is_refused() {
    let error = with_env("paths: {a: {<<: cam1}}\n", &[])
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "mediamtx.yml:1:17: expected a map to merge after '<<', found 'cam1'"
    );
}

#[test]
fn variables_override_the_file() {
    let loaded = with_env(
        "rtspAddress: :1\npathDefaults: {maxReaders: 1}\npaths: {cam1: {logAge: 1s}, cam2: }\n",
        &[
            ("MTX_RTSPADDRESS", ":2"),
            ("MTX_SHARDS", "2"),
            ("MTX_LOGDESTINATIONS", "file,stdout"),
            ("MTX_PATHDEFAULTS_MAXREADERS", "2"),
            ("MTX_PATHS_CAM1_MAXREADERS", "3"),
            ("MTX_PATHS_CAM3_SLOWREADER", "disconnect"),
            ("MTX_PATHS_CAM4", ""),
        ],
    );
    let config = loaded.unwrap().config;
    assert_eq!(config.rtsp.address, ":2");
    assert_eq!(
        config.runtime.shards,
        ShardCount::Count(2.try_into().unwrap())
    );
    assert_eq!(config.log.destinations.len(), 2);
    let readers = |name| config.path(name).unwrap().max_readers.map(NonZero::get);
    assert_eq!(readers("cam1"), Some(3));
    assert_eq!(config.path("cam1").unwrap().log_age.as_secs(), 1);
    assert_eq!(readers("cam2"), Some(2));
    assert_eq!(
        config.path("cam3").unwrap().slow_reader,
        SlowReader::Disconnect
    );
    assert_eq!(readers("cam4"), Some(2));
}

#[test]
fn paths_of_the_environment_close_the_others_where_there_is_no_file() {
    let variables = [("MTX_PATHS_CAM1_MAXREADERS".to_owned(), "3".to_owned())];
    let loaded = parse(None, "", variables.into_iter()).unwrap();
    assert!(loaded.config.path("cam1").is_some());
    assert!(loaded.config.path("mystream").is_none());
}

#[test]
fn a_variable_with_a_wrong_value_is_named_as_the_place() {
    assert_eq!(
        refusal(&[("MTX_RTSPADDRESS", "8554")]),
        "MTX_RTSPADDRESS: rtspAddress: expected an address as host:port or :port, found '8554'"
    );
    assert!(
        refusal(&[("MTX_PATHS_A_B", "x"), ("MTX_RTSP", "")])
            .starts_with("MTX_RTSP: rtsp: expected yes or no")
    );
    assert!(refusal(&[("MTX_PATHS_CAM1", "x")]).starts_with("MTX_PATHS_CAM1: expected a map"));
}

#[test]
fn no_lock_is_lost_in_the_environment() {
    for (name, value) in [
        ("MTX_AUTHMETHOD", "jwt"),
        ("MTX_RTSPENCRYPTION", "strict"),
        ("RTSP_AUTHMETHOD", "http"),
    ] {
        let error = refusal(&[(name, value)]);
        assert!(error.starts_with(&format!("{name}: ")), "{name}: {error}");
        assert!(error.contains("refusing to start open"), "{name}: {error}");
    }
    assert!(refusal(&[("MTX_CONFKEY", "key")]).contains("encrypted configuration files"));
}

#[test]
fn a_list_of_maps_grows_by_index_without_gaps() {
    let second = [("MTX_WEBRTCICESERVERS2_1_URL", "stun:b")];
    assert!(refusal(&second).contains("MTX_WEBRTCICESERVERS2_1_URL: expected an index"));
    let mut ten: Vec<(String, &str)> = Vec::new();
    for index in (0..=10).rev() {
        ten.push((format!("MTX_WEBRTCICESERVERS2_{index}_URL"), "stun:b"));
    }
    let ten: Vec<(&str, &str)> = ten
        .iter()
        .map(|(name, value)| (name.as_str(), *value))
        .collect();
    assert!(with_env(FILE, &ten).is_ok());
}

#[test]
fn a_variable_wins_over_a_deprecated_key_of_the_file() {
    let loaded = with_env("rtspDisable: yes\npaths: {a: }\n", &[("MTX_RTSP", "yes")]);
    assert!(loaded.unwrap().config.rtsp.enabled);
    let loaded = with_env("rtsp: yes\npaths: {a: }\n", &[("MTX_RTSPDISABLE", "yes")]);
    assert!(!loaded.unwrap().config.rtsp.enabled);
}

#[test]
fn the_older_prefix_counts_below_the_newer() {
    let both = [("MTX_RTSPADDRESS", ":2"), ("RTSP_RTSPADDRESS", ":1")];
    assert_eq!(with_env(FILE, &both).unwrap().config.rtsp.address, ":2");
    let older = [("RTSP_RTSPADDRESS", ":1"), ("RTSP_PORT", "8554")];
    let loaded = with_env(FILE, &older).unwrap();
    assert_eq!(loaded.config.rtsp.address, ":1");
    assert_eq!(loaded.warnings, Vec::<String>::new());
}

#[test]
fn variables_that_name_no_key_are_one_warning_and_those_of_hooks_none() {
    let hooks = [
        ("MTX_PATH", "a"),
        ("MTX_QUERY", ""),
        ("MTX_SEGMENT_DURATION", "1"),
        ("PATH", "x"),
    ];
    assert_eq!(
        with_env(FILE, &hooks).unwrap().warnings,
        Vec::<String>::new()
    );
    let unknown = [
        ("MTX_RTSPADRESS", ":1"),
        ("MTX_PATHS_MY_CAM_SOURCE", "publisher"),
    ];
    let warnings = with_env(FILE, &unknown).unwrap().warnings;
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].contains("MTX_RTSPADRESS, did you mean 'MTX_RTSPADDRESS'?"),
        "{warnings:?}"
    );
    assert!(
        warnings[0].contains("MTX_PATHS_MY_CAM_SOURCE"),
        "{warnings:?}"
    );
}
