//! What a packet tells its reader: when it was due, and which it is. The publisher writes it into packets that have a place
//! for it; a reader finds it again after a server has depacketised and packetised the stream anew.
//!
//! A probe stands at a fixed place of a NAL unit or an audio access unit, and has no zero bytes, so that no server takes a
//! part of it for a start code.
//!
//! Deliberately absent: a search through whole packets. It would cost readers more than all else that they do.

use shardcast_protocol::codec::{NalUnits, h264, h265};
use shardcast_protocol::sdp::Codec;

/// Bytes that a probe takes: a mark, and two numbers of 64 bits, seven of them to the byte.
pub const PROBE_BYTES: usize = MARK.len() + 2 * NUMBER_BYTES;

/// What every probe begins with. With the top bits of the numbers, chance makes a probe of one in 2^52 places.
const MARK: [u8; 4] = [0xb5, 0xc4, 0x9d, 0xe7];
/// Bytes of a number of 64 bits.
const NUMBER_BYTES: usize = 10;
/// Set in every byte of a number, so that none is zero.
const NEVER_ZERO: u8 = 0x80;

/// Where a probe stands in a slice of the made-up stream: behind its NAL unit's header and its own.
pub(super) const SLICE_PROBE_OFFSET: usize = 12;
/// Where it stands in an audio access unit of the made-up stream: behind the head of a data element.
pub(super) const AUDIO_PROBE_OFFSET: usize = 3;

/// Bytes of the type, the size and the UUID of an SEI message of the kind `user_data_unregistered` (H.264 §D.1.7).
const SEI_HEAD_BYTES: usize = 2 + SEI_UUID.len();
/// The type of that message, and how many bytes it has.
const SEI_HEAD: [u8; 2] = [5, (SEI_UUID.len() + PROBE_BYTES) as u8];
/// Tells our messages from those of encoders.
const SEI_UUID: [u8; 16] = *b"shardcast.probe!";
/// The bit that ends a NAL unit's content, and what fills its byte up.
const SEI_END: u8 = 0x80;

/// Type of supplemental enhancement information in H.264 and, in front of a picture, in H.265; of fragments in both.
const H264_SEI: u8 = 6;
const H264_FRAGMENT: u8 = 28;
const H265_SEI: [u8; H265_NAL_BYTES] = [39 << 1, 1];
const H265_FRAGMENT: u8 = 49;
/// Bytes of their NAL units' headers.
const H264_NAL_BYTES: usize = 1;
const H265_NAL_BYTES: usize = 2;
/// Bit of a fragment's header that marks the first one.
const FRAGMENT_START: u8 = 0x80;

/// Bits of an AU header in the mode `AAC-hbr`, which has nothing but size and index (RFC 3640, section 3.3.6).
const AU_HEADER_BITS: usize = 16;
/// Bits of the index.
const AU_INDEX_BITS: u32 = 3;

/// A packet's moment and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// When the packet was due: nanoseconds since the Unix epoch.
    pub due_unix_nanos: u64,
    /// How many packets with a probe its track had before it.
    pub number: u64,
}

impl Probe {
    /// Writes it to the beginning of `place`, if that has room.
    pub fn write_to(self, place: &mut [u8]) {
        let Some(place) = place.first_chunk_mut::<PROBE_BYTES>() else {
            return;
        };
        let (mark, numbers) = place.split_at_mut(MARK.len());
        mark.copy_from_slice(&MARK);
        let values = [self.due_unix_nanos, self.number];
        for (place, value) in numbers.chunks_mut(NUMBER_BYTES).zip(values) {
            place.copy_from_slice(&number_to_bytes(value));
        }
    }

    /// Reads one from the beginning of `place`; nothing where there is none.
    #[must_use]
    pub fn read_from(place: &[u8]) -> Option<Self> {
        let (mark, rest) = place.split_first_chunk()?;
        if *mark != MARK {
            return None;
        }
        let (due, rest) = rest.split_first_chunk()?;
        Some(Self {
            due_unix_nanos: number_from_bytes(*due)?,
            number: number_from_bytes(*rest.first_chunk()?)?,
        })
    }
}

