//! Changes at run time, as the Control API makes them: what they do, what they refuse, and what
//! lasts.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use shardcast_config::{Body, Change, ChangeError, Changed, Document, LogLevel, load, parse};

fn body(value: &Value) -> Body {
    Body::parse(value.to_string().as_bytes()).unwrap()
}

fn document(text: &str) -> Document {
    with_env(text, &[])
}

fn with_env(text: &str, variables: &[(&str, &str)]) -> Document {
    let variables = variables.iter();
    let variables = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let loaded = parse(Some(Path::new("mediamtx.yml")), text, variables);
    loaded.unwrap().document
}

fn global(document: &mut Document, value: &Value) -> Result<Changed, ChangeError> {
    document.change(Change::Global(body(value)), false)
}

fn add(document: &mut Document, name: &str, value: &Value) -> Result<Changed, ChangeError> {
    document.change(Change::AddPath(name.to_owned(), body(value)), false)
}

fn patch(document: &mut Document, name: &str, value: &Value) -> Result<Changed, ChangeError> {
    document.change(Change::PatchPath(name.to_owned(), body(value)), false)
}

fn remove(document: &mut Document, name: &str) -> Result<Changed, ChangeError> {
    document.change(Change::RemovePath(name.to_owned()), false)
}

fn told(result: Result<Changed, ChangeError>) -> String {
    result.unwrap_err().to_string()
}

fn shown(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

fn path(document: &Document, name: &str) -> Value {
    shown(&document.path_json(name).unwrap())
}

fn names(document: &Document) -> Vec<&str> {
    document.path_names().collect()
}

/// A folder with a configuration in it.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("mediamtx.yml"), text).unwrap();
        Self { folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.file(name), text).unwrap();
    }

    fn load(&self) -> Document {
        let loaded = load(Some(&self.file("mediamtx.yml")), std::iter::empty());
        loaded.unwrap_or_else(|error| panic!("{error}")).document
    }
}

#[test]
fn a_key_that_is_set_holds_and_the_others_stay() {
    let mut document = document("logLevel: warn\nreadTimeout: 5s\npaths: {all_others: }\n");
    global(
        &mut document,
        &json!({"logLevel": "debug", "writeTimeout": "1m"}),
    )
    .unwrap();
    assert_eq!(document.config().log.level, LogLevel::Debug);
    let shown = shown(&document.global_json());
    assert_eq!(shown["logLevel"], "debug");
    assert_eq!(shown["readTimeout"], "5s");
    assert_eq!(shown["writeTimeout"], "1m0s");
}

#[test]
fn what_is_wrong_changes_nothing_and_names_its_place() {
    let mut document = document("paths: {cam: {maxReaders: 3}}\n");
    let before = (document.global_json(), document.path_json("cam"));
    for (value, expected) in [
        (
            json!({"maxReaders": -1}),
            "request body, /maxReaders: maxReaders: expected a whole",
        ),
        (
            json!({"maxReaders": "10"}),
            "maxReaders: expected a whole number of at least 0, found the text '10'",
        ),
        (
            json!({"overridePublisher": "yes"}),
            "expected yes or no, found the text 'yes'",
        ),
        (json!({"publisherGrace": 5}), "expected a duration"),
        (
            json!({"maxReader": 1}),
            "unknown key 'maxReader', did you mean 'maxReaders'?",
        ),
        (json!({"maxReader": null}), "unknown key 'maxReader'"),
        (json!({"": null}), "unknown key ''"),
        (json!({"logLevel": "debug"}), "it belongs in the top level"),
        (json!({"forward": [{"dest": null}]}), "/forward/0/dest"),
        (
            json!({"rtspUDPSourcePortRange": "1,2"}),
            "expected a list of numbers",
        ),
        (json!({"name": 5}), "name: expected text"),
    ] {
        let error = told(patch(&mut document, "cam", &value));
        assert!(error.contains(expected), "{value}: {error}");
    }
    assert_eq!((document.global_json(), document.path_json("cam")), before);
    assert!(document.differences().is_empty());
}

