//! One publisher, many readers, batch by batch: the next batch is published when every reader has the last one, so that
//! each batch leaves in writes of its own and nothing is gained by falling behind.
//!
//! The server runs on one CPU, publisher and readers on another. In the server's place there may be the bare sender: it is
//! sent to by the same readers, in the same rhythm.

use std::time::{Duration, Instant};

use shardcast_platform::bare::LimitMode;
use shardcast_platform::{cpu_budget, pin_current_thread};

use crate::BenchError;
use crate::broadcast::wait_until;
use crate::cost::CpuTime;
use crate::limit::LimitProcess;
use crate::peer::Publisher;
use crate::readers::{Check, Readers, Wait};
use crate::server::{ServerOptions, ServerProcess};
use crate::synthetic::Source;

/// Frames of a group of pictures, and so batches from one start point to the next.
const GOP_FRAMES: u64 = 60;
/// Batches before anything is measured: buffers have grown and windows have opened by then.
const WARM_UP_BATCHES: u64 = 100;

/// What is sent to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FanoutShape {
    /// Readers.
    pub readers: usize,
    /// Packets of a batch.
    pub packets: usize,
    /// Bytes of a packet on the wire.
    pub packet_bytes: usize,
    /// From one packet of a batch to the next, where a server sends; none publishes the batch at once.
    pub gap: Option<Duration>,
    /// How the readers' thread waits for them.
    pub wait: Wait,
}

/// Who sends.
#[derive(Clone, Debug)]
pub enum Sender {
    /// Shardcast.
    Server(ServerOptions),
    /// The bare sender.
    Limit(LimitMode),
}

/// A sender with its readers, warmed up.
#[derive(Debug)]
pub struct Fanout {
    shape: FanoutShape,
    sending: Sending,
    readers: Readers,
    sent_bytes: u64,
}

#[derive(Debug)]
enum Sending {
    Server(Box<Broadcast>),
    Limit(LimitProcess),
}

/// A server with its publisher.
#[derive(Debug)]
struct Broadcast {
    server: ServerProcess,
    publisher: Publisher,
    source: Source,
    frame: Vec<u8>,
}

/// What some batches have cost.
#[derive(Clone, Copy, Debug)]
pub struct FanoutCost {
    /// CPU time of the server.
    pub cpu: CpuTime,
    /// Time that passed.
    pub wall: Duration,
    /// Packets times readers.
    pub deliveries: u64,
}

impl FanoutCost {
    /// CPU time of the shards' threads per packet and reader, in nanoseconds.
    #[must_use]
    pub fn shard_nanos(&self) -> f64 {
        self.cpu.shards.as_nanos() as f64 / self.deliveries as f64
    }

    /// CPU time of the whole server per packet and reader, in nanoseconds.
    #[must_use]
    pub fn process_nanos(&self) -> f64 {
        self.cpu.process.as_nanos() as f64 / self.deliveries as f64
    }

    /// Time passed per packet and reader, in nanoseconds.
    #[must_use]
    pub fn wall_nanos(&self) -> f64 {
        self.wall.as_nanos() as f64 / self.deliveries as f64
    }
}

/// Who runs where, so that neither disturbs the other: the server with all its threads on one CPU, publisher and readers
/// on another.
#[derive(Clone, Copy, Debug)]
pub struct Cpus {
    server: usize,
    readers: usize,
}

impl Cpus {
    /// The first two CPUs of this process; on a machine with one, both share it. To be called before anything is pinned.
    #[must_use]
    pub fn choose() -> Self {
        let cpus = cpu_budget().cpus;
        let server = cpus.first().copied().unwrap_or_default();
        let readers = cpus.get(1).copied().unwrap_or(server);
        Self { server, readers }
    }

    /// Starts a server, and leaves this thread on the readers' CPU. A server with one shard has its CPU for itself; one with
    /// several is free to use all.
    ///
    /// # Errors
    /// When the system refuses, and as [`ServerProcess::start`].
    pub fn start_server(self, options: &ServerOptions) -> Result<ServerProcess, BenchError> {
        if options.shards == 1 {
            return self.beside(|| ServerProcess::start(options));
        }
        let server = ServerProcess::start(options);
        pin_current_thread(self.readers)?;
        server
    }

