//! A server with its API on, and requests to it.

use std::net::SocketAddr;

use serde_json::Value;
use shardcast_tests::http::{self, Request, Response};
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::rig::Rig;

/// Starts a server with its API.
pub(crate) fn start(configuration: &str) -> Rig {
    start_in(House::USUAL, configuration)
}

/// As [`start`], built up in this way.
pub(crate) fn start_in(house: House, configuration: &str) -> Rig {
    Rig::start(house, &format!("api: yes\napiAddress: :0\n{configuration}"))
}

/// Where the API listens.
pub(crate) fn api(rig: &Rig) -> SocketAddr {
    rig.site("API")
}

/// The answer's body, which is JSON with status 200.
pub(crate) fn get(api: SocketAddr, target: &str) -> Value {
    let response = http::get(api, target);
    assert_eq!(response.status, 200, "{target}: {}", response.text());
    response.json()
}

/// A request with a body of JSON, or without one where it is null.
pub(crate) fn ask(api: SocketAddr, method: &str, target: &str, body: &Value) -> Response {
    let request = Request::new(method, target);
    let request = match body {
        Value::Null => request,
        body => request.json(body),
    };
    let response = request.send(api);
    response.unwrap_or_else(|error| panic!("{method} {target}: {error}"))
}

/// A change that is made.
pub(crate) fn change(api: SocketAddr, method: &str, target: &str, body: &Value) {
    let response = ask(api, method, target, body);
    let told = format!("{method} {target}: {}", response.text());
    assert_eq!(
        (response.status, response.json()["status"].as_str()),
        (200, Some("ok")),
        "{told}"
    );
}

/// A change that is refused: its status, and what is said.
pub(crate) fn refused(api: SocketAddr, method: &str, target: &str, body: &Value) -> (u16, String) {
    let response = ask(api, method, target, body);
    let told = response.json();
    assert_eq!(told["status"], "error", "{method} {target}: {told}");
    (
        response.status,
        told["error"].as_str().expect("words").to_owned(),
    )
}
