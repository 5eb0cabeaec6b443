//! The latest events, in their order and already written: a log in which every listener has a place of its own.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{Local, SecondsFormat};
use serde_json::{Value, json};

use super::kind::EventKind;
use super::wire::Told;
use crate::path::PathName;

/// Events that are kept: a server with a thousand sessions that begin and end each minute is told of four minutes back.
pub(super) const HISTORY_EVENTS_MAX: usize = 8192;

/// Bytes that are kept; events of a few hundred bytes each meet both limits at about the same time.
pub(super) const HISTORY_BYTES_MAX: usize = 4 << 20;

/// The place behind an event, as listeners name it: `<epoch>-<number>`. An epoch is one process's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EventId {
    pub(super) epoch: u32,
    pub(super) number: u64,
}

impl std::fmt::Display for EventId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:08x}-{}", self.epoch, self.number)
    }
}

impl std::str::FromStr for EventId {
    type Err = NoEventId;

    fn from_str(text: &str) -> Result<Self, NoEventId> {
        let (epoch, number) = text.split_once('-').ok_or(NoEventId)?;
        Ok(Self {
            epoch: u32::from_str_radix(epoch, 16).map_err(|_| NoEventId)?,
            number: number.parse().map_err(|_| NoEventId)?,
        })
    }
}

/// The text is no event's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no event's id")]
pub(super) struct NoEventId;

/// An event that was written down.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) kind: EventKind,
    pub(super) path: Option<PathName>,
    /// As server-sent events have it (WHATWG HTML, section 9.2.5), in which the JSON is a line of its own.
    block: Bytes,
    json_at: usize,
}

impl Entry {
    /// Writes an event down.
    pub(super) fn write(id: EventId, told: Told) -> Self {
        let Told {
            kind,
            path,
            mut fields,
        } = told;
        let time = Local::now().to_rfc3339_opts(SecondsFormat::Micros, true);
        fields["id"] = json!(id.to_string());
        fields["time"] = json!(time);
        fields["kind"] = json!(kind.label());
        if let Some(path) = &path {
            fields["path"] = json!(path.as_str());
        }
        let mut entry = Self::block(id, kind, &fields);
        entry.path = path;
        entry
    }

    /// That `missed` events before this place are not to be had; `None` when nobody knows how many.
    pub(super) fn gap(id: EventId, missed: Option<u64>) -> Self {
        let told = Told {
            kind: EventKind::Gap,
            path: None,
            fields: json!({ "missed": missed }),
        };
        Self::write(id, told)
    }

    fn block(id: EventId, kind: EventKind, json: &Value) -> Self {
        let head = format!("id: {id}\nevent: {}\ndata: ", kind.label());
        let json_at = head.len();
        // JSON has no line break outside of strings, and escapes those inside.
        let block = format!("{head}{json}\n\n");
        Self {
            kind,
            path: None,
            block: block.into(),
            json_at,
        }
    }

    /// As a server-sent event.
    pub(super) fn sent_event(&self) -> &[u8] {
        &self.block
    }

    /// As a line of JSON.
    pub(super) fn json_line(&self) -> &[u8] {
        let without_empty_line = self.json_at..self.block.len() - 1;
        self.block.get(without_empty_line).unwrap_or_default()
    }
}

/// What a listener finds from its place on.
#[derive(Debug)]
pub(super) struct Found {
    /// Events that were let go of before it came.
    pub(super) missed: u64,
    /// The next ones.
    pub(super) entries: Vec<Arc<Entry>>,
    /// Its next place.
    pub(super) next: u64,
}

/// The history. Events are numbered from 1.
#[derive(Debug)]
pub(super) struct History {
    entries: VecDeque<Arc<Entry>>,
    bytes: usize,
    next: u64,
}

