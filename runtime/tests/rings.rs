//! What each ring does when it is full, between two real shards.

mod testing;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::mpsc::channel;

use shardcast_platform::{DriverRequest, yield_now};
use shardcast_runtime::{Exit, Full, Hooks, Mark, Options, Runtime, Stage};
use testing::{Behaviour, Parcel, Scripted, drivers, idle, options, reports, script, shard, start};

const SENDER: Mark = Mark::stage(Stage::engine(0));

#[test]
fn a_control_overflow_keeps_order_and_loses_nothing() {
    const MESSAGES: u64 = 100_000;
    for driver in drivers() {
        let (received, reports) = reports();
        let sender = script(|context| {
            for number in 0..MESSAGES {
                context.send_control(shard(1), number);
            }
            Behaviour::default()
        });
        let receiver = script(move |_| Behaviour {
            control: Box::new(move |from, number| {
                received.send((from, number)).expect("the test listens");
            }),
            ..Behaviour::default()
        });
        let running = start(options(2, driver), Hooks::default(), vec![sender, receiver]);
        for number in 0..MESSAGES {
            assert_eq!(reports.next(), (shard(0), number));
        }
        let counters = running.counters();
        assert_eq!(counters[0].control_sent, MESSAGES);
        assert!(counters[0].control_spilled > 0 && counters[0].control_spill_max > 0);
        assert!(counters[1].control_depth_max <= 1024);
        running.shutdown();
        assert_eq!(running.join(), Exit::Clean);
    }
}

#[test]
fn two_shards_that_overflow_each_other_both_finish() {
    const MESSAGES: u64 = 20_000;
    for driver in drivers() {
        let (done, reports) = reports();
        let shards = (0..2).map(|own: usize| {
            let done = done.clone();
            script(move |context| {
                let other = shard(1 - own);
                for number in 0..MESSAGES {
                    context.send_control(other, number);
                }
                let next = std::cell::Cell::new(0);
                Behaviour {
                    control: Box::new(move |_, number| {
                        assert_eq!(number, next.replace(number + 1), "in order");
                        // Each message of the first half provokes another one, so lists grow while
                        // they shrink.
                        if number < MESSAGES {
                            context.send_control(other, MESSAGES + number);
                        } else if number == 2 * MESSAGES - 1 {
                            done.send(own).expect("the test listens");
                        }
                    }),
                    ..Behaviour::default()
                }
            })
        });
        let running = start(options(2, driver), Hooks::default(), shards.collect());
        let mut finished = reports.take(2);
        finished.sort_unstable();
        assert_eq!(finished, [0, 1]);
        running.shutdown();
        assert_eq!(running.join(), Exit::Clean);
    }
}

#[test]
fn a_full_media_ring_is_counted_and_never_blocks_the_sender() {
    const RING: usize = 16;
    const EXCESS: u64 = 5;
    for driver in drivers() {
        let (refused, reports) = reports();
        let (release, held) = channel::<()>();
        let (holding, is_held) = channel::<()>();
        let receiver = script(move |_| Behaviour {
            // The receiver is stuck in its first message until the sender has met the full ring.
            control: Box::new(move |_, _| {
                holding.send(()).expect("the sender waits");
                held.recv().expect("the sender releases");
            }),
            ..Behaviour::default()
        });
        let sender = script(move |context| {
            context.clone().spawn(SENDER, async move {
                context.send_control(shard(1), 0);
                yield_now().await;
                is_held.recv().expect("the receiver is there");
                for number in 0..RING as u64 + EXCESS {
                    if let Err(Full(number)) = context.send_media(shard(1), number) {
                        refused.send(number).expect("the test listens");
                    }
                }
                release.send(()).expect("the receiver is held");
            });
            Behaviour::default()
        });
        let options = Options {
            media_ring: RING,
            ..options(2, driver)
        };
        let running = start(options, Hooks::default(), vec![sender, receiver]);
        let first = RING as u64;
        assert_eq!(
            reports.take(EXCESS as usize),
            (first..first + EXCESS).collect::<Vec<_>>()
        );
        let counters = running.counters();
        assert_eq!(
            (counters[0].media_sent, counters[0].media_dropped),
            (RING as u64, EXCESS)
        );
        running.shutdown();
        assert_eq!(running.join(), Exit::Clean);
    }
}

