//! Promises of the driver glommio alone: what it says of a machine that it does not work on, and
//! that it outlives a want of descriptors.
//!
//! Limits are the process's, so each test lowers them in a process of its own: this program again.
#![cfg(all(target_os = "linux", feature = "glommio"))]

mod support;

use std::process::Command;
use std::thread;

use shardcast_platform::{
    Doorbell, DoorbellWaiter, Driver, DriverRequest, block_on, choose_driver,
};
use support::within_watchdog;

/// Tells the program that it is the process of one test.
const ALONE: &str = "SHARDCAST_TEST_ALONE";

/// Runs `action` in a process of its own, which runs nothing but `test`, the caller.
fn alone(test: &str, action: impl FnOnce()) {
    if std::env::var_os(ALONE).is_some() {
        return action();
    }
    let program = std::env::current_exe().expect("it runs");
    let arguments = ["--exact", test, "--nocapture"];
    let status = Command::new(program)
        .args(arguments)
        .env(ALONE, "1")
        .status();
    assert!(status.expect("it starts").success(), "{test}");
}

fn set_limit(resource: libc::__rlimit_resource_t, soft: u64, hard: u64) {
    let limit = libc::rlimit {
        rlim_cur: soft,
        rlim_max: hard,
    };
    // SAFETY: the limit outlives the call.
    let result = unsafe { libc::setrlimit(resource, &raw const limit) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn too_little_lockable_memory_is_a_clear_error() {
    alone("too_little_lockable_memory_is_a_clear_error", || {
        set_limit(libc::RLIMIT_MEMLOCK, 65_536, (512 << 10) - 1);
        let error = choose_driver(DriverRequest::Glommio).expect_err("it may not lock enough");
        assert_eq!(
            error.to_string(),
            "the driver glommio does not work here: it needs 512 KiB of lockable memory, and 511 \
             KiB are allowed (RLIMIT_MEMLOCK; see ulimit -l)"
        );
        assert!(block_on(Driver::Glommio, async {}).is_err());
    });
}

#[test]
fn the_limit_of_lockable_memory_is_raised_as_far_as_is_allowed() {
    let name = "the_limit_of_lockable_memory_is_raised_as_far_as_is_allowed";
    alone(name, || {
        set_limit(libc::RLIMIT_MEMLOCK, 65_536, 512 << 10);
        choose_driver(DriverRequest::Glommio).expect("it is enough");
        assert_eq!(
            block_on(Driver::Glommio, async { 1 }).expect("it starts"),
            1
        );
    });
}

#[test]
fn a_sleeping_shard_is_woken_while_descriptors_have_run_out() {
    let name = "a_sleeping_shard_is_woken_while_descriptors_have_run_out";
    alone(name, || {
        within_watchdog("woken", || {
            block_on(Driver::Glommio, async {
                let (doorbell, seat) = Doorbell::pair().expect("descriptors are left");
                let mut waiter = seat.attach().expect("it is attached");
                wake_in_turn(&doorbell, &mut waiter).await;
                set_limit(libc::RLIMIT_NOFILE, 0, 4096);
                wake_in_turn(&doorbell, &mut waiter).await;
                set_limit(libc::RLIMIT_NOFILE, 4096, 4096);
                wake_in_turn(&doorbell, &mut waiter).await;
            })
            .expect("the driver starts");
        });
    });
}

async fn wake_in_turn(doorbell: &Doorbell, waiter: &mut DoorbellWaiter) {
    for _ in 0..20 {
        let doorbell = doorbell.clone();
        let ringing = thread::spawn(move || while !doorbell.ring() {});
        waiter.wait(|| false).await;
        ringing.join().expect("it rang");
    }
}
