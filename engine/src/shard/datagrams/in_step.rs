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
use crate::latency::PathLatency;

/// Records are told at most so often.
const TELL_INTERVAL: Duration = Duration::from_secs(1);

/// With so many readers a round takes longer than the interval between bursts, and small bursts would only make more
/// rounds. Then a burst is what one call sends.
const READERS_MANY: usize = 128;
const BURST_DATAGRAMS_MANY: usize = 64;

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
    place: Place,
    /// Readers who had been sent the burst when its turns were last noted.
    noted: usize,
}

/// How far a burst has come.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// The track that is being sent.
    track: usize,
    /// Who is next.
    target: usize,
    /// Which run is next for it.
    run: usize,
    /// How many datagrams of that run it has been sent already.
    datagrams: usize,
}

/// What was sent of a track.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SentOfTrack {
    pub(super) datagrams: u64,
    /// Those of them that were RTCP.
    pub(super) rtcp_datagrams: u64,
    pub(super) bytes: u64,
}

/// What was sent to each of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Sent {
    pub(super) tracks: SmallVec<[SentOfTrack; 2]>,
    /// Datagrams whose lateness counts, and the sum of it; each as late as for the last reader who was sent it.
    pub(super) packets: u64,
    pub(super) sum_us: u64,
    pub(super) last_us: u64,
    pub(super) max_us: u64,
}

impl Sent {
    fn note_latency(&mut self, latency_us: u64, packets: u64) {
        self.packets += packets;
        self.sum_us = self
            .sum_us
            .saturating_add(latency_us.saturating_mul(packets));
        self.last_us = latency_us;
        self.max_us = self.max_us.max(latency_us);
    }
}

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
            sent: Sent {
                tracks: SmallVec::from_elem(SentOfTrack::default(), tracks),
                ..Sent::default()
            },
            last_told: now,
            place: Place::default(),
            noted: 0,
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
                if track == self.place.track {
                    self.place.leave(index);
                    self.noted = self.noted.min(self.place.target);
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

    /// Datagrams that may leave at once for each reader.
    pub(super) fn burst_datagrams(&self) -> usize {
        let least = match self.readers.len() {
            0..READERS_MANY => 0,
            _ => BURST_DATAGRAMS_MANY,
        };
        self.queue.burst_datagrams().max(least)
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

    /// Begins to send a burst, runs of one track. Each begins one reader further on, so that none is always last.
    pub(super) fn begin_burst(&mut self, burst: &[DatagramRun]) {
        let track = burst.first().map_or(0, |run| usize::from(run.track));
        self.place = Place {
            track,
            ..Place::default()
        };
        self.noted = 0;
        if let Some(targets) = self
            .targets
            .get_mut(track)
            .filter(|targets| !targets.is_empty())
        {
            targets.rotate_left(1);
        }
        if let Some(sent) = self.sent.tracks.get_mut(track) {
            for run in burst {
                sent.datagrams += run.datagrams() as u64;
                sent.rtcp_datagrams += u64::from(run.is_rtcp);
                sent.bytes += run.bytes.len() as u64;
            }
        }
    }

    /// Sends the burst to the next so many of its readers, each all of it: what a send has touched is at hand for the next
    /// one to the same reader. Some are left if the socket takes no more, or there are more.
    pub(super) fn send_some(
        &mut self,
        ports: &DatagramPorts,
        burst: &[DatagramRun],
        most: usize,
    ) -> Left {
        let place = &mut self.place;
        let targets = self.targets.get(place.track);
        let all = targets.map_or(0, Vec::len);
        let next = targets.and_then(|targets| targets.get(place.target..));
        for target in next.unwrap_or_default().iter().take(most) {
            while let Some(run) = burst.get(place.run) {
                if !target.send(ports, run, &mut place.datagrams) {
                    return Left::Blocked;
                }
                (place.run, place.datagrams) = (place.run + 1, 0);
            }
            (place.target, place.run) = (place.target + 1, 0);
        }
        match place.target < all {
            true => Left::Some,
            false => Left::Nobody,
        }
    }

    /// Records how late the burst was for those who have been sent it since the last time.
    pub(super) fn note_turn(&mut self, burst: &[DatagramRun], latency: &PathLatency) {
        let readers = self.place.target.saturating_sub(self.noted);
        self.noted = self.place.target;
        let datagrams: usize = burst.iter().map(DatagramRun::datagrams).sum();
        let cargo = self.queue.cargo(datagrams as u64);
        let readers = u32::try_from(readers).unwrap_or(u32::MAX);
        if !cargo.is_empty()
            && let Some((latency_us, packets)) =
                cargo.record(latency, shardcast_platform::now(), readers)
        {
            let all = self.targets.get(self.place.track).map_or(0, Vec::len);
            if self.place.target >= all {
                self.sent.note_latency(latency_us, packets.into());
            }
        }
    }
}

impl Place {
    /// A reader is no longer there. If it was its turn, the next one begins from the first run.
    fn leave(&mut self, target: usize) {
        if target < self.target {
            self.target -= 1;
        } else if target == self.target {
            (self.run, self.datagrams) = (0, 0);
        }
    }
}

impl Target {
    /// Sends what `sent` datagrams leave of the run; false when the socket takes no more, with those that it has taken.
    fn send(&self, ports: &DatagramPorts, run: &DatagramRun, sent: &mut usize) -> bool {
        let to = if run.is_rtcp { self.rtcp } else { self.rtp };
        let mut rest = None;
        if *sent > 0 {
            let _sent = rest.insert(run.clone()).split_front(*sent);
        }
        let run = rest.as_ref().unwrap_or(run);
        // One that cannot be reached is sent to all the same: its connection and its reports say whether it lives.
        let bytes = ports.send(run, to, self.from).unwrap_or(run.bytes.len());
        *sent += bytes / run.datagram_bytes.max(1);
        bytes == run.bytes.len()
    }
}

/// Who is still to be sent a burst.
pub(super) enum Left {
    /// Everybody has it.
    Nobody,
    /// Some readers have their turn later.
    Some,
    /// The socket takes no more.
    Blocked,
}
