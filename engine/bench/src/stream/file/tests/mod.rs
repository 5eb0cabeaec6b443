//! What is made of files, whole and damaged ones.

pub(super) mod movie;

use movie::{Form, PICTURES, SOUNDS, boxed, movie};
use proptest::prelude::*;
use shardcast_protocol::codec::{AccessUnitTracker, Unit as UnitKind};
use shardcast_protocol::container::rtp::HeaderView;
use shardcast_protocol::sdp;

use super::super::probe::{self, Probe};
use super::*;

/// A packet: its track, when it was due, its bytes.
type Sent = (usize, Duration, Vec<u8>);

/// The packets of so many access units.
fn play(media: Media, units: usize) -> Vec<Sent> {
    let (mut source, mut packets) = (FileSource::of(Arc::new(media), 5), Packets::default());
    let mut all = Vec::new();
    for _ in 0..units {
        let due = source.next(&mut packets);
        (0..packets.len()).for_each(|index| packets.stamp(index, due.as_nanos() as u64));
        let sent = packets.iter();
        all.extend(sent.map(|(track, frame)| (track, due, frame[4..].to_vec())));
    }
    all
}

fn of_track(sent: &[Sent], wanted: usize) -> Vec<(Duration, HeaderView<'_>)> {
    let sent = sent.iter().filter(|(track, ..)| *track == wanted);
    sent.map(|(_, due, packet)| (*due, HeaderView::parse(packet).unwrap()))
        .collect()
}

const UNITS: usize = PICTURES.len() + SOUNDS.len();
/// What a picture takes, in milliseconds.
const PICTURE: u64 = 40;

#[test]
fn files_whole_or_in_fragments_are_the_same_stream() {
    let [whole, fragments] =
        [Form::Whole, Form::Fragments].map(|form| media_of(movie(form)).unwrap());
    let (whole, fragments) = (play(whole, 3 * UNITS), play(fragments, 3 * UNITS));
    assert_eq!(whole.len(), fragments.len());
    for (one, other) in whole.iter().zip(&fragments) {
        assert_eq!(one, other);
    }
}

#[test]
fn pictures_are_due_as_decoded_and_stamped_as_shown_and_go_on_when_the_file_ends() {
    let sent = play(media_of(movie(Form::Whole)).unwrap(), 2 * UNITS);
    let packets = of_track(&sent, 0);
    let mut tracker = AccessUnitTracker::new(UnitKind::H264);
    let begins = packets.iter().filter(|(_, view)| {
        let flags = tracker.handle_packet(view.timestamp(), view.marker(), view.payload());
        flags.unwrap().au_start
    });
    let begin = packets[0].1.timestamp();
    let times = begins.map(|(due, view)| {
        let shown = view.timestamp().distance_from(begin);
        (due.as_millis() as u64 / PICTURE, shown / 3600)
    });
    let times: Vec<(u64, i32)> = times.collect();
    let round = [(0, 0), (1, 3), (2, 1), (3, 3), (4, 4)];
    assert_eq!(times[..5], round);
    assert_eq!(times[5..], round.map(|(due, shown)| (due + 5, shown + 5)));
    let numbers = packets.windows(2).map(|two| {
        let [one, other] = [two[0].1, two[1].1].map(|view| view.sequence_number());
        other.distance_from(one)
    });
    assert!(numbers.into_iter().all(|step| step == 1));
}

#[test]
fn key_pictures_bring_their_parameter_sets_and_every_picture_its_probe() {
    let sent = play(media_of(movie(Form::Whole)).unwrap(), 2 * UNITS);
    let packets = of_track(&sent, 0);
    let kinds: Vec<u8> = packets
        .iter()
        .map(|(_, view)| view.payload()[0] & 0x1f)
        .collect();
    // Parameter sets, the probe's message, three fragments of the key picture; then messages and slices by turns.
    assert_eq!(kinds[..14], [7, 8, 6, 28, 28, 28, 6, 1, 6, 1, 6, 1, 6, 1]);
    let probes: Vec<(Duration, Probe)> = packets
        .iter()
        .flat_map(|(due, view)| probe::find(Carrier::H264, view.payload()).map(|it| (*due, it)))
        .collect();
    assert_eq!(probes.len(), 10);
    for (number, (due, probe)) in probes.iter().enumerate() {
        assert_eq!(probe.number, number as u64);
        assert_eq!(u128::from(probe.due_unix_nanos), due.as_nanos());
    }
    assert!(sent.iter().all(|(.., packet)| packet.len() <= PACKET_BYTES));
}

