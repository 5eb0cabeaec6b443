//! Readers that are looked at packet by packet. Each has tasks of its own that wait for its sockets; the moment of a packet
//! is that of the kernel's stamp, not that at which a task had its turn.
//!
//! One read of a connection has one stamp, that of its last byte. So frames that lie together because this thread was late
//! have the later one's stamp: latencies are never shown too short by that, and the thread has little to do.

use std::cell::{Cell, RefCell};
use std::io;
use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use shardcast_platform::{Cancel, Readiness, TcpStream, now, spawn};
use shardcast_protocol::rtsp::MessageError;
use shardcast_protocol::rtsp::client::ClientSession;

use super::counted::discard;
use super::joining::Joined;
use super::keeper::Keeper;
use super::ports::Ports;
use super::roster::Seat;
use super::starting::StartWatch;
use super::window::{Tallied, Throughout};
use super::worker::Worker;
use crate::clock::unix_nanos;
use crate::stream::{Cut, FrameCutter, Tally, TallyCounts};

/// A reader that is looked at.
#[derive(Debug)]
pub(super) struct Sampled {
    seat: Seat,
    stream: TcpStream,
    keeper: RefCell<Keeper>,
    /// None over TCP.
    ports: Vec<Ports>,
    seen: RefCell<Seen>,
    /// The bytes that it had when what counts began, if it played then.
    begun: Cell<Option<u64>>,
    /// Raised when its connection has ended.
    gone: Cancel,
}

/// What it has seen.
#[derive(Debug)]
struct Seen {
    cutter: FrameCutter,
    start: StartWatch,
    tally: Tally,
    /// The channels of its packets, by track.
    channels: Vec<u8>,
    bytes: u64,
    /// It was sent what is neither packet nor message.
    is_broken: bool,
}

/// How reading goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Something comes later.
    Wait,
    /// The connection has ended, or cannot be understood any more.
    Leave,
}

/// Looks at a reader until its connection ends, or the run does.
pub(super) async fn look_at(worker: &Rc<Worker>, seat: Seat, joined: Joined) {
    let reader = Rc::new(Sampled::new(seat, worker, joined));
    worker.sampled.borrow_mut().push(Rc::clone(&reader));
    worker.handle_playing();
    for track in 0..reader.ports.len() {
        spawn(Rc::clone(&reader).receive(Rc::clone(worker), track));
    }
    reader.read(worker).await;
    if !worker.ending.is_cancelled() {
        reader.gone.cancel();
        reader.take_out(worker);
    }
}

impl Sampled {
    fn new(seat: Seat, worker: &Worker, joined: Joined) -> Self {
        let (flow, load) = (joined.flow, &worker.load);
        let played = joined.played_unix_nanos;
        let mut seen = Seen {
            cutter: FrameCutter::new(&flow.rest),
            start: StartWatch::new(&joined.carriers, played),
            tally: Tally::new(joined.carriers, load.gap.is_none()).since(played),
            channels: channels(&flow.client),
            bytes: flow.rest.len() as u64,
            is_broken: false,
        };
        // What came along with an answer was waiting for us, not we for it: it counts, but nobody knows since when it was here.
        let mut aside = Tallied::default();
        let at = Moment::of(None, &(0..0));
        seen.take_cuts(at, &mut aside);
        // Both have the same range.
        let _added = worker.tallied.borrow_mut().starts.add(&aside.starts);
        Self {
            seat,
            stream: flow.stream,
            keeper: RefCell::new(Keeper::new(flow.client, &mut seat.chance(load.seed))),
            ports: joined.ports,
            seen: RefCell::new(seen),
            begun: Cell::new(None),
            gone: Cancel::new(),
        }
    }

    /// Waits for the connection until it ends.
    async fn read(&self, worker: &Worker) {
        loop {
            match self.stream.readable_or(&worker.ending).await {
                Ok(Readiness::Ready) => {}
                Ok(Readiness::Cancelled) | Err(_) => return,
            }
            let mut tallied = worker.tallied.borrow_mut();
            let counted = worker.shared.stage.counted_between();
            match self.take(&counted, &mut tallied) {
                Ok(Next::Wait) => {}
                Ok(Next::Leave) | Err(_) => return,
            }
        }
    }

    /// Takes what the connection has.
    fn take(&self, counted: &Range<u64>, tallied: &mut Tallied) -> io::Result<Next> {
        let seen = &mut *self.seen.borrow_mut();
        loop {
            let room = seen.cutter.room();
            let wanted = room.len();
            let Some(arrived) = self.stream.read_now(room)? else {
                return Ok(Next::Wait);
            };
            seen.cutter.handle_filled(arrived.bytes);
            if self.ports.is_empty() {
                seen.count(arrived.bytes, tallied);
            }
            let at = Moment::of(arrived.at, counted);
            if arrived.bytes == 0 || !seen.take_cuts(at, tallied) {
                return Ok(Next::Leave);
            }
            // Less than was asked for is all there was.
            if arrived.bytes < wanted {
                return Ok(Next::Wait);
            }
        }
    }

