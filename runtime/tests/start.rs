//! What is decided before anything runs, and that a start which fails leaves nothing behind.

mod testing;

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use shardcast_platform::DriverRequest;
#[cfg(target_os = "linux")]
use shardcast_platform::{cpu_budget, pin_current_thread};
use shardcast_runtime::{
    Exit, Hooks, MEDIA_RING_MAX, MEDIA_RING_MIN, Options, Runtime, SHARDS_MAX, STALL_AFTER_MIN,
    ShardCount, StartError,
};
use testing::{
    Behaviour, Scripted, WATCHDOG, drivers, idle, options, reports, script, shard, start,
};

/// The error of a start that must fail before any seed is made.
fn refused(options: Options) -> StartError<Infallible> {
    let result = Runtime::start::<Scripted, Infallible>(options, Hooks::default(), |_| {
        unreachable!("no seed is made for options that are wrong")
    });
    result.expect_err("these options are wrong")
}

#[test]
fn options_out_of_range_are_refused_with_one_clear_line() {
    let base = || options(1, DriverRequest::Auto);
    for slots in [MEDIA_RING_MIN - 1, MEDIA_RING_MAX + 1] {
        let error = refused(Options {
            media_ring: slots,
            ..base()
        });
        assert_eq!(
            error.to_string(),
            format!("a media ring of {slots} is out of range: 2 to 65536")
        );
    }
    let error = refused(options(SHARDS_MAX + 1, DriverRequest::Auto));
    assert_eq!(
        error.to_string(),
        "257 shards are too many: at most 256 are possible"
    );
    let error = refused(Options {
        stall_after: STALL_AFTER_MIN - Duration::from_millis(1),
        ..base()
    });
    assert_eq!(
        error.to_string(),
        "99ms is too short to call a shard stalled: at least 100ms"
    );
    let foreign = if cfg!(windows) {
        DriverRequest::IoUring
    } else {
        DriverRequest::Iocp
    };
    assert!(matches!(
        refused(options(1, foreign)),
        StartError::Driver(_)
    ));
}

#[test]
fn options_at_their_limits_are_taken() {
    for media_ring in [MEDIA_RING_MIN, MEDIA_RING_MAX] {
        let options = Options {
            media_ring,
            stall_after: STALL_AFTER_MIN,
            ..options(2, DriverRequest::Auto)
        };
        let running = start(options, Hooks::default(), vec![idle(), idle()]);
        running.shutdown();
        assert_eq!(running.join(), Exit::Clean);
    }
}

#[test]
fn the_plan_is_known_before_the_seeds_are_made() {
    for driver in drivers() {
        let options = options(3, driver);
        let running = Runtime::start::<Scripted, Infallible>(options, Hooks::default(), |plan| {
            assert_eq!(
                (plan.shards, plan.shards_reason.as_str()),
                (3, "as configured")
            );
            assert_eq!(plan.driver.driver.to_string(), driver.to_string());
            Ok((0..plan.shards).map(|_| idle()).collect())
        })
        .expect("the runtime starts");
        running.shutdown();
        assert_eq!(running.join(), Exit::Clean);
    }
}

#[test]
fn seeds_that_fail_or_do_not_fit_start_nothing() {
    let options = options(2, DriverRequest::Auto);
    let failed = Runtime::start::<Scripted, _>(options.clone(), Hooks::default(), |_| {
        Err(std::io::Error::from(std::io::ErrorKind::AddrInUse))
    });
    assert!(matches!(failed, Err(StartError::Seeds(_))));
    let short =
        Runtime::start::<Scripted, Infallible>(options, Hooks::default(), |_| Ok(vec![idle()]));
    assert!(matches!(
        short,
        Err(StartError::SeedCount {
            seeds: 1,
            shards: 2
        })
    ));
}

#[test]
fn a_start_that_panics_is_reported_and_ends_the_other_shards() {
    for driver in drivers() {
        let (panics, told) = reports();
        let hooks = Hooks {
            on_shard_panic: Arc::new(move |panic| {
                let _ = panics.send(panic.message);
            }),
            ..Hooks::default()
        };
        let (gone, reports) = reports();
        let other = script(move |_| Behaviour {
            drain: Box::new(move || {
                let gone = gone.clone();
                Box::pin(async move {
                    let _ = gone.send(());
                })
            }),
            ..Behaviour::default()
        });
        let panics = script(|_| panic!("no such file"));
        let result = Runtime::start::<Scripted, Infallible>(options(2, driver), hooks, |_| {
            Ok(vec![panics, other])
        });
        assert!(matches!(result, Err(StartError::Panicked { shard: which }) if which == shard(0)));
        assert_eq!(told.next(), "no such file");
        reports.next();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn shards_auto_honours_the_affinity_of_the_process() {
    let cpu = cpu_budget().cpus[0];
    let plan = std::thread::spawn(move || {
        pin_current_thread(cpu).expect("a CPU of ours");
        let options = Options {
            shards: ShardCount::Auto,
            ..options(1, DriverRequest::Auto)
        };
        let running = start(options, Hooks::default(), vec![idle()]);
        let plan = running.plan().clone();
        running.shutdown();
        assert_eq!(running.join(), Exit::Clean);
        plan
    })
    .join()
    .expect("one shard on one CPU starts");
    assert_eq!(plan.shards, 1);
    assert!(
        plan.shards_reason.starts_with("1 CPU by affinity"),
        "{}",
        plan.shards_reason
    );
}

#[cfg(target_os = "linux")]
#[test]
fn pinned_shards_stay_on_the_cpus_of_the_plan() {
    for driver in drivers() {
        let (cpus, reports) = reports();
        let shards = 2 * cpu_budget().cpus.len();
        let scripts = (0..shards).map(|own| {
            let cpus = cpus.clone();
            script(move |_| {
                cpus.send((own, cpu_budget().cpus))
                    .expect("the test listens");
                Behaviour::default()
            })
        });
        let options = Options {
            pin_cpus: true,
            ..options(shards, driver)
        };
        let running = start(options, Hooks::default(), scripts.collect());
        let planned = running.plan().cpus.clone().expect("the CPUs are known");
        for (own, allowed) in reports.take(shards) {
            assert_eq!(allowed, [planned[own]]);
        }
        running.shutdown();
        assert_eq!(running.join(), Exit::Clean);
    }
}

#[test]
fn a_shard_knows_itself_its_siblings_and_its_driver() {
    for driver in drivers() {
        let (known, reports) = reports();
        let scripts = (0..3).map(|_| {
            let known = known.clone();
            script(move |context| {
                let others: Vec<_> = context.others().collect();
                known
                    .send((context.id(), context.shards(), others))
                    .expect("the test listens");
                Behaviour::default()
            })
        });
        let options = Options {
            shards: ShardCount::Count(NonZeroUsize::new(3).expect("three")),
            shutdown_timeout: WATCHDOG,
            ..options(3, driver)
        };
        let running = start(options, Hooks::default(), scripts.collect());
        let mut all = reports.take(3);
        all.sort_unstable();
        assert_eq!(all[1], (shard(1), 3, vec![shard(0), shard(2)]));
        running.shutdown();
        assert_eq!(running.join(), Exit::Clean);
    }
}
