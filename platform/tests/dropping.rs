//! What is left of operations whose futures are dropped while they wait: nothing. In a program of its own, because it
//! counts the process's descriptors.

mod support;

use std::future::{Future, poll_fn};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream as StdStream};
use std::pin::pin;
use std::task::Poll;

use shardcast_platform::{Cancel, Gather, Slab, Slice, TcpListener, TcpStream, yield_now};
use support::{Choices, accept, listener, on_every_driver, sleep_ms};

/// Operations that are begun and dropped, on each driver.
const ROUNDS: usize = if cfg!(windows) { 100 } else { 600 };

/// Turns of the loop that an operation may have before it is dropped, at most.
const TURNS_MAX: usize = 4;

/// Sizes of buffers: small enough that the allocator hands a freed one out again at once.
const BUFFER_BYTES: usize = 1024;

/// Buffers that are allocated over the place of a dropped one.
const CANARIES: usize = 4;

/// What a dropped write had to send, what peers send, and what canaries hold.
const OURS: u8 = 0x11;
const THEIRS: u8 = 0x22;
const CANARY: u8 = 0xcc;

/// Begins an operation and drops it after so many turns, unless it is done by then.
async fn drop_after(turns: usize, operation: impl Future) {
    let mut operation = pin!(operation);
    for _ in 0..=turns {
        let polled = poll_fn(|context| Poll::Ready(operation.as_mut().poll(context)));
        if polled.await.is_ready() {
            return;
        }
        yield_now().await;
    }
}

/// Memory of the sizes that the dropped operation had: whatever writes to its buffer later, and it was freed, shows.
fn canaries() -> Vec<Vec<u8>> {
    (0..CANARIES).map(|_| vec![CANARY; BUFFER_BYTES]).collect()
}

fn assert_untouched(canaries: &[Vec<u8>]) {
    let mut bytes = canaries.iter().flatten();
    assert!(
        bytes.all(|byte| *byte == CANARY),
        "written to after it was freed"
    );
}

/// A connection of which the other end belongs to nobody's loop.
async fn with_peer(listener: &TcpListener) -> (TcpStream, StdStream) {
    let peer = StdStream::connect(listener.local_addr().expect("it listens"));
    let peer = peer.expect("it connects");
    peer.set_nonblocking(true).expect("it may not block");
    (accept(listener).await, peer)
}

/// A read is dropped, then its bytes come.
async fn drop_a_read(listener: &TcpListener, turns: usize, with_cancel: bool) {
    let (mut stream, mut peer) = with_peer(listener).await;
    let slab = Slab::with_capacity(BUFFER_BYTES);
    let cancel = Cancel::new();
    match with_cancel {
        true => drop_after(turns, stream.read_or(slab, &cancel)).await,
        false => drop_after(turns, stream.read(slab)).await,
    }
    let canaries = canaries();
    let sent = peer.write_all(&[THEIRS; BUFFER_BYTES]);
    sent.expect("an empty socket takes them");
    yield_now().await;
    assert_untouched(&canaries);
    drop(stream);
    yield_now().await;
    assert_untouched(&canaries);
}

/// A write that has no room is dropped, then its peer takes everything.
async fn drop_a_write(listener: &TcpListener, turns: usize, with_cancel: bool) {
    let (mut stream, mut peer) = with_peer(listener).await;
    let cancel = Cancel::new();
    for _ in 0..4 {
        let mut gather = Gather::new();
        for _ in 0..512 {
            let slice = Slice::new(vec![OURS; BUFFER_BYTES].into());
            gather.push(slice).expect("there is room");
        }
        match with_cancel {
            true => drop_after(turns, stream.write_or(gather, &cancel)).await,
            false => drop_after(turns, stream.write(gather)).await,
        }
    }
    let canaries: Vec<_> = (0..128).map(|_| canaries()).collect();
    let mut bytes = vec![0; 64 * BUFFER_BYTES];
    for turn in 0..50 {
        match peer.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => {
                let mut taken = bytes.iter().take(count);
                assert!(taken.all(|byte| *byte == OURS), "sent after it was freed");
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock && turn < 40 => {
                yield_now().await;
            }
            Err(_) => break,
        }
    }
    drop(stream);
    canaries.iter().for_each(|some| assert_untouched(some));
}

/// An accept is dropped; the connection that comes then is taken by the next.
async fn drop_an_accept(listener: &TcpListener, turns: usize) {
    let never = Cancel::new();
    drop_after(turns, listener.accept(&never)).await;
    let (_stream, _peer) = with_peer(listener).await;
}

/// A connect is dropped, begun or done.
async fn drop_a_connect(address: SocketAddr, turns: usize) {
    drop_after(turns, TcpStream::connect(address)).await;
}

/// Takes and closes what has come of connects that were dropped.
async fn drain(listener: &TcpListener) {
    let cancel = Cancel::new();
    let drained = async {
        while let shardcast_platform::AcceptOutcome::Accepted(..) = listener.accept(&cancel).await {
        }
    };
    drop_after(TURNS_MAX * 2, drained).await;
}

/// Open descriptors of this process, where the system says them.
fn descriptors() -> Option<usize> {
    let listed = cfg!(target_os = "linux").then(|| std::fs::read_dir("/proc/self/fd"));
    listed.map(|listed| listed.expect("Linux lists them").count())
}

async fn assert_descriptors_restored(before: Option<usize>) {
    for _ in 0..5000 {
        if descriptors() <= before {
            return;
        }
        sleep_ms(1).await;
    }
    panic!("{:?} descriptors, {before:?} before", descriptors());
}

#[test]
fn a_future_dropped_at_any_await_leaves_no_buffer_in_use_and_no_descriptor_open() {
    on_every_driver(|_| async {
        let listener = listener();
        let address = listener.local_addr().expect("it listens");
        // What a loop opens with its first operations is open by now.
        drop_a_read(&listener, 0, true).await;
        drop_a_connect(address, TURNS_MAX).await;
        drain(&listener).await;
        let before = descriptors();
        let mut choices = Choices::new(29);
        for _ in 0..ROUNDS {
            let turns = choices.below(TURNS_MAX + 1);
            match choices.below(16) {
                0..6 => drop_a_read(&listener, turns, choices.below(2) == 0).await,
                6 => drop_a_write(&listener, turns, choices.below(2) == 0).await,
                7..12 => drop_an_accept(&listener, turns).await,
                _ => {
                    drop_a_connect(address, turns).await;
                    drain(&listener).await;
                }
            }
        }
        drain(&listener).await;
        assert_descriptors_restored(before).await;
    });
}
