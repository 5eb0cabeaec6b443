//! Who has to say who it is, how that is shown, and what a wrong password costs.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use shardcast::RefusalReason;
use shardcast::event::{Event, SessionEnd};
use shardcast_tests::daemon::Daemon;
use shardcast_tests::peer::PeerError;
use shardcast_tests::peer::connection::Connection;
use shardcast_tests::peer::credentials::Credentials;
use shardcast_tests::peer::message::Response;
use shardcast_tests::peer::synthetic::SDP;
use shardcast_tests::scene::broadcast::{Broadcast, Tracks};
use shardcast_tests::scene::bystander::BYSTANDER;
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::ordeal::Ordeal;
use shardcast_tests::scene::player::{Haul, Player, VIDEO_LANE};
use shardcast_tests::scene::rig::Rig;

const BOB: Credentials<'_> = Credentials {
    user: "bob",
    pass: "s3cr3t",
};
const ALICE: Credentials<'_> = Credentials {
    user: "alice",
    pass: "0th3r",
};
const WRONG: Credentials<'_> = Credentials {
    user: "bob",
    pass: "wr0ng",
};

/// Alice publishes everywhere, Bob reads what begins with `cam`, and everybody does both on `open`.
const USERS: &str = "authInternalUsers:\n\
    - {user: alice, pass: 0th3r, permissions: [{action: publish}]}\n\
    - {user: bob, pass: s3cr3t, permissions: [{action: read, path: '~^cam'}]}\n\
    - {user: any, permissions: [{action: publish, path: open}, {action: read, path: open}]}\n";

/// How long the answer to a failed attempt waits, as the server documents it.
const FAILURE_DELAY: Duration = Duration::from_secs(2);
/// Failures of one address that wait, as the server documents them.
const FAILURES_MAX: usize = 16;

/// A peer on one path, which sends what it is told to.
struct Guest {
    connection: Connection,
    url: String,
}

impl Guest {
    fn new(address: SocketAddr, path: &str) -> Self {
        Self {
            connection: Connection::open(address).unwrap(),
            url: format!("rtsp://{address}/{path}"),
        }
    }

    fn address(&self) -> SocketAddr {
        self.connection.socket().local_addr().unwrap()
    }

    /// Asks for something below its path, with this `Authorization`, if any.
    fn ask(
        &mut self,
        method: &str,
        below: &str,
        headers: &[(&str, &str)],
        authorization: Option<&str>,
    ) -> Result<Response, PeerError> {
        let url = format!("{}{below}", self.url);
        let mut headers = headers.to_vec();
        headers.extend(authorization.map(|value| ("Authorization", value)));
        let body = if method == "ANNOUNCE" { SDP } else { "" };
        self.connection.ask(method, &url, &headers, body.as_bytes())
    }

    fn describe(&mut self, authorization: Option<&str>) -> Response {
        self.ask("DESCRIBE", "", &[], authorization).unwrap()
    }

    fn announce(&mut self, authorization: Option<&str>) -> Response {
        let headers = [("Content-Type", "application/sdp")];
        self.ask("ANNOUNCE", "", &headers, authorization).unwrap()
    }

    fn set_up(&mut self, mode: &str, authorization: Option<&str>) -> Response {
        let transport = format!("RTP/AVP/TCP;unicast;interleaved=0-1{mode}");
        let below = if mode.is_empty() {
            "/trackID=0"
        } else {
            "/streamid=0"
        };
        self.ask("SETUP", below, &[("Transport", &transport)], authorization)
            .unwrap()
    }
}

/// The ways to authenticate that an answer asks for.
fn challenges(response: &Response) -> Vec<&str> {
    assert_eq!(response.status, 401);
    let headers = response.headers.iter();
    let asked = headers.filter(|(name, _)| name == "WWW-Authenticate");
    asked
        .filter_map(|(_, value)| value.split(' ').next())
        .collect()
}

/// A server with these users, and a stream on `cam` that its publisher had to show a password for.
fn rig(house: House, more: &str) -> (Rig, Guest) {
    let rig = Rig::start(house, &format!("{USERS}{more}"));
    let mut publisher = Guest::new(rig.address(), "cam");
    let alice = ALICE.basic();
    assert_eq!(publisher.announce(Some(&alice)).status, 200);
    assert_eq!(publisher.set_up(";mode=record", None).status, 200);
    assert_eq!(publisher.ask("RECORD", "", &[], None).unwrap().status, 200);
    (rig, publisher)
}

