//! Hostile access units: such as never end, are made of thousands of pieces, or say that they hold more than they do.

use std::net::SocketAddr;
use std::thread;

use shardcast::RefusalReason;
use shardcast_tests::peer::connection::Connection;
use shardcast_tests::peer::publisher::interleave;
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::ordeal::Ordeal;
use shardcast_tests::scene::player::{Arrival, Player, VIDEO_LANE};
use shardcast_tests::scene::rtp::Rtp;

const PATH: &str = "another";
const SDP: &str = "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track\r\n";

/// A key picture in one piece (RFC 6184, section 5.6).
const KEY: &[u8] = &[0x65, 0x88, 0x84, 0x21];
/// Another one, the last packet of all.
const LAST: &[u8] = &[0x65, 0x88, 0x84, 0x22];
/// An aggregation packet whose unit ends after it (section 5.7.1).
const OVERRUN: &[u8] = &[0x78, 0xff, 0xff, 0x41, 0x9a];
/// Fragments that follow on each other and have no end (section 5.8).
const FRAGMENTS: usize = 150;
const FRAGMENT_BYTES: usize = 60_000;
/// So many of them are within the largest access unit, 8 MiB.
const FRAGMENTS_TAKEN: usize = (8 << 20) / FRAGMENT_BYTES;

/// Twenty thousand units of one byte each.
fn many_units() -> Vec<u8> {
    [&[0x78][..], &[0, 1, 0x41].repeat(20_000)].concat()
}

fn endless_fragment() -> Vec<u8> {
    let mut fragment = vec![0x11; FRAGMENT_BYTES];
    fragment[..2].copy_from_slice(&[0x7c, 0x05]);
    fragment
}

/// What is sent: time in frames, whether the unit ends, and the payload.
fn payloads() -> Vec<(u32, bool, Vec<u8>)> {
    let mut payloads = vec![
        (0, true, KEY.to_vec()),
        (1, true, many_units()),
        (2, true, OVERRUN.to_vec()),
    ];
    payloads.extend((0..FRAGMENTS).map(|_| (3, false, endless_fragment())));
    payloads.push((4, true, LAST.to_vec()));
    payloads
}

fn packet(number: u16, (frame, marker, payload): &(u32, bool, Vec<u8>)) -> Vec<u8> {
    let mut packet = vec![0x80, u8::from(*marker) << 7 | 96];
    packet.extend(number.to_be_bytes());
    packet.extend((frame * 3000).to_be_bytes());
    packet.extend(7u32.to_be_bytes());
    packet.extend(payload);
    packet
}

fn publish(address: SocketAddr) -> Connection {
    let url = format!("rtsp://{address}/{PATH}");
    let mut connection = Connection::open(address).unwrap();
    let mut request = |method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]| {
        connection.request(method, url, headers, body).unwrap();
    };
    let sdp_type = [("Content-Type", "application/sdp")];
    request("ANNOUNCE", &url, &sdp_type, SDP.as_bytes());
    let transport = "RTP/AVP/TCP;unicast;interleaved=0-1;mode=record";
    let track = format!("{url}/track");
    request("SETUP", &track, &[("Transport", transport)], b"");
    request("RECORD", &url, &[], b"");
    connection
}

/// All payloads up to the last packet of all.
fn read_payloads(mut reader: Player) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    while payloads.last().is_none_or(|payload| payload != LAST) {
        if let Arrival::Media(_, packet) = reader.next_arrival().unwrap().unwrap() {
            payloads.push(Rtp::read(&packet).payload);
        }
    }
    payloads
}

#[test]
fn units_without_end_are_cut_off_and_what_holds_strange_pieces_passes() {
    for house in [House::SMALL, House::RIGID] {
        let ordeal = Ordeal::begin(house, "gatherReaders: 0\n");
        let address = ordeal.rig.address();
        let mut connection = publish(address);
        let reader = Player::start(address, PATH, &VIDEO_LANE).unwrap();
        let reading = thread::spawn(move || read_payloads(reader));
        let sent = payloads();
        for (number, payload) in (0u16..).zip(&sent) {
            let frame = interleave(0, &[packet(number, payload)]);
            connection.send(&frame).unwrap();
        }
        let refused = FRAGMENTS - FRAGMENTS_TAKEN;
        ordeal.wait_refused(&[(RefusalReason::AccessUnitTooLarge, refused as u64)]);
        let mut expected: Vec<_> = sent.into_iter().map(|(_, _, payload)| payload).collect();
        expected.drain(expected.len() - 1 - refused..expected.len() - 1);
        assert!(reading.join().unwrap() == expected, "other payloads came");
        drop(connection);
        ordeal.finish();
    }
}
