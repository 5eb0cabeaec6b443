//! Paths as the API lists them: which there are, and what is told of their streams.

use serde_json::Value;
use shardcast_tests::peer::PeerError;
use shardcast_tests::peer::connection::Connection;
use shardcast_tests::peer::synthetic::SDP;
use shardcast_tests::scene::broadcast::{Broadcast, Tracks};
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::rig::Rig;

use crate::stage::{PATH, Stage, get, items, start, wait_sessions};
use crate::table::check;

/// Tracks of every codec of which properties are told, and one of which none are.
const MANY_TRACKS: &str = "m=video 0 RTP/AVP 97\r\na=rtpmap:97 H265/90000\r\na=control:streamid=1\r\n\
    m=video 0 RTP/AVP 98\r\na=rtpmap:98 AV1/90000\r\na=fmtp:98 profile=1; level-idx=9; tier=1\r\na=control:streamid=2\r\n\
    m=video 0 RTP/AVP 99\r\na=rtpmap:99 VP9/90000\r\na=fmtp:99 profile-id=2\r\na=control:streamid=3\r\n\
    m=video 0 RTP/AVP 100\r\na=rtpmap:100 VP8/90000\r\na=control:streamid=4\r\n\
    m=audio 0 RTP/AVP 101\r\na=rtpmap:101 opus/48000/2\r\na=control:streamid=5\r\n\
    m=audio 0 RTP/AVP 102\r\na=rtpmap:102 mpeg4-generic/44100/2\r\n\
    a=fmtp:102 profile-level-id=1; mode=AAC-hbr; sizelength=13; indexlength=3; indexdeltalength=3; config=1210\r\n\
    a=control:streamid=6\r\n\
    m=audio 0 RTP/AVP 103\r\na=rtpmap:103 AC3/48000/6\r\na=control:streamid=7\r\n\
    m=audio 0 RTP/AVP 0\r\na=control:streamid=8\r\n\
    m=audio 0 RTP/AVP 104\r\na=rtpmap:104 L16/48000/2\r\na=control:streamid=9\r\n";

/// Publishes [`MANY_TRACKS`] behind the usual one.
fn publish_many_tracks(rig: &Rig) -> Result<Connection, PeerError> {
    let url = format!("rtsp://{}/{PATH}", rig.address());
    let sdp = format!("{SDP}{MANY_TRACKS}");
    let mut publisher = Connection::open(rig.address())?;
    let sdp_type = [("Content-Type", "application/sdp")];
    publisher.request("ANNOUNCE", &url, &sdp_type, sdp.as_bytes())?;
    for track in 0..10 {
        let (rtp, rtcp) = (2 * track, 2 * track + 1);
        let transport = format!("RTP/AVP/TCP;unicast;interleaved={rtp}-{rtcp};mode=record");
        let track = format!("{url}/streamid={track}");
        publisher.request("SETUP", &track, &[("Transport", &transport)], b"")?;
    }
    publisher.request("RECORD", &url, &[], b"")?;
    Ok(publisher)
}

fn names(list: &[Value]) -> Vec<&str> {
    let names = list.iter().map(|path| path["name"].as_str());
    names.map(|name| name.expect("a name")).collect()
}

#[test]
fn configured_paths_are_listed_with_those_that_have_begun_in_the_order_of_their_names() {
    let paths = "paths:\n  zoo:\n  attic:\n  ~^live/:\n  all_others:\n";
    let stage = Stage::open(House::USUAL, paths);
    let list = items(stage.api(), "paths");
    assert_eq!(names(&list), ["attic", PATH, "zoo"]);
    let conf_names: Vec<_> = list.iter().map(|path| &path["confName"]).collect();
    assert_eq!(conf_names, ["attic", "~^live/", "zoo"]);
    let attic = stage.get("/v3/paths/get/attic");
    assert_eq!(attic, list[0]);
    for name in ["ready", "available", "online"] {
        assert_eq!(attic[name], false, "{name}");
    }
    for name in ["readyTime", "availableTime", "onlineTime", "source"] {
        assert!(attic[name].is_null(), "{name}");
    }
}

