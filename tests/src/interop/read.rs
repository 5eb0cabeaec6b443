//! Readers: ffmpeg, GStreamer and VLC play a path until the server ends it, and leave the counters' rows and the tone
//! behind as raw files.
//!
//! ffmpeg and GStreamer decode by themselves. VLC without a screen drops pictures that come late by its own clock, so
//! it hands its elementary streams out undecoded and ffmpeg decodes them. VLC must not run as root: it lies in a folder
//! of its own (`$SHARDCAST_VLC`) and runs there as nobody.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::clip::{CLIP_DURATION, CROP_FILTER, PICTURE_HEIGHT};
use super::counter::HEIGHT;
use super::network::Ground;
use super::process::{Program, ProgramError};
use super::retina_reader;
use super::tone::SAMPLE_RATE;
use super::transport::Transport;

/// How long a reader may take in all: the clip, the 10 s that VLC waits for a silent server, and a busy machine.
const READ_LIMIT: Duration = CLIP_DURATION.saturating_add(Duration::from_secs(35));
/// How long ffmpeg may take to decode what another reader has kept.
const DECODE_LIMIT: Duration = Duration::from_secs(60);

/// A program that reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// `ffmpeg -i`.
    Ffmpeg,
    /// `gst-launch-1.0 rtspsrc`.
    GStreamer,
    /// `cvlc`.
    Vlc,
    /// The retina crate, video only.
    Retina,
}

impl Reader {
    /// Short name, fit for a file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ffmpeg => "ffmpeg",
            Self::GStreamer => "gstreamer",
            Self::Vlc => "vlc",
            Self::Retina => "retina",
        }
    }

    /// Whether it can read from a group there.
    pub fn knows_multicast(self, ground: Ground) -> bool {
        match self {
            Self::Ffmpeg => true,
            Self::GStreamer | Self::Vlc => ground == Ground::Loopback,
            Self::Retina => false,
        }
    }

    /// Of so many frames at the end some may be missing: VLC (3.0.24) forgets up to two that it has not shown when it hears
    /// an RTCP BYE, which it is spared over UDP, and cannot be spared in a group.
    pub fn end_frames_forgotten(self, transport: Transport) -> u64 {
        match (self, transport) {
            (Self::Vlc, Transport::Multicast) => 3,
            _ => 0,
        }
    }

    /// Reads `url` to its end and leaves the decoded streams in `directory`, under the name `name`.
    ///
    /// # Errors
    /// When the reader fails, or does not end by itself.
    pub fn read(
        self,
        url: &str,
        transport: Transport,
        directory: &Path,
        name: &str,
    ) -> Result<Decoded, ProgramError> {
        let decoded = Decoded::within(directory, name);
        match self {
            Self::Ffmpeg => run(ffmpeg(url, transport, &decoded), &decoded, READ_LIMIT)?,
            Self::GStreamer => run(gstreamer(url, transport, &decoded), &decoded, READ_LIMIT)?,
            Self::Vlc => vlc(url, transport, &decoded, name)?,
            Self::Retina => retina(url, transport, &decoded)?,
        }
        Ok(decoded)
    }
}

/// The folder with VLC, if the environment names one.
pub fn vlc_root() -> Option<PathBuf> {
    let named = std::env::var_os("SHARDCAST_VLC");
    named.filter(|name| !name.is_empty()).map(PathBuf::from)
}

/// Where a reader leaves what it has decoded.
#[derive(Debug, Clone)]
pub struct Decoded {
    stem: PathBuf,
}

impl Decoded {
    fn within(directory: &Path, name: &str) -> Self {
        let stem = directory.join(name);
        Self { stem }
    }

    /// The rows with the counter, grey, frame after frame.
    ///
    /// # Errors
    /// When the reader left none.
    pub fn video(&self) -> Result<Vec<u8>, ProgramError> {
        let file = self.file("grey");
        fs::read(&file).map_err(ProgramError::io(&file))
    }

    /// The samples, mono, 16 bits.
    ///
    /// # Errors
    /// When the reader left none.
    pub fn audio(&self) -> Result<Vec<u8>, ProgramError> {
        let file = self.file("pcm");
        fs::read(&file).map_err(ProgramError::io(&file))
    }

    fn file(&self, extension: &str) -> PathBuf {
        // Not `with_extension`, which would cut the name at a dot.
        let mut name = self.stem.clone().into_os_string();
        name.push(".");
        name.push(extension);
        PathBuf::from(name)
    }
}

fn run(mut command: Command, decoded: &Decoded, limit: Duration) -> Result<(), ProgramError> {
    Program::start(&mut command, &decoded.file("log"))?.wait(limit)
}

