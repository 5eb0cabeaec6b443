//! Requests over HTTP beside a load of streams: what scrapes and questions to the API cost the media, and what they take
//! themselves.
//!
//! The server has one CPU, readers, publishers and whoever asks the other. Who asks keeps its connections, as Prometheus and
//! scripts do, and asks by the clock: a slow answer makes no later question later.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use shardcast_bench::shape::Load;
use shardcast_bench::target::Target;

use crate::BenchError;
use crate::fanout::Cpus;
use crate::server::ServerOptions;
use crate::settings::Settings;
use crate::steady::Steady;

/// Connections over which requests go in turn.
const CONNECTIONS: u32 = 4;
/// How long a response may take before the run fails.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

/// What is asked meanwhile.
#[derive(Clone, Copy, Debug)]
pub enum Asking {
    /// Nothing.
    Nothing,
    /// `/metrics`, so many times a second.
    Scrapes(f64),
    /// Pages of the API in turn, so many times a second.
    Requests(f64),
}

/// A load of streams over TCP.
#[derive(Clone, Copy, Debug)]
pub struct BesideShape {
    /// Readers in all.
    pub readers: usize,
    /// Paths that they are spread over.
    pub paths: usize,
    /// Bit rate of each path in Mbit/s.
    pub mbit: f64,
    /// How long is measured.
    pub duration: Duration,
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct BesideFigures {
    /// How long 99 % of the packets took at most.
    pub media_p99: Duration,
    /// Packets that the looking readers lack.
    pub lost: u64,
    /// CPU time of the server's process per packet and reader, in nanoseconds.
    pub server_nanos: f64,
    /// How long each answer took.
    pub answers: Vec<Duration>,
    /// The longest body.
    pub body_bytes: usize,
    /// Answers with another status than 200.
    pub refused: usize,
}

impl BesideShape {
    fn load(self) -> Load {
        let steady = Steady {
            readers: self.readers,
            paths: self.paths,
            mbit: self.mbit,
            ramp: Duration::from_secs(2),
            duration: self.duration,
        };
        steady.load()
    }
}

impl Asking {
    /// How often a second.
    #[must_use]
    pub fn per_second(self) -> f64 {
        match self {
            Self::Nothing => 0.0,
            Self::Scrapes(rate) | Self::Requests(rate) => rate,
        }
    }

    fn targets(self) -> &'static [&'static str] {
        match self {
            Self::Nothing => &[],
            Self::Scrapes(_) => &["/metrics"],
            Self::Requests(_) => &[
                "/v3/info",
                "/v3/paths/list",
                "/v3/rtspsessions/list?itemsPerPage=100",
                "/v3/config/global/get",
            ],
        }
    }
}

/// Has the streams flow, and asks meanwhile. Where nothing is asked, the sites listen all the same.
///
/// # Errors
/// When the server does not play along.
pub fn measure(
    cpus: Cpus,
    options: &ServerOptions,
    shape: BesideShape,
    asking: Asking,
) -> Result<BesideFigures, BenchError> {
    let (api, metrics) = (free_address()?, free_address()?);
    let sites = format!("api=yes,apiAddress={api},metrics=yes,metricsAddress={metrics}");
    let sites: Settings = sites
        .parse()
        .map_err(|error: crate::settings::SettingsError| BenchError::Limit(error.to_string()))?;
    let server = cpus.start_server(&ServerOptions {
        settings: sites,
        ..options.clone()
    })?;
    let site = match asking {
        Asking::Scrapes(_) => metrics,
        Asking::Nothing | Asking::Requests(_) => api,
    };
    let url = format!("rtsp://{}/beside", server.address());
    let target = Target::parse("target", &url, shape.paths)?;
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let asked = scope.spawn(|| ask_all(site, asking, &is_over));
        let (load, id) = (shape.load(), Some(server.id()));
        let measured = shardcast_bench::measure(target, id, &load, &cpus.load());
        is_over.store(true, Ordering::Relaxed);
        let mut figures = asked.join().map_err(|_| BenchError::Panicked)??;
        let measured = measured?;
        figures.media_p99 = measured.latency(0.99).unwrap_or_default();
        figures.lost = measured.sampled.lost + measured.sampled.skipped;
        figures.server_nanos = measured.server_nanos().unwrap_or(f64::NAN);
        Ok(figures)
    })
}

fn free_address() -> Result<SocketAddr, BenchError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?)
}

/// Asks over all connections until it is over.
fn ask_all(
    site: SocketAddr,
    asking: Asking,
    is_over: &AtomicBool,
) -> Result<BesideFigures, BenchError> {
    let connections = match asking {
        Asking::Nothing => 0,
        Asking::Scrapes(_) => 1,
        Asking::Requests(_) => CONNECTIONS,
    };
    let mut all = BesideFigures::default();
    thread::scope(|scope| {
        let rate = asking.per_second() / f64::from(connections.max(1));
        let askers: Vec<_> = (0..connections)
            .map(|_| scope.spawn(move || ask(site, asking.targets(), rate, is_over)))
            .collect();
        for asker in askers {
            let one = asker.join().map_err(|_| BenchError::Panicked)??;
            all.answers.extend(one.answers);
            all.body_bytes = all.body_bytes.max(one.body_bytes);
            all.refused += one.refused;
        }
        Ok(all)
    })
}

fn ask(
    site: SocketAddr,
    targets: &[&str],
    per_second: f64,
    is_over: &AtomicBool,
) -> io::Result<BesideFigures> {
    let mut stream = TcpStream::connect(site)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(RESPONSE_TIMEOUT))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut figures = BesideFigures::default();
    let (begin, interval) = (Instant::now(), Duration::from_secs_f64(1.0 / per_second));
    for (number, target) in (0_u32..).zip(targets.iter().cycle()) {
        let due = begin + interval * number;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let asked = Instant::now();
        stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: {site}\r\n\r\n").as_bytes())?;
        let (is_good, body_bytes) = read_response(&mut reader)?;
        figures.answers.push(asked.elapsed());
        figures.body_bytes = figures.body_bytes.max(body_bytes);
        figures.refused += usize::from(!is_good);
    }
    Ok(figures)
}

/// Whether it is a good one, and the length of its body.
fn read_response(reader: &mut BufReader<TcpStream>) -> io::Result<(bool, usize)> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let is_good = line.starts_with("HTTP/1.1 200 ");
    let mut body_bytes = 0;
    while line.trim_end() != "" {
        line.clear();
        reader.read_line(&mut line)?;
        let (name, value) = line.split_once(':').unwrap_or_default();
        if name.eq_ignore_ascii_case("content-length") {
            body_bytes = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    let taken = io::copy(&mut reader.take(body_bytes), &mut io::sink())?;
    match usize::try_from(taken) {
        Ok(taken) if taken as u64 == body_bytes => Ok((is_good, taken)),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
