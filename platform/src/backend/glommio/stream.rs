//! Streams: two halves of one socket, each with at most one operation at a time.
//!
//! An operation is a call that does not wait; when the socket is not ready, glommio's stream says
//! when to try again. Its own read or write begins with a call too: should the socket have become
//! ready in between, it moves a byte or a slice, which counts like any other.
//!
//! So dropping an operation loses nothing here. A direction in which one was dropped fails from
//! there on all the same, as on every driver.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};
use glommio::net::TcpStream;
use socket2::SockRef;

use super::event_loop::yield_now;
use super::readiness::Watch;
use super::transfer;
use crate::backend::instants::Instants;
use crate::buffer::{Gather, Slab};
use crate::cancel::{Cancel, Outcome, Parking};

/// See [`crate::ReadHalf`].
pub(crate) struct ReadHalf(Half);

/// See [`crate::WriteHalf`].
pub(crate) struct WriteHalf(Half);

/// What both halves share. The stream is borrowed within a poll only.
struct Socket {
    stream: RefCell<TcpStream>,
    /// For reads and writes by calls that do not wait.
    readable: Watch,
    writable: Watch,
}

/// One direction of a socket.
struct Half {
    socket: Rc<Socket>,
    /// An operation has begun, and was dropped if another one begins.
    busy: bool,
    instants: Instants,
    parking: Parking,
}

pub(crate) async fn connect(address: SocketAddr) -> io::Result<(ReadHalf, WriteHalf)> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(halves(stream))
}

/// glommio lets no descriptor go, so a duplicate goes.
pub(crate) fn release(
    read: ReadHalf,
    write: WriteHalf,
) -> Result<std::net::TcpStream, (ReadHalf, WriteHalf)> {
    if read.0.busy || write.0.busy {
        return Err((read, write));
    }
    match read.with_socket(socket2::Socket::try_clone) {
        Ok(same) => Ok(same.into()),
        Err(_) => Err((read, write)),
    }
}

pub(crate) fn adopt(stream: std::net::TcpStream) -> io::Result<(ReadHalf, WriteHalf)> {
    register(stream, true)
}

/// As [`adopt`], for a socket of either kind.
pub(super) fn register(
    stream: std::net::TcpStream,
    is_tcp: bool,
) -> io::Result<(ReadHalf, WriteHalf)> {
    if is_tcp {
        stream.set_nodelay(true)?;
    }
    // SAFETY: the descriptor is open and nobody else's.
    Ok(halves(unsafe {
        TcpStream::from_raw_fd(stream.into_raw_fd())
    }))
}

fn halves(stream: TcpStream) -> (ReadHalf, WriteHalf) {
    let socket = Rc::new(Socket {
        stream: RefCell::new(stream),
        readable: Watch::of(libc::EPOLLIN),
        writable: Watch::of(libc::EPOLLOUT),
    });
    (
        ReadHalf(Half::new(Rc::clone(&socket))),
        WriteHalf(Half::new(socket)),
    )
}

impl Socket {
    fn poll_receive(&self, context: &mut Context<'_>, slab: &mut Slab) -> Poll<io::Result<usize>> {
        let mut stream = self.stream.borrow_mut();
        match transfer::receive(stream.as_raw_fd(), slab) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            received => return Poll::Ready(received),
        }
        let mut byte = [0];
        let count = ready!(Pin::new(&mut *stream).poll_read(context, &mut byte))?;
        slab.extend_from_slice(&byte[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_send(&self, context: &mut Context<'_>, gather: &mut Gather) -> Poll<io::Result<usize>> {
        let mut stream = self.stream.borrow_mut();
        match transfer::send(stream.as_raw_fd(), gather) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            sent => return Poll::Ready(sent),
        }
        let front = gather.front().map_or(&[][..], |slice| slice.as_slice());
        Pin::new(&mut *stream).poll_write(context, front)
    }

    async fn wait(&self, watch: &Watch, cancel: &Cancel) -> Option<io::Result<()>> {
        let descriptor = self.stream.borrow().as_raw_fd();
        cancel.or(watch.wait(descriptor)).await?;
        Some(Ok(()))
    }

    fn with_system<R>(&self, action: impl FnOnce(&socket2::Socket) -> R) -> R {
        let stream = self.stream.borrow();
        // SAFETY: the stream keeps the descriptor open as long as this runs.
        let borrowed = unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) };
        action(&SockRef::from(&borrowed))
    }
}