#[test]
fn paths_are_no_keys_of_the_top_level_in_a_request() {
    let mut document = document("paths: {cam: {maxReaders: 3}}\n");
    for section in ["paths", "pathDefaults"] {
        for value in [json!(null), json!({}), json!({"maxReaders": 1})] {
            let error = told(global(&mut document, &json!({ section: value })));
            assert!(
                error.contains(&format!("unknown key '{section}'")),
                "{error}"
            );
        }
    }
    assert!(document.differences().is_empty());
}

#[test]
fn null_says_nothing_of_a_key() {
    let mut document = document("paths: {cam: {maxReaders: 3}}\n");
    patch(
        &mut document,
        "cam",
        &json!({"maxReaders": null, "logAge": "1m"}),
    )
    .unwrap();
    assert_eq!(path(&document, "cam")["maxReaders"], 3);
    assert_eq!(path(&document, "cam")["logAge"], "1m0s");
}

#[test]
fn paths_are_added_patched_replaced_and_removed() {
    let mut document = document("pathDefaults: {maxReaders: 7}\npaths: {cam: {start: gop}}\n");
    assert!(matches!(
        add(&mut document, "cam", &json!({})),
        Err(ChangeError::PathExists)
    ));
    add(&mut document, "a/b", &json!({"name": "a/b"})).unwrap();
    add(&mut document, "~^team-", &json!({"maxReaders": 1})).unwrap();
    assert_eq!(names(&document), ["a/b", "cam", "~^team-"]);
    assert_eq!(path(&document, "a/b")["maxReaders"], 7);
    patch(&mut document, "cam", &json!({"maxReaders": 2})).unwrap();
    assert_eq!(path(&document, "cam")["maxReaders"], 2);
    assert_eq!(path(&document, "cam")["start"], "gop");
    let replace = Change::ReplacePath("cam".into(), body(&json!({"start": "live"})));
    document.change(replace, false).unwrap();
    assert_eq!(path(&document, "cam")["maxReaders"], 7);
    assert_eq!(path(&document, "cam")["start"], "live");
    remove(&mut document, "cam").unwrap();
    assert!(document.path_json("cam").is_none());
    assert!(document.config().path("cam").is_none());
    assert!(matches!(
        remove(&mut document, "cam"),
        Err(ChangeError::PathNotFound)
    ));
    assert!(matches!(
        patch(&mut document, "cam", &json!({})),
        Err(ChangeError::PathNotFound)
    ));
    add(&mut document, "cam", &json!({})).unwrap();
    assert_eq!(path(&document, "cam")["start"], "catchUp");
}

#[test]
fn names_of_paths_are_checked_as_in_a_file() {
    let mut document = document("paths: {all_others: }\n");
    for name in ["a b", "/a", "..", "~(", "", "~^.*$"] {
        assert!(
            matches!(
                add(&mut document, name, &json!({})),
                Err(ChangeError::Invalid(_))
            ),
            "{name}"
        );
    }
    assert!(add(&mut document, &"a".repeat(1024), &json!({})).is_ok());
    assert!(add(&mut document, &"b".repeat(1025), &json!({})).is_err());
}

#[test]
fn what_was_deprecated_is_one_key_with_what_took_its_place() {
    let mut document = document(
        "readBufferCount: 256\nrecord: yes\npaths: {cam: {disablePublisherOverride: yes}}\n",
    );
    global(
        &mut document,
        &json!({"writeQueueSize": 1024, "record": false}),
    )
    .unwrap();
    assert_eq!(shown(&document.global_json())["writeQueueSize"], 1024);
    assert_eq!(shown(&document.defaults_json())["record"], false);
    patch(&mut document, "cam", &json!({"overridePublisher": true})).unwrap();
    assert_eq!(path(&document, "cam")["overridePublisher"], true);
    patch(
        &mut document,
        "cam",
        &json!({"disablePublisherOverride": true}),
    )
    .unwrap();
    assert_eq!(path(&document, "cam")["overridePublisher"], false);
    global(&mut document, &json!({"readBufferCount": 2048})).unwrap();
    assert_eq!(shown(&document.global_json())["writeQueueSize"], 2048);
    assert_eq!(shown(&document.global_json()).get("readBufferCount"), None);
}

