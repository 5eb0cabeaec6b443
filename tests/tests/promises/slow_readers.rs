//! What a slow reader costs: itself alone. It is moved to a key frame or closed, as its path says.

use std::time::{Duration, Instant};

use shardcast::event::{Deadline, Event, SessionEnd};
use shardcast::{DropReason, RefusalReason, SessionSnapshot};
use shardcast_tests::peer::synthetic::Shape;
use shardcast_tests::scene::baseline::Baseline;
use shardcast_tests::scene::broadcast::{Broadcast, SHORT_GROUPS, Tracks};
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::player::{Haul, Player, VIDEO_LANE};
use shardcast_tests::scene::rig::Rig;

const PATH: &str = "live/camera";
/// 18 KB in an access unit, 90 KB in a group.
const BROAD: Shape = Shape {
    frame_packets: 15,
    pattern_bytes: 1200,
    ..SHORT_GROUPS
};
/// Far more than the kernel holds of a connection whose peer does not read, and than the queue.
const UNITS: u64 = 400;
/// Every driver, with and without a ring in between.
const HOUSES: [House; 4] = [House::ALL[0], House::ALL[2], House::ALL[3], House::ALL[5]];

/// A server, a broadcast, a reader that does not read and two that do.
struct Race {
    rig: Rig,
    broadcast: Broadcast,
    slow: Player,
    quick: [(Player, Haul); 2],
    baseline: Baseline,
}

impl Race {
    fn begin(house: House, path: &str) -> Self {
        // No deadline ends anybody, however busy the machine: the queue is the matter here.
        Self::begin_with(house, "writeTimeout: 60s\n", path)
    }

    fn begin_with(house: House, timeout: &str, path: &str) -> Self {
        let timeouts = format!("readTimeout: 60s\n{timeout}");
        let configuration = format!("gatherReaders: 0\n{timeouts}pathDefaults:\n{path}");
        let rig = Rig::start(house, &configuration);
        let baseline = Baseline::take(&rig);
        let broadcast = Broadcast::start_shaped(rig.address(), PATH, Tracks::Video, BROAD);
        let start = || Player::start(rig.address(), PATH, &VIDEO_LANE).unwrap();
        let (first, slow, last) = (start(), start(), start());
        Self {
            broadcast: broadcast.unwrap(),
            slow,
            quick: [(first, Haul::default()), (last, Haul::default())],
            rig,
            baseline,
        }
    }

    /// Sends as fast as the quick readers read.
    fn run(&mut self, units: u64) {
        for _ in 0..units {
            self.broadcast.send(1).unwrap();
            for (player, haul) in &mut self.quick {
                player
                    .read_up_to(haul, self.broadcast.packets() - 1)
                    .unwrap();
            }
        }
    }

    /// Ends the broadcast; the quick readers have lost nothing.
    fn finish(&mut self) {
        self.broadcast.teardown().unwrap();
        for (player, haul) in &mut self.quick {
            player.read_to_end(haul).unwrap();
            assert_eq!(haul.video.packets(), self.broadcast.packets());
        }
    }

    fn slow_session(&self) -> SessionSnapshot {
        self.rig.session_of(self.slow.local_address())
    }
}

#[test]
fn a_slow_reader_loses_whole_access_units_up_to_a_key_frame() {
    for house in HOUSES {
        let mut race = Race::begin(house, "  readerQueueBytes: 400K\n");
        race.run(UNITS);
        // Nothing of this has kept it: it goes on once it reads.
        let mut haul = Haul::with_jumps();
        race.broadcast.send(1).unwrap();
        race.slow
            .read_up_to(&mut haul, race.broadcast.packets() - 1)
            .unwrap();
        let session = race.slow_session();
        assert!(haul.video.jumps() >= 1, "it has lost nothing");
        assert!(
            session.drops >= 1 && session.dropped_bytes > 0,
            "{session:?}"
        );
        assert_units_are_whole(&haul, session.drops);
        race.run(20);
        let told = race.rig.wait_event("the drop", |event| match event {
            Event::ReaderDropped {
                session: of,
                reason,
                ..
            } if *of == session.id => Some(*reason),
            _ => None,
        });
        assert_eq!(told, DropReason::QueueBytes);
        race.broadcast.send(1).unwrap();
        race.finish();
        race.slow.read_to_end(&mut haul).unwrap();
        let last = haul.video.last().map(|last| last.packet + 1);
        assert_eq!(last, Some(race.broadcast.packets()), "it has the end");
    }
}

