//! The engine in this process: started from a configuration's text, asked for its counters and events, and ended with
//! the test.

use std::fs;
use std::net::SocketAddr;

use shardcast::event::EventBus;
use shardcast::{Server, Snapshot};
use tempfile::TempDir;

/// A server that ends when it is dropped.
#[derive(Debug)]
pub struct TestServer {
    server: Option<Server>,
    address: SocketAddr,
}

impl TestServer {
    /// Starts a server on a port of the system's choice, with `configuration` (YAML without `rtspAddress`). Every path
    /// may be published.
    ///
    /// # Panics
    /// When it does not start: no test can go on without.
    pub fn start(configuration: &str) -> Self {
        let directory = TempDir::new().expect("a folder for the configuration");
        let file = directory.path().join("shardcast.yml");
        let text = format!("rtspAddress: 127.0.0.1:0\n{configuration}\npaths:\n  all_others:\n");
        fs::write(&file, text).expect("a file for the configuration");
        let loaded = shardcast_config::load(Some(&file), std::iter::empty());
        let config = loaded.unwrap_or_else(|error| panic!("{error}")).config;
        let server = Server::start(config, EventBus::default());
        let server = server.unwrap_or_else(|error| panic!("{error}"));
        let listener = server.listeners().first().expect("RTSP is switched on");
        let address = listener.address;
        Self {
            server: Some(server),
            address,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All its counters.
    pub fn snapshot(&self) -> Snapshot {
        self.server().snapshot()
    }

    /// The server, for its events and plan.
    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("it runs until it is dropped")
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.shutdown();
            // How it ends is the promise of tests of its own.
            let _exit = server.join();
        }
    }
}
