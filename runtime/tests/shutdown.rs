//! Shutdown drains within its deadline, says who did not, and never hangs.

mod testing;

use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use shardcast_platform::yield_now;
use shardcast_runtime::local::Notify;
use shardcast_runtime::{Exit, Hooks, Mark, Options, Stage};
use testing::{Behaviour, drivers, idle, options, reports, script, shard, start};

const TASK: Mark = Mark::stage(Stage::engine(0));

#[test]
fn a_shutdown_waits_for_what_drains_in_time() {
    for driver in drivers() {
        let (drained, reports) = reports();
        let scripts = (0..2).map(|own: usize| {
            let drained = drained.clone();
            script(move |_| Behaviour {
                drain: Box::new(move || {
                    let drained = drained.clone();
                    Box::pin(async move {
                        for _ in 0..100 {
                            yield_now().await;
                        }
                        drained.send(own).expect("the test listens");
                    })
                }),
                ..Behaviour::default()
            })
        });
        let running = start(options(2, driver), Hooks::default(), scripts.collect());
        running.shutdown();
        running.shutdown();
        assert_eq!(running.join(), Exit::Clean);
        let mut shards = reports.take(2);
        shards.sort_unstable();
        assert_eq!(shards, [0, 1]);
    }
}

#[test]
fn a_shard_that_has_drained_still_answers_those_that_have_not() {
    for driver in drivers() {
        // Shard 1 needs a thousand answers from shard 0, which has nothing to drain itself.
        let answers = script(|context| Behaviour {
            control: Box::new(move |from, number| context.send_control(from, number)),
            ..Behaviour::default()
        });
        let asks = script(|context| {
            let answered = Rc::new(Notify::new());
            let told = Rc::clone(&answered);
            Behaviour {
                control: Box::new(move |_, _| told.notify()),
                drain: Box::new(move || {
                    let (context, answered) = (context.clone(), Rc::clone(&answered));
                    Box::pin(async move {
                        for number in 0..1000 {
                            context.send_control(shard(0), number);
                            answered.notified().await;
                        }
                    })
                }),
                ..Behaviour::default()
            }
        });
        let running = start(options(2, driver), Hooks::default(), vec![answers, asks]);
        running.shutdown();
        assert_eq!(running.join(), Exit::Clean);
    }
}

#[test]
fn the_deadline_ends_a_drain_that_does_not_end_and_names_its_shard() {
    for driver in drivers() {
        let endless = script(|_| Behaviour {
            drain: Box::new(|| Box::pin(pending())),
            ..Behaviour::default()
        });
        let options = Options {
            shutdown_timeout: Duration::from_millis(200),
            ..options(3, driver)
        };
        let running = start(options, Hooks::default(), vec![idle(), endless, idle()]);
        let begun = Instant::now();
        running.shutdown();
        assert_eq!(
            running.join(),
            Exit::DeadlinePassed {
                shards: vec![shard(1)]
            }
        );
        assert!(begun.elapsed() >= Duration::from_millis(200));
    }
}

#[test]
fn a_shard_that_is_stuck_for_good_cannot_hold_the_process() {
    for driver in drivers() {
        let (release, held) = channel::<()>();
        let (stuck_now, reports) = reports();
        let stuck = script(move |context| {
            context.spawn(TASK, async move {
                yield_now().await;
                stuck_now.send(()).expect("the test listens");
                // Ends when the test does.
                let _ = held.recv();
            });
            Behaviour::default()
        });
        let options = Options {
            shutdown_timeout: Duration::from_millis(200),
            ..options(2, driver)
        };
        let running = start(options, Hooks::default(), vec![stuck, idle()]);
        reports.next();
        running.shutdown();
        assert_eq!(
            running.join(),
            Exit::DeadlinePassed {
                shards: vec![shard(0)]
            }
        );
        drop(release);
    }
}

#[test]
fn a_shutdown_may_be_asked_for_from_any_thread_while_another_waits() {
    for driver in drivers() {
        let running = start(options(2, driver), Hooks::default(), vec![idle(), idle()]);
        let handle = running.handle();
        let asking = std::thread::spawn(move || handle.shutdown());
        assert_eq!(running.join(), Exit::Clean);
        asking.join().expect("asking does not panic");
    }
}

#[test]
fn a_runtime_that_is_dropped_ends_its_shards() {
    struct Tells(std::sync::mpsc::Sender<()>);
    impl Drop for Tells {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    for driver in drivers() {
        let (gone, reports) = reports();
        let node = script(move |context| {
            let tells = Tells(gone);
            context.spawn(TASK, async move {
                let _tells = tells;
                pending::<()>().await;
            });
            Behaviour::default()
        });
        drop(start(options(1, driver), Hooks::default(), vec![node]));
        reports.next();
    }
}

#[test]
fn several_runtimes_in_one_process_do_not_touch_each_other() {
    const ROUNDS: u64 = 200;
    let drivers = drivers();
    let (done, reports) = reports();
    let runtimes: Vec<_> = (0..6_u64)
        .map(|which| {
            let driver = drivers[which as usize % drivers.len()];
            let done = done.clone();
            let counts = script(move |context| {
                let rounds = Cell::new(0);
                context.send_control(shard(1), which);
                Behaviour {
                    control: Box::new(move |from, number| {
                        assert_eq!(number, which, "a message of another runtime");
                        rounds.set(rounds.get() + 1);
                        if rounds.get() == ROUNDS {
                            done.send(which).expect("the test listens");
                        } else {
                            context.send_control(from, number);
                        }
                    }),
                    ..Behaviour::default()
                }
            });
            let answers = script(|context| Behaviour {
                control: Box::new(move |from, number| context.send_control(from, number)),
                ..Behaviour::default()
            });
            start(options(2, driver), Hooks::default(), vec![counts, answers])
        })
        .collect();
    let mut finished = reports.take(6);
    finished.sort_unstable();
    assert_eq!(finished, [0, 1, 2, 3, 4, 5]);
    for running in runtimes {
        let handle = running.handle();
        running.shutdown();
        assert_eq!(running.join(), Exit::Clean);
        assert_eq!(handle.counters()[0].control_received, ROUNDS);
    }
}
