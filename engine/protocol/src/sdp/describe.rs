//! The description that readers get, written from a stream's tracks.
//!
//! Input are [`TrackDescription`]s as the publisher announced them, with parameter sets that the
//! stream has brought since; output is the text of a DESCRIBE answer, in which each track is addressed
//! as `trackID=N`.

use super::codec::{Codec, FormatParameters};
use super::track::TrackDescription;
use super::{Attribute, MediaDescription, SessionDescription};

/// Who describes what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Origin<'a> {
    /// Tells this stream's life from others (RFC 8866 §5.2).
    pub session_id: u64,
    /// Goes up when the description of the same life changes.
    pub session_version: u64,
    /// The session's name; `-` is written for an empty one.
    pub name: &'a str,
}

/// Writes the description of `tracks`.
#[must_use]
pub fn describe(tracks: &[TrackDescription], origin: &Origin<'_>) -> String {
    let session = SessionDescription {
        origin: Some(format!(
            "- {} {} IN IP4 127.0.0.1",
            origin.session_id, origin.session_version
        )),
        name: one_line(origin.name),
        connection: Some("IN IP4 0.0.0.0".into()),
        timing: Some("0 0".into()),
        attributes: vec![Attribute::new("control", "*")],
        media: tracks.iter().enumerate().map(media).collect(),
        ..SessionDescription::default()
    };
    session.to_string()
}

/// A name without what would end its line, or nothing of an empty one.
fn one_line(name: &str) -> Option<String> {
    let kept: String = name.chars().filter(|c| !c.is_control()).collect();
    (!kept.is_empty()).then_some(kept)
}

fn media((index, track): (usize, &TrackDescription)) -> MediaDescription {
    let leading = track.payload_type.value();
    let mut formats = vec![leading.to_string()];
    formats.extend(
        track
            .other_payload_types
            .iter()
            .map(|other| other.value().to_string()),
    );
    let mut attributes = Vec::with_capacity(track.attributes.len() + 3);
    if let Some(rtpmap) = &track.rtpmap {
        attributes.push(Attribute::new("rtpmap", &format!("{leading} {rtpmap}")));
    }
    if let Some(fmtp) = fmtp(track) {
        attributes.push(Attribute::new("fmtp", &format!("{leading} {fmtp}")));
    }
    attributes.extend(track.attributes.iter().cloned());
    attributes.push(Attribute::new("control", &format!("trackID={index}")));
    MediaDescription {
        media: track.kind.to_string(),
        protocol: "RTP/AVP".into(),
        formats,
        bandwidth: track.bandwidth.clone(),
        attributes,
        ..MediaDescription::default()
    }
}

/// The publisher's format parameters as they came, or with the codec's own put in where the codec has
/// changed since.
fn fmtp(track: &TrackDescription) -> Option<String> {
    let announced = track.fmtp.as_deref();
    let unchanged = Codec::from_encoding(track.encoding(), announced.unwrap_or_default());
    if unchanged == track.codec {
        return announced.map(str::to_owned);
    }
    Some(with_parameters(
        announced.unwrap_or_default(),
        &track.codec.format_parameters(),
    ))
    .filter(|fmtp| !fmtp.is_empty())
}

/// The parameters without those that the codec writes itself, then the codec's own.
fn with_parameters(fmtp: &str, own: &FormatParameters) -> String {
    let key_of = |parameter: &str| {
        let key = parameter.split_once('=').map_or(parameter, |(key, _)| key);
        key.trim().to_ascii_lowercase()
    };
    let kept = fmtp
        .split(';')
        .map(str::trim)
        .filter(|parameter| !parameter.is_empty())
        .filter(|parameter| own.iter().all(|(name, _)| *name != key_of(parameter)))
        .map(str::to_owned);
    let written = own.iter().map(|(name, value)| format!("{name}={value}"));
    kept.chain(written).collect::<Vec<_>>().join("; ")
}
