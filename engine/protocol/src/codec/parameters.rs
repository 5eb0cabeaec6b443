//! What a track is like: size, profile and level of pictures, sample rate and channels of sound.
//!
//! The parsers of parameter sets, configurations and frame headers beside this file make it; it goes
//! to whoever shows streams to people. Nothing on a packet's way depends on it.

use std::fmt;

/// Longest side of a picture, in samples. The highest levels of H.264 and H.265 (6.2) end at 16 888
/// (√(8 × 139 264) macroblocks of 16, √(8 × 35 651 584) samples), and AV1's (6.3) at 16 384.
pub const PICTURE_SIDE_MAX: u32 = 16_888;

/// Why a parameter set, a configuration or a frame header cannot be read. The publisher is at fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ParameterError {
    /// It ends before it says how large pictures are, or what else it is there for.
    #[error("it ends too early")]
    Truncated,
    /// A number of variable length has 32 leading zeros or more.
    #[error("a number in it has more than 32 bits")]
    NumberTooLong,
    /// A picture is empty, or has a side of more than [`PICTURE_SIDE_MAX`].
    #[error("pictures of {width} x {height} samples")]
    Size {
        /// The width that it declares, before cropping.
        width: u64,
        /// The height that it declares, before cropping.
        height: u64,
    },
    /// It says how large pictures are, and ends within what follows, the usability information.
    #[error("its usability information ends too early")]
    Usability,
    /// A field has a value that its standard does not know.
    #[error("{0} has a value without meaning")]
    Value(&'static str),
    /// It is something else than was looked for.
    #[error("it is of another kind")]
    Kind,
}

impl ParameterError {
    /// Whether a track that is announced with such a parameter set is refused: what says nonsense is
    /// hostile, while what merely says too little is left for the stream to tell.
    #[must_use]
    pub const fn refuses_track(self) -> bool {
        matches!(
            self,
            Self::NumberTooLong | Self::Size { .. } | Self::Usability
        )
    }
}

/// What is known of a track.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TrackParameters {
    /// Nothing, or nothing yet.
    #[default]
    Unknown,
    /// Pictures.
    Video(VideoParameters),
    /// Sound.
    Audio(AudioParameters),
}

impl TrackParameters {
    /// What is known once `seen` has come: that, and what was known of all that it does not say.
    #[must_use]
    pub fn updated_by(self, seen: Self) -> Self {
        match (self, seen) {
            (Self::Video(before), Self::Video(seen)) => Self::Video(VideoParameters {
                size: seen.size.or(before.size),
                profile: seen.profile.or(before.profile),
                level: seen.level.or(before.level),
                tier: seen.tier.or(before.tier),
                frame_rate: seen.frame_rate.or(before.frame_rate),
            }),
            (Self::Audio(before), Self::Audio(seen)) => Self::Audio(AudioParameters {
                sample_rate: seen.sample_rate.or(before.sample_rate),
                extension_sample_rate: seen.extension_sample_rate.or(before.extension_sample_rate),
                channels: seen.channels.or(before.channels),
            }),
            (before, Self::Unknown) => before,
            (_, seen) => seen,
        }
    }
}

impl From<VideoParameters> for TrackParameters {
    fn from(video: VideoParameters) -> Self {
        Self::Video(video)
    }
}

impl From<AudioParameters> for TrackParameters {
    fn from(audio: AudioParameters) -> Self {
        Self::Audio(audio)
    }
}

/// What is known of pictures.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct VideoParameters {
    /// Width and height in samples, as they are shown.
    pub size: Option<PictureSize>,
    /// The profile.
    pub profile: Option<Profile>,
    /// The level.
    pub level: Option<Level>,
    /// The tier of AV1: 0 main, 1 high.
    pub tier: Option<u8>,
    /// Pictures per second, where the stream says it.
    pub frame_rate: Option<FrameRate>,
}

/// As in `High 4.1, 1920 x 1080, 50/2`: what is known, for logs.
impl fmt::Display for VideoParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        match (self.profile, self.level) {
            (Some(profile), Some(level)) => parts.push(format!("{profile} {level}")),
            (Some(profile), None) => parts.push(format!("profile {profile}")),
            _ => {}
        }
        if let Some(PictureSize { width, height }) = self.size {
            parts.push(format!("{width} x {height}"));
        }
        if let Some(FrameRate { pictures, seconds }) = self.frame_rate {
            parts.push(format!("{pictures}/{seconds}"));
        }
        f.write_str(&parts.join(", "))
    }
}

/// Width and height of pictures, each 1 to [`PICTURE_SIDE_MAX`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PictureSize {
    /// Samples from left to right.
    pub width: u32,
    /// Samples from top to bottom.
    pub height: u32,
}

impl PictureSize {
    /// The size, within its limits.
    ///
    /// # Errors
    /// [`ParameterError::Size`].
    pub fn new(width: u64, height: u64) -> Result<Self, ParameterError> {
        let side = |side: u64| {
            let side = u32::try_from(side).ok();
            side.filter(|side| (1..=PICTURE_SIDE_MAX).contains(side))
        };
        match (side(width), side(height)) {
            (Some(width), Some(height)) => Ok(Self { width, height }),
            _ => Err(ParameterError::Size { width, height }),
        }
    }

    /// The size without what is cut off at both ends.
    ///
    /// # Errors
    /// [`ParameterError::Size`] when nothing is left.
    pub fn cropped(self, columns: u64, rows: u64) -> Result<Self, ParameterError> {
        Self::new(
            u64::from(self.width).saturating_sub(columns),
            u64::from(self.height).saturating_sub(rows),
        )
    }
}

