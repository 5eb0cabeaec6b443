//! Promises about datagrams, kept on every driver of this system.

mod support;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as StdSocket};
use std::task::Poll;

use shardcast_platform::{
    BindError, Cancel, Readiness, Received, RecvSlab, UdpOptions, UdpSocket, bind_udp,
    multicast_sender, spawn, yield_now,
};
use support::{WATCHDOG, on_every_driver, sleep_ms};

/// Datagrams of a run that takes several sends: more than any kernel takes at once. Where each goes
/// alone, each also takes its own room in the receive buffer, which holds fewer.
const RUN_DATAGRAMS: usize = if cfg!(target_os = "linux") { 300 } else { 70 };

fn socket(address: &str) -> UdpSocket {
    sockets(address, 1).pop().expect("one per shard")
}

fn sockets(address: &str, shards: usize) -> Vec<UdpSocket> {
    let address = address.parse().expect("an address");
    let bound = bind_udp(&address, shards, UdpOptions::default()).expect("it can be bound");
    let seats = bound.seats.into_iter();
    seats.map(|seat| seat.start().expect("it starts")).collect()
}

/// A peer that knows nothing of the platform, with its address.
fn std_peer(address: &str) -> (StdSocket, SocketAddr) {
    let peer = StdSocket::bind(address).expect("it can be bound");
    peer.set_read_timeout(Some(WATCHDOG)).expect("a timeout");
    let address = peer.local_addr().expect("it has one");
    (peer, address)
}

fn has_ipv6() -> bool {
    StdSocket::bind("[::1]:0").is_ok()
}

fn address_of(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().expect("it is bound")
}

/// Where a peer on this machine reaches a socket that is bound to every address.
fn at(host: &str, socket: &UdpSocket) -> SocketAddr {
    let host: IpAddr = host.parse().expect("an address");
    (host, address_of(socket).port()).into()
}

/// Datagram `index` of a run: its number, over and over.
fn numbered(index: usize, bytes: usize) -> Vec<u8> {
    let number = u32::try_from(index).expect("few").to_be_bytes();
    number.iter().copied().cycle().take(bytes).collect()
}

/// Receives until there are `count` datagrams.
async fn receive(socket: &UdpSocket, count: usize) -> Vec<(Vec<u8>, SocketAddr, Option<IpAddr>)> {
    let mut slab = RecvSlab::new();
    let mut received = Vec::new();
    while received.len() < count {
        let outcome = socket.recv_or(&mut slab, &Cancel::new()).await;
        assert_eq!(outcome.expect("it receives"), Received::Datagrams);
        let datagrams = slab.datagrams();
        received.extend(datagrams.map(|it| (it.bytes.to_vec(), it.source, it.local)));
    }
    received
}

/// Sends all of it, however often the socket says that it is full.
async fn send_all(socket: &UdpSocket, mut run: &[u8], segment: usize, to: SocketAddr) {
    while !run.is_empty() {
        let sent = socket.send_run(run, segment, to, None).expect("it sends");
        run = &run[sent..];
        if !run.is_empty() {
            let waited = socket.writable_or(&Cancel::new()).await;
            assert_eq!(waited.expect("it waits"), Readiness::Ready);
        }
    }
}

#[test]
fn a_run_arrives_as_its_datagrams_in_order_and_the_last_may_be_shorter() {
    on_every_driver(|_| async {
        let ours = socket("127.0.0.1:0");
        let (peer, to) = std_peer("127.0.0.1:0");
        for (segment, last) in [(1200, 1200), (1472, 1), (20_000, 7)] {
            // Fewer of the large ones, so that a receive buffer of any system holds them.
            let datagrams = 100_000 / segment;
            let mut run: Vec<u8> = (0..datagrams)
                .flat_map(|index| numbered(index, segment))
                .collect();
            run.truncate(run.len() - segment + last);
            send_all(&ours, &run, segment, to).await;
            let mut buffer = vec![0; 65_536];
            for index in 0..datagrams {
                let (bytes, from) = peer.recv_from(&mut buffer).expect("it arrives");
                let whole = if index + 1 == datagrams {
                    last
                } else {
                    segment
                };
                assert_eq!(buffer[..bytes], numbered(index, whole));
                assert_eq!(from, address_of(&ours));
            }
        }
    });
}

