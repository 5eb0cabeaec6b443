//! Streams: two halves of one socket, each with at most one operation in flight.
//!
//! The public API takes `&mut` for every operation, so a second one in the same direction can only
//! begin when the first one's future was dropped. io_uring would then take bytes for a buffer that
//! nobody reads any more; so the direction fails from there on, on every driver alike.

use std::cell::{Cell, UnsafeCell};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use monoio::BufResult;
use monoio::io::{
    AsyncReadRent, AsyncWriteRent, CancelHandle, CancelableAsyncReadRent, CancelableAsyncWriteRent,
    Canceller,
};
use pin_project_lite::pin_project;
use socket2::SockRef;

use super::event_loop::wants_blocking_sockets;
use super::lent::Lent;
use super::turn::yield_now;
use crate::backend::instants::Instants;
use crate::buffer::{Gather, Slab};
use crate::cancel::{Cancel, Outcome, Parking};

/// What both halves and every operation in flight share.
pub(super) struct Socket {
    stream: UnsafeCell<monoio::net::TcpStream>,
    reading: Cell<bool>,
    writing: Cell<bool>,
}

pub(crate) struct ReadHalf {
    socket: Rc<Socket>,
    cancelling: Cancelling,
    /// epoll and kqueue are asked when an operation has been tried in vain.
    instants: Instants,
}

pub(crate) struct WriteHalf {
    socket: Rc<Socket>,
    cancelling: Cancelling,
    /// As above.
    instants: Instants,
}

/// What a direction keeps from one operation that can be cancelled to the next.
#[derive(Default)]
struct Cancelling {
    canceller: Canceller,
    parking: Parking,
}

pub(crate) async fn connect(address: SocketAddr) -> io::Result<(ReadHalf, WriteHalf)> {
    let stream = monoio::net::TcpStream::connect_addr(address).await?;
    stream.set_nodelay(true)?;
    Ok(halves(stream))
}

pub(crate) fn release(
    read: ReadHalf,
    write: WriteHalf,
) -> Result<std::net::TcpStream, (ReadHalf, WriteHalf)> {
    // Every operation in flight holds the socket, too. One that was dropped may have taken bytes,
    // which the next owner would miss without knowing.
    let dropped = read.socket.reading.get() || read.socket.writing.get();
    if dropped || Rc::strong_count(&read.socket) != 2 || !cfg!(unix) {
        return Err((read, write));
    }
    drop(write);
    match Rc::try_unwrap(read.socket) {
        Ok(socket) => Ok(into_std(socket.stream.into_inner())),
        Err(_) => unreachable!("two halves held it, and one is gone"),
    }
}

pub(crate) fn adopt(stream: std::net::TcpStream) -> io::Result<(ReadHalf, WriteHalf)> {
    stream.set_nonblocking(!wants_blocking_sockets())?;
    register(stream, true)
}

/// As [`adopt`], for a socket that is in the driver's mode already.
pub(super) fn register(
    stream: std::net::TcpStream,
    is_tcp: bool,
) -> io::Result<(ReadHalf, WriteHalf)> {
    if is_tcp {
        stream.set_nodelay(true)?;
    }
    Ok(halves(monoio::net::TcpStream::from_std(stream)?))
}

fn halves(stream: monoio::net::TcpStream) -> (ReadHalf, WriteHalf) {
    let socket = Rc::new(Socket {
        stream: UnsafeCell::new(stream),
        reading: Cell::new(false),
        writing: Cell::new(false),
    });
    let read = ReadHalf {
        socket: Rc::clone(&socket),
        cancelling: Cancelling::default(),
        instants: Instants::default(),
    };
    (
        read,
        WriteHalf {
            socket,
            cancelling: Cancelling::default(),
            instants: Instants::default(),
        },
    )
}

#[cfg(unix)]
fn into_std(stream: monoio::net::TcpStream) -> std::net::TcpStream {
    use std::os::fd::{FromRawFd, IntoRawFd};
    // SAFETY: the descriptor is open, and the stream has just given it up.
    unsafe { std::net::TcpStream::from_raw_fd(stream.into_raw_fd()) }
}

#[cfg(windows)]
fn into_std(stream: monoio::net::TcpStream) -> std::net::TcpStream {
    use std::os::windows::io::{FromRawSocket, IntoRawSocket};
    // SAFETY: the socket is open, and the stream has just given it up.
    unsafe { std::net::TcpStream::from_raw_socket(stream.into_raw_socket()) }
}

impl Socket {
    /// # Safety
    /// At most one such reference per direction is alive. monoio's operations of one direction
    /// touch nothing of the stream but the shared descriptor, which they clone when they begin;
    /// its own split halves rest on the same.
    #[expect(clippy::mut_from_ref, reason = "one per direction, as said above")]
    unsafe fn stream(&self) -> &mut monoio::net::TcpStream {
        // SAFETY: the cell is never borrowed otherwise, except for its descriptor's number.
        unsafe { &mut *self.stream.get() }
    }

