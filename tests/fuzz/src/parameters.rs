//! Parsers of parameter sets, configurations and headers. Input: a byte that picks the parser, and what it reads.

use shardcast_protocol::codec::parameters::PICTURE_SIDE_MAX;
use shardcast_protocol::codec::{
    FrameRate, ParameterError, TrackParameters, VideoParameters, aac, ac3, av1, h264, h265,
    mpeg_audio, mpeg4_video, vp8, vp9,
};

/// What is read is plausible, and a set that is cut short is refused or says the same.
pub fn check(input: &[u8]) {
    let Some((parser, bytes)) = input.split_first() else {
        return;
    };
    match parser % 12 {
        0 => check_every_cut(bytes, |bytes| {
            h264::SequenceParameters::parse(bytes).map(|parsed| parsed.video)
        }),
        1 => check_every_cut(bytes, |bytes| {
            h265::SequenceParameters::parse(bytes).map(|parsed| parsed.video)
        }),
        2 => check_every_cut(bytes, |bytes| {
            // An OBU that is the packet's only element ends with it.
            let packet = [&[0x10], bytes].concat();
            av1::parameters(&packet)?.ok_or(ParameterError::Truncated)
        }),
        3 => check_video(vp8::parameters(bytes)),
        4 => check_video(vp9::parameters(bytes)),
        5 => check_video(mpeg4_video::parameters(bytes)),
        6 => drop(aac::parameters(bytes)),
        7 => drop(aac::latm_parameters(bytes)),
        8 => drop(aac::latm_parameters_in(bytes)),
        9 => drop(ac3::parameters(bytes)),
        10 => drop(mpeg_audio::parameters(bytes)),
        _ => {
            for id in [
                h264::pps_id(bytes),
                h265::pps_id(bytes),
                h265::vps_id(bytes),
            ] {
                assert!(id.is_err() || bytes.len() > 1);
            }
        }
    }
}

fn check_every_cut(set: &[u8], parse: impl Fn(&[u8]) -> Result<VideoParameters, ParameterError>) {
    let whole = parse(set);
    check_video(whole.map(Some));
    for cut in 0..set.len().min(64) {
        let parsed = parse(&set[..cut]);
        assert!(parsed.is_err() || parsed == whole, "cut at {cut}");
    }
}

fn check_video(parsed: Result<Option<VideoParameters>, ParameterError>) {
    if let Ok(Some(video)) = parsed {
        assert_plausible(TrackParameters::Video(video));
    }
}

/// Sizes are within their limits, and no rate is endless.
pub fn assert_plausible(parameters: TrackParameters) {
    let TrackParameters::Video(video) = parameters else {
        return;
    };
    if let Some(size) = video.size {
        let sides = 1..=PICTURE_SIDE_MAX;
        assert!(sides.contains(&size.width) && sides.contains(&size.height));
    }
    let rate = video.frame_rate.map(FrameRate::per_second);
    assert!(rate.is_none_or(|rate| rate.is_finite() && rate > 0.0));
    assert!(video.to_string().len() < 100);
}
