//! What a description says of its tracks' pictures and sound, and what their packets say.
//!
//! Input is a [`TrackDescription`], or a payload of its track; output are [`TrackParameters`], for those
//! who are shown streams. A parameter that is missing or cannot be read is not known; only where a set
//! is absurd the track is refused.

use super::codec::Codec;
use super::format::parameter;
use super::track::TrackDescription;
use crate::codec::{
    AudioParameters, Level, ParameterError, Profile, TrackParameters, VideoParameters, aac, ac3,
    av1, h264, h265, mjpeg, mpeg_audio, mpeg_video, mpeg4_video, vp8, vp9,
};

/// G.722 has twice the samples that its clock counts (RFC 3551 §4.5.2).
const G722_SAMPLE_RATE: u32 = 16_000;

/// The clock of MPEG systems, which some write instead of the sample rate (RFC 6416 §7.3).
const SYSTEM_CLOCK_RATE: u32 = 90_000;

impl TrackDescription {
    /// What the description says of the track's pictures or sound.
    #[must_use]
    pub fn parameters(&self) -> TrackParameters {
        let fmtp = self.fmtp.as_deref().unwrap_or_default();
        match &self.codec {
            Codec::H264 { .. } | Codec::H265 { .. } => {
                video(self.codec.sequence_parameters().unwrap_or_default())
            }
            Codec::Av1 => video(Some(av1_parameters(fmtp))),
            Codec::Vp9 => video(Some(VideoParameters {
                profile: number(fmtp, "profile-id").map(Profile::Number),
                ..VideoParameters::default()
            })),
            Codec::Mpeg4Video { config } => video(mpeg4_video::parameters(config).ok().flatten()),
            Codec::Vp8 | Codec::Mjpeg | Codec::Mpeg1Video => video(None),
            Codec::Mpeg1Audio | Codec::MpegTs | Codec::Klv | Codec::Other(_) => {
                TrackParameters::Unknown
            }
            _ => TrackParameters::Audio(self.audio_parameters(fmtp)),
        }
    }

    /// What a payload of the track says, as far as it says anything: sizes and rates stand in front of
    /// key frames, and in sound that has frames.
    #[must_use]
    pub fn parameters_in(&self, payload: &[u8]) -> Option<TrackParameters> {
        let video: fn(&[u8]) -> Result<Option<VideoParameters>, ParameterError> = match &self.codec
        {
            Codec::H264 { .. } => h264_parameters_in,
            Codec::H265 { .. } => h265_parameters_in,
            Codec::Av1 => av1::parameters,
            Codec::Vp8 => vp8::parameters,
            Codec::Vp9 => vp9::parameters,
            Codec::Mjpeg => mjpeg::parameters,
            Codec::Mpeg4Video { .. } => mpeg4_video::parameters,
            Codec::Mpeg1Video => mpeg_video::parameters,
            _ => return self.audio_parameters_in(payload),
        };
        video(payload).ok()?.map(TrackParameters::Video)
    }

    fn audio_parameters_in(&self, payload: &[u8]) -> Option<TrackParameters> {
        let audio = match &self.codec {
            Codec::Ac3 => ac3::parameters(payload),
            Codec::Mpeg1Audio => mpeg_audio::parameters(payload),
            Codec::AacLatm {
                is_in_packets: true,
                ..
            } => aac::latm_parameters_in(payload),
            _ => Ok(None),
        };
        audio.ok()?.map(TrackParameters::Audio)
    }

    fn audio_parameters(&self, fmtp: &str) -> AudioParameters {
        let described = AudioParameters {
            sample_rate: Some(self.clock_rate).filter(|rate| *rate != SYSTEM_CLOCK_RATE),
            channels: self.channels,
            ..AudioParameters::default()
        };
        let mono = AudioParameters {
            channels: Some(self.channels.unwrap_or(1)),
            ..described
        };
        match &self.codec {
            Codec::Aac { config } => aac::parameters(config).unwrap_or(described),
            Codec::AacLatm { config, .. } => aac::latm_parameters(config).unwrap_or(described),
            Codec::Opus => AudioParameters {
                channels: Some(self.opus_channels(fmtp)),
                ..described
            },
            Codec::G722 => AudioParameters {
                sample_rate: Some(G722_SAMPLE_RATE),
                ..mono
            },
            Codec::G711 { .. } | Codec::G726 { .. } | Codec::Lpcm { .. } | Codec::Speex => mono,
            _ => described,
        }
    }

    /// The rtpmap of Opus says two channels whatever there are (RFC 7587 §7); that of `multiopus` says
    /// how many.
    fn opus_channels(&self, fmtp: &str) -> u8 {
        match self.channels {
            Some(channels) if channels != 2 => channels,
            _ if parameter(fmtp, "sprop-stereo") == Some("1") => 2,
            _ => 1,
        }
    }
}

