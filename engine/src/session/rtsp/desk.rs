//! Where a publisher's packets become batches and leave for the path's owner.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use shardcast_protocol::container::rtp::Ssrc;
use shardcast_protocol::rtsp::TransportKind;
use smallvec::SmallVec;

use super::intake::Intake;
use crate::event::{Event, RefusedPacket};
use crate::fanout::EndReason;
use crate::ingest::{Opening, Publication, REPORT_INTERVAL};
use crate::path::{PathEntry, PathName};
use crate::random::random_u32;
use crate::record::{Role, SessionRecord};
use crate::refusal::RefusalSummary;
use crate::session::begun::Begun;
use crate::shard::{Coalesced, Media, MediaLink, PublishGrant, Refusal, SessionHandle, Shard};
use crate::stream::{Batch, StreamInfo, compound_reception};

/// A publisher to whom the path's owner has given the path.
pub(super) struct PublisherStart {
    pub(super) desk: Rc<Desk>,
    pub(super) timer: Rc<dyn Coalesced>,
    /// Takes what comes in datagrams.
    pub(super) intake: Option<Intake>,
    /// Last, because the path is free before the end is told.
    pub(super) begun: Begun,
}

/// Where a publisher's packets become batches and leave for the owner. The path is given up when this is dropped.
pub(super) struct Desk {
    shard: Rc<Shard>,
    session: Rc<SessionHandle>,
    pub(super) entry: Arc<PathEntry>,
    pub(super) record: Arc<SessionRecord>,
    pub(super) publication: RefCell<Publication>,
    pub(super) end_reason: Cell<EndReason>,
    /// The way to the owner, where that is another shard.
    link: MediaLink,
    /// The batch that the coalescing timer watches.
    pub(super) watched: Cell<Option<u64>>,
    refused: RefusalSummary,
    /// Ours, in reports to the publisher.
    ssrc: Ssrc,
    reports_due: Cell<Instant>,
}

impl PublisherStart {
    /// Asks for the path. A new one is owned by this shard if connections move to where they are wanted, for then this one
    /// is there.
    pub(super) async fn publish(
        shard: &Rc<Shard>,
        session: &Rc<SessionHandle>,
        name: &PathName,
        info: &Arc<StreamInfo>,
        transport: TransportKind,
        is_in_place: bool,
    ) -> Result<Self, Refusal> {
        let place = || {
            if is_in_place {
                shard.id()
            } else {
                shard.server.place(name)
            }
        };
        let (entry, grant) = shard.publish(name, session.id, info.clone(), place).await?;
        let desk = Rc::new(Desk::new(shard, session, entry, &grant, info));
        let tracks = grant.described.info.summary();
        Ok(Self {
            timer: desk.clone(),
            desk,
            intake: None,
            begun: Begun::publisher(shard, session, name, tracks, transport),
        })
    }
}

impl Desk {
    fn new(
        shard: &Rc<Shard>,
        session: &Rc<SessionHandle>,
        entry: Arc<PathEntry>,
        grant: &PublishGrant,
        published: &StreamInfo,
    ) -> Self {
        let publication = Publication::new(&Opening {
            info: grant.described.info.clone(),
            published,
            bases: &grant.bases,
            first_sequence: grant.first_sequence,
            takes_over_at: grant.takes_over.then(shardcast_platform::now),
            batch_bytes_max: shard.server.config.load().fanout.batch_bytes,
        });
        let (id, peer, path) = (session.id, session.peer, entry.name.clone());
        let record = Arc::new(SessionRecord::new(
            id,
            Role::Publisher,
            peer,
            path,
            shard.id().index(),
        ));
        shard.server.records.insert(record.clone());
        Self {
            shard: shard.clone(),
            session: session.clone(),
            entry,
            record,
            publication: RefCell::new(publication),
            end_reason: Cell::new(EndReason::PublisherLost),
            link: MediaLink::default(),
            watched: Cell::new(None),
            refused: RefusalSummary::default(),
            ssrc: Ssrc(random_u32()),
            reports_due: Cell::new(shardcast_platform::now() + REPORT_INTERVAL),
        }
    }