#[test]
fn a_spill_list_at_its_maximum_is_kept_and_one_more_is_a_shards_panic() {
    const RING: u64 = 1024;
    const SPILL_MAX: u64 = 4 << 20;
    let (panics, told) = reports();
    let hooks = Hooks {
        on_shard_panic: Arc::new(move |panic| {
            panics.send(panic.message).expect("the test listens");
        }),
        ..Hooks::default()
    };
    let (sent, all_sent) = reports();
    let (release, held) = channel::<()>();
    let sender = script(move |context| {
        for number in 0..RING + SPILL_MAX {
            context.send_control(shard(1), number);
        }
        sent.send(context.stats().control_spill_max.value())
            .expect("the test listens");
        context.send_control(shard(1), 0);
        Behaviour::default()
    });
    let receiver = script(move |_| {
        // Held until the test has seen both.
        held.recv().expect("the test releases");
        Behaviour::default()
    });
    let options = options(2, DriverRequest::Auto);
    let starting = std::thread::spawn(move || {
        Runtime::start::<Scripted, Infallible>(options, hooks, |_| Ok(vec![sender, receiver]))
            .is_err()
    });
    assert_eq!(all_sent.next(), SPILL_MAX);
    let expected = format!(
        "control messages to shard 1 run away: {} wait for it",
        SPILL_MAX + 1
    );
    assert_eq!(told.next(), expected);
    release.send(()).expect("the receiver is held");
    assert!(starting.join().is_ok());
}

#[test]
fn a_full_return_ring_frees_the_chunk_where_it_is() {
    const MESSAGES: u64 = 1000;
    for driver in drivers() {
        let (sent, all_sent) = reports();
        let (dropped, reports) = reports();
        let (release, held) = channel::<()>();
        let sender = script(move |context| {
            for number in 0..MESSAGES {
                let dropped = Some(dropped.clone());
                context.send_return(shard(1), Parcel { number, dropped });
            }
            let stats = context.stats();
            sent.send((stats.return_sent.value(), stats.return_dropped.value()))
                .expect("the test listens");
            Behaviour::default()
        });
        let receiver = script(move |_| {
            // Held until the sender is done.
            held.recv().expect("the test releases");
            Behaviour::default()
        });
        let starting = std::thread::spawn(move || {
            start(options(2, driver), Hooks::default(), vec![sender, receiver])
        });
        let (sent, refused) = all_sent.next();
        assert_eq!(sent + refused, MESSAGES);
        assert!(refused > 0, "the ring is smaller than the burst");
        assert_eq!(
            reports.take(refused as usize),
            (sent..MESSAGES).collect::<Vec<_>>()
        );
        assert!(reports.is_empty());
        release.send(()).expect("the receiver is held");
        assert_eq!(reports.take(sent as usize), (0..sent).collect::<Vec<_>>());
        let running = starting.join().expect("the runtime starts");
        running.shutdown();
        assert_eq!(running.join(), Exit::Clean);
    }
}

#[test]
fn messages_that_were_never_taken_are_dropped_with_their_rings() {
    for driver in drivers() {
        let (dropped, reports) = reports();
        let running = start(
            options(2, driver),
            Hooks::default(),
            vec![
                script(move |context| Behaviour {
                    drain: Box::new(move || {
                        let (context, dropped) = (context.clone(), dropped.clone());
                        Box::pin(async move {
                            for number in 0..10 {
                                let dropped = Some(dropped.clone());
                                context.send_return(shard(1), Parcel { number, dropped });
                            }
                        })
                    }),
                    ..Behaviour::default()
                }),
                idle(),
            ],
        );
        running.shutdown();
        assert_eq!(running.join(), Exit::Clean);
        let mut numbers = reports.take(10);
        numbers.sort_unstable();
        assert_eq!(numbers, (0..10).collect::<Vec<_>>());
    }
}
