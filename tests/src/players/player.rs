//! The players as their users start them, with all that they present going through taps.
//!
//! - **ffplay** presents through SDL: its video driver `dummy` saves each picture as it shows it, its audio driver `disk`
//!   writes each buffer when a sound card would ask for it. ffplay takes it that two such buffers are always on their way to
//!   the loudspeaker, so what it writes is heard one buffer later.
//! - **GStreamer**'s sinks wait for the clock (`sync=true`) and write into pipes.
//! - **VLC**'s video output `yuv` writes each picture when it is due. Its outputs for sound without a sound card are not
//!   paced, so lip sync is what a second VLC has written into a transport stream: the timestamps by which it would present.
//!
//! All of them keep their own buffering: 2 s in GStreamer's `rtspsrc`, 1 s in VLC, what it takes to probe in ffplay.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::source::{Begin, PICTURE_HEIGHT, SAMPLE_RATE};
use super::tap::{Ear, Framing, Pipe, Written, lock, tap_files};
use super::timeline::{Picture, Timeline};
use crate::interop::clip::CROP_FILTER;
use crate::interop::counter::{HEIGHT, WIDTH, read_counters};
use crate::interop::process::{Program, ProgramError};
use crate::interop::read::{Scratch, vlc_root};
use crate::interop::transport::Transport;

/// What ffplay asks SDL for at once, at the sources' rate: 2048 samples.
const SDL_BUFFER: Duration = Duration::from_millis(64);
/// How long ffmpeg may take to decode what VLC has written.
const DECODE_LIMIT: Duration = Duration::from_secs(30);
/// VLC's transport stream is looked at in steps of 10 ms.
const STEPS_PER_SECOND: usize = 100;

/// A program that plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Player {
    /// ffmpeg's own, `ffplay`.
    Ffplay,
    /// `gst-launch-1.0 rtspsrc`.
    GStreamer,
    /// `cvlc`.
    Vlc,
}

/// A player that plays. Dropping it ends it.
#[derive(Debug)]
pub struct Playing {
    program: Program,
    presented: Written,
    /// The second VLC and its file.
    recorder: Option<(Program, PathBuf)>,
    is_over: Arc<AtomicBool>,
    _pipes: Vec<Pipe>,
    folder: PathBuf,
    /// In VLC's own root, which the folder is not.
    _scratch: Option<Scratch>,
}

impl Player {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ffplay, Self::GStreamer, Self::Vlc];

    /// Short name, fit for a file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ffplay => "ffplay",
            Self::GStreamer => "gstreamer",
            Self::Vlc => "vlc",
        }
    }

    /// Starts it, with what it leaves behind going to `folder`, which is its own.
    ///
    /// # Errors
    /// When a program is not there.
    pub fn play(
        self,
        url: &str,
        transport: Transport,
        folder: &Path,
        begin: Begin,
    ) -> Result<Playing, ProgramError> {
        match self {
            Self::Ffplay => ffplay(url, transport, folder, begin),
            Self::GStreamer => gstreamer(url, transport, folder, begin),
            Self::Vlc => vlc(url, transport, folder, begin),
        }
    }
}

impl Playing {
    /// What has been presented so far.
    pub fn presented(&self) -> Timeline {
        lock(&self.presented).clone()
    }

    /// Fails when the player no longer plays.
    ///
    /// # Errors
    /// With what it has said.
    pub fn check_running(&mut self) -> Result<(), ProgramError> {
        self.program.check_running()
    }

    /// Ends it. What it has presented; and the timeline on which lip sync is to be looked at if that is another one, which
    /// then begins at 0.
    ///
    /// # Errors
    /// When what VLC has recorded cannot be decoded.
    pub fn stop(self) -> Result<(Timeline, Option<Timeline>), ProgramError> {
        let Self {
            program,
            recorder,
            presented,
            folder,
            is_over,
            ..
        } = self;
        drop(program);
        is_over.store(true, Ordering::Relaxed);
        let recorded = recorder.map(|(program, file)| {
            drop(program);
            decode(&file, &folder)
        });
        let presented = lock(&presented).clone();
        Ok((presented, recorded.transpose()?))
    }
}

fn ffplay(
    url: &str,
    transport: Transport,
    folder: &Path,
    begin: Begin,
) -> Result<Playing, ProgramError> {
    let (presented, is_over) = (Written::default(), Arc::<AtomicBool>::default());
    let sound = Pipe::create(folder.join("sound"))?;
    sound.tap_sound(SDL_BUFFER, begin, &presented)?;
    let files = folder.to_owned();
    tap_files(files, Arc::clone(&is_over), begin, &presented);
    let mut command = Command::new("ffplay");
    command.current_dir(folder);
    command.envs([
        ("SDL_VIDEODRIVER", "dummy"),
        ("SDL_VIDEO_DUMMY_SAVE_FRAMES", "1"),
        ("SDL_AUDIODRIVER", "disk"),
    ]);
    command.env("SDL_DISKAUDIOFILE", sound.path());
    command.args(["-hide_banner", "-loglevel", "warning", "-nostats"]);
    command.args(["-rtsp_transport", transport.of_ffmpeg(), url]);
    Ok(Playing {
        program: Program::start(&mut command, &folder.join("log"))?,
        presented,
        recorder: None,
        is_over,
        _pipes: vec![sound],
        folder: folder.to_owned(),
        _scratch: None,
    })
}

