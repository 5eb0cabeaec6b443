//! Why the server refuses what a peer sends, as a closed set of reasons, and how often it has: counted per shard by the
//! session at hand, summed by `snapshot()`, and carried by events under the same names.
//!
//! Every reason is a label, so their number is fixed: nothing that a peer sends can make a new one.

use std::cell::Cell;
use std::fmt;
use std::time::{Duration, Instant};

use shardcast_protocol::rtsp::{MessageErrorKind, StatusCode};

use crate::event::{Deadline, RefusedPacket};
use crate::record::Count;

/// Refusals of one session are told at most so often: a peer that asks for nothing sensible cannot flood those who listen
/// to events.
const SUMMARY_INTERVAL: Duration = Duration::from_secs(10);

macro_rules! refusal_reasons {
    ($($(#[$doc:meta])* $name:ident = $label:literal,)*) => {
        /// Why something was refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum RefusalReason {
            $($(#[$doc])* $name,)*
        }

        impl RefusalReason {
            /// Every reason, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name as a label of metrics.
            #[must_use]
            pub fn label(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)*
                }
            }
        }
    };
}

refusal_reasons! {
    /// The first line of a message is too long (414).
    UriTooLong = "uri_too_long",
    /// A header line, their number, or all of them together are too much (400).
    HeadTooLarge = "head_too_large",
    /// The body is too long (413).
    BodyTooLarge = "body_too_large",
    /// `Content-Length` is no number, or given twice and different (400).
    InvalidContentLength = "invalid_content_length",
    /// No RTSP message (400).
    MalformedMessage = "malformed_message",
    /// Another version of RTSP, or HTTP (505).
    UnsupportedVersion = "unsupported_version",
    /// A request whose URL, headers or body make no sense (400).
    BadRequest = "bad_request",
    /// No credentials, or wrong ones (401). Whoever offers none is asked for them so, which is no failed attempt.
    Unauthorized = "unauthorized",
    /// The path has another publisher, or takes none (403).
    Forbidden = "forbidden",
    /// There is no such path, stream or track (404).
    NotFound = "not_found",
    /// The route has other methods (405).
    MethodNotAllowed = "method_not_allowed",
    /// No description can be had in what the peer accepts (406).
    NotAcceptable = "not_acceptable",
    /// The description is in none of the known forms (415).
    UnsupportedMediaType = "unsupported_media_type",
    /// A parameter that is not known (451).
    UnknownParameter = "unknown_parameter",
    /// The server has all of its paths (453).
    NotEnoughBandwidth = "not_enough_bandwidth",
    /// A session id that is none, or another connection's (454).
    SessionNotFound = "session_not_found",
    /// The method does not fit what the session does (455).
    InvalidState = "invalid_state",
    /// The request is for a whole stream and named a track, or the other way round (459, 460).
    AggregateOperation = "aggregate_operation",
    /// None of the transports can be had (461).
    UnsupportedTransport = "unsupported_transport",
    /// The method is not known (501).
    NotImplemented = "not_implemented",
    /// The server is going down (503).
    Unavailable = "unavailable",
    /// An extension is required that is not supported (551).
    UnsupportedOption = "unsupported_option",
    /// A request that was refused with any other status.
    OtherStatus = "other_status",
    /// `sessionsPerAddress`: the address has too many sessions that do nothing (453).
    TooManySessions = "too_many_sessions",
    /// `connectionsPerAddress`: the address has all of its connections (503).
    TooManyOfAddress = "too_many_of_address",
    /// `readers`: the server has all of its readers (453).
    TooManyReaders = "too_many_readers",
    /// `maxReaders`: the path has all of its readers (453).
    TooManyPathReaders = "too_many_path_readers",
    /// `egress`: what readers are sent would be more than the budget (453).
    EgressTaken = "egress",
    /// `memory`: too little is left of the budget (503).
    MemoryTaken = "memory",
    /// `cpu`: the shard is too busy, and the reader cannot go to another (503).
    ShardsBusy = "cpu",
    /// Credentials were wrong; the connection was closed.
    AuthenticationFailed = "authentication_failed",
    /// So many attempts of the address have failed that the connection was closed at once.
    TooManyFailures = "too_many_failures",
    /// A password's hash could not be computed in time, because too many others are (503).
    HashOverdue = "hash_overdue",
    /// One refused request after the other; the connection was closed.
    TooManyRefusals = "too_many_refusals",
    /// As many listen to events as may (503).
    TooManyListeners = "too_many_listeners",
    /// The system did not hand a connection over, as when descriptors run out; tried again after a pause.
    AcceptFailed = "accept_failed",
    /// TLS on a port without encryption.
    Tls = "tls",
    /// No TLS on a port with encryption (400).
    NoTls = "no_tls",
    /// A TLS handshake that led to nothing.
    TlsHandshake = "tls_handshake",
    /// A listener has all of its connections (503).
    TooManyConnections = "too_many_connections",
    /// An HTTP/2 connection whose streams were reset, or whose headers went on, without end.
    Http2Flood = "http2_flood",
    /// `readTimeout`: a message or frame was begun and not finished.
    MessageUnfinished = "message_unfinished",
    /// `readTimeout`: a publisher sent nothing.
    PublisherSilent = "publisher_silent",
    /// `writeTimeout`: the peer accepted no byte.
    WriteStuck = "write_stuck",
    /// One write lasted twice `writeTimeout`.
    WriteTooLong = "write_too_long",
    /// A session without media asked for nothing for too long.
    SessionIdle = "session_idle",
    /// A reader could not keep up, and its path closes such readers.
    SlowReader = "slow_reader",
    /// A publisher's packet is no RTP or RTCP.
    MalformedPacket = "malformed_packet",
    /// A publisher's packet came on a channel that no SETUP named.
    UnknownChannel = "unknown_channel",
    /// A publisher's packet is of another source than the track's.
    OtherSource = "other_source",
    /// A publisher's access unit is over its maximum.
    AccessUnitTooLarge = "access_unit_too_large",
    /// A datagram of a peer that nobody expects, or that pretends to be another.
    StrayDatagram = "stray_datagram",
    /// A datagram that came faster than its session could look at it.
    DatagramOverrun = "datagram_overrun",
    /// A packet that no datagram can hold and that cannot be cut: readers over UDP do not get it.
    OversizedPacket = "oversized_packet",
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}

impl From<MessageErrorKind> for RefusalReason {
    fn from(kind: MessageErrorKind) -> Self {
        match kind {
            MessageErrorKind::StartLineTooLong => Self::UriTooLong,
            MessageErrorKind::FieldTooLong
            | MessageErrorKind::TooManyFields
            | MessageErrorKind::HeadTooLong => Self::HeadTooLarge,
            MessageErrorKind::BodyTooLong => Self::BodyTooLarge,
            MessageErrorKind::ContentLength => Self::InvalidContentLength,
            MessageErrorKind::Version => Self::UnsupportedVersion,
            MessageErrorKind::ControlCharacter
            | MessageErrorKind::StartLine
            | MessageErrorKind::Field
            | MessageErrorKind::CSeqMissing
            | MessageErrorKind::CSeq => Self::MalformedMessage,
        }
    }
}

impl From<StatusCode> for RefusalReason {
    /// Of an answer that refuses a request.
    fn from(status: StatusCode) -> Self {
        match status {
            StatusCode::BAD_REQUEST => Self::BadRequest,
            StatusCode::UNAUTHORIZED => Self::Unauthorized,
            StatusCode::FORBIDDEN => Self::Forbidden,
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::NOT_ACCEPTABLE => Self::NotAcceptable,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::UnsupportedMediaType,
            StatusCode::PARAMETER_NOT_UNDERSTOOD => Self::UnknownParameter,
            StatusCode::NOT_ENOUGH_BANDWIDTH => Self::NotEnoughBandwidth,
            StatusCode::SESSION_NOT_FOUND => Self::SessionNotFound,
            StatusCode::METHOD_NOT_VALID_IN_THIS_STATE => Self::InvalidState,
            StatusCode::AGGREGATE_OPERATION_NOT_ALLOWED
            | StatusCode::ONLY_AGGREGATE_OPERATION_ALLOWED => Self::AggregateOperation,
            StatusCode::UNSUPPORTED_TRANSPORT => Self::UnsupportedTransport,
            StatusCode::NOT_IMPLEMENTED => Self::NotImplemented,
            StatusCode::SERVICE_UNAVAILABLE => Self::Unavailable,
            StatusCode::OPTION_NOT_SUPPORTED => Self::UnsupportedOption,
            _ => Self::OtherStatus,
        }
    }
}

impl From<RefusedPacket> for RefusalReason {
    fn from(reason: RefusedPacket) -> Self {
        match reason {
            RefusedPacket::Malformed => Self::MalformedPacket,
            RefusedPacket::UnknownChannel => Self::UnknownChannel,
            RefusedPacket::OtherSource => Self::OtherSource,
            RefusedPacket::AccessUnitTooLarge => Self::AccessUnitTooLarge,
        }
    }
}

impl From<Deadline> for RefusalReason {
    fn from(deadline: Deadline) -> Self {
        match deadline {
            Deadline::MessageUnfinished => Self::MessageUnfinished,
            Deadline::PublisherSilent => Self::PublisherSilent,
            Deadline::WriteStuck => Self::WriteStuck,
            Deadline::WriteTooLong => Self::WriteTooLong,
            Deadline::Idle => Self::SessionIdle,
        }
    }
}

/// How often one shard has refused, by reason. Written by that shard alone; two shards share no cache line.
#[derive(Debug)]
#[repr(align(128))]
pub struct RefusalCounters([Count; RefusalReason::ALL.len()]);

impl Default for RefusalCounters {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Count::default()))
    }
}

