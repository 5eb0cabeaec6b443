//! Sites on Unix sockets.

use std::io::{BufReader, Write as _};
use std::os::unix::net::UnixStream;

use shardcast::Exit;
use shardcast_tests::http::read_response;
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::rig::Rig;

use crate::wire::head;

#[test]
fn who_comes_by_a_file_is_this_machine_and_the_file_goes_with_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("api.sock");
    let sites = format!("api: yes\napiAddress: unix://{}\n", path.display());
    let rig = Rig::start(House::USUAL, &sites);
    let mut stream = UnixStream::connect(&path).unwrap();
    // By default the API is for this machine alone.
    stream
        .write_all(head("GET", "/v3/info", &[]).as_bytes())
        .unwrap();
    let answer = read_response(BufReader::new(&stream), "GET").unwrap();
    assert_eq!(answer.status, 200);
    drop(stream);
    assert_eq!(rig.shut_down(), Some(Exit::Clean));
    assert!(!path.exists());
}
