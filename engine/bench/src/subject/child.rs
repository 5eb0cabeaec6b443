//! A process of this program, in one of its parts: started on CPUs of its own, known to listen by the line that a daemon
//! logs, and ended when it is dropped.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::role::Role;
use crate::BenchError;
use crate::cpus::settle_on;

/// What stands before the address in the line of a listener, and behind it.
pub(super) const LISTENER: [&str; 2] = ["listener opened on ", " (TCP)"];
/// Until it listens: far above what a loaded machine needs.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(20);
/// Lines of its output that are kept for an error.
const LINES_KEPT_MAX: usize = 5;
/// The command by which this program plays a part.
pub const ROLE_COMMAND: &str = "bench-role";
/// How the environment names configuration keys.
const VARIABLE_PREFIX: &str = "MTX_";

/// What stands before the address of a site for metrics, and behind it.
const SITE: [&str; 2] = ["[metrics] listener opened on ", " (HTTP)"];
/// In a line that tells of a fault of the server's own.
const FAULTS: [&str; 2] = [" ERR ", "panicked at"];
/// Such lines that are kept.
const FAULTS_KEPT_MAX: usize = 20;

type Said = Arc<Mutex<Heard>>;

/// What it has said so far.
#[derive(Debug, Default)]
struct Heard {
    /// Its last lines.
    lines: VecDeque<String>,
    /// Where its metrics are.
    site: Option<SocketAddr>,
    /// The first lines that tell of faults.
    faults: Vec<String>,
}

/// The process.
#[derive(Debug)]
pub(super) struct Child {
    process: std::process::Child,
    address: SocketAddr,
    said: Said,
}

impl Child {
    /// Starts it, and waits until it listens.
    ///
    /// # Errors
    /// When it cannot be started, or ends instead of listening.
    pub(super) fn start(
        role: Role,
        settings: &[(String, String)],
        cpus: &[usize],
    ) -> Result<Self, BenchError> {
        let mut command = command(role, settings, cpus)?;
        let here = shardcast_platform::cpu_budget().cpus;
        settle_on(cpus)?;
        let spawned = command.spawn();
        settle_on(&here)?;
        let mut process = spawned.map_err(BenchError::io(format!("cannot start {role}")))?;
        let said = Said::default();
        let listening = wait_listening(&mut process, &said);
        let mut child = Self {
            process,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            said,
        };
        child.address = listening.ok_or_else(|| BenchError::Server(child.last_lines()))?;
        Ok(child)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it said last.
    pub(super) fn last_lines(&self) -> String {
        let lines = &lock(&self.said).lines;
        match lines.is_empty() {
            true => "it said nothing".to_owned(),
            false => Vec::from_iter(lines.iter().cloned()).join("; "),
        }
    }

    /// Where its metrics are, once it has said so.
    pub(super) fn site(&self) -> Option<SocketAddr> {
        lock(&self.said).site
    }

    /// The faults that it told of.
    pub(super) fn faults(&self) -> Vec<String> {
        lock(&self.said).faults.clone()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ended = self.process.kill();
        let _status = self.process.wait();
    }
}

fn command(
    role: Role,
    settings: &[(String, String)],
    cpus: &[usize],
) -> Result<Command, BenchError> {
    let program = std::env::current_exe().map_err(BenchError::io("cannot find this program"))?;
    let mut command = Command::new(program);
    command.args([ROLE_COMMAND, role.name()]);
    // What is measured is what the options say, not what happens to be set here.
    let inherited = std::env::vars_os().map(|(name, _)| name);
    for name in inherited.filter(|name| name.to_string_lossy().starts_with(VARIABLE_PREFIX)) {
        command.env_remove(name);
    }
    command
        .env("MTX_RTSPADDRESS", format!("{}:0", Ipv4Addr::LOCALHOST))
        .env("MTX_RTPADDRESS", format!("{}:0", Ipv4Addr::LOCALHOST))
        .env("MTX_RTCPADDRESS", format!("{}:0", Ipv4Addr::LOCALHOST))
        .env("MTX_RTSPTRANSPORTS", "udp,tcp")
        .env("MTX_SHARDS", cpus.len().to_string())
        .env("MTX_PINCPUS", "yes")
        // How much a shard can carry is what is looked for.
        .env("MTX_CPU", "100");
    for (key, value) in settings {
        command.env(variable(key), value);
    }
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    alone(&mut command);
    Ok(command)
}

/// The variable of a key, whose parts are divided by dots.
fn variable(key: &str) -> String {
    format!("{VARIABLE_PREFIX}{}", key.replace('.', "_").to_uppercase())
}

/// Out of reach of the terminal's Ctrl-C, which is for us: we end it when the result is written.
#[cfg(unix)]
fn alone(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;
    command.process_group(0);
}

#[cfg(windows)]
fn alone(command: &mut Command) {
    use std::os::windows::process::CommandExt as _;
    const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;
    command.creation_flags(CREATE_NEW_PROCESS_GROUP);
}

/// The address in the listener's line; the other lines are read for as long as it runs, so that it never waits for us.
fn wait_listening(process: &mut std::process::Child, said: &Said) -> Option<SocketAddr> {
    let (sender, receiver) = mpsc::channel();
    let outputs: [Option<Box<dyn Read + Send>>; 2] = [
        process.stdout.take().map(|it| Box::new(it) as _),
        process.stderr.take().map(|it| Box::new(it) as _),
    ];
    for output in outputs.into_iter().flatten() {
        let (said, sender) = (said.clone(), sender.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(address) = address_in(&line, LISTENER) {
                    // Only the first one is waited for.
                    let _heard = sender.send(address);
                }
                keep(&mut lock(&said), line);
            }
        });
    }
    drop(sender);
    // None as well when it has ended.
    receiver.recv_timeout(LISTEN_TIMEOUT).ok()
}