    /// Waits for a track's datagrams until the connection ends.
    async fn receive(self: Rc<Self>, worker: Rc<Worker>, track: usize) {
        let Some(ports) = self.ports.get(track) else {
            return;
        };
        while let Ok(Readiness::Ready) = ports.rtp.readable_or(&self.gone).await {
            // A socket that is broken brings nothing more, which the figures show.
            if self.take_datagrams(ports, track, &worker).is_err() {
                return;
            }
        }
    }

    fn take_datagrams(&self, ports: &Ports, track: usize, worker: &Worker) -> io::Result<()> {
        let (slab, seen) = (&mut *worker.slab.borrow_mut(), &mut *self.seen.borrow_mut());
        let tallied = &mut *worker.tallied.borrow_mut();
        let counted = worker.shared.stage.counted_between();
        while ports.rtp.recv_now(slab)? {
            for datagram in slab.datagrams() {
                seen.count(datagram.bytes.len(), tallied);
                let at = Moment::of(datagram.at, &counted);
                seen.start
                    .take_packet(track, datagram.bytes, at.unix_nanos, tallied);
                take_packet(&mut seen.tally, track, datagram.bytes, at, tallied);
            }
        }
        Ok(())
    }

    /// It plays no more.
    fn take_out(self: Rc<Self>, worker: &Worker) {
        let mut sampled = worker.sampled.borrow_mut();
        sampled.retain(|reader| !Rc::ptr_eq(reader, &self));
        worker.handle_closed();
        let (counts, tallied) = (self.counts(), &mut worker.tallied.borrow_mut().counts);
        tallied.ended += counts;
        tallied.broken += usize::from(counts.is_broken);
    }

    /// What it has received so far.
    pub(super) fn counts(&self) -> TallyCounts {
        let seen = self.seen.borrow();
        let mut counts = seen.tally.counts();
        counts.is_broken |= seen.is_broken;
        counts
    }

    /// What counts begins here.
    pub(super) fn begin(&self) {
        self.begun.set(Some(self.seen.borrow().bytes));
    }

    /// What it has received of what counts, if it played all the time.
    pub(super) fn throughout(&self) -> Option<Throughout> {
        Some(Throughout {
            path: self.seat.path,
            is_sampled: true,
            bytes: self.seen.borrow().bytes - self.begun.get()?,
        })
    }

    /// How long it has waited for its first whole key frame, if it still does.
    pub(super) fn has_waited(&self, now_unix_nanos: u64) -> Option<Duration> {
        self.seen.borrow().start.has_waited(now_unix_nanos)
    }

    /// Keeps its session alive.
    pub(super) fn tend(&self) {
        // The end of a connection is seen by whoever reads it.
        let _ = self.keeper.borrow_mut().tend(&self.stream, now());
    }

    /// Says that it leaves.
    pub(super) fn leave(&self) {
        // Whoever is gone has left.
        let _ = self.keeper.borrow_mut().leave(&self.stream);
    }

    /// Leaves nothing unread, so that closing does not reset the connection.
    pub(super) fn discard(&self) {
        let _ = discard(&self.stream);
    }
}

impl Seen {
    fn count(&mut self, bytes: usize, tallied: &mut Tallied) {
        self.bytes += bytes as u64;
        tallied.counts.bytes += bytes as u64;
        tallied.counts.sampled_bytes += bytes as u64;
    }

    /// Counts the packets that have come whole; false when what came is none.
    fn take_cuts(&mut self, at: Moment, tallied: &mut Tallied) -> bool {
        let cut = self.cut(at, tallied);
        self.is_broken |= cut.is_err();
        cut.is_ok()
    }

    /// Messages between the packets answer keep-alives, and nobody waits for them.
    fn cut(&mut self, at: Moment, tallied: &mut Tallied) -> Result<(), MessageError> {
        while let Some(cut) = self.cutter.poll_cut()? {
            let Cut::Packet { channel, packet } = cut else {
                continue;
            };
            let track = self.channels.iter().position(|rtp| *rtp == channel);
            if let Some(track) = track {
                self.start
                    .take_packet(track, packet, at.unix_nanos, tallied);
                take_packet(&mut self.tally, track, packet, at, tallied);
            }
        }
        Ok(())
    }
}

/// The channels on which packets come, by track; none over UDP.
pub(super) fn channels(client: &ClientSession) -> Vec<u8> {
    let tracks = client.tracks().iter();
    let channels = tracks.filter_map(|track| track.transport.interleaved());
    channels.map(|channels| channels.rtp).collect()
}

/// Counts a packet.
fn take_packet(tally: &mut Tally, track: usize, packet: &[u8], at: Moment, tallied: &mut Tallied) {
    tally.handle_packet(track, packet, at.unix_nanos, &mut tallied.latency);
    if at.counts {
        tallied.counts.timely_packets += 1;
        tallied.counts.timely_bytes += packet.len() as u64;
    }
}

/// When something came.
#[derive(Clone, Copy, Debug)]
struct Moment {
    /// Nanoseconds since the Unix epoch.
    unix_nanos: u64,
    /// It is one of those that count.
    counts: bool,
}

impl Moment {
    /// The kernel's stamp; where there is none, this moment.
    fn of(stamp: Option<SystemTime>, counted: &Range<u64>) -> Self {
        let unix_nanos = unix_nanos(stamp.unwrap_or_else(SystemTime::now));
        Self {
            unix_nanos,
            counts: counted.contains(&unix_nanos),
        }
    }
}