#[test]
fn who_sends_back_all_that_was_shown_changes_nothing() {
    let mut document = document("logLevel: warn\npaths: {cam: {maxReaders: 3}}\n");
    let all = shown(&document.global_json());
    global(&mut document, &all).unwrap();
    let defaults = shown(&document.defaults_json());
    document
        .change(Change::PathDefaults(body(&defaults)), false)
        .unwrap();
    assert_eq!(document.differences(), []);
    let cam = path(&document, "cam");
    patch(&mut document, "cam", &cam).unwrap();
    assert_eq!(path(&document, "cam"), cam);
}

#[test]
fn what_opens_sockets_or_threads_is_refused_unless_it_is_kept() {
    let mut document = document("paths: {all_others: }\n");
    let error = told(global(
        &mut document,
        &json!({"rtspAddress": ":554", "shards": 2}),
    ));
    assert!(
        error.starts_with("rtspAddress, shards: takes effect after a restart"),
        "{error}"
    );
    assert_eq!(shown(&document.global_json())["rtspAddress"], ":8554");
    // Without a file beside which it could be kept there is only the refusal.
    let change = Change::Global(body(&json!({"shards": 2})));
    assert!(matches!(
        document.change(change, true),
        Err(ChangeError::NothingKept)
    ));
}

#[test]
fn what_waits_for_a_restart_is_kept_and_runs_as_before() {
    let place = Place::new("paths: {all_others: }\n");
    let mut document = place.load();
    let change = Change::Global(body(&json!({"rtspAddress": ":554", "logLevel": "warn"})));
    let changed = document.change(change, true).unwrap();
    assert_eq!(changed.waiting, ["rtspAddress"]);
    assert_eq!(document.config().rtsp.address, ":8554");
    assert_eq!(document.config().log.level, LogLevel::Warn);
    assert_eq!(shown(&document.global_json())["rtspAddress"], ":554");
    let differences = document.differences();
    let waits: Vec<_> = differences
        .iter()
        .map(|it| (it.key.as_str(), it.is_kept, it.waits))
        .collect();
    assert_eq!(
        waits,
        [("logLevel", true, false), ("rtspAddress", true, true)]
    );
    let restarted = place.load();
    assert_eq!(restarted.config().rtsp.address, ":554");
    assert!(restarted.waiting().is_empty());
}

#[test]
fn kept_changes_survive_a_restart_and_others_do_not() {
    let place = Place::new("logLevel: warn\npaths: {cam: {maxReaders: 1}, old: , gone: }\n");
    let mut document = place.load();
    let mut keep = |change| document.change(change, true).unwrap();
    keep(Change::Global(body(&json!({
        "readTimeout": "3s", "logLevel": "error",
        "authInternalUsers": [{"user": "a", "pass": "x#{}", "permissions": [{"action": "read"}]}],
    }))));
    keep(Change::PathDefaults(body(
        &json!({"readerQueueBytes": "1.5M"}),
    )));
    keep(Change::PatchPath(
        "cam".into(),
        body(&json!({"start": "gop"})),
    ));
    keep(Change::AddPath(
        "~^a: #b$".into(),
        body(&json!({"maxReaders": 9})),
    ));
    keep(Change::AddPath("true".into(), body(&json!({}))));
    keep(Change::ReplacePath(
        "old".into(),
        body(&json!({"maxReaders": 4})),
    ));
    keep(Change::RemovePath("gone".into()));
    add(&mut document, "passing", &json!({})).unwrap();
    let restarted = place.load();
    assert_eq!(names(&restarted), ["cam", "old", "true", "~^a: #b$"]);
    assert_eq!(restarted.global_json(), document.global_json());
    for name in ["cam", "old", "true", "~^a: #b$"] {
        assert_eq!(restarted.path_json(name), document.path_json(name));
    }
    assert_eq!(path(&restarted, "cam")["maxReaders"], 1);
    assert_eq!(path(&restarted, "cam")["readerQueueBytes"], "1.5M");
    assert_eq!(restarted.kept_changes(), 10);
}

