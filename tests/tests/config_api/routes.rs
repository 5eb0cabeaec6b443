//! The routes: their statuses and words, preconditions, pages, and many paths at once.

use std::net::SocketAddr;

use serde_json::{Value, json};
use shardcast_tests::http::{self, Request};

use crate::stage::{api, ask, change, get, refused, start};

const NOTHING: Value = Value::Null;

#[test]
fn paths_are_added_shown_patched_replaced_and_deleted_in_mediamtx_words() {
    let rig = start("paths: {all_others: }\n");
    let api = api(&rig);
    change(
        api,
        "POST",
        "/v3/config/paths/add/a/b",
        &json!({"maxReaders": 3}),
    );
    let refusal = refused(api, "POST", "/v3/config/paths/add/a/b", &json!({}));
    assert_eq!(refusal, (400, "path already exists".to_owned()));
    change(
        api,
        "PATCH",
        "/v3/config/paths/patch/a%2Fb",
        &json!({"start": "gop"}),
    );
    let path = get(api, "/v3/config/paths/get/a/b");
    assert_eq!(
        (&path["maxReaders"], &path["start"]),
        (&json!(3), &json!("gop"))
    );
    change(
        api,
        "POST",
        "/v3/config/paths/replace/a/b",
        &json!({"maxReaders": 4}),
    );
    let path = get(api, "/v3/config/paths/get/a/b");
    assert_eq!(
        (&path["maxReaders"], &path["start"]),
        (&json!(4), &json!("catchUp"))
    );
    change(api, "POST", "/v3/config/paths/replace/new", &json!({}));
    change(
        api,
        "POST",
        "/v3/config/paths/add/%7E%5Eteam%2D%5B0-9%5D%2B",
        &json!({}),
    );
    assert_eq!(
        get(api, "/v3/config/paths/get/~%5Eteam-[0-9]+")["name"],
        "~^team-[0-9]+"
    );
    change(api, "DELETE", "/v3/config/paths/delete/a/b", &NOTHING);
    for (method, target) in [
        ("DELETE", "/v3/config/paths/delete/a/b"),
        ("PATCH", "/v3/config/paths/patch/a/b"),
    ] {
        let body = if method == "DELETE" {
            NOTHING
        } else {
            json!({})
        };
        assert_eq!(
            refused(api, method, target, &body),
            (404, "path not found".to_owned())
        );
    }
    let refusal = refused(api, "GET", "/v3/config/paths/get/a/b", &NOTHING);
    assert_eq!(refusal, (404, "path configuration not found".to_owned()));
    for (method, verb) in [("GET", "get"), ("POST", "add"), ("DELETE", "delete")] {
        let target = format!("/v3/config/paths/{verb}/");
        assert_eq!(
            refused(api, method, &target, &NOTHING),
            (400, "invalid name".to_owned())
        );
    }
}

#[test]
fn the_top_level_and_what_every_path_has_are_patched() {
    let rig = start("paths: {cam: }\n");
    let api = api(&rig);
    change(
        api,
        "PATCH",
        "/v3/config/global/patch",
        &json!({"readTimeout": "20s", "rtmp": false}),
    );
    let global = get(api, "/v3/config/global/get");
    assert_eq!(
        (&global["readTimeout"], &global["rtmp"]),
        (&json!("20s"), &json!(false))
    );
    change(
        api,
        "PATCH",
        "/v3/config/pathdefaults/patch",
        &json!({"maxReaders": 9}),
    );
    assert_eq!(get(api, "/v3/config/pathdefaults/get")["maxReaders"], 9);
    assert_eq!(get(api, "/v3/config/paths/get/cam")["maxReaders"], 9);
}

#[test]
fn what_is_wrong_is_refused_with_its_place_and_changes_nothing() {
    let rig = start("paths: {cam: {maxReaders: 2}}\n");
    let api = api(&rig);
    let before = get(api, "/v3/config/global/get");
    for (body, expected) in [
        (
            json!({"readTimeout": "soon"}),
            "request body, /readTimeout: readTimeout: expected a duration",
        ),
        (json!({"readTimeout": 10}), "expected a duration"),
        (json!({"nonsense": 1}), "unknown key 'nonsense'"),
        (
            json!({"apiEncryption": 1}),
            "apiEncryption: expected yes or no",
        ),
        (
            json!({"authMethod": "http"}),
            "authMethod: restricts access and is not built yet",
        ),
        (
            json!({"readTimeout": "20s", "rtspAddress": ":1"}),
            "rtspAddress: takes effect after a restart",
        ),
        (
            json!({"readTimeout": "20s", "persist": true}),
            "persist: this server keeps no changes",
        ),
        (json!({"persist": 1}), "persist: expected true or false"),
        (json!([]), "expected an object"),
    ] {
        let (status, told) = refused(api, "PATCH", "/v3/config/global/patch", &body);
        assert!(
            status == 400 && told.contains(expected),
            "{body}: {status} {told}"
        );
    }
    for text in ["", "{", "{\"a\":1,\"a\":2}", "\"x\""] {
        let request = Request::new("PATCH", "/v3/config/global/patch");
        let response = request
            .header("content-type", "application/json")
            .body(text)
            .send(api);
        assert_eq!(response.expect("an answer").status, 400, "{text}");
    }
    assert_eq!(get(api, "/v3/config/global/get"), before);
    assert_eq!(get(api, "/v3/config/changes")["itemCount"], 0);
}

