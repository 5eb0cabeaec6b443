//! A reader over UDP: its stream's feed sends it datagrams at the ports that it has named, at the address of its connection
//! and nowhere else; its own task writes answers over the connection.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use shardcast_platform::now;
use shardcast_protocol::rtsp::{Lower, RtpInfo};
use smallvec::SmallVec;

use super::connection::Connection;
use super::play::ReaderStart;
use super::reported::ReportedLosses;
use super::rtp_info::rtp_infos;
use super::writer::{Writer, WriterEnd};
use crate::egress::{Begin, DatagramQueue, GOODBYE_AFTER, first_sequence};
use crate::event::SessionEnd;
use crate::fanout::{CatchUp, Cursor, Log, Position};
use crate::session::transport::{Sink, Transport};
use crate::shard::{
    DatagramPeer, DatagramTaker, DatagramWay, FedEnd, FedReader, FedSeat, PeerSeat, SessionHandle,
    Shard,
};
use crate::stream::TrackBase;

/// A reader's datagrams: who sends them, and who hears what it answers.
pub(super) struct DatagramReader {
    fed: FedSeat,
    /// Its connection alone tells such a reader of the end.
    ends_hard_at_goodbye: bool,
    /// Its reports are heard as long as it plays.
    _reports: Vec<PeerSeat>,
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

impl DatagramReader {
    /// The reader is gone.
    pub(super) fn finish_drops(&self, shard: &Shard) {
        self.fed.finish_drops(shard);
    }
}

impl<T: Transport> Connection<T> {
    /// Has the reader's datagrams sent from its cursor on, and says where each track begins; nothing where UDP is switched
    /// off.
    pub(super) fn begin_datagrams(
        &self,
        start: &ReaderStart,
        losses: &Rc<ReportedLosses>,
    ) -> Option<(DatagramReader, Vec<RtpInfo>)> {
        let (subscription, described) = (&start.subscription, &start.described);
        let (way, reports) = self.datagram_way(described.info.tracks().len(), losses)?;
        let (entry, log) = (&subscription.entry, &subscription.log);
        let (generation, ports) = (described.generation, way.ports.clone());
        let feed = self.shard.datagram_feed(entry, generation, log, ports);
        let (queue, infos) = {
            let log = log.log.borrow();
            let policy = start.policy.for_datagrams();
            let (cursor, catch_up) = Cursor::begin(&log, start.start, policy, now());
            let (begin, position) = (&described.begin, cursor.position());
            let infos = datagram_infos(&log, begin, position, catch_up.as_deref());
            let begin = Begin::new(begin.clone(), catch_up);
            let queue = DatagramQueue::new(cursor, way.is_set_up(), begin);
            (queue, infos)
        };
        let (begin, record) = (described.begin.clone(), losses.record.clone());
        let reader = FedReader::new(queue, way, begin, record, subscription.seat.clone());
        let reader = DatagramReader {
            fed: feed.add(reader),
            ends_hard_at_goodbye: self.server.ends_hard_at_goodbye(),
            _reports: reports,
        };
        Some((reader, infos))
    }

    /// The ports that the reader has named, at its connection's address, and the seats that hear it there.
    fn datagram_way(
        &self,
        tracks: usize,
        losses: &Rc<ReportedLosses>,
    ) -> Option<(DatagramWay, Vec<PeerSeat>)> {
        let ports = self.shard.datagrams.clone()?;
        let reports: Rc<dyn DatagramTaker> = Rc::new(ReaderReports {
            session: self.session.clone(),
            losses: losses.clone(),
        });
        let mut ways = SmallVec::from_elem(None, tracks);
        let mut seats = Vec::new();
        for setup in self.server.setups() {
            let (Lower::Udp(pair), Ok(track)) = (setup.transport, u8::try_from(setup.track)) else {
                continue;
            };
            let at = |port| SocketAddr::new(self.session.peer.ip(), port);
            if let Some(way) = ways.get_mut(setup.track) {
                *way = Some((at(pair.rtp), at(pair.rtcp)));
            }
            for (port, is_rtcp) in [(pair.rtp, false), (pair.rtcp, true)] {
                let address = at(port);
                let peer = DatagramPeer { address, is_rtcp };
                let shard = &self.shard;
                seats.extend(shard.expect_datagrams(peer, track, reports.clone()));
            }
        }
        let way = DatagramWay {
            ports,
            tracks: ways,
            from: self.source(),
        };
        Some((way, seats))
    }

    /// Our address as the reader knows it, if the system would send from another: to say it costs every send a twentieth.
    fn source(&self) -> Option<IpAddr> {
        let known = self.transport.local_ip()?;
        let chosen = shardcast_platform::source_towards(self.session.peer).ok();
        (chosen != Some(known)).then_some(known)
    }
}

/// As for any reader, but that the datagram image has numbers of its own.
fn datagram_infos(
    log: &Log,
    begin: &[TrackBase],
    position: Option<Position>,
    catch_up: Option<&CatchUp>,
) -> Vec<RtpInfo> {
    let mut infos = rtp_infos(log, begin, position, catch_up, now());
    let leading = log.info().leading();
    for info in &mut infos {
        let position = match catch_up {
            Some(catch_up) if info.track != leading => Some(catch_up.edge()),
            _ => position,
        };
        let first = position.and_then(|position| first_sequence(log, position, info.track));
        info.seq = first.map(|sequence| sequence.0);
    }
    infos
}

impl<S: Sink> Writer<S> {
    /// Writes answers until the reader stops, has been sent the whole stream, or may not stay.
    pub(super) async fn follow_feed(&mut self, reader: &DatagramReader) -> WriterEnd {
        loop {
            if let Err(end) = self.write_answers().await {
                return self.fail(end);
            }
            if self.play.stop.get() && !self.play.has_answers() {
                return WriterEnd::Stopped;
            }
            match reader.fed.ended() {
                None => self.play.subscription.seat.wake.notified().await,
                Some(FedEnd::TooSlow(reason)) => return self.fail(SessionEnd::TooSlow(reason)),
                Some(FedEnd::Stream(reason)) => {
                    if let Some(end) = self.serve_for(GOODBYE_AFTER).await {
                        return end;
                    }
                    if !reader.ends_hard_at_goodbye {
                        reader.fed.send_goodbye();
                    }
                    return self.part(reason).await;
                }
            }
        }
    }
}
