//! Two backends in one program: monoio's drivers, and glommio's where it is asked for by name.
//!
//! It has the items of any backend. Each passes on to the backend of the loop that runs on its
//! thread; listening and ringing are the same for both.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use super::{glommio, monoio, running};
use crate::buffer::{Gather, Slab};
use crate::cancel::{Cancel, Outcome};
use crate::driver::{Driver, DriverChoice, DriverError, DriverRequest};

pub(crate) use super::monoio::{Acceptor, BellSeat, Ringer, bell, bind};

pub(crate) enum Listener {
    Monoio(monoio::Listener),
    Glommio(glommio::Listener),
}

pub(crate) enum Datagrams {
    Monoio(monoio::Datagrams),
    Glommio(glommio::Datagrams),
}

pub(crate) enum ReadHalf {
    Monoio(monoio::ReadHalf),
    Glommio(glommio::ReadHalf),
}

pub(crate) enum WriteHalf {
    Monoio(monoio::WriteHalf),
    Glommio(glommio::WriteHalf),
}

pub(crate) enum Bell {
    Monoio(monoio::Bell),
    Glommio(glommio::Bell),
}

/// The same call to the backend that has this value.
macro_rules! on_its_backend {
    ($value:expr, $inner:ident => $call:expr) => {
        match $value {
            Self::Monoio($inner) => $call,
            Self::Glommio($inner) => $call,
        }
    };
}

/// Whether glommio serves this thread. Outside of a loop monoio says what is wrong.
fn is_glommio() -> bool {
    running::driver() == Some(Driver::Glommio)
}

pub(crate) fn choose(request: DriverRequest) -> Result<DriverChoice, DriverError> {
    match request {
        DriverRequest::Glommio => glommio::choose(request),
        other => monoio::choose(other),
    }
}

pub(crate) fn block_on<F: Future>(driver: Driver, future: F) -> io::Result<F::Output> {
    match driver {
        Driver::Glommio => glommio::block_on(driver, future),
        other => monoio::block_on(other, future),
    }
}

pub(crate) fn spawn(future: impl Future<Output = ()> + 'static) {
    if is_glommio() {
        glommio::spawn(future);
    } else {
        monoio::spawn(future);
    }
}

pub(crate) async fn yield_now() {
    if is_glommio() {
        glommio::yield_now().await;
    } else {
        monoio::yield_now().await;
    }
}

pub(crate) async fn sleep_until(deadline: Instant) {
    if is_glommio() {
        glommio::sleep_until(deadline).await;
    } else {
        monoio::sleep_until(deadline).await;
    }
}

pub(crate) fn attach(seat: BellSeat) -> io::Result<Bell> {
    if is_glommio() {
        glommio::attach(seat).map(Bell::Glommio)
    } else {
        monoio::attach(seat).map(Bell::Monoio)
    }
}

impl Bell {
    pub(crate) async fn wait(&mut self) {
        on_its_backend!(self, bell => bell.wait().await);
    }
}

impl Listener {
    pub(crate) fn start(acceptor: Acceptor) -> io::Result<Self> {
        if is_glommio() {
            glommio::Listener::start(acceptor).map(Self::Glommio)
        } else {
            monoio::Listener::start(acceptor).map(Self::Monoio)
        }
    }

    pub(crate) async fn accept(
        &self,
        cancel: &Cancel,
    ) -> Option<io::Result<(ReadHalf, WriteHalf, SocketAddr)>> {
        Some(match self {
            Self::Monoio(listener) => listener.accept(cancel).await?.map(|(read, write, peer)| {
                let (read, write) = of_monoio((read, write));
                (read, write, peer)
            }),
            Self::Glommio(listener) => listener.accept(cancel).await?.map(|(read, write, peer)| {
                let (read, write) = of_glommio((read, write));
                (read, write, peer)
            }),
        })
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        on_its_backend!(self, listener => listener.local_addr())
    }
}

impl Datagrams {
    pub(crate) fn start(socket: socket2::Socket) -> io::Result<Self> {
        if is_glommio() {
            glommio::Datagrams::start(socket).map(Self::Glommio)
        } else {
            monoio::Datagrams::start(socket).map(Self::Monoio)
        }
    }

