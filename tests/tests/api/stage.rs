//! A server with its API on, and somebody on it.

use std::net::SocketAddr;

use serde_json::Value;
use shardcast_tests::http::{self, Request, Response};
use shardcast_tests::peer::udp::UdpReader;
use shardcast_tests::scene::PATIENCE;
use shardcast_tests::scene::broadcast::{Broadcast, Tracks};
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::player::{BOTH_LANES, Player};
use shardcast_tests::scene::rig::Rig;
use shardcast_tests::wait::poll_until;

/// The path of the stage's stream.
pub(crate) const PATH: &str = "live/cam";

/// Access units that the stage's publisher has sent.
const UNITS: u64 = 10;

/// Starts a server with its API.
pub(crate) fn start(house: House, configuration: &str) -> Rig {
    Rig::start(house, &format!("api: yes\napiAddress: :0\n{configuration}"))
}

/// A publisher and two readers, one over the connection and one by datagrams, that have all had to do with packets.
pub(crate) struct Stage {
    pub(crate) rig: Rig,
    pub(crate) publisher: Broadcast,
    pub(crate) reader: Player,
    pub(crate) udp_reader: UdpReader,
}

impl Stage {
    pub(crate) fn open(house: House, configuration: &str) -> Self {
        let rig = start(house, configuration);
        let publisher = Broadcast::start(rig.address(), PATH, Tracks::VideoAndSound);
        let mut publisher = publisher.expect("the path is free");
        let reader = Player::start(rig.address(), PATH, &BOTH_LANES).expect("there is a stream");
        let udp_reader = UdpReader::start(rig.address(), PATH).expect("there is a stream");
        publisher.send(UNITS).expect("the server reads");
        let stage = Self {
            rig,
            publisher,
            reader,
            udp_reader,
        };
        stage.wait_sessions("packets for all", |items| {
            let has_packets = |item: &Value| {
                let packets = ["inboundRTPPackets", "outboundRTPPackets"];
                packets.iter().any(|name| item[*name] != 0)
            };
            items.len() == 3 && items.iter().all(has_packets)
        });
        stage
    }

    /// Where the API listens.
    pub(crate) fn api(&self) -> SocketAddr {
        self.rig.site("API")
    }

    /// The answer's body, which is JSON with status 200.
    pub(crate) fn get(&self, target: &str) -> Value {
        get(self.api(), target)
    }

    /// The item of the session whose peer has this local address.
    pub(crate) fn session_of(&self, peer: SocketAddr) -> Value {
        let items = items(self.api(), "rtspsessions");
        let is_it = |item: &&Value| item["remoteAddr"] == peer.to_string();
        items.iter().find(is_it).expect("it is listed").clone()
    }

    /// Waits until the sessions are as expected.
    pub(crate) fn wait_sessions(&self, what: &str, is_so: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        wait_sessions(self.api(), what, is_so)
    }
}

/// The answer's body, which is JSON with status 200.
pub(crate) fn get(api: SocketAddr, target: &str) -> Value {
    let response = http::get(api, target);
    assert_eq!(response.status, 200, "{target}: {}", response.text());
    response.json()
}

/// POST without a body.
pub(crate) fn post(api: SocketAddr, target: &str) -> Response {
    let response = Request::new("POST", target).send(api);
    response.unwrap_or_else(|error| panic!("POST {target}: {error}"))
}

/// The items of a list.
pub(crate) fn items(api: SocketAddr, kind: &str) -> Vec<Value> {
    let list = get(api, &format!("/v3/{kind}/list?itemsPerPage=100000"));
    list["items"].as_array().expect("a list").clone()
}

/// Waits until the sessions are as expected.
pub(crate) fn wait_sessions(
    api: SocketAddr,
    what: &str,
    is_so: impl Fn(&[Value]) -> bool,
) -> Vec<Value> {
    let mut items = Vec::new();
    let seen = poll_until(PATIENCE, || {
        items = self::items(api, "rtspsessions");
        is_so(&items).then_some(())
    });
    assert!(seen.is_some(), "{what}: never seen in {items:#?}");
    items
}
