//! What `slowReader: skipNonReference` leaves out for a slow reader, what it never leaves out, and what becomes of the
//! numbers; and that a jump keeps sound in step.

use shardcast::SessionSnapshot;
use shardcast_tests::peer::synthetic::Shape;
use shardcast_tests::scene::broadcast::{Broadcast, Tracks};
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::player::{Arrival, BOTH_LANES, Haul, Lane, Player, SOUND, VIDEO};
use shardcast_tests::scene::rig::Rig;
use shardcast_tests::scene::rtp::Rtp;

const PATH: &str = "live/camera";
/// 12 KB in an access unit, 360 KB in a group.
const SHAPE: Shape = Shape {
    gop_frames: 30,
    frame_packets: 10,
    pattern_bytes: 1200,
};
const TICKS_PER_FRAME: u32 = 3000;
const SOUND_TICKS: u32 = 960;
/// Both drivers, with and without a ring in between.
const HOUSES: [House; 2] = [House::ALL[0], House::ALL[5]];
/// What the kernel and a write take of a stalled reader is a fraction of this.
const QUEUE_BYTES: u64 = 1 << 20;

/// Of three frames one is what others refer to, and key frames are.
fn is_needed(frame: u64) -> bool {
    frame.is_multiple_of(3)
}

/// One packet that a reader was given.
#[derive(Debug, Clone, Copy)]
struct Given {
    track: usize,
    sequence: u16,
    timestamp: u32,
    /// Its frame, or its number among the packets of sound; none of parameter sets.
    number: Option<u64>,
}

/// A server, its publisher, a reader that does not read and one that does.
struct Scene {
    rig: Rig,
    broadcast: Broadcast,
    slow: Player,
    quick: (Player, Haul),
}

impl Scene {
    fn begin(house: House, path: &str, lanes: &[Lane]) -> Self {
        let configuration = format!(
            "gatherReaders: 0\nreadTimeout: 60s\nwriteTimeout: 60s\nsendBuffer: 64K\npathDefaults:\n{path}"
        );
        let rig = Rig::start(house, &configuration);
        let broadcast = Broadcast::start_shaped(rig.address(), PATH, Tracks::VideoAndSound, SHAPE);
        let start = |lanes| Player::start(rig.address(), PATH, lanes).unwrap();
        let (slow, quick) = (start(lanes), start(&BOTH_LANES));
        Self {
            broadcast: broadcast.unwrap(),
            slow,
            quick: (quick, Haul::default()),
            rig,
        }
    }

    /// Sends as fast as the quick reader reads, up to a frame that is needed.
    fn run(&mut self, units: u64) {
        let least = self.broadcast.units() + units;
        while self.broadcast.units() < least || !is_needed(self.broadcast.units() - 1) {
            let frame = self.broadcast.units();
            let mut unit = self.broadcast.next_unit();
            if !is_needed(frame) {
                refer_to_none(&mut unit);
            }
            self.broadcast.connection().send(&unit).unwrap();
            let (player, haul) = &mut self.quick;
            let last = self.broadcast.packets() - 1;
            player.read_up_to(haul, last).unwrap();
        }
    }

    /// What the slow reader is given, up to the last packet of the newest frame.
    fn read(&mut self) -> Vec<Given> {
        let newest = self.broadcast.units() - 1;
        let (mut given, mut of_newest) = (Vec::new(), 0);
        while of_newest < SHAPE.frame_packets {
            let arrival = self.slow.next_arrival().unwrap().expect("it goes on");
            if let Arrival::Media(track, packet) = arrival {
                let packet = given_of(track, &packet);
                of_newest += u64::from(track == VIDEO && packet.number == Some(newest));
                given.push(packet);
            }
        }
        given
    }

    fn session(&self) -> SessionSnapshot {
        self.rig.session_of(self.slow.local_address())
    }
}

/// Takes `nal_ref_idc` from the packets on the video's channel.
fn refer_to_none(unit: &mut [u8]) {
    let mut rest = unit;
    while let Some((head, behind)) = rest.split_first_chunk_mut::<4>() {
        let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let (packet, after) = behind.split_at_mut(len);
        if head[1] == 0 {
            packet[12] &= 0x1f;
        }
        rest = after;
    }
}

fn given_of(track: usize, packet: &[u8]) -> Given {
    let Rtp {
        sequence,
        timestamp,
        payload,
        ..
    } = Rtp::read(packet);
    let number = match track {
        SOUND => Some(u32::from_be_bytes(payload[5..9].try_into().unwrap()).into()),
        _ => (payload.get(2..6) == Some(b"SHRD")).then(|| {
            let digits = std::str::from_utf8(&payload[22..38]).unwrap();
            u64::from_str_radix(digits, 16).unwrap()
        }),
    };
    Given {
        track,
        sequence,
        timestamp,
        number,
    }
}

fn of_track(given: &[Given], track: usize) -> impl Iterator<Item = Given> + '_ {
    given.iter().copied().filter(move |of| of.track == track)
}

/// The frames that have come; each as a whole and in order.
fn frames_of(given: &[Given]) -> Vec<u64> {
    let mut numbers: Vec<u64> = of_track(given, VIDEO).filter_map(|of| of.number).collect();
    let packets = numbers.len() as u64;
    assert!(numbers.is_sorted(), "{numbers:?}");
    numbers.dedup();
    assert_eq!(
        numbers.len() as u64 * SHAPE.frame_packets,
        packets,
        "a torn frame"
    );
    numbers
}

