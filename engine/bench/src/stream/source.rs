//! What a publisher sends, whatever it is made of: frames one after the other, each with the moment at which it is due.

use std::time::Duration;

use bytes::Bytes;

use super::file::FileSource;
use super::packets::Packets;
use super::probe::Carrier;
use super::synthetic::SyntheticSource;
use crate::BenchError;
use crate::shape::SourceShape;

/// What every description begins with.
pub(super) const SDP_HEAD: &str = "v=0\r\n\
    o=- 0 0 IN IP4 127.0.0.1\r\n\
    s=load\r\n\
    c=IN IP4 0.0.0.0\r\n\
    t=0 0\r\n";

/// The `control` attribute of a track.
pub(super) fn control_of(track: usize) -> String {
    format!("trackID={track}")
}

/// A stream that never ends.
#[derive(Debug)]
pub struct Source(Kind);

#[derive(Debug)]
enum Kind {
    Synthetic(SyntheticSource),
    File(FileSource),
}

impl Source {
    /// A stream of this shape. By the seed its key frames come at other moments than those of other streams, and its
    /// numbers begin elsewhere.
    ///
    /// # Errors
    /// [`BenchError::File`], and [`BenchError::Option`] when there is nothing to publish.
    pub fn open(shape: &SourceShape, seed: u64) -> Result<Self, BenchError> {
        match shape {
            SourceShape::Synthetic(shape) => {
                let source = SyntheticSource::new(*shape, seed);
                Ok(Self(Kind::Synthetic(source)))
            }
            SourceShape::File(file) => Ok(Self(Kind::File(FileSource::open(file, seed)?))),
            SourceShape::Nothing => Err(BenchError::Option {
                option: "no-publish",
                reason: "there is nothing to publish".to_owned(),
            }),
        }
    }

    /// Another stream of the same shape, from its begin. A file is not read again.
    #[must_use]
    pub fn beside(&self, seed: u64) -> Self {
        Self(match &self.0 {
            Kind::Synthetic(source) => Kind::Synthetic(source.beside(seed)),
            Kind::File(source) => Kind::File(source.beside(seed)),
        })
    }

    /// Goes on as another publisher would that takes over now: with other sources and numbers, probes from 0 on, and a key
    /// picture first. What is due before that is left out.
    pub fn begin_anew(&mut self) {
        match &mut self.0 {
            Kind::Synthetic(source) => source.begin_anew(),
            Kind::File(source) => source.begin_anew(),
        }
    }

    /// What whoever publishes a file should know before: what it does not say and is taken for granted.
    ///
    /// # Errors
    /// [`BenchError::File`] when it cannot be published at all.
    pub fn remark_on(shape: &SourceShape) -> Result<Option<String>, BenchError> {
        let SourceShape::File(file) = shape else {
            return Ok(None);
        };
        let source = FileSource::open(file, 0)?;
        let remark = source.remark();
        Ok(remark.map(|remark| format!("{}: {remark}", file.display())))
    }

    /// The stream's description.
    #[must_use]
    pub fn sdp(&self) -> Bytes {
        match &self.0 {
            Kind::Synthetic(source) => source.sdp().into(),
            Kind::File(source) => source.sdp().into(),
        }
    }

    /// The `control` attributes of its tracks.
    #[must_use]
    pub fn controls(&self) -> Vec<Option<String>> {
        let tracks = 0..self.carriers().len();
        tracks.map(|track| Some(control_of(track))).collect()
    }

    /// How its tracks carry probes.
    #[must_use]
    pub fn carriers(&self) -> Vec<Carrier> {
        match &self.0 {
            Kind::Synthetic(source) => source.carriers(),
            Kind::File(source) => source.carriers(),
        }
    }

    /// Writes the packets of the next frame or audio access unit in place of those that are there, and says when it is due,
    /// from the stream's begin. It never is earlier than the one before. Nothing is stamped yet ([`Packets::stamp`]).
    pub fn next(&mut self, packets: &mut Packets) -> Duration {
        match &mut self.0 {
            Kind::Synthetic(source) => source.next(packets),
            Kind::File(source) => source.next(packets),
        }
    }
}