#[test]
fn a_reload_takes_over_the_file_and_keeps_changes() {
    let place = Place::new("paths: {a: , b: }\n");
    let mut document = place.load();
    add(&mut document, "passing", &json!({})).unwrap();
    let change = Change::AddPath("kept".into(), body(&json!({})));
    document.change(change, true).unwrap();
    place.write(
        "mediamtx.yml",
        "logLevel: warn\nrtspAddress: :1\npaths: {b: , c: }\n",
    );
    let changed = document.reload().unwrap();
    assert_eq!(changed.waiting, ["rtspAddress"]);
    assert_eq!(names(&document), ["b", "c", "kept", "passing"]);
    assert_eq!(document.config().log.level, LogLevel::Warn);
    assert_eq!(document.config().rtsp.address, ":8554");
    assert!(document.waiting() == ["rtspAddress"]);
}

#[test]
fn a_broken_reload_changes_nothing_and_names_file_line_and_key() {
    let place = Place::new("paths: {a: }\n");
    let mut document = place.load();
    let before = (document.global_json(), document.config().clone());
    place.write("mediamtx.yml", "logLevel: warn\nmaxReader: 5\n");
    let error = document.reload().unwrap_err().to_string();
    assert!(
        error.contains("mediamtx.yml:2:1: unknown key 'maxReader'"),
        "{error}"
    );
    fs::remove_file(place.file("mediamtx.yml")).unwrap();
    assert!(document.reload().is_err());
    place.write("mediamtx.yml", "");
    place.write("mediamtx.changes.yml", "logLevel: loud\n");
    let error = document.reload().unwrap_err().to_string();
    assert!(
        error.contains("mediamtx.changes.yml:1:11: logLevel: expected one of"),
        "{error}"
    );
    assert_eq!((document.global_json(), document.config().clone()), before);
}

#[test]
fn a_file_of_changes_that_is_wrong_is_an_error_at_the_start() {
    let place = Place::new("paths: {a: }\n");
    for (text, expected) in [
        ("a: b: c", "mediamtx.changes.yml:1:5: no valid YAML"),
        ("[]", "mediamtx.changes.yml:1:1: expected a map of changes"),
        (
            "removedPaths: a",
            "removedPaths: expected a list of the names",
        ),
        (
            "removedPaths: [{}]",
            "removedPaths: expected a list of the names",
        ),
        (
            "paths: {x: 5}",
            "mediamtx.changes.yml:1:12: expected a map of the path's keys",
        ),
        (
            "logLevel: info\nlogLevel: warn",
            "mediamtx.changes.yml:2:1: 'logLevel' is given twice",
        ),
        (
            "\nnonsense: 1",
            "mediamtx.changes.yml:2:1: unknown key 'nonsense'",
        ),
    ] {
        place.write("mediamtx.changes.yml", text);
        let error = load(Some(&place.file("mediamtx.yml")), std::iter::empty()).unwrap_err();
        assert!(error.to_string().contains(expected), "{text}: {error}");
    }
    place.write("mediamtx.changes.yml", "");
    assert_eq!(place.load().kept_changes(), 0);
}

#[test]
fn changes_are_dropped_with_their_file() {
    let place = Place::new("logLevel: warn\npaths: {a: }\n");
    let mut document = place.load();
    let before = (document.global_json(), document.config().clone());
    let change = Change::Global(body(&json!({"logLevel": "debug"})));
    document.change(change, true).unwrap();
    add(&mut document, "b", &json!({})).unwrap();
    assert!(place.file("mediamtx.changes.yml").exists());
    document.revert().unwrap();
    assert_eq!((document.global_json(), document.config().clone()), before);
    assert!(document.differences().is_empty());
    assert!(!place.file("mediamtx.changes.yml").exists());
}

