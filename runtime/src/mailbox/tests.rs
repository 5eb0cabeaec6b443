//! The mesh without an event loop: who gets what, in which order, and what a full ring does.

use super::*;
use crate::Full;

struct Numbers;

impl Messages for Numbers {
    type Media = u32;
    type Control = u32;
    type Return = Box<u32>;
}

fn shard(index: usize) -> ShardId {
    ShardId::from_index(index).expect("within the maximum")
}

fn numbers(inbox: &mut Inbox<Numbers, Rtrb>) -> Vec<(usize, char, u32)> {
    let mut received = Vec::new();
    while inbox.has_something() {
        inbox.drain(|from, delivery| {
            received.push(match delivery {
                Delivery::Media(number) => (from.index(), 'm', number),
                Delivery::Control(number) => (from.index(), 'c', number),
                Delivery::Return(number) => (from.index(), 'r', *number),
            });
        });
    }
    received
}

#[test]
fn a_message_reaches_the_shard_it_was_sent_to_and_no_other() {
    let mut mesh = mesh::<Numbers, Rtrb>(3, 8);
    assert_eq!(mesh[2].0.send_control(shard(0), 20), 0);
    assert!(mesh[1].0.send_media(shard(0), 10).is_ok());
    assert!(mesh[0].0.send_return(shard(2), Box::new(2)).is_ok());
    let mut received = numbers(&mut mesh[0].1);
    received.sort_unstable();
    assert_eq!(received, [(1, 'm', 10), (2, 'c', 20)]);
    assert_eq!(numbers(&mut mesh[1].1), []);
    assert_eq!(numbers(&mut mesh[2].1), [(0, 'r', 2)]);
}

#[test]
fn a_full_media_ring_gives_the_message_back_at_once() {
    let mesh = mesh::<Numbers, Rtrb>(2, 2);
    let outbox = &mesh[0].0;
    assert!(outbox.send_media(shard(1), 0).is_ok());
    assert!(outbox.send_media(shard(1), 1).is_ok());
    assert!(matches!(outbox.send_media(shard(1), 2), Err(Full(2))));
}

#[test]
fn a_control_message_never_overtakes_the_media_sent_before_it() {
    let mut mesh = mesh::<Numbers, Rtrb>(2, 512);
    let (sender, receiver) = mesh.split_at_mut(1);
    for number in 0..300 {
        assert!(sender[0].0.send_media(shard(1), number).is_ok());
    }
    assert_eq!(sender[0].0.send_control(shard(1), 1000), 0);
    assert!(sender[0].0.send_media(shard(1), 300).is_ok());
    let received = numbers(&mut receiver[0].1);
    let control = received.iter().position(|(_, kind, _)| *kind == 'c');
    assert!(control >= Some(300), "{control:?}");
    let media = received
        .iter()
        .filter(|(_, kind, _)| *kind == 'm')
        .map(|(.., number)| *number);
    assert!(media.eq(0..=300));
}

#[test]
fn a_control_overflow_arrives_whole_and_in_order() {
    let mut mesh = mesh::<Numbers, Rtrb>(2, 2);
    let messages = 3 * CONTROL_RING as u32;
    let (sender, receiver) = mesh.split_at_mut(1);
    let (outbox, inbox) = (&sender[0].0, &mut receiver[0].1);
    for number in 0..messages {
        outbox.send_control(shard(1), number);
    }
    assert!(!outbox.wants_flush());
    let mut received = Vec::new();
    while inbox.has_something() {
        let mut hungry = false;
        while inbox.has_something() {
            let drained = inbox.drain(|_, delivery| {
                if let Delivery::Control(number) = delivery {
                    received.push(number);
                }
            });
            hungry |= drained.hungry.iter().count() > 0;
        }
        let mut moved = Vec::new();
        assert_eq!(hungry, outbox.wants_flush());
        outbox.flush(|to| moved.push(to));
        assert_eq!(moved.is_empty(), received.len() == messages as usize);
    }
    assert_eq!(received, (0..messages).collect::<Vec<_>>());
}

#[test]
fn a_turn_is_bounded_and_says_that_there_is_more() {
    let mut mesh = mesh::<Numbers, Rtrb>(2, 1000);
    for number in 0..100 {
        assert!(mesh[1].0.send_media(shard(0), number).is_ok());
    }
    let inbox = &mut mesh[0].1;
    let first = inbox.drain(|_, _| ());
    assert_eq!(
        (first.media.messages, first.media.depth, first.more),
        (64, 100, true)
    );
    let second = inbox.drain(|_, _| ());
    assert_eq!(
        (second.media.messages, second.media.depth, second.more),
        (36, 36, false)
    );
}

#[test]
#[should_panic(expected = "never to the sender's own")]
fn a_message_to_oneself_is_a_programming_error() {
    let mesh = mesh::<Numbers, Rtrb>(2, 2);
    let _ = mesh[1].0.send_media(shard(1), 0);
}
