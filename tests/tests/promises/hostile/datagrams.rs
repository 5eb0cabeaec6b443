//! Datagrams that nobody has asked for: media sent to a third party, and packets of strangers for somebody else's stream.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use shardcast::RefusalReason;
use shardcast_tests::peer::connection::Connection;
use shardcast_tests::peer::reader::Reader;
use shardcast_tests::peer::synthetic::{Shape, Source};
use shardcast_tests::peer::udp::{PortPair, UdpPublisher, UdpReader};
use shardcast_tests::peer::verifier::Verifier;
use shardcast_tests::scene::bystander::BYSTANDER;
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::ordeal::Ordeal;
use shardcast_tests::wait::wait_until;

/// Somebody else on this machine.
const THIRD_PARTY: &str = "127.0.0.2";
/// How often a stranger sends something.
const ATTEMPTS: u32 = 20;
/// A frame each.
const INTERVAL: Duration = Duration::from_millis(5);

#[test]
fn media_is_never_sent_to_a_third_party() {
    let ordeal = Ordeal::begin(House::RIGID, "gatherReaders: 0\n");
    let address = ordeal.rig.address();
    let url = format!("rtsp://{address}/{BYSTANDER}/trackID=0");
    let victim = PortPair::open(THIRD_PARTY.parse().unwrap()).unwrap();
    let mut attacker = Connection::open(address).unwrap();
    let ports = victim.client_port().unwrap();
    let elsewhere = format!("RTP/AVP;unicast;destination={THIRD_PARTY};{ports}");
    let refused = attacker.ask("SETUP", &url, &[("Transport", &elsewhere)], b"");
    assert_eq!(refused.unwrap().status, 461);
    // The same ports of its own address are its own affair.
    let here = format!("RTP/AVP;unicast;destination=127.0.0.1;{ports}");
    let granted = attacker.request("SETUP", &url, &[("Transport", &here)], b"");
    let transport = granted
        .unwrap()
        .header("Transport")
        .unwrap_or_default()
        .to_owned();
    assert!(!transport.contains(THIRD_PARTY), "{transport}");
    let whole = format!("rtsp://{address}/{BYSTANDER}");
    attacker.request("PLAY", &whole, &[], b"").unwrap();
    ordeal.wait_units(50);
    for socket in [&victim.rtp, &victim.rtcp] {
        socket.set_nonblocking(true).unwrap();
        assert!(
            socket.recv(&mut [0; 2048]).is_err(),
            "the victim was sent media"
        );
    }
    drop(attacker);
    ordeal.wait_refused(&[(RefusalReason::UnsupportedTransport, 1)]);
    ordeal.finish();
}

/// What strangers send, made of a packet that is about to come.
fn forged(packet: &[u8]) -> Vec<u8> {
    let mut forged = packet.to_vec();
    forged.truncate(40);
    forged.extend_from_slice(b"not what the publisher sends");
    forged
}

/// A goodbye of this source (RFC 3550, section 6.6).
fn goodbye(packet: &[u8]) -> Vec<u8> {
    let mut goodbye = vec![0x81, 203, 0, 1];
    goodbye.extend_from_slice(&packet[8..12]);
    goodbye
}

#[test]
fn packets_of_strangers_and_of_other_sources_reach_nobody() {
    for house in [House::SMALL, House::RIGID] {
        let ordeal = Ordeal::begin(house, "gatherReaders: 0\n");
        let address = ordeal.rig.address();
        let publisher = UdpPublisher::start(address, "another").unwrap();
        let (to, own_port) = (
            publisher.server(),
            publisher.ports().rtp.local_addr().unwrap(),
        );
        let mut source = Source::new(Shape::default());
        let mut reader = Reader::start(address, "another").unwrap();
        let strangers = [
            UdpSocket::bind("127.0.0.1:0").unwrap(),
            UdpSocket::bind((THIRD_PARTY, own_port.port())).unwrap(),
        ];
        // From now on it is known which source the publisher's is.
        publisher.send(&source.next_frame()).unwrap();
        let start = Instant::now();
        for attempt in 0..ATTEMPTS {
            wait_until(start + INTERVAL * attempt);
            let frame = source.next_frame();
            for stranger in &strangers {
                stranger.send_to(&forged(&frame[0]), to.rtp).unwrap();
                stranger.send_to(&goodbye(&frame[0]), to.rtcp).unwrap();
            }
            let mut other_source = frame[0].clone();
            other_source[8..12].copy_from_slice(b"evil");
            publisher.send(&[other_source]).unwrap();
            publisher.send(&frame).unwrap();
        }
        let mut verifier = Verifier::strict();
        reader
            .read_packets(&mut verifier, source.packets())
            .unwrap();
        publisher.teardown().unwrap();
        reader.read_to_end(&mut verifier).unwrap();
        drop(reader);
        ordeal.wait_refused(&[
            (RefusalReason::OtherSource, ATTEMPTS.into()),
            (RefusalReason::StrayDatagram, u64::from(4 * ATTEMPTS)),
        ]);
        ordeal.finish();
    }
}

#[test]
fn a_strangers_reports_do_not_end_a_reader() {
    let ordeal = Ordeal::begin(House::RIGID, "gatherReaders: 0\n");
    let publisher = UdpPublisher::start(ordeal.rig.address(), "another").unwrap();
    let mut source = Source::new(Shape::default());
    let reader = UdpReader::start(ordeal.rig.address(), "another").unwrap();
    let first = source.next_frame();
    publisher.send(&first).unwrap();
    let stranger = UdpSocket::bind((THIRD_PARTY, 0)).unwrap();
    for port in [reader.server().rtp, reader.server().rtcp] {
        stranger.send_to(&goodbye(&first[0]), port).unwrap();
        stranger.send_to(&[0xff; 1400], port).unwrap();
    }
    publisher.send_frames(&mut source, 60, INTERVAL).unwrap();
    let (mut verifier, last) = (Verifier::strict(), source.packets() - 1);
    let read = reader.read_while(|packet| {
        verifier.check(packet)?;
        Ok(verifier.last().is_none_or(|seen| seen.packet < last))
    });
    read.unwrap();
    reader.teardown().unwrap();
    publisher.teardown().unwrap();
    ordeal.finish();
}
