//! Promises about connections that are polled, kept on every driver of this system.

mod support;

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{ErrorKind, IoSlice, Read as _, Write as _};
use std::rc::Rc;

use shardcast_platform::{Cancel, PolledStream, Readiness, spawn, yield_now};
use support::{connected, gather, numbered, on_every_driver, sleep_ms, with_std_peer};

/// More than any pair of sockets holds.
const BYTES: usize = 16_000_000;

async fn read(stream: &mut PolledStream, buffer: &mut [u8]) -> std::io::Result<usize> {
    poll_fn(|context| stream.poll_read(context, buffer)).await
}

async fn write_all(stream: &mut PolledStream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let sent = poll_fn(|context| stream.poll_write(context, bytes)).await;
        bytes = &bytes[sent.expect("it writes")..];
    }
}

#[test]
fn what_is_sent_to_a_peer_that_is_slower_arrives_whole() {
    on_every_driver(|_| async {
        let (ours, peer) = with_std_peer(|mut peer| {
            let mut received = Vec::new();
            peer.read_to_end(&mut received).expect("it reads");
            assert_eq!(received.len(), BYTES);
            let expected = |place: usize| (place % 251) as u8;
            assert!((0..BYTES).all(|place| received[place] == expected(place)));
            peer.write_all(b"all").expect("it writes");
        })
        .await;
        let mut ours = PolledStream::new(ours, Cancel::new());
        let bytes: Vec<u8> = (0..BYTES).map(|place| (place % 251) as u8).collect();
        write_all(&mut ours, &bytes).await;
        ours.shutdown_write().expect("it ends");
        let mut buffer = [0; 8];
        assert_eq!(read(&mut ours, &mut buffer).await.expect("it reads"), 3);
        assert_eq!(&buffer[..3], b"all");
        assert_eq!(read(&mut ours, &mut buffer).await.expect("the end"), 0);
        assert_eq!(read(&mut ours, &mut buffer).await.expect("again"), 0);
        peer.ended().await;
    });
}

#[test]
fn what_comes_in_pieces_is_read_in_order() {
    on_every_driver(|_| async {
        let (ours, mut theirs) = connected().await;
        let mut ours = PolledStream::new(ours, Cancel::new());
        spawn(async move {
            for number in 0..200u32 {
                let sent = gather([&numbered(number..number + 1)]);
                theirs.write_all(sent).await.0.expect("it writes");
                if number % 3 == 0 {
                    sleep_ms(0).await;
                }
            }
        });
        let (mut received, mut buffer) = (Vec::new(), [0; 7]);
        while received.len() < 800 {
            let count = read(&mut ours, &mut buffer).await.expect("it reads");
            received.extend_from_slice(&buffer[..count]);
        }
        assert_eq!(received, numbered(0..200));
        assert_eq!(read(&mut ours, &mut buffer).await.expect("the end"), 0);
    });
}

#[test]
fn several_slices_leave_as_one() {
    on_every_driver(|_| async {
        let (ours, mut theirs) = connected().await;
        let mut ours = PolledStream::new(ours, Cancel::new());
        let slices = [b"one ".as_slice(), b"", b"two"].map(IoSlice::new);
        let sent = poll_fn(|context| ours.poll_write_slices(context, &slices)).await;
        assert_eq!(sent.expect("it writes"), 7);
        assert_eq!(support::read_exactly(&mut theirs, 7).await, b"one two");
    });
}

#[test]
fn what_was_given_back_is_read_again_and_first() {
    on_every_driver(|_| async {
        let (ours, mut theirs) = connected().await;
        let mut ours = PolledStream::new(ours, Cancel::new());
        theirs.write_all(gather([b"abc"])).await.0.expect("sent");
        let mut buffer = [0; 8];
        assert_eq!(read(&mut ours, &mut buffer).await.expect("it reads"), 3);
        ours.unread(b"c");
        ours.unread(b"ab");
        assert_eq!(read(&mut ours, &mut buffer[..2]).await.expect("ab"), 2);
        assert_eq!(read(&mut ours, &mut buffer[2..]).await.expect("c"), 1);
        assert_eq!(&buffer[..3], b"abc");
    });
}

#[test]
fn a_poll_that_waits_ends_when_it_is_cancelled() {
    on_every_driver(|_| async {
        let (ours, _theirs) = connected().await;
        let cancel = Cancel::new();
        let mut ours = PolledStream::new(ours, cancel.clone());
        spawn(async move {
            sleep_ms(5).await;
            cancel.cancel();
        });
        let error = read(&mut ours, &mut [0; 8]).await.expect_err("cancelled");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let written = poll_fn(|context| ours.poll_write(context, b"x")).await;
        assert_eq!(written.expect_err("over").kind(), ErrorKind::TimedOut);
    });
}

#[test]
fn a_peer_that_always_has_something_leaves_others_their_turn() {
    on_every_driver(|_| async {
        let (ours, mut theirs) = connected().await;
        let mut ours = PolledStream::new(ours, Cancel::new());
        let many = numbered(0..1000);
        theirs.write_all(gather([&many])).await.0.expect("sent");
        let turns = Rc::new(Cell::new(0));
        let count = Rc::clone(&turns);
        spawn(async move {
            loop {
                count.set(count.get() + 1);
                yield_now().await;
            }
        });
        for _ in 0..4000 {
            assert_eq!(read(&mut ours, &mut [0]).await.expect("it reads"), 1);
        }
        assert!(turns.get() >= 10, "{} turns", turns.get());
    });
}

#[test]
fn room_for_a_write_is_told() {
    on_every_driver(|_| async {
        let (ours, mut theirs) = connected().await;
        let never = Cancel::new();
        let room = ours.writable_or(&never).await.expect("it waits");
        assert_eq!(room, Readiness::Ready);
        let piece = vec![7; 65_536];
        let mut sent = 0;
        loop {
            match ours.write_now(&piece).expect("it writes") {
                0 => break,
                count => sent += count,
            }
        }
        spawn(async move {
            let received = support::read_exactly(&mut theirs, sent + 1).await;
            assert_eq!(received.len(), sent + 1);
        });
        while ours.write_now(&piece[..1]).expect("it writes") == 0 {
            ours.writable_or(&never).await.expect("it waits");
        }
        never.cancel();
        let waited = ours.writable_or(&never).await.expect("it waits");
        assert_eq!(waited, Readiness::Cancelled);
    });
}
