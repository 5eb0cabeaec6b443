//! Reads an MP4 file (ISO 14496-12), in one piece or in fragments: tracks of H.264, H.265 and AAC; others are left out.
//!
//! Of an edit list counts where the track begins, no more: a file is played from its begin to its end.
//!
//! Deliberately absent: a crate. Those that read MP4 panic at tables that contradict each other, or take memory for lengths
//! that are only declared.

use std::ops::Range;

use shardcast_protocol::sdp::Codec;

use super::super::probe::Carrier;
use super::boxes::{Boxes, Code, Fields};
use super::entry::Entry;
use super::error::FileError;
use super::fragments::{Defaults, TrackFragment};
use super::media::{FileTrack, Media, Sample, is_sendable, push_piece};
use super::samples::{Place, Places};

/// Boxes that files begin with.
const FIRST_BOXES: [&Code; 6] = [b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip"];

const HEAD: &str = "its head";

/// Whether bytes begin like an MP4 file.
pub(super) fn is_mp4(bytes: &[u8]) -> bool {
    let code = bytes.get(4..).and_then(<[u8]>::first_chunk);
    code.is_some_and(|code| FIRST_BOXES.contains(&code))
}

/// Reads a file.
///
/// # Errors
/// [`FileError`].
pub(super) fn read(bytes: Vec<u8>) -> Result<Media, FileError> {
    let mut boxes = Boxes::new(&bytes, "a part of the file");
    let (mut movie, mut fragments) = (None, Vec::new());
    loop {
        let offset = bytes.len() - boxes.rest_bytes();
        match boxes.next()? {
            Some((code, body)) if &code == b"moov" => movie = Some(body),
            Some((code, body)) if &code == b"moof" => fragments.push((offset as u64, body)),
            Some(_) => {}
            None => break,
        }
    }
    let mut movie = Movie::read(movie.ok_or(FileError::Missing("head (moov)"))?)?;
    for (offset, body) in fragments {
        movie.add_fragment(offset, body)?;
    }
    let (mut pieces, mut tracks) = (Vec::new(), Vec::new());
    for track in movie.tracks {
        tracks.push(track.cut(&bytes, &mut pieces)?);
    }
    tracks.retain(|track| !track.samples.is_empty());
    Media::new(bytes, pieces, tracks)
}

/// The head of a file.
#[derive(Debug)]
struct Movie {
    tracks: Vec<Track>,
    defaults: Vec<Defaults>,
}

/// A track that can be published.
#[derive(Debug)]
struct Track {
    id: u32,
    timescale: u32,
    /// By how much its begin is moved.
    shift: i64,
    codec: Codec,
    length_bytes: usize,
    places: Places,
}

impl Movie {
    fn read(moov: &[u8]) -> Result<Self, FileError> {
        let mut boxes = Boxes::new(moov, HEAD);
        let timescale = match boxes.clone().find(b"mvhd")? {
            Some(mvhd) => timescale(mvhd)?,
            None => 1,
        };
        let (mut tracks, mut defaults, mut others) = (Vec::new(), Vec::new(), Vec::new());
        while let Some((code, body)) = boxes.next()? {
            match &code {
                b"trak" => match Track::read(body, timescale)? {
                    Ok(track) => tracks.push(track),
                    Err(other) => others.push(other),
                },
                b"mvex" => defaults = all_defaults(body)?,
                _ => {}
            }
        }
        if !tracks.is_empty() {
            return Ok(Self { tracks, defaults });
        }
        Err(match others.contains(&Entry::ENCRYPTED.to_owned()) {
            true => FileError::Encrypted,
            false if others.is_empty() => FileError::Missing("tracks"),
            false => FileError::NoTrack {
                found: others.join(", "),
            },
        })
    }

    fn add_fragment(&mut self, offset: u64, moof: &[u8]) -> Result<(), FileError> {
        let mut boxes = Boxes::new(moof, "a fragment");
        while let Some((code, body)) = boxes.next()? {
            if &code != b"traf" {
                continue;
            }
            let fragment = TrackFragment::read(body)?;
            let id = fragment.defaults.track;
            let Some(track) = self.tracks.iter_mut().find(|track| track.id == id) else {
                continue;
            };
            let defaults = self.defaults.iter().find(|defaults| defaults.track == id);
            let defaults = defaults.copied().unwrap_or_default();
            fragment.add_to(&mut track.places, defaults, offset)?;
        }
        Ok(())
    }
}

fn all_defaults(mvex: &[u8]) -> Result<Vec<Defaults>, FileError> {
    let (mut boxes, mut all) = (Boxes::new(mvex, HEAD), Vec::new());
    while let Some((code, body)) = boxes.next()? {
        if &code == b"trex" {
            all.push(Defaults::read(body)?);
        }
    }
    Ok(all)
}

/// The units per second in a movie's or a track's header (`mvhd`, `mdhd`): behind two moments.
fn timescale(header: &[u8]) -> Result<u32, FileError> {
    let mut fields = Fields::new(header, HEAD);
    let (version, _) = fields.version()?;
    fields.long(version)?;
    fields.long(version)?;
    match fields.u32()? {
        0 => Err(FileError::Damaged("a second has no parts")),
        timescale => Ok(timescale),
    }
}

/// The box at the end of a path of boxes.
fn at<'a>(body: &'a [u8], path: &[&Code]) -> Result<Option<&'a [u8]>, FileError> {
    path.iter().try_fold(Some(body), |body, code| match body {
        Some(body) => Boxes::new(body, HEAD).find(code),
        None => Ok(None),
    })
}

