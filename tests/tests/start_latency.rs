//! What a beginning costs a reader: ffplay, GStreamer and VLC join a live stream in the middle of a group of 10 s under every
//! `start`, over TCP and UDP, and the latency and lip sync that they have 5 s after PLAY are measured on what they present.
//!
//! `catchUp` must leave them within 300 ms of what waiting for the next key frame does, with the same lip sync. The other
//! figures are told, not judged: `gop` is for recorders. Not caught here: what only shows with pictures that take long to
//! decode, over a network with delay, or after more than some seconds.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use shardcast_tests::daemon::Daemon;
use shardcast_tests::interop::read::vlc_root;
use shardcast_tests::interop::transport::Transport;
use shardcast_tests::players::figures::{Case, Figures, HEADING, Start, is_complete, measure};
use shardcast_tests::players::player::Player;
use shardcast_tests::players::plays::Plays;
use shardcast_tests::players::source::{Begin, GROUP_SECONDS, Order, Source};
use shardcast_tests::port;
use shardcast_tests::wait::{poll_until, wait_until};
use tempfile::TempDir;

/// By how much a player that catches up may be later than one that has waited for a key frame.
const LATENCY_SLACK_S: f64 = 0.3;
/// By how much its lip sync may differ: less than what people notice, and more than the 40 ms by which ffplay takes pictures
/// for in time.
const LIP_SYNC_SLACK_S: f64 = 0.1;
/// Players join from so many seconds behind a key frame on: late enough that GStreamer, which ends after 5 s without
/// datagrams, stays for the next one.
const JOIN_FROM_S: f64 = 5.2;
/// So many join one after the other before that.
const JOINS_PER_GROUP: usize = 9;
/// Time between two of them: programs that start take a core for a third of a second.
const JOIN_EVERY_S: f64 = 0.4;
/// The longest that a player may take from its start to its figures: half a group until its first picture, its own
/// buffering, the seconds after that, and a busy machine.
const PLAYER_LIMIT: Duration = Duration::from_secs(25);
/// Where Linux has a file system in memory.
const MEMORY: &str = "/dev/shm";

type Results = HashMap<Case, Result<Figures, String>>;

#[test]
fn players_that_catch_up_are_as_live_as_those_that_wait_for_a_key_frame() {
    let stage = Stage::build();
    let mut results = stage.play_all(&cases());
    let again = flaws(&results);
    if !again.is_empty() {
        print(&results);
        println!("once more, for a busy machine: {again:#?}");
        let again = again.into_iter().flat_map(|(case, _)| {
            [Start::KeyFrame, Start::CatchUp].map(|start| Case { start, ..case })
        });
        results.extend(stage.play_all(&again.collect::<Vec<Case>>()));
    }
    print(&results);
    println!("{}", stage.end());
    assert_eq!(flaws(&results), []);
}

/// All beginnings with plain pictures, and those that are compared with each other with reordered ones.
fn cases() -> Vec<Case> {
    let has_vlc = vlc_root().is_some();
    let players = Player::ALL.into_iter();
    let players = players.filter(|player| has_vlc || *player != Player::Vlc);
    let players: Vec<Player> = players.collect();
    let mut cases = Vec::new();
    for (order, start) in streams() {
        for transport in Transport::UNICAST {
            cases.extend(players.iter().map(|player| Case {
                player: *player,
                transport,
                order,
                start,
            }));
        }
    }
    cases
}

fn streams() -> Vec<(Order, Start)> {
    let plain = Start::ALL.map(|start| (Order::Plain, start));
    let reordered = [Start::KeyFrame, Start::CatchUp].map(|start| (Order::Reordered, start));
    plain.into_iter().chain(reordered).collect()
}

/// What is wrong with those that catch up, per case.
fn flaws(results: &Results) -> Vec<(Case, String)> {
    let judged = results
        .iter()
        .filter(|(case, _)| case.start == Start::CatchUp);
    let flaws = judged.filter_map(|(case, result)| {
        let start = Start::KeyFrame;
        let flaw = match (result, results.get(&Case { start, ..*case })) {
            (Ok(figures), Some(Ok(reference))) => compare(figures, reference),
            (Err(error), _) | (_, Some(Err(error))) => Some(error.clone()),
            (Ok(_), None) => None,
        };
        flaw.map(|flaw| (*case, flaw))
    });
    flaws.collect()
}

fn compare(figures: &Figures, reference: &Figures) -> Option<String> {
    let later_s = figures.latency_s - reference.latency_s;
    let shift_s = figures.sound_lag_s - reference.sound_lag_s;
    let is_flawed = later_s > LATENCY_SLACK_S || shift_s.abs() > LIP_SYNC_SLACK_S;
    is_flawed.then(|| format!("{later_s:.3} s later, sound shifted by {shift_s:.3} s"))
}