/// [`Socket::poll_receive`] or [`Socket::poll_send`].
type PollTransfer<B> = fn(&Socket, &mut Context<'_>, &mut B) -> Poll<io::Result<usize>>;

impl Half {
    fn new(socket: Rc<Socket>) -> Self {
        Self {
            socket,
            busy: false,
            instants: Instants::default(),
            parking: Parking::default(),
        }
    }

    /// Carries a transfer out, unless `cancel` is raised before it can be.
    async fn transfer<B>(
        &mut self,
        poll: PollTransfer<B>,
        buffer: &mut B,
        cancel: Option<&Cancel>,
    ) -> Outcome {
        if self.busy {
            return Outcome::Done(Err(dropped_before()));
        }
        if self.instants.begin() {
            yield_now().await;
        }
        self.busy = true;
        let outcome = poll_fn(|context| {
            if let Poll::Ready(result) = poll(&self.socket, context, buffer) {
                return Poll::Ready(Outcome::Done(result));
            }
            self.instants.waits();
            match cancel {
                Some(cancel) if self.parking.is_raised(cancel, context.waker()) => {
                    Poll::Ready(Outcome::Cancelled)
                }
                _ => Poll::Pending,
            }
        })
        .await;
        self.busy = false;
        outcome
    }
}

impl ReadHalf {
    pub(crate) async fn read(&mut self, mut slab: Slab) -> (io::Result<usize>, Slab) {
        let outcome = self.0.transfer(Socket::poll_receive, &mut slab, None).await;
        (uncancelled(outcome), slab)
    }

    pub(crate) async fn read_or(&mut self, mut slab: Slab, cancel: &Cancel) -> (Outcome, Slab) {
        let transfer = self
            .0
            .transfer(Socket::poll_receive, &mut slab, Some(cancel));
        (transfer.await, slab)
    }

    pub(crate) async fn readable(&self, cancel: &Cancel) -> Option<io::Result<()>> {
        self.0.socket.wait(&self.0.socket.readable, cancel).await
    }

    pub(crate) fn with_socket<R>(&self, action: impl FnOnce(&socket2::Socket) -> R) -> R {
        self.0.socket.with_system(action)
    }

    pub(crate) fn is_of(&self, write: &WriteHalf) -> bool {
        Rc::ptr_eq(&self.0.socket, &write.0.socket)
    }
}

impl WriteHalf {
    pub(crate) async fn write(&mut self, mut gather: Gather) -> (io::Result<usize>, Gather) {
        let outcome = self.0.transfer(Socket::poll_send, &mut gather, None).await;
        (uncancelled(outcome), gather)
    }

    pub(crate) async fn write_or(
        &mut self,
        mut gather: Gather,
        cancel: &Cancel,
    ) -> (Outcome, Gather) {
        let transfer = self
            .0
            .transfer(Socket::poll_send, &mut gather, Some(cancel));
        (transfer.await, gather)
    }

    pub(crate) async fn writable(&self, cancel: &Cancel) -> Option<io::Result<()>> {
        self.0.socket.wait(&self.0.socket.writable, cancel).await
    }

    pub(crate) fn with_socket<R>(&self, action: impl FnOnce(&socket2::Socket) -> R) -> R {
        self.0.socket.with_system(action)
    }
}

/// Nobody could cancel it.
fn uncancelled(outcome: Outcome) -> io::Result<usize> {
    match outcome {
        Outcome::Done(result) => result,
        Outcome::Cancelled => unreachable!("it was given no cancel"),
    }
}

fn dropped_before() -> io::Error {
    io::Error::other("an operation in this direction was dropped before it completed")
}

impl std::fmt::Debug for ReadHalf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.with_socket(|socket| socket.fmt(f))
    }
}

impl std::fmt::Debug for WriteHalf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.with_socket(|socket| socket.fmt(f))
    }
}
