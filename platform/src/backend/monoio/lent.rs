//! Buffers while an operation owns them.
//!
//! A lent buffer keeps its socket, and is counted, until the operation gives it back: with its
//! result, or, when the operation's future was dropped, with its completion. So it is known whether
//! a socket is idle, and whether the kernel still writes to memory of ours.

use std::cell::Cell;
use std::rc::Rc;

#[cfg(unix)]
use monoio::buf::IoVecBuf;
use monoio::buf::{IoBuf, IoBufMut};

use super::stream::Socket;
use crate::buffer::{Gather, Slab, Slice};

thread_local! {
    static LENT: Cell<usize> = const { Cell::new(0) };
}

/// Whether any buffer of this thread is lent.
pub(super) fn any() -> bool {
    LENT.get() > 0
}

/// A buffer on its way through an operation.
pub(super) struct Lent<B> {
    buffer: B,
    _loan: Loan,
}

struct Loan {
    _socket: Rc<Socket>,
}

impl Drop for Loan {
    fn drop(&mut self) {
        // The thread may be ending, and its locals with it.
        let _ = LENT.try_with(|lent| lent.set(lent.get().saturating_sub(1)));
    }
}

impl<B> Lent<B> {
    pub(super) fn new(buffer: B, socket: &Rc<Socket>) -> Self {
        LENT.set(LENT.get() + 1);
        Self {
            buffer,
            _loan: Loan {
                _socket: Rc::clone(socket),
            },
        }
    }

    pub(super) fn into_buffer(self) -> B {
        self.buffer
    }
}

#[cfg(unix)]
impl Lent<Gather> {
    /// To be called before the operation begins that sends more than the first slice.
    pub(super) fn make_vectors(&mut self) {
        self.buffer.vectors();
    }
}

// SAFETY: the spare capacity lies on the heap and stays where it is while the slab is moved;
// nobody else touches it while the operation owns the slab.
unsafe impl IoBufMut for Lent<Slab> {
    fn write_ptr(&mut self) -> *mut u8 {
        self.buffer.spare_ptr()
    }

    fn bytes_total(&mut self) -> usize {
        self.buffer.spare()
    }

    unsafe fn set_init(&mut self, count: usize) {
        // SAFETY: monoio says how many bytes the kernel wrote at `write_ptr`.
        unsafe { self.buffer.advance_filled(count) };
    }
}

// SAFETY: the gather owns the slice, whose chunk is immutable and stays where it is.
unsafe impl IoBuf for Lent<Gather> {
    fn read_ptr(&self) -> *const u8 {
        self.buffer
            .front()
            .map_or(std::ptr::null(), |slice| slice.as_ptr())
    }

    fn bytes_init(&self) -> usize {
        self.buffer.front().map_or(0, Slice::len)
    }
}

// SAFETY: the array is made just before the operation begins. It lies on the heap, unchanged while
// the operation owns the gather, and so do the chunks that it describes.
#[cfg(unix)]
unsafe impl IoVecBuf for Lent<Gather> {
    fn read_iovec_ptr(&self) -> *const libc::iovec {
        self.buffer.made_vectors().as_ptr()
    }

    fn read_iovec_len(&self) -> usize {
        self.buffer.made_vectors().len()
    }
}
