//! Promises about datagrams to those who read many of them: ports in pairs, beginnings of runs, and
//! the kernel's stamps. Kept on every driver of this system.

mod support;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket as StdSocket};
use std::time::SystemTime;

use shardcast_platform::{Cancel, Readiness, RecvSlab, RunHead, UdpSocket, bind_udp_pair, now};
use support::{WATCHDOG, on_every_driver, sleep_ms};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn pair() -> (UdpSocket, UdpSocket) {
    let (packets, reports) = bind_udp_pair(LOOPBACK, 1 << 20).expect("there are ports");
    let start = |seat: shardcast_platform::UdpSeat| seat.start().expect("it starts");
    (start(packets), start(reports))
}

fn address_of(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().expect("it is bound")
}

async fn until_readable(socket: &UdpSocket) {
    let waited = socket.readable_or(&Cancel::new()).await;
    assert_eq!(waited.expect("it waits"), Readiness::Ready);
}

/// The beginnings of what has arrived, until there are so many datagrams.
async fn heads(socket: &UdpSocket, datagrams: usize) -> Vec<RunHead> {
    let mut heads: Vec<RunHead> = Vec::new();
    while heads.iter().map(RunHead::datagrams).sum::<usize>() < datagrams {
        until_readable(socket).await;
        while let Some(head) = socket.recv_head_now().expect("it receives") {
            heads.push(head);
        }
    }
    heads
}

#[test]
fn the_ports_of_a_pair_are_an_even_one_and_the_next_and_no_one_elses() {
    on_every_driver(|_| async {
        let pairs: Vec<_> = (0..50).map(|_| pair()).collect();
        for (packets, reports) in &pairs {
            let (even, odd) = (address_of(packets), address_of(reports));
            assert_eq!((even.ip(), odd.ip()), (LOOPBACK, LOOPBACK));
            assert_eq!((even.port() % 2, odd.port()), (0, even.port() + 1));
            assert!(StdSocket::bind(even).is_err());
            assert!(StdSocket::bind(odd).is_err());
        }
    });
}

/// Wine binds to what is not its machine's.
#[test]
#[cfg(not(windows))]
fn a_pair_at_an_address_that_is_not_ours_is_refused_at_once() {
    let documentation = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    bind_udp_pair(documentation, 0).expect_err("RFC 5737 keeps it for nobody");
}

#[test]
fn beginnings_count_every_datagram_and_every_byte() {
    on_every_driver(|_| async {
        let (ours, _) = pair();
        let (theirs, _) = pair();
        assert!(ours.recv_head_now().expect("it receives").is_none());
        let run: Vec<u8> = (0..=255).cycle().take(2500).collect();
        let sent = theirs.send_run(&run, 1000, address_of(&ours), None);
        assert_eq!(sent.expect("it sends"), run.len());
        let heads = heads(&ours, 3).await;
        assert_eq!(heads.iter().map(RunHead::datagrams).sum::<usize>(), 3);
        assert_eq!(heads.iter().map(|head| head.run_bytes).sum::<usize>(), 2500);
        assert_eq!(heads[0].datagram_bytes, 1000);
        assert_eq!(heads[0].first(), &run[..32]);
        let sent = theirs.send_run(b"short", 5, address_of(&ours), None);
        assert_eq!(sent.expect("it sends"), 5);
        until_readable(&ours).await;
        let head = ours.recv_head_now().expect("it receives").expect("one");
        assert_eq!((head.first(), head.datagrams()), (&b"short"[..], 1));
    });
}

#[test]
fn the_kernel_says_when_datagrams_arrived_however_late_they_are_read() {
    on_every_driver(|_| async {
        let (ours, _) = pair();
        let (theirs, _) = pair();
        let has_stamps = ours.stamp_arrivals().expect("it is asked for");
        assert_eq!(has_stamps, cfg!(target_os = "linux"));
        let (mut slab, begun) = (RecvSlab::new(), now());
        for turn in 0..20 {
            let before = SystemTime::now();
            let to = address_of(&ours);
            theirs.send_run(b"abcd", 2, to, None).expect("it sends");
            until_readable(&ours).await;
            let after = SystemTime::now();
            sleep_ms(2).await;
            let stamps: Vec<Option<SystemTime>> = if turn % 2 == 0 {
                assert!(ours.recv_now(&mut slab).expect("it receives"));
                slab.datagrams().map(|datagram| datagram.at).collect()
            } else {
                let head = ours.recv_head_now().expect("it receives");
                vec![head.expect("one").at]
            };
            assert!(begun.elapsed() < WATCHDOG);
            for at in stamps {
                assert_eq!(at.is_some(), has_stamps);
                // The first may have been received before the kernel began to stamp.
                assert!(turn < 10 || at.is_none_or(|at| before <= at && at <= after));
            }
            while ours.recv_head_now().expect("it receives").is_some() {}
        }
    });
}
