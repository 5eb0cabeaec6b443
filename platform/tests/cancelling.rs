//! Promises about ending operations, kept on every driver of this system.
//!
//! The peers are threads of the standard library, so that what arrives and what leaves is judged
//! from outside.

mod support;

use std::future::{Future, poll_fn};
use std::io::{Read, Write};
use std::net::TcpStream as StdStream;
use std::pin::pin;
use std::sync::mpsc;
use std::task::Poll;

use shardcast_platform::{
    AcceptOutcome, Cancel, Gather, Outcome, SendBuffer, Slab, Slice, TcpStream, spawn, yield_now,
};
use support::{
    Choices, connected, gather, listener, numbered, on_every_driver, read_exactly, read_to_end,
    with_std_peer,
};

/// Rounds of cancelling, of which some come too early and some too late.
const ROUNDS: usize = if cfg!(windows) { 500 } else { 10_000 };

/// Raises the returned `Cancel` after so many turns of the loop.
fn cancel_after(turns: usize) -> Cancel {
    let cancel = Cancel::new();
    let theirs = cancel.clone();
    spawn(async move {
        for _ in 0..turns {
            yield_now().await;
        }
        theirs.cancel();
    });
    cancel
}

#[test]
fn cancelled_reads_lose_no_byte() {
    on_every_driver(|_| async {
        let (mut stream, _peer) = with_std_peer(send_numbers_on_credit).await;
        let mut choices = Choices::new(7);
        let (mut received, mut cancelled) = (0_u32, 0);
        let mut slab = Slab::with_capacity(4096);
        for _ in 0..ROUNDS {
            slab.reserve(1 + choices.below(512));
            if choices.below(2) == 0 {
                stream.write_all(gather([b"+"])).await.0.expect("it writes");
            }
            let cancel = cancel_after(choices.below(4));
            let (outcome, back) = stream.read_or(slab, &cancel).await;
            slab = back;
            match outcome {
                Outcome::Done(result) => assert_ne!(result.expect("it reads"), 0),
                Outcome::Cancelled => cancelled += 1,
            }
            received = check_numbers(&mut slab, received);
        }
        assert!(
            received > 0 && cancelled > ROUNDS / 100,
            "{received} read, {cancelled} cancelled"
        );
    });
}

/// Sends some numbers for each byte that it gets: fewer than the reader has room for, so that the
/// rounds without such a byte wait in vain, however fast this thread is.
fn send_numbers_on_credit(mut peer: StdStream) {
    let mut choices = Choices::new(11);
    let mut next = 0_u32;
    // It ends when the reader has closed.
    while peer.read_exact(&mut [0]).is_ok() {
        for _ in 0..choices.below(30) {
            std::thread::yield_now();
        }
        let count = 1 + choices.below(40) as u32;
        if peer.write_all(&numbered(next..next + count)).is_err() {
            return;
        }
        next += count;
    }
}

/// Takes whole numbers out, and checks that they go on without a gap.
fn check_numbers(slab: &mut Slab, mut next: u32) -> u32 {
    while slab.len() >= 4 {
        assert_eq!(
            slab.split_to(4)[..],
            next.to_be_bytes(),
            "bytes were lost or repeated"
        );
        next += 1;
    }
    next
}

