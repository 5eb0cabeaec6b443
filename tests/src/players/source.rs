//! A live source: pictures that carry their number, painted when they are due and handed to an ffmpeg that encodes them,
//! and a beep at each full second, whose length says which one. One encoder feeds several paths, so that what differs
//! between them is the server's alone.

use std::io::Write as _;
use std::path::Path;
use std::process::{ChildStdin, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use crate::interop::counter::{self, HEIGHT, WIDTH};
use crate::interop::process::{Program, ProgramError};
use crate::wait::wait_until;

/// Pictures per second.
pub const FRAME_RATE: u64 = 25;
/// Seconds between two key frames.
pub const GROUP_SECONDS: u64 = 10;
/// Beeps begin again after so many.
pub const BEEP_SECONDS_CYCLE: u64 = 4;
/// The first of them lasts so long, the second twice that, and so on.
pub const BEEP_STEP: Duration = Duration::from_millis(40);
/// Samples per second. A player by SDL asks for 2048 at once, which at this rate are whole milliseconds, as SDL's pace is.
pub const SAMPLE_RATE: u64 = 32_000;
/// Height of a picture: the counter, and below it noise, which makes the bit rate.
pub const PICTURE_HEIGHT: usize = 2 * HEIGHT;
/// Different fields of noise, of which each differs from the one before.
const NOISES: u64 = 8;

/// How pictures are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// As they come, without delay.
    Plain,
    /// With B-frames, so that decoding order and timestamps differ.
    Reordered,
}

impl Order {
    /// Short name, fit for a path.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Reordered => "reordered",
        }
    }

    fn encoder(self) -> &'static [&'static str] {
        match self {
            Self::Plain => &["-tune", "zerolatency"],
            Self::Reordered => &[
                "-bf",
                "2",
                "-x264-params",
                "rc-lookahead=5:sync-lookahead=0",
            ],
        }
    }
}

/// The moment at which the sources begin: all times are seconds since then.
#[derive(Debug, Clone, Copy)]
pub struct Begin {
    instant: Instant,
    system: SystemTime,
}

impl Begin {
    /// Now.
    pub fn now() -> Self {
        Self {
            instant: Instant::now(),
            system: SystemTime::now(),
        }
    }

    /// Seconds since then.
    pub fn elapsed_s(self) -> f64 {
        self.instant.elapsed().as_secs_f64()
    }

    /// Seconds from then to a moment of the wall clock.
    pub fn seconds_to(self, moment: SystemTime) -> f64 {
        let since = moment.duration_since(self.system);
        since.map_or(0.0, |since| since.as_secs_f64())
    }

    /// So many seconds after it.
    pub fn after(self, seconds: f64) -> Instant {
        self.instant + Duration::from_secs_f64(seconds.max(0.0))
    }
}

/// A source that is being published. Dropping it ends it.
#[derive(Debug)]
pub struct Source {
    program: Program,
    is_over: Arc<AtomicBool>,
    painter: Option<JoinHandle<f64>>,
}

impl Source {
    /// Begins to publish to all of these URLs, with ffmpeg's words going to `log`.
    ///
    /// # Errors
    /// When ffmpeg is not there.
    pub fn start(
        order: Order,
        urls: &[String],
        begin: Begin,
        log: &Path,
    ) -> Result<Self, ProgramError> {
        let (program, pictures) = Program::start_fed(&mut ffmpeg(order, urls), log)?;
        let is_over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_over);
        let painter = thread::spawn(move || paint(pictures, begin, &told));
        Ok(Self {
            program,
            is_over,
            painter: Some(painter),
        })
    }

    /// Fails when ffmpeg no longer publishes.
    ///
    /// # Errors
    /// With what it has said.
    pub fn check_running(&mut self) -> Result<(), ProgramError> {
        self.program.check_running()
    }

    /// Ends it; by how many seconds a picture was handed over too late, at most.
    ///
    /// # Panics
    /// When the painter has.
    pub fn stop(mut self) -> f64 {
        self.is_over.store(true, Ordering::Relaxed);
        let painter = self.painter.take().expect("it is taken here alone");
        painter.join().expect("the painter does not panic")
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        // The painter sees it at the next picture.
        self.is_over.store(true, Ordering::Relaxed);
    }
}

fn ffmpeg(order: Order, urls: &[String]) -> Command {
    let size = format!("{WIDTH}x{PICTURE_HEIGHT}");
    let rate = FRAME_RATE.to_string();
    let group = (FRAME_RATE * GROUP_SECONDS).to_string();
    let outputs: Vec<String> = urls
        .iter()
        .map(|url| format!("[f=rtsp:rtsp_transport=tcp]{url}"))
        .collect();
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "warning"]);
    command.args(["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", &size]);
    command.args(["-r", &rate, "-i", "pipe:0", "-f", "lavfi", "-i", &beeps()]);
    command.args(["-map", "0:v", "-map", "1:a"]);
    command.args(["-c:v", "libx264", "-preset", "ultrafast", "-b:v", "1M"]);
    command.args(["-g", &group, "-keyint_min", &group, "-sc_threshold", "0"]);
    command.args(order.encoder());
    command.args(["-c:a", "aac", "-b:a", "64k", "-flags", "+global_header"]);
    command.args(["-f", "tee", &outputs.join("|")]);
    command
}

/// ffmpeg's expression for the beeps.
fn beeps() -> String {
    let step_s = BEEP_STEP.as_secs_f64();
    let length = format!("{step_s}*(1+mod(floor(t)\\,{BEEP_SECONDS_CYCLE}))");
    let is_loud = format!("lt(mod(t\\,1)\\,{length})");
    format!("aevalsrc=exprs='if({is_loud}\\,0.5*sin(2*PI*1000*t)\\,0)':s={SAMPLE_RATE}")
}

/// Hands over each picture when it is due, until told or until nobody takes them.
fn paint(mut pictures: ChildStdin, begin: Begin, is_over: &AtomicBool) -> f64 {
    let noises: Vec<Vec<u8>> = (1..=NOISES).map(noise).collect();
    let chroma = vec![128; WIDTH * PICTURE_HEIGHT / 2];
    let mut late_max_s: f64 = 0.0;
    for (number, noise) in (0..).zip(noises.iter().cycle()) {
        let due_s = number as f64 / FRAME_RATE as f64;
        wait_until(begin.after(due_s));
        let picture = [&counter::paint(number), noise.as_slice(), &chroma].concat();
        if is_over.load(Ordering::Relaxed) || pictures.write_all(&picture).is_err() {
            break;
        }
        late_max_s = late_max_s.max(begin.elapsed_s() - due_s);
    }
    late_max_s
}

/// What no encoder can foretell, from a linear congruential generator (Knuth's MMIX).
fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        96 + (state >> 58) as u8
    };
    std::iter::repeat_with(next).take(WIDTH * HEIGHT).collect()
}
