//! The Shardcast daemon as a child process: its configuration written, its port answering, its log kept, and its end.
//!
//! The program is `$SHARDCAST_BIN`, else it is built once per test process by the cargo that runs the tests.
//! `$SHARDCAST_RUNNER` is put in front of it (`wine`). Deliberately absent: knowledge of any key but `cpu`. A test writes its
//! configuration as text.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use tempfile::TempDir;

use crate::port;
use crate::wait::poll_until;

/// How long the daemon may take to listen. A start takes milliseconds; under wine, seconds.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long the daemon may take to end once told to: its own `shutdownTimeout` of 10 s and a reserve.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// Why a daemon could not be had.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Files, ports or processes.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The program does not build.
    #[error("the daemon does not build: {0}")]
    Build(ExitStatus),
    /// It ended before it listened.
    #[error("the daemon ended at once with {status}:\n{log}")]
    Ended {
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        log: String,
    },
    /// It runs but does not listen.
    #[error("the daemon does not listen:\n{log}")]
    Deaf {
        /// What it said.
        log: String,
    },
    /// It did not end when told to.
    #[error("the daemon does not end:\n{log}")]
    Endless {
        /// What it said.
        log: String,
    },
}

/// The ports for datagrams are of the system's choice: daemons run side by side.
const DATAGRAMS: &str = "rtpAddress: :0\nrtcpAddress: :0\n";

/// The port of RTSP if the configuration names none.
const RTSP_PORT: u16 = 8554;

/// Tests run beside each other on few CPUs: unless one says otherwise, a busy shard refuses nobody.
pub(crate) fn unhurried(configuration: &str) -> &'static str {
    match configuration.lines().any(|line| line.starts_with("cpu:")) {
        true => "",
        false => "cpu: 100\n",
    }
}

/// A running daemon. Dropping it kills it.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    port: u16,
    directory: TempDir,
}

impl Daemon {
    /// Starts a daemon on a free port, with `configuration` (YAML without `rtspAddress`), and waits until it listens.
    ///
    /// # Errors
    /// When it cannot be built or started, or ends instead of listening.
    pub fn start(configuration: &str) -> Result<Self, DaemonError> {
        Self::start_on(port::free_tcp_port()?, configuration)
    }

