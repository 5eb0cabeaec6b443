//! Not a promise but a canary: it says when monoio's Windows driver works.
//!
//! monoio 0.2.4 never re-arms its poll there, so that the second round trip on any socket hangs
//! (bytedance/monoio issue 274; its repair, pull request 320, is not merged). Once this test fails,
//! Windows can go back to monoio.
#![cfg(all(windows, feature = "windows-monoio"))]

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use shardcast_platform::{Driver, TcpStream, block_on};
use support::{WATCHDOG, gather, read_exactly};

/// A round trip over the loopback interface that takes longer than this has hung.
const HUNG: Duration = Duration::from_secs(15);

#[test]
fn the_second_round_trip_on_a_socket_hangs_upstream() {
    let address = start_echo();
    let (send, round_trips) = mpsc::channel();
    // It hangs, so that nobody waits for its end.
    thread::spawn(move || {
        let played = block_on(Driver::Iocp, async move {
            let mut stream = TcpStream::connect(address).await.expect("it connects");
            for number in 1..=3_u8 {
                stream
                    .write_all(gather([&[number]]))
                    .await
                    .0
                    .expect("it writes");
                assert_eq!(read_exactly(&mut stream, 1).await, [number]);
                send.send(number).expect("the test waits");
            }
        });
        played.expect("the driver starts");
    });
    assert_eq!(
        round_trips.recv_timeout(WATCHDOG),
        Ok(1),
        "not even the first round trip works"
    );
    let second = round_trips.recv_timeout(HUNG);
    assert_eq!(
        second,
        Err(RecvTimeoutError::Timeout),
        "monoio works on Windows now: use it again"
    );
}

fn start_echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("it binds");
    let address = listener.local_addr().expect("it listens");
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("it accepts");
        let mut byte = [0];
        while stream.read_exact(&mut byte).is_ok() {
            stream.write_all(&byte).expect("it writes");
        }
    });
    address
}