#[test]
fn the_write_queue_of_mediamtx_is_the_limit_where_it_stands() {
    for house in [House::SMALL, House::RIGID] {
        let limit = "writeTimeout: 60s\nwriteQueueSize: 256\n";
        let mut race = Race::begin_with(house, limit, "  readerQueueAge: 1h\n");
        race.run(UNITS);
        let mut haul = Haul::with_jumps();
        let last = race.broadcast.packets() - 1;
        race.slow.read_up_to(&mut haul, last).unwrap();
        assert!(haul.video.jumps() >= 1, "it has lost nothing");
        let session = race.slow_session();
        assert_units_are_whole(&haul, session.drops);
        let of_bytes =
            |(reason, times): &(DropReason, u64)| *reason == DropReason::QueueBytes && *times > 0;
        assert!(session.drops_by_reason.iter().any(of_bytes), "{session:?}");
        race.finish();
    }
}

#[test]
fn what_was_dropped_is_summed_up_at_the_latest_when_the_reader_ends() {
    let mut race = Race::begin(House::SMALL, "  readerQueueBytes: 400K\n");
    let mut haul = Haul::with_jumps();
    for _ in 0..2 {
        race.run(UNITS);
        let last = race.broadcast.packets() - 1;
        race.slow.read_up_to(&mut haul, last).unwrap();
    }
    let session = race.slow_session();
    assert!(session.drops >= 2, "{session:?}");
    race.slow.teardown().unwrap();
    let (mut bytes_told, mut times_told) = (0, 0);
    while times_told < session.drops {
        let (bytes, times) = race.rig.wait_event("a drop", |event| match event {
            Event::ReaderDropped {
                session: of,
                bytes,
                units: 1..,
                times,
                ..
            } if *of == session.id => Some((*bytes, *times)),
            _ => None,
        });
        bytes_told += bytes;
        times_told += times;
    }
    assert_eq!(bytes_told, session.dropped_bytes);
    race.finish();
}

/// Bytes that the kernel holds for a connection to `peer` from our `port`, as it tells itself.
#[cfg(target_os = "linux")]
fn kernel_queue(port: u16, peer: std::net::SocketAddr) -> u64 {
    let (ours, theirs) = (format!(":{port:04X}"), format!(":{:04X}", peer.port()));
    let tables = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];
    let rows: String = tables
        .map(|table| std::fs::read_to_string(table).unwrap_or_default())
        .concat();
    let queue = rows.lines().find_map(|row| {
        let columns: Vec<&str> = row.split_whitespace().collect();
        let is_it = columns.get(1)?.ends_with(&ours) && columns.get(2)?.ends_with(&theirs);
        let (sent, _) = columns.get(4)?.split_once(':')?;
        is_it.then(|| u64::from_str_radix(sent, 16).ok())?
    });
    queue.expect("the connection stands")
}

#[cfg(target_os = "linux")]
#[test]
fn the_kernel_holds_no_more_for_a_stalled_reader_than_its_send_buffer() {
    for house in [House::ALL[0], House::ALL[5]] {
        let limits = "writeTimeout: 60s\nsendBuffer: 64K\nnotSentLowat: 16K\n";
        let mut race = Race::begin_with(house, limits, "  readerQueueBytes: 400K\n");
        race.run(UNITS);
        let held = kernel_queue(race.rig.port(), race.slow.local_address());
        // The kernel doubles what it is told, for its own bookkeeping.
        assert!((1..=128 << 10).contains(&held), "{held} bytes");
        race.finish();
    }
}

/// A jump leaves whole access units out, so what has come of any is all of it.
fn assert_units_are_whole(haul: &Haul, drops: u64) {
    assert!(haul.video.packets().is_multiple_of(BROAD.frame_packets));
    assert!(haul.video.jumps() <= drops, "{} jumps", haul.video.jumps());
}

#[test]
fn an_old_queue_makes_a_reader_jump_as_a_long_one_does() {
    for house in [House::SMALL, House::RIGID] {
        let mut race = Race::begin(house, "  readerQueueAge: 700ms\n");
        race.run(UNITS / 4);
        race.rig.watch(Duration::from_millis(1400));
        race.run(UNITS / 8);
        let mut haul = Haul::with_jumps();
        race.slow
            .read_up_to(&mut haul, race.broadcast.packets() - 1)
            .unwrap();
        assert!(haul.video.jumps() >= 1, "it has lost nothing");
        let session = race.slow_session();
        assert_units_are_whole(&haul, session.drops);
        race.finish();
    }
}

#[test]
fn disconnect_closes_a_slow_reader_for_that_reason() {
    for house in HOUSES {
        let mut race = Race::begin(
            house,
            "  readerQueueBytes: 400K\n  slowReader: disconnect\n",
        );
        race.run(UNITS);
        // It is found out when it is written to again.
        let mut haul = Haul::default();
        let end = race.slow.read_to_end(&mut haul);
        drop(end);
        let reason = race.rig.wait_closed(race.slow.local_address());
        assert_eq!(reason, SessionEnd::TooSlow(DropReason::QueueBytes));
        race.run(20);
        race.finish();
    }
}

