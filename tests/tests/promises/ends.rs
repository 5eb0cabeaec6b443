//! How a stream ends: whatever ended it, every reader is given all that was sent whole, then the connection's end, and the
//! path is free again. Over TCP there is no RTCP BYE: players drop their last pictures at it. Over UDP there is one, and
//! the connection is left to the reader for a while.

use std::io::Write;
use std::time::Duration;

use shardcast::event::{Event, SessionEnd};
use shardcast::{EndReason, Exit};
use shardcast_tests::peer::synthetic::{Shape, Source};
use shardcast_tests::peer::udp::{UdpPublisher, UdpReader};
use shardcast_tests::peer::verifier::Verifier;
use shardcast_tests::scene::PATIENCE;
use shardcast_tests::scene::broadcast::{Broadcast, Tracks};
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::player::{BOTH_LANES, Haul, Player};
use shardcast_tests::scene::rig::Rig;
use socket2::SockRef;

const PATH: &str = "live/camera";

/// A broadcast of video and sound, and readers of it on every shard that the kernel picks.
struct Show {
    rig: Rig,
    broadcast: Broadcast,
    players: Vec<Player>,
}

impl Show {
    fn begin(house: House) -> Self {
        let rig = Rig::start(house, "gatherReaders: 0\n");
        let mut broadcast = Broadcast::start(rig.address(), PATH, Tracks::VideoAndSound).unwrap();
        broadcast.send(1).unwrap();
        rig.wait_taken_in(PATH, broadcast.sent_bytes());
        let players = (0..4)
            .map(|_| Player::start(rig.address(), PATH, &BOTH_LANES).unwrap())
            .collect();
        broadcast.send(30).unwrap();
        Self {
            rig,
            broadcast,
            players,
        }
    }

    /// Every reader has everything up to the last unit, and the end.
    fn assert_all_delivered(&mut self, reason: EndReason) {
        for player in &mut self.players {
            let mut haul = Haul::default();
            player.read_to_end(&mut haul).unwrap();
            let last = haul.video.last().map(|last| last.packet + 1);
            assert_eq!(last, Some(self.broadcast.packets()));
            let sound = haul.sound.last().map(|last| u64::from(last) + 1);
            assert_eq!(sound, Some(self.broadcast.units()));
        }
        let peers: Vec<_> = self.players.iter().map(Player::local_address).collect();
        self.players.clear();
        for peer in peers {
            assert_eq!(self.rig.wait_closed(peer), SessionEnd::Stream(reason));
        }
        assert_eq!(wait_gone(&self.rig), reason);
    }

    /// Nothing of the path is left.
    fn assert_nothing_left(&self) {
        self.rig.wait_counters("an empty server", |snapshot| {
            (snapshot.paths.is_empty() && snapshot.sessions.is_empty()).then_some(())
        });
    }
}

fn wait_gone(rig: &Rig) -> EndReason {
    rig.wait_event("the stream's end", |event| match event {
        Event::PathGone { path, reason } if path.as_str() == PATH => Some(*reason),
        _ => None,
    })
}

#[test]
fn teardown_of_the_publisher_delivers_everything_then_the_end() {
    for house in House::ALL {
        let mut show = Show::begin(house);
        show.broadcast.teardown().unwrap();
        show.assert_all_delivered(EndReason::PublisherLeft);
        show.assert_nothing_left();
    }
}

#[test]
fn loss_of_the_publisher_delivers_everything_then_the_end() {
    for house in House::ALL {
        let mut show = Show::begin(house);
        let sent = show.broadcast.sent_bytes();
        show.rig.wait_taken_in(PATH, sent);
        let socket = show.broadcast.connection().socket();
        socket.shutdown(std::net::Shutdown::Both).unwrap();
        show.assert_all_delivered(EndReason::PublisherLost);
        show.assert_nothing_left();
    }
}

#[test]
fn a_publisher_that_only_stops_sending_for_good_is_delivered_whole() {
    for house in [House::SMALL, House::RIGID] {
        let mut show = Show::begin(house);
        show.broadcast.connection().half_close().unwrap();
        show.assert_all_delivered(EndReason::PublisherLost);
        show.assert_nothing_left();
    }
}

