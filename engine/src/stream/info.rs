//! What a stream is: its tracks and their description. Shared by every shard and never changed: when a stream's description
//! does, its owner has another one, of the next version.

use std::sync::Arc;

use shardcast_protocol::codec::TrackParameters;
use shardcast_protocol::sdp::{self, MediaKind, Origin, TrackDescription};

/// Tells the streams of one path apart: a publisher with other tracks begins a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Generation(pub u32);

/// The tracks of a stream, with all that follows from them alone.
#[derive(Clone, Debug)]
pub struct StreamInfo {
    tracks: Vec<TrackDescription>,
    parameters: Vec<TrackParameters>,
    leading: usize,
    name: String,
    version: u64,
    sdp: String,
}

impl StreamInfo {
    /// Describes a stream of these tracks; `name` is the session name in the SDP.
    #[must_use]
    pub fn new(tracks: Vec<TrackDescription>, name: &str) -> Self {
        let parameters = tracks.iter().map(TrackDescription::parameters).collect();
        Self::with_version(tracks, parameters, name, 0)
    }

    fn with_version(
        tracks: Vec<TrackDescription>,
        parameters: Vec<TrackParameters>,
        name: &str,
        version: u64,
    ) -> Self {
        let leading = tracks
            .iter()
            .position(|track| track.kind == MediaKind::Video)
            .unwrap_or(0);
        let sdp = sdp::describe(
            &tracks,
            &Origin {
                session_id: 0,
                session_version: version,
                name,
            },
        );
        Self {
            tracks,
            parameters,
            leading,
            name: name.to_owned(),
            version,
            sdp,
        }
    }

    /// The same stream with other descriptions of its tracks; the same version if they are as they were.
    #[must_use]
    pub fn described_anew(self: &Arc<Self>, tracks: Vec<TrackDescription>) -> Arc<Self> {
        if tracks == self.tracks {
            return self.clone();
        }
        let known = self.tracks.iter().zip(&self.parameters);
        let parameters = known.zip(&tracks).map(|((before, parameters), track)| {
            if track == before {
                *parameters
            } else {
                track.parameters()
            }
        });
        let (parameters, version) = (parameters.collect(), self.version + 1);
        Arc::new(Self::with_version(tracks, parameters, &self.name, version))
    }

    /// The same stream, of which packets of a track have told more than the description; the same if that is known.
    #[must_use]
    pub fn with_seen(self: &Arc<Self>, track: usize, seen: TrackParameters) -> Arc<Self> {
        let mut parameters = self.parameters.clone();
        if let Some(known) = parameters.get_mut(track) {
            *known = known.updated_by(seen);
        }
        if parameters == self.parameters {
            return self.clone();
        }
        Arc::new(Self {
            parameters,
            ..Self::clone(self)
        })
    }

    /// The same stream as a publisher of `other` goes on with it. Its readers know the payload types, so these stay.
    #[must_use]
    pub fn continued_by(self: &Arc<Self>, other: &Self) -> Arc<Self> {
        let track = |(ours, theirs): (&TrackDescription, &TrackDescription)| TrackDescription {
            payload_type: ours.payload_type,
            other_payload_types: ours.other_payload_types.clone(),
            attributes: ours.attributes.clone(),
            control: ours.control.clone(),
            ..theirs.clone()
        };
        let tracks = self.tracks.iter().zip(&other.tracks);
        self.described_anew(tracks.map(track).collect())
    }

    /// The tracks in the order of their `trackID`.
    #[must_use]
    pub fn tracks(&self) -> &[TrackDescription] {
        &self.tracks
    }

    /// Sizes, rates and the like of each track, as far as they are known.
    #[must_use]
    pub fn parameters(&self) -> &[TrackParameters] {
        &self.parameters
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

#[cfg(test)]
mod tests {
    use super::*;

    fn info(sdp: &str) -> Arc<StreamInfo> {
        let tracks = sdp::parse(sdp.as_bytes()).and_then(|sdp| sdp::tracks(&sdp));
        Arc::new(StreamInfo::new(tracks.unwrap(), "test"))
    }

    const FIRST: &str = "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
                         a=fmtp:96 sprop-parameter-sets=Z0IAH5Y=,aM4=\r\n";

    #[test]
    fn a_publisher_that_goes_on_describes_the_stream_with_the_payload_types_that_readers_know() {
        let stream = info(FIRST);
        let other = FIRST.replace("96", "105").replace("aM4=", "aM5=");
        let continued = stream.continued_by(&info(&other));
        let lines: Vec<_> = continued.sdp().lines().collect();
        assert!(lines.contains(&"o=- 0 1 IN IP4 127.0.0.1"), "{lines:?}");
        assert!(lines.contains(&"m=video 0 RTP/AVP 96"), "{lines:?}");
        assert!(continued.sdp().contains("aM5="), "{lines:?}");
    }

    #[test]
    fn a_description_without_news_keeps_its_version() {
        let stream = info(FIRST);
        let again = info(&FIRST.replace("96", "98"));
        assert!(Arc::ptr_eq(&stream, &stream.continued_by(&again)));
    }
}
