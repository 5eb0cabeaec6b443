//! One publisher, many readers, batch by batch: the next batch is published when every reader has the last one, so that
//! each batch leaves in writes of its own and nothing is gained by falling behind.
//!
//! The server runs on one CPU, publisher and readers on another.

use std::time::{Duration, Instant};

use shardcast_platform::{cpu_budget, pin_current_thread};

use crate::BenchError;
use crate::cost::CpuTime;
use crate::peer::Publisher;
use crate::readers::{Check, Readers, Wait};
use crate::server::{ServerOptions, ServerProcess};
use crate::synthetic::{PACKET_BYTES, Source};

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
    /// How the readers' thread waits for them.
    pub wait: Wait,
}

/// A server with its publisher and its readers, warmed up.
#[derive(Debug)]
pub struct Fanout {
    shape: FanoutShape,
    server: ServerProcess,
    publisher: Publisher,
    readers: Readers,
    source: Source,
    frame: Vec<u8>,
    published_bytes: u64,
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

    /// Starts a server on its CPU, which it inherits from this thread, and leaves this thread on the readers' CPU.
    ///
    /// # Errors
    /// When the system refuses, and as [`ServerProcess::start`].
    pub fn start_server(self, options: &ServerOptions) -> Result<ServerProcess, BenchError> {
        pin_current_thread(self.server)?;
        let server = ServerProcess::start(options);
        pin_current_thread(self.readers)?;
        server
    }
}

impl Fanout {
    /// Starts the server, publishes, connects the readers, and sends the first batches.
    ///
    /// # Errors
    /// When the server does not play along.
    pub fn start(
        cpus: Cpus,
        options: &ServerOptions,
        shape: FanoutShape,
    ) -> Result<Self, BenchError> {
        let server = cpus.start_server(options)?;
        let address = server.address();
        let url = format!("rtsp://{address}/fanout");
        let publisher = Publisher::start(address, &url)?;
        let mut readers = Readers::connect(address, &url, shape.readers, Check::Bytes)?;
        readers.set_wait(shape.wait);
        let mut fanout = Self {
            shape,
            server,
            publisher,
            readers,
            source: Source::new(GOP_FRAMES),
            frame: Vec::with_capacity(shape.packets * PACKET_BYTES),
            published_bytes: 0,
        };
        fanout.send(WARM_UP_BATCHES)?;
        Ok(fanout)
    }

    /// Sends so many batches and says what they cost.
    ///
    /// # Errors
    /// When a connection ends or a reader lacks bytes.
    pub fn run(&mut self, batches: u64) -> Result<FanoutCost, BenchError> {
        let (begin, before) = (Instant::now(), self.server.cpu_time()?);
        self.send(batches)?;
        let wall = begin.elapsed();
        Ok(FanoutCost {
            cpu: self.server.cpu_time()? - before,
            wall,
            deliveries: batches * self.shape.packets as u64 * self.shape.readers as u64,
        })
    }

    /// The server's process, for a profiler.
    #[must_use]
    pub fn server(&self) -> &ServerProcess {
        &self.server
    }

    fn send(&mut self, batches: u64) -> Result<(), BenchError> {
        for _ in 0..batches {
            self.frame.clear();
            self.source.write_frame(self.shape.packets, &mut self.frame);
            self.published_bytes += self.frame.len() as u64;
            self.publisher.send(&self.frame)?;
            self.readers.read_bytes(self.published_bytes)?;
        }
        Ok(())
    }
}