/// Seven bits to the byte, the least significant first.
fn number_to_bytes(value: u64) -> [u8; NUMBER_BYTES] {
    std::array::from_fn(|index| NEVER_ZERO | (value >> (7 * index)) as u8)
}

fn number_from_bytes(bytes: [u8; NUMBER_BYTES]) -> Option<u64> {
    let is_number = bytes.iter().all(|byte| byte & NEVER_ZERO != 0);
    let sevens = bytes.iter().rev().map(|byte| u64::from(byte & !NEVER_ZERO));
    is_number.then(|| sevens.fold(0, |value, seven| value << 7 | seven))
}

/// How the payloads of a track carry probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// In slices of the made-up stream, or in SEI messages.
    H264,
    /// In SEI messages.
    H265,
    /// In access units of the made-up stream.
    Aac,
    /// Not at all.
    Other,
}

impl From<&Codec> for Carrier {
    fn from(codec: &Codec) -> Self {
        match codec {
            Codec::H264 { .. } => Self::H264,
            Codec::H265 { .. } => Self::H265,
            Codec::Aac { .. } => Self::Aac,
            _ => Self::Other,
        }
    }
}

/// The probes in an RTP payload, in order.
#[must_use]
pub fn find(carrier: Carrier, payload: &[u8]) -> Probes<'_> {
    Probes(match carrier {
        Carrier::H264 => match payload {
            [first, head, body @ ..] if h264_type(*first) == H264_FRAGMENT => {
                Places::of_fragment(*head, body, H264_NAL_BYTES)
            }
            _ => Places::Units(h264::nal_units(payload), H264_NAL_BYTES),
        },
        Carrier::H265 => match payload {
            [first, _, head, body @ ..] if h265_type(*first) == H265_FRAGMENT => {
                Places::of_fragment(*head, body, H265_NAL_BYTES)
            }
            _ => Places::Units(h265::nal_units(payload), H265_NAL_BYTES),
        },
        Carrier::Aac => Places::of_audio(payload),
        Carrier::Other => Places::None,
    })
}

fn h264_type(first: u8) -> u8 {
    first & 0x1f
}

fn h265_type(first: u8) -> u8 {
    first >> 1 & 0x3f
}

/// The probes in an RTP payload.
#[derive(Debug)]
pub struct Probes<'a>(Places<'a>);

/// Where probes may stand.
#[derive(Debug)]
enum Places<'a> {
    None,
    /// Whole NAL units, with a header of so many bytes each.
    Units(NalUnits<'a>, usize),
    /// The first part of a NAL unit, without its header of so many bytes.
    Fragment(&'a [u8], usize),
    /// Audio access units, behind their headers.
    Audio {
        headers: &'a [u8],
        units: &'a [u8],
    },
}

impl<'a> Places<'a> {
    fn of_fragment(head: u8, body: &'a [u8], nal_bytes: usize) -> Self {
        match head & FRAGMENT_START {
            0 => Self::None,
            _ => Self::Fragment(body, nal_bytes),
        }
    }

    /// RFC 3640, section 3.2: the length of all AU headers in bits, these, and the access units.
    fn of_audio(payload: &'a [u8]) -> Self {
        let split = payload.split_first_chunk().and_then(|(bits, rest)| {
            let bits = usize::from(u16::from_be_bytes(*bits));
            rest.split_at_checked(bits.div_ceil(8))
        });
        match split {
            Some((headers, units)) => Self::Audio { headers, units },
            None => Self::None,
        }
    }
}

impl Iterator for Probes<'_> {
    type Item = Probe;

    fn next(&mut self) -> Option<Probe> {
        match &mut self.0 {
            Places::None => None,
            Places::Units(units, nal_bytes) => units.find_map(|unit| {
                let body = unit.get(*nal_bytes..)?;
                in_unit(body, *nal_bytes)
            }),
            Places::Fragment(body, nal_bytes) => {
                let probe = in_unit(body, *nal_bytes);
                self.0 = Places::None;
                probe
            }
            Places::Audio { headers, units } => next_in_audio(headers, units),
        }
    }
}

