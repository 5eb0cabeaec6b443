//! The `Transport` header: which alternative of a `SETUP` can be taken, and how the choice is
//! written. `server` chooses; `client` offers, and reads what was chosen.

use std::fmt;

/// A pair of channels of the control connection (RFC 2326, section 10.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interleaved {
    /// Channel of the RTP packets.
    pub rtp: u8,
    /// Channel of the RTCP packets.
    pub rtcp: u8,
}

/// Which way the packets of a session go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// To a reader.
    Play,
    /// From a publisher.
    Record,
}

/// One alternative of a `Transport` header: RTP over the control connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransportOffer {
    /// The channels, when they are given.
    pub interleaved: Option<Interleaved>,
    /// The mode, when it is given. The default is to play (RFC 2326, section 12.39).
    pub mode: Option<Mode>,
    /// The stream's synchronisation source, when it is given.
    pub ssrc: Option<u32>,
}

/// No alternative can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// There is no `Transport` header, or it cannot be read.
    #[error("no readable Transport header")]
    Malformed,
    /// Only UDP, multicast, encrypted or otherwise unknown alternatives, or another destination
    /// than the peer itself.
    #[error("no alternative is RTP over this connection")]
    Unsupported,
}

impl TransportOffer {
    /// The first alternative of a request's `Transport` headers that is RTP over the control
    /// connection, to its peer and nobody else. Alternatives stand in the peer's order of preference.
    ///
    /// # Errors
    /// [`TransportError`].
    pub fn choose<'a>(headers: impl Iterator<Item = &'a str>) -> Result<Self, TransportError> {
        Self::first(headers, |alternative| {
            let redirected = parameters(alternative)
                .any(|(name, _)| matches!(name.as_str(), "destination" | "dest_addr"));
            !redirected
        })
    }

    /// What a response's `Transport` header says was chosen. Servers built on live555 tell us our
    /// own address as `destination`.
    ///
    /// # Errors
    /// [`TransportError`].
    pub fn chosen<'a>(headers: impl Iterator<Item = &'a str>) -> Result<Self, TransportError> {
        Self::first(headers, |_| true)
    }

    fn first<'a>(
        headers: impl Iterator<Item = &'a str>,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<Self, TransportError> {
        let alternatives = headers.flat_map(|header| split_unquoted(header, ','));
        let mut error = TransportError::Malformed;
        for alternative in alternatives.filter(|text| !text.trim().is_empty()) {
            match Self::parse(alternative) {
                Ok(offer) if is_wanted(alternative) => return Ok(offer),
                Err(TransportError::Malformed) => return Err(TransportError::Malformed),
                _ => error = TransportError::Unsupported,
            }
        }
        Err(error)
    }

    /// Reads one alternative.
    fn parse(alternative: &str) -> Result<Self, TransportError> {
        let protocol = alternative.split(';').next().unwrap_or_default().trim();
        if protocol.is_empty() {
            return Err(TransportError::Malformed);
        }
        if !protocol.eq_ignore_ascii_case("RTP/AVP/TCP") {
            return Err(TransportError::Unsupported);
        }
        let mut offer = Self::default();
        for (name, value) in parameters(alternative) {
            match name.as_str() {
                "interleaved" => offer.interleaved = Some(channels(value)?),
                "mode" => offer.mode = Some(mode(value)?),
                "ssrc" => offer.ssrc = ssrc(value),
                "multicast" => return Err(TransportError::Unsupported),
                _ => {}
            }
        }
        Ok(offer)
    }
}

/// The form that clients send and servers answer with.
impl fmt::Display for TransportOffer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RTP/AVP/TCP;unicast")?;
        if let Some(Interleaved { rtp, rtcp }) = self.interleaved {
            write!(formatter, ";interleaved={rtp}-{rtcp}")?;
        }
        if let Some(ssrc) = self.ssrc {
            write!(formatter, ";ssrc={ssrc:08X}")?;
        }
        match self.mode {
            Some(Mode::Record) => formatter.write_str(";mode=record"),
            Some(Mode::Play) => formatter.write_str(";mode=play"),
            None => Ok(()),
        }
    }
}