fn assert_no_gap(given: &[Given]) {
    for track in [VIDEO, SOUND] {
        let of: Vec<Given> = of_track(given, track).collect();
        for pair in of.windows(2) {
            assert_eq!(
                pair[1].sequence,
                pair[0].sequence.wrapping_add(1),
                "{pair:?}"
            );
        }
    }
}

/// Numbers are the reader's own, time is everybody's.
fn assert_time_is_the_streams(given: &[Given]) {
    for (track, ticks) in [(VIDEO, TICKS_PER_FRAME), (SOUND, SOUND_TICKS)] {
        let mut numbered = of_track(given, track).filter_map(|of| Some((of, of.number?)));
        let Some((first, first_number)) = numbered.next() else {
            panic!("nothing of track {track}");
        };
        for (of, number) in numbered {
            let passed = u32::try_from(number - first_number)
                .unwrap()
                .wrapping_mul(ticks);
            assert_eq!(of.timestamp.wrapping_sub(first.timestamp), passed, "{of:?}");
        }
    }
}

/// Between one and two limits, whatever a write and the kernel have taken of it.
const UNITS_OVER: u64 = 2 * QUEUE_BYTES / 13_000;

fn skips(house: House, lanes: &[Lane]) {
    let path = format!("  readerQueueBytes: {QUEUE_BYTES}\n  slowReader: skipNonReference\n");
    let mut scene = Scene::begin(house, &path, lanes);
    scene.run(UNITS_OVER);
    let mut given = scene.read();
    let caught_up_at = scene.broadcast.units();
    // It has caught up: everything comes again.
    scene.run(40);
    given.extend(scene.read());

    let (frames, units) = (frames_of(&given), scene.broadcast.units());
    let missing: Vec<u64> = (0..units).filter(|frame| !frames.contains(frame)).collect();
    assert!(!missing.is_empty(), "nothing was left out");
    assert!(
        missing.iter().all(|frame| !is_needed(*frame)),
        "{missing:?}"
    );
    assert!(
        missing.iter().all(|frame| *frame < caught_up_at),
        "{missing:?}"
    );
    let sounds = of_track(&given, SOUND).count() as u64;
    assert!(sounds + 1 >= units, "{sounds} of {units} packets of sound");
    assert_no_gap(&given);
    assert_time_is_the_streams(&given);

    let session = scene.session();
    assert_eq!(session.drops, 1, "{session:?}");
    assert_eq!(session.dropped_units, missing.len() as u64, "{session:?}");
    let packets = missing.len() as u64 * SHAPE.frame_packets;
    assert!(session.dropped_bytes > packets * 1200, "{session:?}");
}

#[test]
fn a_slow_reader_is_spared_what_no_picture_refers_to_and_sees_no_gap() {
    for house in HOUSES {
        skips(house, &BOTH_LANES);
    }
}

#[test]
fn readers_on_channels_of_their_own_are_spared_the_same() {
    skips(House::SMALL, &[(VIDEO, 6, 7), (SOUND, 8, 9)]);
}

/// Where the frames of `given` do not follow each other.
fn jumps_in(frames: &[u64]) -> Vec<u64> {
    let pairs = frames.windows(2);
    let jumps = pairs.filter(|pair| pair[1] != pair[0] + 1);
    jumps.map(|pair| pair[1]).collect()
}

/// The first sound after each jump belongs to the frame that is jumped to.
fn assert_sound_is_in_step(given: &[Given], jumps: &[u64]) {
    for jump in jumps {
        let at = given
            .iter()
            .position(|of| of.track == VIDEO && of.number == Some(*jump));
        let behind = given.iter().skip(at.unwrap());
        let sound = behind
            .filter(|of| of.track == SOUND)
            .find_map(|of| of.number);
        // Each frame is followed by its packet of sound, and one may have been sent before the jump was decided.
        assert!(
            sound.is_some_and(|sound| sound >= *jump),
            "{sound:?} after {jump}"
        );
    }
}

#[test]
fn beyond_twice_the_limit_it_goes_on_at_a_key_frame_and_still_sees_no_gap() {
    for house in HOUSES {
        let path = format!("  readerQueueBytes: {QUEUE_BYTES}\n  slowReader: skipNonReference\n");
        let mut scene = Scene::begin(house, &path, &BOTH_LANES);
        scene.run(4 * UNITS_OVER);
        let given = scene.read();
        let frames = frames_of(&given);
        let jumps = jumps_in(&frames);
        assert!(
            jumps
                .iter()
                .any(|frame| frame.is_multiple_of(SHAPE.gop_frames)),
            "{jumps:?}"
        );
        assert_no_gap(&given);
        assert_time_is_the_streams(&given);
        assert_sound_is_in_step(&given, &jumps[..1]);
        assert!(scene.session().drops >= 1);
    }
}

#[test]
fn after_a_jump_to_a_key_frame_sound_is_in_step() {
    for house in HOUSES {
        let path = format!("  readerQueueBytes: {QUEUE_BYTES}\n");
        let mut scene = Scene::begin(house, &path, &BOTH_LANES);
        scene.run(4 * UNITS_OVER);
        let given = scene.read();
        let jumps = jumps_in(&frames_of(&given));
        assert!(!jumps.is_empty(), "it has lost nothing");
        let is_key = |frame: &u64| frame.is_multiple_of(SHAPE.gop_frames);
        assert!(jumps.iter().all(is_key), "{jumps:?}");
        assert_time_is_the_streams(&given);
        assert_sound_is_in_step(&given, &jumps);
    }
}