/// The probe in a NAL unit, of which `body` is what follows the header.
fn in_unit(body: &[u8], nal_bytes: usize) -> Option<Probe> {
    if body.starts_with(&SEI_HEAD) {
        return Probe::read_from(body.get(SEI_HEAD_BYTES..)?);
    }
    Probe::read_from(body.get(SLICE_PROBE_OFFSET.checked_sub(nal_bytes)?..)?)
}

fn next_in_audio(headers: &mut &[u8], units: &mut &[u8]) -> Option<Probe> {
    loop {
        let (header, other_headers) = headers.split_first_chunk::<{ AU_HEADER_BITS / 8 }>()?;
        let bytes = usize::from(u16::from_be_bytes(*header) >> AU_INDEX_BITS);
        // The last unit may go on in the next packet.
        let (unit, others) = units.split_at(bytes.min(units.len()));
        (*headers, *units) = (other_headers, others);
        let probe = unit.get(AUDIO_PROBE_OFFSET..).and_then(Probe::read_from);
        if probe.is_some() {
            return probe;
        }
    }
}

/// The head of the AU header section and the one AU header in it, of an access unit of so many bytes.
pub(super) fn audio_unit_head(bytes: u16) -> [u8; 4] {
    let [high, low] = (bytes << AU_INDEX_BITS).to_be_bytes();
    [0, AU_HEADER_BITS as u8, high, low]
}

/// A NAL unit that carries a probe and nothing else.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProbeUnit {
    head: [u8; H265_NAL_BYTES + SEI_HEAD_BYTES],
    from: usize,
}

impl ProbeUnit {
    /// The unit for this kind of pictures; none for what is no video.
    pub(super) fn of(carrier: Carrier) -> Option<Self> {
        let mut head = [0; H265_NAL_BYTES + SEI_HEAD_BYTES];
        let (nal, message) = head.split_at_mut(H265_NAL_BYTES);
        let (sizes, uuid) = message.split_at_mut(SEI_HEAD.len());
        sizes.copy_from_slice(&SEI_HEAD);
        uuid.copy_from_slice(&SEI_UUID);
        let from = match carrier {
            Carrier::H264 => {
                nal.copy_from_slice(&[0, H264_SEI]);
                H265_NAL_BYTES - H264_NAL_BYTES
            }
            Carrier::H265 => {
                nal.copy_from_slice(&H265_SEI);
                0
            }
            Carrier::Aac | Carrier::Other => return None,
        };
        Some(Self { head, from })
    }

    /// What stands before the probe.
    pub(super) fn head(&self) -> &[u8] {
        self.head.get(self.from..).unwrap_or_default()
    }

    /// What stands behind it.
    pub(super) const fn tail(&self) -> &'static [u8] {
        &[SEI_END]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PROBE: Probe = Probe {
        due_unix_nanos: 1_800_000_000_123_456_789,
        number: 4711,
    };

    /// A NAL unit that carries it, and one that does not.
    fn units(carrier: Carrier, probe: Probe) -> [Vec<u8>; 2] {
        let unit = ProbeUnit::of(carrier).unwrap();
        let mut bytes = [0; PROBE_BYTES];
        probe.write_to(&mut bytes);
        let with = [unit.head(), &bytes, unit.tail()].concat();
        let without = match carrier {
            Carrier::H264 => [&[0x65][..], &[0x88; 60]].concat(),
            _ => [&[0x26, 1][..], &[0x88; 60]].concat(),
        };
        [with, without]
    }