#[test]
fn whoever_offers_nothing_is_asked_at_once_and_has_not_failed() {
    for house in [House::SMALL, House::USUAL, House::RIGID] {
        let (rig, _publisher) = rig(house, "");
        let begin = Instant::now();
        let mut guest = Guest::new(rig.address(), "cam");
        assert_eq!(challenges(&guest.describe(None)), ["Basic"]);
        assert_eq!(challenges(&guest.announce(None)), ["Basic"]);
        assert_eq!(challenges(&guest.set_up("", None)), ["Basic"]);
        // What nobody can read is nothing.
        let garbage = guest.describe(Some("Basic !!!"));
        assert_eq!(challenges(&garbage), ["Basic"]);
        assert!(begin.elapsed() < FAILURE_DELAY, "nothing waits");
        assert_eq!(guest.describe(Some(&BOB.basic())).status, 200);
        let refusals = rig.snapshot().refusals;
        assert_eq!(refusals.of(RefusalReason::Unauthorized), 4);
        assert_eq!(refusals.of(RefusalReason::AuthenticationFailed), 0);
    }
}

#[test]
fn what_everybody_may_needs_no_password_and_a_wrong_one_does_no_harm() {
    let rig = Rig::start(House::USUAL, USERS);
    let mut broadcast = Broadcast::start(rig.address(), "open", Tracks::Video).unwrap();
    let mut player = Player::start(rig.address(), "open", &VIDEO_LANE).unwrap();
    broadcast.send(6).unwrap();
    player.read_packets(&mut Haul::default(), 9).unwrap();
    let mut guest = Guest::new(rig.address(), "open");
    assert_eq!(guest.describe(Some(&WRONG.basic())).status, 200);
}

#[test]
fn what_a_connection_has_proven_holds_for_its_user_action_and_path() {
    for house in [House::SMALL, House::USUAL, House::RIGID] {
        let (rig, _publisher) = rig(house, "");
        let bob = BOB.basic();
        let mut guest = Guest::new(rig.address(), "cam");
        assert_eq!(guest.describe(Some(&bob)).status, 200);
        // It may have moved to another shard; what it has shown came with it.
        assert_eq!(guest.describe(None).status, 200);
        assert_eq!(challenges(&guest.announce(None)), ["Basic"]);
        let stranger = Credentials { user: "eve", ..BOB };
        assert_eq!(guest.describe(Some(&stranger.basic())).status, 401);
        let mut guest = Guest::new(rig.address(), "cam");
        assert_eq!(guest.describe(Some(&bob)).status, 200);
        guest.url = format!("rtsp://{}/cam2", rig.address());
        assert_eq!(challenges(&guest.describe(None)), ["Basic"]);
        assert_eq!(guest.describe(Some(&bob)).status, 404, "nobody publishes");
        guest.url = format!("rtsp://{}/cam", rig.address());
        assert_eq!(guest.set_up("", Some(&bob)).status, 200);
        assert_eq!(guest.ask("PLAY", "", &[], None).unwrap().status, 200);
    }
}

#[test]
fn credentials_in_the_url_count_where_no_header_has_any() {
    let (rig, _publisher) = rig(House::USUAL, "");
    let mut guest = Guest::new(rig.address(), "cam");
    guest.url = format!("rtsp://bob:s3cr3t@{}/cam", rig.address());
    assert_eq!(guest.describe(None).status, 200);
}

