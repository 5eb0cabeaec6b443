//! Readers that are only counted. One task per thread goes over all of them twenty times a second and has the kernel throw
//! away what has come: no reader has a task that is woken, no byte is copied, and one call takes what has come of several
//! packets. So a thread has thousands of them at a part of what they cost the server.
//!
//! Their sockets hold what comes between two sweeps. At high bit rates the sweeps follow each other faster, so that no
//! window ever closes: a server that finds one closed has work that readers elsewhere would not give it.

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use shardcast_platform::{TcpStream, now, sleep, spawn};

use super::joining::{Joined, rejoin};
use super::keeper::Keeper;
use super::ports::Ports;
use super::roster::{Part, Seat};
use super::window::{Counts, Throughout};
use super::worker::Worker;

/// From one sweep to the next at most. A sweep costs the same whether it finds one frame or two: at 30 frames per second,
/// half as much per packet as with 20 ms. From here on the system acknowledges by its own timers in between, and what the
/// server costs grows by a twentieth; with 100 ms by a fifth.
pub(super) const SWEEP_INTERVAL_MAX: Duration = Duration::from_millis(50);
/// The timers of event loops know no less.
const SWEEP_INTERVAL_MIN: Duration = Duration::from_millis(1);
/// What is asked for to hold what comes between two sweeps; the system may give less.
pub(super) const RECEIVE_BUFFER_BYTES: usize = 4 << 20;
/// What Linux gives to whoever asks for more (`net.core.rmem_max`): this is counted on.
const WINDOW_BYTES: u64 = 208 << 10;
/// The part of it that may come between two sweeps on average: a key frame is many times as large as an average frame.
const WINDOW_PART: u64 = 8;
/// What is asked of a connection at once: more than it holds.
pub(super) const DISCARD_BYTES: usize = 16 << 20;
/// Runs of datagrams that are taken of a socket in one sweep: more than it holds.
const RUNS_MAX: usize = 4096;
/// Over UDP the connection says only how the session is, and is looked at so often.
const CONTROL_INTERVAL: Duration = Duration::from_millis(500);

/// A reader that is only counted.
#[derive(Debug)]
pub(super) struct Counted {
    seat: Seat,
    stream: TcpStream,
    keeper: Keeper,
    /// None over TCP.
    ports: Vec<Ports>,
    control_due: Instant,
    bytes: u64,
    /// What it had when what counts began, if it played then.
    begun: Option<u64>,
}

impl Counted {
    fn new(seat: Seat, seed: u64, joined: Joined) -> Self {
        Self {
            seat,
            stream: joined.flow.stream,
            keeper: Keeper::new(joined.flow.client, &mut seat.chance(seed)),
            ports: joined.ports,
            control_due: now(),
            bytes: joined.flow.rest.len() as u64,
            begun: None,
        }
    }

    /// Whether it is one of those that are to play all the time.
    pub(super) fn is_well_behaved(&self) -> bool {
        self.seat.part == Part::Counted
    }

    /// Counts and throws away what has come.
    ///
    /// # Errors
    /// When its connection has ended.
    fn sweep(&mut self, moment: Instant, counts: &mut Counts) -> io::Result<()> {
        self.keeper.tend(&self.stream, moment)?;
        let mut bytes = 0;
        for ports in &self.ports {
            let (taken, datagrams) = discard_datagrams(ports)?;
            bytes += taken;
            counts.datagrams += datagrams;
        }
        if self.ports.is_empty() {
            bytes += discard(&self.stream)?;
        } else if moment >= self.control_due {
            self.control_due = moment + CONTROL_INTERVAL;
            discard(&self.stream)?;
        }
        self.bytes += bytes;
        counts.bytes += bytes;
        Ok(())
    }

    /// What counts begins here.
    pub(super) fn begin(&mut self) {
        self.begun = Some(self.bytes);
    }

