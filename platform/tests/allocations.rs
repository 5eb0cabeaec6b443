//! The promise that moving bytes allocates nothing once everything has been used before.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use shardcast_platform::{
    Cancel, Driver, Gather, Outcome, ReadHalf, Received, RecvSlab, Slab, Slice, UdpOptions,
    UdpSocket, WriteHalf, bind_udp, now, sleep_until, yield_now,
};
use support::{connected, on_every_driver};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// Counts the allocations of each thread.
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: it passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(place, layout, size) }
    }
}

fn count() {
    // The thread may be ending, and its locals with it.
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
}

/// One batch from one end to the other, in each of the ways that a session uses.
struct Way {
    read: ReadHalf,
    write: WriteHalf,
    cancel: Cancel,
    batch: Slice,
}

impl Way {
    async fn round(&mut self, mut queue: Gather, mut slab: Slab, parts: usize) -> (Gather, Slab) {
        for part in 0..parts {
            let size = self.batch.len() / parts;
            queue
                .push(self.batch.slice(part * size..(part + 1) * size))
                .expect("it has room");
        }
        let bytes = queue.bytes();
        while !queue.is_empty() {
            let (outcome, back) = self.write.write_or(queue, &self.cancel).await;
            queue = back;
            assert!(matches!(outcome, Outcome::Done(Ok(_))));
        }
        while slab.len() < bytes {
            let (outcome, back) = self.read.read_or(slab, &self.cancel).await;
            slab = back;
            assert!(matches!(outcome, Outcome::Done(Ok(_))));
        }
        let mut chunk = slab.into_bytes_mut();
        chunk.clear();
        (queue, Slab::from_bytes_mut(chunk))
    }
}

#[test]
fn bytes_move_without_allocation_after_warm_up() {
    on_every_driver(|driver| async move {
        let (ours, theirs) = connected().await;
        let mut way = Way {
            read: theirs.split().0,
            write: ours.split().1,
            cancel: Cancel::new(),
            batch: Slice::new(Bytes::from(vec![7; 14_000])),
        };
        let (mut queue, mut slab) = (Gather::new(), Slab::with_capacity(16_384));
        let mut before = 0;
        for round in 0..600 {
            if round == 200 {
                before = ALLOCATIONS.get();
            }
            (queue, slab) = way.round(queue, slab, 1).await;
            (queue, slab) = way.round(queue, slab, 10).await;
            yield_now().await;
            sleep_until(now()).await;
        }
        let allocated = ALLOCATIONS.get() - before;
        match driver {
            // compio boxes each operation and builds the array of a vectored one.
            Driver::Iocp => {}
            // glommio keeps each wait for a socket and each timer on the heap.
            Driver::Glommio => {}
            _ => assert_eq!(allocated, 0, "with {driver}"),
        }
    });
}

/// A run from one socket to the other, for which that waits.
async fn datagram_round(
    from: &UdpSocket,
    to: &UdpSocket,
    run: &[u8],
    slab: &mut RecvSlab,
    cancel: &Cancel,
) {
    let address = to.local_addr().expect("it is bound");
    let mut received = 0;
    {
        let mut receive = pin!(to.recv_or(slab, cancel));
        let waits = poll_fn(|context| Poll::Ready(receive.as_mut().poll(context).is_pending()));
        assert!(waits.await, "nothing has been sent");
        let sent = from.send_run(run, 1400, address, None);
        assert_eq!(sent.expect("it sends"), run.len());
        assert_eq!(receive.await.expect("it receives"), Received::Datagrams);
    }
    loop {
        received += slab.datagrams().map(|it| it.bytes.len()).sum::<usize>();
        if received == run.len() {
            return;
        }
        let outcome = to.recv_or(slab, cancel).await;
        assert_eq!(outcome.expect("it receives"), Received::Datagrams);
    }
}

#[test]
fn datagrams_move_without_allocation_after_warm_up() {
    on_every_driver(|driver| async move {
        let address = "127.0.0.1:0".parse().expect("an address");
        let [ours, theirs] = [0, 1].map(|_| {
            let bound = bind_udp(&address, 1, UdpOptions::default()).expect("it is free");
            let seat = bound.seats.into_iter().next().expect("one per shard");
            seat.start().expect("it starts")
        });
        let (run, mut slab) = (vec![7; 14_001], RecvSlab::new());
        let cancel = Cancel::new();
        let mut before = 0;
        for round in 0..600 {
            if round == 200 {
                before = ALLOCATIONS.get();
            }
            datagram_round(&ours, &theirs, &run, &mut slab, &cancel).await;
        }
        let allocated = ALLOCATIONS.get() - before;
        match driver {
            // compio and glommio keep each wait on the heap.
            Driver::Iocp | Driver::Glommio => {}
            _ => assert_eq!(allocated, 0, "with {driver}"),
        }
    });
}