    /// Takes a frame of media in place; whether it stays part of the stream.
    pub(super) fn take_media(&self, track: Option<usize>, frame: &mut [u8], now: Instant) -> bool {
        let taken = match track {
            Some(track) => self.publication.borrow_mut().handle_rtp(track, frame, now),
            None => Err(RefusedPacket::UnknownChannel),
        };
        self.count(taken, now)
    }

    /// Takes a compound RTCP packet.
    pub(super) fn take_rtcp(&self, track: usize, compound: &[u8], now: Instant) {
        let mut publication = self.publication.borrow_mut();
        let taken = publication.handle_rtcp(track, compound, now);
        drop(publication);
        let counted = match taken {
            Ok(()) => &self.record.inbound_rtcp_packets,
            Err(_) => &self.record.refused_rtcp_packets,
        };
        counted.add(1);
        self.count(taken.map(|()| true), now);
    }

    fn count(&self, taken: Result<bool, RefusedPacket>, now: Instant) -> bool {
        match taken {
            Ok(true) => self.record.packets.add(1),
            Ok(false) => {}
            Err(reason) => self.note_refused(reason, now),
        }
        taken == Ok(true)
    }

    pub(super) fn hold(&self, memory: BytesMut) {
        self.publication.borrow_mut().hold(memory);
    }

    pub(super) fn close(&self) {
        let mut publication = self.publication.borrow_mut();
        let batch = publication.close_batch();
        let description = publication.poll_description(shardcast_platform::now);
        let (lost, jitter) = publication.losses();
        drop(publication);
        self.record.note_reception(lost, jitter);
        if let Some(batch) = batch {
            self.send(Arc::new(batch));
        }
        if let Some(info) = description {
            self.shard.describe_anew(&self.entry, self.session.id, info);
        }
    }

    /// The receiver reports that are due to the publisher, each with its track (RFC 3550 section 6.4.2).
    pub(super) fn poll_receiver_reports(&self, now: Instant) -> SmallVec<[(usize, Bytes); 2]> {
        if now < self.reports_due.get() {
            return SmallVec::new();
        }
        self.reports_due.set(now + REPORT_INTERVAL);
        let mut publication = self.publication.borrow_mut();
        let blocks = publication.report_blocks(now);
        let report = |(track, block)| Some((track, compound_reception(self.ssrc, &block)?));
        let reports: SmallVec<_> = blocks.filter_map(report).collect();
        self.record.outbound_rtcp_packets.add(reports.len() as u64);
        reports
    }

    fn send(&self, batch: Arc<Batch>) {
        let (path, publisher, owner) = (self.entry.id, self.session.id, self.entry.owner);
        if owner == self.shard.id() {
            return self.shard.own_batch(path, publisher, batch);
        }
        let (link, name) = (&self.link, &self.entry.name);
        let media = |batch| Media::Ingest {
            path,
            publisher,
            batch,
        };
        self.shard.send_batch(link, name, owner, &batch, media);
    }

    fn note_refused(&self, reason: RefusedPacket, now: Instant) {
        self.record.refused_packets.add(1);
        let reason = reason.into();
        self.shard.count_refusal(reason);
        if let Some((reason, packets)) = self.refused.note(reason, now) {
            let (session, path) = (self.session.id, self.entry.name.clone());
            let event = Event::PublisherPacketsRefused {
                session,
                path,
                reason,
                packets,
            };
            self.shard.server.events.publish(&event);
        }
    }
}

impl Coalesced for Desk {
    fn close_batch(&self, sequence: u64) {
        let is_open = self.publication.borrow().open_sequence() == sequence;
        if is_open {
            self.close();
        }
    }
}

impl Drop for Desk {
    /// Whatever was read whole is delivered before the stream ends.
    fn drop(&mut self) {
        self.close();
        self.shard.server.records.remove(self.session.id);
        self.shard
            .unpublish(&self.entry, self.session.id, self.end_reason.get());
    }
}
