//! What real senders' packets are taken for. The seeds of the payload target were recorded from ffmpeg and GStreamer, with
//! groups of five pictures of 64 x 48; here it is asked which packets begin a picture, which a key picture, and what they say.
//!
//! Not caught here: timestamps and markers, which the seeds do not have.

use shardcast_fuzz::{TARGETS, payload};
use shardcast_protocol::codec::{
    PacketKind, TrackParameters, h264, h265, mjpeg, mpeg_video, mpeg4_video, vp8, vp9,
};
use shardcast_protocol::container::rtp::framing::Frames;

type Inspect = fn(&[u8]) -> PacketKind;

/// The packets of one seed: key pictures, begins of others, and the rest.
fn letters(name: &str, inspect: Inspect) -> String {
    let image = seed(name);
    let letter = |kind: PacketKind| match (kind.picture_start, kind.key) {
        (true, true) => 'K',
        (false, true) => 'k',
        (true, false) => 'p',
        (false, false) => '-',
    };
    Frames::new(&image)
        .map(|frame| letter(inspect(&image[frame.payload()])))
        .collect()
}

fn seed(name: &str) -> Vec<u8> {
    let target = TARGETS.iter().find(|target| target.name == "payload");
    let seeds = target.expect("a target").seeds().expect("its folder");
    let seed = seeds.into_iter().find(|(seed, _)| seed == name);
    seed.expect("a seed").1
}

/// What the first packet that says anything says.
fn told(name: &str) -> String {
    let image = seed(name);
    let mut said = Frames::new(&image)
        .filter_map(|frame| payload::track(frame.channel).parameters_in(&image[frame.payload()]));
    match said.next() {
        Some(TrackParameters::Video(video)) => video.to_string(),
        Some(TrackParameters::Audio(audio)) => audio.to_string(),
        Some(TrackParameters::Unknown) | None => "nothing".into(),
    }
}

#[test]
fn pictures_of_real_senders_are_told_apart() {
    let senders: [(&str, Inspect, &str); 10] = [
        ("ffmpeg_h264", h264::inspect, "----Kkkppp"),
        ("ffmpeg_h265", h265::inspect, "-Kkpppp-Kkpp"),
        ("ffmpeg_vp8", vp8::inspect, "K----ppppK"),
        ("gstreamer_vp8", vp8::inspect, "K--p-pp-p-"),
        ("ffmpeg_vp9", vp9::inspect, "K----ppppK"),
        ("gstreamer_vp9", vp9::inspect, "K-ppppK-pp"),
        ("ffmpeg_mpeg4", mpeg4_video::inspect, "K-----pppp"),
        ("ffmpeg_mpeg2", mpeg_video::inspect, "K-----p-pp"),
        ("ffmpeg_jpeg", mjpeg::inspect, "K--K"),
        ("gstreamer_jpeg", mjpeg::inspect, "K-K-"),
    ];
    for (name, inspect, expected) in senders {
        assert_eq!(letters(name, inspect), expected, "{name}");
    }
}

#[test]
fn packets_of_real_senders_say_what_they_carry() {
    for (name, expected) in [
        ("ffmpeg_h264", "High 4:4:4 Predictive 1, 64 x 48, 50/2"),
        ("ffmpeg_h265", "Main 1, 64 x 48, 25/1"),
        ("ffmpeg_vp8", "64 x 48"),
        ("gstreamer_vp8", "64 x 48"),
        ("ffmpeg_vp9", "profile 1, 64 x 48"),
        ("gstreamer_vp9", "profile 3, 64 x 48"),
        ("ffmpeg_mpeg4", "0 1, 64 x 48"),
        ("ffmpeg_mpeg2", "64 x 48, 25/1"),
        ("ffmpeg_jpeg", "64 x 48"),
        ("gstreamer_jpeg", "64 x 48"),
        ("gstreamer_ac3", "44100 Hz, 1 channel"),
        ("ffmpeg_mp3", "44100 Hz, 1 channel"),
    ] {
        assert_eq!(told(name), expected, "{name}");
    }
}
