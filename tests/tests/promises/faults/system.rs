//! What the system takes away: descriptors, io_uring, all CPUs but one.

use std::fs::File;
use std::time::Duration;

use shardcast::RefusalReason;
use shardcast::event::Event;
use shardcast_tests::alone::Alone;
use shardcast_tests::daemon::Daemon;
use shardcast_tests::peer::connection::Connection;
use shardcast_tests::procfs::Process;
use shardcast_tests::sandbox;
use shardcast_tests::scene::bystander::Bystander;
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::ordeal::Ordeal;
use shardcast_tests::scene::rig::Rig;

/// How long there are no descriptors.
const SHORTAGE: Duration = Duration::from_secs(1);

/// All descriptors that are left.
fn hoard() -> Vec<File> {
    let open = || File::open("/dev/null").ok();
    std::iter::from_fn(open).collect()
}

/// Time that this process computes while `time` passes.
fn cpu_time(rig: &Rig, time: Duration) -> Duration {
    let before = Process::own().cpu_time();
    rig.watch(time);
    Process::own().cpu_time() - before
}

fn run_out_of_descriptors(house: House) {
    let ordeal = Ordeal::begin(house, "gatherReaders: 0\n");
    let quiet = cpu_time(&ordeal.rig, SHORTAGE);
    let before = Process::own().cpu_time();
    let units = ordeal.bystander.units();
    let mut hoard = hoard();
    // The last descriptor is the peer's, so that the server has none for its own end.
    hoard.pop();
    let mut stranger = Connection::open(ordeal.rig.address()).unwrap();
    ordeal
        .rig
        .wait_event("a failed accept", |event| match event {
            Event::AcceptFailed { error, .. } => Some(error.clone()),
            _ => None,
        });
    ordeal.rig.watch(SHORTAGE);
    let failed = ordeal
        .rig
        .snapshot()
        .refusals
        .of(RefusalReason::AcceptFailed);
    assert!(ordeal.bystander.units() > units, "the stream stands still");
    // By timer, ten times a second: on one shard, and where all look at one queue, on each of two.
    let due = 2 * SHORTAGE.as_millis() as u64 / 100;
    assert!((2..=due + 10).contains(&failed), "{failed} attempts");
    drop(hoard);
    let busy = Process::own().cpu_time() - before;
    // One that spins takes all of a core.
    assert!(busy < quiet + SHORTAGE / 2, "{busy:?}, {quiet:?} before");
    // Whoever has waited is served now, and so is everybody else.
    let url = format!("rtsp://{}/a", ordeal.rig.address());
    stranger.request("OPTIONS", &url, &[], b"").unwrap();
    let mut other = Connection::open(ordeal.rig.address()).unwrap();
    other.request("OPTIONS", &url, &[], b"").unwrap();
    drop((stranger, other));
    ordeal.finish();
}

#[test]
fn without_descriptors_accepting_waits_by_timer_and_streams_go_on() {
    let name = "faults::system::without_descriptors_accepting_waits_by_timer_and_streams_go_on";
    if let Some(child) = Alone::start(name, "ulimit -n 128") {
        return child.assert_passes();
    }
    for house in [House::ALL[2], House::ALL[5]] {
        run_out_of_descriptors(house);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn where_io_uring_is_forbidden_epoll_is_chosen_once_and_said() {
    sandbox::on_a_thread(|| {
        sandbox::forbid_io_uring();
        let daemon = Daemon::start("shards: 2\npaths:\n  all_others:\n").unwrap();
        let bystander = Bystander::begin(daemon.address());
        daemon.wait_log("listener opened");
        let said = daemon.wait_log("driver");
        assert_eq!(said.len(), 1, "{said:?}");
        let line = "INF driver epoll: io_uring is forbidden here (EPERM), so epoll";
        assert!(said[0].ends_with(line), "{said:?}");
        bystander.finish();
        daemon.stop().unwrap();

        let ordeal = Ordeal::begin(House::RIGID, "gatherReaders: 0\n");
        let driver = ordeal.rig.plan().driver.clone();
        assert_eq!(driver.driver.to_string(), "epoll");
        ordeal.wait_units(20);
        ordeal.finish();
    });
}

#[cfg(target_os = "linux")]
#[test]
fn where_io_uring_is_forbidden_a_daemon_that_is_told_to_use_it_does_not_start() {
    sandbox::on_a_thread(|| {
        sandbox::forbid_io_uring();
        let refused = Daemon::start("driver: io_uring\n").unwrap_err().to_string();
        let why = "the driver io_uring does not work here: io_uring is forbidden here (EPERM)";
        assert!(refused.contains(why), "{refused}");
    });
}

#[test]
fn on_one_cpu_it_starts_with_one_shard_and_loses_nothing() {
    sandbox::on_a_thread(|| {
        sandbox::keep_one_cpu();
        let daemon = Daemon::start("paths:\n  all_others:\n").unwrap();
        let bystander = Bystander::begin(daemon.address());
        daemon.wait_log("listener opened");
        let said = daemon.wait_log("1 shard: 1 CPU by affinity");
        assert_eq!(said.len(), 1, "{}", daemon.log());
        bystander.finish();
        daemon.stop().unwrap();

        for driver in ["io_uring", "epoll"] {
            let rig = Rig::start_with(&format!("driver: {driver}\n"), "", None);
            assert_eq!(rig.plan().shards, 1);
            let ordeal = Ordeal::begin_with(rig);
            ordeal.wait_units(100);
            ordeal.finish();
        }
        // More shards than CPUs, when they are asked for, share it.
        let ordeal = Ordeal::begin(House::RIGID, "gatherReaders: 0\n");
        ordeal.wait_units(100);
        ordeal.finish();
    });
}
