//! What the server takes upon itself: readers, bit rates, connections of an address, memory, busy shards. One more than
//! there is room for is refused before it begins, is told why, and may ask again; those who are there lose nothing.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shardcast::RefusalReason;
use shardcast::event::SessionEnd;
use shardcast_tests::daemon::Daemon;
use shardcast_tests::http::{get, send_json};
use shardcast_tests::peer::PeerError;
use shardcast_tests::peer::connection::Connection;
use shardcast_tests::peer::message::Response;
use shardcast_tests::peer::udp::UdpReader;
use shardcast_tests::port::free_tcp_port;
use shardcast_tests::procfs::Process;
use shardcast_tests::scene::PATIENCE;
use shardcast_tests::scene::broadcast::{Broadcast, Tracks};
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::player::{Haul, Player, VIDEO_LANE};
use shardcast_tests::scene::rig::Rig;
use shardcast_tests::scene::saboteur::Saboteur;
use shardcast_tests::wait::{poll_until, wait_until};

const HOUSES: [House; 3] = [House::SMALL, House::USUAL, House::RIGID];

/// The API on a port of its own.
const API: &str = "api: yes\napiAddress: 127.0.0.1:0\n";

/// What a new connection is answered when it asks for `path`.
fn describe(address: SocketAddr, path: &str) -> (SocketAddr, Response) {
    let mut connection = Connection::open(address).unwrap();
    let peer = connection.socket().local_addr().unwrap();
    let url = format!("rtsp://{address}/{path}");
    let answer = connection.ask("DESCRIBE", &url, &[], b"").unwrap();
    (peer, answer)
}

/// Asks as [`describe`], and is refused by this limit.
fn assert_refused(rig: &Rig, status: u16, limit: &str, reason: RefusalReason) {
    let (peer, answer) = describe(rig.address(), "cam");
    assert_eq!(answer.status, status, "{answer:?}");
    assert!(answer.phrase.contains(limit), "{answer:?}");
    assert_eq!(rig.wait_refused(peer), reason);
    assert!(rig.snapshot().refusals.of(reason) > 0);
}

fn play(rig: &Rig) -> Player {
    Player::start(rig.address(), "cam", &VIDEO_LANE).unwrap()
}

/// What the API says of the limit of this name.
fn limit(rig: &Rig, name: &str) -> Value {
    let limits = get(rig.site("API"), "/v3/limits").json();
    let mut items = limits["items"].as_array().unwrap().iter();
    let found = items.find(|item| item["name"] == name);
    found.unwrap_or_else(|| panic!("{name}: {limits}")).clone()
}