    #[cfg(unix)]
    fn with_system<R>(&self, action: impl FnOnce(&socket2::Socket) -> R) -> R {
        use std::os::fd::{AsRawFd, BorrowedFd};
        // SAFETY: reading the number of the descriptor aliases no write, and it stays open as long
        // as this socket.
        let borrowed = unsafe { BorrowedFd::borrow_raw((*self.stream.get()).as_raw_fd()) };
        action(&SockRef::from(&borrowed))
    }

    #[cfg(windows)]
    fn with_system<R>(&self, action: impl FnOnce(&socket2::Socket) -> R) -> R {
        use std::os::windows::io::{AsRawSocket, BorrowedSocket};
        // SAFETY: reading the number of the socket aliases no write, and it stays open as long as
        // this one.
        let borrowed = unsafe { BorrowedSocket::borrow_raw((*self.stream.get()).as_raw_socket()) };
        action(&SockRef::from(&borrowed))
    }
}

impl ReadHalf {
    pub(crate) async fn read(&mut self, slab: Slab) -> (io::Result<usize>, Slab) {
        if self.instants.begin() {
            yield_now().await;
        }
        if self.socket.reading.replace(true) {
            return (Err(dropped_before()), slab);
        }
        // SAFETY: `reading` says that no other read is in flight.
        let stream = unsafe { self.socket.stream() };
        let operation = stream.read(Lent::new(slab, &self.socket));
        let (result, lent) = self.instants.watch(operation).await;
        self.socket.reading.set(false);
        (result, lent.into_buffer())
    }

    pub(crate) fn read_or(
        &mut self,
        slab: Slab,
        cancel: &Cancel,
    ) -> impl Future<Output = (Outcome, Slab)> {
        // Before the future, which would hold its arguments twice if it were that of an `async fn`.
        let must_yield = self.instants.begin();
        async move {
            if must_yield {
                yield_now().await;
            }
            if self.socket.reading.replace(true) {
                return (Outcome::Done(Err(dropped_before())), slab);
            }
            // SAFETY: `reading` says that no other read is in flight.
            let stream = unsafe { self.socket.stream() };
            let lent = Lent::new(slab, &self.socket);
            let operation = stream.cancelable_read(lent, self.cancelling.handle());
            let operation = Cancellable::new(operation, &mut self.cancelling, cancel);
            let (result, lent) = self.instants.watch(operation).await;
            self.socket.reading.set(false);
            (outcome(result, cancel), lent.into_buffer())
        }
    }

    pub(crate) async fn readable(&self, cancel: &Cancel) -> Option<io::Result<()>> {
        // SAFETY: it clones the descriptor, and touches nothing else of the stream.
        let stream = unsafe { &*self.socket.stream.get() };
        // A relaxed wait would report readiness that is over, and spin.
        cancel.or(stream.readable(false)).await
    }

    pub(crate) fn with_socket<R>(&self, action: impl FnOnce(&socket2::Socket) -> R) -> R {
        self.socket.with_system(action)
    }

    pub(crate) fn is_of(&self, write: &WriteHalf) -> bool {
        Rc::ptr_eq(&self.socket, &write.socket)
    }
}

impl WriteHalf {
    pub(crate) async fn write(&mut self, gather: Gather) -> (io::Result<usize>, Gather) {
        if self.instants.begin() {
            yield_now().await;
        }
        if self.socket.writing.replace(true) {
            return (Err(dropped_before()), gather);
        }
        // SAFETY: `writing` says that no other write is in flight.
        let stream = unsafe { self.socket.stream() };
        let one = is_plain_send(&gather);
        let lent = Lent::new(gather, &self.socket);
        let (result, lent) = if one {
            self.instants.watch(stream.write(lent)).await
        } else {
            self.instants.watch(write_vectored(stream, lent)).await
        };
        self.socket.writing.set(false);
        (result, lent.into_buffer())
    }

    pub(crate) fn write_or(
        &mut self,
        gather: Gather,
        cancel: &Cancel,
    ) -> impl Future<Output = (Outcome, Gather)> {
        // As for reads.
        let must_yield = self.instants.begin();
        async move {
            if must_yield {
                yield_now().await;
            }
            if self.socket.writing.replace(true) {
                return (Outcome::Done(Err(dropped_before())), gather);
            }
            // SAFETY: `writing` says that no other write is in flight.
            let stream = unsafe { self.socket.stream() };
            let one = is_plain_send(&gather);
            let lent = Lent::new(gather, &self.socket);
            let handle = self.cancelling.handle();
            let (result, lent) = if one {
                let operation = stream.cancelable_write(lent, handle);
                let operation = Cancellable::new(operation, &mut self.cancelling, cancel);
                self.instants.watch(operation).await
            } else {
                let operation = write_vectored_or(stream, lent, handle);
                let operation = Cancellable::new(operation, &mut self.cancelling, cancel);
                self.instants.watch(operation).await
            };
            self.socket.writing.set(false);
            (outcome(result, cancel), lent.into_buffer())
        }
    }

