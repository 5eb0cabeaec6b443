//! The readers of a feed who stand at the same place, as nearly all do: what they are sent next is looked up once for all of
//! them, and a round goes over their addresses alone, which lie one behind the other. Looking each reader up in its own
//! memory costs as much as sending it a packet.
//!
//! A reader comes here when it has caught up with the log, and stays. What was sent is counted for all together and told
//! to each reader's record once a second.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::feed::{FedEnd, FedReader};
use super::ports::DatagramPorts;
use crate::egress::DatagramQueue;
use crate::fanout::DatagramRun;

/// Records are told at most so often.
const TELL_INTERVAL: Duration = Duration::from_secs(1);

/// The readers in step.
#[derive(Debug)]
pub(super) struct InStep {
    /// Where all of them stand.
    pub(super) queue: DatagramQueue,
    readers: Vec<Rc<FedReader>>,
    /// Who is sent each track.
    targets: Vec<Vec<Target>>,
    sent: Sent,
    last_told: Instant,
    /// The track that is being sent, and who is next.
    place: (usize, usize),
}

/// What was sent of each track: datagrams and bytes.
pub(super) type Sent = SmallVec<[(u64, u64); 2]>;

#[derive(Debug)]
struct Target {
    rtp: SocketAddr,
    rtcp: SocketAddr,
    from: Option<IpAddr>,
    /// Tells it apart from others; never followed.
    reader: *const FedReader,
}

impl InStep {
    /// Nobody yet, at the place of this reader's queue, of a stream with so many tracks.
    pub(super) fn at(queue: &DatagramQueue, tracks: usize, now: Instant) -> Self {
        Self {
            queue: queue.for_all(tracks),
            readers: Vec::new(),
            targets: (0..tracks).map(|_| Vec::new()).collect(),
            sent: SmallVec::from_elem((0, 0), tracks),
            last_told: now,
            place: (0, 0),
        }
    }

    /// Takes a reader that stands at the same place.
    pub(super) fn join(&mut self, reader: &Rc<FedReader>) {
        reader.note_told(&self.sent);
        let tracks = reader.way.tracks.iter();
        for (targets, addresses) in self.targets.iter_mut().zip(tracks) {
            targets.extend(addresses.map(|(rtp, rtcp)| Target {
                rtp,
                rtcp,
                from: reader.way.from,
                reader: Rc::as_ptr(reader),
            }));
        }
        self.readers.push(reader.clone());
    }

    /// Lets a reader go; false if it is not here.
    pub(super) fn leave(&mut self, reader: &Rc<FedReader>) -> bool {
        let is_it = |found: &Rc<FedReader>| Rc::ptr_eq(found, reader);
        let Some(index) = self.readers.iter().position(is_it) else {
            return false;
        };
        self.readers.remove(index);
        reader.tell(&self.sent);
        for (track, targets) in self.targets.iter_mut().enumerate() {
            let is_its = |target: &Target| std::ptr::eq(target.reader, Rc::as_ptr(reader));
            if let Some(index) = targets.iter().position(is_its) {
                targets.remove(index);
                if track == self.place.0 && index < self.place.1 {
                    self.place.1 -= 1;
                }
            }
        }
        true
    }

    pub(super) fn is_empty(&self) -> bool {
        self.readers.is_empty()
    }

    pub(super) fn readers(&self) -> &[Rc<FedReader>] {
        &self.readers
    }

    /// Tells every reader's record what it was sent, if that is due.
    pub(super) fn tell(&mut self, now: Instant) {
        if now.saturating_duration_since(self.last_told) >= TELL_INTERVAL {
            self.last_told = now;
            self.readers
                .iter()
                .for_each(|reader| reader.tell(&self.sent));
        }
    }

    /// Nobody is sent anything any more.
    pub(super) fn end(&mut self, end: FedEnd) {
        for reader in &self.readers {
            reader.tell(&self.sent);
            reader.end(end);
        }
    }

    /// Begins to send a run. Each begins one reader further on, so that none is always last.
    pub(super) fn begin_run(&mut self, run: &DatagramRun) {
        let track = usize::from(run.track);
        self.place = (track, 0);
        if let Some(targets) = self
            .targets
            .get_mut(track)
            .filter(|targets| !targets.is_empty())
        {
            targets.rotate_left(1);
        }
        if let Some((datagrams, bytes)) = self.sent.get_mut(track) {
            *datagrams += run.datagrams() as u64;
            *bytes += run.bytes.len() as u64;
        }
    }

    /// Sends the run to the next so many of its readers. Some are left if the socket takes no more, or there are more.
    pub(super) fn send_some(
        &mut self,
        ports: &DatagramPorts,
        run: &DatagramRun,
        most: usize,
    ) -> Left {
        let (track, next) = self.place;
        let targets = self
            .targets
            .get(track)
            .and_then(|targets| targets.get(next..));
        for target in targets.unwrap_or_default().iter().take(most) {
            let to = if run.is_rtcp { target.rtcp } else { target.rtp };
            // One that cannot be reached is sent to all the same: its connection and its reports say whether it lives.
            let sent = ports.send(run, to, target.from).unwrap_or(run.bytes.len());
            if sent < run.bytes.len() {
                return Left::Blocked(sent);
            }
            self.place.1 += 1;
        }
        let all = self.targets.get(track).map_or(0, Vec::len);
        match self.place.1 < all {
            true => Left::Some,
            false => Left::Nobody,
        }
    }
}

/// Who is still to be sent a run.
pub(super) enum Left {
    /// Everybody has it.
    Nobody,
    /// Some readers have their turn later.
    Some,
    /// The socket took so many bytes for the next reader and takes no more.
    Blocked(usize),
}