    /// As [`Self::start`], on this port.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_on(port: u16, configuration: &str) -> Result<Self, DaemonError> {
        let text = format!("rtspAddress: :{port}\n{DATAGRAMS}{configuration}");
        Self::launch(port, &text)
    }

    /// As [`Self::start`], on the usual ports, which are free in a network of the test's own.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_on_usual_ports(configuration: &str) -> Result<Self, DaemonError> {
        Self::launch(RTSP_PORT, configuration)
    }

    /// As [`Self::start`], behind these commands of a shell, such as `ulimit -n 128`.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_limited(shell: &str, configuration: &str) -> Result<Self, DaemonError> {
        let port = port::free_tcp_port()?;
        let text = format!("rtspAddress: :{port}\n{DATAGRAMS}{configuration}");
        let mut command = Command::new("sh");
        let script = format!("{shell}\nexec \"$0\" \"$@\"");
        command.args(["-c", &script]).arg(program()?);
        Self::launch_by(command, port, &text)
    }

    fn launch(port: u16, configuration: &str) -> Result<Self, DaemonError> {
        Self::launch_by(command(&program()?), port, configuration)
    }

    fn launch_by(command: Command, port: u16, configuration: &str) -> Result<Self, DaemonError> {
        let directory = TempDir::new()?;
        let text = format!("{}{configuration}", unhurried(configuration));
        fs::write(directory.path().join("shardcast.yml"), text)?;
        let log = File::create(directory.path().join("log"))?;
        let child = spawn(command, directory.path(), log)?;
        let mut daemon = Self {
            child,
            port,
            directory,
        };
        daemon.wait_listening()?;
        Ok(daemon)
    }

    /// The RTSP port on every address of this machine.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The RTSP port on the IPv4 loopback address.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// The child's process id.
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.directory.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The log's lines with this word, once there is one.
    ///
    /// # Panics
    /// When none comes.
    pub fn wait_log(&self, word: &str) -> Vec<String> {
        let lines = poll_until(START_LIMIT, || {
            let log = self.log();
            let lines = log.lines().filter(|line| line.contains(word));
            let lines: Vec<String> = lines.map(str::to_owned).collect();
            (!lines.is_empty()).then_some(lines)
        });
        lines.unwrap_or_else(|| panic!("no line with {word:?}:\n{}", self.log()))
    }

    /// The folder in which it runs, with its configuration, `shardcast.yml`.
    pub fn folder(&self) -> &Path {
        self.directory.path()
    }

    /// Sends it the signal of this name, as `kill` knows it.
    ///
    /// # Panics
    /// When it cannot be sent.
    pub fn signal(&self, name: &str) {
        let process_id = self.child.id().to_string();
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &process_id])
            .status();
        assert!(sent.is_ok_and(|status| status.success()), "SIG{name}");
    }

    /// Ends it and starts it again in its folder, with the files that are there now, and waits until it listens.
    ///
    /// # Errors
    /// As [`Self::start`] and [`Self::stop`].
    pub fn restart(&mut self) -> Result<(), DaemonError> {
        self.end()?;
        let log = self.directory.path().join("log");
        let log = fs::OpenOptions::new().append(true).open(log)?;
        self.child = spawn(command(&program()?), self.directory.path(), log)?;
        self.wait_listening()
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn is_running(&mut self) -> io::Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Tells it to end (SIGTERM) and waits for that.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn stop(mut self) -> Result<ExitStatus, DaemonError> {
        self.end()
    }

    fn end(&mut self) -> Result<ExitStatus, DaemonError> {
        let process_id = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &process_id]).status()?;
        let ended = poll_until(STOP_LIMIT, || self.child.try_wait().transpose());
        match ended {
            Some(status) => Ok(status?),
            None => Err(DaemonError::Endless { log: self.log() }),
        }
    }

    fn wait_listening(&mut self) -> Result<(), DaemonError> {
        let address = self.address();
        let answer = poll_until(START_LIMIT, || match self.child.try_wait() {
            Ok(None) => TcpStream::connect(address).ok().map(|_| Ok(None)),
            Ok(Some(status)) => Some(Ok(Some(status))),
            Err(error) => Some(Err(error)),
        });
        let log = self.log();
        match answer.ok_or(DaemonError::Deaf { log })?? {
            None => Ok(()),
            Some(status) => Err(DaemonError::Ended {
                status,
                log: self.log(),
            }),
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The daemon's program, built if the environment names none.
///
/// # Errors
/// When it does not build.
pub fn program() -> Result<PathBuf, DaemonError> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    if let Some(named) = std::env::var_os("SHARDCAST_BIN") {
        return Ok(fs::canonicalize(named)?);
    }
    if let Some(built) = BUILT.get() {
        return Ok(built.clone());
    }
    let built = build()?;
    Ok(BUILT.get_or_init(|| built).clone())
}

fn build() -> Result<PathBuf, DaemonError> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let status = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--package",
            "shardcast",
            "--manifest-path",
        ])
        .arg(manifest)
        .args(cfg!(feature = "glommio").then_some("--features=glommio"))
        .status()?;
    if !status.success() {
        return Err(DaemonError::Build(status));
    }
    // Test programs lie in `deps`, beside the daemon's own program.
    let own = std::env::current_exe()?;
    let folder = own.parent().and_then(Path::parent);
    let folder = folder.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    Ok(folder.join("shardcast"))
}

/// Starts the program in its folder.
fn spawn(mut command: Command, folder: &Path, log: File) -> io::Result<Child> {
    command
        .arg("shardcast.yml")
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

/// The program, under `$SHARDCAST_RUNNER` if there is one.
pub fn command(program: &Path) -> Command {
    match std::env::var_os("SHARDCAST_RUNNER") {
        Some(runner) => {
            let mut command = Command::new(runner);
            command.arg(program);
            command
        }
        None => Command::new(program),
    }
}
