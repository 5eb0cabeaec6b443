//! A file in memory: its bytes, its tracks, and the access units of all of them in the order in which they are due. Made
//! once by whoever knows the file's format, shared by all publishers of that file.

use std::ops::Range;

use shardcast_protocol::codec::{aac, h264, h265};
use shardcast_protocol::sdp::Codec;

use super::super::probe::Carrier;
use super::error::FileError;

/// The most access units of a file: two days and more of video with sound.
pub(super) const UNITS_MAX: usize = 1 << 23;
/// The most NAL units of a file, for the same time in a few slices each.
pub(super) const PIECES_MAX: usize = 1 << 24;
/// The longest access unit of AAC: what the 13 bits of its size can say (RFC 3640, section 3.3.6).
const AUDIO_UNIT_BYTES_MAX: usize = (1 << 13) - 1;

const NANOS_PER_SECOND: i128 = 1_000_000_000;
/// Ticks of video per second (RFC 6184 and RFC 7798, section 8).
const VIDEO_CLOCK_RATE: u32 = 90_000;

/// A file in memory.
#[derive(Debug)]
pub(super) struct Media {
    pub(super) bytes: Vec<u8>,
    pub(super) tracks: Vec<MediaTrack>,
    /// Of all tracks, by the moment at which they are due.
    pub(super) units: Vec<Unit>,
    /// Where the NAL units and audio access units lie in the bytes.
    pub(super) pieces: Vec<Range<u32>>,
    /// From the first moment of the file to the first one of its repetition.
    pub(super) nanos: u64,
    /// What whoever publishes it should know.
    pub(super) remark: Option<String>,
}

/// A track of a file in memory.
#[derive(Debug)]
pub(super) struct MediaTrack {
    pub(super) codec: Codec,
    pub(super) clock_rate: u32,
}

/// An access unit.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    pub(super) track: usize,
    /// When it is to be decoded, since the file's first moment.
    pub(super) due_nanos: u64,
    /// When it is to be shown, in ticks of the track's clock.
    pub(super) ticks: i64,
    /// Its NAL units, or itself.
    pub(super) pieces: Range<usize>,
}

/// A track as its file has it: times are in units of so many per second.
#[derive(Debug)]
pub(super) struct FileTrack {
    pub(super) codec: Codec,
    pub(super) timescale: u32,
    pub(super) samples: Vec<Sample>,
    /// When the last access unit ends.
    pub(super) end: i64,
}

/// An access unit as its file has it.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// Its NAL units, or itself, among the pieces.
    pub(super) pieces: Range<usize>,
    pub(super) decoded: i64,
    pub(super) shown: i64,
}

impl Media {
    /// Brings the tracks of a file onto one time.
    pub(super) fn new(
        bytes: Vec<u8>,
        pieces: Vec<Range<u32>>,
        tracks: Vec<FileTrack>,
    ) -> Result<Self, FileError> {
        let begin = tracks.iter().filter_map(FileTrack::begin_nanos).min();
        let begin = begin.ok_or(FileError::Missing("pictures and no sound"))?;
        let end = tracks
            .iter()
            .map(FileTrack::end_nanos)
            .max()
            .unwrap_or(begin);
        let nanos = u64::try_from(end - begin).ok().filter(|nanos| *nanos > 0);
        let nanos = nanos.ok_or(FileError::Damaged("it takes no time"))?;
        let mut units = Vec::new();
        for (index, track) in tracks.iter().enumerate() {
            let clock_rate = i128::from(track.clock_rate()?);
            let begin_ticks = divide(begin * clock_rate, NANOS_PER_SECOND);
            units.extend(track.samples.iter().map(|sample| Unit {
                track: index,
                due_nanos: u64::try_from(track.nanos(sample.decoded) - begin).unwrap_or(0),
                ticks: (track.ticks(sample.shown, clock_rate) - begin_ticks) as i64,
                pieces: sample.pieces.clone(),
            }));
        }
        units.sort_by_key(|unit| unit.due_nanos);
        let tracks = tracks.into_iter().map(|track| {
            let clock_rate = track.clock_rate()?;
            let codec = track.codec;
            Ok(MediaTrack { codec, clock_rate })
        });
        Ok(Self {
            bytes,
            tracks: tracks.collect::<Result<_, FileError>>()?,
            units,
            pieces,
            nanos,
            remark: None,
        })
    }

