//! Reads a byte stream of H.264 (H.264 annex B): NAL units behind start codes, without times. Times come from the frame
//! rate that it says.
//!
//! Deliberately absent: the order in which pictures are shown, where it is not that in which they come. A remark says so.

use std::ops::Range;

use bytes::Bytes;
use shardcast_protocol::codec::{FrameRate, h264};
use shardcast_protocol::sdp::Codec;

use super::super::probe::Carrier;
use super::error::FileError;
use super::media::{FileTrack, Media, NalKind, Sample, UNITS_MAX, is_sendable, push_piece};

/// Frames per second of a stream that does not say it.
const FRAME_RATE_OTHERWISE: FrameRate = FrameRate {
    pictures: 25,
    seconds: 1,
};
/// A stream that says more has another unit in mind.
const FRAME_RATE_MAX: f64 = 1000.0;
/// The most parameter sets of a kind that are described: as many as pictures can refer to (H.264 §7.4.2.1.1), and far more
/// than anybody has.
const SETS_MAX: usize = 32;
/// What ends with a start code, whose first zero byte, if it has four, belongs to the unit before it.
const START_CODE: [u8; 3] = [0, 0, 1];

/// Whether bytes begin like a byte stream.
pub(super) fn is_byte_stream(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0, 0, 1]) || bytes.starts_with(&[0, 0, 0, 1])
}

/// Reads a byte stream.
///
/// # Errors
/// [`FileError`].
pub(super) fn read(bytes: Vec<u8>) -> Result<Media, FileError> {
    let mut scan = Scan::default();
    for place in Units::new(&bytes) {
        let unit = bytes.get(place.clone()).unwrap_or_default();
        if is_sendable(Carrier::H264, unit) {
            scan.take(place, unit)?;
        }
    }
    scan.end_picture()?;
    scan.into_media(bytes)
}

/// The places of NAL units.
struct Units<'a> {
    bytes: &'a [u8],
    /// Where the next one begins, if there is one.
    next: Option<usize>,
}

impl<'a> Units<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let next = after_start_code(bytes, 0);
        Self { bytes, next }
    }
}

impl Iterator for Units<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let start = self.next?;
        self.next = after_start_code(self.bytes, start);
        let end = match self.next {
            Some(next) => next - START_CODE.len(),
            None => self.bytes.len(),
        };
        let unit = self.bytes.get(start..end)?;
        // A NAL unit never ends with a zero byte.
        let zeros = unit.iter().rev().take_while(|byte| **byte == 0).count();
        Some(start..end - zeros)
    }
}

/// Where the bytes behind the next start code begin.
fn after_start_code(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let at = rest
        .windows(START_CODE.len())
        .position(|three| three == START_CODE)?;
    Some(from + at + START_CODE.len())
}

/// What was found so far.
#[derive(Default)]
struct Scan {
    pieces: Vec<Range<u32>>,
    /// Pictures, as places among the pieces.
    pictures: Vec<Range<usize>>,
    /// Where the picture under way begins, and whether it has a slice yet.
    begin: usize,
    has_slice: bool,
    /// The parameter sets before the first slice.
    sps: Vec<Bytes>,
    pps: Vec<Bytes>,
    has_bidirectional: bool,
}

impl Scan {
    fn take(&mut self, place: Range<usize>, unit: &[u8]) -> Result<(), FileError> {
        if self.has_slice && begins_picture(unit) {
            self.end_picture()?;
        }
        let kind = NalKind::of(Carrier::H264, unit);
        self.has_slice |= kind.is_slice();
        self.has_bidirectional |= kind.is_slice() && is_bidirectional(unit);
        if kind == NalKind::ParameterSet && self.pictures.is_empty() && !self.has_slice {
            self.keep_set(unit);
        }
        push_piece(&mut self.pieces, place)
    }

    fn keep_set(&mut self, unit: &[u8]) {
        let sets = match h264::nal_type(unit) {
            Some(h264::SPS) => &mut self.sps,
            Some(h264::PPS) => &mut self.pps,
            _ => return,
        };
        if sets.len() < SETS_MAX && !sets.iter().any(|set| set == unit) {
            sets.push(Bytes::copy_from_slice(unit));
        }
    }

    fn end_picture(&mut self) -> Result<(), FileError> {
        if self.pictures.len() >= UNITS_MAX {
            return Err(FileError::TooMany {
                what: "pictures",
                max: UNITS_MAX,
            });
        }
        let end = self.pieces.len();
        if std::mem::take(&mut self.has_slice) {
            self.pictures.push(self.begin..end);
        }
        self.begin = end;
        Ok(())
    }

