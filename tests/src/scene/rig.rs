//! A server in this process, on a free port, with its events and counters at hand.

use std::cell::RefCell;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use shardcast::event::{Event, EventBus, EventReceiver, Received, SessionEnd};
use shardcast::{Companion, Exit, Plan, RefusalReason, Role, Server, SessionSnapshot, Snapshot};

use super::PATIENCE;
use super::house::House;
use crate::daemon::unhurried;
use crate::wait::poll_until;

/// A running server. Dropping it shuts it down.
#[derive(Debug)]
pub struct Rig {
    server: Option<Server>,
    bus: EventBus,
    events: EventReceiver,
    /// Events that have come and that nobody has waited for yet.
    seen: RefCell<Vec<Event>>,
    port: u16,
}

impl Rig {
    /// Starts a server with `configuration` (YAML without address, driver and shards). Without `paths` every path is
    /// open.
    ///
    /// # Panics
    /// When it does not start: no test can go on then.
    pub fn start(house: House, configuration: &str) -> Self {
        Self::start_with(&house.configuration(), configuration, None)
    }

    /// As [`Self::start`], built up as the text says and with a companion on every shard.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_with(house: &str, configuration: &str, companion: Option<Companion>) -> Self {
        let unhurried = unhurried(configuration);
        let text = format!(
            "rtspAddress: :0\nrtpAddress: :0\nrtcpAddress: :0\nshutdownTimeout: 3s\n{unhurried}{house}{configuration}"
        );
        let loaded = shardcast_config::parse(None, &text, std::iter::empty());
        let loaded = loaded.unwrap_or_else(|error| panic!("{error}\n{text}"));
        let bus = EventBus::default();
        let events = bus.listen().expect("a new bus has room");
        let server = Server::start_with(loaded.document, bus.clone(), companion);
        let server = server.unwrap_or_else(|error| panic!("{house}: {error}"));
        let port = server.listeners().first().map(|open| open.address.port());
        Self {
            server: Some(server),
            bus,
            events,
            seen: RefCell::default(),
            port: port.expect("one listener"),
        }
    }

    /// The RTSP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The RTSP port on the IPv4 loopback address.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// The RTSP port on the IPv6 loopback address.
    pub fn address_v6(&self) -> SocketAddr {
        SocketAddr::from((Ipv6Addr::LOCALHOST, self.port))
    }

    /// Where the site of this name listens: `API`, `metrics` or `pprof`.
    ///
    /// # Panics
    /// When it is not switched on.
    pub fn site(&self, name: &str) -> SocketAddr {
        let mut listeners = self.server().listeners().iter();
        let site = listeners.find(|listener| listener.protocol == name);
        let port = site.map(|site| site.address.port());
        SocketAddr::from((Ipv4Addr::LOCALHOST, port.expect("the site listens")))
    }

    /// Tells the server's listeners of something that has not happened.
    pub fn pretend(&self, event: &Event) {
        self.bus.publish(event);
    }

    /// Asks the server to drain and end.
    pub fn shutdown(&self) {
        self.server().shutdown();
    }

    /// All counters.
    pub fn snapshot(&self) -> Snapshot {
        self.server().snapshot()
    }

    /// Waits until the counters show what is expected.
    ///
    /// # Panics
    /// When they do not in time.
    pub fn wait_counters<T>(&self, what: &str, mut pick: impl FnMut(&Snapshot) -> Option<T>) -> T {
        poll_until(PATIENCE, || pick(&self.snapshot()))
            .unwrap_or_else(|| panic!("{what}: never seen in {:#?}", self.snapshot()))
    }

    /// Waits until the owner of `path` has taken in so many bytes, wire headers included.
    pub fn wait_taken_in(&self, path: &str, bytes: u64) {
        self.wait_counters(&format!("{bytes} bytes on {path}"), |snapshot| {
            let mut paths = snapshot.paths.iter();
            let found = paths.find(|found| found.name.as_str() == path)?;
            (found.inbound_bytes >= bytes).then_some(())
        });
    }

    /// Waits until so many sessions read `path`, none meaning also that their seats are given back.
    pub fn wait_readers(&self, path: &str, readers: u32) {
        self.wait_counters(&format!("{readers} readers of {path}"), |snapshot| {
            let mut paths = snapshot.paths.iter();
            let found = paths.find(|found| found.name.as_str() == path);
            (found.map_or(0, |found| found.readers) == readers).then_some(())
        });
    }

    /// The session of the peer with this local address, once it publishes or reads.
    pub fn session_of(&self, peer: SocketAddr) -> SessionSnapshot {
        self.wait_counters(&format!("a session of {peer}"), |snapshot| {
            let mut sessions = snapshot.sessions.iter();
            let found = sessions.find(|session| canonical(session.peer) == canonical(peer));
            found.cloned()
        })
    }

    /// The publisher of `path`.
    pub fn publisher_of(&self, path: &str) -> SessionSnapshot {
        self.wait_counters(&format!("a publisher of {path}"), |snapshot| {
            let mut sessions = snapshot.sessions.iter();
            let is_it = |found: &&SessionSnapshot| {
                found.role == Role::Publisher && found.path.as_str() == path
            };
            sessions.find(is_it).cloned()
        })
    }

    /// Waits for an event and takes it out, among those that came before and were not waited for too.
    ///
    /// # Panics
    /// When it does not come in time.
    pub fn wait_event<T>(&self, what: &str, mut pick: impl FnMut(&Event) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = self.take_seen(&mut pick) {
                return found;
            }
            if !self.receive_until(deadline) {
                panic!("{what}: no such event among {:#?}", self.seen.borrow());
            }
        }
    }

    /// Why the connection of the peer with this local address was closed.
    pub fn wait_closed(&self, peer: SocketAddr) -> SessionEnd {
        self.wait_event(&format!("the end of {peer}"), |event| match event {
            Event::ConnectionClosed {
                peer: of, reason, ..
            } if canonical(*of) == canonical(peer) => Some(reason.clone()),
            _ => None,
        })
    }

    /// The shard that the connection of the peer with this local address began on.
    pub fn shard_of(&self, peer: SocketAddr) -> usize {
        self.wait_event(&format!("the begin of {peer}"), |event| match event {
            Event::ConnectionOpened {
                peer: of, shard, ..
            } if canonical(*of) == canonical(peer) => Some(*shard),
            _ => None,
        })
    }

    /// Why a request of the peer with this local address was refused, as the server has told.
    pub fn wait_refused(&self, peer: SocketAddr) -> RefusalReason {
        self.wait_event(&format!("a refusal of {peer}"), |event| match event {
            Event::RequestsRefused {
                peer: of, reason, ..
            } if canonical(*of) == canonical(peer) => Some(*reason),
            _ => None,
        })
    }

    /// How many shards there are, on which driver, and why.
    pub fn plan(&self) -> &Plan {
        self.server().plan()
    }

    /// Lets time pass while the server works, and says what has happened by then and before.
    pub fn watch(&self, time: Duration) -> Vec<Event> {
        let deadline = Instant::now() + time;
        while self.receive_until(deadline) {}
        self.seen.borrow().clone()
    }

    /// Shuts down in order, and says how that went.
    pub fn shut_down(mut self) -> Option<Exit> {
        self.end()
    }

    fn server(&self) -> &Server {
        self.server.as_ref().expect("it runs until it is dropped")
    }

    fn take_seen<T>(&self, pick: impl FnMut(&Event) -> Option<T>) -> Option<T> {
        let mut seen = self.seen.borrow_mut();
        let (at, found) = seen
            .iter()
            .map(pick)
            .enumerate()
            .find_map(|(at, found)| Some((at, found?)))?;
        seen.remove(at);
        Some(found)
    }

    /// Takes the next event in; false when none has come by the deadline.
    fn receive_until(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.events.receive(left) {
            Ok(Some(Received::Event(event))) => {
                self.seen.borrow_mut().push(event);
                true
            }
            Ok(Some(Received::Missed(missed))) => {
                panic!("{missed} events were lost")
            }
            Ok(None) | Err(_) => false,
        }
    }

    fn end(&mut self) -> Option<Exit> {
        let server = self.server.take()?;
        server.shutdown();
        Some(server.join())
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.end();
    }
}

/// A dual-stack socket names an IPv4 peer by a mapped IPv6 address.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
