//! What readers cost the server's heap: a counting allocator stands under this whole process, server and peers.
//!
//! A program of its own, because a process has one allocator. Counts of memory say nothing about what the kernel holds
//! for a socket.

mod audience;

use std::alloc::System;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use audience::{Reader, Stage};
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::rig::Rig;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What is counted is counted of the process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Readers at first, and so many more then.
const READERS: usize = 250;
/// Until then everything has its size: chunks are sized by a second's bit rate.
const WARM_UP: Duration = Duration::from_millis(1100);
/// Sent at a time while that lasts.
const WARM_UP_BATCHES: usize = 10;
/// Batches that are counted.
const BATCHES: usize = 200;
/// Batches after which a reader has all the memory that it needs.
const PLAYED_BATCHES: usize = 20;
/// Of one batch, on one shard.
const ALLOCATIONS_MAX: usize = 4;
/// Of a session, whether it waits or plays.
const SESSION_BYTES_MAX: usize = 8 * 1024;

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn start(house: House) -> Rig {
    let sessions = 2 * READERS;
    Rig::start(house, &format!("sessionsPerAddress: {sessions}\n"))
}

fn warm_up(stage: &mut Stage, readers: &mut [Reader]) {
    let begin = Instant::now();
    while begin.elapsed() < WARM_UP {
        stage.send(WARM_UP_BATCHES, readers, || ());
    }
}

/// Allocations of [`BATCHES`], memory that was made larger included.
fn count_allocations(stage: &mut Stage, readers: &mut [Reader]) -> usize {
    warm_up(stage, readers);
    let mut region = Region::new(ALLOCATOR);
    stage.send(BATCHES, readers, || region.reset());
    let change = region.change();
    change.allocations + change.reallocations
}

/// Fails when [`READERS`] sessions hold more than they may.
fn assert_frugal(house: House, bytes: usize) {
    let each = bytes / READERS;
    println!("{house:?}: {each} bytes of a session");
    assert!(each <= SESSION_BYTES_MAX);
}

/// Bytes of the heap that are in use.
fn live_bytes() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

#[test]
fn twice_the_readers_cost_no_more_allocations() {
    let _alone = alone();
    for house in House::ALL {
        let server = start(house);
        let mut stage = Stage::open(server.address());
        let mut readers: Vec<_> = (0..READERS).map(|_| stage.play_reader()).collect();
        let some = count_allocations(&mut stage, &mut readers);
        readers.extend((0..READERS).map(|_| stage.play_reader()));
        let twice = count_allocations(&mut stage, &mut readers);
        println!("{house:?}: {some} with {READERS}, {twice} with twice as many");
        assert!(some.max(twice) <= ALLOCATIONS_MAX * BATCHES * house.shards);
        assert!(100 * some.abs_diff(twice) <= some.max(twice));
    }
}

#[test]
fn a_session_in_setup_costs_at_most_8_kib() {
    let _alone = alone();
    for house in House::ALL {
        let server = start(house);
        let stage = Stage::open(server.address());
        let mut readers: Vec<_> = (0..READERS).map(|_| stage.set_up_reader()).collect();
        readers.reserve_exact(READERS);
        let before = live_bytes();
        readers.extend((0..READERS).map(|_| stage.set_up_reader()));
        readers.iter_mut().for_each(Reader::keep_alive);
        assert_frugal(house, live_bytes() - before);
    }
}

#[test]
fn a_session_that_plays_costs_at_most_8_kib() {
    let _alone = alone();
    for house in House::ALL {
        let server = start(house);
        let mut stage = Stage::open(server.address());
        let mut readers: Vec<_> = (0..READERS).map(|_| stage.play_reader()).collect();
        stage.send(PLAYED_BATCHES, &mut readers, || ());
        readers.reserve_exact(READERS);
        let before = live_bytes();
        readers.extend((0..READERS).map(|_| stage.play_reader()));
        stage.send(PLAYED_BATCHES, &mut readers, || ());
        assert_frugal(house, live_bytes() - before);
    }
}
