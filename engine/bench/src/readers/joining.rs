//! Joining: a conversation up to the answer to PLAY, what becomes of the reader then, and what becomes of one that was not
//! let in.
//!
//! While nobody has come to play, a join that fails ends the run: the target is none. Afterwards it is a figure, except
//! that descriptors which have run out are always our own fault.

use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use shardcast_platform::{now, sleep, sleep_until, spawn};
use shardcast_protocol::rtsp::TRACKS_MAX;
use shardcast_protocol::rtsp::client::Offer;
use shardcast_protocol::sdp::{self, SessionDescription};

use super::counted::RECEIVE_BUFFER_BYTES;
use super::odd;
use super::ports::Ports;
use super::roster::{Part, Seat};
use super::sampled;
use super::worker::Worker;
use crate::clock::unix_nanos;
use crate::dialogue::{Dialogue, DialogueError, Flow};
use crate::measured::record;
use crate::shape::Transport;
use crate::stream::Carrier;

/// A reader whose publisher is away comes back so often.
pub(super) const RETRY_INTERVAL: Duration = Duration::from_millis(200);
/// What a reader that crawls lets wait, so that the server notices soon.
const CRAWLING_BUFFER_BYTES: usize = 16 << 10;

/// A reader that plays.
#[derive(Debug)]
pub(super) struct Joined {
    /// Its connection.
    pub(super) flow: Flow,
    /// How its tracks carry probes.
    pub(super) carriers: Vec<Carrier>,
    /// Its sockets for datagrams, one pair per track; none over TCP.
    pub(super) ports: Vec<Ports>,
    /// When PLAY was asked for: nanoseconds since the Unix epoch.
    pub(super) played_unix_nanos: u64,
    /// From the first byte to the answer to PLAY.
    took: Duration,
}

/// Lets each of these join at its moment from now.
pub(super) async fn seat_readers(worker: Rc<Worker>, mut seats: Vec<Seat>) {
    let begin = now();
    seats.sort_by_key(|seat| seat.at);
    for seat in seats {
        sleep_until(begin + seat.at).await;
        if worker.ending.is_cancelled() {
            return;
        }
        let worker = Rc::clone(&worker);
        match seat.part {
            Part::Sampled | Part::Counted => spawn(play(worker, seat)),
            Part::Storm => spawn(odd::storm(worker, seat)),
            Part::Stalled => spawn(odd::stall(worker, seat)),
            Part::Crawling => spawn(odd::crawl(worker, seat)),
            Part::Vanishing => spawn(odd::vanish(worker, seat)),
        }
    }
}

/// A well-behaved reader joins for the first time.
async fn play(worker: Rc<Worker>, seat: Seat) {
    let outcome = join(&worker, seat).await;
    worker.shared.joined.fetch_add(1, Ordering::Relaxed);
    let is_back = go_on(&worker, seat, outcome).await;
    if is_back {
        rejoin(worker, seat).await;
    }
}

/// A well-behaved reader whose connection has ended comes back, if publishers leave: then it had no fault.
pub(super) async fn rejoin(worker: Rc<Worker>, seat: Seat) {
    while worker.load.flapping.is_some() && !worker.ending.is_cancelled() {
        let outcome = join(&worker, seat).await;
        if !go_on(&worker, seat, outcome).await {
            return;
        }
        sleep(RETRY_INTERVAL).await;
    }
}

/// Does what a reader is for once it has joined; whether it shall join again.
async fn go_on(worker: &Rc<Worker>, seat: Seat, outcome: Result<Joined, DialogueError>) -> bool {
    match outcome {
        Ok(joined) if seat.part == Part::Sampled => {
            sampled::look_at(worker, seat, joined).await;
            true
        }
        Ok(joined) => {
            worker.count(seat, joined);
            false
        }
        Err(error) if worker.is_away(&error) => true,
        Err(error) => {
            worker.handle_failure(seat, error);
            false
        }
    }
}

/// Joins, and counts how long that took.
///
/// # Errors
/// When it was not let in.
pub(super) async fn join(worker: &Worker, seat: Seat) -> Result<Joined, DialogueError> {
    let _place = worker.gate.enter().await;
    let joined = converse(worker, seat, now()).await?;
    worker.shared.has_played.store(true, Ordering::Relaxed);
    record(&mut worker.tallied.borrow_mut().joins, joined.took);
    Ok(joined)
}