impl Interleaved {
    /// The usual channels of a track: twice its number, and the one above.
    pub fn of_track(track: usize) -> Option<Self> {
        let rtp = u8::try_from(track.checked_mul(2)?).ok()?;
        let rtcp = rtp.checked_add(1)?;
        Some(Self { rtp, rtcp })
    }

    /// Whether the two pairs share a channel.
    pub fn overlaps(self, other: Self) -> bool {
        let others = [other.rtp, other.rtcp];
        others.contains(&self.rtp) || others.contains(&self.rtcp)
    }
}

/// `0-1`, or a single channel, whose neighbour then carries RTCP.
fn channels(value: &str) -> Result<Interleaved, TransportError> {
    let channel = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u8>().ok()).flatten()
    };
    let pair = match value.split_once('-') {
        Some((rtp, rtcp)) => channel(rtp.trim()).zip(channel(rtcp.trim())),
        None => channel(value).and_then(|rtp| Some((rtp, rtp.checked_add(1)?))),
    };
    pair.filter(|(rtp, rtcp)| rtp != rtcp)
        .map(|(rtp, rtcp)| Interleaved { rtp, rtcp })
        .ok_or(TransportError::Malformed)
}

/// `play`, `record`, or a list of both, in which recording is what a publisher means. Some old
/// encoders say `receive`.
fn mode(value: &str) -> Result<Mode, TransportError> {
    let mut words = value.split(',').map(|word| word.trim().trim_matches('"'));
    let first = words.next().unwrap_or_default();
    let is_record =
        |word: &str| word.eq_ignore_ascii_case("record") || word.eq_ignore_ascii_case("receive");
    match is_record(first) || words.any(is_record) {
        true => Ok(Mode::Record),
        false if first.eq_ignore_ascii_case("play") => Ok(Mode::Play),
        false => Err(TransportError::Malformed),
    }
}

/// Eight hexadecimal digits (RFC 2326, section 12.39). Cameras send fewer, a blank before them, or
/// `0x`; a value that is still none is only a hint lost.
fn ssrc(value: &str) -> Option<u32> {
    let digits = value.strip_prefix("0x").unwrap_or(value);
    u32::from_str_radix(digits, 16).ok()
}

/// The parameters of an alternative: names in lower case, values without quotes.
fn parameters(alternative: &str) -> impl Iterator<Item = (String, &str)> {
    split_unquoted(alternative, ';').skip(1).map(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let name = name.trim().to_ascii_lowercase();
        (name, value.trim().trim_matches('"'))
    })
}

