//! A publisher over UDP: a task of its own takes what its [`DatagramInbox`] has, puts each track's packets into order, and
//! hands them to the desk as if they had come over the connection, which goes on with requests meanwhile.

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use shardcast_platform::{Cancel, now, sleep_until};
use shardcast_protocol::container::rtp::{HeaderView, ReorderWindow};
use shardcast_protocol::rtsp::{Lower, TrackSetup};
use shardcast_runtime::Mark;
use shardcast_runtime::local::{Receiver, oneshot, race};
use smallvec::SmallVec;

use super::desk::Desk;
use super::record::watch_batch;
use crate::egress::control_run;
use crate::event::{Event, SessionEnd};
use crate::refusal::RefusalReason;
use crate::shard::{
    Coalesced, DatagramInbox, DatagramPeer, DatagramPorts, PeerSeat, SessionHandle, Shard,
};
use crate::stream::WIRE_HEADER_BYTES;
use crate::supervise::{STAGE_DATAGRAMS, STAGE_SESSION, session_mark};

/// Sockets for one publisher's packets alone, of the whole process: each makes a stranger's datagram dearer to look up.
const PEER_SOCKETS_MAX: usize = 500;

/// A publisher's task of media, as its connection sees it.
pub(super) struct Intake {
    inbox: Rc<DatagramInbox>,
    is_stopped: Rc<Cell<bool>>,
    ended: Receiver<()>,
    sockets: Cancel,
    _seats: Vec<PeerSeat>,
}

impl Intake {
    /// Begins to take the datagrams of the tracks that were set up over UDP; nothing where there is none.
    pub(super) fn start(
        shard: &Rc<Shard>,
        session: &Rc<SessionHandle>,
        desk: &Rc<Desk>,
        timer: &Rc<dyn Coalesced>,
        setups: &[TrackSetup],
        local: Option<IpAddr>,
    ) -> Option<Self> {
        let ports = shard.datagrams.clone()?;
        let mut ways = setups.iter().filter_map(|setup| match setup.transport {
            Lower::Udp(pair) => Some((u8::try_from(setup.track).ok()?, pair)),
            _ => None,
        });
        let first = ways.next()?;
        let inbox = DatagramInbox::new(session);
        let sockets = Cancel::new();
        let mut seats = Vec::new();
        for (track, pair) in std::iter::once(first).chain(ways) {
            for (port, is_rtcp) in [(pair.rtp, false), (pair.rtcp, true)] {
                let address = SocketAddr::new(session.peer.ip(), port);
                let peer = DatagramPeer { address, is_rtcp };
                seats.extend(shard.expect_datagrams(peer, track, inbox.clone()));
            }
            let address = SocketAddr::new(session.peer.ip(), pair.rtp);
            listen_to(shard, &ports, address, local, &sockets);
        }
        let is_stopped = Rc::new(Cell::new(false));
        let work = Work {
            shard: shard.clone(),
            desk: desk.clone(),
            timer: timer.clone(),
            inbox: inbox.clone(),
            is_stopped: is_stopped.clone(),
            windows: Vec::new(),
            begun: now(),
            reports: ReportWay::new(ports, session, setups, local),
        };
        Some(Self {
            ended: spawn(session, desk, work),
            inbox,
            is_stopped,
            sockets,
            _seats: seats,
        })
    }

    /// Hands in what has come, and waits until the task has ended.
    pub(super) async fn stop(mut self) {
        self.end();
        let _may_have_panicked = (&mut self.ended).await;
    }

    fn end(&self) {
        self.sockets.cancel();
        self.is_stopped.set(true);
        self.inbox.news.notify();
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.end();
    }
}

/// With several shards, a socket of the publisher's own brings its packets to this one.
fn listen_to(
    shard: &Rc<Shard>,
    ports: &Rc<DatagramPorts>,
    peer: SocketAddr,
    local: Option<IpAddr>,
    stop: &Cancel,
) {
    let open = &shard.server.peer_sockets;
    if shard.context.shards() == 1 || open.fetch_add(1, Ordering::Relaxed) >= PEER_SOCKETS_MAX {
        if shard.context.shards() > 1 {
            open.fetch_sub(1, Ordering::Relaxed);
        }
        return;
    }
    let (task, ports, stop) = (shard.clone(), ports.clone(), stop.clone());
    shard
        .context
        .spawn(Mark::stage(STAGE_DATAGRAMS), async move {
            // Without it, the packets come over the shared sockets.
            if let Ok(socket) = ports.connect_peer(peer, local) {
                task.receive(&ports, &socket, false, &stop).await;
            }
            task.server.peer_sockets.fetch_sub(1, Ordering::Relaxed);
        });
}

fn spawn(session: &Rc<SessionHandle>, desk: &Rc<Desk>, mut work: Work) -> Receiver<()> {
    let (done, ended) = oneshot();
    let (shard, panicked) = (work.shard.clone(), session.clone());
    let events = shard.server.events.clone();
    let mark = session_mark(STAGE_SESSION, Some(desk.entry.id), session.id);
    let run = async move {
        work.run().await;
        drop(work);
        let _session_is_gone = done.send(());
    };
    shard.context.spawn_session(mark, run, move |message| {
        events.publish(&Event::SessionPanicked {
            session: panicked.id,
            message,
        });
        panicked.end(SessionEnd::Panicked);
    });
    ended
}