#[test]
fn cancelled_writes_lose_repeat_and_reorder_nothing() {
    on_every_driver(|_| async {
        // The peer reads only what it is allowed to, less than is written: so writes wait, however quick it is.
        let (allow, allowed) = mpsc::channel();
        let (mut stream, peer) = with_std_peer(move |peer| receive_numbers(peer, &allowed)).await;
        let bounds = SendBuffer {
            not_sent_lowat: None,
            send_buffer: Some(4096),
        };
        stream
            .bound_send_buffer(bounds)
            .expect("it takes the bounds");
        let mut choices = Choices::new(13);
        let (mut next, mut cancelled) = (0_u32, 0);
        let mut queue = Gather::new();
        for _ in 0..ROUNDS {
            while queue.len() < 8 {
                let count = 1 + choices.below(400) as u32;
                let slice = Slice::new(numbered(next..next + count).into());
                queue.push(slice).expect("below the limit");
                next += count;
            }
            if choices.below(3) == 0 {
                allow
                    .send(1 + choices.below(8192))
                    .expect("the peer is there");
            }
            let cancel = cancel_after(choices.below(4));
            let before = queue.bytes();
            let (outcome, back) = stream.write_or(queue, &cancel).await;
            queue = back;
            let written = before - queue.bytes();
            match outcome {
                Outcome::Done(result) => assert_eq!(result.expect("it writes"), written),
                Outcome::Cancelled => {
                    assert_eq!(written, 0);
                    cancelled += 1;
                }
            }
        }
        assert!(cancelled > ROUNDS / 100, "only {cancelled} were cancelled");
        drop(allow);
        stream.write_all(queue).await.0.expect("it writes");
        drop(stream);
        peer.ended().await;
    });
}

/// Reads as much as it is allowed to, and at last, when nobody is there to allow it, all.
fn receive_numbers(mut peer: StdStream, allowed: &mpsc::Receiver<usize>) {
    let (mut next, mut slab) = (0_u32, Slab::default());
    let mut part = vec![0; 8192];
    loop {
        let room = allowed.recv().unwrap_or(part.len());
        let count = peer.read(&mut part[..room]).expect("it reads");
        if count == 0 {
            assert!(slab.is_empty() && next > 0, "it ended within a number");
            return;
        }
        slab.extend_from_slice(&part[..count]);
        next = check_numbers(&mut slab, next);
    }
}

#[test]
fn a_raised_cancel_ends_what_begins_after_it() {
    on_every_driver(|_| async {
        let (mut ours, mut theirs) = connected().await;
        let cancel = Cancel::new();
        cancel.cancel();
        theirs
            .write_all(gather([b"data"]))
            .await
            .0
            .expect("it writes");
        let (outcome, slab) = ours.read_or(Slab::with_capacity(8), &cancel).await;
        assert!(matches!(outcome, Outcome::Cancelled) && slab.is_empty());
        let (outcome, queue) = ours.write_or(gather([b"kept"]), &cancel).await;
        assert!(matches!(outcome, Outcome::Cancelled));
        assert_eq!(queue.bytes(), 4);
        assert_eq!(read_exactly(&mut ours, 4).await, b"data");
    });
}

#[test]
fn one_cancel_ends_both_directions_of_many_streams() {
    on_every_driver(|_| async {
        let cancel = Cancel::new();
        let ended = std::rc::Rc::new(std::cell::Cell::new(0));
        let mut peers = Vec::new();
        for _ in 0..20 {
            let (ours, theirs) = connected().await;
            peers.push(theirs);
            let (mut read, mut write) = ours.split();
            let (readers, writers) = (cancel.clone(), cancel.clone());
            let (by_read, by_write) = (ended.clone(), ended.clone());
            spawn(async move {
                let (outcome, _) = read.read_or(Slab::with_capacity(8), &readers).await;
                assert!(matches!(outcome, Outcome::Cancelled));
                by_read.set(by_read.get() + 1);
            });
            spawn(async move {
                let chunk = Slice::new(vec![0; 1 << 20].into());
                loop {
                    let mut queue = Gather::new();
                    queue.push(chunk.clone()).expect("there is room");
                    if let (Outcome::Cancelled, _) = write.write_or(queue, &writers).await {
                        break;
                    }
                }
                by_write.set(by_write.get() + 1);
            });
        }
        for _ in 0..1000 {
            yield_now().await;
        }
        assert_eq!(ended.get(), 0);
        cancel.cancel();
        while ended.get() < 40 {
            yield_now().await;
        }
    });
}