fn address_in(line: &str, [before, behind]: [&str; 2]) -> Option<SocketAddr> {
    let (_, rest) = line.split_once(before)?;
    rest.strip_suffix(behind)?.parse().ok()
}

fn keep(heard: &mut Heard, line: String) {
    heard.site = heard.site.or_else(|| address_in(&line, SITE));
    if heard.faults.len() < FAULTS_KEPT_MAX && FAULTS.iter().any(|fault| line.contains(fault)) {
        heard.faults.push(line.clone());
    }
    if heard.lines.len() == LINES_KEPT_MAX {
        heard.lines.pop_front();
    }
    heard.lines.push_back(line);
}

fn lock(said: &Said) -> MutexGuard<'_, Heard> {
    said.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_known_by_its_line() {
        let line = "2026/01/02 15:04:05 INF [RTSP] listener opened on 127.0.0.1:4711 (TCP)";
        assert_eq!(
            address_in(line, LISTENER),
            Some(([127, 0, 0, 1], 4711).into())
        );
        assert_eq!(address_in(&line.replace("TCP", "UDP/RTP"), LISTENER), None);
    }

    #[test]
    fn a_site_and_faults_are_heard_among_other_lines() {
        let mut heard = Heard::default();
        for line in [
            "2026/01/02 15:04:05 INF [RTSP] listener opened on 127.0.0.1:4711 (TCP)",
            "2026/01/02 15:04:05 INF [metrics] listener opened on 127.0.0.1:4712 (HTTP)",
            "2026/01/02 15:04:06 ERR shard 1 does not respond",
            "thread 'shard-0' panicked at here.rs:1:1:",
        ] {
            keep(&mut heard, line.to_owned());
        }
        assert_eq!(heard.site, Some(([127, 0, 0, 1], 4712).into()));
        assert_eq!((heard.lines.len(), heard.faults.len()), (4, 2));
    }

    #[test]
    fn keys_become_variables() {
        assert_eq!(variable("coalesce"), "MTX_COALESCE");
        assert_eq!(
            variable("paths.all_others.start"),
            "MTX_PATHS_ALL_OTHERS_START"
        );
    }
}
