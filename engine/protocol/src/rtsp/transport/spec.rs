//! The `Transport` header (RFC 2326, section 12.39): a list of transport specs, in the peer's order
//! of preference when they are offered, and one when it was chosen.

use std::fmt;
use std::net::IpAddr;

use super::{Interleaved, Mode, PortPair, TransportKind};

/// One transport spec: RTP by one of the lower transports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransportSpec {
    /// The lower transport.
    pub kind: TransportKind,
    /// The channels, when they are given.
    pub interleaved: Option<Interleaved>,
    /// The ports of whoever sent the `SETUP`, when they are given.
    pub client_port: Option<PortPair>,
    /// The ports of whoever answers it, when they are given.
    pub server_port: Option<PortPair>,
    /// The ports of a group, when they are given.
    pub port: Option<PortPair>,
    /// Where packets shall go, as it was sent.
    pub destination: Option<String>,
    /// Where packets come from, as it was sent.
    pub source: Option<String>,
    /// How many routers a group's packets pass, when it is given.
    pub ttl: Option<u8>,
    /// The mode, when it is given. The default is to play (RFC 2326, section 12.39).
    pub mode: Option<Mode>,
    /// The stream's synchronisation source, when it is given.
    pub ssrc: Option<u32>,
}

/// No transport spec can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// There is no `Transport` header, or nothing in it can be read.
    #[error("no readable Transport header")]
    Malformed,
    /// Only what is not enabled, encrypted, meant for others or otherwise unusable.
    #[error("no alternative of the Transport header can be had")]
    Unsupported,
}

impl TransportSpec {
    /// The first spec of a message's `Transport` headers that is wanted.
    ///
    /// # Errors
    /// [`TransportError`].
    pub fn choose<'a>(
        headers: impl Iterator<Item = &'a str>,
        is_wanted: impl Fn(&Self) -> bool,
    ) -> Result<Self, TransportError> {
        let specs = headers.flat_map(|header| split_unquoted(header, ','));
        let mut failure = TransportError::Malformed;
        for spec in specs.filter(|text| !text.trim().is_empty()) {
            match Self::parse(spec) {
                Ok(spec) if is_wanted(&spec) => return Ok(spec),
                Ok(_) | Err(TransportError::Unsupported) => failure = TransportError::Unsupported,
                Err(TransportError::Malformed) => {}
            }
        }
        Err(failure)
    }

    /// Reads one spec.
    fn parse(text: &str) -> Result<Self, TransportError> {
        let protocol = text.split(';').next().unwrap_or_default().trim();
        let is = |known: &str| protocol.eq_ignore_ascii_case(known);
        let mut spec = match () {
            () if protocol.is_empty() => return Err(TransportError::Malformed),
            () if is("RTP/AVP/TCP") => Self::of_kind(TransportKind::Tcp),
            () if is("RTP/AVP") || is("RTP/AVP/UDP") => Self::of_kind(TransportKind::Udp),
            () => return Err(TransportError::Unsupported),
        };
        for (name, value) in parameters(text) {
            spec.take_parameter(&name, value)?;
        }
        Ok(spec)
    }

    /// RTP by this lower transport, and nothing said about it.
    pub fn of_kind(kind: TransportKind) -> Self {
        Self {
            kind,
            ..Self::default()
        }
    }

    fn take_parameter(&mut self, name: &str, value: &str) -> Result<(), TransportError> {
        match name {
            "multicast" if self.kind == TransportKind::Tcp => {
                return Err(TransportError::Unsupported);
            }
            "multicast" => self.kind = TransportKind::Multicast,
            "interleaved" => self.interleaved = Some(channels(value)?),
            "client_port" => self.client_port = Some(ports(value)?),
            "server_port" => self.server_port = ports(value).ok(),
            "port" => self.port = ports(value).ok(),
            "destination" | "dest_addr" => self.destination = text(value),
            "source" | "src_addr" => self.source = text(value),
            "ttl" => self.ttl = value.parse().ok(),
            "mode" => self.mode = Some(mode(value)?),
            "ssrc" => self.ssrc = ssrc(value),
            _ => {}
        }
        Ok(())
    }

    /// Whether packets shall go to `peer`, as far as the spec says: nobody may have them sent to
    /// somebody else. A group that a reader proposes is no third party: it is told ours.
    pub fn is_meant_for(&self, peer: IpAddr) -> bool {
        let Some(destination) = &self.destination else {
            return true;
        };
        let address = destination
            .parse()
            .map(|address: IpAddr| address.to_canonical());
        let is_group =
            |address: IpAddr| self.kind == TransportKind::Multicast && address.is_multicast();
        address.is_ok_and(|address| address == peer.to_canonical() || is_group(address))
    }
}

