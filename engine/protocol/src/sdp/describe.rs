//! The description that readers get, written from a stream's tracks.
//!
//! Input are [`TrackDescription`]s as the publisher announced them, with parameter sets that the
//! stream has brought since; output is the text of a DESCRIBE answer, in which each track is addressed
//! as `trackID=N`.

use super::format::FormatParameters;
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

/// Where media is sent: wherever its reader says at SETUP.
const ANYWHERE_V4: &str = "IN IP4 0.0.0.0";
const ANYWHERE_V6: &str = "IN IP6 ::";

/// What [`describe`] has written, as peers over IPv6 have to be told it: GStreamer (1.22) and live555 (2024) open sockets
/// of the family that the connection line names (RFC 8866 §5.7).
#[must_use]
pub fn over_ipv6(description: &str) -> String {
    description.replacen(ANYWHERE_V4, ANYWHERE_V6, 1)
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
        connection: Some(ANYWHERE_V4.into()),
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

/// The publisher's format parameters as they came, with the codec's own put in where they do not say the
/// codec: it has changed since, or a mode was raised.
fn fmtp(track: &TrackDescription) -> Option<String> {
    let announced = track.fmtp.as_deref();
    let text = announced.unwrap_or_default();
    let unsaid = track.codec.unsaid_parameters(track.encoding(), text);
    if unsaid.is_empty() {
        announced.map(str::to_owned)
    } else {
        Some(with_parameters(text, &unsaid)).filter(|fmtp| !fmtp.is_empty())
    }
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
    let written = own.iter().filter(|(_, value)| !value.is_empty());
    let written = written.map(|(name, value)| format!("{name}={value}"));
    kept.chain(written).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::super::{Codec, parse, same_tracks, tracks};
    use super::*;

    const ORIGIN: Origin<'_> = Origin {
        session_id: 12,
        session_version: 3,
        name: "cam/front",
    };

    const ANNOUNCED: &str = "v=0\r\n\
        m=video 0 RTP/AVP 96 97\r\n\
        b=AS:2000\r\n\
        a=rtpmap:96 H264/90000\r\n\
        a=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z0LAHg==,aM4G4g==\r\n\
        a=framerate:25\r\n\
        a=rtpmap:97 rtx/90000\r\n\
        a=recvonly\r\n\
        a=control:rtsp://10.0.0.1/cam/streamid=0\r\n\
        m=audio 0 RTP/AVP 0\r\n";

    fn announced() -> Vec<TrackDescription> {
        tracks(&parse(ANNOUNCED.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn over_ipv6_only_the_family_is_another() {
        let description = describe(&announced(), &ORIGIN);
        let other = over_ipv6(&description);
        let lines = description.lines().zip(other.lines());
        let changed: Vec<_> = lines.filter(|(one, other)| one != other).collect();
        assert_eq!(changed, [("c=IN IP4 0.0.0.0", "c=IN IP6 ::")]);
    }

    #[test]
    fn readers_are_told_the_tracks_under_our_own_controls() {
        let expected = "v=0\r\n\
            o=- 12 3 IN IP4 127.0.0.1\r\n\
            s=cam/front\r\n\
            c=IN IP4 0.0.0.0\r\n\
            t=0 0\r\n\
            a=control:*\r\n\
            m=video 0 RTP/AVP 96 97\r\n\
            b=AS:2000\r\n\
            a=rtpmap:96 H264/90000\r\n\
            a=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z0LAHg==,aM4G4g==\r\n\
            a=framerate:25\r\n\
            a=rtpmap:97 rtx/90000\r\n\
            a=control:trackID=0\r\n\
            m=audio 0 RTP/AVP 0\r\n\
            a=control:trackID=1\r\n";
        assert_eq!(describe(&announced(), &ORIGIN), expected);
    }

    #[test]
    fn what_is_described_is_read_as_the_same_tracks() {
        let text = describe(&announced(), &ORIGIN);
        let again = tracks(&parse(text.as_bytes()).unwrap()).unwrap();
        assert!(same_tracks(&announced(), &again));
        assert_eq!(again[0].codec, announced()[0].codec);
        assert_eq!(again[1].control.as_deref(), Some("trackID=1"));
        assert!(sdp_types::Session::parse(text.as_bytes()).is_ok());
    }

    #[test]
    fn new_parameter_sets_replace_the_announced_ones() {
        let mut changed = announced();
        changed[0].codec = Codec::H264 {
            sps: vec![Bytes::from_static(&[0x67, 0x64, 0x00, 0x1f])],
            pps: vec![Bytes::from_static(&[0x68, 0xee])],
            packetization_mode: 1,
        };
        let text = describe(&changed, &ORIGIN);
        let fmtp = "a=fmtp:96 packetization-mode=1; profile-level-id=64001F; \
                    sprop-parameter-sets=Z2QAHw==,aO4=\r\n";
        assert!(text.contains(fmtp), "{text}");
        let again = tracks(&parse(text.as_bytes()).unwrap()).unwrap();
        assert_eq!(again[0].codec, changed[0].codec);
    }

    #[test]
    fn packetization_mode_0_is_raised() {
        for (announced, described) in [
            ("", "packetization-mode=1"),
            (
                "a=fmtp:96 profile-level-id=42e01e\n",
                "profile-level-id=42e01e; packetization-mode=1",
            ),
            (
                "a=fmtp:96 packetization-mode=0;x=y\n",
                "x=y; packetization-mode=1",
            ),
            (
                "a=fmtp:96 packetization-mode=2;x=y\n",
                "packetization-mode=2;x=y",
            ),
        ] {
            let text = format!("m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n{announced}");
            let text = describe(&tracks(&parse(text.as_bytes()).unwrap()).unwrap(), &ORIGIN);
            assert!(
                text.contains(&format!("a=fmtp:96 {described}\r\n")),
                "{text}"
            );
        }
    }

    #[test]
    fn sets_that_trip_readers_up_are_not_described() {
        for (rtpmap, announced, described) in [
            (
                "H264",
                "packetization-mode=1;sprop-parameter-sets=;x",
                "x; packetization-mode=1",
            ),
            (
                "H264",
                "packetization-mode=1;SPROP-parameter-sets=,",
                "packetization-mode=1",
            ),
            (
                "H264",
                "sprop-parameter-sets=!,AAAA",
                "packetization-mode=1",
            ),
            (
                "H264",
                "packetization-mode=1;sprop-parameter-sets=AAAAAWdCwB4=,aM4G4g==,",
                "packetization-mode=1; profile-level-id=42C01E; sprop-parameter-sets=Z0LAHg==,aM4G4g==",
            ),
            (
                "H265",
                "sprop-vps=AAAAAUABDAE;sprop-sps=%;x=y",
                "x=y; sprop-vps=QAEMAQ==",
            ),
        ] {
            let text = format!(
                "m=video 0 RTP/AVP 96\na=rtpmap:96 {rtpmap}/90000\na=fmtp:96 {announced}\n"
            );
            let text = describe(&tracks(&parse(text.as_bytes()).unwrap()).unwrap(), &ORIGIN);
            assert!(
                text.contains(&format!("a=fmtp:96 {described}\r\n")),
                "{text}"
            );
        }
    }

    #[test]
    fn parameter_sets_are_described_where_none_were_announced() {
        let text = "m=video 0 RTP/AVP 96\na=rtpmap:96 H265/90000\na=fmtp:96 tx-mode=SRST\n";
        let mut changed = tracks(&parse(text.as_bytes()).unwrap()).unwrap();
        changed[0].codec = Codec::H265 {
            vps: vec![Bytes::from_static(&[0x40, 1, 2])],
            sps: vec![Bytes::from_static(&[0x42, 1, 2])],
            pps: vec![],
        };
        let text = describe(&changed, &ORIGIN);
        let fmtp = "a=fmtp:96 tx-mode=SRST; sprop-vps=QAEC; sprop-sps=QgEC\r\n";
        assert!(text.contains(fmtp), "{text}");
    }

    #[test]
    fn a_name_cannot_add_lines() {
        let origin = Origin {
            name: "a\r\nm=video 0 RTP/AVP 96\n",
            ..ORIGIN
        };
        let session = parse(describe(&[], &origin).as_bytes()).unwrap();
        assert_eq!(session.name.as_deref(), Some("am=video 0 RTP/AVP 96"));
        assert_eq!(session.media, []);
        let unnamed = Origin { name: "", ..ORIGIN };
        assert!(describe(&[], &unnamed).contains("\r\ns=-\r\n"));
    }
    proptest! {
        #[test]
        fn whatever_was_announced_is_described_as_the_same_tracks(
            media in proptest::collection::vec((
                "(video|audio|metadata) 0 RTP/AVP (96|26|0)( 97)?",
                "(H264|H265|opus|mpeg4-generic|x)/[1-9][0-9]{0,5}(/2)?",
                "[ -~]{0,40}",
                "(sprop-parameter-sets|sprop-sps|config)=[A-Za-z0-9+/=,;]{0,40}",
            ), 0..5),
        ) {
            let mut text = String::from("v=0\n");
            for (medium, rtpmap, attribute, fmtp) in media {
                let payload_type = &medium[medium.find("AVP ").unwrap() + 4..];
                let payload_type = payload_type.split(' ').next().unwrap();
                text.push_str(&format!(
                    "m={medium}\na=rtpmap:{payload_type} {rtpmap}\na={attribute}\n\
                     a=fmtp:{payload_type} {fmtp}\n"
                ));
            }
            if let Ok(announced) = tracks(&parse(text.as_bytes()).unwrap()) {
                let described = describe(&announced, &ORIGIN);
                let again = tracks(&parse(described.as_bytes()).unwrap()).unwrap();
                prop_assert!(same_tracks(&announced, &again), "{text}\n{described}");
                let controls: Vec<_> = again.iter().filter_map(|t| t.control.clone()).collect();
                let expected: Vec<_> = (0..again.len()).map(|n| format!("trackID={n}")).collect();
                prop_assert_eq!(controls, expected);
            }
        }
    }
}