fn ffmpeg(url: &str, transport: Transport, decoded: &Decoded) -> Command {
    let mut command = ffmpeg_from([
        OsStr::new("-rtsp_transport"),
        transport.of_ffmpeg().as_ref(),
        "-i".as_ref(),
        url.as_ref(),
    ]);
    command.args(VIDEO_OUT).arg(decoded.file("grey"));
    command.args(AUDIO_OUT).arg(decoded.file("pcm"));
    command
}

/// ffmpeg's arguments for the counter's rows: every decoded frame once, whatever its timestamp says.
const VIDEO_OUT: [&str; 10] = [
    "-map",
    "0:v",
    "-vf",
    CROP_FILTER,
    "-fps_mode",
    "passthrough",
    "-pix_fmt",
    "gray",
    "-f",
    "rawvideo",
];
/// ffmpeg's arguments for the tone.
const AUDIO_OUT: [&str; 8] = ["-map", "0:a", "-ac", "1", "-ar", "8000", "-f", "s16le"];
const _: () = assert!(SAMPLE_RATE == 8000, "AUDIO_OUT names the sample rate");

fn ffmpeg_from<'a>(input: impl IntoIterator<Item = &'a OsStr>) -> Command {
    let mut command = Command::new("ffmpeg");
    command
        .args(["-nostdin", "-hide_banner", "-loglevel", "warning", "-y"])
        .args(input);
    command
}

fn gstreamer(url: &str, transport: Transport, decoded: &Decoded) -> Command {
    let pipeline = format!(
        "rtspsrc name=server protocols={transport} location={url} \
         server. ! application/x-rtp,media=video ! decodebin ! videocrop bottom={bottom} ! videoconvert \
         ! video/x-raw,format=GRAY8 ! filesink sync=false location={video} \
         server. ! application/x-rtp,media=audio ! decodebin ! audioconvert ! audioresample \
         ! audio/x-raw,format=S16LE,channels=1,rate={SAMPLE_RATE} ! filesink sync=false location={audio}",
        transport = transport.of_gstreamer(),
        bottom = PICTURE_HEIGHT - HEIGHT,
        video = decoded.file("grey").display(),
        audio = decoded.file("pcm").display(),
    );
    let mut command = Command::new("gst-launch-1.0");
    command.arg("-q").args(pipeline.split_whitespace());
    command
}

/// Plays in VLC's own root, then decodes the elementary streams that it has written there.
fn vlc(url: &str, transport: Transport, decoded: &Decoded, name: &str) -> Result<(), ProgramError> {
    let root = vlc_root().unwrap_or_default();
    let inside = PathBuf::from(format!("/tmp/shardcast-{}-{name}", std::process::id()));
    let kept = root.join(inside.strip_prefix("/").unwrap_or(&inside));
    let scratch = Scratch::create(kept)?;
    let video = inside.join("video");
    let audio = inside.join("audio.ts");
    let keep = format!(
        "#es{{access=file,mux-video=es,dst-video={},mux-audio=ts,dst-audio={}}}",
        video.display(),
        audio.display()
    );
    let mut command = Command::new("chroot");
    command
        .arg("--userspec=65534:65534")
        .arg(&root)
        .arg("/usr/bin/cvlc");
    command.args(["-I", "dummy"]).args(transport.of_vlc());
    command.args([url, "--sout", &keep, "vlc://quit"]);
    run(command, decoded, READ_LIMIT)?;
    decode(
        &scratch.0.join("video"),
        &VIDEO_OUT,
        &decoded.file("grey"),
        decoded,
    )?;
    decode(
        &scratch.0.join("audio.ts"),
        &AUDIO_OUT,
        &decoded.file("pcm"),
        decoded,
    )
}

fn retina(url: &str, transport: Transport, decoded: &Decoded) -> Result<(), ProgramError> {
    let kept = decoded.file("annexb");
    retina_reader::keep_video(url, transport, &kept, READ_LIMIT)?;
    decode(&kept, &VIDEO_OUT, &decoded.file("grey"), decoded)
}

fn decode(from: &Path, out: &[&str], to: &Path, decoded: &Decoded) -> Result<(), ProgramError> {
    let mut command = ffmpeg_from([OsStr::new("-i"), from.as_os_str()]);
    command.args(out).arg(to);
    run(command, decoded, DECODE_LIMIT)
}

/// A folder that anybody may write to, gone after use.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn create(folder: PathBuf) -> Result<Self, ProgramError> {
        fs::create_dir_all(&folder).map_err(ProgramError::io(&folder))?;
        let open = Permissions::from_mode(0o777);
        fs::set_permissions(&folder, open).map_err(ProgramError::io(&folder))?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Left-overs harm nobody: the name holds the process id.
        let _ = fs::remove_dir_all(&self.0);
    }
}
