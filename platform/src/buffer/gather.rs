//! The slices of one vectored write, and the array through which the kernel finds them.
//!
//! A reader keeps one `Gather`, fills it from its log, lends it to `write` and gets it back without
//! what the socket accepted. It is one pointer, because it passes through many hands on its way to
//! the kernel and back. Most writes are one slice, which lies beside the rest of it; longer lists
//! keep their memory, so nothing is allocated after warm-up.

use std::collections::VecDeque;

use super::Slice;

/// The most slices that one write takes: the kernel's `UIO_MAXIOV`. One more is `EINVAL`.
pub const GATHER_SLICES_MAX: usize = 1024;

/// Slices for one vectored write, in order.
#[derive(Default)]
pub struct Gather(Box<Queue>);

#[derive(Default)]
struct Queue {
    /// None only when nothing is queued.
    front: Option<Slice>,
    /// What follows it.
    rest: VecDeque<Slice>,
    bytes: usize,
    /// Memory of the array for the kernel, which is made anew for each write that needs one.
    #[cfg(unix)]
    vectors: Vec<libc::iovec>,
}

impl Gather {
    /// An empty gather.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a slice. An empty one is dropped.
    ///
    /// # Errors
    /// Gives the slice back when [`GATHER_SLICES_MAX`] are queued already.
    pub fn push(&mut self, slice: Slice) -> Result<(), Slice> {
        if slice.is_empty() {
            return Ok(());
        }
        if self.len() == GATHER_SLICES_MAX {
            return Err(slice);
        }
        let queue = &mut *self.0;
        queue.bytes += slice.len();
        match queue.front {
            None => queue.front = Some(slice),
            Some(_) => queue.rest.push_back(slice),
        }
        Ok(())
    }

    /// Slices left.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.0.front.is_some()) + self.0.rest.len()
    }

    /// Whether everything has been written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.front.is_none()
    }

    /// Bytes left.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.bytes
    }

    /// Drops the first `count` bytes: whole slices, and the front of the one after them.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn advance(&mut self, count: usize) {
        let queue = &mut *self.0;
        assert!(count <= queue.bytes, "advanced beyond the gather");
        queue.bytes -= count;
        let mut left = count;
        while left > 0 {
            let front = queue.front.as_mut();
            let front = front.expect("bytes counts the slices' bytes");
            if front.len() > left {
                return front.advance(left);
            }
            left -= front.len();
            queue.front = queue.rest.pop_front();
        }
    }

    /// Drops everything; the memory of the lists stays.
    pub fn clear(&mut self) {
        self.0.front = None;
        self.0.rest.clear();
        self.0.bytes = 0;
    }

    /// The first slice, which alone is a plain send.
    #[cfg(any(unix, feature = "windows-monoio"))]
    pub(crate) fn front(&self) -> Option<&Slice> {
        self.0.front.as_ref()
    }

    /// The slices in order.
    pub fn slices(&self) -> impl Iterator<Item = &Slice> {
        self.0.front.iter().chain(&self.0.rest)
    }
}

#[cfg(unix)]
impl Gather {
    /// Makes the array for the kernel: one entry per slice left. It stays valid, and at its address
    /// when the gather is moved, until the gather is changed.
    pub(crate) fn vectors(&mut self) -> &[libc::iovec] {
        let mut vectors = std::mem::take(&mut self.0.vectors);
        vectors.clear();
        vectors.extend(self.slices().map(vector_of));
        self.0.vectors = vectors;
        &self.0.vectors
    }

    /// The array as it was made last.
    pub(crate) fn made_vectors(&self) -> &[libc::iovec] {
        &self.0.vectors
    }
}

#[cfg(unix)]
fn vector_of(slice: &Slice) -> libc::iovec {
    libc::iovec {
        iov_base: slice.as_ptr().cast_mut().cast(),
        iov_len: slice.len(),
    }
}

impl std::fmt::Debug for Gather {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gather")
            .field("slices", &self.len())
            .field("bytes", &self.bytes())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn gather(parts: &[&'static [u8]]) -> Gather {
        let mut gather = Gather::new();
        for part in parts {
            gather
                .push(Slice::new(Bytes::from_static(part)))
                .expect("there is room");
        }
        gather
    }

    #[cfg(unix)]
    fn through_vectors(gather: &mut Gather) -> Vec<u8> {
        let mut bytes = Vec::new();
        for vector in gather.vectors() {
            // SAFETY: the gather keeps the slice that the entry describes.
            let part =
                unsafe { std::slice::from_raw_parts(vector.iov_base.cast::<u8>(), vector.iov_len) };
            bytes.extend_from_slice(part);
        }
        bytes
    }

    #[cfg(unix)]
    #[test]
    fn the_vectors_describe_what_is_left_after_every_partial_write() {
        for count in 0..=9 {
            let mut gather = gather(&[b"abc", b"", b"defg", b"hi"]);
            gather.advance(count);
            assert_eq!(through_vectors(&mut gather), &b"abcdefghi"[count..]);
            assert_eq!(gather.bytes(), 9 - count);
            assert_eq!(gather.len(), gather.made_vectors().len());
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_gather_that_is_never_empty_keeps_its_memory_bounded() {
        let mut gather = gather(&[b"x"]);
        // Miri takes milliseconds a round; three times over the limit is enough to see the memory reused.
        let rounds = if cfg!(miri) { 3 } else { 10 };
        for _ in 0..rounds * GATHER_SLICES_MAX {
            gather
                .push(Slice::new(Bytes::from_static(b"yz")))
                .expect("there is room");
            let front = gather.front().expect("one is left").len();
            gather.advance(front);
        }
        assert_eq!(through_vectors(&mut gather), b"yz");
        assert!(gather.0.rest.capacity() <= 2 * GATHER_SLICES_MAX);
    }

    #[test]
    fn one_slice_over_the_limit_comes_back() {
        let mut gather = Gather::new();
        for _ in 0..GATHER_SLICES_MAX {
            gather
                .push(Slice::new(Bytes::from_static(b"a")))
                .expect("at the limit");
        }
        let refused = gather.push(Slice::new(Bytes::from_static(b"b")));
        assert_eq!(&*refused.expect_err("over the limit"), b"b");
        gather.advance(1);
        gather
            .push(Slice::new(Bytes::from_static(b"b")))
            .expect("room again");
    }

    #[test]
    fn clearing_lets_go_of_the_chunks() {
        let chunk = Bytes::from(vec![7; 16]);
        let mut gather = Gather::new();
        gather
            .push(Slice::new(chunk.clone()))
            .expect("there is room");
        gather.clear();
        assert!(chunk.is_unique());
        assert!(gather.is_empty() && gather.bytes() == 0);
    }

    #[test]
    fn what_was_written_is_let_go_at_once() {
        let chunk = Bytes::from(vec![7; 16]);
        let mut gather = Gather::new();
        gather
            .push(Slice::new(chunk.clone()))
            .expect("there is room");
        gather
            .push(Slice::new(Bytes::from_static(b"rest")))
            .expect("there is room");
        gather.advance(16);
        assert!(chunk.is_unique());
    }

    #[test]
    #[should_panic(expected = "beyond the gather")]
    fn advancing_beyond_the_end_is_refused() {
        gather(&[b"ab"]).advance(3);
    }
}