    pub(crate) async fn writable(&self, cancel: &Cancel) -> Option<io::Result<()>> {
        // SAFETY: it clones the descriptor, and touches nothing else of the stream.
        let stream = unsafe { &*self.socket.stream.get() };
        // As for reads.
        cancel.or(stream.writable(false)).await
    }

    pub(crate) fn with_socket<R>(&self, action: impl FnOnce(&socket2::Socket) -> R) -> R {
        self.socket.with_system(action)
    }
}

/// One slice goes as a plain send, which costs the kernel less than an array of one.
fn is_plain_send(gather: &Gather) -> bool {
    gather.len() == 1
}

#[cfg(unix)]
fn write_vectored(
    stream: &mut monoio::net::TcpStream,
    mut lent: Lent<Gather>,
) -> impl Future<Output = BufResult<usize, Lent<Gather>>> {
    lent.make_vectors();
    stream.writev(lent)
}

#[cfg(unix)]
fn write_vectored_or(
    stream: &mut monoio::net::TcpStream,
    mut lent: Lent<Gather>,
    handle: CancelHandle,
) -> impl Future<Output = BufResult<usize, Lent<Gather>>> {
    lent.make_vectors();
    stream.cancelable_writev(lent, handle)
}

/// The first slice alone: on Windows this backend is there to be watched, not to be fast.
#[cfg(windows)]
fn write_vectored(
    stream: &mut monoio::net::TcpStream,
    lent: Lent<Gather>,
) -> impl Future<Output = BufResult<usize, Lent<Gather>>> {
    stream.write(lent)
}

/// As above.
#[cfg(windows)]
fn write_vectored_or(
    stream: &mut monoio::net::TcpStream,
    lent: Lent<Gather>,
    handle: CancelHandle,
) -> impl Future<Output = BufResult<usize, Lent<Gather>>> {
    stream.cancelable_write(lent, handle)
}

impl Cancelling {
    fn handle(&self) -> CancelHandle {
        self.canceller.handle()
    }

    /// What the operations in flight were registered with is used up; a new one takes its place.
    fn cancel(&mut self) {
        self.canceller = std::mem::take(&mut self.canceller).cancel();
    }
}

pin_project! {
    /// An operation that is asked to end once a `Cancel` is raised, and then awaited.
    struct Cancellable<'a, F> {
        #[pin]
        operation: F,
        cancel: &'a Cancel,
        cancelling: &'a mut Cancelling,
        is_cancelled: bool,
    }
}

impl<'a, F> Cancellable<'a, F> {
    fn new(operation: F, cancelling: &'a mut Cancelling, cancel: &'a Cancel) -> Self {
        Self {
            operation,
            cancel,
            cancelling,
            is_cancelled: false,
        }
    }
}

impl<F: Future> Future for Cancellable<'_, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        if let Poll::Ready(output) = this.operation.as_mut().poll(context) {
            return Poll::Ready(output);
        }
        let waker = context.waker();
        if *this.is_cancelled || !this.cancelling.parking.is_raised(this.cancel, waker) {
            return Poll::Pending;
        }
        *this.is_cancelled = true;
        this.cancelling.cancel();
        // epoll's operations end at once.
        this.operation.poll(context)
    }
}

fn outcome(result: io::Result<usize>, cancel: &Cancel) -> Outcome {
    match result {
        Err(error) if cancel.is_cancelled() && says_cancelled(&error) => Outcome::Cancelled,
        result => Outcome::Done(result),
    }
}

/// io_uring says `ECANCELED`, or `EINTR` where a kernel thread had the operation; monoio itself
/// says Linux's `ECANCELED` on every system.
fn says_cancelled(error: &io::Error) -> bool {
    const LINUX_ECANCELED: i32 = 125;
    error.raw_os_error() == Some(LINUX_ECANCELED) || error.kind() == io::ErrorKind::Interrupted
}

fn dropped_before() -> io::Error {
    io::Error::other("an operation in this direction was dropped before it completed")
}

impl std::fmt::Debug for ReadHalf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.socket.with_system(|socket| socket.fmt(f))
    }
}

impl std::fmt::Debug for WriteHalf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.socket.with_system(|socket| socket.fmt(f))
    }
}