/// Splits at a separator that does not stand in quotes (`mode="PLAY,RECORD"`).
fn split_unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |character| {
        quoted ^= character == '"';
        !quoted && character == separator
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(header: &str) -> Result<TransportOffer, TransportError> {
        TransportOffer::choose(std::iter::once(header))
    }

    fn tcp(rtp: u8, rtcp: u8, mode: Option<Mode>) -> TransportOffer {
        let interleaved = Some(Interleaved { rtp, rtcp });
        TransportOffer {
            interleaved,
            mode,
            ssrc: None,
        }
    }

    #[test]
    fn what_real_clients_send_is_understood() {
        for (header, offer) in [
            // FFmpeg and VLC reading, FFmpeg publishing, GStreamer publishing.
            ("RTP/AVP/TCP;unicast;interleaved=0-1", tcp(0, 1, None)),
            (
                "RTP/AVP/TCP;unicast;interleaved=2-3;mode=record",
                tcp(2, 3, Some(Mode::Record)),
            ),
            (
                "RTP/AVP/TCP;unicast;interleaved=2-3;mode=\"RECORD\"",
                tcp(2, 3, Some(Mode::Record)),
            ),
            (
                "RTP/AVP/TCP;interleaved=0-1;mode=\"PLAY,RECORD\"",
                tcp(0, 1, Some(Mode::Record)),
            ),
            ("rtp/avp/tcp; unicast; interleaved=4", tcp(4, 5, None)),
            (
                "RTP/AVP/TCP;interleaved=1-2;mode=play",
                tcp(1, 2, Some(Mode::Play)),
            ),
        ] {
            assert_eq!(choose(header), Ok(offer), "{header}");
        }
    }

    #[test]
    fn the_first_alternative_over_this_connection_is_taken() {
        let header = "RTP/AVP;unicast;client_port=5000-5001,RTP/AVP;multicast,\
            RTP/AVP/TCP;unicast;interleaved=6-7,RTP/AVP/TCP;unicast;interleaved=8-9";
        assert_eq!(choose(header), Ok(tcp(6, 7, None)));
        let several = [
            "RTP/AVP;unicast;client_port=1-2",
            "RTP/AVP/TCP;interleaved=0-1",
        ];
        assert_eq!(
            TransportOffer::choose(several.into_iter()),
            Ok(tcp(0, 1, None))
        );
    }

    #[test]
    fn other_transports_and_destinations_are_unsupported() {
        for header in [
            "RTP/AVP;unicast;client_port=5000-5001",
            "RTP/AVP/UDP;unicast;client_port=5000-5001",
            "RTP/SAVP/TCP;unicast;interleaved=0-1",
            "RTP/AVP/TCP;multicast;interleaved=0-1",
            "RTP/AVP/TCP;unicast;destination=192.0.2.1;interleaved=0-1",
        ] {
            assert_eq!(choose(header), Err(TransportError::Unsupported), "{header}");
        }
    }

    #[test]
    fn what_cameras_answer_is_understood() {
        for (header, rtp, ssrc) in [
            // Reolink, on live555.
            (
                "RTP/AVP/TCP;unicast;destination=192.0.2.1;source=192.0.2.2;interleaved=0-1",
                0,
                None,
            ),
            // Hikvision and Rubetek.
            (
                "RTP/AVP/TCP;unicast;interleaved=0-1;ssrc= d6d6627",
                0,
                Some(0xd6d_6627),
            ),
            (
                "RTP/AVP/TCP;unicast;interleaved=2-3;ssrc=0x6f7c;mode=\"PLAY\"",
                2,
                Some(0x6f7c),
            ),
            ("RTP/AVP/TCP;interleaved=0-1;ssrc=none,", 0, None),
        ] {
            let chosen = TransportOffer::chosen(std::iter::once(header)).unwrap();
            assert_eq!(chosen.interleaved.unwrap().rtp, rtp, "{header}");
            assert_eq!(chosen.ssrc, ssrc, "{header}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_malformed() {
        let none = TransportOffer::choose(std::iter::empty());
        assert_eq!(none, Err(TransportError::Malformed));
        for header in [
            "",
            ";",
            "RTP/AVP/TCP;interleaved=",
            "RTP/AVP/TCP;interleaved=0-0",
            "RTP/AVP/TCP;interleaved=255",
            "RTP/AVP/TCP;interleaved=255-256",
            "RTP/AVP/TCP;interleaved=-1",
            "RTP/AVP/TCP;interleaved=0-1-2",
            "RTP/AVP/TCP;mode=steal",
        ] {
            assert_eq!(choose(header), Err(TransportError::Malformed), "{header}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let offer = TransportOffer {
            interleaved: Interleaved::of_track(3),
            mode: Some(Mode::Record),
            ssrc: Some(0xAB),
        };
        assert_eq!(choose(&offer.to_string()), Ok(offer));
    }

    #[test]
    fn the_last_track_with_usual_channels_is_the_127th() {
        assert!(Interleaved::of_track(127).is_some());
        assert!(Interleaved::of_track(128).is_none());
        assert!(Interleaved::of_track(usize::MAX).is_none());
    }
}