impl RefusalCounters {
    /// Counts one; only the shard itself may.
    pub fn count(&self, reason: RefusalReason) {
        if let Some(count) = self.0.get(reason as usize) {
            count.add(1);
        }
    }
}

/// How often the server has refused since its start, by reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusals([u64; RefusalReason::ALL.len()]);

impl Refusals {
    /// The sum of what the shards have counted.
    #[must_use]
    pub fn sum(shards: &[RefusalCounters]) -> Self {
        Self(std::array::from_fn(|index| {
            let counts = shards.iter().filter_map(|shard| shard.0.get(index));
            counts.map(Count::value).sum()
        }))
    }

    /// How often for this reason.
    #[must_use]
    pub fn of(&self, reason: RefusalReason) -> u64 {
        self.0.get(reason as usize).copied().unwrap_or_default()
    }

    /// Every reason that has occurred, and how often.
    pub fn counted(&self) -> impl Iterator<Item = (RefusalReason, u64)> + '_ {
        let all = RefusalReason::ALL.iter().copied();
        all.zip(self.0).filter(|(_, count)| *count > 0)
    }
}

/// The refusals of one session since they were last told.
#[derive(Debug, Default)]
pub struct RefusalSummary {
    untold: Cell<Option<(RefusalReason, u64)>>,
    last_told: Cell<Option<Instant>>,
}

