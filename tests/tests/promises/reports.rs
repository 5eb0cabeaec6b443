//! Reports in both directions: what readers are told of the clock, publishers of what has arrived, and what of both the
//! server counts.

use std::time::Duration;

use shardcast::SessionSnapshot;
use shardcast_tests::scene::broadcast::{Broadcast, Tracks};
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::player::{Arrival, Player, VIDEO, VIDEO_LANE};
use shardcast_tests::scene::rig::Rig;

const PATH: &str = "live/camera";
/// A little more than the interval of reports, a frame at a time.
const FRAMES: u64 = 56;
const FRAME_INTERVAL: Duration = Duration::from_millis(200);

/// Packet type of a receiver report (RFC 3550, section 12.1).
const RECEIVER_REPORT: u8 = 201;

#[test]
fn readers_are_told_the_clock_and_publishers_what_has_arrived_every_ten_seconds() {
    for house in [House::USUAL, House::RIGID] {
        let rig = Rig::start(house, "gatherReaders: 0\n");
        let mut broadcast = Broadcast::start(rig.address(), PATH, Tracks::Video).unwrap();
        let mut reader = Player::start(rig.address(), PATH, &VIDEO_LANE).unwrap();
        for frame in 0..FRAMES {
            // One frame never comes.
            if frame == 8 {
                broadcast.next_unit();
            }
            broadcast.send(1).unwrap();
            rig.watch(FRAME_INTERVAL);
        }
        assert_reported_to_publisher(&mut broadcast);
        let publisher = session(&rig, |snapshot| snapshot.lost_packets > 0);
        assert_eq!(publisher.lost_packets, 3);
        let source = assert_clock_told_twice(&mut reader);
        reader
            .connection()
            .send(&reader_report(source, 11))
            .unwrap();
        let reading = session(&rig, |snapshot| snapshot.reported_lost_packets > 0);
        assert_eq!(reading.reported_lost_packets, 11);
    }
}

fn session(rig: &Rig, is_it: impl Fn(&SessionSnapshot) -> bool) -> SessionSnapshot {
    rig.wait_counters("a session with losses", |snapshot| {
        snapshot.sessions.iter().find(|found| is_it(found)).cloned()
    })
}

/// The publisher's next frame is a receiver report of its track: three packets lost, of 16 bits the number reached.
fn assert_reported_to_publisher(broadcast: &mut Broadcast) {
    let frame = broadcast.connection().next_frame().unwrap().unwrap();
    assert_eq!((frame.channel, frame.payload[1]), (1, RECEIVER_REPORT));
    let block = &frame.payload[8..32];
    assert_eq!(block[5..8], [0, 0, 3]);
}

/// Two reports come, one before the first packet; the clock goes as fast in both of its times.
fn assert_clock_told_twice(reader: &mut Player) -> u32 {
    let mut reports = Vec::new();
    while reports.len() < 2 {
        if let Arrival::Report(VIDEO, report) = reader.next_arrival().unwrap().unwrap() {
            reports.push(report);
        }
    }
    let ticks = u64::from(reports[1].timestamp.wrapping_sub(reports[0].timestamp));
    let time = reports[1].ntp - reports[0].ntp;
    assert!(((time * 90_000) >> 32).abs_diff(ticks) <= 1);
    assert_eq!(reports[0].ssrc, reports[1].ssrc);
    reports[0].ssrc
}

/// A receiver report on the reader's channel that says how many packets of the source are lost.
fn reader_report(source: u32, lost: u8) -> Vec<u8> {
    let mut report = vec![b'$', 1, 0, 32, 0x81, RECEIVER_REPORT, 0, 7, 9, 9, 9, 9];
    report.extend(source.to_be_bytes());
    report.extend([0, 0, 0, lost]);
    report.resize(4 + 32, 0);
    report
}
