//! Hostile files: whatever the bytes, an answer in bounded memory and time, and no panic.

use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use shardcast_config::{ConfigError, Loaded, PATH_NAME_BYTES_MAX, PATTERNS_MAX, parse};

/// Far above what any of these files takes, far below what an unbounded reader would.
const PATIENCE: Duration = Duration::from_secs(20);

fn parsed(text: &str) -> Result<Loaded, ConfigError> {
    parse(Some(Path::new("hostile.yml")), text, std::iter::empty())
}

fn refusal(text: &str) -> String {
    let started = Instant::now();
    let error = parsed(text).unwrap_err().to_string();
    assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
    error
}

#[test]
fn a_bomb_of_aliases_is_refused_before_it_goes_off() {
    let mut text = "paths:\n  l0: &l0 [a, a, a, a, a, a, a, a, a]\n".to_owned();
    for level in 1..30 {
        let aliases = vec![format!("*l{}", level - 1); 9].join(", ");
        text += &format!("  l{level}: &l{level} [{aliases}]\n");
    }
    assert!(refusal(&text).contains("more than 400000 values, aliases counted each time"));
}

#[test]
fn a_bomb_of_merge_keys_is_refused_before_it_goes_off() {
    let keys: String = (0..20_000).map(|n| format!("k{n}: 1, ")).collect();
    let mut text = format!("pathDefaults: &base {{{keys}}}\npaths:\n");
    for path in 0..20_000 {
        text += &format!("  p{path}: {{<<: *base}}\n");
    }
    assert!(refusal(&text).contains("more than 400000 values"));
}

#[test]
fn nesting_is_taken_up_to_its_limit_and_not_beyond() {
    let nested = |levels: usize| {
        let (open, close) = ("[".repeat(levels), "]".repeat(levels));
        refusal(&format!("foo: {open}{close}\n"))
    };
    assert!(nested(31).contains("unknown key 'foo'"));
    assert!(nested(32).contains("nested deeper than 32 levels"));
    assert!(refusal(&"[".repeat(4 << 20)).starts_with("hostile.yml:1:"));
    assert!(refusal(&"- ".repeat(2 << 20)).starts_with("hostile.yml:1:"));
    assert!(refusal(&"? ".repeat(2 << 20)).starts_with("hostile.yml:1:"));
    assert!(refusal(&"{a: ".repeat(1 << 20)).starts_with("hostile.yml:1:"));
}

#[test]
fn values_are_counted_up_to_their_limit() {
    // The list, the map and the items make the limit.
    let text = |items: usize| format!("foo: [{}]\n", "a,".repeat(items));
    assert!(refusal(&text(399_998)).contains("unknown key 'foo'"));
    assert!(refusal(&text(399_999)).contains("more than 400000 values"));
}

#[test]
fn large_files_of_one_thing_end_in_time() {
    for piece in [
        "a", "#\n", "\n", "a: ", "a:\n", "'", "\"\\", "&a ", "*a ", "!", "|\n", "%", "\t", "--- ",
        "x: 1\n", "- ~\n", "ä ", "? a\n", "}", ",", "<<: ",
    ] {
        let text = piece.repeat((1 << 20) / piece.len());
        let started = Instant::now();
        let _ = parsed(&text);
        assert!(
            started.elapsed() < PATIENCE,
            "{piece:?} {:?}",
            started.elapsed()
        );
    }
}

#[test]
fn ten_thousand_paths_load_in_time() {
    let mut text = "paths:\n".to_owned();
    for path in 0..10_000 {
        text += &format!(
            "  site/cam-{path}:\n    maxReaders: {path}\n    logAge: 10s\n    record: yes\n"
        );
    }
    let started = Instant::now();
    let loaded = parsed(&text).unwrap();
    assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
    assert_eq!(loaded.config.paths.len(), 10_000);
    assert_eq!(loaded.warnings.len(), 1);
    assert!(loaded.warnings[0].contains("and 9999 more"));
}

#[test]
fn a_regular_expression_that_would_grow_is_refused() {
    assert!(
        refusal("paths:\n  '~((a{100}){100}){100}':\n").contains("a regular expression after '~'")
    );
}

#[test]
fn regular_expressions_are_taken_up_to_their_number() {
    let text = |count: usize| {
        let names = (0..count).map(|n| format!("  ~^cam{n}$:\n"));
        format!("paths:\n{}", names.collect::<String>())
    };
    assert!(parsed(&text(PATTERNS_MAX)).is_ok());
    assert!(refusal(&text(PATTERNS_MAX + 1)).contains("at most 1024 regular expressions"));
}

#[test]
fn a_path_name_is_taken_up_to_its_length() {
    let text = |length: usize| format!("paths:\n  ? {}\n", "a".repeat(length));
    assert!(parsed(&text(PATH_NAME_BYTES_MAX)).is_ok());
    assert!(refusal(&text(PATH_NAME_BYTES_MAX + 1)).contains("a path name of 1 to 1024"));
}

#[test]
fn an_error_repeats_no_more_than_a_line_of_what_it_found() {
    let error = refusal(&format!("logLevel: {}\n", "x".repeat(1 << 20)));
    assert!(error.len() < 300);
    let error = refusal("logLevel: \"a\\nb\\e[31m\"\n");
    assert_eq!(error.lines().count(), 1);
    assert!(!error.contains('\u{1b}'));
}

/// Pieces of which configurations, right and wrong, are made.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("\n".to_owned()),
        Just("  ".to_owned()),
        Just(": ".to_owned()),
        Just("- ".to_owned()),
        Just("<<: ".to_owned()),
        Just("paths:\n".to_owned()),
        Just("pathDefaults:\n".to_owned()),
        Just("authInternalUsers:\n".to_owned()),
        Just("rtsp".to_owned()),
        Just("shards".to_owned()),
        "[\\[\\]{}&*!|>'\"%@`#,?~ab0-9]{1,3}",
        "\\PC{0,8}",
    ]
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let _ = parsed(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn arbitrary_pieces_of_configurations_never_panic(
        pieces in proptest::collection::vec(piece(), 0..60)
    ) {
        let _ = parsed(&pieces.concat());
    }

    #[test]
    fn arbitrary_values_of_arbitrary_keys_never_panic(
        key in prop_oneof![Just("readTimeout"), Just("batchBytes"), Just("egress"), Just("shards"),
            Just("rtspAddress"), Just("apiTrustedProxies"), Just("cpu"), Just("moveLive")],
        value in "[0-9.:/a-zA-Zµ\\-]{0,24}",
    ) {
        let _ = parsed(&format!("{key}: '{value}'\n"));
    }

    #[test]
    fn arbitrary_variables_never_panic(
        name in "(MTX|RTSP)_[A-Z0-9_]{0,24}",
        value in "\\PC{0,16}",
    ) {
        let _ = parse(None, "", [(name, value)].into_iter());
    }

    #[test]
    fn every_truncation_of_a_right_file_is_answered(cut in 0usize..8_000) {
        let text = include_str!("data/stock.yml");
        let _ = parsed(text.split_at(text.floor_char_boundary(cut)).0);
    }
}
