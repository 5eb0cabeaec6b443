//! A shard that does not come round is reported with what it polled last, and others are not.

mod testing;

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use shardcast_platform::yield_now;
use shardcast_runtime::{Exit, Hooks, Mark, Options, Stage, Stall};
use testing::{Behaviour, Reports, drivers, idle, options, reports, script, shard, start};

const STAGES: &[&str] = &["reading", "parsing"];
const PARSING: Mark = Mark {
    stage: Stage::engine(1),
    path: 7,
    session: 9,
};

fn watching_hooks() -> (Hooks, Reports<Stall>) {
    let (sender, reports) = reports();
    let hooks = Hooks {
        stages: STAGES,
        describe: Arc::new(|mark| format!("path p{}, session s{}", mark.path, mark.session)),
        on_stall: Arc::new(move |stall| {
            let _ = sender.send(stall);
        }),
        ..Hooks::default()
    };
    (hooks, reports)
}

#[test]
fn a_stall_names_stage_path_and_session_and_is_reported_at_both_ends() {
    let stall_after = Duration::from_millis(300);
    for driver in drivers() {
        let (hooks, stalls) = watching_hooks();
        let (release, held) = channel::<()>();
        let stuck = script(move |context| {
            let session = async move {
                yield_now().await;
                held.recv().expect("the test releases");
            };
            context.spawn_session(PARSING, session, |_| ());
            Behaviour::default()
        });
        let options = Options {
            stall_after,
            ..options(2, driver)
        };
        let running = start(options, hooks, vec![idle(), stuck]);
        let began = stalls.next();
        assert_eq!(
            (began.shard, began.over, began.mark),
            (shard(1), false, PARSING)
        );
        assert_eq!(
            (began.stage, began.subject.as_str()),
            ("parsing", "path p7, session s9")
        );
        assert!(began.busy_for >= stall_after);
        assert!(running.counters()[1].heartbeat_age >= stall_after);
        release.send(()).expect("the session is held");
        let over = stalls.next();
        assert_eq!(
            (over.shard, over.over, over.stage),
            (shard(1), true, "parsing")
        );
        assert!(over.busy_for >= began.busy_for);
        let counted: Vec<_> = running
            .counters()
            .iter()
            .map(|shard| shard.stalls)
            .collect();
        assert_eq!(counted, [0, 1]);
        running.shutdown();
        assert_eq!(running.join(), Exit::Clean);
    }
}

#[test]
fn a_task_that_marks_its_stage_is_named_by_the_last_one() {
    for driver in drivers() {
        let (hooks, stalls) = watching_hooks();
        let (release, held) = channel::<()>();
        let stuck = script(move |context| {
            context.clone().spawn(PARSING, async move {
                yield_now().await;
                context.mark_stage(Stage::engine(0));
                held.recv().expect("the test releases");
            });
            Behaviour::default()
        });
        let options = Options {
            stall_after: Duration::from_millis(200),
            ..options(1, driver)
        };
        let running = start(options, hooks, vec![stuck]);
        let began = stalls.next();
        assert_eq!(
            (began.stage, began.subject.as_str()),
            ("reading", "path p7, session s9")
        );
        release.send(()).expect("the task is held");
        assert!(stalls.next().over);
        running.shutdown();
        assert_eq!(running.join(), Exit::Clean);
    }
}

#[test]
fn a_node_that_hangs_in_its_start_is_named() {
    for driver in drivers() {
        let (hooks, stalls) = watching_hooks();
        let (release, held) = channel::<()>();
        let stuck = script(move |_| {
            held.recv().expect("the test releases");
            Behaviour::default()
        });
        let options = Options {
            stall_after: Duration::from_millis(200),
            ..options(1, driver)
        };
        let starting = std::thread::spawn(move || start(options, hooks, vec![stuck]));
        assert_eq!(stalls.next().stage, "start");
        release.send(()).expect("the start is held");
        assert!(stalls.next().over);
        let running = starting.join().expect("the runtime starts");
        running.shutdown();
        assert_eq!(running.join(), Exit::Clean);
    }
}
