//! Which offers of a `Transport` header are taken, and what is answered: over TCP, as datagrams, and
//! to a group.

use super::*;

const TRACKS: [&str; 2] = ["rtsp://h:8554/a/trackID=0", "rtsp://h:8554/a/trackID=1"];

fn answer_to(transports: Transports, offer: &str) -> (StatusCode, Option<String>) {
    let mut peer = Peer::with(transports);
    let response = peer.setup(TRACKS[0], offer);
    let transport = response.headers.get("Transport").map(str::to_owned);
    (response.status, transport)
}

#[test]
fn the_first_offer_that_is_enabled_is_taken() {
    let offers = "RTP/AVP/UDP;unicast;client_port=5000-5001,RTP/AVP/UDP;multicast,\
        RTP/AVP/TCP;unicast;interleaved=0-1";
    let udp = "RTP/AVP;unicast;client_port=5000-5001;server_port=8000-8001";
    let group = "RTP/AVP;multicast;destination=224.1.0.1;port=8002-8003;ttl=16";
    let tcp_only = Transports {
        tcp: true,
        udp: None,
        multicast: false,
    };
    let no_udp = Transports {
        udp: None,
        ..everything()
    };
    for (transports, answer) in [(everything(), udp), (no_udp, group), (tcp_only, TCP)] {
        let expected = (StatusCode::OK, Some(answer.to_owned()));
        assert_eq!(answer_to(transports, offers), expected);
    }
    let none = Transports {
        tcp: false,
        ..tcp_only
    };
    let refused = (StatusCode::UNSUPPORTED_TRANSPORT, None);
    assert_eq!(answer_to(none, offers), refused);
}

#[test]
fn offers_of_several_headers_are_taken_in_their_order() {
    let mut peer = Peer::with(everything());
    let headers = [
        ("Transport", "RTP/SAVP;client_port=1-2"),
        ("Transport", UDP),
    ];
    let response = peer.say(Method::Setup, TRACKS[0], &headers, "");
    assert_eq!(response.status, StatusCode::OK);
    let (rtp, rtcp) = (5000, 5001);
    let taken = peer.session.setups()[0].transport;
    assert_eq!(taken, Lower::Udp(PortPair { rtp, rtcp }));
}

#[test]
fn datagrams_need_ports_and_a_group_needs_readers() {
    for (offer, status) in [
        ("RTP/AVP", StatusCode::UNSUPPORTED_TRANSPORT),
        ("RTP/AVP;unicast", StatusCode::UNSUPPORTED_TRANSPORT),
        ("RTP/AVP;client_port=0-1", StatusCode::UNSUPPORTED_TRANSPORT),
        ("RTP/AVP;client_port=1-x", StatusCode::BAD_REQUEST),
        ("RTP/AVP;client_port=5000", StatusCode::OK),
        ("RTP/AVP;multicast", StatusCode::OK),
        ("RTP/AVP,RTP/AVP/TCP", StatusCode::OK),
    ] {
        assert_eq!(answer_to(everything(), offer).0, status, "{offer}");
    }
    let mut publisher = Peer::with(everything());
    publisher.announce();
    let track = format!("{URL}/streamid=0");
    let group = publisher.setup(&track, "RTP/AVP;multicast;mode=record");
    assert_eq!(group.status, StatusCode::UNSUPPORTED_TRANSPORT);
    let unicast = publisher.setup(&track, &format!("{UDP};mode=record"));
    let told = "RTP/AVP;unicast;client_port=5000-5001;server_port=8000-8001;mode=record";
    assert_eq!(unicast.headers.get("Transport"), Some(told));
}

/// Promise: what cannot be granted leaves everything as it was.
#[test]
fn all_tracks_of_a_session_travel_alike() {
    let multicast = "RTP/AVP;multicast";
    for (first, second) in [
        (TCP, UDP),
        (UDP, "RTP/AVP/TCP;interleaved=2-3"),
        (UDP, multicast),
        (multicast, UDP),
    ] {
        let mut peer = Peer::with(everything());
        assert_eq!(peer.setup(TRACKS[0], first).status, StatusCode::OK);
        let before = (peer.session.state(), peer.session.setups().to_vec());
        let refused = peer.setup(TRACKS[1], second);
        assert_eq!(
            refused.status,
            StatusCode::UNSUPPORTED_TRANSPORT,
            "{second}"
        );
        let after = (peer.session.state(), peer.session.setups().to_vec());
        assert_eq!(before, after);
        // The second track's offers may hold another that fits.
        let offers = format!("{second},{first}").replace("5000-5001", "5002-5003");
        let offers = offers.replace("interleaved=0-1", "interleaved=4-5");
        assert_eq!(peer.setup(TRACKS[1], &offers).status, StatusCode::OK);
    }
}

#[test]
fn tracks_never_share_a_port() {
    let mut peer = Peer::with(everything());
    peer.setup(TRACKS[0], UDP);
    for shared in ["5000-5001", "5001-5002", "4999-5000"] {
        let refused = peer.setup(TRACKS[1], &format!("RTP/AVP;client_port={shared}"));
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{shared}");
    }
    let other = peer.setup(TRACKS[1], "RTP/AVP;client_port=5002-5003");
    assert_eq!(other.status, StatusCode::OK);
}

#[test]
fn packets_are_sent_to_the_peer_and_to_nobody_else() {
    for (destination, is_taken) in [
        ("192.0.2.1", true),
        ("192.0.2.7", false),
        ("224.1.0.1", false),
        ("localhost", false),
    ] {
        for offer in [TCP, UDP] {
            let offer = format!("{offer};destination={destination}");
            let (status, answer) = answer_to(everything(), &offer);
            let expected = match is_taken {
                true => StatusCode::OK,
                false => StatusCode::UNSUPPORTED_TRANSPORT,
            };
            assert_eq!(status, expected, "{offer}");
            assert_eq!(answer.is_some(), is_taken);
        }
    }
}

#[test]
fn a_group_without_address_is_our_fault_and_changes_nothing() {
    let mut peer = Peer::with(everything());
    let offer = [("Transport", "RTP/AVP;multicast")];
    peer.step(Method::Setup, TRACKS[0], &offer, "");
    let fault = peer.session.grant_setup(SetupAnswer::default());
    assert_eq!(fault.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(peer.session.state(), ServerState::Init);
}