/// The form that clients send and servers answer with, parameters in the order of MediaMTX.
impl fmt::Display for TransportSpec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.kind {
            TransportKind::Tcp => "RTP/AVP/TCP;unicast",
            TransportKind::Udp => "RTP/AVP;unicast",
            TransportKind::Multicast => "RTP/AVP;multicast",
        })?;
        let mut put = |name: &str, value: Option<&dyn fmt::Display>| match value {
            Some(value) => write!(formatter, ";{name}={value}"),
            None => Ok(()),
        };
        put("source", shown(&self.source))?;
        put("destination", shown(&self.destination))?;
        put("interleaved", shown(&self.interleaved))?;
        put("port", shown(&self.port))?;
        put("ttl", shown(&self.ttl))?;
        put("client_port", shown(&self.client_port))?;
        put("server_port", shown(&self.server_port))?;
        put("ssrc", shown(&self.ssrc.map(|ssrc| format!("{ssrc:08X}"))))?;
        put("mode", shown(&self.mode))
    }
}

fn shown<T: fmt::Display>(value: &Option<T>) -> Option<&dyn fmt::Display> {
    value.as_ref().map(|value| value as &dyn fmt::Display)
}

impl fmt::Display for Mode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Play => "play",
            Self::Record => "record",
        })
    }
}

/// A value that says something.
fn text(value: &str) -> Option<String> {
    Some(value.to_owned()).filter(|value| !value.is_empty())
}

/// `0-1`, or a single channel, whose neighbour then carries RTCP.
fn channels(value: &str) -> Result<Interleaved, TransportError> {
    let (rtp, rtcp) = pair(value)?;
    u8::try_from(rtp)
        .ok()
        .zip(u8::try_from(rtcp).ok())
        .filter(|(rtp, rtcp)| rtp != rtcp)
        .map(|(rtp, rtcp)| Interleaved { rtp, rtcp })
        .ok_or(TransportError::Malformed)
}

/// `5000-5001`, or a single port, whose neighbour then carries RTCP. GStreamer has published with
/// `0-0`: a spec that can be read and not be had, so that it goes on to its next one.
fn ports(value: &str) -> Result<PortPair, TransportError> {
    match pair(value)? {
        (0, _) | (_, 0) => Err(TransportError::Unsupported),
        (rtp, rtcp) if rtp == rtcp => Err(TransportError::Malformed),
        (rtp, rtcp) => Ok(PortPair { rtp, rtcp }),
    }
}

