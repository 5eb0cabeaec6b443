//! The two clips, made with ffmpeg's test sources: moving picture with the frame counter painted in, and a tone.
//!
//! Both have 2 Mbit/s, a key frame every second, and B-frames between, so that decoding order and timestamps differ.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::counter::{self, HEIGHT, WIDTH};
use super::process::{self, ProgramError};
use super::tone::TONE_HZ;

/// Length of both clips.
pub const CLIP_DURATION: Duration = Duration::from_secs(8);

/// How long ffmpeg may take to make one.
const ENCODE_LIMIT: Duration = Duration::from_secs(60);
/// Without it the test picture is too simple to need its bit rate.
const NOISE_FILTER: &str = "noise=alls=6:allf=t";
/// What readers keep of the picture: the counter.
pub const CROP_FILTER: &str = "crop=320:64:0:0";
/// Height of the clips.
pub const PICTURE_HEIGHT: usize = 240;
const _: () = assert!(
    WIDTH == 320 && HEIGHT == 64,
    "CROP_FILTER names the counter's size"
);

/// One of the two clips.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clip {
    /// H.264 and AAC at 25 frames a second.
    H264Aac,
    /// H.265 and Opus at 30 frames a second.
    H265Opus,
}

impl Clip {
    /// Both.
    pub const ALL: [Self; 2] = [Self::H264Aac, Self::H265Opus];

    /// Short name, fit for a path and a file.
    pub fn name(self) -> &'static str {
        match self {
            Self::H264Aac => "h264-aac",
            Self::H265Opus => "h265-opus",
        }
    }

    /// Frames per second; also frames per GOP, because each second begins with a key frame.
    pub fn frame_rate(self) -> u64 {
        match self {
            Self::H264Aac => 25,
            Self::H265Opus => 30,
        }
    }

    /// Frames in the whole clip.
    pub fn frames(self) -> u64 {
        self.frame_rate() * CLIP_DURATION.as_secs()
    }

    /// The clip's file in `directory`.
    pub fn file(self, directory: &Path) -> PathBuf {
        let extension = match self {
            Self::H264Aac => "mp4",
            Self::H265Opus => "mkv",
        };
        directory.join(self.name()).with_extension(extension)
    }

    /// Makes the clip's file in `directory`.
    ///
    /// # Errors
    /// When ffmpeg is not there or fails.
    pub fn make(self, directory: &Path) -> Result<(), ProgramError> {
        let seconds = CLIP_DURATION.as_secs();
        let rate = self.frame_rate();
        let picture =
            format!("testsrc2=size={WIDTH}x{PICTURE_HEIGHT}:rate={rate}:duration={seconds}");
        let sample_rate = if self == Self::H264Aac { 44100 } else { 48000 };
        let tone = format!("sine=frequency={TONE_HZ}:sample_rate={sample_rate}:duration={seconds}");
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-nostdin", "-hide_banner", "-loglevel", "error", "-y"]);
        ffmpeg.args(["-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &tone]);
        let filter = format!("{NOISE_FILTER},{}", counter::paint_filter());
        ffmpeg.args(["-vf", &filter]).args(self.encoders());
        ffmpeg.arg(self.file(directory));
        let log = directory.join(self.name()).with_extension("log");
        process::Program::start(&mut ffmpeg, &log)?.wait(ENCODE_LIMIT)
    }

    fn encoders(self) -> &'static [&'static str] {
        match self {
            Self::H264Aac => &[
                "-c:v",
                "libx264",
                "-preset",
                "veryfast",
                "-b:v",
                "2M",
                "-bf",
                "2",
                "-g",
                "25",
                "-keyint_min",
                "25",
                "-sc_threshold",
                "0",
                "-c:a",
                "aac",
                "-b:a",
                "96k",
            ],
            Self::H265Opus => &[
                "-c:v",
                "libx265",
                "-preset",
                "ultrafast",
                "-b:v",
                "2M",
                "-x265-params",
                "log-level=none:keyint=30:min-keyint=30:scenecut=0:bframes=2:open-gop=0",
                "-c:a",
                "libopus",
                "-b:a",
                "64k",
                "-ac",
                "2",
            ],
        }
    }
}
