//! The bare sender in a process of its own, on the server's CPU: the same bytes to the same kind of sockets as the server,
//! in the same rhythm, by nothing but system calls.
//!
//! It is told by lines on its standard input: `rounds N` sends N batches, `cpu` asks for the CPU time of the rounds so far.
//! What it costs to be told is not counted.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::Duration;

use shardcast_platform::bare::{Limit, LimitMode, thread_cpu_time};

use crate::BenchError;
use crate::fanout::FanoutShape;
use crate::role::Role;

type Failure = Box<dyn std::error::Error>;

/// A bare sender that runs. It is killed when this is dropped.
#[derive(Debug)]
pub struct LimitProcess {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl LimitProcess {
    /// Starts one that waits for its readers.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn start(mode: LimitMode, shape: FanoutShape) -> Result<Self, BenchError> {
        let mut command = Role::Limit.command()?;
        let figures = [shape.readers, shape.packets, shape.packet_bytes];
        command.args(figures.map(|figure| figure.to_string()));
        command.arg(mode.name()).stdin(Stdio::piped());
        let mut child = command.spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(BenchError::NotListening);
        };
        let mut limit = Self {
            child,
            input,
            output: BufReader::new(output),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        };
        let line = limit.line()?;
        limit.address = line.parse().map_err(|_| BenchError::Limit(line))?;
        Ok(limit)
    }

    /// Where its readers connect, as many as the shape has.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Has it send so many batches; it may still be at it when this returns.
    ///
    /// # Errors
    /// When it is gone.
    pub fn send(&mut self, rounds: u64) -> Result<(), BenchError> {
        Ok(writeln!(self.input, "rounds {rounds}")?)
    }

    /// The CPU time of all its rounds so far.
    ///
    /// # Errors
    /// When it is gone.
    pub fn cpu_time(&mut self) -> Result<Duration, BenchError> {
        writeln!(self.input, "cpu")?;
        let line = self.line()?;
        let nanos = line.parse().map_err(|_| BenchError::Limit(line))?;
        Ok(Duration::from_nanos(nanos))
    }

    fn line(&mut self) -> Result<String, BenchError> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for LimitProcess {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// The process's side: accepts its readers, then does as it is told until its input ends.
pub(crate) fn send(arguments: &[String]) -> Result<(), Failure> {
    let [readers, packets, packet_bytes, mode] = arguments else {
        return Err("readers, packets, bytes of a packet, mode".into());
    };
    let mut modes = LimitMode::ALL.into_iter();
    let mode = modes
        .find(|known| known.name() == mode)
        .ok_or("no such mode")?;
    let _limit = shardcast_platform::raise_descriptor_limit()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{}", listener.local_addr()?);
    let sockets = listener.incoming().take(readers.parse()?);
    let sockets = sockets.collect::<Result<_, _>>()?;
    let mut limit = Limit::new(sockets, packets.parse()?, packet_bytes.parse()?, mode)?;
    let mut spent = Duration::ZERO;
    for line in std::io::stdin().lock().lines() {
        match line?.strip_prefix("rounds ") {
            Some(rounds) => spent += rounds_cost(&mut limit, rounds.parse()?)?,
            None => println!("{}", spent.as_nanos()),
        }
    }
    Ok(())
}

fn rounds_cost(limit: &mut Limit, rounds: u64) -> Result<Duration, Failure> {
    let begun = thread_cpu_time()?;
    for _ in 0..rounds {
        limit.round()?;
    }
    Ok(thread_cpu_time()? - begun)
}