impl History {
    pub(super) fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
            next: 1,
        }
    }

    /// The number of the next event.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Keeps the next event, and lets go of the oldest that are too many.
    pub(super) fn push(&mut self, entry: Entry) {
        self.bytes += entry.block.len();
        self.entries.push_back(Arc::new(entry));
        self.next += 1;
        while self.entries.len() > HISTORY_EVENTS_MAX || self.bytes > HISTORY_BYTES_MAX {
            let Some(oldest) = self.entries.pop_front() else {
                return;
            };
            self.bytes -= oldest.block.len();
        }
    }

    /// At most `most` events from `next` on.
    pub(super) fn read(&self, next: u64, most: usize) -> Found {
        let oldest = self.next - self.entries.len() as u64;
        let first = next.clamp(oldest, self.next);
        let skipped = usize::try_from(first - oldest).unwrap_or(usize::MAX);
        let entries: Vec<_> = self
            .entries
            .iter()
            .skip(skipped)
            .take(most)
            .cloned()
            .collect();
        Found {
            missed: oldest.saturating_sub(next),
            next: first + entries.len() as u64,
            entries,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u64, text: &str) -> Entry {
        let told = Told {
            kind: EventKind::AcceptFailed,
            path: None,
            fields: json!({ "message": text }),
        };
        let epoch = 0xabc;
        Entry::write(EventId { epoch, number }, told)
    }

    fn filled(events: u64) -> History {
        let mut history = History::new();
        for _ in 0..events {
            let next = history.next();
            history.push(entry(next, ""));
        }
        history
    }

    #[test]
    fn an_event_is_one_block_and_one_line() {
        let entry = entry(7, "a\nb");
        let block = String::from_utf8(entry.sent_event().to_vec()).unwrap();
        assert!(block.starts_with("id: 00000abc-7\nevent: acceptFailed\ndata: {"));
        assert!(block.ends_with("}\n\n"));
        assert_eq!(block.matches('\n').count(), 4);
        let line = String::from_utf8(entry.json_line().to_vec()).unwrap();
        assert_eq!(line.matches('\n').count(), 1);
        let json: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(json["id"], "00000abc-7");
        assert_eq!(json["message"], "a\nb");
        assert!(chrono::DateTime::parse_from_rfc3339(json["time"].as_str().unwrap()).is_ok());
    }

    #[test]
    fn ids_are_read_as_they_are_written() {
        let id = EventId {
            epoch: u32::MAX,
            number: u64::MAX,
        };
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in [
            "",
            "1",
            "-",
            "g-1",
            "1-",
            "123456789-1",
            "1-18446744073709551616",
        ] {
            assert_eq!(text.parse::<EventId>(), Err(NoEventId), "{text}");
        }
    }

    #[test]
    fn the_history_holds_its_maximum_and_lets_go_of_the_oldest_beyond() {
        let mut history = filled(HISTORY_EVENTS_MAX as u64);
        let found = history.read(1, usize::MAX);
        assert_eq!((found.missed, found.entries.len()), (0, HISTORY_EVENTS_MAX));
        history.push(entry(history.next(), ""));
        let found = history.read(1, usize::MAX);
        assert_eq!((found.missed, found.entries.len()), (1, HISTORY_EVENTS_MAX));
    }

    #[test]
    fn large_events_meet_the_limit_in_bytes() {
        let mut history = History::new();
        let text = "x".repeat(HISTORY_BYTES_MAX / 4);
        for _ in 0..4 {
            history.push(entry(history.next(), &text));
        }
        assert!(history.bytes <= HISTORY_BYTES_MAX);
        assert_eq!(history.read(1, usize::MAX).missed, 1);
    }

    #[test]
    fn a_listener_goes_on_where_it_was() {
        let history = filled(10);
        let found = history.read(4, 3);
        assert_eq!((found.missed, found.next, found.entries.len()), (0, 7, 3));
        let found = history.read(found.next, usize::MAX);
        assert_eq!((found.missed, found.next, found.entries.len()), (0, 11, 4));
        let found = history.read(found.next, usize::MAX);
        assert_eq!((found.missed, found.next, found.entries.len()), (0, 11, 0));
    }
}