#[test]
fn a_cancelled_accept_loses_no_connection() {
    on_every_driver(|_| async {
        let listener = listener();
        let address = listener.local_addr().expect("it listens");
        let peers = std::thread::spawn(move || {
            for _ in 0..100 {
                let mut peer = StdStream::connect(address).expect("it connects");
                assert_eq!(peer.read(&mut [0; 8]).expect("it reads"), 2);
            }
        });
        let mut choices = Choices::new(23);
        let mut served = 0;
        while served < 100 {
            match listener.accept(&cancel_after(choices.below(50))).await {
                AcceptOutcome::Accepted(mut stream, _) => {
                    stream
                        .write_all(gather([b"ok"]))
                        .await
                        .0
                        .expect("it writes");
                    served += 1;
                }
                AcceptOutcome::Cancelled => {}
                AcceptOutcome::Failed(error) => panic!("{error}"),
            }
        }
        while !peers.is_finished() {
            yield_now().await;
        }
        peers.join().expect("every peer was served");
    });
}

/// Begins a future, and drops it while it waits.
async fn begin_and_drop(future: impl Future) {
    let mut future = pin!(future);
    poll_fn(|context| {
        assert!(future.as_mut().poll(context).is_pending(), "it had to wait");
        Poll::Ready(())
    })
    .await;
}

#[test]
fn a_dropped_read_ends_the_direction_instead_of_losing_bytes_silently() {
    on_every_driver(|_| async {
        let (mut ours, mut theirs) = connected().await;
        begin_and_drop(ours.read(Slab::with_capacity(8))).await;
        theirs
            .write_all(gather([b"data"]))
            .await
            .0
            .expect("it writes");
        let (result, _) = ours.read(Slab::with_capacity(8)).await;
        assert!(
            result
                .expect_err("the direction has ended")
                .to_string()
                .contains("dropped")
        );
        let never = Cancel::new();
        let (outcome, _) = ours.read_or(Slab::with_capacity(8), &never).await;
        assert!(matches!(outcome, Outcome::Done(Err(_))));
        ours.write_all(gather([b"the other one goes on"]))
            .await
            .0
            .expect("it writes");
        assert_eq!(
            read_exactly(&mut theirs, 21).await,
            b"the other one goes on"
        );
    });
}

#[test]
fn a_dropped_write_ends_the_direction_instead_of_losing_bytes_silently() {
    on_every_driver(|_| async {
        let (mut ours, _theirs) = connected().await;
        fill(&mut ours).await;
        begin_and_drop(ours.write(gather([b"dropped"]))).await;
        let (result, queue) = ours.write(gather([b"refused"])).await;
        assert!(
            result
                .expect_err("the direction has ended")
                .to_string()
                .contains("dropped")
        );
        assert_eq!(queue.bytes(), 7);
    });
}

/// Writes until the socket takes nothing more.
async fn fill(stream: &mut TcpStream) {
    loop {
        let chunk = vec![0; 1 << 20];
        let (outcome, _) = stream.write_or(gather([&chunk]), &cancel_after(50)).await;
        if let Outcome::Cancelled = outcome {
            return;
        }
    }
}

#[test]
fn a_stream_that_is_dropped_with_a_read_in_flight_closes() {
    on_every_driver(|_| async {
        let (mut ours, mut theirs) = connected().await;
        begin_and_drop(ours.read(Slab::with_capacity(8))).await;
        drop(ours);
        assert!(read_to_end(&mut theirs).await.is_empty());
    });
}

#[test]
fn a_stream_whose_operation_was_dropped_is_not_released() {
    on_every_driver(|_| async {
        let (mut ours, mut theirs) = connected().await;
        begin_and_drop(ours.read(Slab::with_capacity(8))).await;
        let ours = ours
            .release()
            .expect_err("bytes may be on their way into the lost slab");
        theirs
            .write_all(gather([b"data"]))
            .await
            .0
            .expect("it writes");
        let mut ours = ours.release().expect_err("they may have been lost");
        assert!(ours.read(Slab::with_capacity(8)).await.0.is_err());
    });
}
