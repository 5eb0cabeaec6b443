//! The slices of one vectored write, and the array through which the kernel finds them.
//!
//! A reader keeps one `Gather`, fills it from its log, lends it to `write` and gets it back without
//! what the socket accepted. The array lives on the heap, because an operation is moved after it
//! has been submitted; both lists keep their memory, so nothing is allocated after warm-up.

use std::collections::VecDeque;

use super::Slice;

/// The most slices that one write takes: the kernel's `UIO_MAXIOV`. One more is `EINVAL`.
pub const GATHER_SLICES_MAX: usize = 1024;

/// Slices for one vectored write, in order.
#[derive(Default)]
pub struct Gather {
    slices: VecDeque<Slice>,
    bytes: usize,
    /// One entry per slice behind the first `written` ones, which are gone.
    #[cfg(unix)]
    vectors: Vec<libc::iovec>,
    #[cfg(unix)]
    written: usize,
}

impl Gather {
    /// An empty gather; it allocates with the first push.
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
        if self.slices.len() == GATHER_SLICES_MAX {
            return Err(slice);
        }
        self.bytes += slice.len();
        #[cfg(unix)]
        self.push_vector(&slice);
        self.slices.push_back(slice);
        Ok(())
    }

    /// Slices left.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slices.len()
    }

    /// Whether everything has been written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slices.is_empty()
    }

    /// Bytes left.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Drops the first `count` bytes: whole slices, and the front of the one after them.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn advance(&mut self, count: usize) {
        assert!(count <= self.bytes, "advanced beyond the gather");
        self.bytes -= count;
        let mut left = count;
        while left > 0 {
            let front = self
                .slices
                .front_mut()
                .expect("bytes counts the slices' bytes");
            if front.len() > left {
                front.advance(left);
                #[cfg(unix)]
                self.refresh_front_vector();
                break;
            }
            left -= front.len();
            self.slices.pop_front();
            #[cfg(unix)]
            self.drop_front_vector();
        }
    }

    /// Drops everything; the memory of the lists stays.
    pub fn clear(&mut self) {
        self.slices.clear();
        self.bytes = 0;
        #[cfg(unix)]
        {
            self.vectors.clear();
            self.written = 0;
        }
    }

    /// The first slice, which alone is a plain send.
    #[cfg(any(unix, feature = "windows-monoio"))]
    pub(crate) fn front(&self) -> Option<&Slice> {
        self.slices.front()
    }

    /// The slices in order, for backends that build an array of their own.
    #[cfg(all(windows, not(feature = "windows-monoio")))]
    pub(crate) fn slices(&self) -> impl Iterator<Item = &Slice> {
        self.slices.iter()
    }
}

#[cfg(unix)]
impl Gather {
    /// One entry per slice left. It stays valid, and at its address when the gather is moved,
    /// until the gather is changed.
    pub(crate) fn vectors(&self) -> &[libc::iovec] {
        &self.vectors[self.written..]
    }

    fn push_vector(&mut self, slice: &Slice) {
        if self.written > 0 && self.vectors.len() >= GATHER_SLICES_MAX {
            self.vectors.drain(..self.written);
            self.written = 0;
        }
        self.vectors.push(vector_of(slice));
    }

    fn refresh_front_vector(&mut self) {
        if let Some(front) = self.slices.front() {
            self.vectors[self.written] = vector_of(front);
        }
    }

    fn drop_front_vector(&mut self) {
        self.written += 1;
        if self.slices.is_empty() {
            self.vectors.clear();
            self.written = 0;
        }
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
            .field("bytes", &self.bytes)
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
    fn through_vectors(gather: &Gather) -> Vec<u8> {
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
            assert_eq!(through_vectors(&gather), &b"abcdefghi"[count..]);
            assert_eq!(gather.bytes(), 9 - count);
            assert_eq!(gather.len(), gather.vectors().len());
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_gather_that_is_never_empty_keeps_its_memory_bounded() {
        let mut gather = gather(&[b"x"]);
        for _ in 0..10 * GATHER_SLICES_MAX {
            gather
                .push(Slice::new(Bytes::from_static(b"yz")))
                .expect("there is room");
            let front = gather.front().expect("one is left").len();
            gather.advance(front);
        }
        assert_eq!(through_vectors(&gather), b"yz");
        assert!(gather.vectors.capacity() <= 2 * GATHER_SLICES_MAX);
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
