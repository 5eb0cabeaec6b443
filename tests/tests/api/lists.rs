//! Lists: their order, their pages, and that long ones are quick.

use std::time::{Duration, Instant};

use serde_json::Value;
use shardcast_tests::peer::connection::Connection;
use shardcast_tests::scene::broadcast::{Broadcast, Tracks};
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::rig::Rig;

use crate::stage::{PATH, get, items, start};

/// Sessions that are listed.
const SESSIONS: usize = 2000;

/// The longest that a page of so many may take, also where tests share the machine and the server is not optimised.
const PAGE_WITHIN: Duration = Duration::from_secs(1);

/// A session that is set up and does not play.
fn set_up(rig: &Rig) -> Connection {
    let mut peer = Connection::open(rig.address()).expect("the server listens");
    let track = format!("rtsp://{}/{PATH}/trackID=0", rig.address());
    let transport = [("Transport", "RTP/AVP/TCP;unicast;interleaved=0-1")];
    let granted = peer.request("SETUP", &track, &transport, b"");
    granted.expect("there is a stream");
    peer
}

fn ids(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().expect("a list").iter();
    items
        .map(|item| item["id"].as_str().expect("an id"))
        .collect()
}

#[test]
fn two_thousand_sessions_are_listed_in_quick_pages_that_leave_nobody_out() {
    let rig = start(House::USUAL, &format!("sessionsPerAddress: {SESSIONS}\n"));
    let publisher = Broadcast::start(rig.address(), PATH, Tracks::Video);
    let _publisher = publisher.expect("the path is free");
    let _peers: Vec<Connection> = (0..SESSIONS).map(|_| set_up(&rig)).collect();
    let api = rig.site("API");
    for kind in ["rtspsessions", "rtspconns"] {
        let all = get(api, &format!("/v3/{kind}/list?itemsPerPage=100000"));
        let all = ids(&all);
        assert_eq!(all.len(), 1 + SESSIONS);
        let pages: Vec<Value> = (0..3)
            .map(|page| {
                let begin = Instant::now();
                let list = get(
                    api,
                    &format!("/v3/{kind}/list?page={page}&itemsPerPage=700"),
                );
                assert!(begin.elapsed() < PAGE_WITHIN, "{:?}", begin.elapsed());
                assert_eq!(
                    (&list["itemCount"], &list["pageCount"]),
                    (&2001.into(), &3.into())
                );
                list
            })
            .collect();
        let paged: Vec<&str> = pages.iter().flat_map(ids).collect();
        assert_eq!(paged, all);
        let first = get(api, &format!("/v3/{kind}/list"));
        assert_eq!((ids(&first).len(), &first["pageCount"]), (100, &21.into()));
        let beyond = get(api, &format!("/v3/{kind}/list?page=21"));
        assert_eq!(ids(&beyond).len(), 0);
    }
}

#[test]
fn sessions_and_connections_are_listed_in_the_order_of_their_begin() {
    let rig = start(House::USUAL, "");
    let publisher = Broadcast::start(rig.address(), PATH, Tracks::Video);
    let _publisher = publisher.expect("the path is free");
    let peers: Vec<Connection> = (0..20).map(|_| set_up(&rig)).collect();
    let address = |peer: &Connection| peer.socket().local_addr().expect("an address");
    let begun: Vec<Value> = peers
        .iter()
        .map(|peer| address(peer).to_string().into())
        .collect();
    for kind in ["rtspsessions", "rtspconns"] {
        let list = items(rig.site("API"), kind);
        let listed: Vec<Value> = list.iter().map(|item| item["remoteAddr"].clone()).collect();
        assert_eq!(listed[1..], begun, "{kind}");
    }
}

#[test]
fn an_empty_list_has_no_page() {
    let rig = start(House::SMALL, "");
    let list = get(rig.site("API"), "/v3/rtspsessions/list");
    assert_eq!(
        list,
        serde_json::json!({ "itemCount": 0, "pageCount": 0, "items": [] })
    );
}
