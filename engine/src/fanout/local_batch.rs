//! A batch as one shard holds it: the same memory, counted without atomics, and the images for readers with unusual
//! channels, each built at most once.

use std::cell::OnceCell;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use shardcast_platform::Slice;
use smallvec::SmallVec;

use super::datagrams::{DatagramBatch, DatagramNumbering};
use crate::stream::{Batch, Packet, PacketFlags};

/// Channel maps of a stream for which a shard builds an image; readers with a fifth map get header slices of their own.
pub const VARIANTS_MAX: usize = 4;

/// Which interleaved channels a reader chose, per track: RTP and RTCP; nothing for a track that it did not set up.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ChannelMap(pub SmallVec<[Option<(u8, u8)>; 2]>);

impl ChannelMap {
    /// All tracks, on channels 2 × track and 2 × track + 1: the image as it is.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        self.0
            .iter()
            .zip((0u8..).step_by(2))
            .all(|(channels, rtp)| *channels == Some((rtp, rtp + 1)))
    }

    /// The channel on which a packet goes to this reader.
    #[must_use]
    pub fn channel(&self, packet: &Packet) -> Option<u8> {
        let (rtp, rtcp) = (*self.0.get(usize::from(packet.track))?)?;
        Some(if packet.flags.has(PacketFlags::RTCP) {
            rtcp
        } else {
            rtp
        })
    }
}

/// A batch's image with other channels, tracks left out included.
#[derive(Debug)]
pub struct VariantImage {
    image: Slice,
    /// Where each packet of the batch begins in the image, and last the image's end.
    offsets: Vec<u32>,
}

impl VariantImage {
    fn build(batch: &Batch, map: &ChannelMap) -> Self {
        let mut image = BytesMut::with_capacity(batch.bytes());
        let mut offsets = Vec::with_capacity(batch.packets.len() + 1);
        for packet in &batch.packets {
            offsets.push(image.len() as u32);
            if let Some(channel) = map.channel(packet) {
                let at = image.len();
                image.extend_from_slice(batch.packet_bytes(packet));
                image[at + 1] = channel;
            }
        }
        offsets.push(image.len() as u32);
        Self {
            image: Slice::new(image.freeze()),
            offsets,
        }
    }

    /// The image from this packet on.
    #[must_use]
    pub fn after(&self, packet: u32) -> Slice {
        let from = self
            .offsets
            .get(packet as usize)
            .map_or(self.image.len(), |at| *at as usize);
        self.image.slice(from..self.image.len())
    }
}

/// A batch on this shard.
#[derive(Debug)]
pub struct LocalBatch {
    shared: Arc<Batch>,
    runs: SmallVec<[Slice; 1]>,
    /// Only a stream with unusual channels has room for them.
    variants: OnceCell<Box<[OnceCell<VariantImage>; VARIANTS_MAX]>>,
    /// Only a stream with readers of datagrams has them.
    datagrams: OnceCell<Box<DatagramBatch>>,
}

impl LocalBatch {
    /// Takes a batch in; from here on its memory is counted without atomics.
    #[must_use]
    pub fn new(shared: Arc<Batch>) -> Self {
        let runs = shared
            .runs
            .iter()
            .map(|run| Slice::new(Bytes::clone(run)))
            .collect();
        Self {
            shared,
            runs,
            variants: OnceCell::new(),
            datagrams: OnceCell::new(),
        }
    }

    /// What every shard holds.
    #[must_use]
    pub fn shared(&self) -> &Arc<Batch> {
        &self.shared
    }

    /// Gives the batch back, to be sent home to its owner.
    #[must_use]
    pub fn into_shared(self) -> Arc<Batch> {
        self.shared
    }

    /// The usual image from this packet on, one slice per run.
    pub fn slices_from(&self, packet: u32) -> impl Iterator<Item = Slice> + '_ {
        let mut skip = self
            .shared
            .packets
            .get(packet as usize)
            .map_or(usize::MAX, |packet| packet.offset as usize);
        self.runs.iter().filter_map(move |run| {
            let from = skip.min(run.len());
            skip = skip.saturating_sub(run.len());
            (from < run.len()).then(|| {
                if from == 0 {
                    run.clone()
                } else {
                    run.slice(from..run.len())
                }
            })
        })
    }

    /// One packet's image, without so many bytes of its begin, which are part of its headers.
    #[must_use]
    pub fn after_header(&self, packet: &Packet, header_bytes: usize) -> Option<Slice> {
        let mut at = packet.offset as usize;
        for run in &self.runs {
            if at < run.len() {
                return Some(run.slice(at + header_bytes..at + packet.len as usize));
            }
            at -= run.len();
        }
        None
    }

    /// The image for the map that the log keeps under this index, built for its first reader.
    #[must_use]
    pub fn variant(&self, index: usize, map: &ChannelMap) -> &VariantImage {
        let variants = self.variants.get_or_init(Box::default);
        variants[index].get_or_init(|| VariantImage::build(&self.shared, map))
    }

    /// The datagram image, once it has been built.
    #[must_use]
    pub fn datagrams(&self) -> Option<&DatagramBatch> {
        self.datagrams.get().map(Box::as_ref)
    }

    /// Builds the datagram image, as the next one of its stream.
    pub(super) fn build_datagrams(&self, numbering: &mut DatagramNumbering) {
        self.datagrams
            .get_or_init(|| Box::new(numbering.build(&self.shared)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fanout::log::tests::batch_of;

    #[test]
    fn the_usual_channels_are_two_per_track_in_order() {
        let map = |channels: &[Option<(u8, u8)>]| ChannelMap(channels.iter().copied().collect());
        assert!(map(&[Some((0, 1)), Some((2, 3))]).is_usual());
        assert!(!map(&[Some((2, 3)), Some((0, 1))]).is_usual());
        assert!(!map(&[Some((0, 1)), None]).is_usual());
    }

    #[test]
    fn a_variant_has_the_readers_channels_and_its_tracks_only() {
        let batch = LocalBatch::new(Arc::new(batch_of(1, &[(0, true), (1, false), (0, false)])));
        let map = ChannelMap([Some((6, 7)), None].into_iter().collect());
        let image = batch.variant(0, &map);
        let whole = image.after(0);
        assert_eq!(whole.len(), 2 * 20);
        assert_eq!((whole[1], whole[21]), (6, 6));
        assert_eq!(
            image.after(1).len(),
            20,
            "what follows a packet that is left out"
        );
        assert_eq!(image.after(3).len(), 0);
    }

    #[test]
    fn the_usual_image_begins_at_any_packet() {
        let batch = LocalBatch::new(Arc::new(batch_of(1, &[(0, true), (1, false), (0, false)])));
        let bytes = |packet| {
            batch
                .slices_from(packet)
                .map(|slice| slice.len())
                .sum::<usize>()
        };
        assert_eq!((bytes(0), bytes(1), bytes(2), bytes(3)), (60, 40, 20, 0));
    }
}
