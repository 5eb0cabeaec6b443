//! What the platform's tests share: every driver of this system, threads that must end, slices.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::future::Future;
use std::ops::Range;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use shardcast_platform::{
    AcceptOutcome, Bound, Cancel, Driver, DriverRequest, Gather, ListenAddress, Slab, Slice,
    TcpListener, TcpStream, bind, block_on, choose_driver, sleep,
};

/// After this a test is stuck: generous, for slow machines and emulation.
pub(crate) const WATCHDOG: Duration = Duration::from_secs(60);

/// Every driver that this system has.
pub(crate) fn drivers() -> Vec<Driver> {
    let named = [
        DriverRequest::IoUring,
        DriverRequest::Epoll,
        DriverRequest::Kqueue,
        DriverRequest::Glommio,
    ];
    let mut drivers: Vec<_> = named
        .into_iter()
        .filter_map(|name| choose_driver(name).ok())
        .map(|it| it.driver)
        .collect();
    if drivers.is_empty() {
        drivers.push(
            choose_driver(DriverRequest::Auto)
                .expect("auto never fails")
                .driver,
        );
    }
    drivers
}

/// Runs a future on an event loop of each driver, on a thread of its own, and fails when one does
/// not end.
pub(crate) fn on_every_driver<F: Future<Output = ()>>(
    test: impl Fn(Driver) -> F + Clone + Send + 'static,
) {
    for driver in drivers() {
        let test = test.clone();
        within_watchdog(&driver.to_string(), move || {
            block_on(driver, test(driver)).expect("the driver starts");
        });
    }
}

/// Runs it on a thread, and fails when it panics or does not end.
pub(crate) fn within_watchdog<T: Send + 'static>(
    name: &str,
    action: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (done, ended) = mpsc::channel();
    let worker = thread::spawn(move || {
        let result = action();
        let _ = done.send(());
        result
    });
    match ended.recv_timeout(WATCHDOG) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{name}: stuck"),
        _ => match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        },
    }
}

/// Listens on an address with a port of the system's choice.
pub(crate) fn bound(address: &str, shards: usize) -> Bound {
    let address: ListenAddress = address.parse().expect("an address");
    bind(&address, shards).expect("it can be bound")
}

/// A listener for one shard on the loopback address.
pub(crate) fn listener() -> TcpListener {
    let acceptor = bound("127.0.0.1:0", 1)
        .acceptors
        .pop()
        .expect("one per shard");
    acceptor.start().expect("it starts")
}

/// The next connection.
pub(crate) async fn accept(listener: &TcpListener) -> TcpStream {
    match listener.accept(&Cancel::new()).await {
        AcceptOutcome::Accepted(stream, _) => stream,
        other => panic!("no connection: {other:?}"),
    }
}

/// Two ends of one connection, on this loop.
pub(crate) async fn connected() -> (TcpStream, TcpStream) {
    let listener = listener();
    let address = listener.local_addr().expect("it listens");
    let ours = TcpStream::connect(address).await.expect("it connects");
    (ours, accept(&listener).await)
}

/// A gather of these parts.
pub(crate) fn gather<const N: usize>(parts: [&[u8]; N]) -> Gather {
    let mut gather = Gather::new();
    for part in parts {
        gather
            .push(Slice::new(Bytes::copy_from_slice(part)))
            .expect("there is room");
    }
    gather
}

/// Reads exactly so many bytes.
pub(crate) async fn read_exactly(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut slab = Slab::with_capacity(count);
    while slab.len() < count {
        let (result, back) = stream.read(slab).await;
        slab = back;
        assert_ne!(
            result.expect("it reads"),
            0,
            "ended after {} bytes",
            slab.len()
        );
    }
    slab.filled().to_vec()
}

/// Reads until the peer's end.
pub(crate) async fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut slab = Slab::with_capacity(4096);
    loop {
        slab.reserve(4096);
        let (result, back) = stream.read(slab).await;
        slab = back;
        if result.expect("it reads") == 0 {
            return slab.filled().to_vec();
        }
    }
}

/// The numbers as four bytes each: any loss, repetition or exchange of bytes shows.
pub(crate) fn numbered(numbers: Range<u32>) -> Vec<u8> {
    numbers.flat_map(u32::to_be_bytes).collect()
}

/// Waits for something that another thread or the kernel does; the caller looks whether it is done.
pub(crate) async fn sleep_ms(milliseconds: u64) {
    sleep(Duration::from_millis(milliseconds)).await;
}

/// A thread with the other end of a connection, which knows nothing of the platform.
pub(crate) struct StdPeer(thread::JoinHandle<()>);

impl StdPeer {
    /// Waits for its end without blocking the loop, and passes its panic on.
    pub(crate) async fn ended(self) {
        while !self.0.is_finished() {
            sleep_ms(1).await;
        }
        if let Err(panic) = self.0.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

/// A stream whose other end a thread has.
pub(crate) async fn with_std_peer(
    peer: impl FnOnce(std::net::TcpStream) + Send + 'static,
) -> (TcpStream, StdPeer) {
    let listener = listener();
    let address = listener.local_addr().expect("it listens");
    let thread = thread::spawn(move || {
        peer(std::net::TcpStream::connect(address).expect("it connects"));
    });
    (accept(&listener).await, StdPeer(thread))
}

/// A small generator for choices that a test makes; it always makes the same ones.
pub(crate) struct Choices(u64);

impl Choices {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        // Knuth's constants; the upper bits are the good ones.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}