impl Track {
    /// Reads a track (`trak`), or says what it is if it cannot be published.
    fn read(trak: &[u8], movie_timescale: u32) -> Result<Result<Self, String>, FileError> {
        const INCOMPLETE: FileError = FileError::Missing("complete head of a track");
        let stbl = at(trak, &[b"mdia", b"minf", b"stbl"])?.ok_or(INCOMPLETE)?;
        let stsd = at(stbl, &[b"stsd"])?.ok_or(INCOMPLETE)?;
        let (codec, length_bytes) = match Entry::read(stsd)? {
            Entry::Known {
                codec,
                length_bytes,
            } => (codec, length_bytes),
            Entry::Other(code) => return Ok(Err(code)),
        };
        let timescale = timescale(at(trak, &[b"mdia", b"mdhd"])?.ok_or(INCOMPLETE)?)?;
        let shift = match at(trak, &[b"edts", b"elst"])? {
            Some(edits) => shift(edits, movie_timescale, timescale)?,
            None => 0,
        };
        Ok(Ok(Self {
            id: track_id(at(trak, &[b"tkhd"])?.ok_or(INCOMPLETE)?)?,
            timescale,
            shift,
            codec,
            length_bytes,
            places: Places::read(stbl)?,
        }))
    }

    /// Finds the NAL units of its samples.
    fn cut(self, bytes: &[u8], pieces: &mut Vec<Range<u32>>) -> Result<FileTrack, FileError> {
        let carrier = Carrier::from(&self.codec);
        let mut samples = Vec::new();
        for place in &self.places.places {
            let begin = pieces.len();
            cut_sample(bytes, place, self.length_bytes, |piece| {
                let content = bytes.get(piece.clone()).unwrap_or_default();
                match is_sendable(carrier, content) {
                    true => push_piece(pieces, piece),
                    false => Ok(()),
                }
            })?;
            if pieces.len() > begin {
                samples.push(Sample {
                    pieces: begin..pieces.len(),
                    decoded: place.decoded.saturating_add(self.shift),
                    shown: place.shown.saturating_add(self.shift),
                });
            }
        }
        Ok(FileTrack {
            codec: self.codec,
            timescale: self.timescale,
            samples,
            end: self.places.end.saturating_add(self.shift),
        })
    }
}

/// Hands out the NAL units of a sample, or the sample where it has none.
fn cut_sample(
    bytes: &[u8],
    place: &Place,
    length_bytes: usize,
    mut take: impl FnMut(Range<usize>) -> Result<(), FileError>,
) -> Result<(), FileError> {
    const TRUNCATED: FileError = FileError::Truncated("its media");
    let start = usize::try_from(place.range.start).map_err(|_| TRUNCATED)?;
    let end = usize::try_from(place.range.end).map_err(|_| TRUNCATED)?;
    let sample = bytes.get(start..end).ok_or(TRUNCATED)?;
    if length_bytes == 0 {
        return take(start..end);
    }
    let overrun = |_| FileError::Damaged("NAL units overrun their access unit");
    let mut fields = Fields::new(sample, "an access unit");
    while !fields.rest().is_empty() {
        let length = fields.bytes(length_bytes).map_err(overrun)?;
        let length = length
            .iter()
            .fold(0, |length, byte| length << 8 | usize::from(*byte));
        let begin = end - fields.rest().len();
        fields.skip(length).map_err(overrun)?;
        take(begin..begin + length)?;
    }
    Ok(())
}

fn track_id(tkhd: &[u8]) -> Result<u32, FileError> {
    let mut fields = Fields::new(tkhd, HEAD);
    let (version, _) = fields.version()?;
    fields.long(version)?;
    fields.long(version)?;
    fields.u32()
}

/// By how much an edit list (section 8.6.6) moves a track: an empty edit puts it off, and the first other one says which of
/// the track's moments is its begin.
fn shift(elst: &[u8], movie_timescale: u32, timescale: u32) -> Result<i64, FileError> {
    let mut fields = Fields::new(elst, "an edit list");
    let (version, _) = fields.version()?;
    let mut shift = 0i64;
    for _ in 0..fields.u32()? {
        let duration = fields.long(version)?;
        let begin = match version {
            0 => fields.i32()?.into(),
            _ => fields.i64()?,
        };
        fields.skip(4)?;
        if begin >= 0 {
            return Ok(shift.saturating_sub(begin));
        }
        let duration = u128::from(duration) * u128::from(timescale);
        let duration = duration / u128::from(movie_timescale.max(1));
        shift = shift.saturating_add(i64::try_from(duration).unwrap_or(i64::MAX));
    }
    Ok(shift)
}
