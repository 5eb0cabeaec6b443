//! Promises about moving connections to another thread, kept on every driver that can.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream as StdStream;
use std::sync::mpsc;
use std::thread;

use shardcast_platform::{
    Driver, IdleSocket, Slab, TcpStream, block_on, capabilities, now, yield_now,
};
use support::{
    Choices, accept, connected, drivers, gather, listener, numbered, on_every_driver, read_exactly,
    within_watchdog,
};

fn drivers_that_move() -> Vec<Driver> {
    drivers()
        .into_iter()
        .filter(|driver| capabilities(*driver).move_live)
        .collect()
}

#[test]
fn a_new_connection_is_served_by_another_thread() {
    for driver in drivers_that_move() {
        within_watchdog("new", move || {
            let (send, receive) = mpsc::channel::<IdleSocket>();
            let other = thread::spawn(move || {
                let socket = receive.recv().expect("it is handed over");
                block_on(driver, async {
                    let mut stream = TcpStream::adopt(socket).expect("it is adopted");
                    let asked = read_exactly(&mut stream, 5).await;
                    stream
                        .write_all(gather([&asked]))
                        .await
                        .0
                        .expect("it writes");
                })
                .expect("the driver starts");
            });
            let peer = block_on(driver, async {
                let listener = listener();
                let address = listener.local_addr().expect("it listens");
                let peer = StdStream::connect(address).expect("it connects");
                let stream = accept(&listener).await;
                send.send(stream.release().expect("it is idle"))
                    .expect("somebody takes it");
                peer
            });
            let mut peer = peer.expect("the driver starts");
            peer.write_all(b"hello").expect("it writes");
            let mut answer = [0; 5];
            peer.read_exact(&mut answer).expect("it reads");
            assert_eq!(&answer, b"hello");
            other.join().expect("it served");
        });
    }
}

/// Hand-overs of one live connection, to and fro between two threads.
const MOVES: u32 = 60;

#[test]
fn a_live_connection_moves_and_keeps_the_bytes_in_flight() {
    for driver in drivers_that_move() {
        within_watchdog("live", move || {
            let (to_first, first) = mpsc::channel();
            let (to_second, second) = mpsc::channel();
            let peer = start_live_connection(driver, &to_first);
            let other = thread::spawn(move || carry_on(driver, &second, &to_first));
            carry_on(driver, &first, &to_second);
            drop(to_second);
            other.join().expect("the other thread served");
            peer.join().expect("the peer got every answer");
        });
    }
}

/// Where a live connection stands: the next number, and half a number that was read already.
struct Live {
    socket: IdleSocket,
    next: u32,
    moves: u32,
    rest: Vec<u8>,
}

/// A peer that sends numbers without pause, and gets one byte per hand-over.
fn start_live_connection(driver: Driver, to_first: &mpsc::Sender<Live>) -> thread::JoinHandle<()> {
    let (peer, socket) = block_on(driver, async {
        let listener = listener();
        let address = listener.local_addr().expect("it listens");
        let peer = StdStream::connect(address).expect("it connects");
        (peer, accept(&listener).await.release().expect("it is idle"))
    })
    .expect("the driver starts");
    let live = Live {
        socket,
        next: 0,
        moves: 0,
        rest: Vec::new(),
    };
    to_first.send(live).expect("it is waited for");
    let mut answers = peer.try_clone().expect("it is cloned");
    thread::spawn(move || send_for_ever(peer));
    thread::spawn(move || {
        let mut received = Vec::new();
        // The end may come as a reset, since numbers are on their way when the server closes.
        let _ = answers.read_to_end(&mut received);
        assert_eq!(
            received,
            (0..MOVES).map(|number| number as u8).collect::<Vec<_>>()
        );
    })
}

fn send_for_ever(mut peer: StdStream) {
    let mut next = 0;
    while peer.write_all(&numbered(next..next + 100)).is_ok() {
        next += 100;
    }
}

fn carry_on(driver: Driver, inbox: &mpsc::Receiver<Live>, outbox: &mpsc::Sender<Live>) {
    while let Ok(live) = inbox.recv() {
        let moved = block_on(driver, serve(live)).expect("the driver starts");
        match moved {
            Some(live) => outbox.send(live).expect("the other thread waits"),
            None => return,
        }
    }
}

async fn serve(live: Live) -> Option<Live> {
    let Live {
        socket,
        mut next,
        moves,
        rest,
    } = live;
    let mut stream = TcpStream::adopt(socket).expect("it is adopted");
    let mut choices = Choices::new(u64::from(moves));
    let mut slab = Slab::with_capacity(1 << 16);
    slab.extend_from_slice(&rest);
    for _ in 0..1 + choices.below(5) {
        slab.reserve(1 + choices.below(10_000));
        let (result, back) = stream.read(slab).await;
        slab = back;
        assert_ne!(result.expect("it reads"), 0);
        while slab.len() >= 4 {
            assert_eq!(
                slab.split_to(4)[..],
                next.to_be_bytes(),
                "bytes were lost in move {moves}"
            );
            next += 1;
        }
    }
    stream
        .write_all(gather([&[moves as u8]]))
        .await
        .0
        .expect("it writes");
    if moves + 1 == MOVES {
        stream.shutdown_write().await.expect("it shuts down");
        // The answers are read before the reset that closing on unread numbers brings.
        yield_now().await;
        return None;
    }
    let socket = stream.release().expect("it is idle");
    Some(Live {
        socket,
        next,
        moves: moves + 1,
        rest: slab.filled().to_vec(),
    })
}

#[test]
fn a_driver_that_cannot_move_gives_the_stream_back_whole() {
    on_every_driver(|driver| async move {
        let (ours, mut theirs) = connected().await;
        let mut ours = match ours.release() {
            Ok(socket) => {
                assert!(capabilities(driver).move_live);
                TcpStream::adopt(socket).expect("it is adopted")
            }
            Err(stream) => {
                assert!(!capabilities(driver).move_live);
                stream
            }
        };
        let begun = now();
        theirs
            .write_all(gather([b"on"]))
            .await
            .0
            .expect("it writes");
        assert_eq!(read_exactly(&mut ours, 2).await, b"on");
        assert!(begun <= now());
    });
}