fn print(results: &Results) {
    println!("{HEADING}");
    let mut lines: Vec<String> = results
        .iter()
        .map(|(case, result)| match result {
            Ok(figures) => format!("{case} {figures}"),
            Err(error) => format!("{case} {error}"),
        })
        .collect();
    lines.sort();
    println!("{}", lines.join("\n"));
}

/// A server with its sources.
struct Stage {
    daemon: Daemon,
    sources: Vec<Source>,
    plays: Plays,
    begin: Begin,
    folder: TempDir,
}

impl Stage {
    fn build() -> Self {
        let api = SocketAddr::from(([127, 0, 0, 1], port::free_tcp_port().unwrap()));
        let daemon = Daemon::start(&configuration(api)).unwrap();
        let folder = TempDir::new_in(MEMORY).or_else(|_| TempDir::new()).unwrap();
        let begin = Begin::now();
        let source = |order: Order| {
            let of_order = streams().into_iter().filter(|(other, _)| *other == order);
            let urls: Vec<String> = of_order
                .map(|(order, start)| url(&daemon, order, start))
                .collect();
            let log = folder.path().join(format!("{}-log", order.name()));
            Source::start(order, &urls, begin, &log).unwrap()
        };
        let sources = [Order::Plain, Order::Reordered].map(source).into();
        Self {
            plays: Plays::listen(api, begin),
            daemon,
            sources,
            begin,
            folder,
        }
    }

    /// Lets each case's player join in the middle of a group, some of them within each.
    fn play_all(&self, cases: &[Case]) -> Results {
        let results = Mutex::new(Results::new());
        let group_s = GROUP_SECONDS as f64;
        let groups = (self.begin.elapsed_s() - JOIN_FROM_S) / group_s;
        let next_group_s = groups.ceil() * group_s;
        thread::scope(|scope| {
            for (index, case) in cases.iter().enumerate() {
                let group_s = next_group_s + group_s * (index / JOINS_PER_GROUP) as f64;
                let place_s = JOIN_EVERY_S * (index % JOINS_PER_GROUP) as f64;
                let results = &results;
                scope.spawn(move || {
                    wait_until(self.begin.after(group_s + JOIN_FROM_S + place_s));
                    let result = self.play(*case);
                    results.lock().unwrap().insert(*case, result);
                });
            }
        });
        results.into_inner().unwrap()
    }

    fn play(&self, case: Case) -> Result<Figures, String> {
        let query = format!("case={:.3}", self.begin.elapsed_s());
        let folder = self.folder.path().join(&query);
        fs::create_dir(&folder).map_err(|error| error.to_string())?;
        let url = url(&self.daemon, case.order, case.start);
        let playing = case.player.play(
            &format!("{url}?{query}"),
            case.transport,
            &folder,
            self.begin,
        );
        let mut playing = playing.map_err(|error| error.to_string())?;
        let play_s = poll_until(PLAYER_LIMIT, || {
            let play_s = self.plays.at_s(&query)?;
            let now_s = self.begin.elapsed_s();
            is_complete(play_s, &playing.presented(), now_s).then_some(play_s)
        });
        playing.check_running().map_err(|error| error.to_string())?;
        let result = match play_s {
            Some(play_s) => measure(playing, play_s),
            None => Err(unfinished(&folder)),
        };
        // It is gone with all others at the latest.
        let _ = fs::remove_dir_all(&folder);
        result
    }

    /// Ends all; by how much pictures were handed over too late.
    fn end(self) -> String {
        let late_s = self.sources.into_iter().map(Source::stop);
        let late_s: Vec<String> = late_s.map(|late_s| format!("{late_s:.3} s")).collect();
        self.daemon.stop().unwrap();
        format!(
            "pictures were handed over late by up to {}",
            late_s.join(" and ")
        )
    }
}

fn unfinished(folder: &Path) -> String {
    let said = fs::read(folder.join("log")).unwrap_or_default();
    format!(
        "not ready after {PLAYER_LIMIT:?}: {}",
        String::from_utf8_lossy(&said)
    )
}

fn configuration(api: SocketAddr) -> String {
    let path = |(order, start): (Order, Start)| {
        let (order, start) = (order.name(), start.name());
        format!("  {order}/{start}:\n    start: {start}\n    readerQueueAge: 30s\n")
    };
    let paths: String = streams().into_iter().map(path).collect();
    format!("api: yes\napiAddress: {api}\nudpReadBufferSize: 2097152\npaths:\n{paths}")
}

fn url(daemon: &Daemon, order: Order, start: Start) -> String {
    let (port, order, start) = (daemon.port(), order.name(), start.name());
    format!("rtsp://127.0.0.1:{port}/{order}/{start}")
}
