//! Which shard expects the datagrams of a peer. One for the process, read by a shard to which the kernel has handed a
//! datagram of a peer that it does not know, written when a session begins or ends to have datagrams.
//!
//! As the directory of paths, it is an immutable snapshot per stripe, so a reader never waits for a writer.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use shardcast_runtime::ShardId;

/// A change copies one stripe only.
const STRIPES: usize = 64;

/// Where a peer's datagrams come from, and to which of our two ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DatagramPeer {
    /// Its address.
    pub address: SocketAddr,
    /// RTCP, not RTP.
    pub is_rtcp: bool,
}

type Stripe = HashMap<DatagramPeer, ShardId>;

/// Peer to shard. Bounded by the sessions: each has at most two entries per track.
#[derive(Debug)]
pub struct DatagramDirectory {
    stripes: Vec<(ArcSwap<Stripe>, Mutex<()>)>,
    hasher: RandomState,
}

impl Default for DatagramDirectory {
    fn default() -> Self {
        Self {
            stripes: (0..STRIPES).map(|_| Default::default()).collect(),
            hasher: RandomState::new(),
        }
    }
}

impl DatagramDirectory {
    /// The shard that expects the peer's datagrams.
    #[must_use]
    pub fn find(&self, peer: &DatagramPeer) -> Option<ShardId> {
        self.stripe(peer).0.load().get(peer).copied()
    }

    /// The peer's datagrams are expected on this shard from now on, whoever has expected them before.
    pub fn insert(&self, peer: DatagramPeer, shard: ShardId) {
        self.change(&peer, |stripe| {
            stripe.insert(peer, shard);
        });
    }

    /// They are not expected on this shard any more.
    pub fn remove(&self, peer: &DatagramPeer, shard: ShardId) {
        self.change(peer, |stripe| {
            if stripe.get(peer) == Some(&shard) {
                stripe.remove(peer);
            }
        });
    }

    fn change(&self, peer: &DatagramPeer, change: impl FnOnce(&mut Stripe)) {
        let (stripe, writer) = self.stripe(peer);
        let _turn = writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = Stripe::clone(&stripe.load());
        change(&mut changed);
        stripe.store(Arc::new(changed));
    }

    fn stripe(&self, peer: &DatagramPeer) -> &(ArcSwap<Stripe>, Mutex<()>) {
        let index = self.hasher.hash_one(peer) % STRIPES as u64;
        &self.stripes[index as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_who_expects_a_peer_is_found_and_only_it_takes_itself_out() {
        let directory = DatagramDirectory::default();
        let peer = DatagramPeer {
            address: ([127, 0, 0, 1], 5000).into(),
            is_rtcp: false,
        };
        let [first, second] = [0, 1].map(|index| ShardId::from_index(index).unwrap());
        directory.insert(peer, first);
        directory.insert(peer, second);
        directory.remove(&peer, first);
        assert_eq!(directory.find(&peer), Some(second));
        let rtcp = DatagramPeer {
            is_rtcp: true,
            ..peer
        };
        assert_eq!(directory.find(&rtcp), None);
        directory.remove(&peer, second);
        assert_eq!(directory.find(&peer), None);
    }
}
