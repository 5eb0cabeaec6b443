//! Reports in both directions: what readers are told of the clock, publishers of what has arrived, and what of both the
//! server counts.

use std::time::Duration;

use shardcast::SessionSnapshot;
use shardcast_tests::peer::publisher::interleave;
use shardcast_tests::peer::synthetic::Source;
use shardcast_tests::peer::udp::{UdpPublisher, UdpReader};
use shardcast_tests::scene::broadcast::SHORT_GROUPS;
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::player::{Arrival, Player, VIDEO, VIDEO_LANE};
use shardcast_tests::scene::rig::Rig;

const PATH: &str = "live/camera";
/// A little more than the interval of reports, a frame at a time.
const FRAMES: u64 = 56;
/// One of them that never comes, and begins no group.
const FRAME_LOST: u64 = 8;
const FRAME_INTERVAL: Duration = Duration::from_millis(200);

/// Packet type of a receiver report (RFC 3550, section 12.1).
const RECEIVER_REPORT: u8 = 201;

#[test]
fn readers_are_told_the_clock_and_publishers_what_has_arrived_every_ten_seconds() {
    for house in [House::USUAL, House::RIGID] {
        let rig = Rig::start(house, "gatherReaders: 0\n");
        let publisher = UdpPublisher::start(rig.address(), PATH).unwrap();
        let mut source = Source::new(SHORT_GROUPS);
        let mut readers =
            [(); 2].map(|()| Player::start(rig.address(), PATH, &VIDEO_LANE).unwrap());
        let datagram_reader = UdpReader::start(rig.address(), PATH).unwrap();
        for frame in 0..FRAMES {
            let packets = source.next_frame();
            if frame != FRAME_LOST {
                publisher.send(&packets).unwrap();
            }
            rig.watch(FRAME_INTERVAL);
        }
        let report = publisher.next_report(FRAME_INTERVAL).unwrap().unwrap();
        assert_tells_losses(&report);
        let sending = session(&rig, |snapshot| snapshot.lost_packets > 0);
        assert_eq!(sending.lost_packets, SHORT_GROUPS.frame_packets);
        let [first, second] = &mut readers;
        let sources = [
            assert_clock_told_twice(first),
            assert_clock_told_twice(second),
        ];
        assert_eq!(sources[0], sources[1]);
        let report = reader_report(sources[0], 11);
        first.connection().send(&interleave(1, &[report])).unwrap();
        session(&rig, |snapshot| snapshot.reported_lost_packets == 11);
        let report = reader_report(sources[0], 12);
        datagram_reader.send_report(&report).unwrap();
        session(&rig, |snapshot| snapshot.reported_lost_packets == 12);
    }
}

fn session(rig: &Rig, is_it: impl Fn(&SessionSnapshot) -> bool) -> SessionSnapshot {
    rig.wait_counters("a session with losses", |snapshot| {
        snapshot.sessions.iter().find(|found| is_it(found)).cloned()
    })
}

/// A receiver report with one block: as many packets lost as a frame has.
fn assert_tells_losses(report: &[u8]) {
    assert_eq!(report[..2], [0x81, RECEIVER_REPORT]);
    let block = &report[8..32];
    assert_eq!(u64::from(block[7]), SHORT_GROUPS.frame_packets);
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

/// A receiver report that says how many packets of the source are lost.
fn reader_report(source: u32, lost: u8) -> Vec<u8> {
    let mut report = vec![0x81, RECEIVER_REPORT, 0, 7, 9, 9, 9, 9];
    report.extend(source.to_be_bytes());
    report.extend([0, 0, 0, lost]);
    report.resize(32, 0);
    report
}