async fn converse(worker: &Worker, seat: Seat, begin: Instant) -> Result<Joined, DialogueError> {
    let target = &worker.target;
    let (address, who) = (target.address, target.credentials_of(seat.number));
    let mut dialogue = Dialogue::connect(address, who, &worker.ending).await?;
    let is_stamped = seat.is_looked_at(&worker.load);
    prepare(&dialogue, seat, is_stamped)?;
    let description = dialogue.describe(&target.path_url(seat.path)).await?;
    let ports = match worker.load.reader_transport {
        Transport::Tcp => Vec::new(),
        Transport::Udp => open_ports(dialogue.local_addr()?.ip(), &description, is_stamped)?,
    };
    let offer = match worker.load.reader_transport {
        Transport::Tcp => Offer::Tcp,
        Transport::Udp => Offer::Udp(ports.iter().map(|ports| ports.pair).collect()),
    };
    dialogue.play(&description, offer).await?;
    let played_unix_nanos = unix_nanos(dialogue.asked());
    let (took, flow) = (begin.elapsed(), dialogue.into_flow());
    // It has asked and been answered, and would wait with its acknowledgements for something to send along. They would
    // leave while the next packet comes in, which over loopback is the server's own CPU time.
    flow.stream.acknowledge_at_once()?;
    Ok(Joined {
        flow,
        carriers: carriers(&description),
        ports,
        played_unix_nanos,
        took,
    })
}

/// Gives a connection what its part needs.
fn prepare(dialogue: &Dialogue, seat: Seat, is_stamped: bool) -> io::Result<()> {
    let stream = dialogue.stream();
    if is_stamped {
        stream.stamp_arrivals()?;
    }
    match seat.part {
        Part::Counted | Part::Storm | Part::Vanishing => {
            stream.set_receive_buffer(RECEIVE_BUFFER_BYTES)
        }
        Part::Crawling => stream.set_receive_buffer(CRAWLING_BUFFER_BYTES),
        Part::Sampled | Part::Stalled => Ok(()),
    }
}

/// A pair for each track.
fn open_ports(
    ip: IpAddr,
    description: &SessionDescription,
    is_stamped: bool,
) -> io::Result<Vec<Ports>> {
    let tracks = description.media.iter().take(TRACKS_MAX);
    let ports = tracks
        .map(|_| Ports::bind(ip))
        .collect::<io::Result<Vec<_>>>()?;
    if is_stamped {
        for ports in &ports {
            ports.rtp.stamp_arrivals()?;
        }
    }
    Ok(ports)
}

/// How the tracks of a description carry probes. One that cannot be understood has none, and is played all the same.
fn carriers(description: &SessionDescription) -> Vec<Carrier> {
    match sdp::tracks(description) {
        Ok(tracks) => tracks.iter().map(|track| (&track.codec).into()).collect(),
        Err(_) => vec![Carrier::Other; description.media.len()],
    }
}

impl Worker {
    /// Whether a reader was not let in because its publisher has left for a while.
    fn is_away(&self, error: &DialogueError) -> bool {
        self.load.flapping.is_some() && error.is_refusal()
    }

    /// A join that came to nothing.
    pub(super) fn handle_failure(&self, seat: Seat, error: DialogueError) {
        if matches!(error, DialogueError::Stopped) || self.is_away(&error) {
            return;
        }
        let is_odd = matches!(seat.part, Part::Stalled | Part::Crawling | Part::Vanishing);
        if !is_odd {
            let counts = &mut self.tallied.borrow_mut().counts;
            match error.is_refusal() {
                true => counts.refused += 1,
                false => counts.failed += 1,
            }
        }
        let has_played = self.shared.has_played.load(Ordering::Relaxed);
        if error.is_out_of_descriptors() || !has_played {
            let playing = self.shared.playing.load(Ordering::Relaxed);
            let url = self.target.path_url(seat.path);
            self.shared
                .report(error.into_bench_error("reader", &url, playing));
        }
    }
}