    /// Whether decoding can start at an access unit.
    pub(super) fn is_start(&self, unit: &Unit) -> bool {
        let carriers = self.tracks.iter().map(|track| Carrier::from(&track.codec));
        let is_video = |carrier| carrier != Carrier::Aac;
        match carriers.clone().nth(unit.track) {
            Some(carrier) if is_video(carrier) => {
                let mut kinds = unit
                    .pieces
                    .clone()
                    .map(|piece| NalKind::of(carrier, self.piece(piece)));
                kinds.any(|kind| kind == NalKind::KeySlice)
            }
            _ => !carriers.clone().any(is_video),
        }
    }

    /// A NAL unit or an audio access unit.
    pub(super) fn piece(&self, index: usize) -> &[u8] {
        let range = self.pieces.get(index).cloned().unwrap_or(0..0);
        let range = range.start as usize..range.end as usize;
        self.bytes.get(range).unwrap_or_default()
    }
}

impl FileTrack {
    fn begin_nanos(&self) -> Option<i128> {
        self.samples
            .first()
            .map(|sample| self.nanos(sample.decoded))
    }

    fn end_nanos(&self) -> i128 {
        self.nanos(self.end)
    }

    fn nanos(&self, time: i64) -> i128 {
        self.ticks(time, NANOS_PER_SECOND)
    }

    /// A time in units of so many per second.
    fn ticks(&self, time: i64, per_second: i128) -> i128 {
        divide(i128::from(time) * per_second, self.timescale.into())
    }

    /// Ticks per second of its RTP timestamps: those of a sound are its samples (RFC 3640, section 3.1).
    fn clock_rate(&self) -> Result<u32, FileError> {
        let Codec::Aac { config } = &self.codec else {
            return Ok(VIDEO_CLOCK_RATE);
        };
        let parameters = aac::parameters(config).ok();
        let rate = parameters.and_then(|parameters| parameters.sample_rate);
        rate.filter(|rate| *rate > 0).ok_or(FileError::Damaged(
            "the configuration of its sound makes no sense",
        ))
    }
}

/// A quotient, rounded to the nearest.
fn divide(dividend: i128, divisor: i128) -> i128 {
    let divisor = divisor.max(1);
    (dividend + divisor / 2).div_euclid(divisor)
}

/// Whether bytes are a NAL unit that may stand in a packet, or an audio access unit that may.
pub(super) fn is_sendable(carrier: Carrier, piece: &[u8]) -> bool {
    match carrier {
        // 24 and more are kinds of packets (RFC 6184, table 1).
        Carrier::H264 => h264::nal_type(piece).is_some_and(|kind| (1..24).contains(&kind)),
        // 48 and more are likewise (RFC 7798, section 4.4).
        Carrier::H265 => piece.len() > 2 && h265::nal_type(piece).is_some_and(|kind| kind < 48),
        _ => (1..=AUDIO_UNIT_BYTES_MAX).contains(&piece.len()),
    }
}

/// What a NAL unit means for where probes and parameter sets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NalKind {
    /// It begins an access unit.
    Delimiter,
    /// It is a parameter set.
    ParameterSet,
    /// It is a part of a picture at which decoding can start.
    KeySlice,
    /// It is a part of another picture.
    Slice,
    /// It is something else.
    Other,
}

impl NalKind {
    /// The kind of a NAL unit (H.264 table 7-1, H.265 table 7-1).
    pub(super) fn of(carrier: Carrier, unit: &[u8]) -> Self {
        match carrier {
            Carrier::H264 => match h264::nal_type(unit) {
                Some(1..=4) => Self::Slice,
                Some(5) => Self::KeySlice,
                Some(7 | 8 | 13) => Self::ParameterSet,
                Some(9) => Self::Delimiter,
                _ => Self::Other,
            },
            Carrier::H265 => match h265::nal_type(unit) {
                Some(16..=23) => Self::KeySlice,
                Some(0..=31) => Self::Slice,
                Some(32..=34) => Self::ParameterSet,
                Some(35) => Self::Delimiter,
                _ => Self::Other,
            },
            _ => Self::Other,
        }
    }

    pub(super) const fn is_slice(self) -> bool {
        matches!(self, Self::KeySlice | Self::Slice)
    }
}

/// Adds a piece, within the limit, and returns its number.
pub(super) fn push_piece(
    pieces: &mut Vec<Range<u32>>,
    piece: Range<usize>,
) -> Result<(), FileError> {
    let (Ok(start), Ok(end)) = (u32::try_from(piece.start), u32::try_from(piece.end)) else {
        return Err(FileError::Damaged("it has more than 4 GiB"));
    };
    if pieces.len() >= PIECES_MAX {
        return Err(FileError::TooMany {
            what: "NAL units",
            max: PIECES_MAX,
        });
    }
    pieces.push(start..end);
    Ok(())
}
