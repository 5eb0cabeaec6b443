//! A bare relay under a stream: what it costs.
//!
//! The relay has a CPU of its own; publisher and readers share another, on a thread each.

use std::thread;
use std::time::{Duration, Instant};

use crate::BenchError;
use crate::broadcast::{Broadcast, Rhythm};
use crate::datagrams::DatagramReaders;
use crate::fanout::Cpus;
use crate::readers::{Check, Readers, Received};
use crate::server::{ServerOptions, ServerProcess, Transport};

/// The stream flows for so long before anything is measured.
pub const WARM_UP: Duration = Duration::from_secs(2);
/// After its last packet is due, for what is under way.
const DRAIN: Duration = Duration::from_millis(300);
/// One reader in so many looks at its packets, so that the readers cost little. Over UDP the others look at how runs begin.
const LOOKING_ONE_IN: usize = 10;

/// What is relayed to whom, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct RelayShape {
    /// Readers.
    pub readers: usize,
    /// The stream.
    pub rhythm: Rhythm,
    /// How long it is measured.
    pub duration: Duration,
}

/// What that has cost.
#[derive(Clone, Copy, Debug)]
pub struct RelayCost {
    /// CPU time of the relay's process.
    pub cpu: Duration,
    /// Packets times readers.
    pub deliveries: f64,
    /// Packets that the looking readers lack; over UDP, all readers.
    pub lost: u64,
}

impl RelayCost {
    /// CPU time per packet and reader, in nanoseconds.
    #[must_use]
    pub fn nanos(&self) -> f64 {
        self.cpu.as_nanos() as f64 / self.deliveries
    }
}

/// Starts such a relay, and measures it.
///
/// # Errors
/// When the relay does not play along.
pub fn measure(
    cpus: Cpus,
    options: &ServerOptions,
    shape: RelayShape,
) -> Result<RelayCost, BenchError> {
    let server = cpus.start_server(options)?;
    let address = server.address();
    let url = format!("rtsp://{address}/relay");
    let broadcast = Broadcast::start(address, &url, shape.rhythm)?;
    let (count, one_in) = (shape.readers, LOOKING_ONE_IN);
    match options.transport {
        Transport::Tcp => {
            let check = Check::Packets { one_in };
            let readers = Readers::connect(address, &url, count, check)?;
            listen(&server, broadcast, readers, shape)
        }
        Transport::Udp => {
            let readers = DatagramReaders::connect(address, &url, count, one_in)?;
            listen(&server, broadcast, readers, shape)
        }
    }
}

/// Readers of either kind.
trait Listening {
    fn read_until(&mut self, deadline: Instant) -> Result<(), BenchError>;
    fn received(&self) -> Received;
}

macro_rules! listening {
    ($($readers:ty),+) => {$(
        impl Listening for $readers {
            fn read_until(&mut self, deadline: Instant) -> Result<(), BenchError> {
                self.read_until(deadline)
            }

            fn received(&self) -> Received {
                self.received()
            }
        }
    )+};
}

listening!(Readers, DatagramReaders);

fn listen(
    server: &ServerProcess,
    mut broadcast: Broadcast,
    mut readers: impl Listening,
    shape: RelayShape,
) -> Result<RelayCost, BenchError> {
    thread::scope(|scope| {
        let begin = Instant::now() + WARM_UP;
        let sending = scope.spawn(|| broadcast.send_for(WARM_UP + shape.duration));
        readers.read_until(begin)?;
        let (before, cpu) = (readers.received(), server.cpu_time()?.process);
        readers.read_until(begin + shape.duration + DRAIN)?;
        let (after, cpu) = (readers.received(), server.cpu_time()?.process - cpu);
        sending.join().map_err(|_| BenchError::Panicked)??;
        let packets = (after.packets - before.packets) as f64;
        Ok(RelayCost {
            cpu,
            deliveries: packets / after.looking as f64 * shape.readers as f64,
            lost: after.lost - before.lost,
        })
    })
}
