//! Tracks of a path, as the API shows them: the codec by MediaMTX's name, and what is known of its pictures or sound.

use serde_json::{Value, json};
use shardcast_protocol::codec::{
    AudioParameters, Level, Profile, TrackParameters, VideoParameters,
};
use shardcast_protocol::sdp::{Codec, TrackDescription};

use crate::stream::StreamInfo;

/// The names of a stream's codecs.
pub(super) fn codecs(stream: &StreamInfo) -> Vec<String> {
    let tracks = stream.tracks().iter();
    tracks.map(|track| track.codec.to_string()).collect()
}

/// A stream's tracks with their properties.
pub(super) fn items(stream: &StreamInfo) -> Vec<Value> {
    let tracks = stream.tracks().iter().zip(stream.parameters());
    tracks.map(|(track, known)| item(track, *known)).collect()
}

fn item(track: &TrackDescription, known: TrackParameters) -> Value {
    json!({
        "codec": track.codec.to_string(),
        "codecProps": properties(&track.codec, known),
    })
}

/// What MediaMTX tells of a codec, in its types; what is not known is 0 or empty there, and null of a codec of which it
/// tells nothing.
fn properties(codec: &Codec, known: TrackParameters) -> Value {
    let (video, audio) = match known {
        TrackParameters::Unknown => (VideoParameters::default(), AudioParameters::default()),
        TrackParameters::Video(video) => (video, AudioParameters::default()),
        TrackParameters::Audio(audio) => (VideoParameters::default(), audio),
    };
    let (width, height) = video.size.map_or((0, 0), |size| (size.width, size.height));
    let rate = audio.sample_rate.unwrap_or_default();
    let channels = audio.channels.unwrap_or_default();
    match codec {
        Codec::H264 { .. } | Codec::H265 { .. } => json!({
            "width": width,
            "height": height,
            "profile": video.profile.map(|profile| profile.to_string()).unwrap_or_default(),
            "level": video.level.map(|level| level.to_string()).unwrap_or_default(),
        }),
        Codec::Av1 => json!({
            "width": width,
            "height": height,
            "profile": video.profile.map_or(0, profile_number),
            "level": video.level.map_or(0, level_number),
            "tier": video.tier.unwrap_or_default(),
        }),
        Codec::Vp9 => json!({ "profile": video.profile.map_or(0, profile_number) }),
        Codec::Opus => json!({ "channelCount": channels }),
        Codec::Aac { .. } | Codec::Ac3 => json!({ "sampleRate": rate, "channelCount": channels }),
        Codec::G711 { mu_law } => json!({
            "muLaw": mu_law,
            "sampleRate": rate,
            "channelCount": channels,
        }),
        Codec::Lpcm { bits } => json!({
            "bitDepth": bits,
            "sampleRate": rate,
            "channelCount": channels,
        }),
        _ => Value::Null,
    }
}

const fn profile_number(profile: Profile) -> u8 {
    match profile {
        Profile::H264(number) | Profile::H265(number) | Profile::Number(number) => number,
    }
}

const fn level_number(level: Level) -> u8 {
    match level {
        Level::H264(number) | Level::H265(number) | Level::Number(number) => number,
    }
}
