//! Changes under load: streams on paths that do not change notice none of them, and nothing is left of them.

use serde_json::{Value, json};
use shardcast_tests::procfs::Process;
use shardcast_tests::scene::baseline::Baseline;
use shardcast_tests::scene::bystander::Bystander;
use shardcast_tests::scene::house::House;

use crate::stage::{api, change, refused, start_in};

/// Changes of each kind.
const ROUNDS: usize = 250;

/// By so much the process may grow in a fifth of the rounds: what an allocator keeps for itself.
const GROWTH_BYTES_MAX: u64 = 2 << 20;

#[test]
fn a_thousand_changes_under_load_lose_no_packet_and_leave_nothing() {
    let rig = start_in(House::USUAL, "paths: {all_others: }\n");
    let baseline = Baseline::take(&rig);
    let bystanders = ["live/a", "live/b", "live/c"];
    let bystanders = bystanders.map(|path| Bystander::begin_on(rig.address(), path));
    let api = api(&rig);
    let mut resident_bytes = Vec::new();
    for round in 0..ROUNDS {
        let coalesce = format!("{}ms", 1 + round % 5);
        change(
            api,
            "PATCH",
            "/v3/config/global/patch",
            &json!({ "coalesce": coalesce }),
        );
        change(
            api,
            "POST",
            "/v3/config/paths/add/passing",
            &json!({ "maxReaders": round }),
        );
        change(
            api,
            "PATCH",
            "/v3/config/pathdefaults/patch",
            &json!({ "maxReaders": 1 + round }),
        );
        change(
            api,
            "DELETE",
            "/v3/config/paths/delete/passing",
            &Value::Null,
        );
        if (round + 1) % (ROUNDS / 5) == 0 {
            resident_bytes.push(Process::own().resident_bytes());
        }
    }
    // What is left behind is so in every fifth; what other tests of this process take meanwhile is not.
    let fifths = resident_bytes.windows(2);
    let least = fifths.map(|ends| ends[1].saturating_sub(ends[0])).min();
    assert!(least <= Some(GROWTH_BYTES_MAX), "{resident_bytes:?} bytes");
    bystanders.into_iter().for_each(Bystander::finish);
    baseline.assert_restored(&rig);
}

#[test]
fn a_hundred_refused_changes_under_load_change_nothing() {
    let rig = start_in(House::USUAL, "paths: {all_others: }\n");
    let bystander = Bystander::begin(rig.address());
    for round in 0..100 {
        let body = json!({ "coalesce": "1ms", "nonsense": round });
        let (status, _) = refused(api(&rig), "PATCH", "/v3/config/global/patch", &body);
        assert_eq!(status, 400);
    }
    bystander.finish();
}