    fn into_media(self, bytes: Vec<u8>) -> Result<Media, FileError> {
        let sps = self.sps.first();
        let sps = sps.ok_or(FileError::Missing(
            "sequence parameter set before its first picture",
        ))?;
        let said = frame_rate(sps);
        let rate = said.unwrap_or(FRAME_RATE_OTHERWISE);
        let moment = |number: usize| number as i64 * i64::from(rate.seconds);
        let end = moment(self.pictures.len());
        let samples = self
            .pictures
            .into_iter()
            .enumerate()
            .map(|(number, pieces)| Sample {
                pieces,
                decoded: moment(number),
                shown: moment(number),
            });
        let track = FileTrack {
            timescale: rate.pictures,
            samples: samples.collect(),
            end,
            codec: Codec::H264 {
                sps: self.sps,
                pps: self.pps,
                packetization_mode: 1,
            },
        };
        let remarks = [
            said.is_none().then_some("it says no frame rate, 25 pictures a second are taken"),
            self.has_bidirectional
                .then_some("its pictures are shown in another order than they come in, which their times do not say"),
        ];
        let remarks: Vec<&str> = remarks.into_iter().flatten().collect();
        let media = Media::new(bytes, self.pieces, vec![track])?;
        Ok(Media {
            remark: (!remarks.is_empty()).then(|| remarks.join("; ")),
            ..media
        })
    }
}

/// The frame rate that a sequence parameter set says, if it is one.
fn frame_rate(sps: &[u8]) -> Option<FrameRate> {
    let parameters = h264::SequenceParameters::parse(sps).ok()?;
    let rate = parameters.video.frame_rate?;
    (1.0..=FRAME_RATE_MAX)
        .contains(&rate.per_second())
        .then_some(rate)
}

/// Whether a NAL unit behind a picture's slice begins the next picture (H.264 §7.4.1.2.3), as far as its type and the first
/// bit of a slice, which says that it begins with the first macroblock, tell.
fn begins_picture(unit: &[u8]) -> bool {
    match h264::nal_type(unit) {
        Some(1 | 2 | 5) => unit.get(1).is_some_and(|byte| byte & 0x80 != 0),
        Some(6..=9 | 14..=18) => true,
        _ => false,
    }
}

/// Whether a picture's first slice is of a kind that may refer to later pictures: type 1 or 6 behind the first macroblock's
/// number, which is a set bit (H.264 §7.3.3, table 7-6).
fn is_bidirectional(unit: &[u8]) -> bool {
    let head = unit.get(1).copied().unwrap_or_default();
    head & 0b1111_0000 == 0b1010_0000 || head & 0b1111_1100 == 0b1001_1100
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPS: &[u8] = &[0x67, 0x42, 0xc0, 0x28];
    const PPS: &[u8] = &[0x68, 0xce];
    const IDR: &[u8] = &[0x65, 0x88, 0x84];
    const IDR_MORE: &[u8] = &[0x65, 0x11, 0x22];
    const P: &[u8] = &[0x41, 0x9a, 0x33];
    const B: &[u8] = &[0x01, 0xa8, 0x33];
    const SEI: &[u8] = &[0x06, 0x05, 0x01, 0x07, 0x80];

    fn stream(units: &[&[u8]]) -> Vec<u8> {
        let codes: [&[u8]; 3] = [&[0, 0, 0, 1], &[0, 0, 1], &[0, 0, 0, 0, 1]];
        let units = units.iter().enumerate();
        units
            .flat_map(|(index, unit)| [codes[index % 3], unit].concat())
            .collect()
    }

    /// The pieces of each picture.
    fn pictures(bytes: &[u8]) -> Vec<Vec<Vec<u8>>> {
        let media = read(bytes.to_vec()).unwrap();
        let units = media.units.iter();
        let pieces = units.map(|it| {
            it.pieces
                .clone()
                .map(|piece| media.piece(piece).to_vec())
                .collect()
        });
        pieces.collect()
    }

    #[test]
    fn pictures_are_told_apart_whatever_stands_between_them() {
        let bytes = stream(&[SPS, PPS, IDR, IDR_MORE, P, SEI, P, SPS, PPS, IDR]);
        let expected: [&[&[u8]]; 4] = [
            &[SPS, PPS, IDR, IDR_MORE],
            &[P],
            &[SEI, P],
            &[SPS, PPS, IDR],
        ];
        assert_eq!(pictures(&bytes), expected);
    }

    #[test]
    fn every_truncation_is_published_or_refused() {
        let bytes = stream(&[SPS, PPS, IDR, IDR_MORE, P, SEI, P]);
        for cut in 0..bytes.len() {
            if let Ok(media) = read(bytes[..cut].to_vec()) {
                assert!(!media.units.is_empty());
            }
        }
    }

    #[test]
    fn a_stream_without_frame_rate_has_25_pictures_a_second_and_says_so() {
        let media = read(stream(&[SPS, PPS, IDR, P, B])).unwrap();
        assert_eq!(media.units[1].due_nanos, 40_000_000);
        assert_eq!(media.units[1].ticks, 3600);
        assert_eq!(media.nanos, 120_000_000);
        let remark = media.remark.unwrap();
        assert!(
            remark.contains("25 pictures") && remark.contains("another order"),
            "{remark}"
        );
    }

    #[test]
    fn what_has_no_pictures_is_refused() {
        for (units, expected) in [
            (&[P][..], "no sequence parameter set"),
            (&[SPS, PPS], "no pictures"),
        ] {
            let error = read(stream(units)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
