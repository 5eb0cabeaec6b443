//! The door of one listening address: a thread that accepts, and a bounded queue per shard.
//!
//! A socket that compio accepts belongs to that shard's completion port for life, so a plain thread accepts by blocking
//! calls and hands the sockets round, in turn, before any port has seen them. A shard whose queue is full is passed over;
//! when all are full the thread waits, and the system's own backlog is the queue. A lock is held for a push or a pop only
//! and never on a packet's way.
//!
//! The thread and the port end with the last of the shards' listeners, before its drop returns.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::bell::{self, BellSeat, Ringer};

/// How many accepted sockets wait for one shard: as many as the system itself lets wait before `listen`, so that a burst
/// of readers is taken in whole and a stalled shard holds few.
const QUEUE_MAX: usize = 128;

/// How long accepting rests after a failure such as too many sockets; the shard that is told may rest for longer.
const REST: Duration = Duration::from_millis(100);

/// How long the last listener tries to wake the thread, which hangs in `accept`, by a connection of its own.
const WAKE_TIMEOUT: Duration = Duration::from_secs(1);

/// What a shard takes from its queue.
pub(super) type Arrival = io::Result<(TcpStream, SocketAddr)>;

/// One shard's queue.
struct Queue {
    arrivals: VecDeque<Arrival>,
    open: bool,
}

struct State {
    queues: Vec<Queue>,
    /// Whose turn it is.
    next: usize,
}

impl State {
    fn is_closed(&self) -> bool {
        self.queues.iter().all(|queue| !queue.open)
    }

    /// The next shard in turn that is there and has room.
    fn free_shard(&mut self) -> Option<usize> {
        let shards = self.queues.len();
        let found = (self.next..self.next + shards)
            .map(|turn| turn % shards)
            .find(|&shard| {
                self.queues
                    .get(shard)
                    .is_some_and(|queue| queue.open && queue.arrivals.len() < QUEUE_MAX)
            })?;
        self.next = (found + 1) % shards;
        Some(found)
    }
}

