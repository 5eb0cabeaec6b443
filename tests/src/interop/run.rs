//! One run: a clip is published on a path, several readers play it side by side, and what each has decoded is checked.

use std::fmt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::clip::{CLIP_DURATION, Clip};
use super::counter;
use super::process::ProgramError;
use super::publish::Publisher;
use super::read::Reader;
use super::tone;
use super::transport::Transport;
use crate::daemon::Daemon;
use crate::wait::poll_until;

/// How long a publisher may take until its path is there: `rtspclientsink` fills its own buffers for 2 s first.
const PATH_LIMIT: Duration = Duration::from_secs(20);
/// A reader that is started while the clip begins decodes its first key frame within so many seconds of it. The slowest
/// is VLC behind `rtspclientsink`, which sends its first 2 s at once.
const FIRST_FRAME_LIMIT: Duration = Duration::from_secs(5);
/// What the audio may lack of the video's duration: it starts and ends up to a muxing interval apart, decoders swallow
/// their first frames, and a reader that catches up is given a group of pictures of a second, but no sound, from before it
/// came.
const AUDIO_SLACK: Duration = Duration::from_millis(1750);

/// Which clip goes which way.
#[derive(Debug, Clone, Copy)]
pub struct Way<'a> {
    /// Host of the URLs, in brackets for IPv6, behind who asks if that has to be said.
    pub host: &'a str,
    /// The daemon.
    pub daemon: &'a Daemon,
    /// What is published.
    pub clip: Clip,
    /// By which program.
    pub publisher: Publisher,
    /// How it is published.
    pub publish_over: Transport,
    /// Folder with the clips.
    pub clips: &'a Path,
    /// Folder for what is written on the way.
    pub scratch: &'a Path,
    /// Begins the names of what is written.
    pub name: &'a str,
}

/// What became of a publisher or reader.
#[derive(Debug)]
pub struct Outcome {
    /// Who, on which way.
    pub who: String,
    /// The first frame that a reader decoded (0 for a publisher), or what is wrong.
    pub result: Result<u64, String>,
    /// How long it took.
    pub took: Duration,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.result {
            Ok(first) => write!(
                f,
                "{}: whole from frame {first}, {:.1?}",
                self.who, self.took
            ),
            Err(error) => write!(f, "{}: {error} ({:.1?})", self.who, self.took),
        }
    }
}

impl Outcome {
    /// Does `work` and notes what becomes of it.
    pub fn of(who: String, work: impl FnOnce() -> Result<u64, String>) -> Self {
        let start = Instant::now();
        let result = work();
        let took = start.elapsed();
        Self { who, result, took }
    }
}

impl Way<'_> {
    /// Publishes the clip once and reads it with each of `readers` at the same time, each over its transport.
    pub fn carry(&self, readers: &[(Reader, Transport)]) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let publisher = Outcome::of(format!("{} publisher", self.stem()), || {
            let log = self.scratch.join(format!("{}-publisher.log", self.stem()));
            let to = (self.url(), self.publish_over);
            let program = self
                .publisher
                .start(self.clip, self.clips, (&to.0, to.1), &log);
            let program = program.map_err(say)?;
            let hung = thread::scope(|scope| {
                let published = scope.spawn(|| self.publisher.finish(program));
                outcomes = self.read_all(readers);
                published.join().expect("a publisher's thread panicked")
            });
            // What its readers make of such an end is not theirs to answer for.
            if let Some(hung) = hung.map_err(say)? {
                blame(&mut outcomes, &hung);
            }
            Ok(0)
        });
        outcomes.push(publisher);
        outcomes
    }

    fn read_all(&self, readers: &[(Reader, Transport)]) -> Vec<Outcome> {
        let path = Outcome::of(format!("{} path", self.stem()), || {
            self.wait_path().map(|()| 0)
        });
        if path.result.is_err() {
            return vec![path];
        }
        thread::scope(|scope| {
            let started: Vec<_> = readers
                .iter()
                .map(|(reader, over)| scope.spawn(|| self.read(*reader, *over)))
                .collect();
            started
                .into_iter()
                .map(|reader| reader.join().expect("a reader's thread panicked"))
                .collect()
        })
    }

    /// Waits until the daemon says that the path is published: asking for it would need to say who asks.
    fn wait_path(&self) -> Result<(), String> {
        let said = format!("is publishing to path '{}'", self.path());
        let up = poll_until(PATH_LIMIT, || {
            self.daemon.log().contains(&said).then_some(())
        });
        up.ok_or_else(|| format!("the path is not there after {PATH_LIMIT:?}"))
    }

    fn read(&self, reader: Reader, over: Transport) -> Outcome {
        let who = format!("{}-{}-{}", self.stem(), reader.name(), over.name());
        Outcome::of(who.clone(), || self.read_checked(reader, over, &who))
    }

    fn read_checked(&self, reader: Reader, over: Transport, name: &str) -> Result<u64, String> {
        let decoded = reader.read(&self.url(), over, self.scratch, name);
        let decoded = decoded.map_err(say)?;
        let counters = counter::read_counters(&decoded.video().map_err(say)?);
        let rate = self.clip.frame_rate();
        let end_frames = reader.end_frames_forgotten(over);
        let first = counter::check(&counters, rate, self.clip.frames(), end_frames).map_err(say)?;
        if first > rate * FIRST_FRAME_LIMIT.as_secs() {
            return Err(format!("the first decoded frame is {first}"));
        }
        if reader != Reader::Retina {
            let left = CLIP_DURATION - Duration::from_secs(first / rate);
            let audio = decoded.audio().map_err(say)?;
            tone::check(&audio, left - AUDIO_SLACK).map_err(|flaw| flaw.to_string())?;
        }
        Ok(first)
    }

    fn url(&self) -> String {
        format!(
            "rtsp://{}:{}/{}",
            self.host,
            self.daemon.port(),
            self.path()
        )
    }

    fn path(&self) -> String {
        let Self {
            publisher,
            publish_over,
            clip,
            ..
        } = self;
        format!(
            "{}/{}/{}",
            publisher.name(),
            publish_over.name(),
            clip.name()
        )
    }

    fn stem(&self) -> String {
        format!("{}-{}", self.name, self.path().replace('/', "-"))
    }
}

/// Adds to whatever went wrong that the publisher hung.
fn blame(outcomes: &mut [Outcome], hung: &ProgramError) {
    for outcome in outcomes {
        if let Err(error) = &mut outcome.result {
            error.push_str(&format!("; its publisher, {hung}"));
        }
    }
}

fn say(error: impl ToString) -> String {
    error.to_string()
}
