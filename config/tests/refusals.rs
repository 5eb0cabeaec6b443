//! What a configuration is refused for, and what the error says about it.

use std::path::Path;

use shardcast_config::{ConfigError, Loaded, PROBLEMS_MAX, parse};

fn parsed(text: &str) -> Result<Loaded, ConfigError> {
    parse(Some(Path::new("mediamtx.yml")), text, std::iter::empty())
}

/// The error of `text`, which has to have one.
fn refusal(text: &str) -> String {
    match parsed(text) {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn an_unknown_key_names_its_place_and_the_nearest_known_key() {
    assert_eq!(
        refusal("# comment\nrtsp: yes\nrtspAdress: :8554\n"),
        "mediamtx.yml:3:1: unknown key 'rtspAdress', did you mean 'rtspAddress'?"
    );
    assert_eq!(
        refusal("paths:\n  cam1:\n    maxReader: 3\n"),
        "mediamtx.yml:3:5: unknown key 'maxReader', did you mean 'maxReaders'?"
    );
    assert_eq!(
        refusal("path:\n  cam1:\n"),
        "mediamtx.yml:1:1: unknown key 'path', did you mean 'paths'?"
    );
}

#[test]
fn a_known_key_in_the_wrong_place_says_where_it_belongs() {
    assert_eq!(
        refusal("maxReaders: 3\n"),
        "mediamtx.yml:1:1: unknown key 'maxReaders' here; it belongs in pathDefaults or in a path"
    );
    assert_eq!(
        refusal("pathDefaults: {shards: 3}\n"),
        "mediamtx.yml:1:16: unknown key 'shards' here; it belongs in the top level"
    );
}

#[test]
fn a_key_or_path_given_twice_names_both_lines() {
    assert_eq!(
        refusal("rtsp: yes\nlogLevel: info\nrtsp: no\n"),
        "mediamtx.yml:3:1: 'rtsp' is given twice, first in line 1"
    );
    assert_eq!(
        refusal("paths:\n  cam1:\n  cam2:\n  cam1: {maxReaders: 2}\n"),
        "mediamtx.yml:4:3: 'cam1' is given twice, first in line 2"
    );
    assert_eq!(
        refusal("paths:\n  all:\n  all_others:\n"),
        "mediamtx.yml:3:3: path 'all_others': expected only one of all_others, all, ~^.*$"
    );
    assert!(refusal("paths:\n  all:\n  ~^.*$:\n").contains("expected only one of"));
    assert!(refusal("paths:\n  ~^.*$:\n  all_others:\n").contains("expected only one of"));
}

/// A text with one wrong value, and how the error about it begins.
const WRONG_VALUES: &[(&str, &str)] = &[
    (
        "readTimeout: 10",
        "1:14: readTimeout: expected a duration such as 10s, 1h30m or 1d, at least 1ms, found '10'",
    ),
    ("readTimeout: -5s", "1:14: readTimeout: expected a duration"),
    ("readTimeout: 0s", "1:14: readTimeout: expected a duration"),
    (
        "rtsp: maybe",
        "1:7: rtsp: expected yes or no, found 'maybe'",
    ),
    ("rtsp: [yes]", "1:7: rtsp: expected yes or no, found a list"),
    (
        "logLevel: loud",
        "1:11: logLevel: expected one of error, warn, info, debug, found 'loud'",
    ),
    (
        "logDestinations: [stdout, printer]",
        "1:18: logDestinations: expected a list of stdout, file, syslog, found a list",
    ),
    (
        "rtspAddress: 8554",
        "1:14: rtspAddress: expected an address as host:port or :port, found '8554'",
    ),
    (
        "rtspAddress: ':65536'",
        "1:14: rtspAddress: expected an address",
    ),
    (
        "rtspAddress: '::1:8554'",
        "1:14: rtspAddress: expected an address",
    ),
    ("rtspAddress: ''", "1:14: rtspAddress: expected an address"),
    (
        "hlsSegmentMaxSize: big",
        "1:20: hlsSegmentMaxSize: expected a size in bytes such as 256K or 50M, found 'big'",
    ),
    (
        "writeQueueSize: 500",
        "1:17: writeQueueSize: expected a power of two, found '500'",
    ),
    (
        "apiTrustedProxies: [10.0.0.0/33]",
        "1:20: apiTrustedProxies: expected a list of IP addresses",
    ),
    (
        "hlsVariant: fast",
        "1:13: hlsVariant: expected one of mpegts, fmp4, lowLatency, found 'fast'",
    ),
    (
        "cpu: 101",
        "1:6: cpu: expected a whole number from 1 to 100, found '101'",
    ),
    (
        "pathDefaults: {source: camera}",
        "1:24: source: expected publisher, redirect, rpiCamera or the URL of a source",
    ),
    (
        "pathDefaults: 3",
        "1:15: expected a map of keys below pathDefaults, found '3'",
    ),
    (
        "paths: {cam1: yes}",
        "1:15: expected a map of the path's keys, or nothing, found 'yes'",
    ),
    ("- rtsp", "1:1: expected a map of keys, found a list"),
];

#[test]
fn a_wrong_value_says_what_was_expected() {
    for (text, expected) in WRONG_VALUES {
        let error = refusal(text);
        assert!(
            error.starts_with(&format!("mediamtx.yml:{expected}")),
            "{text}: {error}"
        );
    }
}

#[test]
fn our_own_keys_keep_their_limits() {
    for (key, lowest, highest) in [
        ("shards", "1", "256"),
        ("mediaRing", "1", "65536"),
        ("batchBytes", "1K", "16M"),
        ("coalesce", "0", "1s"),
        ("wakeReaders", "1", "16777216"),
        ("stallAfter", "100ms", "1h"),
        ("shutdownTimeout", "0s", "1h"),
        ("sendBuffer", "0", "512M"),
    ] {
        for value in [lowest, highest] {
            assert!(parsed(&format!("{key}: {value}")).is_ok(), "{key}: {value}");
        }
    }
    for (key, value) in [
        ("shards", "0"),
        ("shards", "257"),
        ("mediaRing", "0"),
        ("mediaRing", "65537"),
        ("batchBytes", "1023"),
        ("batchBytes", "16777217"),
        ("coalesce", "1001ms"),
        ("wakeReaders", "0"),
        ("wakeReaders", "16777217"),
        ("stallAfter", "99ms"),
        ("shutdownTimeout", "3601s"),
        ("sendBuffer", "536870913"),
        ("driver", "kqueue"),
        ("moveLive", "sometimes"),
    ] {
        assert!(refusal(&format!("{key}: {value}")).contains(&format!("{key}: expected")));
    }
}

#[test]
fn no_locked_server_starts_open() {
    for text in [
        "authMethod: http",
        "authMethod: jwt",
        "authHTTPAddress: http://localhost/auth",
        "externalAuthenticationURL: http://localhost/auth",
        "authHTTPFingerprint: abcd",
        "authHTTPExclude: [{action: read}]",
        "authJWTJWKS: https://localhost/jwks",
        "authJWTClaimKey: other",
        "authJWTIssuer: me",
        "rtspEncryption: strict",
        "rtspEncryption: optional",
        "rtspEncryption: yes",
        "encryption: \"yes\"",
        "rtmpEncryption: strict",
        "hlsEncryption: yes",
        "webrtcEncryption: true",
        "playbackEncryption: yes",
        "pathDefaults: {srtReadPassphrase: verysecret}",
        "paths: {cam1: {srtPublishPassphrase: verysecret}}",
    ] {
        let error = refusal(text);
        assert!(
            error.contains("not built yet; refusing to start open"),
            "{text}: {error}"
        );
        assert!(error.starts_with("mediamtx.yml:1:"), "{text}: {error}");
    }
}

#[test]
fn a_lock_at_its_default_is_no_lock() {
    for text in [
        "authMethod: internal",
        "authMethod:",
        "authHTTPAddress: ''",
        "rtspEncryption: no",
        "rtspEncryption: \"no\"",
        "encryption: \"no\"",
        "hlsEncryption: false",
        "rtspAuthMethods: [basic]",
        "pathDefaults: {publishUser: '', publishIPs: [], srtReadPassphrase: }",
        "authInternalUsers: [{user: any, ips: ['::1/128', 127.0.0.1/32], permissions: [{action: \
         pprof}, {action: api}, {action: metrics, path: ''}]}, {user: any, pass: '', permissions: \
         [{action: playback}, {action: read}, {action: publish}]}]",
    ] {
        assert!(parsed(text).is_ok(), "{text}");
    }
}

#[test]
fn an_unknown_key_in_a_list_of_maps_is_refused_too() {
    let error = refusal("authInternalUsers: [{user: any, password: x}]");
    assert!(
        error.contains("1:33: unknown key 'password' in authInternalUsers"),
        "{error}"
    );
    let error = refusal("webrtcICEServers2:\n- url: stun:a\n  clientOnly: 3\n");
    assert!(
        error.contains("3:15: webrtcICEServers2.clientOnly: expected yes or no"),
        "{error}"
    );
}

#[test]
fn two_names_of_one_key_that_disagree_are_refused() {
    assert_eq!(
        refusal("rtsp: yes\nrtspDisable: yes\n"),
        "mediamtx.yml:2:1: rtspDisable and rtsp (line 1) mean the same key and disagree: keep one"
    );
    assert!(parsed("rtsp: no\nrtspDisable: yes\n").is_ok());
    let error = refusal("recordPath: ./a\npathDefaults:\n  recordPath: ./b\n");
    assert!(error.contains("mean the same key and disagree"), "{error}");
}

#[test]
fn wrong_names_of_paths_are_refused() {
    for name in [
        "/cam", "cam/", "cam 1", "a/../b", "./a", "ü", "''", "~", "'~('", "'cam?'",
    ] {
        let error = refusal(&format!("paths:\n  {name}:\n"));
        assert!(
            error.starts_with("mediamtx.yml:2:3: path "),
            "{name}: {error}"
        );
        assert!(error.contains("expected a"), "{name}: {error}");
    }
}

#[test]
fn all_problems_of_a_file_come_at_once_in_its_order() {
    let error =
        refusal("hlsEncryption: yes\nfoo: 1\npaths:\n  a b:\n  cam1: {maxReaders: x}\nrtsp: 7\n");
    let places: Vec<&str> = error
        .lines()
        .filter_map(|line| line.split(": ").next())
        .collect();
    assert_eq!(
        places,
        [
            "mediamtx.yml:1:1",
            "mediamtx.yml:2:1",
            "mediamtx.yml:4:3",
            "mediamtx.yml:5:22",
            "mediamtx.yml:6:7"
        ]
    );
}

#[test]
fn problems_are_counted_beyond_their_limit() {
    let text = |count: usize| {
        (0..count)
            .map(|n| format!("foo{n}: 1\n"))
            .collect::<String>()
    };
    assert_eq!(refusal(&text(PROBLEMS_MAX)).lines().count(), PROBLEMS_MAX);
    let error = refusal(&text(PROBLEMS_MAX + 7));
    assert!(error.ends_with("\nand 7 more"), "{error}");
}

#[test]
fn text_that_is_no_yaml_is_placed() {
    let error = refusal("rtsp: yes\n  logLevel: info\n");
    assert!(error.starts_with("mediamtx.yml:2:"), "{error}");
    assert!(refusal("paths: {a: [}\n").starts_with("mediamtx.yml:1:"));
    assert!(refusal("rtsp: yes\n---\nrtsp: no\n").contains("2:1: expected one YAML document"));
    assert!(refusal("rtsp: !own yes\n").contains("unknown tag '!own'"));
    assert!(refusal("rtsp: *nobody\n").contains("1:7: no valid YAML"));
    assert!(refusal("? [a, b]\n: c\n").contains("expected a word as key"));
}

#[test]
fn what_switches_every_transport_off_or_is_no_multicast_range_is_refused() {
    for (text, expected) in [
        (
            "rtspTransports: []",
            "rtspTransports: expected a list of udp, multicast, tcp",
        ),
        (
            "multicastIPRange: 10.0.0.0/8",
            "multicastIPRange: expected a network of multicast addresses",
        ),
        (
            "multicastIPRange: 224.0.0.0/3",
            "multicastIPRange: expected a network of multicast addresses",
        ),
        ("udpMaxPayloadSize: 1473", "from 128 to 1472"),
    ] {
        let error = refusal(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
}
