//! The fragments of an MP4 file (ISO 14496-12, section 8.8): what a recorder writes while it goes on, each with a table of
//! its own samples.

use super::boxes::{Boxes, Fields};
use super::error::FileError;
use super::samples::Places;

const FRAGMENT: &str = "a fragment's table of samples";

/// Which fields there are: of a track's fragment (section 8.8.7), of a run of samples in it (section 8.8.8).
const HAS_BASE: u32 = 0x1;
const HAS_DESCRIPTION: u32 = 0x2;
const HAS_DURATION: u32 = 0x8;
const HAS_SIZE: u32 = 0x10;
const RUN_HAS_OFFSET: u32 = 0x1;
const RUN_HAS_FIRST_FLAGS: u32 = 0x4;
const RUN_HAS_DURATIONS: u32 = 0x100;
const RUN_HAS_SIZES: u32 = 0x200;
const RUN_HAS_FLAGS: u32 = 0x400;
const RUN_HAS_SHIFTS: u32 = 0x800;

/// What samples of a track are like where nothing else is said.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Defaults {
    pub(super) track: u32,
    pub(super) duration: u32,
    pub(super) size: u32,
}

impl Defaults {
    /// Reads those of a track (`trex`, section 8.8.3).
    pub(super) fn read(trex: &[u8]) -> Result<Self, FileError> {
        let mut fields = Fields::new(trex, FRAGMENT);
        fields.version()?;
        let track = fields.u32()?;
        let _description = fields.u32()?;
        Ok(Self {
            track,
            duration: fields.u32()?,
            size: fields.u32()?,
        })
    }
}

/// A track's part of a fragment (`traf`).
#[derive(Debug)]
pub(super) struct TrackFragment<'a> {
    pub(super) defaults: Defaults,
    /// Where its data begin, if it says so.
    base: Option<u64>,
    has_duration: bool,
    has_size: bool,
    boxes: Boxes<'a>,
}

impl<'a> TrackFragment<'a> {
    /// Reads the header.
    pub(super) fn read(traf: &'a [u8]) -> Result<Self, FileError> {
        let boxes = Boxes::new(traf, FRAGMENT);
        let head = boxes.clone().find(b"tfhd")?;
        let mut fields = Fields::new(
            head.ok_or(FileError::Missing("head of a fragment"))?,
            FRAGMENT,
        );
        let (_, flags) = fields.version()?;
        let track = fields.u32()?;
        let base = if flags & HAS_BASE != 0 {
            Some(fields.u64()?)
        } else {
            None
        };
        if flags & HAS_DESCRIPTION != 0 {
            fields.skip(4)?;
        }
        let (has_duration, has_size) = (flags & HAS_DURATION != 0, flags & HAS_SIZE != 0);
        let duration = if has_duration { fields.u32()? } else { 0 };
        let size = if has_size { fields.u32()? } else { 0 };
        Ok(Self {
            defaults: Defaults {
                track,
                duration,
                size,
            },
            base,
            has_duration,
            has_size,
            boxes,
        })
    }

    /// Adds its samples to those of the track. `moof` is where the fragment begins in the file.
    pub(super) fn add_to(
        mut self,
        places: &mut Places,
        defaults: Defaults,
        moof: u64,
    ) -> Result<(), FileError> {
        if !self.has_duration {
            self.defaults.duration = defaults.duration;
        }
        if !self.has_size {
            self.defaults.size = defaults.size;
        }
        if let Some(tfdt) = self.boxes.clone().find(b"tfdt")? {
            let mut fields = Fields::new(tfdt, FRAGMENT);
            let (version, _) = fields.version()?;
            let begin = i64::try_from(fields.long(version)?).unwrap_or(i64::MAX);
            places.end = places.end.max(begin);
        }
        let base = self.base.unwrap_or(moof);
        let mut next = base;
        while let Some((code, body)) = self.boxes.next()? {
            if &code == b"trun" {
                next = add_run(body, places, self.defaults, base, next)?;
            }
        }
        Ok(())
    }
}

/// Adds a run of samples, and returns where its data end. Without a place of their own they begin at `next`.
fn add_run(
    trun: &[u8],
    places: &mut Places,
    defaults: Defaults,
    base: u64,
    next: u64,
) -> Result<u64, FileError> {
    let mut fields = Fields::new(trun, FRAGMENT);
    let (_, flags) = fields.version()?;
    let samples = fields.u32()?;
    let mut start = match flags & RUN_HAS_OFFSET {
        0 => next,
        _ => base.saturating_add_signed(fields.i32()?.into()),
    };
    if flags & RUN_HAS_FIRST_FLAGS != 0 {
        fields.skip(4)?;
    }
    for _ in 0..samples {
        let mut field = |flag: u32, otherwise| match flags & flag {
            0 => Ok(otherwise),
            _ => fields.u32(),
        };
        let takes = field(RUN_HAS_DURATIONS, defaults.duration)?;
        let size = u64::from(field(RUN_HAS_SIZES, defaults.size)?);
        field(RUN_HAS_FLAGS, 0)?;
        let shown = field(RUN_HAS_SHIFTS, 0)?.cast_signed();
        let end = start.saturating_add(size);
        places.push(start..end, takes, shown)?;
        start = end;
    }
    Ok(start)
}
