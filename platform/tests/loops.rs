//! Promises about the event loop: timers, turns, and the end of everything with it.

mod support;

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::net::TcpStream as StdStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use shardcast_platform::{Slab, block_on, now, sleep, sleep_until, spawn, yield_now};
use support::{
    accept, drivers, gather, listener, on_every_driver, read_exactly, sleep_ms, with_std_peer,
    within_watchdog,
};

#[test]
fn timers_fire_in_their_order_and_never_early() {
    on_every_driver(|_| async {
        let order = Rc::new(RefCell::new(Vec::new()));
        for milliseconds in [40, 10, 30, 20] {
            let order = Rc::clone(&order);
            spawn(async move {
                let begun = now();
                sleep_ms(milliseconds).await;
                assert!(begun.elapsed() >= Duration::from_millis(milliseconds));
                order.borrow_mut().push(milliseconds);
            });
        }
        while order.borrow().len() < 4 {
            sleep_ms(5).await;
        }
        assert_eq!(*order.borrow(), [10, 20, 30, 40]);
    });
}

#[test]
fn a_deadline_in_the_past_is_met_at_once() {
    on_every_driver(|_| async {
        let past = now();
        sleep_ms(2).await;
        sleep_until(past).await;
        sleep(Duration::ZERO).await;
    });
}

#[test]
fn a_sleep_beyond_all_measure_can_be_begun_and_dropped() {
    on_every_driver(|_| async {
        for duration in [
            Duration::MAX,
            Duration::from_secs(1 << 33),
            Duration::from_secs(3600),
        ] {
            let mut forever = pin!(sleep(duration));
            std::future::poll_fn(|context| {
                assert!(forever.as_mut().poll(context).is_pending());
                Poll::Ready(())
            })
            .await;
        }
        sleep_ms(1).await;
    });
}

#[test]
fn who_yields_goes_on_after_every_other_ready_task() {
    on_every_driver(|_| async {
        let order = Rc::new(RefCell::new(Vec::new()));
        for name in ["a", "b", "c"] {
            let order = Rc::clone(&order);
            spawn(async move {
                for round in 0..3 {
                    order.borrow_mut().push((round, name));
                    yield_now().await;
                }
            });
        }
        while order.borrow().len() < 9 {
            yield_now().await;
        }
        assert!(
            order.borrow().is_sorted_by_key(|(round, _)| *round),
            "{order:?}"
        );
    });
}

/// Spawns tasks that do nothing but yield, until the flag is set.
fn spin_until_set(tasks: usize) -> Rc<Cell<bool>> {
    let stop = Rc::new(Cell::new(false));
    for _ in 0..tasks {
        let stop = Rc::clone(&stop);
        spawn(async move {
            while !stop.get() {
                yield_now().await;
            }
        });
    }
    stop
}

#[test]
fn tasks_that_yield_all_the_time_starve_no_timer() {
    on_every_driver(|_| async {
        for tasks in [1, 2, 50] {
            let stop = spin_until_set(tasks);
            for _ in 0..10 {
                sleep_ms(3).await;
            }
            stop.set(true);
        }
    });
}

#[test]
fn tasks_that_yield_all_the_time_starve_no_socket() {
    on_every_driver(|_| async {
        let stop = spin_until_set(10);
        let listener = listener();
        let address = listener.local_addr().expect("it listens");
        let peer = thread::spawn(move || {
            let mut peer = StdStream::connect(address).expect("it connects");
            for round in 0..200_u8 {
                peer.write_all(&[round]).expect("it writes");
                let mut answer = [0];
                peer.read_exact(&mut answer).expect("it reads");
                assert_eq!(answer[0], round);
            }
        });
        let mut stream = accept(&listener).await;
        for _ in 0..200 {
            let byte = read_exactly(&mut stream, 1).await;
            stream
                .write_all(gather([&byte]))
                .await
                .0
                .expect("it writes");
        }
        stop.set(true);
        peer.join().expect("it got its answers");
    });
}

#[test]
fn a_socket_that_is_always_ready_starves_no_timer() {
    on_every_driver(|_| async {
        let (mut stream, _peer) = with_std_peer(|mut peer| {
            // It ends when the reader has closed.
            while peer.write_all(&[7; 1 << 16]).is_ok() {}
        })
        .await;
        let due = Rc::new(Cell::new(false));
        let by_timer = Rc::clone(&due);
        spawn(async move {
            sleep_ms(20).await;
            by_timer.set(true);
        });
        while !due.get() {
            assert_eq!(read_exactly(&mut stream, 1).await, [7]);
        }
    });
}

