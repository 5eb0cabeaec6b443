//! More operations at once than a driver's queues hold: those that find no room wait, and none of them is lost.

mod support;

use std::cell::Cell;
use std::rc::Rc;

use shardcast_platform::{Slab, TcpStream, raise_descriptor_limit, spawn, yield_now};
use support::{accept, gather, listener, on_every_driver};

/// Connections whose both ends read and write at once. io_uring's queues have 1024 places for submissions and 8192 for
/// completions; this is four times 4500 operations. wine takes a hundred sockets.
const CONNECTIONS: usize = if cfg!(windows) { 40 } else { 4500 };

/// Descriptors of everything else in this program.
const OTHER_DESCRIPTORS: usize = 300;

/// As many connections as this system allows, by their ends.
async fn ends() -> Vec<TcpStream> {
    let limit = raise_descriptor_limit().expect("the limit is known");
    let most = usize::try_from(limit).unwrap_or(usize::MAX) - OTHER_DESCRIPTORS;
    let listener = listener();
    let address = listener.local_addr().expect("it listens");
    let mut ends = Vec::new();
    for _ in 0..CONNECTIONS.min(most / 2) {
        ends.push(TcpStream::connect(address).await.expect("it connects"));
        ends.push(accept(&listener).await);
    }
    ends
}

#[test]
fn more_operations_than_the_queues_hold_all_complete() {
    on_every_driver(|_| async {
        let ends = ends().await;
        let count = ends.len();
        let (read, written) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let mut writers = Vec::new();
        for (index, end) in ends.into_iter().enumerate() {
            let (mut reader, writer) = end.split();
            writers.push((index, writer));
            let read = Rc::clone(&read);
            spawn(async move {
                let (result, slab) = reader.read(Slab::with_capacity(8)).await;
                assert_eq!(result.expect("it reads"), 8);
                // Both ends of a connection stand side by side, and each sends its own number.
                let sent = slab.filled().try_into().map(u64::from_be_bytes);
                assert_eq!(sent.expect("eight bytes"), index as u64 ^ 1);
                read.set(read.get() + 1);
            });
        }
        // Every read waits before the first byte is sent.
        yield_now().await;
        for (index, mut writer) in writers {
            let written = Rc::clone(&written);
            spawn(async move {
                let number = gather([&(index as u64).to_be_bytes()]);
                writer.write_all(number).await.0.expect("it writes");
                written.set(written.get() + 1);
            });
        }
        while (read.get(), written.get()) != (count, count) {
            yield_now().await;
        }
    });
}
