//! What probes are told of the server's health, and what listeners of `/v3/events` are promised: every event once and in order, or a mark where some are missing; filters;
//! an end with the server. And that a listener which does not read harms nobody.
//!
//! Not caught here: what each kind's fields say of all their causes; the promises' own tests wait for the events
//! themselves.

mod health;

use std::net::TcpStream;
use std::time::Duration;

use shardcast::control::EVENT_LISTENERS_MAX;
use shardcast::event::{Event, Protocol};
use shardcast::{PathName, RefusalReason, SessionId};
use shardcast_tests::event_stream::EventStream;
use shardcast_tests::http;
use shardcast_tests::peer::publisher::Publisher;
use shardcast_tests::peer::reader::Reader;
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::rig::Rig;

const API: &str = "api: yes\napiAddress: 127.0.0.1:0\npaths:\n  all_others:\n";

fn rig() -> Rig {
    Rig::start(House::USUAL, API)
}

fn open(rig: &Rig, query: &str) -> EventStream {
    let target = format!("/v3/events{query}");
    let stream = EventStream::open(rig.site("API"), &target, "");
    assert_eq!(stream.status, 200);
    stream
}

/// As another process would resume: by the header.
fn resume(rig: &Rig, query: &str, id: &str) -> EventStream {
    let target = format!("/v3/events{query}");
    let header = format!("Last-Event-ID: {id}\r\n");
    EventStream::open(rig.site("API"), &target, &header)
}

/// An event that only tests tell of; `text` is its message.
fn pretend(rig: &Rig, text: &str) {
    rig.pretend(&Event::AcceptFailed {
        protocol: Protocol::Rtsp,
        error: text.to_owned(),
    });
}

fn packets_refused(path: &str) -> Event {
    Event::PublisherPacketsRefused {
        session: SessionId::new(1 << 32),
        path: PathName::new(path).expect("a name"),
        reason: RefusalReason::MalformedPacket,
        packets: 3,
    }
}

#[test]
fn a_streams_life_is_told_in_order_with_its_reasons() {
    let rig = rig();
    let mut events = open(&rig, "?path=cam");
    assert_eq!(events.content_type, "text/event-stream");
    let publisher = Publisher::start(rig.address(), "cam").expect("it publishes");
    let begun = events.wait("sessionBegun").data;
    assert_eq!(begun["role"], "publisher");
    assert_eq!(begun["transport"], "tcp");
    assert_eq!(begun["protocol"], "rtsp");
    assert_eq!(begun["path"], "cam");
    rig.wait_event("the path", |event| {
        matches!(event, Event::PathAvailable { .. }).then_some(())
    });
    let reader = Reader::start(rig.address(), "cam").expect("it reads");
    let read = events.wait("sessionBegun").data;
    assert_eq!(read["role"], "reader");
    publisher.teardown().expect("it ends");
    let gone = events.wait("pathNotReady").data;
    assert_eq!(gone["reason"], "publisher_left");
    drop(reader);
    let ends = [events.wait("sessionEnded"), events.wait("sessionEnded")];
    let published = ends.iter().find(|end| end.data["role"] == "publisher");
    let published = &published.expect("the publisher's end").data;
    assert_eq!(published["reason"], "teardown");
    assert_eq!(published["session"], begun["session"]);
    assert_eq!(published["peer"], begun["peer"]);
}

#[test]
fn a_listener_that_comes_again_misses_nothing() {
    let rig = rig();
    let mut first = open(&rig, "");
    pretend(&rig, "1");
    let seen = first.wait("acceptFailed");
    assert_eq!(seen.data["message"], "1");
    drop(first);
    pretend(&rig, "2");
    pretend(&rig, "3");
    let by_header = resume(&rig, "", &seen.id);
    let by_query = open(&rig, &format!("?lastEventId={}", seen.id));
    for mut again in [by_header, by_query] {
        for due in ["2", "3"] {
            let event = again.next_event().expect("an event");
            assert_eq!(event.data["message"], due);
            assert_eq!(event.data["id"], event.id.as_str());
        }
    }
}

#[test]
fn a_listener_knows_its_place_before_anything_happens() {
    let rig = rig();
    let mut first = open(&rig, "?kind=pathReady");
    let mut lines = std::iter::from_fn(|| first.line());
    let id = lines.find_map(|line| line.strip_prefix("id: ").map(str::to_owned));
    pretend(&rig, "meanwhile");
    let mut again = resume(&rig, "", &id.expect("a place"));
    let event = again.next_event().expect("an event");
    assert_eq!(event.data["message"], "meanwhile");
}

