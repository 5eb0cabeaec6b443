//! One overlapped receive or send on a socket, and how it is cancelled.
//!
//! The operation owns its buffer until the system has finished with it; compio keeps both on the
//! heap meanwhile. It knows the socket by number only: the stream that started it is borrowed by
//! the same future, so the number is valid for as long as anything here uses it, and a stream that
//! goes away under a dropped future still closes its socket at once.
//!
//! compio folds a reset connection into "0 bytes" and gives no count for a cancelled operation.
//! Both matter, so the end is read from the `OVERLAPPED` itself.

use std::cell::Cell;
use std::io;
use std::os::windows::io::RawSocket;
use std::ptr;
use std::rc::Rc;
use std::task::Poll;

use compio::driver::{Extra, OpCode};
use windows_sys::Win32::Foundation::{
    ERROR_CONNECTION_ABORTED, ERROR_NETNAME_DELETED, ERROR_OPERATION_ABORTED, ERROR_SEM_TIMEOUT,
    HANDLE, NTSTATUS, RtlNtStatusToDosError,
};
use windows_sys::Win32::Networking::WinSock::{
    MSG_PEEK, SOCKET, WSA_IO_PENDING, WSABUF, WSAECONNABORTED, WSAECONNRESET, WSAETIMEDOUT,
    WSAGetLastError, WSARecv, WSASend,
};
use windows_sys::Win32::System::IO::{CancelIoEx, OVERLAPPED};

use super::turns::InFlight;
use crate::buffer::{Gather, Slab};

/// The most bytes that one system write takes. Windows takes all of a write or keeps it pending,
/// so this is how often a slow peer shows progress; and as much as its send buffer holds anyway.
const SEND_BYTES_MAX: usize = 64 * 1024;

/// How an operation ended in the system.
#[derive(Debug)]
pub(super) enum Ended {
    /// By itself, after so many bytes.
    Done(usize),
    /// It was cancelled, after so many bytes.
    Cancelled(usize),
    /// With an error.
    Failed(io::Error),
}

/// The place of one operation that may be in the system's hands. Each direction of a stream makes
/// one and uses it again for each operation, as long as each is awaited to its end.
#[derive(Default)]
pub(super) struct Flight {
    /// Names the operation to the system while it is pending.
    overlapped: Cell<*mut OVERLAPPED>,
    ended: Cell<Option<Ended>>,
}

impl Flight {
    /// Asks the system to end the operation now. It ends in any case, and must be awaited still.
    pub(super) fn cancel(&self, socket: RawSocket) {
        let overlapped = self.overlapped.get();
        if !overlapped.is_null() {
            cancel(socket, overlapped);
        }
    }

    /// Whether the operation that has just ended never was pending.
    pub(super) fn was_instant(&self) -> bool {
        self.overlapped.get().is_null()
    }

    /// How the operation ended whose future gave `result`.
    pub(super) fn take_ended(&self, result: io::Result<usize>) -> Ended {
        self.overlapped.set(ptr::null_mut());
        let ended = self.ended.take();
        ended.unwrap_or_else(|| result.map_or_else(Ended::Failed, Ended::Done))
    }

    fn begin(&self, overlapped: *mut OVERLAPPED) {
        self.ended.take();
        self.overlapped.set(overlapped);
    }

    /// Turns what a Winsock call returned into a poll; only a pending operation keeps its name.
    fn begun(&self, returned: i32, bytes: u32) -> Poll<io::Result<usize>> {
        if returned == 0 {
            self.overlapped.set(ptr::null_mut());
            return Poll::Ready(Ok(bytes as usize));
        }
        // SAFETY: it reads this thread's last error, no more.
        let error = unsafe { WSAGetLastError() };
        if error == WSA_IO_PENDING {
            return Poll::Pending;
        }
        self.overlapped.set(ptr::null_mut());
        Poll::Ready(Err(io::Error::from_raw_os_error(error)))
    }

    fn complete(&self) {
        let overlapped = self.overlapped.get();
        if overlapped.is_null() {
            return;
        }
        // SAFETY: it is the operation's own OVERLAPPED, set by `begin`, which compio keeps until
        // the result is taken; the system has finished with it.
        let (status, bytes) = unsafe {
            (
                (*overlapped).Internal as NTSTATUS,
                (*overlapped).InternalHigh,
            )
        };
        self.ended.set(Some(end_of(status, bytes)));
    }
}

fn end_of(status: NTSTATUS, bytes: usize) -> Ended {
    if status >= 0 {
        return Ended::Done(bytes);
    }
    // SAFETY: it looks up a table.
    let error = match unsafe { RtlNtStatusToDosError(status) } {
        ERROR_OPERATION_ABORTED => return Ended::Cancelled(bytes),
        ERROR_NETNAME_DELETED => WSAECONNRESET,
        ERROR_CONNECTION_ABORTED => WSAECONNABORTED,
        ERROR_SEM_TIMEOUT => WSAETIMEDOUT,
        other => i32::try_from(other).unwrap_or(WSAECONNRESET),
    };
    Ended::Failed(io::Error::from_raw_os_error(error))
}

fn cancel(socket: RawSocket, overlapped: *mut OVERLAPPED) {
    // SAFETY: the pointer only names the operation. One that has ended already is not found, and
    // ends no worse.
    unsafe { CancelIoEx(socket as HANDLE, overlapped) };
}

impl std::fmt::Debug for Flight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flight")
            .field("pending", &!self.was_instant())
            .finish()
    }
}

/// What both operations have.
pub(super) struct Operation {
    pub(super) socket: RawSocket,
    pub(super) flight: Rc<Flight>,
    /// The loop's end waits for it.
    _in_flight: InFlight,
}

