//! What is particular to completion ports; the behaviour that all backends share is tested through
//! the public API, in the package's `tests/`.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use bytes::Bytes;
use socket2::SockRef;

use super::*;
use crate::buffer::{Gather, Slab, Slice};
use crate::cancel::{Cancel, Outcome};

/// A connection: one end on the loop that runs, the other an ordinary blocking socket.
fn connection() -> (ReadHalf, WriteHalf, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let peer = TcpStream::connect(listener.local_addr().expect("its address")).expect("connects");
    let (socket, _) = listener.accept().expect("accepts");
    let (read, write) = adopt(socket).expect("attaches");
    (read, write, peer)
}

fn on_loop(future: impl Future<Output = ()>) {
    block_on(Driver::Iocp, future).expect("a completion port");
}

fn gather_of(bytes: &Bytes) -> Gather {
    let mut gather = Gather::new();
    gather
        .push(Slice::new(bytes.clone()))
        .expect("there is room");
    gather
}

/// Every byte tells its place.
fn numbered(bytes: usize) -> Bytes {
    (0..bytes).map(|place| (place % 251) as u8).collect()
}

#[test]
fn bytes_go_both_ways() {
    on_loop(async {
        let (mut read, mut write, mut peer) = connection();
        peer.write_all(b"ping").expect("sent");
        let (result, slab) = read.read(Slab::with_capacity(16)).await;
        assert_eq!(result.expect("received"), 4);
        assert_eq!(slab.filled(), b"ping");
        let (result, _) = write.write(gather_of(&Bytes::from_static(b"pong"))).await;
        assert_eq!(result.expect("sent"), 4);
        let mut answer = [0; 4];
        peer.read_exact(&mut answer).expect("received");
        assert_eq!(&answer, b"pong");
    });
}

#[test]
fn a_reset_is_an_error_and_not_an_end() {
    on_loop(async {
        let (mut read, _write, peer) = connection();
        let waiting = std::rc::Rc::new(std::cell::Cell::new(None));
        let result = std::rc::Rc::clone(&waiting);
        spawn(async move {
            let (outcome, _) = read.read(Slab::with_capacity(16)).await;
            result.set(Some(outcome));
        });
        yield_now().await;
        SockRef::from(&peer)
            .set_linger(Some(std::time::Duration::ZERO))
            .expect("an option");
        drop(peer);
        let outcome = loop {
            match waiting.take() {
                Some(outcome) => break outcome,
                None => yield_now().await,
            }
        };
        let error = outcome.expect_err("the peer has reset");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}");
    });
}

#[test]
fn a_cancelled_write_says_what_it_had_sent() {
    on_loop(async {
        let (_read, mut write, mut peer) = connection();
        let bytes = numbered(64 * 1024);
        let mut sent = Vec::new();
        let cancel = Cancel::new();
        // Fill what the system buffers until a write stays pending.
        let outcome = loop {
            let asks = cancel.clone();
            spawn(async move {
                for _ in 0..20 {
                    yield_now().await;
                }
                asks.cancel();
            });
            let (outcome, _) = write.write_or(gather_of(&bytes), &cancel).await;
            match &outcome {
                Outcome::Done(Ok(count)) => sent.extend_from_slice(&bytes[..*count]),
                _ => break outcome,
            }
            if cancel.is_cancelled() {
                break outcome;
            }
        };
        assert!(!matches!(outcome, Outcome::Done(Err(_))), "{outcome:?}");
        write
            .with_socket(|socket| socket.shutdown(Shutdown::Write))
            .expect("half-closed");
        let mut received = Vec::new();
        peer.read_to_end(&mut received)
            .expect("everything up to the end");
        assert_eq!(received.len(), sent.len());
        assert!(received == sent, "in order");
    });
}

#[test]
fn a_direction_whose_operation_was_dropped_refuses_the_next() {
    on_loop(async {
        let (mut read, mut write, mut peer) = connection();
        {
            let mut reading = std::pin::pin!(read.read(Slab::with_capacity(16)));
            let once = std::future::poll_fn(|context| {
                assert!(reading.as_mut().poll(context).is_pending());
                std::task::Poll::Ready(())
            });
            once.await;
        }
        let (result, _) = read.read(Slab::with_capacity(16)).await;
        assert!(result.is_err());
        let (result, _) = write
            .write(gather_of(&Bytes::from_static(b"still here")))
            .await;
        assert_eq!(result.expect("the other direction is whole"), 10);
        let mut answer = [0; 10];
        peer.read_exact(&mut answer).expect("received");
    });
}

#[test]
fn no_operation_outlives_the_loop() {
    let mut peer = None;
    on_loop(async {
        let (mut read, write, socket) = connection();
        peer = Some(socket);
        spawn(async move {
            let _write = write;
            let _ = read.read(Slab::with_capacity(16)).await;
        });
        yield_now().await;
    });
    let mut peer = peer.expect("connected");
    let end = peer.read(&mut [0; 1]);
    assert!(matches!(end, Ok(0) | Err(_)), "the socket is closed");
}