    fn found(carrier: Carrier, payload: &[u8]) -> Vec<Probe> {
        find(carrier, payload).collect()
    }

    #[test]
    fn probes_are_found_in_single_units_and_aggregations() {
        for (carrier, aggregation) in [
            (Carrier::H264, &[24][..]),
            (Carrier::H265, &[48 << 1, 1][..]),
        ] {
            let [with, without] = units(carrier, PROBE);
            assert_eq!(found(carrier, &with), [PROBE]);
            assert_eq!(found(carrier, &without), []);
            let mut payload = aggregation.to_vec();
            for unit in [&without, &with, &with] {
                payload.extend((unit.len() as u16).to_be_bytes());
                payload.extend(unit);
            }
            assert_eq!(found(carrier, &payload), [PROBE, PROBE]);
        }
    }

    #[test]
    fn a_probe_is_found_in_the_first_fragment_of_its_unit_alone() {
        let [h264, _] = units(Carrier::H264, PROBE);
        let first = [&[28, 0x80 | 6], &h264[1..]].concat();
        assert_eq!(found(Carrier::H264, &first), [PROBE]);
        let later = [&[28, 6], &h264[1..]].concat();
        assert_eq!(found(Carrier::H264, &later), []);
        let [h265, _] = units(Carrier::H265, PROBE);
        let first = [&[49 << 1, 1, 0x80 | 39], &h265[2..]].concat();
        assert_eq!(found(Carrier::H265, &first), [PROBE]);
    }

    #[test]
    fn probes_are_found_in_a_slice_however_it_is_packed() {
        let mut slice = vec![0x61; SLICE_PROBE_OFFSET + PROBE_BYTES + 9];
        PROBE.write_to(&mut slice[SLICE_PROBE_OFFSET..]);
        assert_eq!(found(Carrier::H264, &slice), [PROBE]);
        let fragment = [&[0x7c, 0x81], &slice[1..]].concat();
        assert_eq!(found(Carrier::H264, &fragment), [PROBE]);
    }

    #[test]
    fn probes_are_found_in_every_access_unit_of_a_packet() {
        let mut unit = [7; AUDIO_PROBE_OFFSET + PROBE_BYTES + 5];
        PROBE.write_to(&mut unit[AUDIO_PROBE_OFFSET..]);
        let [_, _, high, low] = audio_unit_head(unit.len() as u16);
        let head = [0, 32, high, low, high, low];
        let payload = [&head, &unit[..], &unit[..]].concat();
        assert_eq!(found(Carrier::Aac, &payload), [PROBE, PROBE]);
        assert_eq!(found(Carrier::Aac, &payload[..payload.len() - 6]), [PROBE]);
        assert_eq!(found(Carrier::Other, &payload), []);
    }

    #[test]
    fn a_probe_has_no_zero_bytes_and_no_room_is_no_harm() {
        let probe = Probe {
            due_unix_nanos: 0,
            number: 0,
        };
        let mut bytes = [0; PROBE_BYTES];
        probe.write_to(&mut bytes);
        assert!(bytes.iter().all(|byte| *byte != 0));
        let mut short = [0; PROBE_BYTES - 1];
        probe.write_to(&mut short);
        assert_eq!(short, [0; PROBE_BYTES - 1]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(due_unix_nanos: u64, number: u64) {
            let probe = Probe { due_unix_nanos, number };
            let mut bytes = [0; PROBE_BYTES];
            probe.write_to(&mut bytes);
            prop_assert_eq!(Probe::read_from(&bytes), Some(probe));
            for cut in 0..PROBE_BYTES {
                prop_assert_eq!(Probe::read_from(&bytes[..cut]), None);
            }
        }

        #[test]
        fn any_bytes_are_searched(kind in 0u8..4, bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let carriers = [Carrier::H264, Carrier::H265, Carrier::Aac, Carrier::Other];
            prop_assert_eq!(find(carriers[usize::from(kind)], &bytes).count(), 0);
        }
    }
}