/// Two numbers, or one, to which the next one belongs.
fn pair(value: &str) -> Result<(u16, u16), TransportError> {
    let number = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u16>().ok()).flatten()
    };
    let pair = match value.split_once('-') {
        Some((first, second)) => number(first.trim()).zip(number(second.trim())),
        None => number(value).and_then(|first| Some((first, first.checked_add(1)?))),
    };
    pair.ok_or(TransportError::Malformed)
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

    /// Takes whatever can be read.
    fn read(header: &str) -> Result<TransportSpec, TransportError> {
        TransportSpec::choose(std::iter::once(header), |_| true)
    }

    fn tcp(rtp: u8, rtcp: u8, mode: Option<Mode>) -> TransportSpec {
        TransportSpec {
            interleaved: Some(Interleaved { rtp, rtcp }),
            mode,
            ..TransportSpec::default()
        }
    }

    fn udp(rtp: u16, rtcp: u16, mode: Option<Mode>) -> TransportSpec {
        TransportSpec {
            client_port: Some(PortPair { rtp, rtcp }),
            mode,
            ..TransportSpec::of_kind(TransportKind::Udp)
        }
    }

    #[test]
    fn what_real_clients_send_is_understood() {
        let record = Some(Mode::Record);
        for (header, spec) in [
            // FFmpeg and VLC reading, FFmpeg publishing, GStreamer publishing.
            ("RTP/AVP/TCP;unicast;interleaved=0-1", tcp(0, 1, None)),
            (
                "RTP/AVP/TCP;unicast;interleaved=2-3;mode=record",
                tcp(2, 3, record),
            ),
            (
                "RTP/AVP/TCP;unicast;interleaved=2-3;mode=\"RECORD\"",
                tcp(2, 3, record),
            ),
            (
                "RTP/AVP/TCP;interleaved=0-1;mode=\"PLAY,RECORD\"",
                tcp(0, 1, record),
            ),
            ("rtp/avp/tcp; unicast; interleaved=4", tcp(4, 5, None)),
            (
                "RTP/AVP/TCP;interleaved=1-2;mode=play",
                tcp(1, 2, Some(Mode::Play)),
            ),
            // FFmpeg and VLC reading over UDP, FFmpeg publishing, and a client with one port.
            (
                "RTP/AVP/UDP;unicast;client_port=5000-5001",
                udp(5000, 5001, None),
            ),
            (
                "RTP/AVP;unicast;client_port=5000-5001",
                udp(5000, 5001, None),
            ),
            (
                "RTP/AVP/UDP;unicast;client_port=65534-65535;mode=record",
                udp(65534, 65535, record),
            ),
            ("RTP/AVP;client_port=5000", udp(5000, 5001, None)),
            // GStreamer reading from a group.
            (
                "RTP/AVP/UDP;multicast",
                TransportSpec::of_kind(TransportKind::Multicast),
            ),
        ] {
            assert_eq!(read(header), Ok(spec), "{header}");
        }
    }

    #[test]
    fn the_first_wanted_spec_of_all_headers_is_chosen() {
        let header = "RTP/AVP;unicast;client_port=5000-5001,RTP/AVP;multicast,\
            RTP/AVP/TCP;unicast;interleaved=6-7,RTP/AVP/TCP;unicast;interleaved=8-9";
        assert_eq!(read(header), Ok(udp(5000, 5001, None)));
        let is_tcp = |spec: &TransportSpec| spec.kind == TransportKind::Tcp;
        let chosen = TransportSpec::choose(std::iter::once(header), is_tcp);
        assert_eq!(chosen, Ok(tcp(6, 7, None)));
        let several = [
            "RTP/AVP;unicast;client_port=1-2",
            "RTP/AVP/TCP;interleaved=0-0,RTP/SAVP/TCP;interleaved=0-1",
            "RTP/AVP/TCP;interleaved=0-1",
        ];
        let chosen = TransportSpec::choose(several.into_iter(), is_tcp);
        assert_eq!(chosen, Ok(tcp(0, 1, None)));
    }

    #[test]
    fn what_is_not_wanted_or_unknown_is_unsupported() {
        let unwanted = TransportSpec::choose(std::iter::once("RTP/AVP;multicast"), |_| false);
        assert_eq!(unwanted, Err(TransportError::Unsupported));
        for header in [
            "RTP/SAVP/TCP;unicast;interleaved=0-1",
            "RTP/AVP/SCTP;unicast",
            "RAW/RAW/UDP;unicast;client_port=5000-5001",
            "RTP/AVP/TCP;multicast;interleaved=0-1",
            "RTP/AVP/TCP;interleaved=0-0,RTP/SAVP;client_port=1-2",
            "RTP/AVP/UDP;unicast;client_port=0-0;mode=RECORD",
            "RTP/AVP;client_port=0-1",
            "RTP/AVP;client_port=0",
        ] {
            assert_eq!(read(header), Err(TransportError::Unsupported), "{header}");
        }
    }

    #[test]
    fn packets_go_to_the_peer_or_to_a_group_and_to_nobody_else() {
        let peer: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        for (header, is_meant) in [
            ("RTP/AVP/TCP", true),
            ("RTP/AVP/TCP;destination=", true),
            ("RTP/AVP/TCP;destination=192.0.2.1", true),
            ("RTP/AVP/TCP;destination=\"192.0.2.1\"", true),
            ("RTP/AVP;client_port=1-2;destination=192.0.2.1", true),
            ("RTP/AVP;client_port=1-2;destination=192.0.2.2", false),
            ("RTP/AVP;client_port=1-2;destination=224.1.0.1", false),
            ("RTP/AVP;client_port=1-2;destination=host", false),
            ("RTP/AVP;client_port=1-2;dest_addr=\":5000\"", false),
            ("RTP/AVP;multicast;destination=224.1.0.1", true),
            ("RTP/AVP;multicast;destination=192.0.2.2", false),
        ] {
            assert_eq!(
                read(header).unwrap().is_meant_for(peer),
                is_meant,
                "{header}"
            );
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
            let chosen = read(header).unwrap();
            assert_eq!(chosen.interleaved.unwrap().rtp, rtp, "{header}");
            assert_eq!(chosen.ssrc, ssrc, "{header}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_malformed() {
        let none = TransportSpec::choose(std::iter::empty(), |_| true);
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
            "RTP/AVP;client_port=",
            "RTP/AVP;client_port=65535",
            "RTP/AVP;client_port=65535-65536",
            "RTP/AVP;client_port=5000-5000",
            "RTP/AVP;client_port=-5000",
        ] {
            assert_eq!(read(header), Err(TransportError::Malformed), "{header}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let (rtp, rtcp) = (8002, 8003);
        let published = TransportSpec {
            interleaved: Interleaved::of_track(3),
            mode: Some(Mode::Record),
            ssrc: Some(0xAB),
            ..TransportSpec::default()
        };
        let datagrams = TransportSpec {
            server_port: Some(PortPair { rtp, rtcp }),
            source: Some("192.0.2.9".into()),
            ..udp(5000, 5001, Some(Mode::Play))
        };
        let group = TransportSpec {
            port: Some(PortPair { rtp, rtcp }),
            destination: Some("224.1.0.1".into()),
            ttl: Some(16),
            ..TransportSpec::of_kind(TransportKind::Multicast)
        };
        for spec in [published, datagrams, group] {
            assert_eq!(read(&spec.to_string()), Ok(spec));
        }
    }

    #[test]
    fn the_last_track_with_usual_channels_is_the_127th() {
        assert!(Interleaved::of_track(127).is_some());
        assert!(Interleaved::of_track(128).is_none());
        assert!(Interleaved::of_track(usize::MAX).is_none());
    }
}
