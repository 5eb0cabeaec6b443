//! What a stream is: its tracks and their description. Made once per publisher, shared by every shard, never changed.

use shardcast_protocol::sdp::{self, MediaKind, Origin, TrackDescription};

/// Tells the streams of one path apart: a publisher with other tracks begins a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Generation(pub u32);

/// The tracks of a stream, with all that follows from them alone.
#[derive(Debug)]
pub struct StreamInfo {
    tracks: Vec<TrackDescription>,
    leading: usize,
    sdp: String,
}

impl StreamInfo {
    /// Describes a stream of these tracks; `name` is the session name in the SDP.
    #[must_use]
    pub fn new(tracks: Vec<TrackDescription>, name: &str) -> Self {
        let leading = tracks
            .iter()
            .position(|track| track.kind == MediaKind::Video)
            .unwrap_or(0);
        let sdp = sdp::describe(
            &tracks,
            &Origin {
                session_id: 0,
                session_version: 0,
                name,
            },
        );
        Self {
            tracks,
            leading,
            sdp,
        }
    }

    /// The tracks in the order of their `trackID`.
    #[must_use]
    pub fn tracks(&self) -> &[TrackDescription] {
        &self.tracks
    }

    /// The track whose access units close batches and are start points: the first video track, else the first.
    #[must_use]
    pub fn leading(&self) -> usize {
        self.leading
    }

    /// The SDP that readers are given.
    #[must_use]
    pub fn sdp(&self) -> &str {
        &self.sdp
    }

    /// Whether a publisher of `other` can go on with this stream, so that its readers stay.
    #[must_use]
    pub fn continues_as(&self, other: &Self) -> bool {
        sdp::same_tracks(&self.tracks, &other.tracks)
    }

    /// "2 tracks (H264, MPEG-4 Audio)".
    #[must_use]
    pub fn summary(&self) -> String {
        let codecs: Vec<String> = self
            .tracks
            .iter()
            .map(|track| track.codec.to_string())
            .collect();
        let noun = if codecs.len() == 1 { "track" } else { "tracks" };
        format!("{} {noun} ({})", codecs.len(), codecs.join(", "))
    }
}
