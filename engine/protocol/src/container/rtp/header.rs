//! The RTP header: a view over a packet's bytes, and a rewrite of its fields in place.
//!
//! Input is one packet as it lies in a read buffer. The view checks once that every declared part
//! (CSRC list, header extension, padding) is there, and then hands out the payload as a slice; the
//! mutable view changes the fixed fields that a stream numbers anew.
//!
//! Deliberately absent: reading of CSRCs and of header extensions. Nobody needs them on a packet's
//! way, and they pass through untouched.

use std::fmt;
use std::ops::Range;

/// Length of the fixed header (RFC 3550 §5.1).
pub const HEADER_BYTES: usize = 12;

/// The only RTP version there is (RFC 3550 §5.1).
const VERSION: u8 = 2;

const PADDING_BIT: u8 = 0x20;
const EXTENSION_BIT: u8 = 0x10;
const CSRC_COUNT_MASK: u8 = 0x0f;
const MARKER_BIT: u8 = 0x80;
const PAYLOAD_TYPE_MASK: u8 = 0x7f;

/// A packet's number within its stream. It wraps after 65535.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct SequenceNumber(pub u16);

impl SequenceNumber {
    /// The number that follows.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// The number `count` packets later.
    #[must_use]
    pub const fn wrapping_add(self, count: u16) -> Self {
        Self(self.0.wrapping_add(count))
    }

    /// How many packets `self` lies after `earlier`; negative when it lies before. The shorter way
    /// round the circle counts, so the answer is right within 32767 packets.
    #[must_use]
    pub const fn distance_from(self, earlier: Self) -> i16 {
        self.0.wrapping_sub(earlier.0).cast_signed()
    }
}

/// A packet's sampling instant in ticks of its track's clock. It wraps after 2³² ticks, 13 hours at
/// 90 kHz, and starts anywhere.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct RtpTimestamp(pub u32);

impl RtpTimestamp {
    /// The instant `ticks` later.
    #[must_use]
    pub const fn wrapping_add(self, ticks: u32) -> Self {
        Self(self.0.wrapping_add(ticks))
    }

    /// How many ticks `self` lies after `earlier`; negative when it lies before. The shorter way
    /// round the circle counts.
    #[must_use]
    pub const fn distance_from(self, earlier: Self) -> i32 {
        self.0.wrapping_sub(earlier.0).cast_signed()
    }
}

/// The identifier of a synchronisation source.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Ssrc(pub u32);

impl fmt::Display for Ssrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// An RTP payload type: seven bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct PayloadType(u8);

impl PayloadType {
    /// The payload type `value`, or nothing when it takes more than seven bits.
    #[must_use]
    pub const fn new(value: u8) -> Option<Self> {
        if value <= PAYLOAD_TYPE_MASK {
            Some(Self(value))
        } else {
            None
        }
    }

    /// The number, 0 to 127.
    #[must_use]
    pub const fn value(self) -> u8 {
        self.0
    }
}

/// Why bytes are not an RTP packet. The peer that sent them is at fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HeaderError {
    /// Fewer bytes than the fixed header.
    #[error("an RTP packet of {bytes} bytes is shorter than its header")]
    TooShort {
        /// How many bytes there were.
        bytes: usize,
    },
    /// The version field is not 2.
    #[error("RTP version {version} instead of 2")]
    Version {
        /// The version that was found.
        version: u8,
    },
    /// The CSRC list or the header extension ends after the packet.
    #[error("the RTP header ends after the packet")]
    Truncated,
    /// The padding length is zero or more than there is.
    #[error("RTP padding of {padding} bytes in a payload of {payload}")]
    Padding {
        /// The padding length that the last byte declares.
        padding: u8,
        /// Bytes after the header.
        payload: usize,
    },
}

/// A checked view over one RTP packet.
#[derive(Clone, Copy, Debug)]
pub struct HeaderView<'a> {
    fixed: &'a [u8; HEADER_BYTES],
    payload: &'a [u8],
    payload_start: usize,
}

impl<'a> HeaderView<'a> {
    /// Checks `packet` and returns the view (RFC 3550 §5.1).
    ///
    /// # Errors
    /// [`HeaderError`] when a part that the header declares is not there.
    #[inline]
    pub fn parse(packet: &'a [u8]) -> Result<Self, HeaderError> {
        let Some((fixed, rest)) = packet.split_first_chunk::<HEADER_BYTES>() else {
            return Err(HeaderError::TooShort {
                bytes: packet.len(),
            });
        };
        let first = fixed[0];
        if first >> 6 != VERSION {
            return Err(HeaderError::Version {
                version: first >> 6,
            });
        }
        let (payload, skipped) = if first & (EXTENSION_BIT | CSRC_COUNT_MASK) == 0 {
            (rest, 0)
        } else {
            skip_variable_parts(first, rest)?
        };
        let payload = if first & PADDING_BIT == 0 {
            payload
        } else {
            strip_padding(payload)?
        };
        Ok(Self {
            fixed,
            payload,
            payload_start: HEADER_BYTES + skipped,
        })
    }

