//! The server that is measured, in a process of its own: this very program again, or a daemon that is named.
//!
//! A program that wants the former calls [`serve_if_asked`] first in its `main`. Both take their configuration from the
//! environment, and both are known to listen by the line that a daemon logs.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use shardcast::Server;
use shardcast::event::EventBus;

use crate::BenchError;
use crate::cost::{self, CpuTime};

/// Set for the process that is to be the server.
const ASKED: &str = "SHARDCAST_BENCH_SERVER";
/// What stands before the address in the line of a listener, and behind it.
const LISTENER: [&str; 2] = ["listener opened on ", " (TCP)"];

/// How the server is to run.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The daemon's program; without one, this program is the server.
    pub program: Option<PathBuf>,
    /// `driver`.
    pub driver: String,
    /// `shards`.
    pub shards: usize,
}

/// A running server. It is killed when this is dropped.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
    address: SocketAddr,
    /// From the start of the process to the line that says that it listens.
    pub started_in: Duration,
    /// Memory at that moment.
    pub resident_bytes: u64,
}

/// Is the server, if this process was started for that; then it does not return.
pub fn serve_if_asked() {
    if std::env::var_os(ASKED).is_none() {
        return;
    }
    if let Err(error) = serve() {
        eprintln!("server: {error}");
        std::process::exit(1);
    }
    std::process::exit(0);
}

fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let _limit = shardcast_platform::raise_descriptor_limit()?;
    let loaded = shardcast_config::parse(None, "", shardcast_config::environment())?;
    let server = Server::start(loaded.config, EventBus::default())?;
    for listener in server.listeners() {
        println!("{}{}{}", LISTENER[0], listener.address, LISTENER[1]);
    }
    let _exit = server.join();
    Ok(())
}

impl ServerProcess {
    /// Starts a server on a port that the system chooses, each shard on a CPU of its own, and waits until it listens.
    ///
    /// # Errors
    /// When it cannot be started, or ends instead of listening.
    pub fn start(options: &ServerOptions) -> Result<Self, BenchError> {
        let own = std::env::current_exe()?;
        let program = options.program.as_deref().unwrap_or(&own);
        let begin = Instant::now();
        let mut child = command(program, options).spawn()?;
        let output = child.stdout.take().ok_or(BenchError::NotListening)?;
        let listening = wait_listening(output);
        let started_in = begin.elapsed();
        let address = match listening {
            Some(address) => address,
            None => {
                child.kill()?;
                child.wait()?;
                return Err(BenchError::NotListening);
            }
        };
        let resident_bytes = cost::resident_bytes(child.id())?;
        Ok(Self {
            child,
            address,
            started_in,
            resident_bytes,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The CPU time that it has had so far.
    ///
    /// # Errors
    /// When it is gone.
    pub fn cpu_time(&self) -> Result<CpuTime, BenchError> {
        Ok(cost::cpu_time(self.child.id())?)
    }

    /// Its memory now.
    ///
    /// # Errors
    /// When it is gone.
    pub fn resident_bytes_now(&self) -> Result<u64, BenchError> {
        Ok(cost::resident_bytes(self.child.id())?)
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

fn command(program: &Path, options: &ServerOptions) -> Command {
    let mut command = Command::new(program);
    command
        .env(ASKED, "1")
        .env("MTX_RTSPADDRESS", format!("{}:0", Ipv4Addr::LOCALHOST))
        .env("MTX_DRIVER", &options.driver)
        .env("MTX_SHARDS", options.shards.to_string())
        .env("MTX_PINCPUS", "yes")
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

/// The address in the listener's line; the lines after it are read and dropped, so that the server never waits for us.
fn wait_listening(output: ChildStdout) -> Option<SocketAddr> {
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    let address = lines.find_map(|line| {
        let (_, rest) = line.split_once(LISTENER[0])?;
        rest.strip_suffix(LISTENER[1])?.parse().ok()
    });
    std::thread::spawn(move || lines.for_each(drop));
    address
}
