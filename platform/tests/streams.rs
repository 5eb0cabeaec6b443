//! Promises of TCP streams, kept on every driver of this system.
//!
//! Not shown here: what a lossy network does. Everything runs over the loopback interface.

mod support;

use shardcast_platform::{Gather, Slab, TcpStream, spawn};
use support::{accept, connected, gather, listener, on_every_driver, read_exactly, read_to_end};

#[test]
fn what_is_sent_comes_back_unchanged() {
    on_every_driver(|_| async {
        let listener = listener();
        let address = listener.local_addr().expect("it listens");
        spawn(async move {
            let mut stream = accept(&listener).await;
            echo(&mut stream).await;
        });
        let mut stream = TcpStream::connect(address).await.expect("it connects");
        for round in 0..100_u32 {
            let sent = round.to_be_bytes();
            let (result, rest) = stream.write_all(gather([b"round ", &sent])).await;
            result.expect("it writes");
            assert!(rest.is_empty());
            assert_eq!(
                read_exactly(&mut stream, 10).await,
                [b"round ".as_slice(), &sent].concat()
            );
        }
        stream.shutdown_write().await.expect("it shuts down");
        assert!(read_to_end(&mut stream).await.is_empty());
    });
}

async fn echo(stream: &mut TcpStream) {
    loop {
        let (result, slab) = stream.read(Slab::with_capacity(64)).await;
        if result.expect("it reads") == 0 {
            return stream.shutdown_write().await.expect("it shuts down");
        }
        let (result, _) = stream.write_all(gather([slab.filled()])).await;
        result.expect("it writes");
    }
}

#[test]
fn an_empty_gather_is_written_at_once() {
    on_every_driver(|_| async {
        let (mut ours, _theirs) = connected().await;
        let (result, _) = ours.write(Gather::new()).await;
        assert_eq!(result.expect("nothing to do"), 0);
    });
}
