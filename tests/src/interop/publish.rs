//! Publishers: ffmpeg and GStreamer send a clip once, in real time, without encoding it anew.
//!
//! ffmpeg has to end well, by itself, with TEARDOWN. How `rtspclientsink` (1.22) ends is not judged, only what it has
//! sent: in one of about sixty runs it misses its own end of stream and goes on for ever with nothing but RTCP (its own
//! log then ends with the last packet, without a request; it does so with other servers, too), and in one of thirty it
//! interrupts its own PAUSE and exits with 1 after a TEARDOWN that was granted. One that goes on is killed, and then
//! stands for a publisher that is lost.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::clip::{CLIP_DURATION, Clip};
use super::process::{Program, ProgramError};
use super::transport::Transport;

/// How long a publisher may take: the clip in real time, the 2 s for which `rtspclientsink` fills its buffers, and a busy
/// machine. Readers wait for longer.
const PUBLISH_LIMIT: Duration = CLIP_DURATION.saturating_add(Duration::from_secs(15));

/// A program that publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publisher {
    /// `ffmpeg -f rtsp`.
    Ffmpeg,
    /// `gst-launch-1.0 rtspclientsink`.
    GStreamer,
}

impl Publisher {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ffmpeg, Self::GStreamer];

    /// Short name, fit for a path.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ffmpeg => "ffmpeg",
            Self::GStreamer => "gstreamer",
        }
    }

    /// Starts to publish `clip` of `directory` to `url`, with the program's words going to `log`.
    ///
    /// # Errors
    /// When the program is not there.
    pub fn start(
        self,
        clip: Clip,
        directory: &Path,
        (url, transport): (&str, Transport),
        log: &Path,
    ) -> Result<Program, ProgramError> {
        let file = clip.file(directory);
        let mut command = match self {
            Self::Ffmpeg => ffmpeg(&file, url, transport),
            Self::GStreamer => gstreamer(clip, &file, url, transport),
        };
        Program::start(&mut command, log)
    }

    /// Waits for the end of what [`Self::start`] has started; what is said of a GStreamer that had to be killed.
    ///
    /// # Errors
    /// When ffmpeg fails or does not end by itself.
    pub fn finish(self, program: Program) -> Result<Option<ProgramError>, ProgramError> {
        match (self, program.wait(PUBLISH_LIMIT)) {
            (_, Ok(())) | (Self::GStreamer, Err(ProgramError::Failed { .. })) => Ok(None),
            (Self::GStreamer, Err(hung)) => Ok(Some(hung)),
            (Self::Ffmpeg, Err(error)) => Err(error),
        }
    }
}

fn ffmpeg(file: &Path, url: &str, transport: Transport) -> Command {
    let mut command = Command::new("ffmpeg");
    command
        .args([
            "-nostdin",
            "-hide_banner",
            "-loglevel",
            "warning",
            "-re",
            "-i",
        ])
        .arg(file);
    let transport = transport.of_ffmpeg();
    command.args([
        "-c",
        "copy",
        "-f",
        "rtsp",
        "-rtsp_transport",
        transport,
        url,
    ]);
    command
}

fn gstreamer(clip: Clip, file: &Path, url: &str, transport: Transport) -> Command {
    let (demuxer, video, audio) = match clip {
        Clip::H264Aac => ("qtdemux", "h264parse", "aacparse"),
        Clip::H265Opus => ("matroskademux", "h265parse", "opusparse"),
    };
    let pipeline = format!(
        "rtspclientsink name=server protocols={transport} location={url} \
         filesrc location={file} ! {demuxer} name=clip \
         clip.video_0 ! queue ! {video} ! server. \
         clip.audio_0 ! queue ! {audio} ! server.",
        transport = transport.of_gstreamer(),
        file = file.display()
    );
    let mut command = Command::new("gst-launch-1.0");
    command.arg("-q").args(pipeline.split_whitespace());
    command
}
