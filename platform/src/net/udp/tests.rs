//! What a kernel refuses is sent in another way. Refusals are made by switching the checksums of a
//! socket off, which no run is sent without.

use std::net::{IpAddr, Ipv4Addr, UdpSocket as StdSocket};
use std::os::fd::AsRawFd;

use super::*;
use crate::{DriverRequest, ListenAddress, block_on, choose_driver};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn set_no_checksums(socket: &Socket, on: i32) {
    // SAFETY: the descriptor is open, and the value is a c_int that outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NO_CHECK,
            (&raw const on).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    assert_eq!(result, 0);
}

#[test]
fn a_refused_run_goes_one_by_one_and_its_destination_is_remembered() {
    let driver = choose_driver(DriverRequest::Auto).expect("auto never fails");
    let test = async {
        let address: ListenAddress = "127.0.0.1:0".parse().expect("an address");
        let bound = bind_udp(&address, 1, UdpOptions::default()).expect("it is free");
        let seat = bound.seats.into_iter().next().expect("one per shard");
        let ours = seat.start().expect("it starts");
        let peer = StdSocket::bind("127.0.0.1:0").expect("it is free");
        let to = peer.local_addr().expect("it has one");
        let goes_as_one = || ours.detours.borrow_mut().are_none(HERE, 3);
        let send = || {
            let sent = ours.send_run(b"onetwothree", 3, to, Some(HERE));
            assert_eq!(sent.expect("it sends"), 11);
            for part in [&b"one"[..], b"two", b"thr", b"ee"] {
                let mut buffer = [0; 9];
                let bytes = peer.recv(&mut buffer).expect("it arrives");
                assert_eq!(&buffer[..bytes], part);
            }
        };
        send();
        assert!(goes_as_one());
        ours.waits.with_socket(|socket| set_no_checksums(socket, 1));
        send();
        assert!(!goes_as_one());
        ours.waits.with_socket(|socket| set_no_checksums(socket, 0));
        send();
        assert!(!goes_as_one(), "until the next trial");
    };
    block_on(driver.driver, test).expect("it starts");
}

#[test]
fn what_is_wrong_with_every_datagram_is_no_refusal_of_runs() {
    let driver = choose_driver(DriverRequest::Auto).expect("auto never fails");
    let test = async {
        let bound = bind_udp(&ListenAddress::any(0), 1, UdpOptions::default());
        let seat = bound.expect("it is free").seats.into_iter().next();
        let ours = seat.expect("one per shard").start().expect("it starts");
        let to = (HERE, 9).into();
        let foreign = IpAddr::from([203, 0, 113, 1]);
        ours.send_run(b"xyz", 1, to, Some(foreign))
            .expect_err("it is not ours");
        assert!(ours.detours.borrow_mut().are_none(HERE, 1));
    };
    block_on(driver.driver, test).expect("it starts");
}