impl Operation {
    pub(super) fn new(socket: RawSocket, flight: Rc<Flight>) -> Self {
        Self {
            socket,
            flight,
            _in_flight: InFlight::begin(),
        }
    }
}

/// Receives into the spare part of a slab.
pub(super) struct Receive {
    pub(super) operation: Operation,
    pub(super) slab: Slab,
}

/// Looks for something to receive, and takes nothing.
pub(super) struct Peek {
    operation: Operation,
    flags: u32,
}

impl Peek {
    /// A receive of no bytes would take a whole datagram without `MSG_PEEK`.
    pub(super) fn at_datagrams(operation: Operation) -> Self {
        let flags = MSG_PEEK.cast_unsigned();
        Self { operation, flags }
    }

    /// Of a stream it takes none, and the flag is not for streams with overlapped operations.
    pub(super) fn at_stream(operation: Operation) -> Self {
        let flags = 0;
        Self { operation, flags }
    }
}

/// Sends slices by one call.
pub(super) struct Send {
    pub(super) operation: Operation,
    pub(super) gather: Gather,
    /// Lives here so that its memory is used again.
    pub(super) descriptors: Descriptors,
}

/// The array through which the system finds the slices.
#[derive(Default)]
pub(super) struct Descriptors(Vec<WSABUF>);

impl std::fmt::Debug for Descriptors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Descriptors").finish_non_exhaustive()
    }
}

impl Descriptors {
    fn describe(&mut self, gather: &Gather) -> &[WSABUF] {
        self.0.clear();
        let mut room = SEND_BYTES_MAX;
        for slice in gather.slices() {
            let length = slice.len().min(room);
            room -= length;
            self.0.push(WSABUF {
                len: u32::try_from(length).unwrap_or(0),
                buf: slice.as_ptr().cast_mut(),
            });
            if room == 0 {
                break;
            }
        }
        &self.0
    }
}

// SAFETY: `operate` hands out a pointer into the slab's heap memory only; the operation owns the
// slab until it has ended.
unsafe impl OpCode for Receive {
    type Control = ();

    unsafe fn operate(
        &mut self,
        (): &mut (),
        overlapped: *mut OVERLAPPED,
    ) -> Poll<io::Result<usize>> {
        let descriptor = WSABUF {
            len: u32::try_from(self.slab.spare()).unwrap_or(u32::MAX),
            buf: self.slab.spare_ptr(),
        };
        let Operation { socket, flight, .. } = &self.operation;
        let (mut bytes, mut flags) = (0, 0);
        flight.begin(overlapped);
        // SAFETY: the descriptor is copied by the call; what it describes and the OVERLAPPED
        // outlive the operation.
        let returned = unsafe {
            WSARecv(
                *socket as SOCKET,
                &raw const descriptor,
                1,
                &mut bytes,
                &mut flags,
                overlapped,
                None,
            )
        };
        flight.begun(returned, bytes)
    }

    fn cancel(&mut self, (): &mut (), overlapped: *mut OVERLAPPED) -> io::Result<()> {
        cancel(self.operation.socket, overlapped);
        Ok(())
    }

    unsafe fn set_result(&mut self, (): &mut (), _: &io::Result<usize>, _: &Extra) {
        self.operation.flight.complete();
    }
}

// SAFETY: `operate` hands out a pointer to no bytes.
unsafe impl OpCode for Peek {
    type Control = ();

    unsafe fn operate(
        &mut self,
        (): &mut (),
        overlapped: *mut OVERLAPPED,
    ) -> Poll<io::Result<usize>> {
        let descriptor = WSABUF {
            len: 0,
            buf: ptr::NonNull::dangling().as_ptr(),
        };
        let Operation { socket, flight, .. } = &self.operation;
        let (mut bytes, mut flags) = (0, self.flags);
        flight.begin(overlapped);
        // SAFETY: the descriptor is copied by the call, and describes no memory; the OVERLAPPED
        // outlives the operation.
        let returned = unsafe {
            WSARecv(
                *socket as SOCKET,
                &raw const descriptor,
                1,
                &mut bytes,
                &mut flags,
                overlapped,
                None,
            )
        };
        flight.begun(returned, bytes)
    }

    fn cancel(&mut self, (): &mut (), overlapped: *mut OVERLAPPED) -> io::Result<()> {
        cancel(self.operation.socket, overlapped);
        Ok(())
    }

    unsafe fn set_result(&mut self, (): &mut (), _: &io::Result<usize>, _: &Extra) {
        self.operation.flight.complete();
    }
}

// SAFETY: `operate` hands out pointers into the chunks that the gather's slices keep; the
// operation owns the gather until it has ended.
unsafe impl OpCode for Send {
    type Control = ();

    unsafe fn operate(
        &mut self,
        (): &mut (),
        overlapped: *mut OVERLAPPED,
    ) -> Poll<io::Result<usize>> {
        let descriptors = self.descriptors.describe(&self.gather);
        let Operation { socket, flight, .. } = &self.operation;
        let mut bytes = 0;
        flight.begin(overlapped);
        // SAFETY: the descriptors are copied by the call; what they describe and the OVERLAPPED
        // outlive the operation.
        let returned = unsafe {
            WSASend(
                *socket as SOCKET,
                descriptors.as_ptr(),
                u32::try_from(descriptors.len()).unwrap_or(0),
                &mut bytes,
                0,
                overlapped,
                None,
            )
        };
        flight.begun(returned, bytes)
    }

    fn cancel(&mut self, (): &mut (), overlapped: *mut OVERLAPPED) -> io::Result<()> {
        cancel(self.operation.socket, overlapped);
        Ok(())
    }

    unsafe fn set_result(&mut self, (): &mut (), _: &io::Result<usize>, _: &Extra) {
        self.operation.flight.complete();
    }
}