fn set(rig: &Rig, key: &str, value: Value) {
    let (site, target) = (rig.site("API"), "/v3/config/global/patch");
    let answer = send_json(site, "PATCH", target, &json!({ key: value }));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// A setup of whatever else fails is a reader that was not let in.
fn is_let_in(result: Result<Response, PeerError>) -> bool {
    match result {
        Ok(_) => true,
        Err(PeerError::Refused { status: 453, .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn as_many_readers_play_as_may_and_the_next_one_may_when_one_has_left() {
    for house in HOUSES {
        let rig = Rig::start(house, &format!("readers: 3\n{API}"));
        let mut broadcast = Broadcast::start(rig.address(), "cam", Tracks::Video).unwrap();
        let mut waiting = Player::prepare(rig.address(), "cam", &VIDEO_LANE).unwrap();
        let mut players = [play(&rig), play(&rig)];
        let over_udp = UdpReader::start(rig.address(), "cam").unwrap();
        assert_eq!(limit(&rig, "readers")["used"], 3);
        assert_refused(&rig, 453, "readers: all 3", RefusalReason::TooManyReaders);
        assert!(!is_let_in(waiting.play()), "it has set up before");
        over_udp.teardown().unwrap();
        poll_until(PATIENCE, || is_let_in(waiting.play()).then_some(())).expect("room again");
        broadcast.send(10).unwrap();
        for player in players.iter_mut().chain([&mut waiting]) {
            player.read_packets(&mut Haul::default(), 9).unwrap();
        }
    }
}

#[test]
fn exactly_as_many_readers_play_however_many_ask_at_once() {
    for house in [House::USUAL, House::RIGID] {
        let rig = Rig::start(house, "readers: 10\ngatherReaders: 0\n");
        let _broadcast = Broadcast::start(rig.address(), "cam", Tracks::Video).unwrap();
        let prepare = |_| Player::prepare(rig.address(), "cam", &VIDEO_LANE).unwrap();
        let players: Vec<Player> = (0..40).map(prepare).collect();
        let let_in = std::thread::scope(|scope| {
            let ask = |mut player: Player| {
                scope.spawn(move || {
                    let is_let_in = is_let_in(player.play());
                    (player, is_let_in)
                })
            };
            let asked: Vec<_> = players.into_iter().map(ask).collect();
            let answered = asked.into_iter().map(|asked| asked.join().unwrap());
            let answered: Vec<_> = answered.collect();
            answered.iter().filter(|(_, is_let_in)| *is_let_in).count()
        });
        assert_eq!(let_in, 10);
    }
}

#[test]
fn a_limit_that_falls_ends_nobody_and_one_that_rises_lets_the_next_one_in() {
    let rig = Rig::start(House::USUAL, &format!("readers: 2\n{API}"));
    let mut broadcast = Broadcast::start(rig.address(), "cam", Tracks::Video).unwrap();
    let mut players = vec![play(&rig), play(&rig)];
    set(&rig, "readers", json!(1));
    assert_refused(&rig, 453, "readers: all 1", RefusalReason::TooManyReaders);
    let shown = limit(&rig, "readers");
    assert_eq!((&shown["limit"], &shown["used"]), (&json!(1), &json!(2)));
    set(&rig, "readers", json!(3));
    players.push(play(&rig));
    assert_refused(&rig, 453, "readers: all 3", RefusalReason::TooManyReaders);
    set(&rig, "readers", json!(0));
    players.push(play(&rig));
    broadcast.send(10).unwrap();
    for player in &mut players {
        player.read_packets(&mut Haul::default(), 9).unwrap();
    }
}

#[test]
fn a_path_that_has_all_of_its_readers_says_so() {
    for house in HOUSES {
        let rig = Rig::start(house, "pathDefaults:\n  maxReaders: 1\n");
        let _broadcast = Broadcast::start(rig.address(), "cam", Tracks::Video).unwrap();
        let mut waiting = Player::prepare(rig.address(), "cam", &VIDEO_LANE).unwrap();
        let _player = play(&rig);
        let reason = RefusalReason::TooManyPathReaders;
        assert_refused(&rig, 453, "maxReaders: all 1", reason);
        assert!(!is_let_in(waiting.play()));
    }
}

#[test]
fn an_address_has_its_number_of_connections_whatever_they_do() {
    for house in HOUSES {
        let rig = Rig::start(house, "connectionsPerAddress: 3\n");
        let mut broadcast = Broadcast::start(rig.address(), "cam", Tracks::Video).unwrap();
        let mut player = play(&rig);
        let mut idle = Connection::open(rig.address()).unwrap();
        let url = "rtsp://localhost/";
        idle.request("OPTIONS", url, &[], b"").unwrap();
        let mut surplus = Connection::open(rig.address()).unwrap();
        let peer = surplus.socket().local_addr().unwrap();
        let answer = surplus.next_response().unwrap();
        assert_eq!(answer.status, 503);
        assert!(
            answer.phrase.contains("connectionsPerAddress"),
            "{answer:?}"
        );
        surplus.wait_closed().unwrap();
        let end = rig.wait_closed(peer);
        assert!(matches!(
            end,
            SessionEnd::Protocol(RefusalReason::TooManyOfAddress, _)
        ));
        Connection::open(rig.address_v6())
            .unwrap()
            .request("OPTIONS", url, &[], b"")
            .unwrap();
        drop(idle);
        poll_until(PATIENCE, || {
            let mut next = Connection::open(rig.address()).ok()?;
            let answer = next.request("OPTIONS", url, &[], b"");
            answer.is_ok().then_some(())
        })
        .expect("room for one more");
        broadcast.send(10).unwrap();
        player.read_packets(&mut Haul::default(), 9).unwrap();
    }
}

/// Tells the sender that the test is over, also when it has failed.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `what` while a publisher sends some 3 Mbit/s to `cam`.
fn while_sending<T>(rig: &Rig, what: impl FnOnce() -> T) -> T {
    let mut broadcast = Broadcast::start(rig.address(), "cam", Tracks::Video).unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                broadcast.send(1).unwrap();
                wait_until(Instant::now() + Duration::from_millis(20));
            }
        });
        let _over = Over(&is_over);
        what()
    })
}