#[test]
fn sounds_are_whole_or_in_fragments_and_stamped_by_their_samples() {
    let sent = play(media_of(movie(Form::Whole)).unwrap(), UNITS);
    let packets = of_track(&sent, 1);
    assert_eq!(packets.len(), SOUNDS.len() + 1);
    let sizes = packets.iter().map(|(_, view)| {
        let [bits_high, bits, high, low, ..] = *view.payload() else {
            panic!("no head");
        };
        assert_eq!([bits_high, bits], [0, 16]);
        usize::from(u16::from_be_bytes([high, low]) >> 3)
    });
    let sizes: Vec<usize> = sizes.collect();
    assert_eq!(sizes, [90, 1500, 1500, 70, 80, 60, 50]);
    let marks: Vec<bool> = packets.iter().map(|(_, view)| view.marker()).collect();
    assert_eq!(marks, [true, false, true, true, true, true, true]);
    let steps = packets
        .windows(2)
        .map(|two| two[1].1.timestamp().distance_from(two[0].1.timestamp()));
    assert_eq!(
        steps.collect::<Vec<i32>>(),
        [1024, 0, 1024, 1024, 1024, 1024]
    );
}

#[test]
fn the_description_is_that_of_the_tracks() {
    let source = FileSource::of(Arc::new(media_of(movie(Form::Whole)).unwrap()), 5);
    let session = sdp::parse(source.sdp().as_bytes()).unwrap();
    let tracks = sdp::tracks(&session).unwrap();
    let codecs: Vec<&Codec> = tracks.iter().map(|track| &track.codec).collect();
    let expected: Vec<&Codec> = source
        .media
        .tracks
        .iter()
        .map(|track| &track.codec)
        .collect();
    assert_eq!(codecs, expected);
    assert_eq!(tracks[1].clock_rate, 48_000);
    assert_eq!(source.carriers(), [Carrier::H264, Carrier::Other]);
}

#[test]
fn another_path_plays_the_same_file_with_other_numbers_from_a_key_picture_of_its_own() {
    let two = [movie::stream(3), movie::stream(5)].concat();
    let source = FileSource::of(Arc::new(media_of(two).unwrap()), 5);
    let mut begins = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let mut other = source.beside(seed);
        let mut packets = Packets::default();
        begins.insert(other.next);
        assert_eq!(other.next(&mut packets), Duration::ZERO);
        let kinds: Vec<u8> = packets.iter().map(|(_, it)| it[16] & 0x1f).collect();
        assert_eq!(kinds, [7, 8, 6, 5]);
        for number in 1..20 {
            let due = other.next(&mut packets);
            assert_eq!(due, Duration::from_millis(number * PICTURE));
        }
    }
    assert_eq!(begins.into_iter().collect::<Vec<usize>>(), [0, 3]);
    let firsts = [1, 2].map(|seed| {
        let mut packets = Packets::default();
        source.beside(seed).next(&mut packets);
        packets.iter().next().map(|(_, it)| it[..16].to_vec())
    });
    assert_ne!(firsts[0], firsts[1]);
}

#[test]
fn a_publisher_that_comes_back_begins_with_a_key_picture_and_its_first_probe() {
    let (mut source, mut packets) = (
        FileSource::of(Arc::new(media_of(movie(Form::Whole)).unwrap()), 5),
        Packets::default(),
    );
    let before = (0..4).map(|_| source.next(&mut packets)).last();
    source.begin_anew();
    let due = source.next(&mut packets);
    assert!(Some(due) > before);
    packets.stamp(2, 1);
    let new: Vec<&[u8]> = packets.iter().map(|(_, it)| &it[16..]).collect();
    assert_eq!(new[0], movie::SPS);
    let probe = probe::find(Carrier::H264, new[2]).next();
    assert_eq!(probe.unwrap().number, 0);
}

