//! Promises about waking another shard, kept on every driver of this system.
//!
//! The fences are what loom looks at (in the doorbell's own file). Here the kernel takes part.

mod support;

use std::sync::mpsc;
use std::thread;

use rtrb::{Consumer, Producer, RingBuffer};
use shardcast_platform::{Doorbell, DoorbellWaiter, Driver, block_on, spawn, yield_now};
use support::{Choices, drivers, on_every_driver, within_watchdog};

/// Messages of the test under load.
const MESSAGES: u64 = if cfg!(target_os = "linux") {
    2_000_000
} else {
    50_000
};

/// Turns of the test in which every message needs a wake-up.
const ROUND_TRIPS: u64 = if cfg!(target_os = "linux") { 3000 } else { 300 };

#[test]
fn no_wake_is_lost_under_load() {
    for driver in drivers() {
        within_watchdog("load", move || {
            let (producer, mut consumer) = RingBuffer::new(64);
            let (doorbell, seat) = Doorbell::pair().expect("descriptors are left");
            let pusher = thread::spawn(move || push_in_bursts(producer, &doorbell));
            let wakes = block_on(driver, async {
                let mut waiter = seat.attach().expect("it is attached");
                receive_all(&mut consumer, &mut waiter).await
            })
            .expect("the driver starts");
            let rings = pusher.join().expect("everything was pushed");
            assert!(
                wakes > 0 && rings > 0 && rings <= MESSAGES,
                "{wakes} wakes, {rings} rings"
            );
        });
    }
}

/// Pushes everything, in bursts with one ring each, and pauses so that the shard falls asleep.
fn push_in_bursts(mut producer: Producer<u64>, doorbell: &Doorbell) -> u64 {
    let mut choices = Choices::new(3);
    let (mut next, mut rings) = (0, 0);
    while next < MESSAGES {
        for _ in 0..1 + choices.below(100) {
            if next < MESSAGES && producer.push(next).is_ok() {
                next += 1;
            }
        }
        rings += u64::from(doorbell.ring());
        for _ in 0..choices.below(200) {
            std::hint::spin_loop();
        }
    }
    rings
}

async fn receive_all(consumer: &mut Consumer<u64>, waiter: &mut DoorbellWaiter) -> u64 {
    let (mut next, mut wakes) = (0, 0);
    while next < MESSAGES {
        waiter.wait(|| !consumer.is_empty()).await;
        wakes += 1;
        while let Ok(number) = consumer.pop() {
            assert_eq!(number, next);
            next += 1;
        }
    }
    wakes
}

#[test]
fn two_shards_wake_each_other_in_turn() {
    for driver in drivers() {
        within_watchdog("turns", move || {
            let (here, there) = (Doorbell::pair(), Doorbell::pair());
            let (ring_here, seat_here) = here.expect("descriptors are left");
            let (ring_there, seat_there) = there.expect("descriptors are left");
            let (to_there, from_here) = RingBuffer::new(1);
            let (to_here, from_there) = RingBuffer::new(1);
            let other = thread::spawn(move || {
                let end = End {
                    outbox: to_here,
                    bell: ring_here,
                    inbox: from_here,
                };
                end.play(driver, seat_there, false);
            });
            let end = End {
                outbox: to_there,
                bell: ring_there,
                inbox: from_there,
            };
            end.play(driver, seat_here, true);
            other.join().expect("it played to the end");
        });
    }
}

struct End {
    outbox: Producer<u64>,
    bell: Doorbell,
    inbox: Consumer<u64>,
}

impl End {
    fn play(mut self, driver: Driver, seat: shardcast_platform::DoorbellSeat, begins: bool) {
        block_on(driver, async {
            let mut waiter = seat.attach().expect("it is attached");
            if begins {
                self.send(0);
            }
            loop {
                waiter.wait(|| !self.inbox.is_empty()).await;
                let Ok(number) = self.inbox.pop() else {
                    continue;
                };
                if number < ROUND_TRIPS {
                    self.send(number + 1);
                }
                if number + 1 >= ROUND_TRIPS {
                    return;
                }
            }
        })
        .expect("the driver starts");
    }

    fn send(&mut self, number: u64) {
        self.outbox
            .push(number)
            .expect("the other one has taken the last");
        self.bell.ring();
    }
}

#[test]
fn a_waiter_that_is_awake_is_not_rung() {
    on_every_driver(|_| async {
        let (doorbell, seat) = Doorbell::pair().expect("descriptors are left");
        let mut waiter = seat.attach().expect("it is attached");
        assert!(!doorbell.ring());
        waiter.wait(|| true).await;
        assert!(!doorbell.ring());
    });
}

#[test]
fn a_burst_rings_a_sleeper_once() {
    on_every_driver(|_| async {
        let (doorbell, seat) = Doorbell::pair().expect("descriptors are left");
        let mut waiter = seat.attach().expect("it is attached");
        let (send, woken) = mpsc::channel();
        spawn(async move {
            waiter.wait(|| false).await;
            send.send(()).expect("it is waited for");
        });
        while !doorbell.ring() {
            yield_now().await;
        }
        assert!(!doorbell.ring() && !doorbell.clone().ring());
        while woken.try_recv().is_err() {
            yield_now().await;
        }
    });
}
