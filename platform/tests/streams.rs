//! Promises of TCP streams, kept on every driver of this system.
//!
//! Not shown here: what a lossy network does. Everything runs over the loopback interface.

mod support;

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::rc::Rc;
use std::thread;

use shardcast_platform::{
    GATHER_SLICES_MAX, Gather, SendBuffer, Slab, Slice, TcpStream, raise_descriptor_limit, spawn,
};
use support::{
    accept, connected, gather, listener, numbered, on_every_driver, read_exactly, read_to_end,
    sleep_ms, with_std_peer,
};

/// Streams of the test with many; emulated Windows gets a hundred.
const MANY: usize = if cfg!(windows) { 100 } else { 500 };

#[test]
fn what_is_sent_comes_back_unchanged() {
    on_every_driver(|_| async {
        let listener = listener();
        let address = listener.local_addr().expect("it listens");
        spawn(async move {
            let mut stream = accept(&listener).await;
            echo(&mut stream).await;
        });
        let mut stream = TcpStream::connect(address).await.expect("it connects");
        assert_eq!(stream.peer_addr().expect("it is connected"), address);
        for round in 0..100_u32 {
            let sent = round.to_be_bytes();
            let (result, rest) = stream.write_all(gather([b"round ", &sent])).await;
            result.expect("it writes");
            assert!(rest.is_empty());
            assert_eq!(
                read_exactly(&mut stream, 10).await,
                [b"round ".as_slice(), &sent].concat()
            );
        }
        stream.shutdown_write().await.expect("it shuts down");
        assert!(read_to_end(&mut stream).await.is_empty());
    });
}

async fn echo(stream: &mut TcpStream) {
    let mut slab = Slab::with_capacity(4096);
    loop {
        slab.reserve(4096);
        let (result, back) = stream.read(slab).await;
        slab = back;
        if result.expect("it reads") == 0 {
            return stream.shutdown_write().await.expect("it shuts down");
        }
        let bytes = slab.split_to(slab.len()).freeze();
        let mut gather = Gather::new();
        gather.push(Slice::new(bytes)).expect("there is room");
        stream.write_all(gather).await.0.expect("it writes");
    }
}

#[test]
fn an_empty_gather_is_written_at_once() {
    on_every_driver(|_| async {
        let (mut ours, _theirs) = connected().await;
        let (result, _) = ours.write(Gather::new()).await;
        assert_eq!(result.expect("nothing to do"), 0);
    });
}

#[test]
fn a_slab_without_room_is_an_error_and_not_the_peers_end() {
    on_every_driver(|_| async {
        let (mut ours, mut theirs) = connected().await;
        theirs.write_all(gather([b"x"])).await.0.expect("it writes");
        let mut full = Slab::with_capacity(4);
        while full.spare() > 0 {
            full.extend_from_slice(b"f");
        }
        let (result, mut slab) = ours.read(full).await;
        assert_eq!(
            result.expect_err("no room").kind(),
            std::io::ErrorKind::InvalidInput
        );
        slab.reserve(1);
        assert_eq!(ours.read(slab).await.0.expect("room now"), 1);
    });
}

#[test]
fn reads_append_behind_what_the_slab_holds() {
    on_every_driver(|_| async {
        let (mut ours, mut theirs) = connected().await;
        let mut slab = Slab::with_capacity(64);
        slab.extend_from_slice(b"kept ");
        theirs
            .write_all(gather([b"and read"]))
            .await
            .0
            .expect("it writes");
        while slab.len() < 13 {
            let (result, back) = ours.read(slab).await;
            slab = back;
            assert_ne!(result.expect("it reads"), 0);
        }
        assert_eq!(slab.filled(), b"kept and read");
    });
}

#[test]
fn partial_writes_of_many_slices_arrive_exactly() {
    on_every_driver(|_| async {
        // A prime length shifts every slice's border against the kernel's.
        let content = numbered(0..400_000);
        let expected = content.clone();
        let (mut stream, peer) = with_std_peer(move |mut peer| {
            let mut received = Vec::new();
            peer.read_to_end(&mut received).expect("it reads");
            assert!(received == expected, "the content differs");
        })
        .await;
        let bounds = SendBuffer {
            not_sent_lowat: Some(4096),
            send_buffer: Some(4096),
        };
        stream
            .bound_send_buffer(bounds)
            .expect("it takes the bounds");
        let whole = Slice::new(content.into());
        let (mut start, mut partial) = (0, 0);
        let mut gather = Gather::new();
        while start < whole.len() || !gather.is_empty() {
            while start < whole.len() && gather.len() < GATHER_SLICES_MAX {
                let end = (start + 1009).min(whole.len());
                gather
                    .push(whole.slice(start..end))
                    .expect("below the limit");
                start = end;
            }
            let before = gather.bytes();
            let (result, rest) = stream.write(gather).await;
            gather = rest;
            assert_eq!(before - gather.bytes(), result.expect("it writes"));
            partial += usize::from(!gather.is_empty());
        }
        assert!(partial > 0, "no write was partial, so nothing was shown");
        stream.shutdown_write().await.expect("it shuts down");
        peer.ended().await;
    });
}

#[test]
fn a_full_gather_is_one_write() {
    on_every_driver(|_| async {
        let (mut ours, mut theirs) = connected().await;
        let mut gather = Gather::new();
        let byte = Slice::new(bytes::Bytes::from_static(b"x"));
        for _ in 0..GATHER_SLICES_MAX {
            gather.push(byte.clone()).expect("below the limit");
        }
        let (result, rest) = ours.write(gather).await;
        if cfg!(unix) {
            assert_eq!(result.expect("it writes"), GATHER_SLICES_MAX);
        }
        ours.write_all(rest).await.0.expect("it writes");
        assert_eq!(
            read_exactly(&mut theirs, GATHER_SLICES_MAX).await.len(),
            GATHER_SLICES_MAX
        );
    });
}