#[test]
fn a_list_of_paths_comes_sorted_and_in_pages() {
    let rig = start("paths: {b: , a: , ~x: , all_others: , c/d: }\n");
    let list = get(api(&rig), "/v3/config/paths/list?itemsPerPage=2&page=1");
    assert_eq!(
        (&list["itemCount"], &list["pageCount"]),
        (&json!(5), &json!(3))
    );
    let names: Vec<_> = list["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|it| &it["name"])
        .collect();
    assert_eq!(names, ["b", "c/d"]);
    for query in ["page=-1", "itemsPerPage=0", "page=9223372036854775808"] {
        assert_eq!(
            http::get(api(&rig), &format!("/v3/config/paths/list?{query}")).status,
            400
        );
    }
}

/// The tag of what is shown there.
fn tag(api: SocketAddr, target: &str) -> String {
    let response = http::get(api, target);
    response.header("etag").expect("a tag").to_owned()
}

/// The status of a request under a condition.
fn status_if(api: SocketAddr, line: [&str; 2], condition: [&str; 2], body: &Value) -> u16 {
    let request = Request::new(line[0], line[1]).header(condition[0], condition[1]);
    let request = match body {
        Value::Null => request,
        body => request.json(body),
    };
    request.send(api).expect("an answer").status
}

#[test]
fn what_has_not_changed_is_not_sent_again_and_what_has_is_not_overwritten() {
    let rig = start("paths: {cam: }\n");
    let api = api(&rig);
    for (what, patched, body) in [
        ("global", "global/patch", json!({"readTimeout": "11s"})),
        (
            "pathdefaults",
            "pathdefaults/patch",
            json!({"maxReaders": 5}),
        ),
        ("paths", "paths/patch/cam", json!({"start": "gop"})),
    ] {
        let name = if what == "paths" { "/cam" } else { "" };
        let shown = format!("/v3/config/{what}/get{name}");
        let patched = format!("/v3/config/{patched}");
        let tag = tag(api, &shown);
        let get = |tag: &str| status_if(api, ["GET", &shown], ["if-none-match", tag], &NOTHING);
        let patch = |tag: &str| status_if(api, ["PATCH", &patched], ["if-match", tag], &body);
        assert_eq!([get(&tag), get(&format!("\"x\", W/{tag}"))], [304, 304]);
        assert_eq!([patch("\"x\""), patch(&format!("W/{tag}"))], [412, 412]);
        assert_eq!(patch(&format!("\"x\", {tag}")), 200);
        assert_eq!([patch(&tag), get(&tag)], [412, 200]);
    }
    let any = ["if-match", "*"];
    let add = status_if(api, ["POST", "/v3/config/paths/add/new"], any, &json!({}));
    let delete = status_if(
        api,
        ["DELETE", "/v3/config/paths/delete/cam"],
        any,
        &NOTHING,
    );
    assert_eq!([add, delete], [412, 200]);
}

#[test]
fn changes_are_dropped_if_they_are_those_that_were_seen() {
    let rig = start("paths: {cam: }\n");
    let api = api(&rig);
    change(api, "DELETE", "/v3/config/paths/delete/cam", &NOTHING);
    let changes = "/v3/config/changes";
    let tag = tag(api, changes);
    let get = status_if(api, ["GET", changes], ["if-none-match", &tag], &NOTHING);
    let drop_if = |tag: &str| status_if(api, ["DELETE", changes], ["if-match", tag], &NOTHING);
    assert_eq!([get, drop_if("\"x\""), drop_if(&tag)], [304, 412, 200]);
    assert_eq!(self::get(api, changes)["itemCount"], 0);
    assert_eq!(
        ask(api, "GET", "/v3/config/paths/get/cam", &NOTHING).status,
        200
    );
}

#[test]
fn ten_thousand_paths_are_added_in_one_request() {
    let rig = start("paths: {cam00007: }\n");
    let api = api(&rig);
    let paths = |from: u32| {
        let paths = (from..from + 10_000).map(|n| (format!("cam{n:05}"), json!({"maxReaders": n})));
        json!({ "paths": paths.collect::<serde_json::Map<_, _>>() })
    };
    let refusal = refused(api, "POST", "/v3/config/paths/add", &paths(0));
    assert_eq!(refusal, (400, "path already exists: cam00007".to_owned()));
    assert_eq!(get(api, "/v3/config/paths/list")["itemCount"], 1);
    change(api, "POST", "/v3/config/paths/add", &paths(10));
    let list = get(api, "/v3/config/paths/list?itemsPerPage=10&page=1000");
    assert_eq!(
        (&list["itemCount"], &list["pageCount"]),
        (&json!(10_001), &json!(1001))
    );
    assert_eq!(list["items"][0]["maxReaders"], 10_009);
}

#[test]
fn sources_on_the_server_or_its_link_are_denied_to_the_api() {
    let rig = start("paths: {all_others: }\n");
    let add = |source: &str| {
        let body = json!({ "source": source });
        refused(api(&rig), "POST", "/v3/config/paths/add/x", &body)
    };
    for source in [
        "http://169.254.169.254/latest/meta-data",
        "rtsp://[fe80::1]/x",
    ] {
        let (status, told) = add(source);
        assert!(
            status == 400 && told.contains("link-local"),
            "{source}: {status} {told}"
        );
    }
    for source in ["file:///etc/passwd", "exec:id"] {
        assert_eq!(add(source).0, 400, "{source}");
    }
}