#[test]
fn a_digest_is_made_for_one_connection_and_request() {
    for house in [House::SMALL, House::USUAL] {
        let (rig, _publisher) = rig(house, "rtspAuthMethods: [basic, digest]\n");
        let mut guest = Guest::new(rig.address(), "cam");
        let refusal = guest.describe(None);
        assert_eq!(challenges(&refusal), ["Basic", "Digest"]);
        let digest = BOB.digest(&refusal, "DESCRIBE", &guest.url);
        assert_eq!(guest.describe(Some(&digest)).status, 200);
        // The challenge came along to another shard, and everybody may answer it.
        let digest = ALICE.digest(&refusal, "ANNOUNCE", &guest.url);
        assert_eq!(guest.announce(Some(&digest)).status, 200);
        let mut guest = Guest::new(rig.address(), "cam");
        let refusal = guest.describe(None);
        let digest = BOB.digest(&refusal, "SETUP", &format!("{}/", guest.url));
        assert_eq!(guest.set_up("", Some(&digest)).status, 200);
        // An answer to another connection's challenge shows nothing: it is asked for a new one.
        let mut thief = Guest::new(rig.address(), "cam");
        let digest = BOB.digest(&refusal, "DESCRIBE", &guest.url);
        let refusal = thief.describe(Some(&digest));
        assert_eq!(challenges(&refusal), ["Basic", "Digest"]);
        assert_eq!(
            rig.snapshot()
                .refusals
                .of(RefusalReason::AuthenticationFailed),
            0
        );
        let wrong = WRONG.digest(&refusal, "DESCRIBE", &thief.url);
        assert_eq!(thief.describe(Some(&wrong)).status, 401);
        let address = thief.address();
        drop(thief);
        assert!(matches!(
            rig.wait_closed(address),
            SessionEnd::Protocol(RefusalReason::AuthenticationFailed, _)
        ));
    }
}

#[test]
fn a_way_that_is_not_configured_shows_nothing() {
    let (rig, _publisher) = {
        let rig = Rig::start(House::USUAL, &format!("{USERS}rtspAuthMethods: [digest]\n"));
        let mut guest = Guest::new(rig.address(), "cam");
        assert_eq!(
            challenges(&guest.announce(Some(&ALICE.basic()))),
            ["Digest"]
        );
        let refusal = guest.announce(None);
        let digest = ALICE.digest(&refusal, "ANNOUNCE", &guest.url);
        assert_eq!(guest.announce(Some(&digest)).status, 200);
        (rig, guest)
    };
    assert_eq!(
        rig.snapshot()
            .refusals
            .of(RefusalReason::AuthenticationFailed),
        0
    );
}

#[test]
fn a_failed_attempt_is_answered_late_and_ends_its_connection_and_nobody_else_waits() {
    for house in [House::SMALL, House::USUAL] {
        let (rig, _publisher) = rig(house, "");
        let mut guest = Guest::new(rig.address(), "cam");
        let begin = Instant::now();
        let url = guest.url.clone();
        let request = format!(
            "DESCRIBE {url} RTSP/1.0\r\nCSeq: 1\r\nAuthorization: {}\r\n\r\n",
            WRONG.basic()
        );
        guest.connection.send(request.as_bytes()).unwrap();
        rig.wait_event("the failure", |event| match event {
            Event::AuthenticationFailed { .. } => Some(()),
            _ => None,
        });
        let mut other = Guest::new(rig.address(), "cam");
        assert_eq!(other.describe(Some(&BOB.basic())).status, 200);
        assert!(begin.elapsed() < FAILURE_DELAY, "another has waited");
        assert_eq!(
            challenges(&guest.connection.next_response().unwrap()),
            ["Basic"]
        );
        assert!(begin.elapsed() >= FAILURE_DELAY);
        guest.connection.wait_closed().unwrap();
        let address = guest.address();
        drop(guest);
        let end = rig.wait_closed(address);
        let told = "failed to authenticate: authentication failed";
        assert!(
            matches!(&end, SessionEnd::Protocol(_, why) if why == told),
            "{end}"
        );
        let refusals = rig.snapshot().refusals;
        assert_eq!(refusals.of(RefusalReason::AuthenticationFailed), 1);
    }
}

#[test]
fn an_address_has_its_number_of_failures_at_a_time() {
    let (rig, _publisher) = rig(House::USUAL, "");
    let request = |number: usize, credentials: Credentials<'_>| {
        format!(
            "DESCRIBE rtsp://h/cam RTSP/1.0\r\nCSeq: {number}\r\nAuthorization: {}\r\n\r\n",
            credentials.basic()
        )
    };
    let mut guests: Vec<Guest> = (0..2 * FAILURES_MAX)
        .map(|_| Guest::new(rig.address(), "cam"))
        .collect();
    for (number, guest) in guests.iter_mut().enumerate() {
        let request = request(number, WRONG);
        guest.connection.send(request.as_bytes()).unwrap();
    }
    rig.wait_counters("those that are not looked at", |snapshot| {
        let closed = snapshot.refusals.of(RefusalReason::TooManyFailures);
        (closed == FAILURES_MAX as u64).then_some(())
    });
    // Not even the right password is: guesses must learn nothing.
    let mut late = Guest::new(rig.address(), "cam");
    late.connection.send(request(1, BOB).as_bytes()).unwrap();
    assert!(late.connection.next_response().is_err());
    // Another address is none of that, and whoever offers nothing is asked.
    let mut other = Guest::new(rig.address_v6(), "cam");
    assert_eq!(other.describe(Some(&BOB.basic())).status, 200);
    let mut new = Guest::new(rig.address(), "cam");
    assert_eq!(challenges(&new.describe(None)), ["Basic"]);
    let answered = guests
        .iter_mut()
        .filter_map(|guest| guest.connection.next_response().ok());
    let statuses: Vec<u16> = answered.map(|response| response.status).collect();
    assert_eq!(statuses, [401; FAILURES_MAX]);
    // When their time is over the address may try again.
    let mut again = Guest::new(rig.address(), "cam");
    assert_eq!(again.describe(Some(&BOB.basic())).status, 200);
}