#[test]
fn a_half_closed_peer_still_receives() {
    on_every_driver(|_| async {
        let (mut ours, mut theirs) = connected().await;
        theirs.shutdown_write().await.expect("it shuts down");
        assert!(read_to_end(&mut ours).await.is_empty());
        for _ in 0..10 {
            ours.write_all(gather([b"still here"]))
                .await
                .0
                .expect("it writes");
            assert_eq!(read_exactly(&mut theirs, 10).await, b"still here");
        }
    });
}

#[test]
fn after_our_half_close_we_still_read_and_no_longer_write() {
    on_every_driver(|_| async {
        let (mut ours, mut theirs) = connected().await;
        ours.shutdown_write().await.expect("it shuts down");
        assert!(read_to_end(&mut theirs).await.is_empty());
        theirs
            .write_all(gather([b"late"]))
            .await
            .0
            .expect("it writes");
        assert_eq!(read_exactly(&mut ours, 4).await, b"late");
        assert!(ours.write_all(gather([b"too late"])).await.0.is_err());
    });
}

#[test]
fn a_read_ends_when_the_peer_closes_while_it_waits() {
    on_every_driver(|_| async {
        let (mut stream, peer) = with_std_peer(|mut peer| {
            let mut go = [0];
            peer.read_exact(&mut go).expect("it reads");
            peer.shutdown(Shutdown::Both).expect("it shuts down");
        })
        .await;
        stream.write_all(gather([b"g"])).await.0.expect("it writes");
        assert!(read_to_end(&mut stream).await.is_empty());
        peer.ended().await;
    });
}

#[test]
fn a_write_fails_when_the_peer_has_gone() {
    on_every_driver(|_| async {
        let (mut stream, peer) = with_std_peer(drop).await;
        peer.ended().await;
        // The first one may still be taken: the peer's reset answers it.
        loop {
            let (result, _) = stream.write_all(gather([&[0; 1024], b"more"])).await;
            if result.is_err() {
                break;
            }
            sleep_ms(1).await;
        }
    });
}

#[test]
fn a_connection_that_nobody_takes_is_refused() {
    on_every_driver(|_| async {
        let unused = listener().local_addr().expect("it listened");
        // The port is free again once the driver has closed the listener.
        while let Ok(stream) = TcpStream::connect(unused).await {
            drop(stream);
            sleep_ms(1).await;
        }
    });
}

#[test]
fn both_halves_work_at_once_and_reunite() {
    on_every_driver(|_| async {
        const COUNT: u32 = 100_000;
        let (ours, mut theirs) = connected().await;
        spawn(async move { echo(&mut theirs).await });
        let (mut read, mut write) = ours.split();
        let written = Rc::new(Cell::new(None));
        let slot = Rc::clone(&written);
        spawn(async move {
            let content = numbered(0..COUNT);
            write
                .write_all(gather([&content]))
                .await
                .0
                .expect("it writes");
            slot.set(Some(write));
        });
        let mut slab = Slab::with_capacity(4 * COUNT as usize);
        while slab.len() < 4 * COUNT as usize {
            let (result, back) = read.read(slab).await;
            slab = back;
            assert_ne!(result.expect("it reads"), 0);
        }
        assert!(slab.filled() == numbered(0..COUNT), "the content differs");
        let write = written.take().expect("everything was written");
        let mut stream = TcpStream::reunite(read, write);
        stream
            .write_all(gather([b"one again"]))
            .await
            .0
            .expect("it writes");
        assert_eq!(read_exactly(&mut stream, 9).await, b"one again");
    });
}

#[test]
fn dropping_one_half_changes_nothing_for_the_peer() {
    on_every_driver(|_| async {
        let (ours, mut theirs) = connected().await;
        let (mut read, write) = ours.split();
        drop(write);
        theirs
            .write_all(gather([b"hello"]))
            .await
            .0
            .expect("it writes");
        let (result, slab) = read.read(Slab::with_capacity(16)).await;
        assert_eq!(result.expect("it reads"), 5);
        assert_eq!(slab.filled(), b"hello");
        drop(read);
        assert!(read_to_end(&mut theirs).await.is_empty());
    });
}

#[test]
fn hundreds_of_streams_make_progress_side_by_side() {
    raise_descriptor_limit().expect("the limit is known");
    on_every_driver(|_| async {
        let listener = listener();
        let address = listener.local_addr().expect("it listens");
        spawn(async move {
            loop {
                let mut stream = accept(&listener).await;
                spawn(async move { echo(&mut stream).await });
            }
        });
        let peers = thread::spawn(move || {
            let mut peers: Vec<_> = (0..MANY)
                .map(|_| std::net::TcpStream::connect(address).expect("it connects"))
                .collect();
            for round in 0..5_u8 {
                for (number, peer) in peers.iter_mut().enumerate() {
                    peer.write_all(&[round, (number % 251) as u8])
                        .expect("it writes");
                }
                for (number, peer) in peers.iter_mut().enumerate() {
                    let mut answer = [0; 2];
                    peer.read_exact(&mut answer).expect("it reads");
                    assert_eq!(answer, [round, (number % 251) as u8]);
                }
            }
        });
        while !peers.is_finished() {
            sleep_ms(1).await;
        }
        peers.join().expect("every peer got its own bytes back");
    });
}
