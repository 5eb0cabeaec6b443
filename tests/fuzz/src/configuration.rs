//! Changes of the configuration over the API. Input: a line that says which change it is, as in a route
//! (`paths/add/NAME`), and the body of the request.

use std::cell::OnceCell;

use shardcast_config::{Body, Change, Document};

/// What is changed.
const FILE: &str = "\
authInternalUsers:
- {user: bob, pass: s3cr3t, permissions: [{action: publish}, {action: api}]}
pathDefaults:
  maxReaders: 10
paths:
  cam:
    maxReaders: 5
  ~^live/(.+)$:
  all_others:
";

thread_local! {
    static DOCUMENT: OnceCell<Document> = const { OnceCell::new() };
}

/// - A change that is refused has changed nothing.
/// - A change that was made can be made again, and then changes nothing.
/// - What is shown can be read, and makes the same.
/// - No file and no program becomes a source.
pub fn check(input: &[u8]) {
    let at = input.iter().position(|byte| *byte == b'\n');
    let (route, body) = input.split_at(at.unwrap_or(input.len()));
    let Ok(route) = std::str::from_utf8(route) else {
        return;
    };
    let Ok(body) = Body::parse(body) else {
        return;
    };
    let Some(change) = change(route, body) else {
        return;
    };
    let before = DOCUMENT.with(|document| document.get_or_init(document_of_file).clone());
    let mut document = before.clone();
    match document.change(change.clone(), false) {
        Err(_) => assert_eq!(shown(&document), shown(&before)),
        Ok(_) => check_made(document, change),
    }
}

fn check_made(mut document: Document, change: Change) {
    let made = shown(&document);
    let is_addition = matches!(
        change,
        Change::AddPath(..) | Change::AddPaths(_) | Change::RemovePath(_)
    );
    assert_eq!(document.change(change, false).is_err(), is_addition);
    assert_eq!(shown(&document), made);
    for name in document.path_names() {
        let path = document.path_json(name).expect("it is listed");
        for scheme in ["file:", "exec:", "unix+"] {
            assert!(!path.contains(&format!("\"source\":\"{scheme}")), "{path}");
        }
    }
}

/// Everything that the API shows, which is what it also takes.
fn shown(document: &Document) -> Vec<String> {
    let names: Vec<&str> = document.path_names().collect();
    let paths = names.iter().filter_map(|name| document.path_json(name));
    let mut shown = vec![document.global_json(), document.defaults_json()];
    shown.extend(paths);
    for json in &shown {
        Body::parse(json.as_bytes()).expect("what is shown can be read");
    }
    shown
}

fn change(route: &str, body: Body) -> Option<Change> {
    let named = |prefix: &str| route.strip_prefix(prefix).map(str::to_owned);
    Some(match route {
        "global/patch" => Change::Global(body),
        "pathdefaults/patch" => Change::PathDefaults(body),
        "paths/addmany" => Change::AddPaths(body),
        _ => {
            if let Some(name) = named("paths/add/") {
                Change::AddPath(name, body)
            } else if let Some(name) = named("paths/patch/") {
                Change::PatchPath(name, body)
            } else if let Some(name) = named("paths/replace/") {
                Change::ReplacePath(name, body)
            } else {
                Change::RemovePath(named("paths/delete/")?)
            }
        }
    })
}

fn document_of_file() -> Document {
    let loaded = shardcast_config::parse(None, FILE, std::iter::empty());
    loaded.expect("the file is right").document
}