#[test]
fn an_id_of_another_process_is_answered_with_a_gap_and_the_history() {
    let rig = rig();
    let mut first = open(&rig, "");
    pretend(&rig, "1");
    let seen = first.wait("acceptFailed");
    let (epoch, number) = seen.id.split_once('-').expect("two parts");
    let epoch = !u32::from_str_radix(epoch, 16).expect("hexadecimal");
    for id in [format!("{epoch:08x}-{number}"), "nonsense".to_owned()] {
        let mut again = resume(&rig, "?kind=acceptFailed", &id);
        let gap = again.next_event().expect("a gap");
        assert_eq!(gap.kind, "gap");
        assert!(gap.data["missed"].is_null());
        let event = again.next_event().expect("the history");
        assert_eq!(event.data["message"], "1");
    }
}

#[test]
fn events_are_filtered_by_path_and_kind() {
    let rig = rig();
    let mut by_name = open(&rig, "?path=a&path=b");
    let mut by_expression = open(&rig, "?path=~%5Ecam/");
    let mut by_kind = open(&rig, "?kind=acceptFailed,stallBegun");
    for path in ["x", "cam/1", "b"] {
        rig.pretend(&packets_refused(path));
    }
    pretend(&rig, "last");
    let first = |events: &mut EventStream| events.next_event().expect("an event").data;
    assert_eq!(first(&mut by_name)["path"], "b");
    assert_eq!(first(&mut by_expression)["path"], "cam/1");
    assert_eq!(first(&mut by_kind)["message"], "last");
    for wrong in ["?kind=nonsense", "?path=~(", "?format=xml"] {
        let answer = http::get(rig.site("API"), &format!("/v3/events{wrong}"));
        assert_eq!(answer.status, 400, "{wrong}");
        assert_eq!(answer.json()["status"], "error");
    }
}

#[test]
fn lines_of_json_say_the_same() {
    let rig = rig();
    let address = rig.site("API");
    let accept = "Accept: application/x-ndjson\r\n";
    let by_accept = EventStream::open(address, "/v3/events", accept);
    let by_query = open(&rig, "?format=ndjson");
    pretend(&rig, "line\nbreak");
    for mut events in [by_accept, by_query] {
        assert_eq!(events.content_type, "application/x-ndjson");
        let line = std::iter::from_fn(|| events.line()).find(|line| !line.is_empty());
        let json: serde_json::Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
        assert_eq!(json["kind"], "acceptFailed");
        assert_eq!(json["message"], "line\nbreak");
    }
}

/// More than the history and the buffers of a connection hold together.
const FLOOD_BYTES: usize = 48 << 20;
const FLOOD_EVENT_BYTES: usize = 16 << 10;
const FLOOD_BURST_EVENTS: usize = 64;

#[test]
fn a_listener_that_does_not_read_is_told_what_it_has_missed_and_delays_nobody() {
    let rig = rig();
    let slow = TcpStream::connect(rig.site("API")).expect("the server listens");
    let mut slow = EventStream::on(slow, "/v3/events", "");
    let mut quick = open(&rig, "");
    let text = "x".repeat(FLOOD_EVENT_BYTES);
    let bursts = FLOOD_BYTES / FLOOD_EVENT_BYTES / FLOOD_BURST_EVENTS;
    for burst in 0..bursts {
        for _ in 0..FLOOD_BURST_EVENTS {
            pretend(&rig, &text);
        }
        for _ in 0..FLOOD_BURST_EVENTS {
            let event = quick.next_event().expect("an event");
            assert_eq!(event.kind, "acceptFailed", "in burst {burst}");
        }
    }
    pretend(&rig, "last");
    let mut before = 0;
    let gap = loop {
        let event = slow.next_event().expect("an event");
        if event.kind == "gap" {
            break event;
        }
        before += 1;
    };
    let missed = gap.data["missed"].as_u64().expect("a number");
    let mut after = 0;
    while slow.next_event().expect("an event").data["message"] != "last" {
        after += 1;
    }
    assert_eq!(
        before + missed + after,
        (bursts * FLOOD_BURST_EVENTS) as u64
    );
}

#[test]
fn as_many_listen_as_the_maximum_and_one_more_is_refused() {
    let rig = rig();
    let mut listeners: Vec<_> = (0..EVENT_LISTENERS_MAX).map(|_| open(&rig, "")).collect();
    let refused = http::get(rig.site("API"), "/v3/events");
    assert_eq!(refused.status, 503);
    let counted = rig.snapshot().refusals.of(RefusalReason::TooManyListeners);
    assert_eq!(counted, 1);
    listeners.pop();
    let again = || EventStream::open(rig.site("API"), "/v3/events", "").status == 200;
    let found =
        shardcast_tests::wait::poll_until(Duration::from_secs(15), || again().then_some(()));
    assert!(found.is_some(), "the seat of one who left is free again");
}

#[test]
fn a_listener_is_ended_with_the_server() {
    let rig = rig();
    let mut events = open(&rig, "");
    pretend(&rig, "1");
    events.wait("acceptFailed");
    rig.shutdown();
    while events.next_event().is_some() {}
}
