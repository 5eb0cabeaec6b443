//! The payload types whose meaning is fixed (RFC 3551 §6), for descriptions that have no rtpmap.
//!
//! Input is a payload type; output is what an rtpmap would say of it.

use crate::container::rtp::PayloadType;

/// What a payload type means without an rtpmap.
#[derive(Clone, Copy)]
pub(super) struct StaticEncoding {
    /// The encoding name, as an rtpmap would say it.
    pub(super) name: &'static str,
    /// Ticks per second.
    pub(super) clock_rate: u32,
    /// Channels of sound.
    pub(super) channels: Option<u8>,
}

/// RFC 3551 §6, tables 4 and 5.
pub(super) const fn static_encoding(payload_type: PayloadType) -> Option<StaticEncoding> {
    let (name, clock_rate, channels) = match payload_type.value() {
        0 => ("PCMU", 8_000, Some(1)),
        // Reserved by now; RFC 1890 §6 has G721 here, which G726-32 has replaced.
        2 => ("G726-32", 8_000, Some(1)),
        3 => ("GSM", 8_000, Some(1)),
        4 => ("G723", 8_000, Some(1)),
        5 => ("DVI4", 8_000, Some(1)),
        6 => ("DVI4", 16_000, Some(1)),
        7 => ("LPC", 8_000, Some(1)),
        8 => ("PCMA", 8_000, Some(1)),
        9 => ("G722", 8_000, Some(1)),
        10 => ("L16", 44_100, Some(2)),
        11 => ("L16", 44_100, Some(1)),
        12 => ("QCELP", 8_000, Some(1)),
        13 => ("CN", 8_000, Some(1)),
        14 => ("MPA", 90_000, None),
        15 => ("G728", 8_000, Some(1)),
        16 => ("DVI4", 11_025, Some(1)),
        17 => ("DVI4", 22_050, Some(1)),
        18 => ("G729", 8_000, Some(1)),
        25 => ("CelB", 90_000, None),
        26 => ("JPEG", 90_000, None),
        28 => ("nv", 90_000, None),
        31 => ("H261", 90_000, None),
        32 => ("MPV", 90_000, None),
        33 => ("MP2T", 90_000, None),
        34 => ("H263", 90_000, None),
        _ => return None,
    };
    Some(StaticEncoding {
        name,
        clock_rate,
        channels,
    })
}
