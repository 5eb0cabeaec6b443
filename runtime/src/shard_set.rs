//! A set of shards as four words, for marks that are set on the packet's way: no allocation, no
//! hashing.

use crate::{SHARDS_MAX, ShardId};

const WORD_BITS: usize = u64::BITS as usize;
const WORDS: usize = SHARDS_MAX / WORD_BITS;
const _: () = assert!(WORDS * WORD_BITS == SHARDS_MAX);

/// Any of the shards of a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct ShardSet([u64; WORDS]);

impl ShardSet {
    /// Adds a shard.
    pub(crate) fn insert(&mut self, shard: ShardId) {
        self.0[shard.index() / WORD_BITS] |= 1 << (shard.index() % WORD_BITS);
    }

    /// The shards in it, lowest first.
    pub(crate) fn iter(self) -> impl Iterator<Item = ShardId> {
        self.0.into_iter().enumerate().flat_map(|(index, word)| {
            bits(word).filter_map(move |bit| ShardId::from_index(index * WORD_BITS + bit))
        })
    }
}

/// Positions of the bits that are set.
fn bits(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        if word == 0 {
            return None;
        }
        let bit = word.trailing_zeros() as usize;
        word &= word - 1;
        Some(bit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_gives_back_what_was_put_in_once_each() {
        let mut set = ShardSet::default();
        assert_eq!(set.iter().count(), 0);
        for index in [0, 63, 64, 200, SHARDS_MAX - 1, 63] {
            set.insert(ShardId::from_index(index).expect("within the maximum"));
        }
        let indexes: Vec<_> = set.iter().map(ShardId::index).collect();
        assert_eq!(indexes, [0, 63, 64, 200, SHARDS_MAX - 1]);
    }
}
