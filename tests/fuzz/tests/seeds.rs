//! Replays the fuzz targets' committed seeds on the toolchain at hand: what was found once stays mended.
//!
//! Not caught here: anything new. `tests/fuzz/run` looks for that.

use std::panic::catch_unwind;

use shardcast_fuzz::TARGETS;

/// Every target was begun with real traffic, and keeps what it has found.
const SEEDS_MIN: usize = 4;

#[test]
fn every_seed_passes_its_target() {
    let mut failed = Vec::new();
    for target in TARGETS {
        let seeds = target.seeds().expect("its folder is there");
        assert!(
            seeds.len() >= SEEDS_MIN,
            "{} seeds of {}",
            seeds.len(),
            target.name
        );
        for (name, bytes) in seeds {
            if catch_unwind(|| (target.check)(&bytes)).is_err() {
                failed.push(format!("{}/{name}", target.name));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn every_seed_cut_or_damaged_passes_its_target() {
    for target in TARGETS {
        for (name, bytes) in target.seeds().expect("its folder is there") {
            // Prime steps, so that every place in a message has its turn in some seed.
            for at in (0..bytes.len()).step_by(1 + bytes.len() / 13) {
                let mut damaged = bytes.clone();
                damaged[at] ^= 0x20;
                let both = [&bytes[..at], &damaged[..]];
                let failed = both
                    .into_iter()
                    .find(|input| catch_unwind(|| (target.check)(input)).is_err());
                assert!(failed.is_none(), "{}/{name} at byte {at}", target.name);
            }
        }
    }
}
