//! NAL units as a reader takes them out of payloads (RFC 6184 §5, RFC 7798 §4.4): simple, and written for comparison alone.

use shardcast_protocol::sdp::TrackDescription;

/// Which codec's payloads.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Nal {
    H264,
    H265,
}

/// A unit, or a fragment's part of one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Part {
    /// The unit's header.
    header: Vec<u8>,
    body: Vec<u8>,
    begins: bool,
    ends: bool,
    is_fragment: bool,
}

impl Nal {
    pub(crate) fn of(track: &TrackDescription) -> Self {
        match track.codec.to_string().as_str() {
            "H264" => Self::H264,
            _ => Self::H265,
        }
    }

    fn header_bytes(self) -> usize {
        match self {
            Self::H264 => 1,
            Self::H265 => 2,
        }
    }

    fn kind(self, header: &[u8]) -> u8 {
        match self {
            Self::H264 => header[0] & 0x1f,
            Self::H265 => (header[0] >> 1) & 0x3f,
        }
    }

    /// A fragment's payload header as that of its unit.
    fn unit_header(self, payload: &[u8], fu_header: u8) -> Vec<u8> {
        match self {
            Self::H264 => vec![(payload[0] & 0xe0) | (fu_header & 0x1f)],
            Self::H265 => vec![(payload[0] & 0x81) | ((fu_header & 0x3f) << 1), payload[1]],
        }
    }
}

impl Part {
    fn whole(nal: Nal, unit: &[u8]) -> Self {
        let (header, body) = unit.split_at(nal.header_bytes().min(unit.len()));
        Self {
            header: header.to_vec(),
            body: body.to_vec(),
            begins: true,
            ends: true,
            is_fragment: false,
        }
    }

    /// Whether `next` is the same unit's next fragment.
    pub(crate) fn goes_on_with(&self, next: &Self) -> bool {
        self.is_fragment && next.is_fragment && !self.ends && !next.begins
    }

    /// Takes the next fragment in. A whole unit that was cut is one again.
    pub(crate) fn join(&mut self, next: Self) {
        assert_eq!(self.header, next.header);
        self.body.extend(next.body);
        self.ends = next.ends;
        self.is_fragment = !(self.begins && self.ends);
    }

    pub(crate) fn into_unit(self) -> Vec<u8> {
        [self.header, self.body].concat()
    }
}

/// What a payload holds. Of an aggregation, the units that are wholly there and not empty.
pub(crate) fn parts(nal: Nal, payload: &[u8]) -> Vec<Part> {
    let header_bytes = nal.header_bytes();
    if payload.len() < header_bytes {
        return Vec::new();
    }
    let (aggregation, fragment) = match nal {
        Nal::H264 => (24, 28),
        Nal::H265 => (48, 49),
    };
    let kind = nal.kind(payload);
    let rest = &payload[header_bytes..];
    if kind == aggregation {
        return aggregated(nal, rest);
    }
    if kind != fragment || rest.is_empty() {
        return vec![Part::whole(nal, payload)];
    }
    let (begins, ends) = (rest[0] & 0x80 != 0, rest[0] & 0x40 != 0);
    vec![Part {
        header: nal.unit_header(payload, rest[0]),
        body: rest[1..].to_vec(),
        begins,
        ends,
        is_fragment: !(begins && ends),
    }]
}

fn aggregated(nal: Nal, mut rest: &[u8]) -> Vec<Part> {
    let mut parts = Vec::new();
    while rest.len() >= 2 {
        let size = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
        if rest.len() < 2 + size {
            break;
        }
        if size > 0 {
            parts.push(Part::whole(nal, &rest[2..2 + size]));
        }
        rest = &rest[2 + size..];
    }
    parts
}