/// Why a file with these bytes cannot be published.
fn refusal(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clip.mp4");
    std::fs::write(&file, bytes).unwrap();
    let error = FileSource::open(&file, 1).unwrap_err().to_string();
    assert!(error.contains("clip.mp4: "), "{error}");
    error
}

#[test]
fn what_cannot_be_published_is_refused_by_name_and_reason() {
    let whole = movie(Form::Whole);
    let cut = whole.len() - 200;
    for (bytes, reason) in [
        (movie(Form::Encrypted), "it is encrypted"),
        (
            movie(Form::Unknown),
            "no track of H.264, H.265 or AAC, only av01, Opus",
        ),
        (
            whole[..cut].to_vec(),
            "truncated: it ends within a part of the file",
        ),
        (
            whole[..5000].to_vec(),
            "truncated: it ends within a part of the file",
        ),
        (boxed(b"ftyp", &[b"isom"]), "it has no head (moov)"),
        (b"RIFF....".to_vec(), "neither an MP4 file nor"),
        (Vec::new(), "neither an MP4 file nor"),
    ] {
        let error = refusal(&bytes);
        assert!(error.contains(reason), "{error}");
    }
    let missing = FileSource::open(Path::new("/nowhere/clip.mp4"), 1).unwrap_err();
    assert!(
        missing.to_string().starts_with("/nowhere/clip.mp4: "),
        "{missing}"
    );
}

#[test]
fn media_that_lie_behind_the_end_are_truncated() {
    // In fragments the tables stand before what they tell of.
    let mut file = movie(Form::Fragments);
    file.truncate(file.len() - 100);
    let size = file.len() as u32;
    let mdat = file.windows(4).position(|four| four == b"mdat").unwrap();
    file[mdat - 4..mdat].copy_from_slice(&(size - mdat as u32 + 4).to_be_bytes());
    assert!(refusal(&file).contains("truncated: it ends within its media"));
}

#[test]
fn every_truncation_is_published_or_refused() {
    for form in [Form::Whole, Form::Fragments] {
        let file = movie(form);
        for cut in 0..file.len() {
            if let Ok(media) = media_of(file[..cut].to_vec()) {
                play(media, 3);
            }
        }
    }
}

#[test]
fn too_many_samples_are_refused_before_memory_is_taken() {
    let mut file = movie(Form::Whole);
    let stsz = file.windows(4).position(|four| four == b"stsz").unwrap();
    // All of one size, so many.
    let count = u32::try_from(media::UNITS_MAX + 1).unwrap();
    file[stsz + 8..stsz + 12].copy_from_slice(&1u32.to_be_bytes());
    file[stsz + 12..stsz + 16].copy_from_slice(&count.to_be_bytes());
    assert!(refusal(&file).contains("more than 8388608 access units"));
}

proptest! {
    /// Whatever a file says of itself, it is played or refused.
    #[test]
    fn damaged_files_are_published_or_refused(
        fragments: bool, damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut file = movie(if fragments { Form::Fragments } else { Form::Whole });
        // The media are most of it, and say nothing.
        let places: Vec<usize> = (0..file.len()).filter(|at| !matches!(file[*at], 0x99 | 0x21)).collect();
        for (at, byte) in damage {
            file[places[at.index(places.len())]] = byte;
        }
        if let Ok(media) = media_of(file) {
            play(media, 30);
        }
    }

    #[test]
    fn any_bytes_are_published_or_refused(
        begin in prop_oneof![Just(&b"\0\0\0\x08ftyp"[..]), Just(&b"\0\0\x01\x67"[..])],
        bytes in proptest::collection::vec(prop_oneof![Just(0u8), Just(1), any::<u8>()], 0..300),
    ) {
        if let Ok(media) = media_of([begin, &bytes].concat()) {
            play(media, 10);
        }
    }
}
