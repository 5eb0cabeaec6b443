//! A panic ends one session or the process, and nothing in between.

mod testing;

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use shardcast_platform::{DriverRequest, yield_now};
use shardcast_runtime::{Exit, Hooks, Mark, Runtime, SHARD_PANIC_EXIT_CODE, ShardPanic, Stage};
use testing::{
    Behaviour, Reports, Script, Scripted, WATCHDOG, drivers, idle, options, reports, script, shard,
    start,
};

const SESSION: Mark = Mark {
    stage: Stage::engine(0),
    path: 5,
    session: 42,
};

/// Hooks that report a shard's panic instead of ending this process.
fn reporting_hooks() -> (Hooks, Reports<ShardPanic>) {
    let (sender, reports) = reports();
    let hooks = Hooks {
        stages: &["parse"],
        describe: Arc::new(|mark| format!("path cam{}, session s{}", mark.path, mark.session)),
        on_shard_panic: Arc::new(move |panic| {
            let _ = sender.send(panic);
        }),
        ..Hooks::default()
    };
    (hooks, reports)
}

#[test]
fn a_panic_of_a_session_ends_that_session_alone() {
    for driver in drivers() {
        let (hooks, shard_panics) = reporting_hooks();
        let (events, reports) = reports();
        let node = script(move |context| {
            let panicked = events.clone();
            let dropped = testing::Parcel {
                number: 1,
                dropped: Some(panicked_number(&events)),
            };
            context.spawn_session(
                SESSION,
                async move {
                    let _held = dropped;
                    yield_now().await;
                    panic!("bad input {}", 7);
                },
                move |message| panicked.send(message).expect("the test listens"),
            );
            let other = events.clone();
            context.spawn_session(
                SESSION,
                async move {
                    for _ in 0..10 {
                        yield_now().await;
                    }
                    other
                        .send(String::from("the other session went on"))
                        .expect("the test listens");
                },
                |_| (),
            );
            Behaviour::default()
        });
        let running = start(options(1, driver), hooks, vec![node]);
        let mut seen = reports.take(3);
        seen.sort_unstable();
        assert_eq!(
            seen,
            ["bad input 7", "dropped 1", "the other session went on"]
        );
        running.shutdown();
        let handle = running.handle();
        assert_eq!(running.join(), Exit::Clean);
        let counters = handle.counters()[0];
        assert_eq!((counters.session_panics, counters.sessions), (1, 0));
        assert!(shard_panics.is_empty());
    }
}

/// A sender of numbers that arrive as text among the events.
fn panicked_number(events: &Sender<String>) -> Sender<u64> {
    let (sender, numbers) = channel();
    let events = events.clone();
    std::thread::spawn(move || {
        for number in numbers {
            let _ = events.send(format!("dropped {number}"));
        }
    });
    sender
}

/// Runs the scripts, of which shard 1's panics, and returns the one panic that comes of it.
fn panic_of_shard_1(driver: DriverRequest, scripts: Vec<Script>) -> ShardPanic {
    let (hooks, panics) = reporting_hooks();
    match Runtime::start::<Scripted, Infallible>(options(2, driver), hooks, |_| Ok(scripts)) {
        Ok(running) => assert_eq!(
            running.join(),
            Exit::Panicked {
                shards: vec![shard(1)]
            }
        ),
        // It may come before the other shard has started.
        Err(error) => assert_eq!(error.to_string(), "shard 1 panicked at its start"),
    }
    let panic = panics.next();
    assert!(panics.is_empty());
    panic
}

fn shard_panic_of(driver: DriverRequest, node: Script) -> ShardPanic {
    panic_of_shard_1(driver, vec![idle(), node])
}

#[test]
fn a_panic_while_guarded_state_is_borrowed_is_a_shards_panic() {
    for driver in drivers() {
        let node = script(|context| {
            let readers = Rc::new(context.guard(vec![1, 2, 3]));
            context.spawn_session(
                SESSION,
                async move {
                    yield_now().await;
                    let mut borrowed = readers.borrow_mut();
                    borrowed.clear();
                    panic!("between two changes");
                },
                |_| unreachable!("it is not the session's panic"),
            );
            Behaviour::default()
        });
        let panic = shard_panic_of(driver, node);
        assert_eq!(
            panic.message,
            "between two changes (while the shard's state was being changed)"
        );
        assert_eq!(
            (panic.stage, panic.subject.as_str()),
            ("parse", "path cam5, session s42")
        );
    }
}

