//! A stream with a reader that plays on a thread of its own through whatever else happens to the server, and the check
//! that it has lost nothing by it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::broadcast::{Broadcast, Tracks};
use super::player::{BOTH_LANES, Haul, Player};

/// The bystander's path.
pub const BYSTANDER: &str = "live/bystander";

/// Pause between two access units: a quick stream, which still leaves the machine to the case at hand.
const PAUSE: Duration = Duration::from_millis(5);

/// What the reader has been given.
#[derive(Debug, Default)]
struct Seen {
    units: AtomicU64,
    /// Time of each access unit from its sending to its coming.
    latencies: Mutex<Vec<Duration>>,
}

/// The stream; it plays until it is finished.
#[derive(Debug)]
pub struct Bystander {
    /// Hung up to end it.
    stop: Sender<()>,
    thread: JoinHandle<()>,
    seen: Arc<Seen>,
    session_ids: [String; 2],
}

impl Bystander {
    /// Publishes and reads, from now on.
    ///
    /// # Panics
    /// When the server refuses.
    pub fn begin(address: SocketAddr) -> Self {
        Self::begin_on(address, BYSTANDER)
    }

    /// As [`Self::begin`], on this path.
    ///
    /// # Panics
    /// When the server refuses.
    pub fn begin_on(address: SocketAddr, path: &str) -> Self {
        let broadcast = Broadcast::start(address, path, Tracks::VideoAndSound);
        let mut broadcast = broadcast.expect("the path is free");
        let player = Player::start(address, path, &BOTH_LANES);
        let mut player = player.expect("there is a stream");
        let id = |session: Option<&str>| session.expect("a session was named").to_owned();
        let session_ids = [
            id(broadcast.connection().session()),
            id(player.connection().session()),
        ];
        let (stop, stopped) = mpsc::channel();
        let seen = Arc::new(Seen::default());
        let show = Show {
            broadcast,
            player,
            haul: Haul::default(),
            seen: seen.clone(),
        };
        let thread = thread::spawn(move || {
            show.play(|| stopped.recv_timeout(PAUSE) == Err(RecvTimeoutError::Disconnected));
        });
        Self {
            stop,
            thread,
            seen,
            session_ids,
        }
    }

    /// Access units that have come to the reader so far.
    pub fn units(&self) -> u64 {
        self.seen.units.load(Ordering::Relaxed)
    }

    /// The time that 99 of 100 access units have needed at most, of those that have come since this was last asked.
    pub fn take_p99(&self) -> Option<Duration> {
        let mut latencies = std::mem::take(&mut *self.seen.lock());
        latencies.sort_unstable();
        latencies.get(latencies.len() * 99 / 100).copied()
    }

    /// The ids of its two sessions, publisher and reader, as the server has named them to it.
    pub fn session_ids(&self) -> &[String; 2] {
        &self.session_ids
    }

    /// Ends the stream in order: nothing of it was lost or out of order from its first packet to its last.
    ///
    /// # Panics
    /// When something was.
    pub fn finish(self) {
        drop(self.stop);
        if let Err(panic) = self.thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Seen {
    fn lock(&self) -> MutexGuard<'_, Vec<Duration>> {
        self.latencies
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the thread does.
struct Show {
    broadcast: Broadcast,
    player: Player,
    haul: Haul,
    seen: Arc<Seen>,
}

impl Show {
    fn play(mut self, mut is_over: impl FnMut() -> bool) {
        while !is_over() {
            let sent = Instant::now();
            self.broadcast.send(1).expect("the publisher is served");
            let last = self.broadcast.packets() - 1;
            let read = self.player.read_up_to(&mut self.haul, last);
            read.expect("the reader is served");
            self.seen.lock().push(sent.elapsed());
            self.seen.units.fetch_add(1, Ordering::Relaxed);
        }
        self.broadcast.teardown().expect("the publisher is served");
        let read = self.player.read_to_end(&mut self.haul);
        read.expect("the reader is served to the end");
        assert_eq!(self.haul.video.packets(), self.broadcast.packets());
        assert_eq!(self.haul.sound.packets(), self.broadcast.units());
    }
}
