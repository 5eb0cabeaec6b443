//! Our readers beside others': over what was recorded, over what is made at random, and over both with damage, the two come
//! to the same verdict and the same content, but where a list says otherwise.
//!
//! Not caught here: what both read wrongly.

mod codec;
mod difference;
mod rtsp;
mod sdp;

use proptest::prelude::*;
use shardcast_fuzz::TARGETS;

/// A case costs microseconds. What fails is added to a list or to the seeds, not kept in a file of the tool's own.
fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 2048,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// The committed seeds of a fuzz target, by name.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let target = TARGETS.iter().find(|known| known.name == target);
    let seeds = target.expect("a target").seeds();
    seeds.expect("its folder is there")
}

/// One place in which bytes are damaged: where, how much goes, and what comes instead.
type Damage = (prop::sample::Index, usize, Vec<u8>);

fn any_damages(parts: &'static [&'static [u8]]) -> impl Strategy<Value = Vec<Damage>> {
    let part = prop::sample::select(parts).prop_map(<[u8]>::to_vec);
    prop::collection::vec((any::<prop::sample::Index>(), 0usize..4, part), 1..4)
}

fn damaged(mut bytes: Vec<u8>, damages: Vec<Damage>) -> Vec<u8> {
    for (at, gone, put) in damages {
        let at = at.index(bytes.len() + 1);
        let end = bytes.len().min(at + gone);
        bytes.splice(at..end, put);
    }
    bytes
}
