//! What a scrape of `/metrics` is promised to show: MediaMTX's metrics by its names and labels, our own with their
//! families, and how late packets have left for readers.
//!
//! Not caught here: what a scrape costs the streams beside it, which `ratio scrape` measures.

mod latency;
mod operators;

use std::collections::BTreeSet;

use shardcast_tests::scene::PATIENCE;
use shardcast_tests::scene::broadcast::{Broadcast, SHORT_GROUPS, Tracks};
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::player::{Haul, Player, VIDEO_LANE};
use shardcast_tests::scene::rig::Rig;
use shardcast_tests::scrape::Scrape;
use shardcast_tests::wait::poll_until;

const PATH: &str = "live/camera";
const METRICS: &str = "metrics: yes\nmetricsAddress: 127.0.0.1:0\n";

/// A server, a broadcast that has sent nothing yet, and some readers who wait for it.
struct Scene {
    rig: Rig,
    broadcast: Broadcast,
    players: Vec<(Player, Haul)>,
}

impl Scene {
    fn begin(house: House, readers: usize, configuration: &str) -> Self {
        let rig = Rig::start(house, &format!("{METRICS}{configuration}"));
        let broadcast = Broadcast::start_shaped(rig.address(), PATH, Tracks::Video, SHORT_GROUPS);
        let broadcast = broadcast.expect("it publishes");
        let players = (0..readers).map(|_| {
            let player = Player::start(rig.address(), PATH, &VIDEO_LANE);
            (player.expect("it plays"), Haul::default())
        });
        let players = players.collect();
        Self {
            rig,
            broadcast,
            players,
        }
    }

    fn send(&mut self, units: u64) {
        self.broadcast.send(units).expect("units");
        let last = self.broadcast.packets() - 1;
        for (player, haul) in &mut self.players {
            player.read_up_to(haul, last).expect("they come");
        }
    }

    fn scrape(&self, query: &str) -> Scrape {
        Scrape::take(self.rig.site("metrics"), query)
    }

    /// Scrapes until the page shows what is expected.
    fn wait<T>(&self, what: &str, mut pick: impl FnMut(&Scrape) -> Option<T>) -> T {
        let mut last = Scrape::default();
        let found = poll_until(PATIENCE, || {
            last = self.scrape("");
            pick(&last)
        });
        found.unwrap_or_else(|| panic!("{what}: never seen in\n{}", last.text))
    }
}

#[test]
fn a_broadcast_is_seen_by_mediamtx_names_and_labels() {
    let mut scene = Scene::begin(House::USUAL, 2, "");
    scene.send(10);
    let page = scene.scrape("");
    let of_path = [("name", PATH), ("state", "ready")];
    assert_eq!(page.sum("paths", &of_path), Some(1.0));
    let of_kind = [("name", PATH), ("readerType", "rtspSession")];
    assert_eq!(page.sum("paths_readers", &of_kind), Some(2.0));
    let brought = page.sum("paths_inbound_bytes", &of_path);
    assert!(brought >= Some(scene.broadcast.sent_bytes() as f64));
    assert_eq!(page.sum("rtsp_conns", &[]), Some(3.0));
    for (state, sessions) in [("publish", 1.0), ("read", 2.0)] {
        let labels = [("path", PATH), ("state", state)];
        assert_eq!(page.sum("rtsp_sessions", &labels), Some(sessions));
    }
    let sent = scene.broadcast.packets() as f64;
    let taken = page.sum("rtsp_sessions_inbound_rtp_packets", &[("state", "publish")]);
    // Parameter sets are packets too.
    assert!(taken >= Some(sent), "{taken:?}");
    let names = page.all("rtsp_sessions_outbound_bytes", &[("state", "read")]);
    for sample in names {
        let labels: Vec<&str> = sample.labels.keys().map(String::as_str).collect();
        assert_eq!(labels, ["id", "path", "remoteAddr", "state"]);
        assert!(sample.value > 0.0);
    }
}

