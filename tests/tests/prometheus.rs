//! A real Prometheus scrapes a daemon at work, and is asked whatever the dashboard and the alert rules ask; `promtool`
//! checks the rules, their tests and our own metrics.
//!
//! Not caught here: how the dashboard looks.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use shardcast_tests::daemon::Daemon;
use shardcast_tests::http;
use shardcast_tests::interop::process::Program;
use shardcast_tests::operators::{Expression, dashboard, prometheus_folder, rules};
use shardcast_tests::peer::udp::UdpReader;
use shardcast_tests::port::free_tcp_port;
use shardcast_tests::scene::broadcast::{Broadcast, SHORT_GROUPS, Tracks};
use shardcast_tests::scene::player::{Haul, Player, VIDEO_LANE};
use shardcast_tests::scrape::Scrape;
use shardcast_tests::wait::{poll_until, wait_until};
use tempfile::TempDir;

/// Until it has started, and has scraped often enough for a rate over half a minute.
const PATIENCE: Duration = Duration::from_secs(60);
/// `promtool` ends by itself.
const TOOL_LIMIT: Duration = Duration::from_secs(60);
/// Between two pictures.
const PACE: Duration = Duration::from_millis(40);

/// Runs a program to its end, which is to be a good one.
fn run(program: &str, arguments: &[&str], folder: &Path) {
    let scratch = TempDir::new().unwrap();
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder);
    let started = Program::start(&mut command, &scratch.path().join("log"));
    let ended = started.and_then(|program| program.wait(TOOL_LIMIT));
    ended.unwrap_or_else(|error| panic!("{program} {arguments:?}: {error}"));
}

#[test]
fn promtool_finds_no_fault_with_the_rules_and_they_tell_what_they_should() {
    let folder = prometheus_folder();
    run(
        "promtool",
        &["check", "rules", "shardcast.rules.yml"],
        &folder,
    );
    run("promtool", &["check", "config", "prometheus.yml"], &folder);
    let tests = ["test", "rules", "shardcast.rules.test.yml"];
    run("promtool", &tests, &folder);
}

/// A daemon with metrics, and where they are.
fn daemon() -> (Daemon, SocketAddr) {
    let port = free_tcp_port().unwrap();
    let address = format!("127.0.0.1:{port}");
    let configuration = format!(
        "shards: 2\nmetrics: yes\nmetricsAddress: {address}\npaths:\n  all_others:\n  idle:\n"
    );
    let daemon = Daemon::start(&configuration).unwrap_or_else(|error| panic!("{error}"));
    (daemon, address.parse().unwrap())
}

#[test]
fn promtool_finds_no_fault_with_our_own_metrics() {
    let (daemon, metrics) = daemon();
    let own = while_playing(daemon.address(), || {
        poll_until(PATIENCE, || {
            let page = Scrape::take(metrics, "?type=shardcast");
            let late = page.sum("shardcast_path_latency_p99_seconds", &[]);
            late.map(|_| page.text)
        })
    });
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("page"), own.expect("latency is shown")).unwrap();
    // It reads from its input alone.
    let check = "promtool check metrics <page";
    run("sh", &["-c", check], folder.path());
}

/// Ends the playing, however its companion has ended.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Does something while a broadcast is published and read.
fn while_playing<T>(address: SocketAddr, act: impl FnOnce() -> T) -> T {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| play(address, &is_over));
        let _over = Over(&is_over);
        act()
    })
}

/// Publishes at the pace of a camera, to two readers over TCP and one over UDP.
fn play(address: SocketAddr, is_over: &AtomicBool) {
    let broadcast = Broadcast::start_shaped(address, "cam", Tracks::Video, SHORT_GROUPS);
    let mut broadcast = broadcast.expect("it publishes");
    let start = || Player::start(address, "cam", &VIDEO_LANE).expect("it plays");
    let mut players = [(start(), Haul::default()), (start(), Haul::default())];
    let _datagrams = UdpReader::start(address, "cam").expect("it plays");
    while !is_over.load(Ordering::Relaxed) {
        let begun = Instant::now();
        broadcast.send(1).expect("a unit");
        for (player, haul) in &mut players {
            let last = broadcast.packets() - 1;
            player.read_up_to(haul, last).expect("they come");
        }
        wait_until(begun + PACE);
    }
}

