//! Bodies that are too long, too deep, or no configuration: each is refused, and what is declared costs nothing.

use std::net::SocketAddr;

use shardcast_tests::daemon::Daemon;
use shardcast_tests::http::{Request, get};
use shardcast_tests::port::free_tcp_port;
use shardcast_tests::procfs::Process;
use shardcast_tests::scene::bystander::Bystander;

use crate::wire::{Wire, head};

/// A daemon with an API beside a stream.
struct Watched {
    daemon: Daemon,
    api: SocketAddr,
    bystander: Bystander,
    resident: u64,
}

impl Watched {
    fn begin() -> Self {
        let port = free_tcp_port().unwrap();
        let configuration =
            format!("shards: 2\napi: yes\napiAddress: 127.0.0.1:{port}\npaths:\n  all_others:\n");
        let daemon = Daemon::start(&configuration).unwrap();
        let bystander = Bystander::begin(daemon.address());
        let api = ([127, 0, 0, 1], port).into();
        assert_eq!(get(api, "/v3/info").status, 200);
        let resident = Process::of(daemon.process_id()).resident_bytes();
        Self {
            daemon,
            api,
            bystander,
            resident,
        }
    }

    /// Ends it: it is as well as before, and has grown by no more than so much.
    fn finish(self, grown_max: u64) {
        let resident = Process::of(self.daemon.process_id()).resident_bytes();
        let grown = resident.saturating_sub(self.resident);
        assert!(grown <= grown_max, "{grown} bytes more");
        assert_eq!(get(self.api, "/v3/info").status, 200);
        self.bystander.finish();
        assert!(self.daemon.stop().unwrap().success());
    }
}

/// What a daemon's memory may differ by for other reasons: its stream's log fills.
const BREATH: u64 = 24 << 20;

/// The longest body that the API takes, as MediaMTX does; so much has to come before one without a length is too long.
const BODY_BYTES_MAX: u64 = 10 << 20;

/// The targets that take a body.
const BODIES: [(&str, &str); 4] = [
    ("PATCH", "/v3/config/global/patch"),
    ("PATCH", "/v3/config/pathdefaults/patch"),
    ("POST", "/v3/config/paths/add/a"),
    ("POST", "/v3/config/paths/replace/a"),
];

#[test]
fn a_body_of_a_gigabyte_is_refused_by_its_length_and_costs_nothing() {
    let watched = Watched::begin();
    for (method, target) in BODIES {
        let mut wire = Wire::open(watched.api);
        wire.send(head(method, target, &[("content-length", "1073741824")]));
        assert_eq!(wire.response().status, 413, "{target}");
        // Without a length it is refused once too much has come.
        let mut wire = Wire::open(watched.api);
        wire.send(head(method, target, &[("transfer-encoding", "chunked")]));
        let chunk = [b"10000\r\n", &[b' '; 65_536][..], b"\r\n"].concat();
        let sent = (0..16_384).find(|_| wire.try_send(&chunk).is_err());
        assert!(
            sent.is_some_and(|chunks| chunks < 2048),
            "{target}: {sent:?}"
        );
    }
    watched.finish(BREATH + BODIES.len() as u64 * BODY_BYTES_MAX);
}

#[test]
fn deep_and_odd_bodies_are_refused_and_break_nothing() {
    let watched = Watched::begin();
    let deep = |open: &str, close: &str, depth: usize| open.repeat(depth) + &close.repeat(depth);
    let bodies = [
        String::new(),
        "[]".into(),
        "{".into(),
        "\u{feff}{}".into(),
        deep("[", "]", 129),
        deep("{\"a\":", "}", 129),
        deep("[", "]", 100_000),
        "[".repeat(500_000),
        "{\"paths\": {\"a\": {\"source\": 1e999}}}".into(),
        "{\"source\": \"publisher\", \"source\": \"other\"}".into(),
        "{\"maxReaders\": 99999999999999999999999999}".into(),
        "{\"__proto__\": {\"api\": true}}".into(),
        "{\"source\": \"\\ud800\"}".into(),
        "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n".into(),
    ];
    for (method, target) in BODIES {
        for body in &bodies {
            let request = Request::new(method, target)
                .header("content-type", "application/json")
                .body(body.as_str());
            let status = request.send(watched.api).unwrap().status;
            let shown: String = body.chars().take(40).collect();
            assert_eq!(status, 400, "{method} {target} {shown}");
        }
    }
    watched.finish(BREATH);
}

/// Each level is nine times the one before: 9^20 texts.
#[test]
fn a_configuration_of_aliases_upon_aliases_is_refused_as_a_body_and_as_a_file() {
    let level = |n: usize| {
        let before = if n == 0 {
            "x".into()
        } else {
            format!("*l{}", n - 1)
        };
        format!("l{n}: &l{n} [{}]\n", vec![before; 9].join(", "))
    };
    let bomb: String = (0..20).map(level).collect();
    let error = Daemon::start(&format!("{bomb}paths:\n  all_others:\n")).unwrap_err();
    assert!(error.to_string().contains("alias"), "{error}");
    let watched = Watched::begin();
    for (method, target) in BODIES {
        let request = Request::new(method, target).body(bomb.as_str());
        assert_eq!(request.send(watched.api).unwrap().status, 400, "{target}");
    }
    watched.finish(BREATH);
}