fn gstreamer(
    url: &str,
    transport: Transport,
    folder: &Path,
    begin: Begin,
) -> Result<Playing, ProgramError> {
    let presented = Written::default();
    let pictures = Pipe::create(folder.join("pictures"))?;
    pictures.tap_pictures(Framing::Grey, begin, &presented)?;
    let sound = Pipe::create(folder.join("sound"))?;
    sound.tap_sound(Duration::ZERO, begin, &presented)?;
    let pipeline = format!(
        "rtspsrc name=server protocols={transport} location={url} \
         server. ! application/x-rtp,media=video ! decodebin ! videoconvert ! video/x-raw,format=GRAY8 \
         ! filesink buffer-mode=unbuffered sync=true location={pictures} \
         server. ! application/x-rtp,media=audio ! decodebin ! audioconvert ! audioresample \
         ! audio/x-raw,format=S16LE,channels=1,rate={SAMPLE_RATE} \
         ! filesink buffer-mode=unbuffered sync=true location={sound}",
        transport = transport.of_gstreamer(),
        pictures = pictures.path().display(),
        sound = sound.path().display(),
    );
    let mut command = Command::new("gst-launch-1.0");
    command.arg("-q").args(pipeline.split_whitespace());
    Ok(Playing {
        program: Program::start(&mut command, &folder.join("log"))?,
        presented,
        recorder: None,
        is_over: Arc::default(),
        _pipes: vec![pictures, sound],
        folder: folder.to_owned(),
        _scratch: None,
    })
}

fn vlc(
    url: &str,
    transport: Transport,
    folder: &Path,
    begin: Begin,
) -> Result<Playing, ProgramError> {
    let presented = Written::default();
    let root = vlc_root().unwrap_or_default();
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let inside = PathBuf::from(format!("/tmp/shardcast-{}-{name}", std::process::id()));
    let outside = root.join(inside.strip_prefix("/").unwrap_or(&inside));
    let scratch = Scratch::create(outside.clone())?;
    let pictures = Pipe::create(outside.join("pictures"))?;
    pictures.tap_pictures(Framing::Yuv4Mpeg, begin, &presented)?;

    let mut player = cvlc(&root, transport);
    player.args(["--vout", "yuv", "--yuv-chroma", "I420", "--yuv-file"]);
    player.arg(inside.join("pictures"));
    player.args(["--no-spu", "--no-osd", "--aout", "adummy", url]);
    let mut recorder = cvlc(&root, transport);
    let stream = inside.join("stream.ts");
    let keep = format!("#std{{access=file,mux=ts,dst={}}}", stream.display());
    recorder.args(["--sout", &keep, &format!("{url}-recorder")]);
    Ok(Playing {
        program: Program::start(&mut player, &folder.join("log"))?,
        presented,
        recorder: Some((
            Program::start(&mut recorder, &folder.join("recorder-log"))?,
            outside.join("stream.ts"),
        )),
        is_over: Arc::default(),
        _pipes: vec![pictures],
        folder: folder.to_owned(),
        _scratch: Some(scratch),
    })
}

/// VLC in its own root, where it is nobody.
fn cvlc(root: &Path, transport: Transport) -> Command {
    let mut command = Command::new("chroot");
    command.arg("--userspec=65534:65534").arg(root);
    command.args(["/usr/bin/cvlc", "-I", "dummy", "--no-dbus"]);
    command.args(transport.of_vlc());
    command
}

/// The timeline of a recorded stream: pictures and sound at their timestamps, from the first one on.
fn decode(stream: &Path, folder: &Path) -> Result<Timeline, ProgramError> {
    let (grey, pcm) = (folder.join("grey"), folder.join("pcm"));
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-loglevel", "error", "-y"]);
    command
        .args(["-copyts", "-start_at_zero", "-i"])
        .arg(stream);
    command.args(["-map", "0:v", "-vf", CROP_FILTER, "-fps_mode", "cfr", "-r"]);
    command.arg(STEPS_PER_SECOND.to_string());
    command
        .args(["-pix_fmt", "gray", "-f", "rawvideo"])
        .arg(&grey);
    command.args(["-map", "0:a", "-af", "aresample=async=1:first_pts=0"]);
    command.args(["-ac", "1", "-ar", &SAMPLE_RATE.to_string(), "-f", "s16le"]);
    command.arg(&pcm);
    Program::start(&mut command, &folder.join("decode-log"))?.wait(DECODE_LIMIT)?;
    let grey = std::fs::read(&grey).map_err(ProgramError::io(&grey))?;
    let pcm = std::fs::read(&pcm).map_err(ProgramError::io(&pcm))?;
    Ok(Timeline {
        pictures: firsts(&read_counters(&grey)),
        beeps: Ear::default().hear(0.0, &pcm),
    })
}

/// Each picture where it is shown first.
fn firsts(steps: &[Option<u64>]) -> Vec<Picture> {
    let before = std::iter::once(&None).chain(steps);
    let steps = steps.iter().zip(before).enumerate();
    let first = steps.filter_map(|(step, (number, before))| {
        let at_s = step as f64 / STEPS_PER_SECOND as f64;
        let number = number.filter(|_| number != before)?;
        Some(Picture { at_s, number })
    });
    first.collect()
}

const _: () = assert!(
    PICTURE_HEIGHT > HEIGHT && WIDTH == 320,
    "CROP_FILTER finds the counter in a picture"
);