#[test]
fn a_spawned_task_does_not_run_within_the_spawn() {
    on_every_driver(|_| async {
        let ran = Rc::new(Cell::new(false));
        let by_task = Rc::clone(&ran);
        spawn(async move { by_task.set(true) });
        assert!(!ran.get());
        yield_now().await;
        assert!(ran.get());
    });
}

#[test]
fn a_main_future_that_yields_all_the_time_starves_nobody() {
    on_every_driver(|_| async {
        let done = Rc::new(Cell::new(0));
        let (by_timer, by_task) = (Rc::clone(&done), Rc::clone(&done));
        spawn(async move {
            sleep_ms(20).await;
            by_timer.set(by_timer.get() + 1);
        });
        spawn(async move {
            for _ in 0..100 {
                yield_now().await;
            }
            by_task.set(by_task.get() + 1);
        });
        while done.get() < 2 {
            yield_now().await;
        }
    });
}

#[test]
fn a_yield_that_is_dropped_is_forgotten() {
    on_every_driver(|_| async {
        for _ in 0..100 {
            let mut begun = pin!(yield_now());
            std::future::poll_fn(|context| {
                assert!(begun.as_mut().poll(context).is_pending());
                Poll::Ready(())
            })
            .await;
        }
        yield_now().await;
    });
}

#[test]
fn sockets_of_tasks_that_still_wait_close_with_the_loop() {
    for driver in drivers() {
        within_watchdog("close", move || {
            let peers = block_on(driver, async {
                let listener = listener();
                let address = listener.local_addr().expect("it listens");
                let mut peers = Vec::new();
                for _ in 0..10 {
                    peers.push(StdStream::connect(address).expect("it connects"));
                    let mut stream = accept(&listener).await;
                    spawn(async move {
                        let _ = stream.read(Slab::with_capacity(64)).await;
                        panic!("nothing was sent");
                    });
                }
                yield_now().await;
                peers
            })
            .expect("the driver starts");
            for mut peer in peers {
                assert_eq!(peer.read(&mut [0; 8]).expect("an orderly end"), 0);
            }
        });
    }
}

#[test]
fn what_a_task_owns_is_dropped_with_the_loop() {
    struct Owned(Rc<Cell<u32>>);
    impl Drop for Owned {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    for driver in drivers() {
        let dropped = Rc::new(Cell::new(0));
        let (waits, never_ran, main) = (
            Owned(dropped.clone()),
            Owned(dropped.clone()),
            Owned(dropped.clone()),
        );
        block_on(driver, async move {
            spawn(async move {
                let _waits = waits;
                std::future::pending::<()>().await;
            });
            yield_now().await;
            spawn(async move {
                let _never_ran = never_ran;
                std::future::pending::<()>().await;
            });
            drop(main);
        })
        .expect("the driver starts");
        assert_eq!(dropped.get(), 3);
    }
}

#[test]
fn a_panic_passes_through_and_the_thread_can_run_another_loop() {
    for driver in drivers() {
        let run = || block_on(driver, async { panic!("as the test wants it") });
        let panic = catch_unwind(AssertUnwindSafe(run)).expect_err("it panicked");
        assert_eq!(panic.downcast_ref(), Some(&"as the test wants it"));
        let by_task = || {
            block_on(driver, async {
                spawn(async { panic!("in a task") });
                sleep_ms(60_000).await;
            })
        };
        let panic = catch_unwind(AssertUnwindSafe(by_task)).expect_err("it panicked");
        assert_eq!(panic.downcast_ref(), Some(&"in a task"));
        assert_eq!(block_on(driver, async { 7 }).expect("the driver starts"), 7);
    }
}

#[test]
fn a_loop_within_a_loop_is_refused() {
    for driver in drivers() {
        let nested = || block_on(driver, async { block_on(driver, async {}) });
        assert!(catch_unwind(AssertUnwindSafe(nested)).is_err());
    }
}

#[test]
fn a_future_may_borrow_from_its_caller() {
    for driver in drivers() {
        let mut text = String::from("borrowed");
        block_on(driver, async { text.push_str(" and changed") }).expect("the driver starts");
        assert_eq!(text, "borrowed and changed");
    }
}
