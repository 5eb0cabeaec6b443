//! The server that is measured, in a process of its own: this very program again, a daemon that is named, or a bare relay
//! to measure them against.
//!
//! Shardcast takes its configuration from the environment, and is known to listen by the line that a daemon logs.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use shardcast::Server;
use shardcast::event::EventBus;
use shardcast_platform::bare::{Floor, FloorDriver};

use crate::BenchError;
use crate::cost::{self, CpuTime};
use crate::datagrams;
use crate::joins::HashedUser;
use crate::role::Role;
use crate::settings::Settings;

/// How long a relay that says nothing may take until it listens, and how often it is tried.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(5);
const LISTEN_RETRY: Duration = Duration::from_millis(10);
/// What stands before the address in the line of a listener, and behind it.
const LISTENER: [&str; 2] = ["listener opened on ", " (TCP)"];

/// What is measured.
#[derive(Clone, Debug, Default)]
pub enum Program {
    /// Shardcast as it is built into this program.
    #[default]
    Own,
    /// A Shardcast daemon.
    Daemon(PathBuf),
    /// The bare relay of this program.
    Floor(FloorDriver),
    /// Another bare relay: it is started with a port and `epoll` or `uring`, and says nothing.
    OtherFloor(PathBuf, FloorDriver),
}

/// How readers are sent to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// Between the messages of their connections.
    #[default]
    Tcp,
    /// As datagrams.
    Udp,
}

/// How the server is to run. What a bare relay does not have is nothing to it.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The server.
    pub program: Program,
    /// `driver`.
    pub driver: String,
    /// `shards`.
    pub shards: usize,
    /// `gatherReaders`, if not its default.
    pub gather_readers: Option<usize>,
    /// `rtspTransports`: TCP is always among them, for publishers.
    pub transport: Transport,
    /// With any, who comes has to be one of them.
    pub users: Vec<HashedUser>,
    /// Other keys; they go before those above.
    pub settings: Settings,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            program: Program::Own,
            driver: "auto".to_owned(),
            shards: 1,
            gather_readers: None,
            transport: Transport::Tcp,
            users: Vec::new(),
            settings: Settings::default(),
        }
    }
}

/// A running server. It is killed when this is dropped.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
    address: SocketAddr,
    /// From the start of the process to the line that says that it listens.
    pub started_in: Duration,
}

/// Is Shardcast, until it is killed.
pub(crate) fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let _limit = shardcast_platform::raise_descriptor_limit()?;
    let loaded = shardcast_config::parse(None, "", shardcast_config::environment())?;
    let server = Server::start(loaded.document, EventBus::default())?;
    for listener in server.listeners() {
        println!("{}{}{}", LISTENER[0], listener.address, LISTENER[1]);
    }
    let _exit = server.join();
    Ok(())
}

/// Is the bare relay, until its publisher leaves.
pub(crate) fn serve_floor(arguments: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let [driver] = arguments else {
        return Err("the driver".into());
    };
    let known = [FloorDriver::Epoll, FloorDriver::Uring];
    let driver = known.into_iter().find(|known| name(*known) == driver);
    let _limit = shardcast_platform::raise_descriptor_limit()?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let floor = Floor::bind(address, driver.ok_or("no such driver")?)?;
    println!("{}{}{}", LISTENER[0], floor.address()?, LISTENER[1]);
    Ok(floor.serve()?)
}

fn name(driver: FloorDriver) -> &'static str {
    match driver {
        FloorDriver::Epoll => "epoll",
        FloorDriver::Uring => "uring",
    }
}

impl ServerProcess {
    /// Starts a server on a port that the system chooses, each shard on a CPU of its own, and waits until it listens.
    ///
    /// # Errors
    /// When it cannot be started, or ends instead of listening.
    pub fn start(options: &ServerOptions) -> Result<Self, BenchError> {
        let port = free_port()?;
        let begin = Instant::now();
        let mut child = command(options, port)?.spawn()?;
        let output = child.stdout.take().ok_or(BenchError::NotListening)?;
        let listening = match options.program {
            Program::OtherFloor(..) => wait_connected(port),
            _ => wait_listening(output),
        };
        let started_in = begin.elapsed();
        let Some(address) = listening else {
            child.kill()?;
            child.wait()?;
            return Err(BenchError::NotListening);
        };
        Ok(Self {
            child,
            address,
            started_in,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
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

fn command(options: &ServerOptions, port: u16) -> Result<Command, BenchError> {
    let mut command = match &options.program {
        Program::Own => Role::Server.command()?,
        Program::Daemon(program) | Program::OtherFloor(program, _) => Command::new(program),
        Program::Floor(_) => Role::Floor.command()?,
    };
    match options.program {
        Program::Own | Program::Daemon(_) => configure(&mut command, options)?,
        Program::Floor(driver) => drop(command.arg(name(driver))),
        Program::OtherFloor(_, driver) => drop(command.arg(port.to_string()).arg(name(driver))),
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    Ok(command)
}

fn configure(command: &mut Command, options: &ServerOptions) -> Result<(), BenchError> {
    command
        .env("MTX_RTSPADDRESS", format!("{}:0", Ipv4Addr::LOCALHOST))
        .env("MTX_DRIVER", &options.driver)
        .env("MTX_SHARDS", options.shards.to_string())
        .env("MTX_PINCPUS", "yes")
        // A shard is measured to its limit.
        .env("MTX_CPU", "100");
    configure_users(command, &options.users);
    if let Some(readers) = options.gather_readers {
        command.env("MTX_GATHERREADERS", readers.to_string());
    }
    match options.transport {
        Transport::Tcp => command.env("MTX_RTSPTRANSPORTS", "tcp"),
        Transport::Udp => {
            let rtp = free_pair()?;
            let rtcp = rtp + 1;
            command
                .env("MTX_RTSPTRANSPORTS", "udp,tcp")
                .env("MTX_RTPADDRESS", format!("{}:{rtp}", Ipv4Addr::LOCALHOST))
                .env("MTX_RTCPADDRESS", format!("{}:{rtcp}", Ipv4Addr::LOCALHOST))
        }
    };
    options.settings.configure(command);
    Ok(())
}

/// By default the first user is everybody, here nobody that comes; and the second is for this machine's tools.
fn configure_users(command: &mut Command, users: &[HashedUser]) {
    if !users.is_empty() {
        let nobody = Ipv4Addr::new(192, 0, 2, 1);
        command.env("MTX_AUTHINTERNALUSERS_0_IPS", nobody.to_string());
    }
    for (number, user) in users.iter().enumerate() {
        let key = format!("MTX_AUTHINTERNALUSERS_{}", number + 2);
        command
            .env(format!("{key}_USER"), &user.name)
            .env(format!("{key}_PASS"), &user.hash)
            .env(format!("{key}_PERMISSIONS_0_ACTION"), "publish")
            .env(format!("{key}_PERMISSIONS_1_ACTION"), "read");
    }
}

/// The even one of two ports that nobody has just now.
fn free_pair() -> Result<u16, BenchError> {
    let ip = Ipv4Addr::LOCALHOST.into();
    Ok(datagrams::bind_pair(ip)?.2.rtp)
}

/// A port that nobody listens on just now, for a program that cannot be asked which one it has taken.
fn free_port() -> Result<u16, BenchError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

fn wait_connected(port: u16) -> Option<SocketAddr> {
    let (address, begin) = (
        SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        Instant::now(),
    );
    while begin.elapsed() < LISTEN_TIMEOUT {
        if TcpStream::connect(address).is_ok() {
            return Some(address);
        }
        std::thread::sleep(LISTEN_RETRY);
    }
    None
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
