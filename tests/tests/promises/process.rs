//! The daemon as a process: what it says and how it exits when it cannot start, what its commands print, and what
//! signals do.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use shardcast_tests::daemon::{Daemon, program};
use shardcast_tests::scene::PATIENCE;
use shardcast_tests::scene::broadcast::{Broadcast, Tracks};
use shardcast_tests::scene::player::{BOTH_LANES, Haul, Player};
use shardcast_tests::wait::poll_until;
use tempfile::TempDir;

const PATH: &str = "live/camera";
/// A configuration with every path open.
const OPEN: &str = "shards: 2\npaths:\n  all_others:\n";

/// The daemon with these arguments in this folder, without any variable of its own in the environment.
fn shardcast(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program().unwrap());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MTX_") {
            command.env_remove(name);
        }
    }
    command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null());
    command
}

/// Runs it to its end.
fn run(folder: &Path, arguments: &[&str]) -> Output {
    shardcast(folder, arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The one line that a failed start has put out.
fn only_complaint(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let complaint = text(&output.stderr);
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    complaint
}

fn folder_with(name: &str, content: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join(name), content).unwrap();
    folder
}

#[test]
fn a_port_in_use_is_one_clear_line_and_a_failure() {
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    for address in [format!(":{port}"), format!("127.0.0.1:{port}")] {
        let folder = folder_with(
            "shardcast.yml",
            &format!("rtspAddress: '{address}'\n{OPEN}"),
        );
        let complaint = only_complaint(&run(folder.path(), &[]));
        assert!(complaint.contains("rtspAddress"), "{complaint}");
        assert!(complaint.contains(&port.to_string()), "{complaint}");
        assert!(complaint.contains("in use"), "{complaint}");
    }
}

#[test]
fn a_second_daemon_on_the_port_is_refused_and_the_first_plays_on() {
    let daemon = Daemon::start(OPEN).unwrap();
    let mut broadcast = Broadcast::start(daemon.address(), PATH, Tracks::VideoAndSound).unwrap();
    let mut player = Player::start(daemon.address(), PATH, &BOTH_LANES).unwrap();
    for address in [
        format!(":{}", daemon.port()),
        format!("127.0.0.1:{}", daemon.port()),
    ] {
        let folder = folder_with(
            "shardcast.yml",
            &format!("rtspAddress: '{address}'\n{OPEN}"),
        );
        let complaint = only_complaint(&run(folder.path(), &[]));
        assert!(complaint.contains("in use"), "{complaint}");
        broadcast.send(5).unwrap();
    }
    broadcast.teardown().unwrap();
    let mut haul = Haul::default();
    player.read_to_end(&mut haul).unwrap();
    assert_eq!(haul.video.packets(), broadcast.packets());
    daemon.stop().unwrap();
}

#[test]
fn a_restart_works_at_once_though_connections_have_just_ended() {
    let mut daemon = Daemon::start(OPEN).unwrap();
    for _ in 0..3 {
        let address = daemon.address();
        let mut broadcast = Broadcast::start(address, PATH, Tracks::Video).unwrap();
        let players: Vec<Player> = (0..5)
            .map(|_| Player::start(address, PATH, &[BOTH_LANES[0]]).unwrap())
            .collect();
        broadcast.send(3).unwrap();
        // The server closes first, so that its ends of the connections stay in TIME_WAIT.
        broadcast.teardown().unwrap();
        for mut player in players {
            player.read_to_end(&mut Haul::default()).unwrap();
        }
        let port = daemon.port();
        assert!(daemon.stop().unwrap().success());
        daemon = Daemon::start_on(port, OPEN).unwrap();
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named_in_one_line() {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("folder.yml")).unwrap();
    for file in ["missing.yml", "folder.yml"] {
        for arguments in [
            &[file][..],
            &["check", file],
            &["serve", file],
            &["-config", file],
        ] {
            let complaint = only_complaint(&run(folder.path(), arguments));
            assert!(complaint.contains(file), "{complaint}");
            assert!(complaint.contains("cannot be read"), "{complaint}");
        }
    }
}

#[test]
fn a_bad_key_is_told_with_file_line_and_column() {
    for (content, place, words) in [
        (
            "logLevel: info\nrtspAdress: :1\n",
            ":2:1:",
            ["rtspAdress", "rtspAddress"],
        ),
        (
            "paths:\n  cam:\n    maxReader: 5\n",
            ":3:5:",
            ["maxReader", "maxReaders"],
        ),
        ("readTimeout: soon\n", ":1:14:", ["readTimeout", "soon"]),
        ("rtsp: yes\nrtsp: no\n", ":2:1:", ["rtsp", "1"]),
        (
            "pathDefaults:\n  srtReadPassphrase: verysecret\n",
            ":2:",
            ["srtReadPassphrase", "not"],
        ),
    ] {
        let folder = folder_with("shardcast.yml", content);
        for arguments in [&[][..], &["check"]] {
            let complaint = only_complaint(&run(folder.path(), arguments));
            assert!(
                complaint.contains(&format!("shardcast.yml{place}")),
                "{complaint}"
            );
            for word in words {
                assert!(complaint.contains(word), "{complaint}");
            }
        }
    }
}

#[test]
fn all_problems_of_a_file_are_told_at_once() {
    let folder = folder_with("shardcast.yml", "rtspAdress: :1\nreadTimeout: soon\n");
    let output = run(folder.path(), &["check"]);
    assert_eq!(output.status.code(), Some(1));
    let complaint = text(&output.stderr);
    assert!(
        complaint.contains(":1:1:") && complaint.contains(":2:14:"),
        "{complaint}"
    );
}

#[test]
fn check_says_what_it_has_read_and_listens_nowhere() {
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let content = format!("rtspAddress: :{port}\nhls: yes\npaths:\n  a:\n  b:\n");
    let folder = folder_with("other.yml", &content);
    let output = run(folder.path(), &["check", "other.yml"]);
    assert!(output.status.success(), "{output:?}");
    let said = text(&output.stdout);
    assert!(said.contains("other.yml: 2 paths"), "{said}");
    assert!(said.contains(&port.to_string()), "{said}");
}

#[test]
fn the_version_is_one_line() {
    let folder = TempDir::new().unwrap();
    let output = run(folder.path(), &["--version"]);
    assert!(output.status.success());
    let version = text(&output.stdout);
    let number = version.trim_end().strip_prefix("shardcast ").unwrap();
    assert_eq!(number.split('.').count(), 3, "{version}");
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn the_configuration_is_found_wherever_it_is_named() {
    let folder = folder_with("named.yml", "strange: 1\n");
    for arguments in [
        &["named.yml"][..],
        &["serve", "named.yml"],
        &["-config", "named.yml"],
        &["--config", "named.yml"],
        &["-config=named.yml"],
        &["serve", "-config", "named.yml"],
        &["check", "--config", "named.yml"],
    ] {
        let complaint = only_complaint(&run(folder.path(), arguments));
        assert!(
            complaint.contains("named.yml:1:1"),
            "{arguments:?}: {complaint}"
        );
    }
}

#[test]
fn our_own_file_of_the_working_directory_goes_before_that_of_mediamtx() {
    let folder = folder_with("mediamtx.yml", "paths:\n  a:\n");
    let said = text(&run(folder.path(), &["check"]).stdout);
    assert!(said.contains("mediamtx.yml: 1 path"), "{said}");
    fs::write(folder.path().join("shardcast.yml"), "paths:\n  a:\n  b:\n").unwrap();
    let said = text(&run(folder.path(), &["check"]).stdout);
    assert!(said.contains("shardcast.yml: 2 paths"), "{said}");
}

#[test]
fn the_environment_lies_over_the_file() {
    let folder = folder_with("shardcast.yml", "rtspAddress: :1111\npaths:\n  a:\n");
    let mut command = shardcast(folder.path(), &["check"]);
    let said = command.env("MTX_RTSPADDRESS", ":2222").output().unwrap();
    let said = text(&said.stdout);
    assert!(said.contains(":2222") && !said.contains(":1111"), "{said}");
    let mut command = shardcast(folder.path(), &["check"]);
    let output = command.env("MTX_READTIMEOUT", "soon").output().unwrap();
    let complaint = only_complaint(&output);
    assert!(complaint.contains("MTX_READTIMEOUT"), "{complaint}");
}

#[test]
fn a_start_says_version_driver_shards_and_listeners() {
    let daemon = Daemon::start(OPEN).unwrap();
    daemon.wait_log("listener opened");
    let log = daemon.log();
    for word in [
        "Shardcast v",
        "driver ",
        "2 shards",
        &daemon.port().to_string(),
    ] {
        assert!(log.contains(word), "{word}: {log}");
    }
    daemon.stop().unwrap();
}

#[cfg(not(feature = "glommio"))]
#[test]
fn a_driver_that_is_not_built_in_is_one_clear_line_and_a_failure() {
    let folder = folder_with("shardcast.yml", &format!("driver: glommio\n{OPEN}"));
    let complaint = only_complaint(&run(folder.path(), &[]));
    for word in ["driver: ", "glommio is not built in", "--features glommio"] {
        assert!(complaint.contains(word), "{word}: {complaint}");
    }
}

#[cfg(feature = "glommio")]
#[test]
fn a_start_on_glommio_names_it_and_who_wanted_it() {
    let daemon = Daemon::start(&format!("driver: glommio\n{OPEN}")).unwrap();
    let said = "driver glommio: glommio was asked for";
    let found = poll_until(PATIENCE, || daemon.log().contains(said).then_some(()));
    assert!(found.is_some(), "{}", daemon.log());
    daemon.stop().unwrap();
}

fn signal(daemon: &Daemon, name: &str) {
    let process_id = daemon.process_id().to_string();
    let sent = Command::new("kill").args([name, &process_id]).status();
    assert!(sent.unwrap().success());
}

#[test]
fn a_hangup_has_the_file_read_again_and_disturbs_nobody() {
    let mut daemon = Daemon::start(OPEN).unwrap();
    let mut broadcast = Broadcast::start(daemon.address(), PATH, Tracks::VideoAndSound).unwrap();
    let mut player = Player::start(daemon.address(), PATH, &BOTH_LANES).unwrap();
    broadcast.send(3).unwrap();
    signal(&daemon, "-HUP");
    daemon.wait_log("reloading configuration");
    assert!(daemon.is_running().unwrap());
    broadcast.send(3).unwrap();
    broadcast.teardown().unwrap();
    let mut haul = Haul::default();
    player.read_to_end(&mut haul).unwrap();
    assert_eq!(haul.video.packets(), broadcast.packets());
    daemon.stop().unwrap();
}

/// Publishes with readers that read to the end on threads of their own.
fn playing(address: SocketAddr) -> (Broadcast, Vec<std::thread::JoinHandle<Haul>>) {
    let mut broadcast = Broadcast::start(address, PATH, Tracks::VideoAndSound).unwrap();
    let readers = (0..4).map(|_| {
        let mut player = Player::start(address, PATH, &BOTH_LANES).unwrap();
        std::thread::spawn(move || {
            let mut haul = Haul::default();
            player.read_to_end(&mut haul).unwrap();
            haul
        })
    });
    let readers = readers.collect();
    broadcast.send(10).unwrap();
    (broadcast, readers)
}

#[test]
fn a_terminated_daemon_ends_its_readers_in_order_and_exits_with_success() {
    for driver in [
        "io_uring",
        "epoll",
        #[cfg(feature = "glommio")]
        "glommio",
    ] {
        for moves in ["yes", "no"] {
            let configuration =
                format!("driver: {driver}\nmoveLive: {moves}\ngatherReaders: 0\n{OPEN}");
            let daemon = Daemon::start(&configuration).unwrap();
            let (_broadcast, readers) = playing(daemon.address());
            let begun = std::time::Instant::now();
            let status = daemon.stop().unwrap();
            assert_eq!(status.code(), Some(0));
            assert!(
                begun.elapsed() < Duration::from_secs(5),
                "{:?}",
                begun.elapsed()
            );
            for haul in readers.into_iter().map(|reader| reader.join().unwrap()) {
                assert_eq!(haul.reports.len(), 2);
            }
        }
    }
}

#[test]
fn a_reader_that_takes_nothing_cannot_keep_a_daemon_from_ending() {
    let configuration = format!("shutdownTimeout: 1s\nwriteTimeout: 60s\n{OPEN}");
    let daemon = Daemon::start(&configuration).unwrap();
    let mut broadcast = Broadcast::start(daemon.address(), PATH, Tracks::Video).unwrap();
    let _stuck = Player::start(daemon.address(), PATH, &[BOTH_LANES[0]]).unwrap();
    broadcast.send(6000).unwrap();
    let begun = std::time::Instant::now();
    let status = daemon.stop().unwrap();
    assert_eq!(status.code(), Some(0), "it was asked to end, and did");
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn an_interrupt_ends_it_as_a_termination_does() {
    let mut daemon = Daemon::start(OPEN).unwrap();
    // It listens before it has started, and until then a signal ends it without a word.
    daemon.wait_log("listener opened");
    signal(&daemon, "-INT");
    let ended = poll_until(PATIENCE, || (!daemon.is_running().unwrap()).then_some(()));
    assert!(ended.is_some(), "{}", daemon.log());
    assert!(daemon.log().contains("good bye"), "{}", daemon.log());
}
