//! Whole files: MediaMTX's own, the reference configuration, and where files are looked for.

use std::num::NonZero;
use std::path::Path;

use shardcast_config::{
    Config, ConfigError, FILE_BYTES_MAX, Loaded, LogDestination, SlowReader, Source, Start, load,
    parse,
};

const STOCK: &str = include_str!("data/stock.yml");
const REFERENCE: &str = include_str!("../shardcast.yml");

fn parsed(text: &str) -> Result<Loaded, ConfigError> {
    parse(Some(Path::new("mediamtx.yml")), text, std::iter::empty())
}

#[test]
fn a_stock_file_loads_without_error_and_without_warning() {
    let loaded = parsed(STOCK).unwrap();
    assert_eq!(loaded.warnings, Vec::<String>::new());
    // It says how many packets may wait for a reader, which counts once it stands there.
    let mut expected = Config::default();
    expected.path_defaults.reader_queue_bytes = 512 * 1472;
    let Some((_, others)) = loaded.config.paths.iter().next() else {
        panic!("it serves every path");
    };
    assert_eq!(others, &expected.path_defaults);
    expected.paths = loaded.config.paths.clone();
    assert_eq!(loaded.config, expected);
}

#[test]
fn what_older_stock_files_carry_is_no_reason_for_a_warning_either() {
    let text = "authJWTExclude: [{action: api}, {action: metrics}, {action: pprof}]\n\
                pathDefaults:\n  alwaysAvailableTracks: [{codec: H264}]\n  \
                rtspUDPSourcePortRange: [10000, 65535]\n  rpiCameraHardwareH264Profile: main\n  \
                recordDeleteAfter: 24h\npaths: {all_others: }\n";
    assert_eq!(parsed(text).unwrap().warnings, Vec::<String>::new());
}

#[test]
fn the_reference_configuration_says_the_defaults() {
    let loaded = parsed(REFERENCE).unwrap();
    assert_eq!(loaded.warnings, Vec::<String>::new());
    assert_eq!(loaded.config, Config::default());
}

/// Every built key at another value than its default, which gives another configuration.
const CHANGED: &[(&str, &str)] = &[
    ("logLevel", "debug"),
    ("logDestinations", "[stdout, file]"),
    ("logStructured", "yes"),
    ("logFile", "other.log"),
    ("readTimeout", "11s"),
    ("writeTimeout", "11s"),
    ("writeQueueSize", "1024"),
    ("api", "yes"),
    ("apiAddress", ":9990"),
    ("apiLocalSources", "yes"),
    ("apiEncryption", "yes"),
    ("apiServerKey", "api.key"),
    ("apiServerCert", "api.crt"),
    ("apiAllowOrigins", "[https://example.org]"),
    ("apiTrustedProxies", "[10.0.0.0/8]"),
    ("metrics", "yes"),
    ("metricsAddress", ":9991"),
    ("metricsEncryption", "yes"),
    ("metricsServerKey", "metrics.key"),
    ("metricsServerCert", "metrics.crt"),
    ("metricsAllowOrigins", "[https://example.org]"),
    ("metricsTrustedProxies", "[10.0.0.0/8]"),
    ("metricsPerSession", "no"),
    ("pprof", "yes"),
    ("pprofAddress", ":9992"),
    ("pprofEncryption", "yes"),
    ("pprofServerKey", "pprof.key"),
    ("pprofServerCert", "pprof.crt"),
    ("pprofAllowOrigins", "[https://example.org]"),
    ("pprofTrustedProxies", "[10.0.0.0/8]"),
    ("rtsp", "no"),
    ("rtspAddress", "127.0.0.1:1"),
    ("rtspTransports", "[udp]"),
    ("rtpAddress", ":9000"),
    ("rtcpAddress", ":9001"),
    ("udpMaxPayloadSize", "1200"),
    ("udpReadBufferSize", "4194304"),
    ("multicastIPRange", "239.0.0.0/24"),
    ("multicastRTPPort", "9002"),
    ("multicastRTCPPort", "9003"),
    ("rtspAuthMethods", "[digest]"),
    ("shards", "3"),
    ("driver", "epoll"),
    ("pinCpus", "yes"),
    ("mediaRing", "7"),
    ("stallAfter", "2s"),
    ("shutdownTimeout", "0"),
    ("coalesce", "4ms"),
    ("batchBytes", "16M"),
    ("gatherReaders", "0"),
    ("wakeReaders", "1"),
    ("wakeBytes", "2M"),
    ("moveLive", "no"),
    ("notSentLowat", "0"),
    ("sendBuffer", "64K"),
    ("sessionsPerAddress", "1"),
    ("connectionsPerAddress", "1"),
    ("readers", "1"),
    ("egress", "1G"),
    ("memory", "1G"),
    ("cpu", "100"),
    ("maxReaders", "1"),
    ("overridePublisher", "no"),
    ("logBytes", "1M"),
    ("publisherGrace", "1s"),
    ("logAge", "1s"),
    ("readerQueueBytes", "1M"),
    ("readerQueueAge", "1s"),
    ("slowReader", "disconnect"),
    ("start", "gop"),
];