    /// What it has received of what counts, if it played all the time.
    pub(super) fn throughout(&self) -> Option<Throughout> {
        let begun = self.begun.filter(|_| self.is_well_behaved())?;
        Some(Throughout {
            path: self.seat.path,
            is_sampled: false,
            bytes: self.bytes - begun,
        })
    }

    /// Says that it leaves.
    pub(super) fn leave(&mut self) {
        // Whoever is gone has left.
        let _ = self.keeper.leave(&self.stream);
    }

    /// Leaves nothing unread, so that closing does not reset the connection.
    pub(super) fn discard(&self) {
        let _ = discard(&self.stream);
    }
}

/// Throws away what has come of a connection; how many bytes they were.
///
/// # Errors
/// When it has ended.
pub(crate) fn discard(stream: &TcpStream) -> io::Result<u64> {
    match stream.discard_now(DISCARD_BYTES)? {
        None => Ok(0),
        Some(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Some(bytes) => Ok(bytes as u64),
    }
}

/// Throws away what has come of a track; how many bytes and datagrams they were.
///
/// # Errors
/// When the socket is broken.
pub(crate) fn discard_datagrams(ports: &Ports) -> io::Result<(u64, u64)> {
    let (mut bytes, mut datagrams) = (0, 0);
    for _ in 0..RUNS_MAX {
        let Some(head) = ports.rtp.recv_head_now()? else {
            break;
        };
        bytes += head.run_bytes as u64;
        datagrams += head.datagrams() as u64;
    }
    Ok((bytes, datagrams))
}

impl Worker {
    /// Counts a reader from here on.
    pub(super) fn count(&self, seat: Seat, joined: Joined) {
        let reader = Counted::new(seat, self.load.seed, joined);
        if reader.is_well_behaved() {
            self.handle_playing();
        }
        self.tallied.borrow_mut().counts.bytes += reader.bytes;
        self.counted.borrow_mut().push(reader);
    }

    /// Goes over the readers again and again.
    pub(super) async fn sweep(self: Rc<Self>) {
        loop {
            sleep(self.sweep_interval.get()).await;
            self.sweep_now();
        }
    }

    /// Goes over the readers once. Those whose connections have ended are taken out.
    pub(super) fn sweep_now(self: &Rc<Self>) {
        let (moment, mut place) = (now(), 0);
        let mut gone = Vec::new();
        {
            let mut readers = self.counted.borrow_mut();
            let counts = &mut self.tallied.borrow_mut().counts;
            while let Some(reader) = readers.get_mut(place) {
                match reader.sweep(moment, counts) {
                    Ok(()) => place += 1,
                    Err(_) => gone.push(readers.swap_remove(place)),
                }
            }
        }
        gone.into_iter().for_each(|reader| self.take_out(reader));
    }

    fn take_out(self: &Rc<Self>, reader: Counted) {
        if reader.is_well_behaved() {
            self.handle_closed();
            spawn(rejoin(Rc::clone(self), reader.seat));
        }
    }

    /// Sweeps as often as so many bytes in a second, of so many readers, ask for.
    pub(super) fn pace(&self, bytes: u64, readers: usize) {
        let rate = bytes / readers.max(1) as u64;
        self.sweep_interval.set(sweep_interval(rate));
    }
}

/// How often readers that receive so many bytes per second are swept.
fn sweep_interval(bytes_per_second: u64) -> Duration {
    let seconds = (WINDOW_BYTES / WINDOW_PART) as f64 / bytes_per_second.max(1) as f64;
    let interval = Duration::try_from_secs_f64(seconds).unwrap_or(SWEEP_INTERVAL_MAX);
    interval.clamp(SWEEP_INTERVAL_MIN, SWEEP_INTERVAL_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_faster_the_stream_the_more_often_readers_are_swept() {
        let interval_ms = |mbit: u64| sweep_interval(mbit * 125_000).as_secs_f64() * 1e3;
        assert_eq!(interval_ms(0), 50.0);
        assert_eq!(interval_ms(2), 50.0);
        assert!((interval_ms(50) - 4.26).abs() < 0.01);
        assert_eq!(interval_ms(1000), 1.0);
    }
}
