//! Sequence numbers over UDP that jump, repeat, come in any order and leave gaps: what can be put in order is, and the
//! rest costs a window at most.

use std::time::{Duration, Instant};

use shardcast_tests::daemon::Daemon;
use shardcast_tests::peer::synthetic::Source;
use shardcast_tests::peer::udp::UdpPublisher;
use shardcast_tests::peer::verifier::Verifier;
use shardcast_tests::procfs::Process;
use shardcast_tests::scene::broadcast::SHORT_GROUPS;
use shardcast_tests::scene::bystander::Bystander;
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::ordeal::Ordeal;
use shardcast_tests::scene::player::{Haul, Player, VIDEO_LANE};
use shardcast_tests::wait::wait_until;

/// Frames of a disordered stream.
const FRAMES: u64 = 60;
/// Slow enough that sockets lose nothing.
const FRAME_INTERVAL: Duration = Duration::from_millis(2);
/// How far a stray number lies from those of its stream.
const JUMP: u16 = 32_000;

/// What is sent instead of a frame, and which of its packets is not.
fn disordered(frame: u64, mut packets: Vec<Vec<u8>>) -> (Vec<Vec<u8>>, Option<u64>) {
    match frame % 4 {
        0 => {
            packets.reverse();
            (packets, None)
        }
        1 => {
            let twice = packets.iter().flat_map(|packet| [packet; 2]);
            (twice.cloned().collect(), None)
        }
        // A group's first frame begins with its parameter sets, which have no counters.
        2 if !frame.is_multiple_of(SHORT_GROUPS.gop_frames) => {
            packets.remove(1);
            (packets, Some(1))
        }
        _ => {
            let with_stray = |packet: Vec<u8>| [renumbered(&packet, JUMP), packet];
            (packets.into_iter().flat_map(with_stray).collect(), None)
        }
    }
}

/// The same packet so many numbers on.
fn renumbered(packet: &[u8], by: u16) -> Vec<u8> {
    let mut packet = packet.to_vec();
    let number = u16::from_be_bytes([packet[2], packet[3]]).wrapping_add(by);
    packet[2..4].copy_from_slice(&number.to_be_bytes());
    packet
}

#[test]
fn numbers_that_jump_repeat_and_leave_gaps_are_put_in_order() {
    for house in [House::SMALL, House::RIGID] {
        let ordeal = Ordeal::begin(house, "gatherReaders: 0\n");
        let (address, path) = (ordeal.rig.address(), "another");
        let publisher = UdpPublisher::start(address, path).unwrap();
        let mut source = Source::new(SHORT_GROUPS);
        let first = source.next_frame();
        publisher.send(&first).unwrap();
        let first_bytes = first.iter().map(|packet| packet.len() as u64).sum();
        ordeal.rig.wait_taken_in(path, first_bytes);
        let mut player = Player::start(address, path, &VIDEO_LANE).unwrap();
        let (mut left_out, begun) = (Vec::new(), Instant::now());
        for frame in 1..FRAMES {
            wait_until(begun + FRAME_INTERVAL * u32::try_from(frame).unwrap());
            let due = source.packets();
            let (packets, missing) = disordered(frame, source.next_frame());
            publisher.send(&packets).unwrap();
            left_out.extend(missing.map(|index| due + index));
        }
        publisher.send(&source.next_frame()).unwrap();
        let mut haul = Haul {
            video: Verifier::with_losses(),
            ..Haul::default()
        };
        player.read_up_to(&mut haul, source.packets() - 1).unwrap();
        let begin = haul.video.first().unwrap().packet;
        let left_out = left_out.iter().filter(|packet| **packet > begin);
        assert_eq!(haul.video.missing(), left_out.count() as u64);
        publisher.teardown().unwrap();
        drop(player);
        ordeal.wait_refused(&[]);
        ordeal.finish();
    }
}

/// Publishers that flood the server, and datagrams of each.
const FLOODERS: usize = 4;
const FLOOD_DATAGRAMS: u16 = 30_000;
/// Payload of each: 160 MB in all.
const FLOOD_BYTES: usize = 1400;
/// Windows, logs and buffers of the flooders' streams, many times over.
const GROWTH_BYTES_MAX: u64 = 48 << 20;

/// Packets with every other number, all of one frame that never ends.
fn flood(publisher: &UdpPublisher) {
    let mut packet = vec![0x80, 96, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0x61];
    packet.resize(12 + FLOOD_BYTES, 0x33);
    for number in 0..FLOOD_DATAGRAMS {
        let gap = renumbered(&packet, number.wrapping_mul(2));
        publisher.send(&[gap]).unwrap();
    }
}

#[test]
fn a_flood_of_gaps_costs_a_window_and_no_more() {
    let daemon = Daemon::start("shards: 2\npaths:\n  all_others:\n    logBytes: 1M\n").unwrap();
    let bystander = Bystander::begin(daemon.address());
    let start = |index| UdpPublisher::start(daemon.address(), &format!("flood{index}")).unwrap();
    let publishers: Vec<_> = (0..FLOODERS).map(start).collect();
    let process = Process::of(daemon.process_id());
    let before = process.resident_bytes();
    std::thread::scope(|scope| {
        for publisher in &publishers {
            scope.spawn(move || flood(publisher));
        }
    });
    let grown = process.resident_bytes().saturating_sub(before);
    assert!(grown <= GROWTH_BYTES_MAX, "{grown} bytes");
    for publisher in publishers {
        publisher.teardown().unwrap();
    }
    bystander.finish();
    daemon.stop().unwrap();
}
