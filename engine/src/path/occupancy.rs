//! Who is on a path: at most one publisher, and a bounded set of readers. Kept by the path's owner, which asks it before
//! every publish and read; it decides and remembers, and moves no bytes.

use std::collections::HashMap;

use shardcast_runtime::ShardId;

use crate::session_id::SessionId;

/// Where a session lives.
pub type Seat = (SessionId, ShardId);

/// Why a session may not publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublishRefusal {
    /// Another session publishes and `overridePublisher` is off.
    #[error("someone is already publishing to this path")]
    Occupied,
}

/// Why a session may not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadRefusal {
    /// `maxReaders` read already.
    #[error("maximum reader count reached")]
    TooManyReaders,
}

/// The sessions of one path.
#[derive(Debug, Default)]
pub struct Occupancy {
    publisher: Option<Seat>,
    readers: HashMap<SessionId, ShardId>,
}

impl Occupancy {
    /// Lets `seat` publish. What was the publisher until now is returned, to be closed.
    ///
    /// # Errors
    /// [`PublishRefusal::Occupied`] without `override_publisher`.
    pub fn publish(
        &mut self,
        seat: Seat,
        override_publisher: bool,
    ) -> Result<Option<Seat>, PublishRefusal> {
        if self.publisher.is_some() && !override_publisher {
            return Err(PublishRefusal::Occupied);
        }
        Ok(self.publisher.replace(seat))
    }

    /// Ends the publisher, if it is still this session.
    pub fn unpublish(&mut self, session: SessionId) -> bool {
        let was = self.is_publisher(session);
        if was {
            self.publisher = None;
        }
        was
    }

    /// Who publishes.
    #[must_use]
    pub fn publisher(&self) -> Option<Seat> {
        self.publisher
    }

    /// Whether this session publishes.
    #[must_use]
    pub fn is_publisher(&self, session: SessionId) -> bool {
        self.publisher.is_some_and(|(id, _)| id == session)
    }

    /// Lets `seat` read; `max_readers` 0 is no limit.
    ///
    /// # Errors
    /// [`ReadRefusal::TooManyReaders`].
    pub fn attach(
        &mut self,
        (session, shard): Seat,
        max_readers: usize,
    ) -> Result<(), ReadRefusal> {
        if max_readers > 0
            && self.readers.len() >= max_readers
            && !self.readers.contains_key(&session)
        {
            return Err(ReadRefusal::TooManyReaders);
        }
        self.readers.insert(session, shard);
        Ok(())
    }

    /// Ends a reader; `false` if it was none.
    pub fn detach(&mut self, session: SessionId) -> bool {
        self.readers.remove(&session).is_some()
    }

    /// Number of readers on all shards.
    #[must_use]
    pub fn readers(&self) -> usize {
        self.readers.len()
    }

    /// Nobody publishes and nobody reads.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.publisher.is_none() && self.readers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(id: u64) -> Seat {
        (SessionId::new(id), ShardId::from_index(0).unwrap())
    }

    #[test]
    fn the_last_publisher_wins_with_override_and_the_first_without() {
        let mut path = Occupancy::default();
        assert_eq!(path.publish(seat(1), false), Ok(None));
        assert_eq!(path.publish(seat(2), false), Err(PublishRefusal::Occupied));
        assert_eq!(path.publish(seat(3), true), Ok(Some(seat(1))));
        assert!(path.is_publisher(SessionId::new(3)));
    }

    #[test]
    fn a_publisher_that_was_overridden_cannot_end_its_successor() {
        let mut path = Occupancy::default();
        path.publish(seat(1), true).unwrap();
        path.publish(seat(2), true).unwrap();
        assert!(!path.unpublish(SessionId::new(1)));
        assert!(path.unpublish(SessionId::new(2)));
        assert!(path.is_empty());
    }

    #[test]
    fn the_reader_past_the_maximum_is_refused_until_one_leaves() {
        let mut path = Occupancy::default();
        path.attach(seat(1), 2).unwrap();
        path.attach(seat(2), 2).unwrap();
        assert_eq!(path.attach(seat(3), 2), Err(ReadRefusal::TooManyReaders));
        assert_eq!(
            path.attach(seat(2), 2),
            Ok(()),
            "a reader that plays again is no second one"
        );
        assert!(path.detach(SessionId::new(1)));
        assert_eq!(path.attach(seat(3), 2), Ok(()));
    }
}