/// What the task works with.
struct Work {
    shard: Rc<Shard>,
    desk: Rc<Desk>,
    timer: Rc<dyn Coalesced>,
    inbox: Rc<DatagramInbox>,
    is_stopped: Rc<Cell<bool>>,
    /// Each track's packets on their way to their order; at most one per track.
    windows: Vec<ReorderWindow<Arrived>>,
    begun: Instant,
    reports: ReportWay,
}

/// A packet in the frame that it would have over TCP.
struct Arrived {
    frame: BytesMut,
    read_at: Instant,
}

/// Where a publisher hears what of its tracks has arrived. Over the connection nothing is lost that it would have to hear
/// of, and one that never reads there would be stalled by reports in the end.
struct ReportWay {
    ports: Rc<DatagramPorts>,
    /// Track and port of control packets.
    to: SmallVec<[(usize, SocketAddr); 2]>,
    /// Our address as the publisher knows it.
    from: Option<IpAddr>,
}

impl ReportWay {
    fn new(
        ports: Rc<DatagramPorts>,
        session: &SessionHandle,
        setups: &[TrackSetup],
        from: Option<IpAddr>,
    ) -> Self {
        let to = setups.iter().filter_map(|setup| match setup.transport {
            Lower::Udp(pair) => Some((setup.track, SocketAddr::new(session.peer.ip(), pair.rtcp))),
            _ => None,
        });
        Self {
            ports,
            to: to.collect(),
            from,
        }
    }

    fn send(&self, track: usize, report: Bytes) {
        let way = self.to.iter().find(|(of, _)| *of == track);
        if let (Some((_, to)), Ok(track)) = (way, u8::try_from(track)) {
            let _may_be_lost = self.ports.send(&control_run(track, report), *to, self.from);
        }
    }
}

impl Work {
    async fn run(&mut self) {
        loop {
            let is_last = self.is_stopped.get();
            let now = now();
            let read_at = self.inbox.take_read_time().unwrap_or(now);
            for chunk in self.inbox.take() {
                self.take_chunk(chunk, read_at);
            }
            self.release(now);
            self.count_dropped();
            for (track, report) in self.desk.poll_receiver_reports(now) {
                self.reports.send(track, report);
            }
            watch_batch(&self.shard, &self.desk, &self.timer);
            if is_last {
                return self.release_all();
            }
            self.wait().await;
        }
    }

    /// Until something has come, or what is missing is to be given up.
    async fn wait(&self) {
        let news = self.inbox.news.notified();
        let timeouts = self.windows.iter().filter_map(ReorderWindow::poll_timeout);
        match timeouts.min() {
            None => news.await,
            Some(at) => {
                let _either = race(news, sleep_until(self.begun + at)).await;
            }
        }
    }

    fn take_chunk(&mut self, mut chunk: BytesMut, now: Instant) {
        while let Some(&[_, channel, high, low]) = chunk.first_chunk::<WIRE_HEADER_BYTES>() {
            let payload_bytes = usize::from(u16::from_be_bytes([high, low]));
            let frame = chunk.split_to((WIRE_HEADER_BYTES + payload_bytes).min(chunk.len()));
            self.desk.record.inbound_bytes.add(payload_bytes as u64);
            let track = usize::from(channel / 2);
            match channel % 2 {
                0 => self.take_packet(track, frame, now),
                _ => {
                    let compound = frame.get(WIRE_HEADER_BYTES..).unwrap_or_default();
                    self.desk.take_rtcp(track, compound, now);
                }
            }
        }
    }

    /// A packet of media waits for its turn; what is no packet, or another source's, is the desk's to refuse and takes
    /// nobody's place.
    fn take_packet(&mut self, track: usize, frame: BytesMut, now: Instant) {
        let header = HeaderView::parse(frame.get(WIRE_HEADER_BYTES..).unwrap_or_default());
        let publication = self.desk.publication.borrow();
        let header = header.ok();
        let own = header.filter(|own| !publication.is_of_another_source(track, own.ssrc()));
        let sequence = own.map(|own| own.sequence_number());
        drop(publication);
        let Some(sequence) = sequence else {
            return self.hand_in(track, frame, now);
        };
        let arrived = Arrived {
            frame,
            read_at: now,
        };
        if self.windows.len() <= track {
            self.windows.resize_with(track + 1, ReorderWindow::new);
        }
        let (since, bytes) = (self.since(now), arrived.frame.len());
        if let Some(window) = self.windows.get_mut(track) {
            window.push(sequence, since, arrived, bytes);
        }
        self.release_track(track, since);
    }

    fn release(&mut self, now: Instant) {
        let since = self.since(now);
        for track in 0..self.windows.len() {
            self.release_track(track, since);
        }
    }

    fn release_all(&mut self) {
        for track in 0..self.windows.len() {
            self.release_track(track, Duration::MAX);
        }
    }

    fn release_track(&mut self, track: usize, since: Duration) {
        while let Some(arrived) = self
            .windows
            .get_mut(track)
            .and_then(|window| window.pop(since))
        {
            self.hand_in(track, arrived.frame, arrived.read_at);
        }
    }

    fn hand_in(&self, track: usize, mut frame: BytesMut, now: Instant) {
        if self.desk.take_media(Some(track), &mut frame, now) {
            self.desk.hold(frame);
            if self.desk.publication.borrow().is_batch_due() {
                self.desk.close();
            }
        }
    }

    fn count_dropped(&self) {
        for _ in 0..self.inbox.take_dropped() {
            self.shard.count_refusal(RefusalReason::DatagramOverrun);
        }
    }

    fn since(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.begun)
    }
}