/// What the thread and the shards share.
struct Door {
    state: Mutex<State>,
    /// Signalled when a queue gets room or closes.
    changed: Condvar,
    ringers: Vec<Ringer>,
    local_addr: SocketAddr,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Door {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accepts until every shard has gone.
    fn run(&self, listener: &TcpListener) {
        while self.wait_for_room() {
            let arrival = listener.accept();
            match &arrival {
                Err(error) if is_of_one_peer(error) => continue,
                Err(_) => self.hand_over_and_rest(arrival),
                Ok(_) => self.hand_over(arrival),
            }
        }
    }

    /// Returns `false` when no shard is left.
    fn wait_for_room(&self) -> bool {
        let mut state = self.state();
        loop {
            if state.is_closed() {
                return false;
            }
            if state
                .queues
                .iter()
                .any(|queue| queue.open && queue.arrivals.len() < QUEUE_MAX)
            {
                return true;
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Gives the socket to the next shard; with none left it is closed.
    fn hand_over(&self, arrival: Arrival) {
        let mut state = self.state();
        let Some(shard) = state.free_shard() else {
            return;
        };
        if let Some(queue) = state.queues.get_mut(shard) {
            queue.arrivals.push_back(arrival);
        }
        drop(state);
        if let Some(ringer) = self.ringers.get(shard) {
            ringer.ring();
        }
    }

    fn hand_over_and_rest(&self, arrival: Arrival) {
        self.hand_over(arrival);
        let state = self.state();
        drop(
            self.changed
                .wait_timeout_while(state, REST, |state| !state.is_closed()),
        );
    }

    /// Ends the thread and with it the port.
    fn stop(&self) {
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let woken = TcpStream::connect_timeout(&reachable(self.local_addr), WAKE_TIMEOUT);
        // Refused means that it has ended already. Otherwise it may hang, and is left alone.
        let ends = !woken.is_err_and(|error| error.kind() == io::ErrorKind::TimedOut);
        if let Some(thread) = thread.filter(|_| ends) {
            drop(thread.join());
        }
    }
}

/// The peer was gone before it was accepted: nothing is wrong here.
fn is_of_one_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::Interrupted
    )
}

/// Where this machine reaches its own listener.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// One shard's place at the door. The last one to go closes it.
pub(super) struct Place {
    door: Arc<Door>,
    shard: usize,
}

impl Place {
    /// The oldest socket that waits for this shard.
    pub(super) fn take(&self) -> Option<Arrival> {
        let arrival = self
            .door
            .state()
            .queues
            .get_mut(self.shard)?
            .arrivals
            .pop_front()?;
        self.door.changed.notify_one();
        Some(arrival)
    }

    pub(super) fn local_addr(&self) -> SocketAddr {
        self.door.local_addr
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.door.state();
        let left = state.queues.get_mut(self.shard).map(|queue| {
            queue.open = false;
            std::mem::take(&mut queue.arrivals)
        });
        let closed = state.is_closed();
        drop(state);
        drop(left);
        self.door.changed.notify_one();
        if closed {
            self.door.stop();
        }
    }
}

/// Starts the thread of a listening socket; one place and one seat per shard.
///
/// # Errors
///
/// When the system gives no thread, or the socket has no address.
pub(super) fn open(listener: TcpListener, shards: usize) -> io::Result<Vec<(Place, BellSeat)>> {
    let (ringers, seats): (Vec<_>, Vec<_>) = (0..shards).map(|_| bell::pair()).unzip();
    let queues = (0..shards)
        .map(|_| Queue {
            arrivals: VecDeque::new(),
            open: true,
        })
        .collect();
    let door = Arc::new(Door {
        state: Mutex::new(State { queues, next: 0 }),
        changed: Condvar::new(),
        ringers,
        local_addr: listener.local_addr()?,
        thread: Mutex::new(None),
    });
    let inside = Arc::clone(&door);
    let thread = thread::Builder::new()
        .name("accept".into())
        .spawn(move || inside.run(&listener))?;
    *door.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
    let places = (0..shards).map(|shard| Place {
        door: Arc::clone(&door),
        shard,
    });
    Ok(places.zip(seats).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queues(shards: usize) -> State {
        let queue = || Queue {
            arrivals: VecDeque::new(),
            open: true,
        };
        State {
            queues: (0..shards).map(|_| queue()).collect(),
            next: 0,
        }
    }

    fn arrive(state: &mut State) -> Option<usize> {
        let shard = state.free_shard()?;
        let arrival = Err(io::ErrorKind::OutOfMemory.into());
        state.queues[shard].arrivals.push_back(arrival);
        Some(shard)
    }

    #[test]
    fn a_shard_whose_queue_is_full_is_passed_over() {
        let mut state = queues(2);
        for turn in 0..2 * QUEUE_MAX {
            assert_eq!(arrive(&mut state), Some(turn % 2));
        }
        assert_eq!(arrive(&mut state), None);
        state.queues[1].arrivals.pop_front();
        assert_eq!(arrive(&mut state), Some(1));
        assert_eq!(arrive(&mut state), None);
    }

    #[test]
    fn a_shard_that_has_gone_gets_nothing() {
        let mut state = queues(3);
        state.queues[1].open = false;
        let shards: Vec<_> = (0..4).map(|_| arrive(&mut state)).collect();
        assert_eq!(shards, [Some(0), Some(2), Some(0), Some(2)]);
    }

    fn listening(address: SocketAddr) -> io::Result<TcpListener> {
        let socket = socket2::Socket::new(
            socket2::Domain::for_address(address),
            socket2::Type::STREAM,
            None,
        )?;
        crate::windows::prepare_listener(&socket)?;
        socket.bind(&address.into())?;
        socket.listen(8)?;
        Ok(socket.into())
    }

    #[test]
    fn sockets_go_round_and_the_port_is_free_after_the_last_place() {
        let listener = listening(([127, 0, 0, 1], 0).into()).expect("a port");
        let address = listener.local_addr().expect("its address");
        let places = open(listener, 2).expect("a thread");
        assert!(listening(address).is_err(), "the port is taken");
        let peers: Vec<_> = (0..4)
            .map(|_| TcpStream::connect(address).expect("connects"))
            .collect();
        for (place, _) in &places {
            let mut taken = 0;
            while taken < 2 {
                match place.take() {
                    Some(arrival) => {
                        arrival.expect("accepted");
                        taken += 1;
                    }
                    None => thread::yield_now(),
                }
            }
        }
        drop(places);
        drop(peers);
        listening(address).expect("the port is free again, whatever is in TIME_WAIT");
    }
}
