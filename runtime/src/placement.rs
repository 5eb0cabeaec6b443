//! Where a new path goes: the less loaded of two candidates by hash. It reads a table of loads that
//! the caller keeps (one number per shard) and knows nothing else, so the same name and loads
//! always give the same shard.

use crate::ShardId;

/// The shard that shall own `name`: two different candidates come from the name's hash, and the
/// less loaded of them wins (the first if they are equal). `loads` has one entry per shard, in any
/// unit.
///
/// # Panics
/// If `loads` is empty or longer than [`SHARDS_MAX`](crate::SHARDS_MAX): a table that belongs to no
/// running shards.
#[must_use]
pub fn place(name: &str, loads: &[u32]) -> ShardId {
    let (first, second) = candidates(name, loads.len());
    let chosen = if loads[second] < loads[first] {
        second
    } else {
        first
    };
    ShardId::from_index(chosen).expect("a load table has at most SHARDS_MAX entries")
}

/// Two different shards out of `shards`, or the same one twice where there is only one.
fn candidates(name: &str, shards: usize) -> (usize, usize) {
    assert!(shards > 0, "a process has at least one shard");
    let hash = hash(name);
    let first = reduce(hash >> 32, shards);
    if shards == 1 {
        return (first, first);
    }
    let step = 1 + reduce(hash & u64::from(u32::MAX), shards - 1);
    (first, (first + step) % shards)
}

/// Maps 32 evenly spread bits to `0 .. shards` without the bias and the division of a remainder.
fn reduce(bits: u64, shards: usize) -> usize {
    ((bits * shards as u64) >> 32) as usize
}

/// FNV-1a, then the finaliser of splitmix64: FNV alone leaves the high bits of short names poorly
/// mixed. It must not change between runs, which the standard library's hasher does not promise.
fn hash(name: &str) -> u64 {
    let fnv = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mixed = (fnv ^ (fnv >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(paths: usize, shards: usize) -> Vec<u32> {
        let mut loads = vec![0; shards];
        for path in 0..paths {
            let shard = place(&format!("camera/{path}"), &loads);
            loads[shard.index()] += 1;
        }
        loads
    }

    #[test]
    fn placement_balances_paths_over_shards() {
        for shards in [2, 3, 4, 16, 64] {
            let loads = placed(100 * shards, shards);
            let (least, most) = (loads.iter().min(), loads.iter().max());
            assert!(
                least >= Some(&90) && most <= Some(&110),
                "{shards} shards: {loads:?}"
            );
        }
    }

    #[test]
    fn placement_is_the_same_for_the_same_name_and_loads() {
        let loads = [3, 1, 4, 1];
        assert_eq!(place("mystream", &loads), place("mystream", &loads));
    }

    #[test]
    fn placement_takes_the_less_loaded_candidate() {
        let (first, second) = candidates("mystream", 8);
        let mut loads = [1; 8];
        loads[first] = 2;
        assert_eq!(place("mystream", &loads).index(), second);
        loads[second] = 3;
        assert_eq!(place("mystream", &loads).index(), first);
    }

    #[test]
    fn the_two_candidates_always_differ() {
        for shards in 2..40 {
            for path in 0..200 {
                let (first, second) = candidates(&format!("p{path}"), shards);
                assert!(first != second && first < shards && second < shards);
            }
        }
    }

    #[test]
    fn one_shard_takes_everything() {
        assert_eq!(place("anything", &[7]).index(), 0);
    }
}