#[test]
fn a_packet_cut_by_a_reset_reaches_nobody() {
    for house in House::ALL {
        let mut show = Show::begin(house);
        let before = show.rig.publisher_of(PATH).id;
        show.rig.wait_taken_in(PATH, show.broadcast.sent_bytes());
        // An RTP packet of 1000 bytes, of which 300 come.
        let mut cut = b"$\x00\x03\xe8\x80\x60".to_vec();
        cut.resize(300, 0xee);
        let taken_in = show.rig.publisher_of(PATH).inbound_bytes;
        let mut socket = show.broadcast.connection().socket();
        socket.write_all(&cut).unwrap();
        show.rig.wait_counters("the half packet", |snapshot| {
            let mut sessions = snapshot.sessions.iter();
            let publisher = sessions.find(|session| session.id == before)?;
            (publisher.inbound_bytes >= taken_in + 300).then_some(())
        });
        let socket = SockRef::from(show.broadcast.connection().socket());
        socket.set_linger(Some(Duration::ZERO)).unwrap();
        let replacement = Broadcast::announce(
            show.rig.address(),
            "unused",
            Tracks::Video,
            shardcast_tests::scene::broadcast::SHORT_GROUPS,
        );
        let (packets, units) = (show.broadcast.packets(), show.broadcast.units());
        drop(std::mem::replace(&mut show.broadcast, replacement.unwrap()));
        for player in &mut show.players {
            let mut haul = Haul::default();
            player.read_to_end(&mut haul).unwrap();
            assert_eq!(haul.video.last().map(|last| last.packet + 1), Some(packets));
            assert_eq!(
                haul.sound.last().map(|last| u64::from(last) + 1),
                Some(units)
            );
        }
        assert_eq!(wait_gone(&show.rig), EndReason::PublisherLost);
    }
}

#[test]
fn a_publisher_that_breaks_the_protocol_frees_its_path_at_once() {
    for house in [House::SMALL, House::RIGID] {
        let mut show = Show::begin(house);
        // It keeps its connection open and reads no answer.
        show.broadcast
            .connection()
            .send(b"\x01\x02 no RTSP\r\n\r\n")
            .unwrap();
        let begun = std::time::Instant::now();
        for player in &mut show.players {
            let mut haul = Haul::default();
            player.read_to_end(&mut haul).unwrap();
        }
        assert_eq!(wait_gone(&show.rig), EndReason::PublisherLost);
        let waited = begun.elapsed();
        assert!(waited < Duration::from_secs(2), "only after {waited:?}");
    }
}

#[test]
fn a_reader_that_stays_connected_after_the_end_is_closed_in_time() {
    let mut show = Show::begin(House::USUAL);
    show.broadcast.teardown().unwrap();
    // Nobody reads and nobody closes: the server may not wait for that for ever.
    let peers: Vec<_> = show.players.iter().map(Player::local_address).collect();
    for peer in peers {
        let end = SessionEnd::Stream(EndReason::PublisherLeft);
        assert_eq!(show.rig.wait_closed(peer), end);
    }
    show.assert_nothing_left();
}

#[test]
fn a_shutdown_delivers_everything_then_the_end() {
    for house in House::ALL {
        let Show {
            rig,
            broadcast,
            mut players,
        } = Show::begin(house);
        rig.wait_taken_in(PATH, broadcast.sent_bytes());
        let reading: Vec<_> = players
            .drain(..)
            .map(|mut player| {
                std::thread::spawn(move || {
                    let mut haul = Haul::default();
                    player.read_to_end(&mut haul).unwrap();
                    haul
                })
            })
            .collect();
        assert!(matches!(rig.shut_down(), Some(Exit::Clean)));
        for haul in reading.into_iter().map(|reader| reader.join().unwrap()) {
            let last = haul.video.last().map(|last| last.packet + 1);
            assert_eq!(last, Some(broadcast.packets()));
        }
    }
}

/// Packet type of a goodbye (RFC 3550, section 12.1).
const GOODBYE: u8 = 203;
/// A frame each, while datagrams are sent.
const INTERVAL: Duration = Duration::from_millis(5);

#[test]
fn a_reader_over_udp_hears_a_goodbye_after_the_last_packet_and_may_take_its_leave() {
    for house in [House::SMALL, House::RIGID] {
        let rig = Rig::start(house, "gatherReaders: 0\n");
        let publisher = UdpPublisher::start(rig.address(), PATH).unwrap();
        let mut reader = UdpReader::start(rig.address(), PATH).unwrap();
        let mut source = Source::new(Shape::default());
        publisher.send_frames(&mut source, 30, INTERVAL).unwrap();
        publisher.teardown().unwrap();
        let (mut verifier, last) = (Verifier::strict(), source.packets() - 1);
        let read = reader.read_while(|packet| {
            verifier.check(packet)?;
            Ok(verifier.last().is_none_or(|seen| seen.packet < last))
        });
        read.unwrap();
        while !is_goodbye(&reader.next_report(PATIENCE).unwrap().expect("a goodbye")) {}
        // As GStreamer does: it pauses before it leaves.
        let url = format!("rtsp://{}/{PATH}", rig.address());
        let paused = reader.connection().request("PAUSE", &url, &[], b"");
        assert_eq!(paused.unwrap().status, 200);
        reader.teardown().unwrap();
    }
}

/// Whether the last packet of a compound is a goodbye.
fn is_goodbye(compound: &[u8]) -> bool {
    let (mut kind, mut rest) = (0, compound);
    while let Some((&[_, this, high, low], _)) = rest.split_first_chunk::<4>() {
        kind = this;
        let words = usize::from(u16::from_be_bytes([high, low])) + 1;
        rest = rest.get(words * 4..).unwrap_or_default();
    }
    kind == GOODBYE
}