    pub(crate) async fn readable(&self, cancel: &Cancel) -> Option<io::Result<()>> {
        on_its_backend!(self, datagrams => datagrams.readable(cancel).await)
    }

    pub(crate) async fn writable(&self, cancel: &Cancel) -> Option<io::Result<()>> {
        on_its_backend!(self, datagrams => datagrams.writable(cancel).await)
    }

    pub(crate) fn with_socket<R>(&self, action: impl FnOnce(&socket2::Socket) -> R) -> R {
        on_its_backend!(self, datagrams => datagrams.with_socket(action))
    }
}

pub(crate) async fn connect(address: SocketAddr) -> io::Result<(ReadHalf, WriteHalf)> {
    if is_glommio() {
        glommio::connect(address).await.map(of_glommio)
    } else {
        monoio::connect(address).await.map(of_monoio)
    }
}

pub(crate) fn adopt(stream: std::net::TcpStream) -> io::Result<(ReadHalf, WriteHalf)> {
    if is_glommio() {
        glommio::adopt(stream).map(of_glommio)
    } else {
        monoio::adopt(stream).map(of_monoio)
    }
}

pub(crate) fn release(
    read: ReadHalf,
    write: WriteHalf,
) -> Result<std::net::TcpStream, (ReadHalf, WriteHalf)> {
    match (read, write) {
        (ReadHalf::Monoio(read), WriteHalf::Monoio(write)) => {
            monoio::release(read, write).map_err(of_monoio)
        }
        (ReadHalf::Glommio(read), WriteHalf::Glommio(write)) => {
            glommio::release(read, write).map_err(of_glommio)
        }
        halves => Err(halves),
    }
}

fn of_monoio((read, write): (monoio::ReadHalf, monoio::WriteHalf)) -> (ReadHalf, WriteHalf) {
    (ReadHalf::Monoio(read), WriteHalf::Monoio(write))
}

fn of_glommio((read, write): (glommio::ReadHalf, glommio::WriteHalf)) -> (ReadHalf, WriteHalf) {
    (ReadHalf::Glommio(read), WriteHalf::Glommio(write))
}

impl ReadHalf {
    pub(crate) async fn read(&mut self, slab: Slab) -> (io::Result<usize>, Slab) {
        on_its_backend!(self, half => half.read(slab).await)
    }

    pub(crate) async fn read_or(&mut self, slab: Slab, cancel: &Cancel) -> (Outcome, Slab) {
        on_its_backend!(self, half => half.read_or(slab, cancel).await)
    }

    pub(crate) async fn readable(&self, cancel: &Cancel) -> Option<io::Result<()>> {
        on_its_backend!(self, half => half.readable(cancel).await)
    }

    pub(crate) fn with_socket<R>(&self, action: impl FnOnce(&socket2::Socket) -> R) -> R {
        on_its_backend!(self, half => half.with_socket(action))
    }

    pub(crate) fn is_of(&self, write: &WriteHalf) -> bool {
        match (self, write) {
            (Self::Monoio(read), WriteHalf::Monoio(write)) => read.is_of(write),
            (Self::Glommio(read), WriteHalf::Glommio(write)) => read.is_of(write),
            _ => false,
        }
    }
}

impl WriteHalf {
    pub(crate) async fn write(&mut self, gather: Gather) -> (io::Result<usize>, Gather) {
        on_its_backend!(self, half => half.write(gather).await)
    }

    pub(crate) async fn write_or(&mut self, gather: Gather, cancel: &Cancel) -> (Outcome, Gather) {
        on_its_backend!(self, half => half.write_or(gather, cancel).await)
    }

    pub(crate) async fn writable(&self, cancel: &Cancel) -> Option<io::Result<()>> {
        on_its_backend!(self, half => half.writable(cancel).await)
    }

    pub(crate) fn with_socket<R>(&self, action: impl FnOnce(&socket2::Socket) -> R) -> R {
        on_its_backend!(self, half => half.with_socket(action))
    }
}

macro_rules! debug_as_its_backend {
    ($($type:ident),+) => {$(
        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                on_its_backend!(self, inner => inner.fmt(f))
            }
        }
    )+};
}

debug_as_its_backend!(Listener, Datagrams, ReadHalf, WriteHalf);