impl Codec {
    /// What the first sequence parameter set says, of a codec that has any.
    ///
    /// # Errors
    /// [`ParameterError`] of a set that cannot be read.
    fn sequence_parameters(&self) -> Result<Option<VideoParameters>, ParameterError> {
        match self {
            Self::H264 { sps, .. } => sps.first().map(|set| h264_parameters(set)).transpose(),
            Self::H265 { sps, .. } => sps.first().map(|set| h265_parameters(set)).transpose(),
            _ => Ok(None),
        }
    }

    /// Looks at all sequence parameter sets.
    ///
    /// # Errors
    /// [`ParameterError`] of the first that is absurd, so that the track is to be refused. One that merely
    /// says too little passes: the stream may carry a better one.
    pub(super) fn check_parameter_sets(&self) -> Result<(), ParameterError> {
        let check = |parsed: Result<VideoParameters, ParameterError>| match parsed {
            Err(error) if error.refuses_track() => Err(error),
            _ => Ok(()),
        };
        match self {
            Self::H264 { sps, .. } => sps.iter().try_for_each(|set| check(h264_parameters(set))),
            Self::H265 { sps, .. } => sps.iter().try_for_each(|set| check(h265_parameters(set))),
            _ => Ok(()),
        }
    }
}

fn video(video: Option<VideoParameters>) -> TrackParameters {
    TrackParameters::Video(video.unwrap_or_default())
}

fn av1_parameters(fmtp: &str) -> VideoParameters {
    VideoParameters {
        profile: number(fmtp, "profile").map(Profile::Number),
        level: number(fmtp, "level-idx").map(Level::Number),
        tier: number(fmtp, "tier"),
        ..VideoParameters::default()
    }
}

fn number(fmtp: &str, name: &str) -> Option<u8> {
    parameter(fmtp, name)?.parse().ok()
}

fn h264_parameters(set: &[u8]) -> Result<VideoParameters, ParameterError> {
    h264::SequenceParameters::parse(set).map(|parsed| parsed.video)
}

fn h265_parameters(set: &[u8]) -> Result<VideoParameters, ParameterError> {
    h265::SequenceParameters::parse(set).map(|parsed| parsed.video)
}

fn h264_parameters_in(payload: &[u8]) -> Result<Option<VideoParameters>, ParameterError> {
    let mut units = h264::nal_units(payload);
    let set = units.find(|unit| h264::nal_type(unit) == Some(h264::SPS));
    set.map(h264_parameters).transpose()
}

fn h265_parameters_in(payload: &[u8]) -> Result<Option<VideoParameters>, ParameterError> {
    let mut units = h265::nal_units(payload);
    let set = units.find(|unit| h265::nal_type(unit) == Some(h265::SPS));
    set.map(h265_parameters).transpose()
}

#[cfg(test)]
mod tests {
    use super::super::{SdpErrorKind, parse, tracks};
    use super::*;
    use crate::codec::test_bytes::hex;

    fn track(kind: &str, rtpmap: &str, fmtp: &str) -> TrackDescription {
        let text = format!("m={kind} 0 RTP/AVP 96\na=rtpmap:96 {rtpmap}\na=fmtp:96 {fmtp}\n");
        tracks(&parse(text.as_bytes()).unwrap()).unwrap().remove(0)
    }

    fn told(parameters: TrackParameters) -> String {
        match parameters {
            TrackParameters::Unknown => "unknown".into(),
            TrackParameters::Video(video) => video.to_string(),
            TrackParameters::Audio(audio) => audio.to_string(),
        }
    }

    #[test]
    fn descriptions_tell_what_pictures_are_like() {
        for (rtpmap, fmtp, expected) in [
            (
                "H264/90000",
                "sprop-parameter-sets=Z00AKeKQDwBE/LgLcBAQGkHiRFQ=,aO48gA==",
                "Main 4.1, 1920 x 1080",
            ),
            ("H264/90000", "packetization-mode=1", ""),
            // Too short a set: the stream has to tell.
            ("H264/90000", "sprop-parameter-sets=Z0IAH5Y=,aM4=", ""),
            (
                "H265/90000",
                "sprop-sps=QgEBAWAAAAMAsAAAAwAAAwBaoAWCAeFja5JFL83BQYFBAAADAAEAAAMADKE=",
                "Main 3, 704 x 480, 12/1",
            ),
            ("AV1/90000", "profile=1;level-idx=9;tier=0", "1 9"),
            ("VP9/90000", "profile-id=2", "profile 2"),
            ("VP8/90000", "", ""),
            ("JPEG/90000", "", ""),
            (
                "MP4V-ES/90000",
                "profile-level-id=1; config=000001B001000001B58913000001000000012000C48D8800CD14042D5443",
                "0 1, 640 x 362",
            ),
            ("MP4V-ES/90000", "config=00", ""),
            ("MP2T/90000", "", "unknown"),
        ] {
            assert_eq!(
                told(track("video", rtpmap, fmtp).parameters()),
                expected,
                "{rtpmap} {fmtp}"
            );
        }
    }