#[test]
fn every_built_key_of_the_reference_configuration_has_effect() {
    let keys = REFERENCE
        .lines()
        .filter_map(|line| line.trim().split_once(": "));
    let keys: Vec<&str> = keys
        .map(|(key, _)| key)
        .filter(|key| !key.contains(['#', '{']))
        .collect();
    for key in &keys {
        let (_, value) = CHANGED.iter().find(|(known, _)| known == key).unwrap();
        let line = REFERENCE
            .lines()
            .find(|line| line.trim().starts_with(&format!("{key}: ")));
        let line = line.unwrap();
        let indent = line.len() - line.trim_start().len();
        let text = REFERENCE.replace(line, &format!("{}{key}: {value}", " ".repeat(indent)));
        let loaded = parsed(&text).unwrap();
        assert_ne!(loaded.config, Config::default(), "{key}");
        assert_eq!(loaded.warnings, Vec::<String>::new(), "{key}");
    }
    assert_eq!(keys.len(), CHANGED.len());
}

#[test]
fn values_arrive_in_their_units() {
    let text = "readTimeout: 1d12h\nbatchBytes: 1.5M\nrtspAddress: '[::1]:8555'\nshards: 4\n\
                logDestinations: file,stdout\npathDefaults: {maxReaders: 5, start: live}\n\
                paths:\n  cam1: {slowReader: disconnect, logAge: 1h30m}\n  cam2:\n";
    let config = parsed(text).unwrap().config;
    assert_eq!(config.read_timeout.as_secs(), 36 * 3600);
    assert_eq!(config.fanout.batch_bytes, 3 << 19);
    assert_eq!(config.rtsp.address, "[::1]:8555");
    assert_eq!(
        config.log.destinations,
        [LogDestination::File, LogDestination::Stdout]
    );
    let cam1 = config.path("cam1").unwrap();
    assert_eq!(cam1.slow_reader, SlowReader::Disconnect);
    assert_eq!(cam1.log_age.as_secs(), 5400);
    let cam2 = config.path("cam2").unwrap();
    assert_eq!(cam2, &config.path_defaults);
    assert_eq!(cam2.max_readers.map(NonZero::get), Some(5));
    assert_eq!(cam2.start, Start::Live);
}

#[test]
fn a_file_that_is_named_and_missing_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing.yml");
    let error = load(Some(&missing), std::iter::empty()).unwrap_err();
    assert!(matches!(error, ConfigError::Unreadable { .. }));
    assert!(
        error.to_string().contains("missing.yml: cannot be read"),
        "{error}"
    );
    // So is one that is no file.
    assert!(load(Some(directory.path()), std::iter::empty()).is_err());
}

#[test]
fn a_file_that_is_named_is_read_and_named_in_what_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("own.yml");
    std::fs::write(&file, "\u{feff}rtspAddress: :9554\r\npaths:\r\n  cam1:\r\n").unwrap();
    let loaded = load(Some(&file), std::iter::empty()).unwrap();
    assert_eq!(loaded.config.rtsp.address, ":9554");
    assert_eq!(loaded.source.as_deref(), Some(file.as_path()));
    assert!(
        loaded.summary().ends_with("own.yml: 1 path, RTSP on :9554"),
        "{}",
        loaded.summary()
    );
}

#[test]
fn a_file_is_read_up_to_its_limit_and_not_beyond() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("large.yml");
    let mut text = b"paths: {all_others: }\n#".to_vec();
    text.resize(usize::try_from(FILE_BYTES_MAX).unwrap(), b'x');
    std::fs::write(&file, &text).unwrap();
    assert!(load(Some(&file), std::iter::empty()).is_ok());
    text.push(b'x');
    std::fs::write(&file, &text).unwrap();
    let error = load(Some(&file), std::iter::empty()).unwrap_err();
    assert!(matches!(error, ConfigError::TooLarge { .. }));
}

#[test]
fn bytes_that_are_no_text_are_placed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("latin1.yml");
    std::fs::write(&file, b"rtsp: yes\n# caf\xe9\n").unwrap();
    let error = load(Some(&file), std::iter::empty()).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("latin1.yml:2:6: expected UTF-8 text"),
        "{error}"
    );
}

#[test]
fn without_a_file_every_path_is_open() {
    let loaded = parse(None, "", std::iter::empty()).unwrap();
    assert_eq!(loaded.config, Config::default());
    assert_eq!(loaded.warnings, Vec::<String>::new());
    assert!(loaded.config.path("mystream").is_some());
    assert_eq!(loaded.summary(), "built-in defaults: 1 path, RTSP on :8554");
}

#[test]
fn a_file_without_paths_opens_none_and_says_so() {
    let loaded = parsed("rtspAddress: :8555\n").unwrap();
    assert_eq!(loaded.config.path("mystream"), None);
    assert_eq!(loaded.warnings.len(), 1);
    assert!(
        loaded.warnings[0].contains("no path is configured"),
        "{:?}",
        loaded.warnings
    );
}

#[test]
fn a_path_with_a_source_of_its_own_is_marked_so_that_nobody_publishes_there() {
    let loaded = parsed("paths: {cam1: {source: 'rtsp://camera/1'}}\n").unwrap();
    let source = &loaded.config.path("cam1").unwrap().source;
    assert_eq!(source, &Source::Elsewhere("rtsp://camera/1".to_owned()));
    assert!(
        loaded.warnings[0].contains("paths.cam1.source (line 1)"),
        "{:?}",
        loaded.warnings
    );
}