/// A profile by its number. Its [`Display`](fmt::Display) is the name in the standard, or the number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Profile {
    /// `profile_idc` of H.264 (annex A).
    H264(u8),
    /// `general_profile_idc` of H.265 (annex A).
    H265(u8),
    /// Of a codec whose profiles are told by number.
    Number(u8),
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, name) = match *self {
            Self::H264(number) => (number, h264_profile(number)),
            Self::H265(number) => (number, h265_profile(number)),
            Self::Number(number) => (number, None),
        };
        match name {
            Some(name) => f.write_str(name),
            None => number.fmt(f),
        }
    }
}

const fn h264_profile(number: u8) -> Option<&'static str> {
    Some(match number {
        66 => "Baseline",
        77 => "Main",
        88 => "Extended",
        100 => "High",
        110 => "High 10",
        122 => "High 4:2:2",
        244 => "High 4:4:4 Predictive",
        _ => return None,
    })
}

const fn h265_profile(number: u8) -> Option<&'static str> {
    Some(match number {
        1 => "Main",
        2 => "Main 10",
        3 => "Main Still Picture",
        4 => "Range Extensions",
        5 => "High Throughput",
        6 => "Multiview Main",
        7 => "Scalable Main",
        8 => "3D Main",
        9 => "Screen Content Coding Extensions",
        10 => "Scalable Range Extensions",
        _ => return None,
    })
}

/// A level by its number. Its [`Display`](fmt::Display) is what the standard calls it, as in `4.1`, or
/// the number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// `level_idc` of H.264: ten times the level.
    H264(u8),
    /// `general_level_idc` of H.265: thirty times the level.
    H265(u8),
    /// Of a codec whose levels are told by number.
    Number(u8),
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = match *self {
            Self::H264(number) => (number / 10, number % 10),
            Self::H265(number) => (number / 30, number % 30 / 3),
            Self::Number(number) => (number, 0),
        };
        match minor {
            0 => write!(f, "{major}"),
            minor => write!(f, "{major}.{minor}"),
        }
    }
}

/// Pictures per second, as a fraction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameRate {
    /// Pictures in [`FrameRate::seconds`].
    pub pictures: u32,
    /// Not 0.
    pub seconds: u32,
}

impl FrameRate {
    /// The rate; nothing of one that is 0 or endless.
    #[must_use]
    pub const fn new(pictures: u32, seconds: u32) -> Option<Self> {
        if pictures == 0 || seconds == 0 {
            None
        } else {
            Some(Self { pictures, seconds })
        }
    }

    /// Pictures per second.
    #[must_use]
    pub fn per_second(self) -> f64 {
        f64::from(self.pictures) / f64::from(self.seconds)
    }
}

/// What is known of sound.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AudioParameters {
    /// Samples per second and channel.
    pub sample_rate: Option<u32>,
    /// The rate that band replication makes of it (AAC).
    pub extension_sample_rate: Option<u32>,
    /// Channels, one for low frequencies included.
    pub channels: Option<u8>,
}

/// As in `48000 Hz, 2 channels`: what is known, for logs.
impl fmt::Display for AudioParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        match (self.sample_rate, self.extension_sample_rate) {
            (Some(rate), Some(extended)) => parts.push(format!("{rate} Hz ({extended} Hz)")),
            (Some(rate), None) => parts.push(format!("{rate} Hz")),
            _ => {}
        }
        match self.channels {
            Some(1) => parts.push("1 channel".into()),
            Some(channels) => parts.push(format!("{channels} channels")),
            None => {}
        }
        f.write_str(&parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_and_levels_have_the_names_of_their_standards() {
        for (profile, name) in [
            (Profile::H264(77), "Main"),
            (Profile::H264(118), "118"),
            (Profile::H265(2), "Main 10"),
            (Profile::H265(31), "31"),
            (Profile::Number(1), "1"),
        ] {
            assert_eq!(profile.to_string(), name);
        }
        for (level, name) in [
            (Level::H264(40), "4"),
            (Level::H264(41), "4.1"),
            (Level::H265(120), "4"),
            (Level::H265(123), "4.1"),
            (Level::H265(186), "6.2"),
            (Level::Number(9), "9"),
        ] {
            assert_eq!(level.to_string(), name);
        }
    }

    #[test]
    fn what_is_seen_outranks_what_was_known_and_leaves_the_rest() {
        let video = |width, level| {
            TrackParameters::Video(VideoParameters {
                size: PictureSize::new(width, 480).ok(),
                level,
                ..VideoParameters::default()
            })
        };
        let (known, level) = (video(640, Some(Level::Number(3))), Some(Level::Number(3)));
        assert_eq!(known.updated_by(video(720, None)), video(720, level));
        assert_eq!(known.updated_by(TrackParameters::Unknown), known);
        let unknown = TrackParameters::default();
        assert_eq!(unknown.updated_by(known), known);
    }

    #[test]
    fn the_largest_picture_passes_and_a_larger_one_is_refused() {
        let max = u64::from(PICTURE_SIDE_MAX);
        assert!(PictureSize::new(max, 1).is_ok() && PictureSize::new(1, max).is_ok());
        for (width, height) in [(max + 1, 1), (1, max + 1), (0, 1), (1, 0), (u64::MAX, 1)] {
            let refused = Err(ParameterError::Size { width, height });
            assert_eq!(PictureSize::new(width, height), refused);
        }
    }
}
