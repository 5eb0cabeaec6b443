//! The promise that nothing outlives its event loop: no descriptor, after many loops.
//!
//! It counts the process's descriptors, so it is alone in its program.
#![cfg(target_os = "linux")]

mod support;

use shardcast_platform::{Cancel, Doorbell, Driver, Slab, block_on, spawn, yield_now};
use support::{connected, drivers, listener, within_watchdog};

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd")
        .expect("Linux lists them")
        .count()
}

#[test]
fn a_loop_that_ends_in_the_middle_of_everything_leaks_no_descriptor() {
    for driver in drivers() {
        let mut counts = Vec::new();
        for _ in 0..20 {
            within_watchdog("ending", move || {
                block_on(driver, leave_everything_behind()).expect("the driver starts");
            });
            counts.push(descriptors());
        }
        // The kernel closes a ring of io_uring a moment after its descriptor.
        let (first, last) = (counts[0], counts[19]);
        assert!(last <= first + kept(driver, 19), "{driver}: {counts:?}");
    }
}

/// Descriptors that a driver's crate itself never closes. glommio keeps the counter by which other
/// threads would wake it: its tasks hold on to that, and their memory is freed without letting go.
fn kept(driver: Driver, loops: usize) -> usize {
    if driver == Driver::Glommio { loops } else { 0 }
}

/// Ends while streams read, write and wait, a listener accepts, and a doorbell is waited for.
async fn leave_everything_behind() {
    for _ in 0..5 {
        let (ours, theirs) = connected().await;
        let (mut read, write) = ours.split();
        spawn(async move {
            let _ = read.read(Slab::with_capacity(64)).await;
        });
        spawn(async move {
            let _theirs = theirs;
            fill(write).await;
        });
    }
    let listener = listener();
    spawn(async move {
        listener.accept(&Cancel::new()).await;
    });
    let (doorbell, seat) = Doorbell::pair().expect("descriptors are left");
    let mut waiter = seat.attach().expect("it is attached");
    spawn(async move {
        waiter.wait(|| false).await;
        drop(doorbell);
    });
    for _ in 0..20 {
        yield_now().await;
    }
}

async fn fill(mut write: shardcast_platform::WriteHalf) {
    let chunk = vec![0; 1 << 20];
    loop {
        let _ = write.write(support::gather([&chunk])).await;
    }
}