#[test]
fn a_path_names_its_publisher_and_its_readers_by_their_sessions() {
    let stage = Stage::open(House::USUAL, "");
    let path = stage.get(&format!("/v3/paths/get/{PATH}"));
    check(&path, "Path", PATH);
    for name in ["ready", "available", "online"] {
        assert_eq!(path[name], true, "{name}");
    }
    let sessions = items(stage.api(), "rtspsessions");
    let of = |state: &str| {
        let of_state = sessions.iter().filter(|item| item["state"] == state);
        let mut ids: Vec<_> = of_state.map(|item| item["id"].clone()).collect();
        ids.sort_by_key(|id| id.as_str().map(str::to_owned));
        ids
    };
    assert_eq!(path["source"]["id"], of("publish")[0]);
    let readers = path["readers"].as_array().expect("a list");
    let readers: Vec<_> = readers.iter().map(|reader| reader["id"].clone()).collect();
    assert_eq!(readers, of("read"));
    assert_eq!(path["confName"], "all_others");
    assert_eq!(path["tracks"], serde_json::json!(["H264", "Opus"]));
    for name in ["inboundBytes", "outboundBytes"] {
        assert!(path[name].as_u64() > Some(0), "{name}");
    }
}

#[test]
fn a_path_that_waits_for_its_publisher_is_available_and_not_online() {
    let grace = "pathDefaults:\n  publisherGrace: 60s\n";
    let rig = start(House::USUAL, grace);
    let publisher = Broadcast::start(rig.address(), PATH, Tracks::Video);
    let publisher = publisher.expect("the path is free");
    let api = rig.site("API");
    let before = get(api, &format!("/v3/paths/get/{PATH}"));
    drop(publisher);
    wait_sessions(api, "no session", <[Value]>::is_empty);
    rig.wait_event("the wait", |event| {
        matches!(event, shardcast::event::Event::PathWaiting { .. }).then_some(())
    });
    let path = get(api, &format!("/v3/paths/get/{PATH}"));
    assert_eq!(
        (&path["available"], &path["online"]),
        (&true.into(), &false.into())
    );
    assert_eq!(path["availableTime"], before["availableTime"]);
    assert!(path["source"].is_null() && path["onlineTime"].is_null());
}

#[test]
fn tracks_are_told_with_the_properties_of_their_codecs() {
    let rig = start(House::SMALL, "");
    let _publisher = publish_many_tracks(&rig).expect("the path is free");
    let path = get(rig.site("API"), &format!("/v3/paths/get/{PATH}"));
    check(&path, "Path", PATH);
    let tracks = path["tracks2"].as_array().expect("a list");
    let codecs: Vec<_> = tracks.iter().map(|track| &track["codec"]).collect();
    let expected = [
        "H264",
        "H265",
        "AV1",
        "VP9",
        "VP8",
        "Opus",
        "MPEG-4 Audio",
        "AC3",
        "G711",
        "LPCM",
    ];
    assert_eq!(codecs, expected);
    assert_eq!(path["tracks"], serde_json::json!(expected));
    let properties: Vec<_> = tracks.iter().map(|track| &track["codecProps"]).collect();
    let expected = serde_json::json!([
        { "width": 320, "height": 240, "profile": "High", "level": "2" },
        { "width": 0, "height": 0, "profile": "", "level": "" },
        { "width": 0, "height": 0, "profile": 1, "level": 9, "tier": 1 },
        { "profile": 2 },
        null,
        { "channelCount": 1 },
        { "sampleRate": 44_100, "channelCount": 2 },
        { "sampleRate": 48_000, "channelCount": 6 },
        { "muLaw": true, "sampleRate": 8000, "channelCount": 1 },
        { "bitDepth": 16, "sampleRate": 48_000, "channelCount": 2 },
    ]);
    assert_eq!(serde_json::json!(properties), expected);
}
