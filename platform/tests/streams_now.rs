//! Promises about connections that are read and written by calls that do not wait, kept on every
//! driver of this system.

mod support;

use std::cell::Cell;
use std::io::{ErrorKind, Read as _, Write as _};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use shardcast_platform::{Arrived, Cancel, Readiness, SendBuffer, TcpStream, now, spawn};
use support::{WATCHDOG, connected, gather, numbered, on_every_driver, sleep_ms, with_std_peer};

/// Waits until a read is worth a try.
async fn until_readable(stream: &TcpStream) {
    let waited = stream.readable_or(&Cancel::new()).await;
    assert_eq!(waited.expect("it waits"), Readiness::Ready);
}

/// Waits for something, and takes it.
async fn arrived(stream: &TcpStream, buffer: &mut [u8]) -> Arrived {
    loop {
        until_readable(stream).await;
        if let Some(arrived) = stream.read_now(buffer).expect("it reads") {
            return arrived;
        }
    }
}

#[test]
fn what_has_arrived_is_taken_and_nothing_is_waited_for() {
    on_every_driver(|_| async {
        let (ours, mut theirs) = connected().await;
        let mut buffer = [0; 16];
        assert_eq!(ours.read_now(&mut buffer).expect("it reads"), None);
        assert_eq!(ours.discard_now(16).expect("it reads"), None);
        let sent = gather([&numbered(0..10)]);
        theirs.write_all(sent).await.0.expect("it writes");
        let mut received = Vec::new();
        while received.len() < 40 {
            let bytes = arrived(&ours, &mut buffer).await.bytes;
            received.extend_from_slice(&buffer[..bytes]);
        }
        assert_eq!(received, numbered(0..10));
        theirs.shutdown_write().await.expect("it ends");
        assert_eq!(arrived(&ours, &mut buffer).await.bytes, 0);
        assert_eq!(ours.discard_now(16).expect("it reads"), Some(0));
    });
}

#[test]
fn what_is_thrown_away_is_counted_up_to_the_end() {
    const BYTES: usize = 3_000_000;
    on_every_driver(|_| async {
        let (ours, peer) = with_std_peer(|mut peer| {
            peer.write_all(&vec![7; BYTES]).expect("it writes");
        })
        .await;
        let mut bytes = 0;
        loop {
            match ours.discard_now(70_000).expect("it reads") {
                None => until_readable(&ours).await,
                Some(0) => break,
                Some(count) => {
                    assert!(count <= 70_000);
                    bytes += count;
                }
            }
        }
        assert_eq!(bytes, BYTES);
        peer.ended().await;
    });
}

#[test]
fn a_call_without_room_is_refused_and_does_not_look_like_an_end() {
    on_every_driver(|_| async {
        let (ours, _theirs) = connected().await;
        let read = ours.read_now(&mut []).expect_err("no room");
        let discarded = ours.discard_now(0).expect_err("no room");
        let kinds = [read.kind(), discarded.kind()];
        assert_eq!(kinds, [ErrorKind::InvalidInput; 2]);
    });
}

#[test]
fn a_wait_for_a_stream_ends_when_it_is_cancelled_and_loses_nothing() {
    on_every_driver(|_| async {
        let (ours, mut theirs) = connected().await;
        let cancel = Cancel::new();
        let raised = cancel.clone();
        spawn(async move {
            sleep_ms(5).await;
            raised.cancel();
        });
        for _twice in 0..2 {
            let waited = ours.readable_or(&cancel).await.expect("it waits");
            assert_eq!(waited, Readiness::Cancelled);
        }
        theirs.write_all(gather([b"late"])).await.0.expect("sent");
        let mut buffer = [0; 8];
        assert_eq!(arrived(&ours, &mut buffer).await.bytes, 4);
        assert_eq!(&buffer[..4], b"late");
    });
}

#[test]
fn reads_that_wait_and_calls_that_do_not_take_turns() {
    on_every_driver(|_| async {
        let (mut ours, mut theirs) = connected().await;
        let mut buffer = [0; 4];
        for number in 0..100u32 {
            let sent = gather([&number.to_be_bytes()]);
            theirs.write_all(sent).await.0.expect("it writes");
            if number % 2 == 0 {
                assert_eq!(arrived(&ours, &mut buffer).await.bytes, 4);
                assert_eq!(buffer, number.to_be_bytes());
            } else {
                let received = support::read_exactly(&mut ours, 4).await;
                assert_eq!(received, number.to_be_bytes());
            }
        }
    });
}