#[test]
fn a_panic_of_a_task_a_handler_or_a_tidy_up_is_a_shards_panic() {
    for driver in drivers() {
        let task = script(|context| {
            context.spawn(SESSION, async { panic!("in a task") });
            Behaviour::default()
        });
        assert_eq!(shard_panic_of(driver, task).message, "in a task");

        let tidy_up = script(|context| {
            context.spawn_session(SESSION, async { panic!("first") }, |_| {
                panic!("in the tidy-up")
            });
            Behaviour::default()
        });
        assert_eq!(shard_panic_of(driver, tidy_up).message, "in the tidy-up");

        let handler = script(|_| Behaviour {
            control: Box::new(|_, _| panic!("in a handler")),
            ..Behaviour::default()
        });
        let sender = script(|context| {
            context.send_control(shard(1), 1);
            Behaviour::default()
        });
        let panic = panic_of_shard_1(driver, vec![sender, handler]);
        assert_eq!(
            (panic.message.as_str(), panic.stage),
            ("in a handler", "inbox")
        );
    }
}

#[test]
fn a_panic_in_a_sessions_drop_ends_that_session_alone() {
    struct Thorn;
    impl Drop for Thorn {
        fn drop(&mut self) {
            panic!("in a drop");
        }
    }
    for driver in drivers() {
        let (hooks, shard_panics) = reporting_hooks();
        let (events, reports) = reports();
        let node = script(move |context| {
            let thorn = Thorn;
            let session = async move {
                let _thorn = thorn;
                yield_now().await;
            };
            context.spawn_session(SESSION, session, move |message| {
                events.send(message).expect("the test listens");
            });
            Behaviour::default()
        });
        let running = start(options(1, driver), hooks, vec![node]);
        assert_eq!(reports.next(), "in a drop");
        running.shutdown();
        assert_eq!(running.join(), Exit::Clean);
        assert!(shard_panics.is_empty());
    }
}

/// Set in the child processes of this file; says what they do.
const CHILD: &str = "SHARDCAST_RUNTIME_TEST_CHILD";
const ABOUT_TO_PANIC: &str = "about to panic";

/// What the children run. In the parent there is nothing to do.
#[test]
fn the_child_that_panics() {
    let Ok(kind) = std::env::var(CHILD) else {
        return;
    };
    if kind == "hanging log" {
        tracing::subscriber::set_global_default(HangingLog).expect("the first subscriber");
    }
    let node = script(|context| {
        context.spawn(SESSION, async {
            println!("{ABOUT_TO_PANIC}");
            panic!("a bug");
        });
        Behaviour::default()
    });
    let _running = start(
        options(2, DriverRequest::Auto),
        Hooks::default(),
        vec![idle(), node],
    );
    wait_for_the_end();
}

/// Nobody ever sends, so only the watchdog ends this. Parking would do, were it not for wake-ups
/// that are left over from other waits.
fn wait_for_the_end() {
    let (_silent, never) = channel::<()>();
    let _ = never.recv_timeout(WATCHDOG);
}

/// A log into a pipe that nobody reads.
struct HangingLog;

impl tracing::Subscriber for HangingLog {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {
        wait_for_the_end();
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

/// Runs a child and returns how it ended and how long after the panic.
fn run_child(kind: &str) -> (ExitStatus, Duration) {
    let program = std::env::current_exe().expect("this test's program");
    let mut child: Child = Command::new(program)
        .args([
            "--exact",
            "the_child_that_panics",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(CHILD, kind)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the child starts");
    let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut line = String::new();
    while !line.contains(ABOUT_TO_PANIC) {
        line.clear();
        assert!(
            output.read_line(&mut line).expect("readable") > 0,
            "the child ended early"
        );
    }
    let panicked = Instant::now();
    // The pipe ends with the process.
    output.read_to_end(&mut Vec::new()).expect("readable");
    let status = child.wait().expect("the child is ours");
    (status, panicked.elapsed())
}

#[test]
fn a_shards_panic_ends_the_process_within_a_second() {
    let (status, took) = run_child("panic");
    assert_eq!(status.code(), Some(SHARD_PANIC_EXIT_CODE));
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn a_log_that_hangs_cannot_keep_a_dead_shard_alive() {
    let (status, took) = run_child("hanging log");
    assert!(!status.success());
    // The abort comes after 0.8 s; on Linux writing a core dump may take its time after that.
    assert!(took < Duration::from_secs(5), "{took:?}");
}
