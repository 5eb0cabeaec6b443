//! The two halves of a connection: overlapped operations on one socket, each lent its buffer.
//!
//! A read or a write that starts takes its half's [`Flight`] and puts it back at its end. When its
//! future is dropped before that, the half has none any more, and refuses every later operation.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::windows::io::{AsRawSocket, RawSocket};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use compio::BufResult;
use compio::driver::op::Connect;
use compio::driver::{OpCode, SharedFd};
use compio::runtime::Runtime;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use windows_sys::Win32::Networking::WinSock::WSAECANCELLED;

use super::event_loop::{sleep_until, yield_now};
use super::operation::{Descriptors, Ended, Flight, Operation, Peek, Receive, Send};
use crate::buffer::{Gather, Slab};
use crate::cancel::{Cancel, Outcome};

/// After so many operations in a row that the system completed at once, the half yields: a peer
/// that sends faster than it is read would keep the thread otherwise.
const INSTANT_MAX: u32 = 32;

/// One direction of a connection.
#[derive(Debug)]
struct Half {
    socket: Rc<Socket>,
    /// Absent while an operation runs, and for good after its future was dropped.
    flight: Option<Rc<Flight>>,
    /// Operations in a row that were never pending.
    instant: u32,
}

/// How soon a full send buffer is tried again by those who write by plain calls. The system tells of
/// room only to an operation that has taken its bytes already; at 64 KiB a time this is 30 MB/s.
const FULL_INTERVAL: Duration = Duration::from_millis(2);

/// See [`crate::ReadHalf`].
#[derive(Debug)]
pub(crate) struct ReadHalf(Half);

/// See [`crate::WriteHalf`].
#[derive(Debug)]
pub(crate) struct WriteHalf {
    half: Half,
    descriptors: Descriptors,
}

/// Connects to `address`.
pub(crate) async fn connect(address: SocketAddr) -> io::Result<(ReadHalf, WriteHalf)> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    // `ConnectEx` wants a bound socket.
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    socket.bind(&SockAddr::from(any))?;
    attach(&socket)?;
    let socket = SharedFd::new(socket);
    let connect = Connect::new(socket.clone(), SockAddr::from(address));
    let BufResult(result, connect) = compio::runtime::submit(connect).await;
    result?;
    connect.update_context()?;
    drop(connect);
    let lost = |_| io::Error::other("the socket is still in use by its connect");
    halves(socket.try_unwrap().map_err(lost)?)
}

/// Puts a connected socket on this thread's event loop, where it stays.
pub(crate) fn adopt(socket: std::net::TcpStream) -> io::Result<(ReadHalf, WriteHalf)> {
    let socket = Socket::from(socket);
    attach(&socket)?;
    halves(socket)
}

/// A socket never leaves its completion port.
pub(crate) fn release(
    read: ReadHalf,
    write: WriteHalf,
) -> Result<std::net::TcpStream, (ReadHalf, WriteHalf)> {
    Err((read, write))
}

pub(super) fn attach(socket: &Socket) -> io::Result<()> {
    Runtime::with_current(|runtime| runtime.attach(socket.as_raw_socket() as _))
}

fn halves(socket: Socket) -> io::Result<(ReadHalf, WriteHalf)> {
    socket.set_tcp_nodelay(true)?;
    // Overlapped operations do not mind, and calls beside them shall not wait.
    socket.set_nonblocking(true)?;
    let socket = Rc::new(socket);
    let read = ReadHalf(Half::new(Rc::clone(&socket)));
    let write = WriteHalf {
        half: Half::new(socket),
        descriptors: Descriptors::default(),
    };
    Ok((read, write))
}

impl Half {
    fn new(socket: Rc<Socket>) -> Self {
        Self {
            socket,
            flight: Some(Rc::default()),
            instant: 0,
        }
    }

    fn raw_socket(&self) -> RawSocket {
        self.socket.as_raw_socket()
    }

    /// Takes the flight for an operation that starts now.
    async fn begin(&mut self) -> io::Result<Operation> {
        if self.instant >= INSTANT_MAX {
            yield_now().await;
            self.instant = 0;
        }
        let dropped = || io::Error::other("an earlier operation was dropped before its end");
        let flight = self.flight.take().ok_or_else(dropped)?;
        Ok(Operation::new(self.raw_socket(), flight))
    }

    fn end(&mut self, operation: Operation, result: io::Result<usize>) -> Outcome {
        let flight = operation.flight;
        self.instant = if flight.was_instant() {
            self.instant + 1
        } else {
            0
        };
        let outcome = match flight.take_ended(result) {
            Ended::Done(count) => Outcome::Done(Ok(count)),
            // It was cancelled too late for some bytes.
            Ended::Cancelled(count) if count > 0 => Outcome::Done(Ok(count)),
            Ended::Cancelled(_) => Outcome::Cancelled,
            Ended::Failed(error) => Outcome::Done(Err(error)),
        };
        self.flight = Some(flight);
        outcome
    }
}

