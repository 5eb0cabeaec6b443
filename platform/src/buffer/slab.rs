//! The buffer that sockets read into: what they brought so far, and room for more.
//!
//! A session owns its slab, lends it to `read`, gets it back with the new bytes at the end, and
//! cuts whole packets off its front without copying them.

use bytes::{BufMut, BytesMut};

/// A filled part and spare capacity behind it; reads append to the filled part.
///
/// It never grows by itself: a read takes at most [`Slab::spare`] bytes, so memory follows what
/// its owner reserves.
#[derive(Debug, Default)]
pub struct Slab(BytesMut);

impl Slab {
    /// An empty slab with room for `capacity` bytes.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self(BytesMut::with_capacity(capacity))
    }

    /// A slab over `bytes`: its content is the filled part.
    #[must_use]
    pub fn from_bytes_mut(bytes: BytesMut) -> Self {
        Self(bytes)
    }

    /// The chunk itself, with its spare capacity.
    #[must_use]
    pub fn into_bytes_mut(self) -> BytesMut {
        self.0
    }

    /// What has been read and not been taken yet.
    #[must_use]
    pub fn filled(&self) -> &[u8] {
        &self.0
    }

    /// As [`Slab::filled`], for parsers that rewrite in place.
    pub fn filled_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// How many bytes the next read can bring.
    #[must_use]
    pub fn spare(&self) -> usize {
        self.0.capacity() - self.0.len()
    }

    /// Bytes filled.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is filled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the first `count` filled bytes out, without copying.
    ///
    /// # Panics
    /// When fewer than `count` bytes are filled.
    #[must_use = "the bytes leave the slab"]
    pub fn split_to(&mut self, count: usize) -> BytesMut {
        self.0.split_to(count)
    }

    /// Makes room for at least `count` more bytes. It moves the filled part to another chunk when
    /// this one is too small or still shared with what was split off.
    pub fn reserve(&mut self, count: usize) {
        self.0.reserve(count);
    }

    /// Appends a copy of `bytes`, growing as needed.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Where the next read puts its bytes: valid for [`Slab::spare`] bytes, and at the same
    /// address when the slab is moved.
    pub(crate) fn spare_ptr(&mut self) -> *mut u8 {
        self.0.spare_capacity_mut().as_mut_ptr().cast()
    }

    /// Counts `count` bytes of the spare capacity as filled.
    ///
    /// # Safety
    /// The first `count` bytes at [`Slab::spare_ptr`] have been written.
    ///
    /// # Panics
    /// When there is less spare capacity than that.
    pub(crate) unsafe fn advance_filled(&mut self, count: usize) {
        assert!(
            count <= self.spare(),
            "a read brought more than there was room for"
        );
        // SAFETY: the caller has written these bytes, and they lie within the capacity.
        unsafe { self.0.advance_mut(count) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_append_behind_what_is_filled() {
        let mut slab = Slab::with_capacity(8);
        slab.extend_from_slice(b"ab");
        let room = slab.spare();
        // SAFETY: two bytes lie within the spare capacity of six, and are written before they are
        // counted as filled.
        unsafe {
            slab.spare_ptr().copy_from_nonoverlapping(b"cd".as_ptr(), 2);
            slab.advance_filled(2);
        }
        assert_eq!(slab.filled(), b"abcd");
        assert_eq!(slab.spare(), room - 2);
    }

    #[test]
    fn splitting_keeps_the_rest_and_its_room() {
        let mut slab = Slab::with_capacity(8);
        slab.extend_from_slice(b"packet");
        let front = slab.split_to(4);
        assert_eq!(&front[..], b"pack");
        assert_eq!(slab.filled(), b"et");
        assert_eq!(slab.spare(), 2);
        slab.reserve(100);
        assert_eq!(slab.filled(), b"et");
        assert!(slab.spare() >= 100);
        assert_eq!(&front[..], b"pack");
    }

    #[test]
    #[should_panic(expected = "more than there was room for")]
    fn a_read_beyond_the_room_is_refused() {
        let mut slab = Slab::with_capacity(4);
        let beyond = slab.spare() + 1;
        // SAFETY: the assertion fires before anything is counted.
        unsafe { slab.advance_filled(beyond) };
    }
}
