//! The writing half of a reader over UDP: answers go over the connection, media in datagrams to the ports that the reader
//! has named, at the address of its connection and nowhere else.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use shardcast_platform::now;
use shardcast_protocol::rtsp::{Lower, ServerSession};
use shardcast_runtime::local::Notify;
use smallvec::SmallVec;

use super::reported::ReportedLosses;
use super::writer::{Writer, WriterEnd};
use crate::egress::{DatagramQueue, Fill, GOODBYE_AFTER, goodbye_run};
use crate::event::SessionEnd;
use crate::fanout::{DatagramRun, DatagramSeat, SharedLog};
use crate::session::transport::Sink;
use crate::shard::{DatagramPeer, DatagramPorts, DatagramTaker, PeerSeat, SessionHandle, Shard};
use crate::stream::TrackBase;

/// Where a reader's datagrams go, and who hears what it answers.
pub(super) struct DatagramWay {
    ports: Rc<DatagramPorts>,
    /// RTP and RTCP of each track that was set up.
    tracks: SmallVec<[Option<(SocketAddr, SocketAddr)>; 2]>,
    /// Our address as the reader knows it.
    from: Option<IpAddr>,
    /// Its connection alone tells such a reader of the end.
    ends_hard_at_goodbye: bool,
    turn: Rc<Notify>,
    _datagrams: DatagramSeat,
    /// Its reports are heard as long as it plays.
    _seats: Vec<PeerSeat>,
}

/// Hears a reader's control packets: they are its signs of life.
struct ReaderReports {
    session: Rc<SessionHandle>,
    losses: Rc<ReportedLosses>,
}

impl DatagramTaker for ReaderReports {
    fn take_datagram(&self, _track: u8, _is_rtcp: bool, bytes: &[u8]) {
        self.session.note_media(now());
        self.losses.record.inbound_bytes.add(bytes.len() as u64);
        self.losses.handle_rtcp(bytes);
    }
}

impl DatagramWay {
    /// The way to a reader's ports; nothing where UDP is switched off.
    pub(super) fn open(
        shard: &Shard,
        session: &Rc<SessionHandle>,
        losses: &Rc<ReportedLosses>,
        server: &ServerSession,
        tracks: usize,
        from: Option<IpAddr>,
        log: &Rc<SharedLog>,
    ) -> Option<Self> {
        let ports = shard.datagrams.clone()?;
        let reports: Rc<dyn DatagramTaker> = Rc::new(ReaderReports {
            session: session.clone(),
            losses: losses.clone(),
        });
        let mut ways = SmallVec::from_elem(None, tracks);
        let mut seats = Vec::new();
        for setup in server.setups() {
            let (Lower::Udp(pair), Ok(track)) = (setup.transport, u8::try_from(setup.track)) else {
                continue;
            };
            let at = |port| SocketAddr::new(session.peer.ip(), port);
            if let Some(way) = ways.get_mut(setup.track) {
                *way = Some((at(pair.rtp), at(pair.rtcp)));
            }
            for (port, is_rtcp) in [(pair.rtp, false), (pair.rtcp, true)] {
                let address = at(port);
                let peer = DatagramPeer { address, is_rtcp };
                seats.extend(shard.expect_datagrams(peer, track, reports.clone()));
            }
        }
        Some(Self {
            ports,
            tracks: ways,
            from,
            ends_hard_at_goodbye: server.ends_hard_at_goodbye(),
            turn: Rc::default(),
            _datagrams: log.join_datagrams(shard.server.config.load().rtsp.udp_payload_bytes_max),
            _seats: seats,
        })
    }

    /// Which tracks were set up.
    pub(super) fn is_set_up(&self) -> impl Iterator<Item = bool> + '_ {
        self.tracks.iter().map(Option::is_some)
    }

    /// Sends what the socket takes; the number of bytes.
    fn send(&self, run: &DatagramRun) -> io::Result<usize> {
        let Some(Some((rtp, rtcp))) = self.tracks.get(usize::from(run.track)) else {
            return Ok(run.bytes.len());
        };
        let to = if run.is_rtcp { rtcp } else { rtp };
        self.ports.send(run, *to, self.from)
    }

    /// Tells the reader that the stream has ended (RFC 3550, section 6.6). It may be lost; the connection says it again.
    fn send_goodbye(&self, begin: &[TrackBase]) {
        for (track, base) in (0u8..).zip(begin) {
            if let Some(run) = goodbye_run(track, base.ssrc) {
                let _may_be_lost = self.send(&run);
            }
        }
    }
}

impl<S: Sink> Writer<S> {
    /// Sends until the reader stops, the stream is delivered, or the connection fails.
    pub(super) async fn send_datagrams(
        &mut self,
        mut queue: DatagramQueue,
        way: DatagramWay,
        begin: &[TrackBase],
    ) -> WriterEnd {
        loop {
            if let Err(end) = self.write_answers().await {
                return self.fail(end);
            }
            if self.play.stop.get() && !self.play.has_answers() {
                return WriterEnd::Stopped;
            }
            match self.fill_datagrams(&mut queue) {
                Fill::Ready => self.send_burst(&mut queue, &way).await,
                Fill::Empty => self.play.subscription.seat.wake.notified().await,
                Fill::TooSlow(reason) => return self.fail(SessionEnd::TooSlow(reason)),
                Fill::Ended(reason) => {
                    if let Some(end) = self.serve_for(GOODBYE_AFTER).await {
                        return end;
                    }
                    if !way.ends_hard_at_goodbye {
                        way.send_goodbye(begin);
                    }
                    return self.part(reason).await;
                }
            }
        }
    }

    fn fill_datagrams(&mut self, queue: &mut DatagramQueue) -> Fill {
        if self.play.stop.get() {
            return Fill::Empty;
        }
        let now = now();
        let subscription = &self.play.subscription;
        let log = subscription.log.log.borrow();
        let fill = queue.fill(&log, now);
        let (shard, path) = (&subscription.shard, &subscription.entry.name);
        shard.note_oversized(path, &log);
        drop(log);
        self.play.record.packets.set(queue.packets_taken());
        self.note_drop(queue.poll_drop(), now);
        fill
    }

    /// Sends a burst, and waits until the next one may leave. A reader that cannot be reached is sent to all the same: its
    /// connection and its reports say whether it lives.
    async fn send_burst(&self, queue: &mut DatagramQueue, way: &DatagramWay) {
        let mut left = queue.burst_datagrams();
        while let Some(mut run) = queue.pop_run(left) {
            left = left.saturating_sub(run.datagrams());
            let sent = way.send(&run).unwrap_or(run.bytes.len());
            self.play.record.outbound_bytes.add(sent as u64);
            if sent < run.bytes.len() {
                let _sent = run.split_front(sent / run.datagram_bytes.max(1));
                queue.push_back(run);
                return way.ports.room(&way.turn).await;
            }
            if left == 0 {
                break;
            }
        }
        if queue.has_runs() {
            let shard = &self.play.subscription.shard;
            shard.bursts.wait(&way.turn).await;
        }
    }
}
