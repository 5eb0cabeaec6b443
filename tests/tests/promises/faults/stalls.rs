//! A shard that is busy for long.

use std::time::{Duration, Instant};

use shardcast::event::Event;
use shardcast_tests::peer::connection::Connection;
use shardcast_tests::scene::baseline::Baseline;
use shardcast_tests::scene::broadcast::{Broadcast, SHORT_GROUPS};
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::ordeal::assert_no_panic;
use shardcast_tests::scene::player::{Haul, Player};
use shardcast_tests::scene::rig::Rig;
use shardcast_tests::scene::saboteur::Saboteur;

use super::{publish_on, read_on};

/// How long the shard is busy.
const BUSY: Duration = Duration::from_secs(5);
/// What else may keep a stream from flowing on a machine with much to do; still far below [`BUSY`].
const HICCUP_MAX: Duration = Duration::from_secs(2);
/// A stall is reported within a second; half of one more for a machine with much to do.
const TOLD_WITHIN: Duration = Duration::from_millis(1500);
/// New connections while the shard is busy: enough for the kernel to give both shards some.
const STRANGERS: usize = 16;
const FREE: usize = 0;
const HELD: usize = 1;

/// A stream and a reader that may jump.
struct Show {
    broadcast: Broadcast,
    player: Player,
    haul: Haul,
}

impl Show {
    /// On a path of this shard, and served by it.
    fn begin(rig: &Rig, shard: usize) -> (String, Self) {
        let (path, broadcast) = publish_on(rig, shard, shard);
        let player = read_on(rig, &path, shard);
        let haul = Haul::with_jumps();
        let mut show = Self {
            broadcast,
            player,
            haul,
        };
        show.flow(SHORT_GROUPS.gop_frames);
        (path, show)
    }

    /// So many units are sent, and the last of them comes.
    fn flow(&mut self, units: u64) {
        self.broadcast.send(units).unwrap();
        let last = self.broadcast.packets() - 1;
        self.player.read_up_to(&mut self.haul, last).unwrap();
    }
}

/// Connections with a request each, of which some are the busy shard's.
fn strangers(rig: &Rig) -> Vec<Connection> {
    let ask = |_| {
        let mut connection = Connection::open(rig.address()).unwrap();
        let request = b"OPTIONS rtsp://h/a RTSP/1.0\r\nCSeq: 1\r\n\r\n";
        connection.send(request).unwrap();
        connection
    };
    (0..STRANGERS).map(ask).collect()
}

/// The strangers that a shard has taken by now, and the others.
fn split(rig: &Rig, strangers: Vec<Connection>) -> (Vec<Connection>, Vec<Connection>) {
    let events = rig.watch(Duration::from_millis(500));
    let is_taken = |connection: &Connection| {
        let port = connection.socket().local_addr().unwrap().port();
        let opened = |event: &Event| match event {
            Event::ConnectionOpened { peer, shard, .. } => peer.port() == port && *shard == FREE,
            _ => false,
        };
        events.iter().any(opened)
    };
    strangers.into_iter().partition(is_taken)
}

fn assert_answered(strangers: &mut [Connection]) {
    for connection in strangers {
        assert_eq!(connection.next_response().unwrap().status, 200);
    }
}

/// The stall as it is told, over or not, and how long it was by then.
fn wait_stall(rig: &Rig, is_over: bool) -> Duration {
    rig.wait_event("the stall", |event| match event {
        Event::Stalled {
            shard: HELD,
            over,
            busy_for,
            ..
        } if *over == is_over => Some(*busy_for),
        _ => None,
    })
}

fn hold_a_shard_for_5_s(house: House) {
    let saboteur = Saboteur::default();
    let (text, configuration) = (house.configuration(), "gatherReaders: 0\n");
    let rig = Rig::start_with(&text, configuration, Some(saboteur.companion()));
    let baseline = Baseline::take(&rig);
    let (path, mut free) = Show::begin(&rig, FREE);
    let (_, mut held) = Show::begin(&rig, HELD);
    // Of the free shard's path, but served by the busy one.
    let (mut far, mut far_haul) = (read_on(&rig, &path, HELD), Haul::with_jumps());

    let (hold, begun) = (saboteur.hold(HELD), Instant::now());
    let strangers = strangers(&rig);
    wait_stall(&rig, false);
    assert!(begun.elapsed() < TOLD_WITHIN, "{:?}", begun.elapsed());
    let (mut taken, mut waiting) = split(&rig, strangers);
    assert!(!taken.is_empty() && !waiting.is_empty());
    assert_answered(&mut taken);
    let mut slowest = Duration::ZERO;
    while begun.elapsed() < BUSY {
        let sent = Instant::now();
        free.flow(1);
        slowest = slowest.max(sent.elapsed());
        rig.watch(Duration::from_millis(10));
    }
    assert!(slowest < HICCUP_MAX, "{slowest:?}");
    drop(hold);

    // Everybody goes on within a group of pictures, and nobody was closed.
    assert_answered(&mut waiting);
    free.flow(SHORT_GROUPS.gop_frames);
    held.flow(SHORT_GROUPS.gop_frames);
    let last = free.broadcast.packets() - 1;
    far.read_up_to(&mut far_haul, last).unwrap();
    assert_eq!(free.haul.video.jumps(), 0);
    let busy_for = wait_stall(&rig, true);
    assert!(busy_for > BUSY - HICCUP_MAX, "{busy_for:?}");
    drop((free, held, far, taken, waiting));
    baseline.assert_restored(&rig);
    assert_no_panic(&rig);
}

#[test]
fn a_shard_that_is_busy_for_5_s_pauses_only_what_it_owns_and_serves() {
    // At the same time, because most of it is waiting.
    std::thread::scope(|scope| {
        for house in [House::ALL[1], House::ALL[4]] {
            scope.spawn(move || hold_a_shard_for_5_s(house));
        }
    });
}