#[test]
fn more_than_one_send_takes_is_sent_by_several() {
    on_every_driver(|_| async {
        let ours = socket("127.0.0.1:0");
        let theirs = socket("127.0.0.1:0");
        let to = address_of(&theirs);
        spawn(async move {
            let run: Vec<u8> = (0..RUN_DATAGRAMS)
                .flat_map(|index| numbered(index, 100))
                .collect();
            send_all(&ours, &run, 100, to).await;
        });
        let received = receive(&theirs, RUN_DATAGRAMS).await;
        assert_eq!(received.len(), RUN_DATAGRAMS);
        for (index, (bytes, ..)) in received.iter().enumerate() {
            assert_eq!(*bytes, numbered(index, 100));
        }
    });
}

#[test]
fn a_send_without_a_size_of_datagrams_and_one_of_nothing_do_nothing() {
    on_every_driver(|_| async {
        let ours = socket("127.0.0.1:0");
        let (_peer, to) = std_peer("127.0.0.1:0");
        let error = ours.send_run(b"x", 0, to, None).expect_err("no size");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert_eq!(ours.send_run(b"", 1, to, None).expect("nothing"), 0);
    });
}

#[test]
fn a_datagram_larger_than_ip_carries_is_an_error_and_the_next_one_is_sent() {
    on_every_driver(|_| async {
        let ours = socket("127.0.0.1:0");
        let (peer, to) = std_peer("127.0.0.1:0");
        let large = vec![0; 65_508];
        ours.send_run(&large, large.len(), to, None)
            .expect_err("it is too large");
        assert_eq!(ours.send_run(b"small", 5, to, None).expect("it sends"), 5);
        assert_eq!(peer.recv(&mut [0; 9]).expect("it arrives"), 5);
    });
}

