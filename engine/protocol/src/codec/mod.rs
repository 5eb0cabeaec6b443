//! Codecs, as far as passing them on needs to know them.
//!
//! Input are RTP payloads in place, and the configurations of descriptions. Output is what a payload
//! holds ([`PacketKind`]), where access units begin and end, and which of them a reader can start at
//! ([`AccessUnitTracker`]); the parameter sets of a stream as they are now ([`ParameterSets`]); and what
//! people are shown of pictures and sound ([`TrackParameters`]). Pictures are not decoded, and of
//! payloads only parameter sets are copied.
//!
//! Deliberately absent: depacketising of pictures across packets. Only crossing to another container
//! needs that.

pub mod aac;
pub mod ac3;
pub mod access_unit;
pub mod av1;
mod bits;
pub mod h264;
pub mod h265;
pub mod mjpeg;
pub mod mpeg4_video;
pub mod mpeg_audio;
pub mod mpeg_ts;
pub mod mpeg_video;
pub(crate) mod nal;
pub mod parameter_sets;
pub mod parameters;
mod sei;
#[cfg(test)]
pub(crate) mod test_bytes;
pub mod vp8;
pub mod vp9;

pub use access_unit::{AccessUnitTooLarge, AccessUnitTracker, PacketFlags, Unit};
pub use nal::NalUnits;
pub use parameter_sets::ParameterSets;
pub use parameters::{
    AudioParameters, FrameRate, Level, ParameterError, PictureSize, Profile, TrackParameters,
    VideoParameters,
};

/// What one RTP payload holds. Several may be true at once: an aggregation packet carries parameter
/// sets and a picture together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PacketKind {
    /// It holds coded picture data, whole or a fragment.
    pub picture: bool,
    /// Some of that is the first slice of its picture, from its begin.
    pub picture_start: bool,
    /// Some of that belongs to a picture that a decoder can start at: H.264 IDR, H.265 IRAP (IDR,
    /// CRA, BLA), and what corresponds to it in other codecs.
    pub key: bool,
    /// It holds VPS, SPS or PPS, the headers of MPEG-4 video, or the program association table of a
    /// transport stream.
    pub parameter_sets: bool,
    /// It holds the SEI message that marks a recovery point (H.264 §D.2.8, H.265 §D.3.8), or a transport
    /// stream's mark of random access: a decoder can start here, even though the picture may not be a
    /// key picture.
    pub recovery_point: bool,
    /// It holds picture data, and all of that is of pictures that no other picture of their temporal
    /// layer refers to.
    pub droppable: bool,
    /// The highest temporal layer of the picture data (H.265 `TemporalId`); 0 for H.264.
    pub temporal_layer: u8,
}

impl PacketKind {
    /// What a packet holds of which the payload says nothing that is understood: it might be any
    /// picture, so it is never dropped.
    pub(crate) const OPAQUE: Self = Self {
        picture: true,
        picture_start: false,
        key: false,
        parameter_sets: false,
        recovery_point: false,
        droppable: false,
        temporal_layer: 0,
    };

    /// Takes another NAL unit of the same packet in.
    pub(crate) fn merge(&mut self, other: Self) {
        self.droppable = match (self.picture, other.picture) {
            (true, true) => self.droppable && other.droppable,
            (true, false) => self.droppable,
            (false, _) => other.droppable,
        };
        self.picture |= other.picture;
        self.picture_start |= other.picture_start;
        self.key |= other.key;
        self.parameter_sets |= other.parameter_sets;
        self.recovery_point |= other.recovery_point;
        self.temporal_layer = self.temporal_layer.max(other.temporal_layer);
    }
}