#[test]
fn a_user_may_come_from_its_networks_alone() {
    let users = "authInternalUsers:\n\
        - {user: bob, pass: s3cr3t, ips: ['::1'], permissions: [{action: publish}]}\n";
    let rig = Rig::start(House::USUAL, users);
    let bob = BOB.basic();
    let mut near = Guest::new(rig.address_v6(), "cam");
    assert_eq!(near.announce(Some(&bob)).status, 200);
    let mut far = Guest::new(rig.address(), "cam");
    assert_eq!(far.announce(Some(&bob)).status, 401);
}

/// `testpass`, as MediaMTX's tests have it.
const HASHED: &str =
    "argon2:$argon2i$v=19$m=4096,t=3,p=1$MTIzNDU2Nzg$/mrZ42TiTv1mcPnpMUera5oi0SFYbbyueAbdx5sUvWo";

/// A hash that takes seconds, of nobody knows what.
const SLOW: &str = "argon2:$argon2id$v=19$m=65536,t=60,p=1$MTIzNDU2Nzg$Ux/LWeTgJQPyfMMJo1myR64+o8rALHoPmlE1i/TR+58";

#[test]
fn a_hashed_password_is_as_good_as_a_plain_one() {
    let users = format!(
        "authInternalUsers:\n- {{user: bob, pass: '{HASHED}', permissions: [{{action: publish}}]}}\n"
    );
    let right = Credentials {
        pass: "testpass",
        ..BOB
    };
    for house in House::ALL {
        let rig = Rig::start(house, &users);
        for _ in 0..3 {
            let mut guest = Guest::new(rig.address(), "cam");
            assert_eq!(guest.announce(Some(&right.basic())).status, 200);
        }
    }
    let rig = Rig::start(House::USUAL, &users);
    let mut guest = Guest::new(rig.address(), "cam");
    assert_eq!(guest.announce(Some(&BOB.basic())).status, 401);
}

#[test]
fn a_slow_hash_is_refused_at_its_deadline_and_holds_up_nobody_else() {
    for house in [House::SMALL, House::USUAL] {
        let slow = format!(
            "- {{user: slow, pass: '{SLOW}', permissions: [{{action: read}}]}}\nreadTimeout: 1s\n"
        );
        let rig = Rig::start(house, &format!("{USERS}{slow}"));
        let mut broadcast = Broadcast::start(rig.address(), "open", Tracks::Video).unwrap();
        let mut player = Player::start(rig.address(), "open", &VIDEO_LANE).unwrap();
        let mut waiting: Vec<Guest> = (0..4).map(|_| Guest::new(rig.address(), "cam")).collect();
        let credentials = Credentials {
            user: "slow",
            pass: "whatever",
        };
        let begin = Instant::now();
        for guest in &mut waiting {
            let request = format!(
                "DESCRIBE rtsp://h/cam RTSP/1.0\r\nCSeq: 1\r\nAuthorization: {}\r\n\r\n",
                credentials.basic()
            );
            guest.connection.send(request.as_bytes()).unwrap();
        }
        let mut haul = Haul::default();
        while begin.elapsed() < Duration::from_millis(500) {
            broadcast.send(5).unwrap();
            player.read_packets(&mut haul, 15).unwrap();
            let mut other = Guest::new(rig.address(), "cam");
            assert_eq!(other.describe(Some(&BOB.basic())).status, 404);
        }
        for guest in &mut waiting {
            assert_eq!(guest.connection.next_response().unwrap().status, 503);
        }
        assert!(begin.elapsed() >= Duration::from_secs(1));
        let refusals = rig.snapshot().refusals;
        assert_eq!(refusals.of(RefusalReason::HashOverdue), 4);
        assert_eq!(refusals.of(RefusalReason::AuthenticationFailed), 0);
        // Who was refused so has not failed, and may go on.
        assert_eq!(challenges(&waiting[0].describe(None)), ["Basic"]);
    }
}