#[test]
fn an_ipv4_peer_of_both_families_is_seen_and_sent_to_as_ipv4() {
    on_every_driver(|_| async {
        let ours = socket(":0");
        for host in ["127.0.0.1", "::1"] {
            if host == "::1" && !has_ipv6() {
                continue;
            }
            let any = SocketAddr::new(host.parse().expect("an address"), 0);
            let (peer, from) = std_peer(&any.to_string());
            let to = at(host, &ours);
            peer.send_to(b"hello", to).expect("it sends");
            let received = receive(&ours, 1).await;
            let (bytes, source, local) = &received[0];
            assert_eq!((&bytes[..], *source), (&b"hello"[..], from));
            // Windows says it where it can.
            assert!(
                *local == Some(to.ip()) || cfg!(windows) && local.is_none(),
                "{local:?}"
            );
            let sent = ours.send_run(b"answer", 6, from, *local);
            assert_eq!(sent.expect("it sends"), 6);
            let mut buffer = [0; 9];
            assert_eq!(peer.recv_from(&mut buffer).expect("it arrives"), (6, to));
        }
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_run_leaves_from_the_address_that_it_is_asked_for() {
    on_every_driver(|_| async {
        for host in ["0.0.0.0:0", ":0"] {
            let ours = socket(host);
            let (peer, to) = std_peer("127.0.0.1:0");
            for from in ["127.0.0.2", "127.0.0.1", "127.1.2.3"] {
                let from = from.parse().expect("an address");
                let sent = ours.send_run(b"firstlast", 5, to, Some(from));
                assert_eq!(sent.expect("it sends"), 9);
                for _ in 0..2 {
                    let (_, seen) = peer.recv_from(&mut [0; 9]).expect("it arrives");
                    assert_eq!(seen, (from, address_of(&ours).port()).into());
                }
            }
            let foreign = Some(Ipv4Addr::new(203, 0, 113, 1).into());
            ours.send_run(b"x", 1, to, foreign)
                .expect_err("it is not ours");
            assert_eq!(ours.send_run(b"xy", 1, to, None).expect("it sends"), 2);
        }
    });
}

#[test]
fn a_second_daemon_is_refused_and_a_restart_is_not() {
    on_every_driver(|_| async {
        for (host, shards) in [("127.0.0.1", 1), ("127.0.0.1", 3), ("", 1), ("", 2)] {
            let address = format!("{host}:0").parse().expect("an address");
            let first = bind_udp(&address, shards, UdpOptions::default()).expect("it is free");
            assert_eq!(first.seats.len(), shards);
            let port = first.local_addr.port();
            let again = format!("{host}:{port}").parse().expect("an address");
            let error = bind_udp(&again, shards, UdpOptions::default()).expect_err("it is taken");
            let is_clear = matches!(error, BindError::InUse { .. })
                || cfg!(windows) && matches!(error, BindError::Denied { .. });
            assert!(is_clear, "{error}");
            drop(first);
            bind_udp(&again, shards, UdpOptions::default()).expect("a restart");
        }
    });
}

#[test]
fn a_receive_buffer_is_set_and_what_the_system_does_not_give_is_said() {
    let address = "127.0.0.1:0".parse().expect("an address");
    let bind = |bytes| {
        let receive_buffer = Some(bytes);
        bind_udp(&address, 2, UdpOptions { receive_buffer }).expect("it can be bound")
    };
    assert_eq!(bind(65_536).note, None);
    if cfg!(target_os = "linux") {
        let note = bind(1 << 30).note.expect("no system gives a gigabyte");
        assert!(
            note.contains("1073741824") && note.contains("rmem_max"),
            "{note}"
        );
    }
}

#[test]
fn peers_are_spread_over_the_sockets_of_a_port() {
    on_every_driver(|_| async {
        let group = sockets("127.0.0.1:0", 2);
        let receiving = group.iter().filter(|socket| socket.receives()).count();
        assert_eq!(receiving, if cfg!(target_os = "linux") { 2 } else { 1 });
        let to = address_of(&group[0]);
        let peers: Vec<_> = (0..64).map(|_| std_peer("127.0.0.1:0")).collect();
        for (peer, _) in &peers {
            peer.send_to(b"x", to).expect("it sends");
        }
        let mut counts = vec![0; group.len()];
        let mut slab = RecvSlab::new();
        while counts.iter().sum::<usize>() < peers.len() {
            for (socket, count) in group.iter().zip(&mut counts) {
                if socket.receives() && socket.recv_now(&mut slab).expect("it receives") {
                    *count += slab.datagrams().count();
                }
            }
            sleep_ms(1).await;
        }
        assert!(
            counts
                .iter()
                .zip(&group)
                .all(|(count, it)| (*count > 0) == it.receives())
        );
        for socket in &group {
            let (peer, to) = &peers[0];
            assert_eq!(socket.send_run(b"y", 1, *to, None).expect("it sends"), 1);
            let (_, from) = peer.recv_from(&mut [0]).expect("it arrives");
            assert_eq!(from, address_of(&group[0]));
        }
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_socket_for_a_peer_gets_what_it_sends_and_nothing_else() {
    on_every_driver(|_| async {
        for (bound, host) in [
            ("127.0.0.1:0", "127.0.0.1"),
            (":0", "127.0.0.1"),
            (":0", "127.0.0.3"),
            ("[::1]:0", "::1"),
            (":0", "::1"),
        ] {
            if host == "::1" && !has_ipv6() {
                continue;
            }
            let group = sockets(bound, 2);
            let to = at(host, &group[0]);
            let any = SocketAddr::new(host.parse().expect("an address"), 0);
            let (peer, from) = std_peer(&any.to_string());
            let theirs = group[1]
                .connect_peer(from, Some(to.ip()))
                .expect("it connects");
            let (stranger, _) = std_peer(&any.to_string());
            for number in 0..50 {
                peer.send_to(&[number], to).expect("it sends");
                stranger.send_to(b"strange", to).expect("it sends");
            }
            let received = receive(&theirs, 50).await;
            for ((bytes, source, _), number) in received.iter().zip(0_u8..) {
                assert_eq!(
                    (&bytes[..], *source),
                    (&[number][..], from),
                    "{bound} {host}"
                );
            }
            assert_eq!(theirs.send_run(b"abc", 2, from, None).expect("it sends"), 3);
            assert_eq!(peer.recv_from(&mut [0; 9]).expect("it arrives"), (2, to));
        }
    });
}

#[test]
#[cfg(target_os = "linux")]
fn what_a_dropped_socket_for_a_peer_got_comes_to_the_shared_ones_again() {
    on_every_driver(|_| async {
        let ours = socket("127.0.0.1:0");
        let to = address_of(&ours);
        let (peer, from) = std_peer("127.0.0.1:0");
        for round in 0..20_u8 {
            let theirs = ours.connect_peer(from, Some(to.ip())).expect("it connects");
            // A wait that is dropped must not keep the socket either.
            let mut slab = RecvSlab::new();
            let cancel = Cancel::new();
            assert_eq!(
                polled_once(theirs.readable_or(&cancel)).await.map(|_| ()),
                None
            );
            peer.send_to(&[round], to).expect("it sends");
            assert_eq!(receive(&theirs, 1).await[0].0, [round]);
            assert!(
                polled_once(theirs.recv_or(&mut slab, &cancel))
                    .await
                    .is_none()
            );
            drop(theirs);
            // The driver may take some turns to close it.
            let mut arrived = false;
            while !arrived {
                peer.send_to(&[round], to).expect("it sends");
                sleep_ms(1).await;
                arrived = ours.recv_now(&mut slab).expect("it receives");
            }
            assert!(
                slab.datagrams()
                    .all(|it| it.bytes == [round] && it.source == from)
            );
            while ours.recv_now(&mut slab).expect("it receives") {}
        }
    });
}

#[test]
fn a_port_is_free_again_when_its_sockets_are_dropped() {
    on_every_driver(|_| async {
        let (mut again, cancel) = ("127.0.0.1:0".to_owned(), Cancel::new());
        for _ in 0..5 {
            let address = again.parse().expect("an address");
            // The driver may take some turns to close what a dropped wait was for.
            let bound = loop {
                match bind_udp(&address, 2, UdpOptions::default()) {
                    Ok(bound) => break bound,
                    Err(BindError::InUse { .. } | BindError::Denied { .. }) => sleep_ms(1).await,
                    Err(error) => panic!("{error}"),
                }
            };
            again = bound.local_addr.to_string();
            let mut slab = RecvSlab::new();
            let seats = bound.seats.into_iter();
            let group: Vec<_> = seats.map(|seat| seat.start().expect("it starts")).collect();
            let receive = group[0].recv_or(&mut slab, &cancel);
            assert!(polled_once(receive).await.is_none());
        }
    });
}

#[test]
fn cancelled_and_dropped_receives_lose_no_datagram() {
    on_every_driver(|_| async {
        let ours = socket("127.0.0.1:0");
        let to = address_of(&ours);
        let (peer, from) = std_peer("127.0.0.1:0");
        let mut slab = RecvSlab::new();
        let (mut sent, mut received, mut cancelled) = (0_u32, 0_u32, 0);
        for round in 0..if cfg!(windows) { 300 } else { 3000 } {
            if round % 3 == 0 {
                peer.send_to(&sent.to_be_bytes(), to).expect("it sends");
                sent += 1;
            }
            let cancel = Cancel::new();
            let theirs = cancel.clone();
            spawn(async move {
                for _ in 0..round % 4 {
                    yield_now().await;
                }
                theirs.cancel();
            });
            let receive = ours.recv_or(&mut slab, &cancel);
            let outcome = if round % 5 == 0 {
                polled_once(receive).await
            } else {
                Some(receive.await)
            };
            match outcome.transpose().expect("it receives") {
                Some(Received::Datagrams) => received = check_numbers(&slab, from, received),
                Some(Received::Cancelled) | None => cancelled += 1,
            }
        }
        while received < sent {
            let outcome = ours.recv_or(&mut slab, &Cancel::new()).await;
            assert_eq!(outcome.expect("it receives"), Received::Datagrams);
            received = check_numbers(&slab, from, received);
        }
        assert!(cancelled > 0 && received == sent);
    });
}

fn check_numbers(slab: &RecvSlab, from: SocketAddr, mut next: u32) -> u32 {
    for datagram in slab.datagrams() {
        assert_eq!(datagram.bytes, next.to_be_bytes(), "lost or repeated");
        assert_eq!(datagram.source, from);
        next += 1;
    }
    next
}

/// What the future gives when it is polled once, and then dropped.
async fn polled_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = Box::pin(future);
    std::future::poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

#[test]
fn peers_that_are_gone_end_no_receiving_and_no_sending() {
    on_every_driver(|_| async {
        let ours = socket("127.0.0.1:0");
        let (gone, gone_at) = std_peer("127.0.0.1:0");
        drop(gone);
        let (peer, from) = std_peer("127.0.0.1:0");
        let connected = ours.connect_peer(gone_at, None).ok();
        for _ in 0..20 {
            for socket in [Some(&ours), connected.as_ref()].into_iter().flatten() {
                assert_eq!(
                    socket.send_run(b"xyz", 1, gone_at, None).expect("it sends"),
                    3
                );
            }
            let sent = ours.send_run(b"answer me", 9, from, None);
            assert_eq!(sent.expect("it sends"), 9);
            let (_, to) = peer.recv_from(&mut [0; 9]).expect("it arrives");
            peer.send_to(b"answer", to).expect("it sends");
            assert_eq!(receive(&ours, 1).await[0].0, b"answer");
        }
        if let Some(connected) = connected {
            let mut slab = RecvSlab::new();
            assert!(
                !connected
                    .recv_now(&mut slab)
                    .expect("nothing, and no error")
            );
        }
    });
}

#[test]
fn a_wait_for_a_socket_that_takes_more_ends_at_once_and_when_cancelled() {
    on_every_driver(|_| async {
        let ours = socket("127.0.0.1:0");
        let cancel = Cancel::new();
        let waited = ours.writable_or(&cancel).await;
        assert_eq!(waited.expect("it waits"), Readiness::Ready);
        cancel.cancel();
        let waited = ours.writable_or(&cancel).await;
        assert_eq!(waited.expect("it waits"), Readiness::Cancelled);
        let waited = ours.readable_or(&cancel).await;
        assert_eq!(waited.expect("it waits"), Readiness::Cancelled);
    });
}

#[test]
fn a_flood_leaves_other_tasks_their_turn() {
    on_every_driver(|_| async {
        let ours = socket("127.0.0.1:0");
        let to = address_of(&ours);
        let turns = std::rc::Rc::new(std::cell::Cell::new(0));
        let counted = std::rc::Rc::clone(&turns);
        spawn(async move {
            loop {
                counted.set(counted.get() + 1);
                yield_now().await;
            }
        });
        let (peer, _) = std_peer("127.0.0.1:0");
        let mut slab = RecvSlab::new();
        for _ in 0..100 {
            // There always is something to take.
            peer.send_to(b"x", to).expect("it sends");
            let outcome = ours.recv_or(&mut slab, &Cancel::new()).await;
            assert_eq!(outcome.expect("it receives"), Received::Datagrams);
        }
        assert!(turns.get() >= 10, "{} turns", turns.get());
    });
}

#[test]
fn who_has_joined_a_group_gets_what_is_sent_to_it() {
    on_every_driver(|_| async {
        let ours = multicast_sender(Ipv4Addr::LOCALHOST.into()).expect("a sender");
        let group = Ipv4Addr::new(239, 255, 77, 1);
        let (peer, any) = std_peer("0.0.0.0:0");
        peer.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST)
            .expect("it joins");
        let to = (group, any.port()).into();
        assert_eq!(
            ours.send_run(b"firstlast", 5, to, None).expect("it sends"),
            9
        );
        let mut buffer = [0; 9];
        for part in [&b"first"[..], b"last"] {
            let (bytes, from) = peer.recv_from(&mut buffer).expect("it arrives");
            assert_eq!(
                (&buffer[..bytes], from.ip()),
                (part, Ipv4Addr::LOCALHOST.into())
            );
        }
    });
}

#[test]
fn no_group_is_sent_to_by_an_interface_that_is_not_there() {
    on_every_driver(|_| async {
        multicast_sender(Ipv4Addr::new(203, 0, 113, 1).into()).expect_err("it is not ours");
        let foreign: Ipv6Addr = "2001:db8::1".parse().expect("an address");
        multicast_sender(foreign.into()).expect_err("it is not ours");
    });
}