    #[test]
    fn descriptions_tell_what_sound_is_like() {
        for (rtpmap, fmtp, expected) in [
            ("opus/48000/2", "sprop-stereo=1", "48000 Hz, 2 channels"),
            ("opus/48000/2", "", "48000 Hz, 1 channel"),
            ("multiopus/48000/6", "num_streams=4", "48000 Hz, 6 channels"),
            (
                "mpeg4-generic/48000/2",
                "config=1190",
                "48000 Hz, 2 channels",
            ),
            (
                "mpeg4-generic/22050/2",
                "config=2B920800",
                "22050 Hz (44100 Hz), 2 channels",
            ),
            ("mpeg4-generic/44100/1", "config=zz", "44100 Hz, 1 channel"),
            (
                "MP4A-LATM/24000/2",
                "cpresent=0; config=40002620",
                "24000 Hz, 2 channels",
            ),
            ("MP4A-LATM/16000/1", "", "16000 Hz, 1 channel"),
            ("MP4A-LATM/90000", "", ""),
            ("AC3/48000/6", "", "48000 Hz, 6 channels"),
            (
                "vorbis/44100/2",
                "configuration=AAAA",
                "44100 Hz, 2 channels",
            ),
            ("speex/16000", "", "16000 Hz, 1 channel"),
            ("PCMU/8000", "", "8000 Hz, 1 channel"),
            ("PCMA/16000/2", "", "16000 Hz, 2 channels"),
            ("G722/8000", "", "16000 Hz, 1 channel"),
            ("G726-32/8000", "", "8000 Hz, 1 channel"),
            ("AAL2-G726-16/8000", "", "8000 Hz, 1 channel"),
            ("L16/44100/2", "", "44100 Hz, 2 channels"),
            ("L8/48000", "", "48000 Hz, 1 channel"),
            ("MPA/90000", "", "unknown"),
            ("smpte336m/90000", "", "unknown"),
            ("G729/8000", "", "unknown"),
        ] {
            assert_eq!(
                told(track("audio", rtpmap, fmtp).parameters()),
                expected,
                "{rtpmap} {fmtp}"
            );
        }
    }

    #[test]
    fn packets_tell_what_descriptions_do_not() {
        let mp3 = hex("00000000 fffb9064");
        for (rtpmap, payload, expected) in [
            (
                "H264/90000",
                hex("674d0029e2900f0044fcb80b7010101a41e24454"),
                "Main 4.1, 1920 x 1080",
            ),
            (
                "H265/90000",
                hex(
                    "42010101600000030090000003000003001ea0208316595952930bc05a020000030002000003000a10",
                ),
                "Main 1, 64 x 48, 5/1",
            ),
            (
                "AV1/90000",
                hex("100a0b0000000cc4ff6936be4010"),
                "0 1, 640 x 362",
            ),
            ("VP8/90000", hex("10 100200 9d012a 8002e001"), "640 x 480"),
            ("JPEG/90000", hex("00000000 01ff503c"), "640 x 480"),
            (
                "MPV/90000",
                hex("00003900 000001b3 2801e033"),
                "640 x 480, 25/1",
            ),
            ("MPA/90000", mp3, "44100 Hz, 2 channels"),
            (
                "AC3/48000",
                hex("0001 0b770000 1440 e140 0000"),
                "48000 Hz, 6 channels",
            ),
            ("MP4A-LATM/90000", hex("0000119000"), "48000 Hz, 2 channels"),
        ] {
            let track = track("video", rtpmap, "");
            assert_eq!(
                track.parameters_in(&payload).map(told).as_deref(),
                Some(expected),
                "{rtpmap}"
            );
            assert_eq!(track.parameters_in(&[]), None);
        }
        let described = track("audio", "MP4A-LATM/90000", "cpresent=0;config=40002620");
        assert_eq!(described.parameters_in(&hex("0000119000")), None);
    }

    #[test]
    fn a_track_with_an_absurd_parameter_set_is_refused_with_its_line() {
        use ParameterError::{NumberTooLong, Size, Usability};
        // A size of 70 000 macroblocks, 32 leading zeros, usability information that is cut.
        for (set, expected) in [
            (
                "Z0IAHvQAAIi4YA==",
                Size {
                    width: 1_120_000,
                    height: 16,
                },
            ),
            ("Z0IAHgAAAwAAA4CA", NumberTooLong),
            ("Z2QAKKzZQHgCJ+XARAA=", Usability),
        ] {
            let text = format!(
                "v=0\nm=audio 0 RTP/AVP 0\nm=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n\
                 a=fmtp:96 sprop-parameter-sets={set},aM48gA==\n"
            );
            let refused = tracks(&parse(text.as_bytes()).unwrap()).unwrap_err();
            assert_eq!(
                (refused.line, refused.what),
                (3, SdpErrorKind::Parameters(expected))
            );
        }
    }
}