#[test]
fn readers_are_let_in_until_their_bit_rates_are_the_budget() {
    for house in [House::SMALL, House::USUAL] {
        let rig = Rig::start(house, API);
        while_sending(&rig, || {
            let mut players = vec![play(&rig)];
            // What one reader is sent, once that is measured; and so much more that it is no more than three.
            let used = || {
                limit(&rig, "egress")["used"]
                    .as_u64()
                    .filter(|used| *used > 0)
            };
            let used = poll_until(PATIENCE, used).expect("a bit rate");
            set(&rig, "egress", json!((used * 3).to_string()));
            let refused = (0..100).find_map(|_| {
                let (_, answer) = describe(rig.address(), "cam");
                match answer.status {
                    200 => players.push(play(&rig)),
                    _ => return Some(answer),
                }
                None
            });
            let refused = refused.expect("a budget that ends");
            assert_eq!(refused.status, 453);
            assert!(refused.phrase.contains("egress:"), "{refused:?}");
            for player in &mut players {
                player.read_packets(&mut Haul::default(), 9).unwrap();
            }
            let is_sent = || {
                limit(&rig, "egress")["sent"]
                    .as_u64()
                    .filter(|sent| *sent > 0)
            };
            poll_until(PATIENCE, is_sent).expect("what was really sent");
        });
        assert!(rig.snapshot().refusals.of(RefusalReason::EgressTaken) > 0);
    }
}

/// Waits until the server sees a shard of this busy share or more.
fn wait_busy(rig: &Rig, shard: usize, permille: u64) {
    rig.wait_counters("a busy shard", |snapshot| {
        (snapshot.shards[shard].busy_permille >= permille).then_some(())
    });
}

/// A reader whose connection has begun on this shard.
fn player_from(rig: &Rig, shard: usize) -> Option<Player> {
    let address = rig.address();
    let is_there =
        |connection: &Connection| rig.shard_of(connection.socket().local_addr().unwrap()) == shard;
    let mut connections = std::iter::repeat_with(|| Connection::open(address).unwrap());
    let connection = connections.find(is_there)?;
    let mut player = Player::prepare_on(connection, address, "cam", &VIDEO_LANE).ok()?;
    player.play().ok()?;
    Some(player)
}

#[test]
fn a_busy_shard_gives_new_readers_to_the_other_and_keeps_those_who_play() {
    let saboteur = Saboteur::default();
    let text = House::USUAL.configuration();
    let rig = Rig::start_with(
        &text,
        "cpu: 80\ngatherReaders: 0\n",
        Some(saboteur.companion()),
    );
    let mut broadcast = Broadcast::start(rig.address(), "cam", Tracks::Video).unwrap();
    let mut first = player_from(&rig, 0).unwrap();
    assert_eq!(rig.session_of(first.local_address()).shard, 0);
    let _burden = saboteur.burden(0);
    wait_busy(&rig, 0, 900);
    let moved = poll_until(PATIENCE, || {
        let player = player_from(&rig, 0)?;
        let shard = rig.session_of(player.local_address()).shard;
        (shard == 1).then_some(player)
    });
    let mut moved = moved.expect("a reader on the other shard");
    assert_eq!(rig.session_of(first.local_address()).shard, 0);
    broadcast.send(10).unwrap();
    for player in [&mut first, &mut moved] {
        player.read_packets(&mut Haul::default(), 9).unwrap();
    }
}

#[test]
fn where_every_shard_is_too_busy_new_readers_are_told_and_the_api_answers() {
    for house in [House::SMALL, House::RIGID] {
        let saboteur = Saboteur::default();
        let settings = format!("cpu: 80\n{API}");
        let companion = Some(saboteur.companion());
        let rig = Rig::start_with(&house.configuration(), &settings, companion);
        let mut broadcast = Broadcast::start(rig.address(), "cam", Tracks::Video).unwrap();
        let mut player = play(&rig);
        let burdens: Vec<_> = (0..house.shards)
            .map(|shard| saboteur.burden(shard))
            .collect();
        (0..house.shards).for_each(|shard| wait_busy(&rig, shard, 900));
        let refused = poll_until(PATIENCE, || {
            let (_, answer) = describe(rig.address(), "cam");
            (answer.status == 503).then_some(answer)
        });
        let refused = refused.expect("a refusal");
        assert!(
            refused.phrase.contains("cpu: busier than 80 %"),
            "{refused:?}"
        );
        assert!(limit(&rig, "cpu")["refused"].as_u64() > Some(0));
        broadcast.send(10).unwrap();
        player.read_packets(&mut Haul::default(), 9).unwrap();
        set(&rig, "cpu", json!(100));
        let _second = play(&rig);
        drop(burdens);
    }
}