#[test]
fn a_stream_that_always_has_something_leaves_others_their_turn() {
    on_every_driver(|_| async {
        let (ours, mut theirs) = connected().await;
        theirs.write_all(gather([b"x"])).await.0.expect("sent");
        let ran = Rc::new(Cell::new(false));
        let runs = Rc::clone(&ran);
        spawn(async move { runs.set(true) });
        let begun = now();
        while !ran.get() {
            until_readable(&ours).await;
            assert!(begun.elapsed() < WATCHDOG, "the other has no turn");
        }
    });
}

#[test]
fn a_socket_takes_what_it_has_room_for_and_then_nothing() {
    on_every_driver(|_| async {
        let (ours, mut theirs) = connected().await;
        let piece = numbered(0..4096);
        let mut sent = 0;
        loop {
            match ours.write_now(&piece).expect("it writes") {
                0 => break,
                bytes => sent += bytes,
            }
        }
        assert!(sent > 0);
        assert_eq!(ours.write_now(&[]).expect("nothing"), 0);
        let received = support::read_exactly(&mut theirs, sent).await;
        assert_eq!(received.len(), sent);
        drop(ours);
        assert!(support::read_to_end(&mut theirs).await.is_empty());
    });
}

#[test]
fn the_kernel_says_when_bytes_arrived_however_late_they_are_read() {
    on_every_driver(|_| async {
        let (ours, mut theirs) = connected().await;
        let has_stamps = ours.stamp_arrivals().expect("it is asked for");
        assert_eq!(has_stamps, cfg!(target_os = "linux"));
        let mut buffer = [0; 16];
        // The first packets may have none yet.
        let begun = now();
        loop {
            let before = SystemTime::now();
            theirs.write_all(gather([b"abc"])).await.0.expect("sent");
            until_readable(&ours).await;
            let after = SystemTime::now();
            sleep_ms(5).await;
            let arrived = arrived(&ours, &mut buffer).await;
            assert_eq!(arrived.bytes, 3);
            match arrived.at {
                Some(at) => {
                    assert!(has_stamps && before <= at && at <= after, "{at:?}");
                    break;
                }
                None if !has_stamps => break,
                None => assert!(begun.elapsed() < WATCHDOG, "never a stamp"),
            }
        }
    });
}

#[test]
fn a_receive_buffer_holds_what_nobody_reads() {
    const BYTES: usize = 1 << 20;
    on_every_driver(|_| async {
        let (ours, theirs) = connected().await;
        let bounds = SendBuffer {
            send_buffer: Some(32 * 1024),
            ..SendBuffer::default()
        };
        ours.bound_send_buffer(bounds).expect("it is bounded");
        theirs.set_receive_buffer(BYTES).expect("it is set");
        theirs.acknowledge_at_once().expect("it is asked for");
        let piece = vec![7; 16 * 1024];
        let (mut sent, begun) = (0, now());
        while sent < BYTES / 2 {
            sent += ours.write_now(&piece).expect("it writes");
            assert!(begun.elapsed() < Duration::from_secs(10), "{sent} bytes");
            sleep_ms(0).await;
        }
    });
}

#[test]
fn what_a_peer_does_not_take_is_known() {
    on_every_driver(|_| async {
        let (ours, _theirs) = connected().await;
        let bounds = SendBuffer {
            send_buffer: Some(32 * 1024),
            ..SendBuffer::default()
        };
        ours.bound_send_buffer(bounds).expect("it is bounded");
        let held = || ours.unacknowledged_bytes().expect("it is known");
        assert!(cfg!(windows) || held() == 0, "nothing has been written");
        let piece = vec![7; 16 * 1024];
        let (mut sent, begun) = (0, now());
        loop {
            let written = ours.write_now(&piece).expect("it writes");
            sent += written;
            if written == 0 && held() > 0 {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "{sent} bytes");
            sleep_ms(0).await;
        }
        assert!(held() <= sent, "{} of {sent} bytes", held());
    });
}

#[test]
fn an_abort_is_a_reset_for_the_peer() {
    on_every_driver(|_| async {
        let (ours, peer) = with_std_peer(|mut peer| {
            let error = peer.read(&mut [0; 8]).expect_err("a reset");
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        })
        .await;
        ours.abort();
        peer.ended().await;
    });
}

#[test]
fn a_reset_by_the_peer_is_an_error_of_the_wait_or_of_the_next_call() {
    on_every_driver(|_| async {
        let (ours, theirs) = connected().await;
        theirs.abort();
        let waited = ours.readable_or(&Cancel::new()).await;
        match waited.and_then(|_| ours.discard_now(1)) {
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
            // Wine forgets a reset that a wait has been told of.
            Ok(end) => assert!(cfg!(windows) && end == Some(0), "{end:?}"),
        }
    });
}
