//! The sample table of an MP4 track (ISO 14496-12, section 8): where each access unit lies and when it is due, as four
//! tables say it in runs.

use std::iter::repeat_n;
use std::ops::Range;

use super::boxes::{Boxes, Code, Fields};
use super::error::FileError;
use super::media::UNITS_MAX;

const TABLE: &str = "the table of a track's samples";

/// An access unit, with its times in the track's units.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) range: Range<u64>,
    pub(super) decoded: i64,
    pub(super) shown: i64,
}

/// All access units of a track.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) places: Vec<Place>,
    /// When the last one ends.
    pub(super) end: i64,
}

impl Places {
    /// Adds an access unit behind the last: where it lies, how long it takes, how much later than decoded it is shown.
    pub(super) fn push(
        &mut self,
        range: Range<u64>,
        takes: u32,
        shown: i32,
    ) -> Result<(), FileError> {
        if self.places.len() >= UNITS_MAX {
            return Err(TOO_MANY);
        }
        self.places.push(Place {
            range,
            decoded: self.end,
            shown: self.end.saturating_add(shown.into()),
        });
        self.end = self.end.saturating_add(takes.into());
        Ok(())
    }

    /// Reads a sample table (`stbl`).
    pub(super) fn read(stbl: &[u8]) -> Result<Self, FileError> {
        let sizes = Sizes::read(required(stbl, b"stsz")?)?;
        let chunks = Chunks::read(stbl)?;
        let durations = Runs::read(required(stbl, b"stts")?)?;
        let shifts = match Boxes::new(stbl, TABLE).find(b"ctts")? {
            Some(ctts) => Runs::read(ctts)?,
            None => Runs {
                fields: Fields::new(&[], TABLE),
                count: 0,
            },
        };
        let mut durations = durations.expand();
        // Without a table, and behind its end, pictures are shown when they are decoded.
        let mut shifts = shifts.expand().chain(std::iter::repeat(0));
        let (mut places, mut starts) = (Self::default(), chunks.into_starts(sizes.count)?);
        for index in 0..sizes.count {
            let size = sizes.get(index)?;
            let start = starts.next(size)?;
            let takes = durations
                .next()
                .ok_or(FileError::Damaged("samples have no times"))?;
            let shown = shifts.next().unwrap_or(0).cast_signed();
            places.push(start..start.saturating_add(size), takes, shown)?;
        }
        Ok(places)
    }
}

const TOO_MANY: FileError = FileError::TooMany {
    what: "access units",
    max: UNITS_MAX,
};

fn required<'a>(stbl: &'a [u8], code: &Code) -> Result<&'a [u8], FileError> {
    let found = Boxes::new(stbl, TABLE).find(code)?;
    found.ok_or(FileError::Missing("complete table of samples"))
}

/// The sizes of samples (`stsz`).
struct Sizes<'a> {
    all: u32,
    count: usize,
    table: &'a [u8],
}

impl<'a> Sizes<'a> {
    fn read(stsz: &'a [u8]) -> Result<Self, FileError> {
        let mut fields = Fields::new(stsz, TABLE);
        fields.version()?;
        let all = fields.u32()?;
        let count = fields.u32()? as usize;
        if count > UNITS_MAX {
            return Err(TOO_MANY);
        }
        let table = if all == 0 {
            fields.bytes(4 * count)?
        } else {
            &[]
        };
        Ok(Self { all, count, table })
    }

    fn get(&self, index: usize) -> Result<u64, FileError> {
        match self.all {
            0 => {
                let entry = self.table.get(4 * index..).unwrap_or_default();
                Fields::new(entry, TABLE).u32().map(u64::from)
            }
            all => Ok(all.into()),
        }
    }
}

/// A table of counts and values (`stts`, `ctts`).
struct Runs<'a> {
    fields: Fields<'a>,
    count: usize,
}

impl<'a> Runs<'a> {
    fn read(table: &'a [u8]) -> Result<Self, FileError> {
        let mut fields = Fields::new(table, TABLE);
        fields.version()?;
        let count = fields.u32()? as usize;
        let fields = Fields::new(fields.bytes(count.saturating_mul(8))?, TABLE);
        Ok(Self { fields, count })
    }

    /// Each value as many times as the table says.
    fn expand(mut self) -> impl Iterator<Item = u32> {
        (0..self.count).flat_map(move |_| {
            let count = self.fields.u32().unwrap_or(0);
            repeat_n(self.fields.u32().unwrap_or(0), count as usize)
        })
    }
}

/// Where chunks lie (`stco`, `co64`), and how many samples they have (`stsc`).
struct Chunks {
    offsets: Vec<u64>,
    /// The first chunk of a run, from 1 on, and how many samples each of its chunks has.
    runs: Vec<(u32, u32)>,
}

impl Chunks {
    fn read(stbl: &[u8]) -> Result<Self, FileError> {
        let (table, is_long) = match Boxes::new(stbl, TABLE).find(b"co64")? {
            Some(table) => (table, 1),
            None => (required(stbl, b"stco")?, 0),
        };
        let mut fields = Fields::new(table, TABLE);
        fields.version()?;
        let mut offsets = Vec::new();
        for _ in 0..fields.u32()? {
            offsets.push(fields.long(is_long)?);
        }
        let mut fields = Fields::new(required(stbl, b"stsc")?, TABLE);
        fields.version()?;
        let mut runs = Vec::new();
        for _ in 0..fields.u32()? {
            runs.push((fields.u32()?, fields.u32()?));
            let _description = fields.u32()?;
        }
        Ok(Self { offsets, runs })
    }

    /// The begins of samples, so many.
    fn into_starts(self, samples: usize) -> Result<Starts, FileError> {
        let has_runs = self.runs.first().is_some_and(|(first, _)| *first == 1);
        if samples > 0 && !has_runs {
            return Err(FileError::Damaged("samples have no chunks"));
        }
        Ok(Starts {
            chunks: self,
            chunk: 0,
            run: 0,
            left: 0,
            next: 0,
        })
    }
}

/// Where samples begin, one after the other.
struct Starts {
    chunks: Chunks,
    /// Chunks that have been begun, and the run of the next one.
    chunk: usize,
    run: usize,
    /// Samples that the chunk under way has left, and where the next one begins.
    left: u32,
    next: u64,
}

impl Starts {
    /// Where the next sample begins, which has so many bytes.
    fn next(&mut self, bytes: u64) -> Result<u64, FileError> {
        while self.left == 0 {
            let offset = self.chunks.offsets.get(self.chunk);
            self.next = *offset.ok_or(FileError::Damaged("samples have no chunks"))?;
            self.chunk += 1;
            let runs = &self.chunks.runs;
            let following = runs.get(self.run + 1);
            if following.is_some_and(|(first, _)| *first as usize <= self.chunk) {
                self.run += 1;
            }
            self.left = runs.get(self.run).map_or(0, |(_, samples)| *samples);
        }
        self.left -= 1;
        let start = self.next;
        self.next = start.saturating_add(bytes);
        Ok(start)
    }
}
