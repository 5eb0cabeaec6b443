//! The Control API against its own description, by schemathesis: whatever the description allows and forbids is asked for,
//! with its default checks, while publishers and readers are on the server.
//!
//! schemathesis is installed by `.ci/install`; where it is missing, these tests fail. Not asked for: the stream of events,
//! which has no end. What `schemathesis.toml` says differently from the defaults, it explains.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use shardcast_tests::peer::PeerError;
use shardcast_tests::peer::udp::UdpReader;
use shardcast_tests::scene::broadcast::{Broadcast, Tracks};
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::player::{BOTH_LANES, Player};
use shardcast_tests::scene::rig::Rig;

/// How long schemathesis may look for failures, in seconds. It ends by itself then.
const SECONDS: &str = "15";

/// What it asks for follows from this number, so that what has passed once passes again; another number looks elsewhere.
const SEED: &str = "20";

/// Pause between two access units of each publisher.
const PAUSE: Duration = Duration::from_millis(20);

/// Paths with a publisher and readers.
const CROWDS: usize = 3;

/// Paths of the configuration, for what looks at those.
const PATHS: &str = "paths:\n  cam:\n  ~^live/:\n  all_others:\n";

/// A publisher and its readers, who come again when they were thrown out.
struct Crowd {
    /// Hung up to end them.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Crowd {
    fn gather(address: SocketAddr, path: String) -> Self {
        let (stop, stopped) = mpsc::channel();
        let is_over = move || stopped.recv_timeout(PAUSE) == Err(RecvTimeoutError::Disconnected);
        let thread = thread::spawn(move || {
            while !is_over() {
                let _was_thrown_out = play(address, &path, &is_over);
            }
        });
        Self {
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop = None;
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(ended.is_none_or(|ended| ended.is_ok()), "a peer's bug");
    }
}

/// Publishes until the publisher is thrown out, or it is over.
fn play(address: SocketAddr, path: &str, is_over: &impl Fn() -> bool) -> Result<(), PeerError> {
    let mut publisher = Broadcast::start(address, path, Tracks::VideoAndSound)?;
    let _reader = Player::start(address, path, &BOTH_LANES)?;
    let _udp_reader = UdpReader::start(address, path)?;
    while !is_over() {
        publisher.send(1)?;
    }
    Ok(())
}

/// The program.
fn schemathesis() -> PathBuf {
    let named = std::env::var_os("SHARDCAST_SCHEMATHESIS").map(PathBuf::from);
    let home = std::env::home_dir().expect("a home folder");
    named.unwrap_or_else(|| home.join(".cache/shardcast/schemathesis/bin/schemathesis"))
}

/// Runs schemathesis on a server of its own, with these arguments.
fn assert_no_failure(arguments: &[&str]) {
    let rig = Rig::start(House::USUAL, &format!("api: yes\napiAddress: :0\n{PATHS}"));
    let crowds = (0..CROWDS).map(|crowd| Crowd::gather(rig.address(), format!("live/{crowd}")));
    let _crowds: Vec<Crowd> = crowds.collect();
    let folder = tempfile::tempdir().expect("a folder");
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemathesis/schemathesis.toml");
    let program = schemathesis();
    let mut command = Command::new(&program);
    command.arg("--config-file").arg(config).arg("run");
    command.arg(format!("http://{}/v3/openapi.json", rig.site("API")));
    command.args(["--max-time", SECONDS, "--seed", SEED, "--no-color"]);
    let output = command.args(arguments).current_dir(folder.path()).output();
    let output = output
        .unwrap_or_else(|error| panic!("{}: {error}; .ci/install installs it", program.display()));
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complained}");
    println!("{said}");
}

#[test]
fn schemathesis_finds_nothing_in_what_runs() {
    let excluded = "^/v3/(config/|events$)";
    assert_no_failure(&["--exclude-path-regex", excluded]);
}

/// Apart from the top level, by which it could lock itself out.
#[test]
fn schemathesis_finds_nothing_in_the_configuration_of_paths() {
    let included = "^/v3/config/(path|changes)";
    assert_no_failure(&["--include-path-regex", included]);
}

#[test]
fn schemathesis_finds_nothing_in_the_configurations_top_level() {
    let included = "^/v3/config/global";
    // Nothing in it leads from one operation to another.
    let phases = ["--phases", "examples,coverage,fuzzing"];
    assert_no_failure(&[&["--include-path-regex", included], &phases[..]].concat());
}
