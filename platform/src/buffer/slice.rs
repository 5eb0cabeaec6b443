//! A range of a shared chunk, on one shard.
//!
//! A batch arrives from another shard as `bytes::Bytes`, whose count is atomic. The shard wraps it
//! once, and every reader's write clones the wrapper: a plain increment.

use std::ops::{Deref, Range};
use std::rc::Rc;

use bytes::Bytes;

/// Shared, immutable bytes of one shard. Cloning costs no atomic; it does not leave its thread.
#[derive(Clone, Debug)]
pub struct Slice {
    chunk: Rc<Bytes>,
    start: usize,
    end: usize,
}

impl Slice {
    /// The whole of `chunk`.
    #[must_use]
    pub fn new(chunk: Bytes) -> Self {
        let end = chunk.len();
        Self {
            chunk: Rc::new(chunk),
            start: 0,
            end,
        }
    }

    /// Bytes in this slice.
    #[must_use]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether it holds no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// A part of it, counted from its own start; it shares the chunk.
    ///
    /// # Panics
    /// When the range is out of bounds or ends before it starts.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Slice {
        assert!(
            range.start <= range.end && range.end <= self.len(),
            "slice out of bounds"
        );
        Self {
            chunk: Rc::clone(&self.chunk),
            start: self.start + range.start,
            end: self.start + range.end,
        }
    }

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.chunk[self.start..self.end]
    }

    /// Drops the first `count` bytes.
    ///
    /// # Panics
    /// When there are fewer.
    pub(crate) fn advance(&mut self, count: usize) {
        assert!(count <= self.len(), "advanced beyond the slice");
        self.start += count;
    }
}

impl Deref for Slice {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl From<Bytes> for Slice {
    fn from(chunk: Bytes) -> Self {
        Self::new(chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_share_the_chunk() {
        let whole = Slice::new(Bytes::from_static(b"0123456789"));
        let part = whole.slice(2..8).slice(1..3);
        assert_eq!(&*part, b"34");
        assert_eq!(part.as_ptr(), whole[3..].as_ptr());
        assert_eq!(part.clone().len(), 2);
    }

    #[test]
    fn an_empty_part_is_allowed_at_either_end() {
        let whole = Slice::new(Bytes::from_static(b"ab"));
        assert!(whole.slice(0..0).is_empty());
        assert!(whole.slice(2..2).is_empty());
    }

    #[test]
    #[should_panic(expected = "out of bounds")]
    fn a_part_beyond_the_end_is_refused() {
        let _ = Slice::new(Bytes::from_static(b"abcd"))
            .slice(0..2)
            .slice(0..3);
    }
}
