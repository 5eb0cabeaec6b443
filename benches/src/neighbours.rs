//! Two paths on one shard: one with few readers beside one with many. The few are published and read in a process of their
//! own, so that what they wait for is the server and not the readers of the other path.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdout, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::BenchError;
use crate::broadcast::{Broadcast, Rhythm};
use crate::fanout::Cpus;
use crate::peer;
use crate::readers::{Check, Readers};
use crate::relay::{RelayShape, WARM_UP};
use crate::role::Role;
use crate::server::ServerOptions;

/// One in so many of the many readers looks at its packets.
const LOOKING_ONE_IN: usize = 20;

/// How long 99 % of the packets of each path took at most, and how many their looking readers lack.
#[derive(Clone, Copy, Debug)]
pub struct Beside {
    /// Of the path with few readers.
    pub few_p99: Duration,
    /// Of the path with many readers.
    pub many_p99: Duration,
    /// Packets lost by either.
    pub lost: u64,
}

/// Has `few` readers on one path and the shape's on another, both with the same stream.
///
/// # Errors
/// When the server does not play along.
pub fn measure(
    cpus: Cpus,
    options: &ServerOptions,
    shape: RelayShape,
    few: usize,
) -> Result<Beside, BenchError> {
    let server = cpus.start_server(options)?;
    let address = server.address();
    let url = format!("rtsp://{address}/many");
    let mut neighbour = Neighbour::start(&format!("rtsp://{address}/few"), shape, few)?;
    let mut broadcast = Broadcast::start(address, &url, shape.rhythm)?;
    let check = Check::Packets {
        one_in: LOOKING_ONE_IN,
    };
    let mut readers = Readers::connect(address, &url, shape.readers, check)?;
    neighbour.begin()?;
    let (many_p99, many_lost) = listen(&mut broadcast, &mut readers, shape.duration)?;
    let (few_p99, few_lost) = neighbour.end()?;
    Ok(Beside {
        few_p99,
        many_p99,
        lost: many_lost + few_lost,
    })
}

/// The process of the few. It is killed when this is dropped.
struct Neighbour {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Neighbour {
    /// Starts it, and waits until its readers play.
    fn start(url: &str, shape: RelayShape, readers: usize) -> Result<Self, BenchError> {
        let mut command = Role::Neighbour.command()?;
        let rate = shape.rhythm.bits_per_second.to_string();
        let seconds = shape.duration.as_secs_f64().to_string();
        command.args([url, &readers.to_string(), &rate, &seconds]);
        let mut child = command.stdin(Stdio::piped()).spawn()?;
        let output = child.stdout.take().ok_or(BenchError::NotListening)?;
        let lines = BufReader::new(output).lines();
        let mut neighbour = Self { child, lines };
        neighbour.next_line()?;
        Ok(neighbour)
    }

    fn begin(&mut self) -> Result<(), BenchError> {
        let input = self.child.stdin.as_mut();
        Ok(writeln!(input.ok_or(BenchError::NotListening)?)?)
    }

    /// The latency of 99 % of its packets, and the packets lost.
    fn end(&mut self) -> Result<(Duration, u64), BenchError> {
        let line = self.next_line()?;
        let mut figures = line.split(' ').map_while(|figure| figure.parse().ok());
        match (figures.next(), figures.next()) {
            (Some(nanos), Some(lost)) => Ok((Duration::from_nanos(nanos), lost)),
            _ => Err(BenchError::Limit(line)),
        }
    }

    fn next_line(&mut self) -> Result<String, BenchError> {
        let line = self.lines.next();
        Ok(line.ok_or(BenchError::Closed("the neighbour"))??)
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Publishes and reads for so long, after a warm-up; the latency of 99 %, and the packets lost.
fn listen(
    broadcast: &mut Broadcast,
    readers: &mut Readers,
    duration: Duration,
) -> Result<(Duration, u64), BenchError> {
    thread::scope(|scope| {
        let begin = Instant::now() + WARM_UP;
        let sending = scope.spawn(|| broadcast.send_for(WARM_UP + duration));
        readers.read_until(begin)?;
        readers.forget_latency();
        readers.read_until(begin + duration)?;
        sending.join().map_err(|_| BenchError::Panicked)??;
        let nanos = readers.latency().value_at_quantile(0.99);
        Ok((Duration::from_nanos(nanos), readers.received().lost))
    })
}

/// The process of the few: says that it is ready, waits for a line, measures, and prints both figures.
pub(crate) fn measure_beside(arguments: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let [url, readers, bits_per_second, seconds] = arguments else {
        return Err("URL, readers, bits per second, seconds".into());
    };
    let address = peer::address_of(url)?;
    let rhythm = Rhythm::of_bits_per_second(bits_per_second.parse()?);
    let mut broadcast = Broadcast::start(address, url, rhythm)?;
    let check = Check::Packets { one_in: 1 };
    let mut readers = Readers::connect(address, url, readers.parse()?, check)?;
    println!("ready");
    std::io::stdin().read_line(&mut String::new())?;
    let duration = Duration::from_secs_f64(seconds.parse()?);
    let (p99, lost) = listen(&mut broadcast, &mut readers, duration)?;
    println!("{} {lost}", p99.as_nanos());
    Ok(())
}