/// Runs an operation to its end, and asks for that end when `cancel` is raised.
pub(super) async fn submit_or<O: OpCode + 'static>(
    operation: O,
    socket: RawSocket,
    flight: Rc<Flight>,
    cancel: &Cancel,
) -> BufResult<usize, O> {
    let mut submitted = std::pin::pin!(compio::runtime::submit(operation));
    let mut cancelled = Some(cancel.cancelled());
    std::future::poll_fn(|context| {
        if let Poll::Ready(ended) = submitted.as_mut().poll(context) {
            return Poll::Ready(ended);
        }
        if let Some(raised) = &mut cancelled
            && Pin::new(raised).poll(context).is_ready()
        {
            cancelled = None;
            flight.cancel(socket);
        }
        Poll::Pending
    })
    .await
}

/// The result where nobody asked for an end; the system cancels by itself when a thread or a
/// network interface goes.
fn uncancelled(outcome: Outcome) -> io::Result<usize> {
    match outcome {
        Outcome::Done(result) => result,
        Outcome::Cancelled => Err(io::Error::from_raw_os_error(WSAECANCELLED)),
    }
}

impl ReadHalf {
    pub(crate) fn with_socket<R>(&self, action: impl FnOnce(&Socket) -> R) -> R {
        action(&self.0.socket)
    }

    pub(crate) fn is_of(&self, write: &WriteHalf) -> bool {
        Rc::ptr_eq(&self.0.socket, &write.half.socket)
    }

    pub(crate) async fn read(&mut self, slab: Slab) -> (io::Result<usize>, Slab) {
        let operation = match self.0.begin().await {
            Ok(operation) => operation,
            Err(error) => return (Err(error), slab),
        };
        let ended = compio::runtime::submit(Receive { operation, slab }).await;
        let (outcome, slab) = self.end(ended);
        (uncancelled(outcome), slab)
    }

    pub(crate) async fn read_or(&mut self, slab: Slab, cancel: &Cancel) -> (Outcome, Slab) {
        let operation = match self.0.begin().await {
            Ok(operation) => operation,
            Err(error) => return (Outcome::Done(Err(error)), slab),
        };
        let flight = Rc::clone(&operation.flight);
        let receive = Receive { operation, slab };
        let ended = submit_or(receive, self.0.raw_socket(), flight, cancel).await;
        self.end(ended)
    }

    /// By an operation of its own: a half whose operation was dropped can still be looked at.
    pub(crate) async fn readable(&self, cancel: &Cancel) -> Option<io::Result<()>> {
        if cancel.is_cancelled() {
            return None;
        }
        let socket = self.0.raw_socket();
        let flight: Rc<Flight> = Rc::default();
        let peek = Peek::at_stream(Operation::new(socket, Rc::clone(&flight)));
        let name = Rc::clone(&flight);
        let BufResult(result, _peek) = submit_or(peek, socket, name, cancel).await;
        match flight.take_ended(result) {
            _ if cancel.is_cancelled() => None,
            // A read that follows need not be told of it again.
            Ended::Failed(error) => Some(Err(error)),
            Ended::Done(_) | Ended::Cancelled(_) => Some(Ok(())),
        }
    }

    fn end(&mut self, BufResult(result, receive): BufResult<usize, Receive>) -> (Outcome, Slab) {
        let mut slab = receive.slab;
        let outcome = self.0.end(receive.operation, result);
        if let Outcome::Done(Ok(count)) = outcome {
            // SAFETY: the system has written so many bytes at `spare_ptr`.
            unsafe { slab.advance_filled(count) };
        }
        (outcome, slab)
    }
}

impl WriteHalf {
    pub(crate) fn with_socket<R>(&self, action: impl FnOnce(&Socket) -> R) -> R {
        action(&self.half.socket)
    }

    pub(crate) async fn write(&mut self, gather: Gather) -> (io::Result<usize>, Gather) {
        let operation = match self.half.begin().await {
            Ok(operation) => operation,
            Err(error) => return (Err(error), gather),
        };
        let send = self.send(operation, gather);
        let ended = compio::runtime::submit(send).await;
        let (outcome, gather) = self.end(ended);
        (uncancelled(outcome), gather)
    }

    pub(crate) async fn write_or(&mut self, gather: Gather, cancel: &Cancel) -> (Outcome, Gather) {
        let operation = match self.half.begin().await {
            Ok(operation) => operation,
            Err(error) => return (Outcome::Done(Err(error)), gather),
        };
        let flight = Rc::clone(&operation.flight);
        let send = self.send(operation, gather);
        let ended = submit_or(send, self.half.raw_socket(), flight, cancel).await;
        self.end(ended)
    }

    pub(crate) async fn writable(&self, cancel: &Cancel) -> Option<io::Result<()>> {
        cancel
            .or(sleep_until(Instant::now() + FULL_INTERVAL))
            .await?;
        Some(Ok(()))
    }

    fn send(&mut self, operation: Operation, gather: Gather) -> Send {
        Send {
            operation,
            gather,
            descriptors: std::mem::take(&mut self.descriptors),
        }
    }

    fn end(&mut self, BufResult(result, send): BufResult<usize, Send>) -> (Outcome, Gather) {
        self.descriptors = send.descriptors;
        (self.half.end(send.operation, result), send.gather)
    }
}
