//! Promises about Unix sockets, kept on every driver of this system that has them.
#![cfg(unix)]

mod support;

use std::future::poll_fn;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;

use shardcast_platform::{AcceptOutcome, Cancel, PolledStream, UnixBindError, bind_unix};
use support::on_every_driver;

fn talk(path: &Path) -> Vec<u8> {
    let mut peer = UnixStream::connect(path).expect("it connects");
    peer.write_all(b"hello").expect("it writes");
    let mut answer = Vec::new();
    peer.read_to_end(&mut answer).expect("it reads");
    answer
}

#[test]
fn a_peer_that_connects_by_a_file_is_a_program_of_this_machine() {
    on_every_driver(|_| async {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("socket");
        let bound = bind_unix(&path, 2).expect("it can be bound");
        assert_eq!(bound.acceptors.len(), 2);
        let peer = thread::spawn({
            let path = path.clone();
            move || talk(&path)
        });
        let acceptor = bound.acceptors.into_iter().next().expect("one");
        let listener = acceptor.start().expect("it starts");
        let never = Cancel::new();
        let accepted = listener.accept(&never).await;
        let AcceptOutcome::Accepted(stream, address) = accepted else {
            panic!("{accepted:?}");
        };
        assert_eq!(address.to_string(), "127.0.0.1:0");
        let mut stream = PolledStream::new(stream, never);
        let mut buffer = [0; 16];
        let read = poll_fn(|context| stream.poll_read(context, &mut buffer)).await;
        let count = read.expect("it reads");
        assert_eq!(&buffer[..count], b"hello");
        let written = poll_fn(|context| stream.poll_write(context, b"bye")).await;
        assert_eq!(written.expect("it writes"), 3);
        stream.shutdown_write().expect("it ends");
        assert_eq!(peer.join().expect("no panic"), b"bye");
        drop(bound.file);
        assert!(!path.exists());
    });
}

#[test]
fn what_a_dead_process_has_left_is_taken_over_and_what_a_living_one_uses_is_not() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("socket");
    // The listener is closed, and its file stays.
    drop(std::os::unix::net::UnixListener::bind(&path).expect("it binds"));
    assert!(path.exists());
    let first = bind_unix(&path, 1).expect("it is taken over");
    let second = bind_unix(&path, 1).expect_err("somebody listens");
    assert!(matches!(second, UnixBindError::InUse(_)), "{second}");
    drop(first);
    assert!(!path.exists());
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("data");
    std::fs::write(&path, "precious").expect("it is written");
    let error = bind_unix(&path, 1).expect_err("no socket");
    assert!(matches!(error, UnixBindError::NoSocket(_)), "{error}");
    assert_eq!(std::fs::read(&path).expect("it is there"), b"precious");
}

#[test]
fn the_file_of_another_process_is_not_removed() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("socket");
    let bound = bind_unix(&path, 1).expect("it can be bound");
    std::fs::remove_file(&path).expect("it is removed");
    let _other = std::os::unix::net::UnixListener::bind(&path).expect("it binds");
    drop(bound);
    assert!(path.exists());
}