    /// The CPUs of publishers and readers.
    #[must_use]
    pub fn load(self) -> [usize; 1] {
        [self.readers]
    }

    /// Starts a process on the server's CPU, which it inherits from this thread, and leaves this thread on the readers'.
    ///
    /// # Errors
    /// When the system refuses, and as `start`.
    pub fn beside<T>(self, start: impl FnOnce() -> Result<T, BenchError>) -> Result<T, BenchError> {
        pin_current_thread(self.server)?;
        let started = start();
        pin_current_thread(self.readers)?;
        started
    }
}

impl Fanout {
    /// Starts the sender, connects the readers, and sends the first batches.
    ///
    /// # Errors
    /// When the sender does not play along.
    pub fn start(cpus: Cpus, sender: &Sender, shape: FanoutShape) -> Result<Self, BenchError> {
        let (sending, mut readers) = match sender {
            Sender::Server(options) => start_server(cpus, options, shape)?,
            Sender::Limit(mode) => {
                let limit = cpus.beside(|| LimitProcess::start(*mode, shape))?;
                let readers = Readers::connect_bare(limit.address(), shape.readers)?;
                (Sending::Limit(limit), readers)
            }
        };
        readers.set_wait(shape.wait);
        let mut fanout = Self {
            shape,
            sending,
            readers,
            sent_bytes: 0,
        };
        fanout.send(WARM_UP_BATCHES)?;
        Ok(fanout)
    }

    /// Sends so many batches and says what they cost.
    ///
    /// # Errors
    /// When a connection ends or a reader lacks bytes.
    pub fn run(&mut self, batches: u64) -> Result<FanoutCost, BenchError> {
        let (begin, before) = (Instant::now(), self.sending.cpu_time()?);
        self.send(batches)?;
        let wall = begin.elapsed();
        Ok(FanoutCost {
            cpu: self.sending.cpu_time()? - before,
            wall,
            deliveries: batches * self.shape.packets as u64 * self.shape.readers as u64,
        })
    }

    fn send(&mut self, batches: u64) -> Result<(), BenchError> {
        for _ in 0..batches {
            self.sent_bytes += self.sending.send(self.shape)?;
            self.readers.read_bytes(self.sent_bytes)?;
        }
        Ok(())
    }
}

fn start_server(
    cpus: Cpus,
    options: &ServerOptions,
    shape: FanoutShape,
) -> Result<(Sending, Readers), BenchError> {
    let server = cpus.start_server(options)?;
    let address = server.address();
    let url = format!("rtsp://{address}/fanout");
    let broadcast = Broadcast {
        server,
        publisher: Publisher::start(address, &url)?,
        source: Source::new(GOP_FRAMES, shape.packet_bytes),
        frame: Vec::with_capacity(shape.packets * shape.packet_bytes),
    };
    let readers = Readers::connect(address, &url, shape.readers, Check::Bytes)?;
    Ok((Sending::Server(Box::new(broadcast)), readers))
}

impl Sending {
    /// Has one batch sent; its bytes.
    fn send(&mut self, shape: FanoutShape) -> Result<u64, BenchError> {
        match self {
            Self::Server(broadcast) => broadcast.send(shape)?,
            Self::Limit(limit) => limit.send(1)?,
        }
        Ok((shape.packets * shape.packet_bytes) as u64)
    }

    fn cpu_time(&mut self) -> Result<CpuTime, BenchError> {
        match self {
            Self::Server(broadcast) => broadcast.server.cpu_time(),
            Self::Limit(limit) => {
                let rounds = limit.cpu_time()?;
                Ok(CpuTime {
                    shards: rounds,
                    process: rounds,
                })
            }
        }
    }
}

impl Broadcast {
    fn send(&mut self, shape: FanoutShape) -> Result<(), BenchError> {
        self.frame.clear();
        self.source.write_frame(shape.packets, &mut self.frame);
        let Some(gap) = shape.gap else {
            return self.publisher.send(&self.frame);
        };
        let mut due = Instant::now();
        for packet in self.frame.chunks(shape.packet_bytes) {
            wait_until(due);
            self.publisher.send(packet)?;
            due += gap;
        }
        Ok(())
    }
}