    /// Whether the marker bit is set. For video it ends an access unit (RFC 6184 §5.1).
    #[inline]
    #[must_use]
    pub const fn marker(&self) -> bool {
        self.fixed[1] & MARKER_BIT != 0
    }

    /// The payload type.
    #[inline]
    #[must_use]
    pub const fn payload_type(&self) -> PayloadType {
        PayloadType(self.fixed[1] & PAYLOAD_TYPE_MASK)
    }

    /// The sequence number.
    #[inline]
    #[must_use]
    pub const fn sequence_number(&self) -> SequenceNumber {
        SequenceNumber(u16::from_be_bytes([self.fixed[2], self.fixed[3]]))
    }

    /// The timestamp.
    #[inline]
    #[must_use]
    pub const fn timestamp(&self) -> RtpTimestamp {
        let [_, _, _, _, a, b, c, d, ..] = *self.fixed;
        RtpTimestamp(u32::from_be_bytes([a, b, c, d]))
    }

    /// The synchronisation source.
    #[inline]
    #[must_use]
    pub const fn ssrc(&self) -> Ssrc {
        let [.., a, b, c, d] = *self.fixed;
        Ssrc(u32::from_be_bytes([a, b, c, d]))
    }

    /// The payload, without padding. It may be empty.
    #[inline]
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Where the payload lies within the packet.
    #[inline]
    #[must_use]
    pub const fn payload_range(&self) -> Range<usize> {
        self.payload_start..self.payload_start + self.payload.len()
    }
}

/// Skips CSRC list and header extension; returns what follows and how many bytes were skipped.
fn skip_variable_parts(first: u8, rest: &[u8]) -> Result<(&[u8], usize), HeaderError> {
    let csrc_bytes = usize::from(first & CSRC_COUNT_MASK) * 4;
    let after_csrcs = rest.get(csrc_bytes..).ok_or(HeaderError::Truncated)?;
    if first & EXTENSION_BIT == 0 {
        return Ok((after_csrcs, csrc_bytes));
    }
    let (head, _) = after_csrcs
        .split_first_chunk::<4>()
        .ok_or(HeaderError::Truncated)?;
    let extension_bytes = 4 + usize::from(u16::from_be_bytes([head[2], head[3]])) * 4;
    let payload = after_csrcs
        .get(extension_bytes..)
        .ok_or(HeaderError::Truncated)?;
    Ok((payload, csrc_bytes + extension_bytes))
}

/// Cuts off the padding that the payload's last byte counts, itself included.
fn strip_padding(payload: &[u8]) -> Result<&[u8], HeaderError> {
    let padding = payload.last().copied().unwrap_or(0);
    let kept = payload.len().checked_sub(usize::from(padding));
    match kept.and_then(|kept| payload.get(..kept)) {
        Some(kept) if padding > 0 => Ok(kept),
        _ => Err(HeaderError::Padding {
            padding,
            payload: payload.len(),
        }),
    }
}

/// The fixed header of one packet, to be rewritten in place.
#[derive(Debug)]
pub struct HeaderViewMut<'a> {
    fixed: &'a mut [u8; HEADER_BYTES],
}

impl<'a> HeaderViewMut<'a> {
    /// Takes the fixed header of `packet`. The caller has looked at the packet with
    /// [`HeaderView::parse`]; only length and version are checked again.
    ///
    /// # Errors
    /// [`HeaderError::TooShort`] and [`HeaderError::Version`].
    #[inline]
    pub fn parse(packet: &'a mut [u8]) -> Result<Self, HeaderError> {
        let bytes = packet.len();
        let fixed = packet
            .first_chunk_mut::<HEADER_BYTES>()
            .ok_or(HeaderError::TooShort { bytes })?;
        match fixed[0] >> 6 {
            VERSION => Ok(Self { fixed }),
            version => Err(HeaderError::Version { version }),
        }
    }

    /// Sets the payload type and leaves the marker as it is.
    #[inline]
    pub const fn set_payload_type(&mut self, payload_type: PayloadType) {
        self.fixed[1] = (self.fixed[1] & MARKER_BIT) | payload_type.0;
    }

    /// Sets the sequence number.
    #[inline]
    pub const fn set_sequence_number(&mut self, number: SequenceNumber) {
        [self.fixed[2], self.fixed[3]] = number.0.to_be_bytes();
    }

    /// Sets the timestamp.
    #[inline]
    pub const fn set_timestamp(&mut self, timestamp: RtpTimestamp) {
        [self.fixed[4], self.fixed[5], self.fixed[6], self.fixed[7]] = timestamp.0.to_be_bytes();
    }

