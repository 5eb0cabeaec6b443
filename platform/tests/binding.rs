//! Promises of the binding sequence.

mod support;

use std::io::Read;
use std::net::{SocketAddr, TcpStream as StdStream, UdpSocket};
use std::time::Duration;

use shardcast_platform::{AcceptOutcome, BindError, Cancel, ListenAddress, bind, spawn};
use support::{accept, bound, on_every_driver, sleep_ms};

fn address(text: &str) -> ListenAddress {
    text.parse().expect("an address")
}

#[test]
fn a_second_daemon_is_refused_while_the_first_lives() {
    for host in ["127.0.0.1", "localhost", ""] {
        for shards in [1, 2, 4] {
            let first = bound(&format!("{host}:0"), shards);
            let port = first.local_addr.port();
            let error = bind(&address(&format!("{host}:{port}")), shards).expect_err("it is taken");
            assert!(matches!(error, BindError::InUse { .. }), "{error}");
            assert!(error.to_string().ends_with("address already in use"));
        }
    }
}

#[test]
fn a_restart_succeeds_while_connections_of_the_last_run_linger() {
    on_every_driver(|_| async {
        let mut first = bound("127.0.0.1:0", 1);
        let local = first.local_addr;
        let listener = first
            .acceptors
            .pop()
            .expect("one")
            .start()
            .expect("it starts");
        let mut peers: Vec<_> = (0..5)
            .map(|_| StdStream::connect(local).expect("it connects"))
            .collect();
        for _ in 0..peers.len() {
            // Who closes first keeps the connection in TIME_WAIT: the server, here.
            drop(accept(&listener).await);
        }
        drop(listener);
        sleep_ms(1).await;
        for peer in &mut peers {
            assert_eq!(peer.read(&mut [0]).expect("an orderly end"), 0);
        }
        drop(peers);
        // The driver may take a turn to close the listener.
        let again = loop {
            match bind(&address(&local.to_string()), 2) {
                Ok(again) => break again,
                Err(BindError::InUse { .. }) => sleep_ms(1).await,
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(again.local_addr, local);
    });
}

#[test]
fn a_port_alone_serves_both_families() {
    on_every_driver(|_| async {
        let mut bound = bound(":0", 1);
        let port = bound.local_addr.port();
        let has_ipv6 = UdpSocket::bind("[::1]:0").is_ok();
        assert_eq!(bound.note.is_some(), !bound.local_addr.is_ipv6());
        let listener = bound
            .acceptors
            .pop()
            .expect("one")
            .start()
            .expect("it starts");
        for host in ["127.0.0.1", "::1"] {
            if host == "::1" && !has_ipv6 {
                continue;
            }
            let target = SocketAddr::new(host.parse().expect("an address"), port);
            let peer = StdStream::connect(target).expect("it connects");
            match listener.accept(&Cancel::new()).await {
                AcceptOutcome::Accepted(_, from) => {
                    assert_eq!(from.ip().to_canonical(), target.ip());
                    assert_eq!(from.port(), peer.local_addr().expect("it has one").port());
                }
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn an_ipv4_address_serves_that_family_alone() {
    let bound = bound("127.0.0.1:0", 1);
    assert!(bound.local_addr.is_ipv4() && bound.note.is_none());
}

#[test]
fn an_address_that_is_not_ours_is_a_clear_error() {
    // TEST-NET-3 of RFC 5737: nobody has it.
    let error = bind(&address("203.0.113.1:8554"), 1).expect_err("it is not ours");
    assert!(matches!(error, BindError::Failed { .. }));
    assert!(
        error
            .to_string()
            .starts_with("cannot listen on 203.0.113.1:8554: "),
        "{error}"
    );
}

#[test]
fn a_name_that_does_not_resolve_is_a_clear_error() {
    // RFC 6761, 6.4: never a name.
    let error = bind(&address("nowhere.invalid:8554"), 1).expect_err("it has no address");
    assert!(matches!(error, BindError::Unresolved { .. }), "{error}");
}

#[test]
fn every_shard_gets_an_acceptor_and_connections_reach_all_of_them() {
    on_every_driver(|_| async {
        let bound = bound("127.0.0.1:0", 2);
        assert_eq!(bound.acceptors.len(), 2);
        let served = std::rc::Rc::new(std::cell::RefCell::new([0; 2]));
        for (shard, acceptor) in bound.acceptors.into_iter().enumerate() {
            let served = std::rc::Rc::clone(&served);
            let listener = acceptor.start().expect("it starts");
            spawn(async move {
                loop {
                    drop(accept(&listener).await);
                    served.borrow_mut()[shard] += 1;
                }
            });
        }
        let total = |served: [usize; 2]| served.iter().sum::<usize>();
        for count in 1..=64 {
            let timeout = Duration::from_secs(10);
            let peer = StdStream::connect_timeout(&bound.local_addr, timeout);
            drop(peer.expect("it connects"));
            while total(*served.borrow()) < count {
                sleep_ms(1).await;
            }
        }
        // Elsewhere the shards share one queue, and the first that wakes takes all.
        if cfg!(target_os = "linux") {
            assert!(served.borrow().iter().all(|count| *count > 0), "{served:?}");
        }
    });
}