impl RefusalSummary {
    /// Adds one; if it is time to tell of it, the latest reason and how many there were.
    pub fn note(&self, reason: RefusalReason, now: Instant) -> Option<(RefusalReason, u64)> {
        let count = self.untold.get().map_or(0, |(_, count)| count) + 1;
        let told = self.last_told.get();
        if told.is_none_or(|told| now.saturating_duration_since(told) >= SUMMARY_INTERVAL) {
            self.untold.set(None);
            self.last_told.set(Some(now));
            return Some((reason, count));
        }
        self.untold.set(Some((reason, count)));
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_number_and_a_label_of_its_own() {
        let labels: std::collections::HashSet<_> = RefusalReason::ALL
            .iter()
            .map(|reason| reason.label())
            .collect();
        assert_eq!(labels.len(), RefusalReason::ALL.len());
        for (index, reason) in RefusalReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
        }
    }

    #[test]
    fn the_shards_counters_add_up_by_reason() {
        let shards = [RefusalCounters::default(), RefusalCounters::default()];
        shards[0].count(RefusalReason::Tls);
        shards[1].count(RefusalReason::Tls);
        shards[1].count(RefusalReason::AccessUnitTooLarge);
        let refusals = Refusals::sum(&shards);
        let counted: Vec<_> = refusals.counted().collect();
        let due = [
            (RefusalReason::Tls, 2),
            (RefusalReason::AccessUnitTooLarge, 1),
        ];
        assert_eq!(counted, due);
        assert_eq!(refusals.of(RefusalReason::NotFound), 0);
    }

    #[test]
    fn refusals_are_told_at_once_and_then_in_sums() {
        let (summary, begin) = (RefusalSummary::default(), Instant::now());
        let (first, then) = (RefusalReason::NotFound, RefusalReason::Forbidden);
        assert_eq!(summary.note(first, begin), Some((first, 1)));
        assert_eq!(summary.note(first, begin), None);
        assert_eq!(summary.note(first, begin), None);
        let later = begin + SUMMARY_INTERVAL;
        assert_eq!(summary.note(then, later), Some((then, 3)));
    }
}
