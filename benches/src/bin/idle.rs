//! What readers cost that wait: they have set a track up and do not play, of a stream that stands nearly still, and keep
//! their sessions alive. Prints the server's memory per session, and its CPU time.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use shardcast_benches::BenchError;
use shardcast_benches::fanout::Cpus;
use shardcast_benches::peer::Publisher;
use shardcast_benches::role;
use shardcast_benches::server::{Program, ServerOptions};
use shardcast_benches::synthetic::{PACKET_BYTES, Source};

/// Memory is compared from this part of the sessions to all of them: what the first ones need is there once.
const FIRST_PART: usize = 4;
/// The publisher's packets: it is ended when it stays silent for ten seconds.
const PUBLISH_INTERVAL: Duration = Duration::from_secs(5);
/// Above every answer.
const ANSWER_BYTES_MAX: usize = 4096;
/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Lets many readers wait.
#[derive(Debug, Parser)]
struct Options {
    /// The daemon to start instead of this program's own server
    #[arg(long)]
    server: Option<PathBuf>,
    /// The driver
    #[arg(long, default_value = "auto")]
    driver: String,
    /// Sessions
    #[arg(long, default_value_t = 1000)]
    sessions: usize,
    /// Seconds between two keep-alives of a session
    #[arg(long, default_value_t = 30)]
    keep_alive: u64,
    /// How long to watch
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

fn main() -> ExitCode {
    role::play_if_asked();
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("idle: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), BenchError> {
    let _limit = shardcast_platform::raise_descriptor_limit()?;
    let server = Cpus::choose().start_server(&ServerOptions {
        program: options.server.clone().map_or(Program::Own, Program::Daemon),
        driver: options.driver.clone(),
        ..ServerOptions::default()
    })?;
    let started_in = server.started_in.as_secs_f64() * 1e3;
    let resident = server.resident_bytes_now()? >> 10;
    println!("start            {started_in:.1} ms, then {resident} KiB resident");
    let url = format!("rtsp://{}/idle", server.address());
    let mut stream = Stream::start(server.address(), &url)?;
    let first = options.sessions / FIRST_PART;
    let mut sessions = Vec::with_capacity(options.sessions);
    let mut set_up = |until: usize, stream: &mut Stream| {
        while sessions.len() < until {
            stream.go_on()?;
            sessions.push(Session::set_up(server.address(), &url)?);
        }
        server.resident_bytes_now()
    };
    let before = set_up(first, &mut stream)?;
    let after = set_up(options.sessions, &mut stream)?;
    let each = after.saturating_sub(before) / (options.sessions - first).max(1) as u64;
    println!("resident memory  {each} bytes a session");
    let (begin, cpu) = (Instant::now(), server.cpu_time()?);
    let kept_alive = keep_alive(options, &mut sessions, &mut stream)?;
    let cpu = (server.cpu_time()? - cpu).process.as_secs_f64();
    let share = cpu / begin.elapsed().as_secs_f64() * 100.0;
    println!("keep-alives      {kept_alive}");
    println!("CPU              {share:.2} % of a core");
    Ok(())
}

/// Keeps all sessions alive, one after the other at even intervals; how many times.
fn keep_alive(
    options: &Options,
    sessions: &mut [Session],
    stream: &mut Stream,
) -> Result<usize, BenchError> {
    let begin = Instant::now();
    let interval = Duration::from_secs(options.keep_alive) / sessions.len().max(1) as u32;
    let mut kept_alive = 0;
    while begin.elapsed() < Duration::from_secs(options.seconds) {
        for session in &mut *sessions {
            let due = begin + interval * kept_alive as u32;
            if due >= begin + Duration::from_secs(options.seconds) {
                return Ok(kept_alive);
            }
            thread::sleep(due.saturating_duration_since(Instant::now()));
            stream.go_on()?;
            session.ask("OPTIONS * RTSP/1.0\r\n")?;
            kept_alive += 1;
        }
    }
    Ok(kept_alive)
}

/// A stream of a packet now and then.
struct Stream {
    publisher: Publisher,
    source: Source,
    last: Option<Instant>,
}

impl Stream {
    fn start(address: SocketAddr, url: &str) -> Result<Self, BenchError> {
        Ok(Self {
            publisher: Publisher::start(address, url)?,
            source: Source::new(1, PACKET_BYTES),
            last: None,
        })
    }

    fn go_on(&mut self) -> Result<(), BenchError> {
        if self
            .last
            .is_none_or(|last| last.elapsed() >= PUBLISH_INTERVAL)
        {
            let mut frame = Vec::new();
            self.source.write_frame(1, &mut frame);
            self.publisher.send(&frame)?;
            self.last = Some(Instant::now());
        }
        Ok(())
    }
}

/// A reader that waits.
struct Session(TcpStream);

impl Session {
    /// Connects, describes, and sets the track up.
    fn set_up(address: SocketAddr, url: &str) -> Result<Self, BenchError> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        let mut session = Self(stream);
        session.ask(&format!("DESCRIBE {url} RTSP/1.0\r\n"))?;
        session.ask(&format!(
            "SETUP {url}/trackID=0 RTSP/1.0\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
        ))?;
        Ok(session)
    }

    /// Sends a request and reads its answer.
    fn ask(&mut self, request: &str) -> Result<(), BenchError> {
        let request = format!("{request}CSeq: 1\r\n\r\n");
        self.0.write_all(request.as_bytes())?;
        let (mut answer, mut read) = ([0; ANSWER_BYTES_MAX], 0);
        while !is_whole(&String::from_utf8_lossy(&answer[..read])) {
            match self.0.read(&mut answer[read..])? {
                0 => return Err(BenchError::Closed("a session that waits")),
                count => read += count,
            }
        }
        match answer.starts_with(b"RTSP/1.0 200") {
            true => Ok(()),
            false => Err(io::Error::other(String::from_utf8_lossy(&answer[..read])).into()),
        }
    }
}

/// Whether an answer is here with its body.
fn is_whole(answer: &str) -> bool {
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "));
    body.len() >= length.and_then(|length| length.parse().ok()).unwrap_or(0)
}
