//! Shards that sleep are woken by what is sent to them, under load and out of silence, on every
//! driver. A lost wake is a hang, and the watchdog tells.

mod testing;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::mpsc::Sender;

use shardcast_platform::yield_now;
use shardcast_runtime::{Exit, Hooks, Mark, Stage};
use testing::{Behaviour, Script, drivers, idle, options, reports, script, shard, start};

const SENDER: Mark = Mark::stage(Stage::engine(0));

/// Every shard sends bursts to every other and counts what it gets.
fn storm(shards: usize, messages: u64, done: &Sender<u64>) -> Script {
    let done = done.clone();
    script(move |context| {
        let sending = context.clone();
        context.clone().spawn(SENDER, async move {
            for number in 0..messages {
                for to in sending.others() {
                    sending.send_control(to, number);
                }
                // Bursts of every length from 1 to 7, so that shards fall asleep in between at
                // every place.
                if number % 28 % 7 == number % 4 {
                    yield_now().await;
                }
            }
        });
        let expected = (shards as u64 - 1) * messages;
        let received = Cell::new(0);
        Behaviour {
            control: Box::new(move |_, _| {
                received.set(received.get() + 1);
                if received.get() == expected {
                    done.send(expected).expect("the test listens");
                }
            }),
            ..Behaviour::default()
        }
    })
}

#[test]
fn every_message_of_a_storm_arrives_across_two_and_four_shards() {
    for driver in drivers() {
        for (shards, messages) in [(2, 100_000), (4, 20_000)] {
            let (done, reports) = reports();
            let scripts = (0..shards)
                .map(|_| storm(shards, messages, &done))
                .collect();
            let running = start(options(shards, driver), Hooks::default(), scripts);
            reports.take(shards);
            running.shutdown();
            let handle = running.handle();
            assert_eq!(running.join(), Exit::Clean);
            let counters = handle.counters();
            let sent: u64 = counters.iter().map(|shard| shard.control_sent).sum();
            let received: u64 = counters.iter().map(|shard| shard.control_received).sum();
            assert_eq!(sent, received);
        }
    }
}

#[test]
fn a_message_wakes_a_sleeping_shard_every_single_time() {
    const ROUNDS: u64 = 20_000;
    for driver in drivers() {
        for shards in [2, 4] {
            let (done, reports) = reports();
            // One ball goes round all shards; all but one of them sleep at any moment.
            let scripts = (0..shards).map(|own: usize| {
                let done = done.clone();
                script(move |context| {
                    let next = shard((own + 1) % shards);
                    if own == 0 {
                        context.send_control(next, 0);
                    }
                    Behaviour {
                        control: Box::new(move |_, round| {
                            if round == ROUNDS {
                                done.send(round).expect("the test listens");
                            } else {
                                context.send_control(next, round + 1);
                            }
                        }),
                        ..Behaviour::default()
                    }
                })
            });
            let running = start(options(shards, driver), Hooks::default(), scripts.collect());
            assert_eq!(reports.next(), ROUNDS);
            running.shutdown();
            assert_eq!(running.join(), Exit::Clean);
        }
    }
}

#[test]
fn a_burst_rings_once_per_target() {
    for driver in drivers() {
        let (received, reports) = reports();
        let (asleep, all_asleep) = testing::reports();
        let sender = script(move |context| {
            let bursting = context.clone();
            Behaviour {
                // Both others have had their say, so the burst goes out in one turn.
                control: Box::new(move |_, _| {
                    asleep.send(()).expect("the test listens");
                    for number in 0..500 {
                        assert!(bursting.send_media(shard(1), number).is_ok());
                        bursting.send_control(shard(1), number);
                    }
                }),
                ..Behaviour::default()
            }
        });
        let receiver = script(move |context| {
            context.send_control(shard(0), 0);
            Behaviour {
                control: Box::new(move |_, number| {
                    received.send(number).expect("the test listens");
                }),
                ..Behaviour::default()
            }
        });
        let running = start(options(2, driver), Hooks::default(), vec![sender, receiver]);
        all_asleep.next();
        reports.take(500);
        assert!(running.counters()[0].doorbells_rung <= 1);
        running.shutdown();
        assert_eq!(running.join(), Exit::Clean);
    }
}

#[test]
fn a_busy_inbox_leaves_the_shards_own_tasks_their_turns() {
    for driver in drivers() {
        let (turns, reports) = reports();
        // Two shards keep each other's inboxes from ever being empty, while a task of the first
        // counts its turns.
        let ball = |balls: u64| {
            move |context: testing::Context, other: usize| {
                for number in 0..balls {
                    context.send_control(shard(other), number);
                }
                Behaviour {
                    control: Box::new(move |_, number| context.send_control(shard(other), number)),
                    ..Behaviour::default()
                }
            }
        };
        let first = script(move |context| {
            let behaviour = ball(300)(context.clone(), 1);
            let counted = Rc::new(Cell::new(0_u32));
            context.spawn(SENDER, async move {
                while counted.get() < 100 {
                    counted.set(counted.get() + 1);
                    yield_now().await;
                }
                turns.send(counted.get()).expect("the test listens");
            });
            behaviour
        });
        let second = script(move |context| ball(300)(context, 0));
        let running = start(options(2, driver), Hooks::default(), vec![first, second]);
        assert_eq!(reports.next(), 100);
        running.shutdown();
        assert_eq!(running.join(), Exit::Clean);
    }
}

#[test]
fn one_shard_alone_has_nobody_to_wake_and_works() {
    for driver in drivers() {
        let running = start(options(1, driver), Hooks::default(), vec![idle()]);
        assert_eq!(running.plan().shards, 1);
        running.shutdown();
        assert_eq!(running.join(), Exit::Clean);
    }
}