    /// Sets the synchronisation source.
    #[inline]
    pub const fn set_ssrc(&mut self, ssrc: Ssrc) {
        [self.fixed[8], self.fixed[9], self.fixed[10], self.fixed[11]] = ssrc.0.to_be_bytes();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Marker, payload type 96, sequence 0x1234, timestamp 0x01020304, SSRC 0xa0b0c0d0.
    const PLAIN: [u8; 15] = [
        0x80, 0xe0, 0x12, 0x34, 1, 2, 3, 4, 0xa0, 0xb0, 0xc0, 0xd0, 7, 8, 9,
    ];

    fn with_all_parts() -> Vec<u8> {
        let mut packet = PLAIN[..HEADER_BYTES].to_vec();
        packet[0] = 0x80 | PADDING_BIT | EXTENSION_BIT | 2;
        packet.extend([0; 8]);
        packet.extend([0xbe, 0xde, 0, 1, 1, 2, 3, 4]);
        packet.extend([7, 8, 9, 0, 0, 3]);
        packet
    }

    #[test]
    fn every_field_is_read() {
        let view = HeaderView::parse(&PLAIN).unwrap();
        assert!(view.marker());
        assert_eq!(view.payload_type().value(), 96);
        assert_eq!(view.sequence_number(), SequenceNumber(0x1234));
        assert_eq!(view.timestamp(), RtpTimestamp(0x0102_0304));
        assert_eq!(view.ssrc(), Ssrc(0xa0b0_c0d0));
        assert_eq!(view.payload(), [7, 8, 9]);
        assert_eq!(view.payload_range(), 12..15);
    }

    #[test]
    fn csrcs_extension_and_padding_are_skipped() {
        let packet = with_all_parts();
        let view = HeaderView::parse(&packet).unwrap();
        assert_eq!(view.payload(), [7, 8, 9]);
        assert_eq!(&packet[view.payload_range()], [7, 8, 9]);
    }

    #[test]
    fn a_packet_cut_before_its_payload_is_refused_at_every_byte() {
        let packet = with_all_parts();
        for cut in 0..28 {
            assert!(HeaderView::parse(&packet[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn wrong_version_and_wrong_padding_are_refused() {
        for version in [0u8, 1, 3] {
            let mut packet = PLAIN;
            packet[0] = version << 6;
            assert_eq!(
                HeaderView::parse(&packet).unwrap_err(),
                HeaderError::Version { version }
            );
            assert!(HeaderViewMut::parse(&mut packet).is_err());
        }
        for padding in [0u8, 4] {
            let mut packet = PLAIN;
            packet[0] |= PADDING_BIT;
            packet[14] = padding;
            assert_eq!(
                HeaderView::parse(&packet).unwrap_err(),
                HeaderError::Padding {
                    padding,
                    payload: 3
                }
            );
        }
    }

    #[test]
    fn padding_may_take_the_whole_payload() {
        let mut packet = PLAIN;
        packet[0] |= PADDING_BIT;
        packet[14] = 3;
        assert!(HeaderView::parse(&packet).unwrap().payload().is_empty());
    }

    #[test]
    fn numbers_wrap_the_shorter_way() {
        assert_eq!(SequenceNumber(2).distance_from(SequenceNumber(65534)), 4);
        assert_eq!(SequenceNumber(65534).distance_from(SequenceNumber(2)), -4);
        assert_eq!(SequenceNumber(65535).next(), SequenceNumber(0));
        assert_eq!(RtpTimestamp(5).distance_from(RtpTimestamp(u32::MAX)), 6);
        assert_eq!(PayloadType::new(128), None);
    }

    proptest! {
        #[test]
        fn a_rewrite_changes_these_fields_alone(
            seq: u16, ts: u32, ssrc: u32, payload_type in 0u8..128, marker: bool,
        ) {
            let mut packet = with_all_parts();
            packet[1] = (packet[1] & 0x7f) | (u8::from(marker) << 7);
            let before = packet.clone();
            let mut header = HeaderViewMut::parse(&mut packet).unwrap();
            header.set_sequence_number(SequenceNumber(seq));
            header.set_timestamp(RtpTimestamp(ts));
            header.set_ssrc(Ssrc(ssrc));
            header.set_payload_type(PayloadType::new(payload_type).unwrap());
            let view = HeaderView::parse(&packet).unwrap();
            prop_assert_eq!(view.sequence_number().0, seq);
            prop_assert_eq!(view.timestamp().0, ts);
            prop_assert_eq!(view.ssrc().0, ssrc);
            prop_assert_eq!(view.payload_type().value(), payload_type);
            prop_assert_eq!(view.marker(), marker);
            prop_assert_eq!(&packet[12..], &before[12..]);
            prop_assert_eq!(packet[0], before[0]);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(view) = HeaderView::parse(&bytes) {
                prop_assert_eq!(&bytes[view.payload_range()], view.payload());
            }
        }
    }
}