#[test]
fn a_shard_with_clearly_more_readers_gives_new_ones_to_the_other() {
    let rig = Rig::start(House::USUAL, "gatherReaders: 0\n");
    let mut broadcast = Broadcast::start(rig.address(), "cam", Tracks::Video).unwrap();
    let mut players: Vec<Player> = (0..24).map(|_| player_from(&rig, 0).unwrap()).collect();
    let shard_of = |player: &Player| rig.session_of(player.local_address()).shard;
    let shards: Vec<usize> = players.iter().map(shard_of).collect();
    assert!(shards[0] == 0 && shards.contains(&1), "{shards:?}");
    broadcast.send(10).unwrap();
    for player in &mut players {
        player.read_packets(&mut Haul::default(), 9).unwrap();
    }
}

/// A server with so little memory that a few publishers are too many, as a process of its own.
const LITTLE_MEMORY: &str =
    "memory: 96M\nshards: 2\npathDefaults:\n  logBytes: 8M\npaths:\n  all_others:\n";
const LITTLE_MEMORY_BYTES: u64 = 96 << 20;

/// More publishers than would fit.
const PUBLISHERS_MAX: usize = 100;

#[test]
fn near_the_limit_of_memory_nobody_comes_and_nobody_goes() {
    let api = SocketAddr::from((Ipv4Addr::LOCALHOST, free_tcp_port().unwrap()));
    let text = format!("api: yes\napiAddress: {api}\n{LITTLE_MEMORY}");
    let daemon = Daemon::start(&text).unwrap();
    let address = daemon.address();
    let resident_bytes = || Process::of(daemon.process_id()).resident_bytes();
    let mut first = Broadcast::start(address, "cam", Tracks::Video).unwrap();
    let mut reader = Player::start(address, "cam", &VIDEO_LANE).unwrap();
    let mut haul = Haul::default();
    let (mut published, mut refused) = (Vec::new(), None);
    for number in 0..PUBLISHERS_MAX {
        match Broadcast::start(address, &format!("more{number}"), Tracks::Video) {
            Ok(broadcast) => published.push(broadcast),
            Err(PeerError::Refused { method, status }) => {
                refused = Some((method, status));
                break;
            }
            Err(error) => panic!("{error}"),
        }
        // Each fills its log.
        if let Some(broadcast) = published.last_mut() {
            fill(broadcast);
        }
        wait_measured(api, resident_bytes());
        let resident = resident_bytes();
        assert!(resident < LITTLE_MEMORY_BYTES, "{resident}");
    }
    let refused = refused.expect("an end of memory");
    assert!(
        ["ANNOUNCE", "RECORD"].contains(&refused.0.as_str()),
        "{refused:?}"
    );
    assert_eq!(refused.1, 503);
    assert!(published.len() > 2, "{}", published.len());
    for broadcast in &mut published {
        broadcast.send(1).unwrap();
    }
    first.send(10).unwrap();
    reader.read_packets(&mut haul, 9).unwrap();
    let resident = resident_bytes();
    assert!(resident < LITTLE_MEMORY_BYTES, "{resident}");
    assert!(!daemon.wait_log("[limits] memory").is_empty());

    // A reader takes little; where not even that is left, it is told.
    let scarce = json!({ "memory": (resident + resident / 64).to_string() });
    let changed = send_json(api, "PATCH", "/v3/config/global/patch", &scarce);
    assert_eq!(changed.status, 200, "{}", changed.text());
    let (_, answer) = describe(address, "cam");
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.phrase.contains("memory:"), "{answer:?}");
    first.send(10).unwrap();
    reader.read_packets(&mut haul, 9).unwrap();
}

/// Waits until the server has seen what it holds: what comes faster than it looks is what it keeps a part back for.
fn wait_measured(api: SocketAddr, resident_bytes: u64) {
    let is_seen = || {
        let limits = get(api, "/v3/limits").json();
        let mut items = limits["items"].as_array()?.iter();
        let memory = items.find(|item| item["name"] == "memory")?;
        (memory["resident"].as_u64()? + (1 << 20) >= resident_bytes).then_some(())
    };
    poll_until(PATIENCE, is_seen).expect("a look at memory");
}

/// Sends what is more than a log of 8 MiB holds.
fn fill(broadcast: &mut Broadcast) {
    let before = broadcast.sent_bytes();
    while broadcast.sent_bytes() - before < 9 << 20 {
        broadcast.send(10).unwrap();
    }
}
