//! A whole server under a stream: what it costs and how long packets take, from the moment they were due to the moment a
//! reader has read them.
//!
//! The server has a CPU of its own; publisher and readers share another, on a thread each.

use std::thread;
use std::time::{Duration, Instant};

use crate::BenchError;
use crate::broadcast::{Broadcast, Rhythm};
use crate::fanout::Cpus;
use crate::readers::{Check, Readers};
use crate::server::ServerOptions;

/// The stream flows for so long before anything is measured.
pub const WARM_UP: Duration = Duration::from_secs(2);
/// After its last packet is due, for what is under way.
const DRAIN: Duration = Duration::from_millis(300);
/// One reader in so many looks at its packets, so that the readers cost little.
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
    /// CPU time of the server's process.
    pub cpu: Duration,
    /// Packets times readers.
    pub deliveries: f64,
    /// Packets that the looking readers lack.
    pub lost: u64,
    /// How long half of the packets took at most.
    pub latency_p50: Duration,
    /// How long 99 % of them took at most.
    pub latency_p99: Duration,
}

impl RelayCost {
    /// CPU time per packet and reader, in nanoseconds.
    #[must_use]
    pub fn nanos(&self) -> f64 {
        self.cpu.as_nanos() as f64 / self.deliveries
    }
}

/// Starts such a server, and measures it.
///
/// # Errors
/// When the server does not play along.
pub fn measure(
    cpus: Cpus,
    options: &ServerOptions,
    shape: RelayShape,
) -> Result<RelayCost, BenchError> {
    let server = cpus.start_server(options)?;
    let address = server.address();
    let url = format!("rtsp://{address}/relay");
    let mut broadcast = Broadcast::start(address, &url, shape.rhythm)?;
    let check = Check::Packets {
        one_in: LOOKING_ONE_IN,
    };
    let mut readers = Readers::connect(address, &url, shape.readers, check)?;
    let looking = shape.readers.div_ceil(LOOKING_ONE_IN) as f64;
    thread::scope(|scope| {
        let begin = Instant::now() + WARM_UP;
        let sending = scope.spawn(|| broadcast.send_for(WARM_UP + shape.duration));
        readers.read_until(begin)?;
        readers.forget_latency();
        let (before, cpu) = (readers.received(), server.cpu_time()?.process);
        readers.read_until(begin + shape.duration + DRAIN)?;
        let (after, cpu) = (readers.received(), server.cpu_time()?.process - cpu);
        sending.join().map_err(|_| BenchError::Panicked)??;
        let packets = (after.packets - before.packets) as f64;
        let latency =
            |quantile| Duration::from_nanos(readers.latency().value_at_quantile(quantile));
        Ok(RelayCost {
            cpu,
            deliveries: packets / looking * shape.readers as f64,
            lost: after.lost - before.lost,
            latency_p50: latency(0.5),
            latency_p99: latency(0.99),
        })
    })
}
