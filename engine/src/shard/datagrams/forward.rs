//! Datagrams that the kernel has handed to another shard than the one that expects them.

use bytes::Bytes;

use super::directory::DatagramPeer;
use crate::refusal::RefusalReason;
use crate::shard::{Media, Shard};

/// A datagram on its way to the shard that expects it.
#[derive(Debug)]
pub struct ForwardedDatagram {
    peer: DatagramPeer,
    bytes: Bytes,
}

impl Shard {
    /// Sends a datagram on to the shard that expects it. One of a peer that nobody expects is counted and forgotten, as is
    /// one that finds the ring full.
    pub(super) fn forward_datagram(&self, peer: DatagramPeer, bytes: &[u8]) {
        let expecting = self.server.datagram_directory.find(&peer);
        let Some(shard) = expecting.filter(|shard| *shard != self.id()) else {
            return self.count_refusal(RefusalReason::StrayDatagram);
        };
        let bytes = Bytes::copy_from_slice(bytes);
        let forwarded = Media::Datagram(Box::new(ForwardedDatagram { peer, bytes }));
        if self.context.send_media(shard, forwarded).is_err() {
            self.count_refusal(RefusalReason::DatagramOverrun);
        }
    }

    /// A datagram that another shard has received.
    pub(in crate::shard) fn take_forwarded(&self, forwarded: &ForwardedDatagram) {
        if !self.take_datagram(&forwarded.peer, &forwarded.bytes) {
            self.count_refusal(RefusalReason::StrayDatagram);
        }
    }
}