/// A Prometheus that scrapes the daemon every second, with our rules.
struct Prometheus {
    address: SocketAddr,
    _program: Program,
    _folder: TempDir,
}

impl Prometheus {
    fn start(target: SocketAddr) -> Self {
        let folder = TempDir::new().unwrap();
        let rules = prometheus_folder().join("shardcast.rules.yml");
        let configuration = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{}']\nscrape_configs:\n\
             - job_name: shardcast\n  static_configs:\n  - targets: ['{target}']\n",
            rules.display()
        );
        let file = folder.path().join("prometheus.yml");
        fs::write(&file, configuration).unwrap();
        let port = free_tcp_port().unwrap();
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let program = Program::start(&mut command, &folder.path().join("log"));
        Self {
            address: format!("127.0.0.1:{port}").parse().unwrap(),
            _program: program.unwrap_or_else(|error| panic!("{error}")),
            _folder: folder,
        }
    }

    /// Asks its API; nothing while it does not listen, or is not ready.
    fn ask(&self, target: &str) -> Option<Value> {
        let response = http::Request::new("GET", target).send(self.address).ok()?;
        (response.status == 200).then(|| response.json())
    }

    /// What an expression gives now.
    ///
    /// # Errors
    /// What Prometheus says to it.
    fn query(&self, text: &str) -> Result<Vec<Value>, String> {
        let query: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let target = format!("/api/v1/query?query={query}");
        let response = http::get(self.address, &target);
        let answer = response.json();
        match answer["data"]["result"].as_array() {
            Some(result) if response.status == 200 => Ok(result.clone()),
            _ => Err(response.text()),
        }
    }
}

#[test]
fn prometheus_scrapes_a_daemon_at_work_and_answers_whatever_dashboard_and_rules_ask() {
    let (daemon, metrics) = daemon();
    while_playing(daemon.address(), || ask_everything(metrics));
}

fn ask_everything(metrics: SocketAddr) {
    let prometheus = Prometheus::start(metrics);
    let is_up = poll_until(PATIENCE, || {
        let up = prometheus.ask("/api/v1/query?query=up")?;
        (up["data"]["result"][0]["value"][1] == "1").then_some(())
    });
    is_up.expect("it scrapes the daemon");
    for expression in dashboard() {
        let answered = poll_until(PATIENCE, || is_answered(&prometheus, &expression));
        assert!(answered.is_some(), "{expression:?} gives nothing");
    }
    for expression in rules() {
        let answer = prometheus.query(&expression.text);
        assert!(answer.is_ok(), "{expression:?}: {answer:?}");
    }
    let known = prometheus.ask("/api/v1/rules").expect("its rules");
    let known = &known["data"]["groups"][0]["rules"];
    let known = known.as_array().expect("a group of rules");
    assert_eq!(known.len(), rules().len());
    for rule in known {
        assert_ne!(rule["health"], "err", "{rule}");
    }
    // What it has read is what the daemon says, names and labels of MediaMTX's included.
    let ready = prometheus.query("paths_readers{name=\"cam\",readerType=\"rtspSession\"}");
    assert_eq!(
        ready.map(|found| found[0]["value"][1].clone()),
        Ok("3".into())
    );
}

/// Whether an expression gives something. One that asks for what is over a bound may give nothing.
fn is_answered(prometheus: &Prometheus, expression: &Expression) -> Option<()> {
    let answer = prometheus.query(&expression.text);
    let answer = answer.unwrap_or_else(|error| panic!("{expression:?}: {error}"));
    (!answer.is_empty() || expression.text.ends_with("> 0")).then_some(())
}
