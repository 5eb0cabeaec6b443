//! Publishers: ffmpeg and GStreamer send a clip once, in real time, without encoding it anew.
//!
//! ffmpeg ends with TEARDOWN, GStreamer's `rtspclientsink` (1.22) just closes its connection; both have to bring every
//! reader to the clip's last frame.

use std::path::Path;
use std::process::Command;

use super::clip::Clip;

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

    /// The command that publishes `clip` of `directory` to `url` over TCP.
    pub fn command(self, clip: Clip, directory: &Path, url: &str) -> Command {
        match self {
            Self::Ffmpeg => ffmpeg(&clip.file(directory), url),
            Self::GStreamer => gstreamer(clip, &clip.file(directory), url),
        }
    }
}

fn ffmpeg(file: &Path, url: &str) -> Command {
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
    command.args(["-c", "copy", "-f", "rtsp", "-rtsp_transport", "tcp", url]);
    command
}

fn gstreamer(clip: Clip, file: &Path, url: &str) -> Command {
    let (demuxer, video, audio) = match clip {
        Clip::H264Aac => ("qtdemux", "h264parse", "aacparse"),
        Clip::H265Opus => ("matroskademux", "h265parse", "opusparse"),
    };
    let pipeline = format!(
        "rtspclientsink name=server protocols=tcp location={url} \
         filesrc location={file} ! {demuxer} name=clip \
         clip.video_0 ! queue ! {video} ! server. \
         clip.audio_0 ! queue ! {audio} ! server.",
        file = file.display()
    );
    let mut command = Command::new("gst-launch-1.0");
    command.arg("-q").args(pipeline.split_whitespace());
    command
}