#[test]
fn a_reader_whose_place_has_left_the_log_is_moved_or_closed_and_never_given_a_torn_unit() {
    for house in HOUSES {
        let mut race = Race::begin(house, "  logBytes: 200K\n");
        race.run(UNITS);
        let mut haul = Haul::with_jumps();
        let goes_on = race
            .slow
            .read_up_to(&mut haul, race.broadcast.packets() - 1);
        if goes_on.is_err() {
            let reason = race.rig.wait_closed(race.slow.local_address());
            assert!(matches!(reason, SessionEnd::TooSlow(_)), "{reason}");
        } else {
            assert!(haul.video.jumps() >= 1, "it has lost nothing");
            assert_units_are_whole(&haul, haul.video.jumps());
        }
        race.finish();
    }
}

/// A stream of 8 Mbit/s in access units of [`BROAD`]: 54 of them in a second.
const UNIT_TIME: Duration = Duration::from_micros(18_500);
/// `writeTimeout` of the readers that take next to nothing.
const WRITE_TIMEOUT: Duration = Duration::from_secs(3);
/// For so long a reader takes next to nothing before it takes everything once more.
const FIRST_STALL: Duration = Duration::from_millis(1500);
/// The latest end of a reader that takes nothing: twice the timeout, and a machine with much to do.
const END_MAX: Duration = Duration::from_secs(12);

/// What a reader takes of the stream.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Appetite {
    /// Nothing: its window closes.
    Nothing,
    /// A byte per second.
    ByteASecond,
}

impl Race {
    /// Lets the stream flow at its pace for `time`, while the slow reader takes what it likes; ends early when the
    /// server has closed it.
    fn flow(&mut self, time: Duration, appetite: Appetite) {
        let (begun, peer) = (Instant::now(), self.slow.local_address());
        let mut seconds = 0;
        while begun.elapsed() < time {
            self.run(1);
            let events = self.rig.watch(UNIT_TIME);
            let is_end = |event: &Event| matches!(event, Event::ConnectionClosed { peer: of, .. } if of.port() == peer.port());
            if events.iter().any(is_end) {
                return;
            }
            if appetite == Appetite::ByteASecond && begun.elapsed().as_secs() > seconds {
                seconds += 1;
                self.slow.connection().read_byte().unwrap();
            }
        }
    }
}

/// It skips to a key frame when it reads again, and is closed when it does not.
fn stall_twice(house: House, appetite: Appetite) {
    let path = "  readerQueueBytes: 400K\n";
    let mut race = Race::begin_with(house, "writeTimeout: 3s\n", path);
    race.flow(FIRST_STALL, appetite);
    let mut haul = Haul::with_jumps();
    let last = race.broadcast.packets() - 1;
    race.slow.read_up_to(&mut haul, last).unwrap();
    assert!(haul.video.jumps() >= 1, "it has lost nothing");
    let session = race.slow_session();
    assert!(session.drops >= 1, "{session:?}");
    assert_units_are_whole(&haul, session.drops);

    let (begun, peer) = (Instant::now(), race.slow.local_address());
    race.flow(END_MAX, appetite);
    let end = race.rig.wait_closed(peer);
    let took = begun.elapsed();
    assert!((WRITE_TIMEOUT..END_MAX).contains(&took), "{took:?}");
    // The kernel may still have taken a little of what there was, for the one that reads.
    let SessionEnd::TimedOut(deadline @ (Deadline::WriteStuck | Deadline::WriteTooLong)) = end
    else {
        panic!("{end}");
    };
    let is_stuck = deadline == Deadline::WriteStuck;
    assert!(is_stuck || appetite == Appetite::ByteASecond, "{deadline}");
    let refused: Vec<_> = race.rig.snapshot().refusals.counted().collect();
    let reason = match is_stuck {
        true => RefusalReason::WriteStuck,
        false => RefusalReason::WriteTooLong,
    };
    assert_eq!(refused, [(reason, 1)]);
    race.finish();
    let Race {
        rig,
        broadcast,
        slow,
        quick,
        baseline,
    } = race;
    drop((broadcast, slow, quick));
    baseline.assert_restored(&rig);
}

#[test]
fn a_reader_with_a_zero_window_skips_to_a_key_frame_then_is_closed() {
    for_both_drivers(Appetite::Nothing);
}

#[test]
fn a_reader_of_a_byte_per_second_skips_to_a_key_frame_then_is_closed() {
    for_both_drivers(Appetite::ByteASecond);
}

/// At the same time, because most of it is waiting.
fn for_both_drivers(appetite: Appetite) {
    std::thread::scope(|scope| {
        for house in [House::ALL[0], House::ALL[5]] {
            scope.spawn(move || stall_twice(house, appetite));
        }
    });
}
