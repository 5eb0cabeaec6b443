//! What each of the two readers makes of the same text, in terms that can be compared: lines as their words.

use sdp_types::ParserError;
use shardcast_protocol::sdp::{
    Attribute, MediaDescription, SdpErrorKind, SessionDescription, parse,
};

use super::differences::DIFFERENCES;
use crate::difference::{Difference, Readers};

/// Text, and what both say of it.
#[derive(Debug)]
pub(crate) struct Case<'a> {
    pub(crate) text: &'a [u8],
    pub(crate) ours: Result<Content, SdpErrorKind>,
    pub(crate) oracle: Result<Content, ParserError>,
}

/// What both readers keep. Where RFC 8866 allows one line and the readers keep more or fewer, it is the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content {
    origin: Option<String>,
    name: Option<String>,
    connection: Option<String>,
    timing: Option<String>,
    part: Part,
    media: Vec<(Vec<String>, Option<String>, Part)>,
}

/// What the session and a medium have both.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    information: Option<String>,
    bandwidth: Vec<String>,
    attributes: Vec<(String, Option<String>)>,
}

/// Both readers.
pub(crate) struct Sdp;

impl Readers for Sdp {
    type Case<'a> = Case<'a>;

    const DIFFERENCES: &'static [Difference<Self>] = DIFFERENCES;

    fn read(bytes: &[u8]) -> Case<'_> {
        Case::read(bytes)
    }

    fn is_alike(case: &Case<'_>) -> bool {
        case.is_alike()
    }
}

impl<'a> Case<'a> {
    pub(crate) fn read(text: &'a [u8]) -> Self {
        let oracle = sdp_types::Session::parse(text);
        let absent = oracle.as_ref().map_or([false; 2], |_| {
            ['o', 's'].map(|kind| !has_session_line(text, kind))
        });
        Self {
            text,
            ours: parse(text).map(of_ours).map_err(|error| error.what),
            oracle: oracle.map(|session| of_oracle(session, absent)),
        }
    }

    pub(crate) fn is_alike(&self) -> bool {
        match (&self.ours, &self.oracle) {
            (Ok(ours), Ok(oracle)) => ours == oracle,
            (Err(_), Err(_)) => true,
            _ => false,
        }
    }

    /// Both took it, and agree only once their words are changed like this.
    pub(crate) fn is_alike_but_for(&self, change: fn(&str) -> String) -> bool {
        match (&self.ours, &self.oracle) {
            (Ok(ours), Ok(oracle)) => {
                ours != oracle && ours.changed(change) == oracle.changed(change)
            }
            _ => false,
        }
    }
}

impl Content {
    fn changed(&self, change: fn(&str) -> String) -> Self {
        let some = |text: &Option<String>| text.as_deref().map(change);
        let part = |part: &Part| Part {
            information: some(&part.information),
            bandwidth: part.bandwidth.iter().map(|line| change(line)).collect(),
            attributes: part
                .attributes
                .iter()
                .map(|(name, value)| (change(name), some(value)))
                .collect(),
        };
        let media = self.media.iter().map(|(words, connection, of_media)| {
            let words = change(&words.join(" "));
            let words = words.split_ascii_whitespace().map(str::to_owned).collect();
            (words, some(connection), part(of_media))
        });
        Self {
            origin: some(&self.origin),
            name: some(&self.name),
            connection: some(&self.connection),
            timing: some(&self.timing),
            part: part(&self.part),
            media: media.collect(),
        }
    }
}

/// Whether there is such a line before the first medium: for what it lacks the oracle puts something in.
fn has_session_line(text: &[u8], kind: char) -> bool {
    let text = String::from_utf8_lossy(text);
    let lines = text.split('\n').take_while(|line| !line.starts_with("m="));
    lines
        .into_iter()
        .any(|line| line.starts_with(&format!("{kind}=")))
}

fn of_ours(session: SessionDescription) -> Content {
    let media = session.media.into_iter().map(|media| {
        let MediaDescription {
            media,
            port,
            protocol,
            formats,
            title,
            connection,
            bandwidth,
            attributes,
            ..
        } = media;
        let words = [media, port.to_string(), protocol]
            .into_iter()
            .chain(formats);
        let part = Part {
            information: title,
            bandwidth,
            attributes: attributes.into_iter().map(attribute_of_ours).collect(),
        };
        (words.collect(), connection, part)
    });
    Content {
        media: media.collect(),
        origin: session.origin,
        name: session.name,
        connection: session.connection,
        timing: session.timing,
        part: Part {
            information: session.information,
            bandwidth: session.bandwidth,
            attributes: session
                .attributes
                .into_iter()
                .map(attribute_of_ours)
                .collect(),
        },
    }
}

fn attribute_of_ours(attribute: Attribute) -> (String, Option<String>) {
    (attribute.name, attribute.value)
}

fn of_oracle(session: sdp_types::Session, [no_origin, no_name]: [bool; 2]) -> Content {
    let origin = &session.origin;
    let origin = format!(
        "{} {} {} {} {} {}",
        origin.username.as_deref().unwrap_or("-"),
        origin.sess_id,
        origin.sess_version,
        origin.nettype,
        origin.addrtype,
        origin.unicast_address
    );
    let timing = session.times.first();
    let media = session.medias.into_iter().map(|media| {
        let words = [media.media, media.port.to_string(), media.proto].into_iter();
        let formats = media.fmt.split_ascii_whitespace().map(str::to_owned);
        let words = words.chain(formats).collect();
        let connection = media.connections.first().map(connection_text);
        let part = part_of_oracle(media.media_title, media.bandwidths, media.attributes);
        (words, connection, part)
    });
    Content {
        media: media.collect(),
        origin: (!no_origin).then_some(origin),
        name: (!no_name).then_some(session.session_name),
        connection: session.connection.as_ref().map(connection_text),
        timing: timing.map(|time| format!("{} {}", time.start_time, time.stop_time)),
        part: part_of_oracle(
            session.session_description,
            session.bandwidths,
            session.attributes,
        ),
    }
}

fn part_of_oracle(
    information: Option<String>,
    bandwidths: Vec<sdp_types::Bandwidth>,
    attributes: Vec<sdp_types::Attribute>,
) -> Part {
    let bandwidth = bandwidths.into_iter();
    let attributes = attributes.into_iter();
    Part {
        information,
        bandwidth: bandwidth
            .map(|line| format!("{}:{}", line.bwtype, line.bandwidth))
            .collect(),
        attributes: attributes
            .map(|line| (line.attribute, line.value))
            .collect(),
    }
}

fn connection_text(connection: &sdp_types::Connection) -> String {
    format!(
        "{} {} {}",
        connection.nettype, connection.addrtype, connection.connection_address
    )
}
