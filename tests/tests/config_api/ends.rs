//! What a change does to whoever publishes and reads.

use serde_json::{Value, json};
use shardcast::event::{Event, ReloadedBy, SessionEnd};
use shardcast_tests::peer::connection::Connection;
use shardcast_tests::peer::credentials::Credentials;
use shardcast_tests::scene::baseline::Baseline;
use shardcast_tests::scene::broadcast::{Broadcast, Tracks};
use shardcast_tests::scene::bystander::Bystander;
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::player::{BOTH_LANES, Haul, Player};
use shardcast_tests::scene::rig::Rig;

use crate::stage::{api, change, start, start_in};

fn publish(rig: &Rig, path: &str) -> Broadcast {
    let broadcast = Broadcast::start(rig.address(), path, Tracks::VideoAndSound);
    broadcast.expect("the path is free")
}

fn read(rig: &Rig, path: &str) -> Player {
    Player::start(rig.address(), path, &BOTH_LANES).expect("there is a stream")
}

#[test]
fn who_publishes_or_reads_a_path_that_is_deleted_ends_and_nobody_else_does() {
    for house in House::ALL {
        let rig = start_in(house, "paths: {gone: , live/bystander: }\n");
        let baseline = Baseline::take(&rig);
        let bystander = Bystander::begin(rig.address());
        let mut publisher = publish(&rig, "gone");
        let mut reader = read(&rig, "gone");
        publisher.send(10).expect("the server reads");
        change(
            api(&rig),
            "DELETE",
            "/v3/config/paths/delete/gone",
            &Value::Null,
        );
        reader
            .read_to_end(&mut Haul::default())
            .expect("the stream ends in order");
        assert_eq!(
            rig.wait_closed(publisher.local_address()),
            SessionEnd::PathRemoved
        );
        rig.wait_event("the end of the path", |event| {
            let is_it = matches!(event, Event::PathGone { path, .. } if path.as_str() == "gone");
            is_it.then_some(())
        });
        let again = Broadcast::start(rig.address(), "gone", Tracks::VideoAndSound);
        assert!(again.is_err(), "the path is not there");
        change(api(&rig), "POST", "/v3/config/paths/add/gone", &json!({}));
        drop(publish(&rig, "gone"));
        bystander.finish();
        drop((publisher, reader));
        baseline.assert_restored(&rig);
    }
}

#[test]
fn a_path_that_another_entry_serves_goes_on() {
    let rig = start("paths: {cam: , ~^cam$: , all_others: }\n");
    let bystander = Bystander::begin_on(rig.address(), "cam");
    change(
        api(&rig),
        "DELETE",
        "/v3/config/paths/delete/cam",
        &Value::Null,
    );
    change(
        api(&rig),
        "DELETE",
        "/v3/config/paths/delete/~^cam$",
        &Value::Null,
    );
    let before = bystander.units();
    rig.wait_counters("the stream goes on", |_| {
        (bystander.units() > before + 50).then_some(())
    });
    bystander.finish();
}

#[test]
fn a_path_that_gets_a_source_of_its_own_is_taken_from_its_publisher() {
    let rig = start("paths: {cam: }\n");
    let publisher = publish(&rig, "cam");
    let body = json!({"source": "rtsp://192.0.2.1/x"});
    change(api(&rig), "PATCH", "/v3/config/paths/patch/cam", &body);
    assert_eq!(
        rig.wait_closed(publisher.local_address()),
        SessionEnd::PathRemoved
    );
}

#[test]
fn the_number_of_readers_is_that_of_the_moment() {
    let rig = start("paths: {cam: {maxReaders: 1}}\n");
    let mut publisher = publish(&rig, "cam");
    publisher.send(5).expect("the server reads");
    let _first = read(&rig, "cam");
    assert!(Player::start(rig.address(), "cam", &BOTH_LANES).is_err());
    change(
        api(&rig),
        "PATCH",
        "/v3/config/paths/patch/cam",
        &json!({"maxReaders": 2}),
    );
    let _second = read(&rig, "cam");
}

#[test]
fn who_may_do_what_is_decided_anew_with_the_next_request() {
    let rig = start("paths: {all_others: }\n");
    let admin = json!({"user": "any", "permissions": [{"action": "api"}]});
    let mut publisher = publish(&rig, "cam");
    publisher.send(5).expect("the server reads");
    change(
        api(&rig),
        "PATCH",
        "/v3/config/global/patch",
        &json!({"authInternalUsers": [admin]}),
    );
    assert!(Player::start(rig.address(), "cam", &BOTH_LANES).is_err());
    assert!(Broadcast::start(rig.address(), "x", Tracks::VideoAndSound).is_err());
    publisher.send(5).expect("what has begun goes on");
}

#[test]
fn a_change_is_told_as_an_event() {
    let rig = start("paths: {all_others: }\n");
    change(
        api(&rig),
        "PATCH",
        "/v3/config/global/patch",
        &json!({"hlsVariant": "fmp4"}),
    );
    let warnings = rig.wait_event("the change", |event| match event {
        Event::Reloaded {
            by: ReloadedBy::Request,
            warnings,
            ..
        } => Some(warnings.clone()),
        _ => None,
    });
    assert!(
        warnings[0].contains("not built yet") && warnings[0].contains("hlsVariant"),
        "{warnings:?}"
    );
}

#[test]
fn a_silent_publisher_ends_by_the_timeout_of_the_moment() {
    let rig = start("readTimeout: 1h\npaths: {all_others: }\n");
    let mut publisher = publish(&rig, "cam");
    publisher.send(5).expect("the server reads");
    change(
        api(&rig),
        "PATCH",
        "/v3/config/global/patch",
        &json!({"readTimeout": "200ms"}),
    );
    assert!(matches!(
        rig.wait_closed(publisher.local_address()),
        SessionEnd::TimedOut(_)
    ));
}

#[test]
fn what_a_connection_has_proven_holds_until_users_change_and_no_longer() {
    let user = |pass: &str| {
        let permissions = json!([{"action": "publish"}, {"action": "read"}]);
        json!({"user": "u", "pass": pass, "permissions": permissions})
    };
    let users = |pass: &str| {
        let admin = json!({"user": "any", "permissions": [{"action": "api"}]});
        json!({"authInternalUsers": [admin, user(pass)]})
    };
    let rig = start("paths: {all_others: }\n");
    let mut publisher = publish(&rig, "cam");
    publisher.send(5).expect("the server reads");
    let patch = |body: &Value| change(api(&rig), "PATCH", "/v3/config/global/patch", body);
    patch(&users("first"));
    let mut reader = Connection::open(rig.address()).expect("the server accepts");
    let mut describe = |login: &[(&str, &str)]| {
        let answer = reader.ask("DESCRIBE", publisher.url(), login, &[]);
        answer.expect("an answer").status
    };
    let (user, pass) = ("u", "first");
    let login = Credentials { user, pass }.basic();
    assert_eq!(describe(&[("Authorization", &login)]), 200);
    patch(&json!({"coalesce": "5ms"}));
    assert_eq!(describe(&[]), 200, "it is proven");
    patch(&users("second"));
    assert_eq!(describe(&[]), 401, "it is not any more");
}