#[test]
fn every_sample_of_our_own_belongs_to_a_family_and_stands_once() {
    let mut scene = Scene::begin(House::USUAL, 2, "");
    scene.send(10);
    let page = scene.wait("latency", |page| {
        let count = page.sum("shardcast_path_latency_seconds_count", &[]);
        (count > Some(0.0)).then(|| page.clone())
    });
    let mut seen = BTreeSet::new();
    for sample in &page.samples {
        let is_own = sample.name.starts_with("shardcast_");
        assert!(!is_own || page.has(&sample.name), "{sample:?}");
        let stands_once = seen.insert((sample.name.clone(), sample.labels.clone()));
        assert!(stands_once, "{sample:?}");
    }
    let shards = page.sum("shardcast_shards", &[]);
    assert_eq!(shards, Some(2.0));
    assert_eq!(page.all("shardcast_shard_tasks", &[]).count(), 2);
    for name in [
        "shardcast_process_cpu_seconds_total",
        "shardcast_process_resident_memory_bytes",
        "shardcast_process_open_fds",
        "shardcast_process_start_time_seconds",
        "shardcast_metrics_duration_seconds",
    ] {
        assert!(page.sum(name, &[]) > Some(0.0), "{name}");
    }
}

#[test]
fn a_scrape_can_ask_for_one_type_one_path_or_one_session() {
    let mut scene = Scene::begin(House::SMALL, 2, "");
    scene.send(2);
    let names = |page: &Scrape| -> BTreeSet<String> {
        let names = page.samples.iter().map(|sample| sample.name.clone());
        names.collect()
    };
    let paths = scene.scrape("?type=paths");
    assert!(names(&paths).iter().all(|name| name.starts_with("paths")));
    let none = scene.scrape("?path=other");
    assert_eq!(none.samples, []);
    let own = names(&scene.scrape("?type=shardcast"));
    assert!(own.iter().all(|name| name.starts_with("shardcast_")) && own.len() > 30);
    let all = scene.scrape("");
    let reader = all.all("rtsp_sessions", &[("state", "read")]).next();
    let id = reader.expect("a reader").labels["id"].clone();
    let one = scene.scrape(&format!("?rtsp_session={id}"));
    assert_eq!(one.sum("rtsp_sessions", &[]), Some(1.0));
    assert!(one.samples.iter().all(|sample| sample.labels["id"] == id));
}

#[test]
fn sessions_are_summed_where_the_configuration_says_so_and_a_gauge_tells() {
    let mut scene = Scene::begin(House::SMALL, 3, "metricsPerSession: no\n");
    scene.send(2);
    let page = scene.scrape("");
    let readers: Vec<_> = page.all("rtsp_sessions", &[("state", "read")]).collect();
    assert_eq!((readers.len(), readers[0].value), (1, 3.0));
    assert_eq!(page.sum("rtsp_conns", &[]), Some(4.0));
    assert!(
        page.samples
            .iter()
            .all(|sample| !sample.labels.contains_key("id"))
    );
    let summed = "shardcast_metrics_sessions_summed";
    assert_eq!(page.sum(summed, &[("kind", "rtsp")]), Some(1.0));
}

#[test]
fn a_path_that_waits_for_its_publisher_is_not_ready() {
    let rig = Rig::start(House::SMALL, &format!("{METRICS}paths:\n  cam:\n"));
    let page = Scrape::take(rig.site("metrics"), "");
    let labels = [("name", "cam"), ("state", "notReady")];
    assert_eq!(page.sum("paths", &labels), Some(1.0));
    assert_eq!(page.sum("paths_readers", &[("readerType", "")]), Some(0.0));
    assert_eq!(page.sum("rtsp_sessions", &[]), Some(0.0));
}

#[test]
fn refusals_are_counted_by_reason() {
    let scene = Scene::begin(House::SMALL, 0, "");
    let missing = Player::start(scene.rig.address(), "nowhere", &VIDEO_LANE);
    assert!(missing.is_err());
    let page = scene.scrape("");
    let refused = page.sum("shardcast_refusals_total", &[("reason", "not_found")]);
    assert_eq!(refused, Some(1.0));
}
