//! What crosses shards. Each variant says what its loss costs and who recovers it.

use std::rc::Rc;
use std::sync::Arc;

use shardcast_runtime::Messages;

use super::{ForwardedDatagram, Shard};
use crate::event::SessionEnd;
use crate::fanout::EndReason;
use crate::limits::Reached;
use crate::path::{PathEntry, PathId};
use crate::session_id::SessionId;
use crate::stream::{Batch, Generation, StreamInfo, TrackBase};

/// The engine's messages.
#[derive(Debug)]
pub struct EngineMessages;

impl Messages for EngineMessages {
    type Media = Media;
    type Control = Control;
    type Return = Return;
}

/// The lossy ring. When it is full the sender cuts the stream for that shard until its next start point.
#[derive(Debug)]
pub enum Media {
    /// From a path's owner to a shard with readers. Lost: that shard's readers miss packets up to the next start point,
    /// where the owner sends again; counted at the owner.
    Batch {
        /// The path.
        path: PathId,
        /// Its stream.
        generation: Generation,
        /// The packets.
        batch: Arc<Batch>,
    },
    /// From a publisher's shard to the path's owner, where the connection could not move. Lost: all readers miss packets up
    /// to the next start point; the owner's log recovers there; counted at the sender.
    Ingest {
        /// The path.
        path: PathId,
        /// Who publishes: batches of one that was overridden are dropped.
        publisher: SessionId,
        /// The packets.
        batch: Arc<Batch>,
    },
    /// From the shard that the kernel has given it to, to the one that expects it. Lost: as on the network; counted at the
    /// sender.
    Datagram(Box<ForwardedDatagram>),
}

/// The lossless ring: nothing here is ever lost.
pub enum Control {
    /// A connection that goes on here.
    Arrive(Box<dyn Arrival>),
    /// A question to a path's owner.
    Ask {
        /// Told back with the answer.
        id: AskId,
        /// The question.
        question: Box<Question>,
    },
    /// The answer to a question of this shard's.
    Answer {
        /// Which question.
        id: AskId,
        /// The answer.
        answer: Box<Answer>,
    },
    /// A publisher has ended.
    Unpublish {
        /// The path.
        path: PathId,
        /// The publisher.
        publisher: SessionId,
        /// Why, for its readers.
        reason: EndReason,
    },
    /// A publisher has sent other parameter sets than its stream is described with.
    DescribedAnew {
        /// The path.
        path: PathId,
        /// The publisher.
        publisher: SessionId,
        /// The stream, as readers are to be told of it.
        info: Arc<StreamInfo>,
    },
    /// A reader has ended.
    Detach {
        /// The path.
        path: PathId,
        /// The stream that it read.
        generation: Generation,
        /// The reader.
        reader: SessionId,
        /// It was the last of that stream on its shard: send no more batches.
        last_here: bool,
    },
    /// To a publisher's shard: another one has taken the path, or nobody may publish to it any more.
    ClosePublisher {
        /// Who is to end.
        publisher: SessionId,
        /// Why.
        reason: SessionEnd,
    },
    /// To a shard with readers: the stream has ended, after every batch that was sent before.
    StreamEnded {
        /// The path.
        path: PathId,
        /// The stream.
        generation: Generation,
        /// Why.
        reason: EndReason,
    },
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Arrive(_) => "Arrive",
            Self::Ask { .. } => "Ask",
            Self::Answer { .. } => "Answer",
            Self::Unpublish { .. } => "Unpublish",
            Self::DescribedAnew { .. } => "DescribedAnew",
            Self::Detach { .. } => "Detach",
            Self::ClosePublisher { .. } => "ClosePublisher",
            Self::StreamEnded { .. } => "StreamEnded",
        })
    }
}

/// The ring home.
#[derive(Debug)]
pub enum Return {
    /// A batch that its reader's shard is done with, so that its memory is freed where it was allocated. Lost: it is freed
    /// here instead.
    Batch(Arc<Batch>),
}

/// Something that goes on with its life on another shard.
pub trait Arrival: Send {
    /// Called on the shard where it arrives.
    fn arrive(self: Box<Self>, shard: &Rc<Shard>);
}

/// Ties an answer to its question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AskId(pub u64);

/// What the owner of a path is asked.
#[derive(Debug)]
pub enum Question {
    /// May this session publish here?
    Publish {
        /// The path.
        entry: Arc<PathEntry>,
        /// Who asks.
        publisher: SessionId,
        /// Its tracks.
        info: Arc<StreamInfo>,
    },
    /// Which stream is here?
    Describe {
        /// The path.
        entry: Arc<PathEntry>,
    },
    /// May this session read that stream?
    Attach {
        /// The path.
        entry: Arc<PathEntry>,
        /// Who asks.
        reader: SessionId,
        /// The stream that it was described.
        generation: Generation,
    },
}

/// What the owner answers.
#[derive(Debug)]
pub enum Answer {
    /// The session publishes from now on.
    Publish(PublishGrant),
    /// This stream is here.
    Describe(Described),
    /// The session reads from now on. The log from its latest start point, if the asking shard takes the stream only now.
    Attach(Option<Vec<Arc<Batch>>>),
    /// No.
    Refused(Refusal),
    /// This shard does not own the path any more: look it up again.
    Moved,
}

/// A stream and its number.
#[derive(Clone, Debug)]
pub struct Described {
    /// The number.
    pub generation: Generation,
    /// The tracks.
    pub info: Arc<StreamInfo>,
    /// Where each track's numbering began.
    pub begin: Arc<[TrackBase]>,
}

/// What a publisher needs to number its packets.
#[derive(Debug)]
pub struct PublishGrant {
    /// The stream that it sends.
    pub described: Described,
    /// Where each track's numbering stands.
    pub bases: Vec<TrackBase>,
    /// Number of its first batch.
    pub first_sequence: u64,
    /// Another publisher's stream is gone on with: readers are in the middle of it.
    pub takes_over: bool,
}

/// Why a session may not publish or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No path of the configuration has this name.
    #[error("path is not configured")]
    NotConfigured,
    /// The path's `source` is another one than publishers.
    #[error("the path's source is not 'publisher'")]
    NotForPublishers,
    /// Nobody publishes to the path.
    #[error("no stream is available on this path")]
    NoStream,
    /// The stream that was described has ended, and another has begun.
    #[error("the stream has changed since it was described")]
    StreamChanged,
    /// Another session publishes.
    #[error("someone is already publishing to this path")]
    Occupied,
    /// A limit is reached.
    #[error("{0}")]
    Limit(#[from] Reached),
    /// As many paths as the process can hold.
    #[error("too many paths")]
    TooManyPaths,
    /// The server is going down.
    #[error("the server is shutting down")]
    ShuttingDown,
}