#[test]
fn a_change_that_cannot_be_written_is_not_made() {
    let place = Place::new("paths: {a: }\n");
    let mut document = place.load();
    fs::create_dir(place.file("mediamtx.changes.yml")).unwrap();
    let change = Change::Global(body(&json!({"logLevel": "debug"})));
    let error = document.change(change, true).unwrap_err();
    assert!(matches!(error, ChangeError::NotKept(_)), "{error}");
    assert_eq!(document.config().log.level, LogLevel::Info);
}

#[test]
fn differences_name_what_the_file_says_and_what_holds() {
    let place = Place::new("logLevel: warn\npaths: {a: {maxReaders: 1}, b: {start: gop}}\n");
    let mut document = place.load();
    global(
        &mut document,
        &json!({"logLevel": "debug", "readTimeout": "1m"}),
    )
    .unwrap();
    patch(&mut document, "a", &json!({"maxReaders": 2})).unwrap();
    document
        .change(Change::RemovePath("b".into()), true)
        .unwrap();
    add(&mut document, "c", &json!({"start": "live"})).unwrap();
    let differences = document.differences();
    let told: Vec<_> = differences
        .iter()
        .map(|it| {
            (
                it.key.as_str(),
                it.file.as_deref(),
                it.now.as_deref(),
                it.is_kept,
            )
        })
        .collect();
    let expected = [
        ("logLevel", Some("\"warn\""), Some("\"debug\""), false),
        ("readTimeout", Some("\"10s\""), Some("\"1m0s\""), false),
        ("paths.a.maxReaders", Some("1"), Some("2"), false),
        ("paths.b", Some("{\"start\":\"gop\"}"), None, true),
        ("paths.c", None, Some("{\"start\":\"live\"}"), false),
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_was_passing_is_kept_with_the_first_change_that_is() {
    let place = Place::new("paths: {a: {maxReaders: 1}}\n");
    let mut document = place.load();
    add(&mut document, "b", &json!({"maxReaders": 2})).unwrap();
    let change = Change::PatchPath("b".into(), body(&json!({"start": "gop"})));
    document.change(change, true).unwrap();
    remove(&mut document, "a").unwrap();
    let change = Change::AddPath("a".into(), body(&json!({"start": "live"})));
    document.change(change, true).unwrap();
    let restarted = place.load();
    for name in ["a", "b"] {
        assert_eq!(restarted.path_json(name), document.path_json(name));
    }
    assert_eq!(path(&restarted, "b")["maxReaders"], 2);
    assert_eq!(path(&restarted, "a")["maxReaders"], 0);
}

#[test]
fn what_is_kept_has_to_be_right_without_what_is_not() {
    let place = Place::new("paths: {a: }\n");
    let mut document = place.load();
    let users = json!([{"user": "u", "pass": "p", "permissions": [{"action": "read"}]}]);
    global(&mut document, &json!({"authInternalUsers": users})).unwrap();
    // Digest needs credentials that are not hashed: so it is with the users that pass, and without
    // them too.
    let change = Change::Global(body(&json!({"rtspAuthMethods": ["digest"]})));
    document.change(change, true).unwrap();
    let hashed =
        json!([{"user": "u", "pass": "sha256:j1tsRqDEw9xvq/D7/9tMx6Jh/jMhk3UfjwIB2f1zgMo="}]);
    let error = told(global(&mut document, &json!({"authInternalUsers": hashed})));
    assert!(error.contains("expected a plain credential"), "{error}");
    assert!(!error.contains("j1tsRq"), "{error}");
}

#[test]
fn no_change_goes_over_the_environment() {
    let variables = [("MTX_LOGLEVEL", "warn"), ("MTX_PATHS_CAM_MAXREADERS", "3")];
    let mut document = with_env("paths: {cam: }\n", &variables);
    let error = told(global(
        &mut document,
        &json!({"logLevel": "debug", "readTimeout": "1s"}),
    ));
    assert!(
        error.starts_with("logLevel: set by the environment"),
        "{error}"
    );
    let error = told(patch(&mut document, "cam", &json!({"maxReaders": 4})));
    assert!(error.starts_with("paths.cam.maxReaders: set by"), "{error}");
    assert!(told(remove(&mut document, "cam")).starts_with("paths.cam: set by"));
    global(&mut document, &json!({"logLevel": "warn"})).unwrap();
    patch(&mut document, "cam", &json!({"start": "gop"})).unwrap();
}

#[test]
fn without_a_file_every_path_stays_open_when_one_is_added() {
    let mut document = parse(None, "", std::iter::empty()).unwrap().document;
    add(&mut document, "cam", &json!({"maxReaders": 1})).unwrap();
    assert_eq!(names(&document), ["all_others", "cam"]);
    assert!(document.config().path("another").is_some());
    remove(&mut document, "all_others").unwrap();
    assert!(document.config().path("another").is_none());
}

#[test]
fn the_api_names_no_source_on_this_machine_unless_the_operator_lets_it() {
    let mut document = document("paths: {all_others: }\n");
    for source in [
        "http://169.254.169.254/latest",
        "rtsp://[fe80::1]/x",
        "unix+rtp:///run/x",
    ] {
        let error = told(add(&mut document, "x", &json!({"source": source})));
        assert!(
            error.contains("only with apiLocalSources"),
            "{source}: {error}"
        );
    }
    for source in ["file:///etc/passwd", "exec:id"] {
        assert!(
            add(&mut document, "x", &json!({"source": source})).is_err(),
            "{source}"
        );
    }
    let forward = json!({"forward": [{"dest": "rtsp://169.254.1.1/x"}]});
    assert!(add(&mut document, "x", &forward).is_err());
    assert!(
        add(
            &mut document,
            "x",
            &json!({"alwaysAvailableFile": "/etc/passwd"})
        )
        .is_err()
    );
    let defaults = Change::PathDefaults(body(&json!({"source": "http://2852039166/"})));
    assert!(document.change(defaults, false).is_err());
    let error = told(global(&mut document, &json!({"apiLocalSources": true})));
    assert!(
        error.starts_with("apiLocalSources: can be set by the configuration file"),
        "{error}"
    );
    add(&mut document, "x", &json!({"source": "rtsp://10.0.0.1/x"})).unwrap();
    let mut document = self::document("apiLocalSources: yes\npaths: {all_others: }\n");
    add(
        &mut document,
        "x",
        &json!({"source": "rtsp://169.254.1.1/x"}),
    )
    .unwrap();
}

#[test]
fn many_paths_are_added_at_once_or_not_at_all() {
    let mut document = document("paths: {cam7: }\n");
    let paths = |from: u32, to: u32| {
        let paths = (from..to).map(|n| (format!("cam{n}"), json!({"maxReaders": n})));
        json!({ "paths": paths.collect::<serde_json::Map<_, _>>() })
    };
    let error = document.change(Change::AddPaths(body(&paths(0, 20))), false);
    assert_eq!(told(error), "path already exists: cam7");
    let mut wrong = paths(10, 20);
    wrong["paths"]["cam15"]["start"] = json!("now");
    assert!(
        document
            .change(Change::AddPaths(body(&wrong)), false)
            .is_err()
    );
    assert_eq!(names(&document), ["cam7"]);
    for value in [
        json!({}),
        json!({"paths": []}),
        json!({"paths": {"a": 1}}),
        json!({"path": {}}),
    ] {
        assert!(
            document
                .change(Change::AddPaths(body(&value)), false)
                .is_err(),
            "{value}"
        );
    }
    document
        .change(Change::AddPaths(body(&paths(8, 10_008))), false)
        .unwrap();
    assert_eq!(names(&document).len(), 10_001);
    assert_eq!(path(&document, "cam10007")["maxReaders"], 10_007);
}

#[test]
fn what_is_shown_in_the_place_of_a_password_never_becomes_one() {
    let users = "authInternalUsers: [{user: u, pass: secret, permissions: [{action: read}]}]\n";
    let mut document = document(&format!("{users}paths: {{all_others: }}\n"));
    let all = shown(&document.global_json());
    assert_eq!(all["authInternalUsers"][0]["pass"], "<redacted>");
    let error = told(global(&mut document, &all));
    assert!(
        error.contains("expected the password, found what is shown"),
        "{error}"
    );
}