/// Guesses at once, far more than may wait.
const GUESSES: u64 = 300;

#[test]
fn guesses_at_a_hashed_password_cost_nobody_else() {
    for house in [House::SMALL, House::RIGID] {
        let users = format!(
            "authInternalUsers:\n\
             - {{user: bob, pass: '{HASHED}', permissions: [{{action: read}}]}}\n\
             - {{user: any, permissions: [{{action: publish, path: {BYSTANDER}}}, \
                {{action: read, path: {BYSTANDER}}}]}}\n"
        );
        let ordeal = Ordeal::begin(house, &users);
        let mut guests: Vec<Guest> = Vec::new();
        for number in 0..GUESSES {
            let pass = format!("guess{number}");
            let guess = Credentials { pass: &pass, ..BOB };
            let authorization = guess.basic();
            let mut guest = Guest::new(ordeal.rig.address(), "cam");
            let request = format!(
                "DESCRIBE rtsp://h/cam RTSP/1.0\r\nCSeq: 1\r\nAuthorization: {authorization}\r\n\r\n"
            );
            guest.connection.send(request.as_bytes()).unwrap();
            guests.push(guest);
        }
        // Every other one does not wait for its answer.
        for guest in guests.into_iter().step_by(2) {
            let mut connection = guest.connection;
            drop(
                connection
                    .next_response()
                    .map(|answer| assert_eq!(answer.status, 401)),
            );
        }
        ordeal.rig.wait_counters("the guesses", |snapshot| {
            let of = |reason| snapshot.refusals.of(reason);
            let failed = of(RefusalReason::AuthenticationFailed);
            let cut = of(RefusalReason::TooManyFailures);
            (failed + cut == GUESSES && failed >= FAILURES_MAX as u64).then_some(())
        });
        let refused = ordeal.refused();
        assert!(refused.len() <= 3, "{refused:?}");
        ordeal.finish();
    }
}

#[test]
fn no_event_tells_a_name_or_password() {
    let (rig, _publisher) = rig(House::USUAL, "");
    let mut guest = Guest::new(rig.address(), "cam");
    guest.url = format!("rtsp://bob:s3cr3t@{}/cam", rig.address());
    assert_eq!(guest.describe(None).status, 200);
    let mut guest = Guest::new(rig.address(), "cam");
    assert_eq!(guest.describe(Some(&WRONG.basic())).status, 401);
    let told = format!("{:?}", rig.watch(Duration::from_millis(200)));
    for secret in ["s3cr3t", "wr0ng", "0th3r", "bob", "alice"] {
        assert!(!told.contains(secret), "{secret}: {told}");
    }
}

/// Filters such as fail2ban's look for these words, as MediaMTX has them.
#[test]
fn the_log_tells_of_a_failure_in_mediamtx_words_and_of_no_name_or_password() {
    let configuration = format!("{USERS}logLevel: debug\npaths: {{all_others: }}\n");
    let daemon = Daemon::start(&configuration).unwrap();
    let mut guest = Guest::new(daemon.address(), "cam");
    assert_eq!(guest.describe(None).status, 401);
    let address = guest.address();
    assert_eq!(guest.describe(Some(&WRONG.basic())).status, 401);
    drop(guest);
    let told = "failed to authenticate: authentication failed";
    let closed = format!("INF [RTSP] [conn {address}] closed: {told}");
    daemon.wait_log(&closed);
    let log = daemon.log();
    let lines = log.lines().filter(|line| line.contains("WAR"));
    let warnings: Vec<&str> = lines.collect();
    assert_eq!(warnings.len(), 1, "{log}");
    let line = format!("WAR [RTSP] [conn {address}] {told}");
    assert!(warnings[0].ends_with(&line), "{log}");
    for secret in ["s3cr3t", "wr0ng", "0th3r", "bob", "alice"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}
