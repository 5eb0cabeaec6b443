//! The boxes of an MP4 file, and the fields in them (ISO 14496-12, section 4.2). Views over the file's bytes; nothing is
//! taken on trust.

use super::error::FileError;

/// Four letters that say what a box is.
pub(super) type Code = [u8; 4];

/// The boxes that lie one behind the other.
#[derive(Clone, Debug)]
pub(super) struct Boxes<'a> {
    fields: Fields<'a>,
}

impl<'a> Boxes<'a> {
    /// Those that `bytes` consist of.
    pub(super) const fn new(bytes: &'a [u8], whole: &'static str) -> Self {
        Self {
            fields: Fields::new(bytes, whole),
        }
    }

    /// How many bytes the next box and those behind it have.
    pub(super) const fn rest_bytes(&self) -> usize {
        self.fields.rest().len()
    }

    /// The next box; nothing behind the last.
    pub(super) fn next(&mut self) -> Result<Option<(Code, &'a [u8])>, FileError> {
        const HEADER_BYTES: u64 = 8;
        const LARGE_HEADER_BYTES: u64 = 16;
        if self.fields.rest().is_empty() {
            return Ok(None);
        }
        let size = self.fields.u32()?;
        let code = self.fields.array()?;
        let body = match size {
            // It goes on to the end of the file.
            0 => self.fields.rest().len() as u64,
            1 => self
                .fields
                .u64()?
                .checked_sub(LARGE_HEADER_BYTES)
                .ok_or(TOO_SMALL)?,
            _ => u64::from(size).checked_sub(HEADER_BYTES).ok_or(TOO_SMALL)?,
        };
        let body = usize::try_from(body).unwrap_or(usize::MAX);
        Ok(Some((code, self.fields.bytes(body)?)))
    }

    /// The first box of this code.
    pub(super) fn find(mut self, code: &Code) -> Result<Option<&'a [u8]>, FileError> {
        while let Some((found, body)) = self.next()? {
            if found == *code {
                return Ok(Some(body));
            }
        }
        Ok(None)
    }
}

const TOO_SMALL: FileError = FileError::Damaged("a box is smaller than its header");

/// Fields one behind the other, most significant byte first.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
    whole: &'static str,
}

impl<'a> Fields<'a> {
    /// The fields of `bytes`; `whole` is what ends early if they do.
    pub(super) const fn new(bytes: &'a [u8], whole: &'static str) -> Self {
        Self { bytes, whole }
    }

    /// What has not been read.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// The next bytes, so many.
    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], FileError> {
        let truncated = FileError::Truncated(self.whole);
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(truncated)?;
        self.bytes = rest;
        Ok(taken)
    }

    /// The next bytes, so many.
    pub(super) fn array<const COUNT: usize>(&mut self) -> Result<[u8; COUNT], FileError> {
        let truncated = FileError::Truncated(self.whole);
        let (taken, rest) = self.bytes.split_first_chunk().ok_or(truncated)?;
        self.bytes = rest;
        Ok(*taken)
    }

    /// Passes over so many bytes.
    pub(super) fn skip(&mut self, count: usize) -> Result<(), FileError> {
        self.bytes(count).map(drop)
    }

    pub(super) fn u8(&mut self) -> Result<u8, FileError> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, FileError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, FileError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, FileError> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, FileError> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64, FileError> {
        self.array().map(i64::from_be_bytes)
    }

    /// The version of a box that has one, in front of three bytes of flags, which come with it.
    pub(super) fn version(&mut self) -> Result<(u8, u32), FileError> {
        let both = self.u32()?;
        Ok(((both >> 24) as u8, both & 0x00ff_ffff))
    }

    /// A number that has 64 bits from version 1 on, else 32.
    pub(super) fn long(&mut self, version: u8) -> Result<u64, FileError> {
        match version {
            0 => self.u32().map(u64::from),
            _ => self.u64(),
        }
    }
}
