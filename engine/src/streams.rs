//! What is known of each stream, for `snapshot()` and the API: written by the path's owner alone, read by anybody.
//!
//! Locked when a stream begins, ends, loses its publisher or is described anew and when somebody looks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::path::PathId;
use crate::session_id::SessionId;
use crate::stream::StreamInfo;

/// A stream.
#[derive(Clone, Debug)]
pub struct StreamRecord {
    /// Its tracks.
    pub info: Arc<StreamInfo>,
    /// Since when it can be read.
    pub available: SystemTime,
    /// Its publisher; none while it waits for one.
    pub publisher: Option<StreamPublisher>,
}

/// Who publishes a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamPublisher {
    /// The session.
    pub session: SessionId,
    /// Since when.
    pub online: SystemTime,
}

impl StreamPublisher {
    fn new(session: SessionId) -> Self {
        let online = SystemTime::now();
        Self { session, online }
    }
}

/// The streams of all paths. Bounded by the paths themselves.
#[derive(Debug, Default)]
pub struct StreamRecords(Mutex<HashMap<PathId, StreamRecord>>);

impl StreamRecords {
    /// The path has this stream of this publisher from now on.
    pub fn begin(&self, path: PathId, info: Arc<StreamInfo>, publisher: SessionId) {
        let publisher = StreamPublisher::new(publisher);
        let record = StreamRecord {
            info,
            available: publisher.online,
            publisher: Some(publisher),
        };
        self.lock().insert(path, record);
    }

    /// This publisher goes on with the path's stream.
    pub fn go_on(&self, path: PathId, info: Arc<StreamInfo>, publisher: SessionId) {
        if let Some(record) = self.lock().get_mut(&path) {
            record.info = info;
            record.publisher = Some(StreamPublisher::new(publisher));
        }
    }

    /// The path's stream is described anew.
    pub fn describe(&self, path: PathId, info: Arc<StreamInfo>) {
        if let Some(record) = self.lock().get_mut(&path) {
            record.info = info;
        }
    }

    /// The path's stream waits for a publisher.
    pub fn wait(&self, path: PathId) {
        if let Some(record) = self.lock().get_mut(&path) {
            record.publisher = None;
        }
    }

    /// The path has no stream any more.
    pub fn remove(&self, path: PathId) {
        self.lock().remove(&path);
    }

    /// The stream of a path.
    #[must_use]
    pub fn find(&self, path: PathId) -> Option<StreamRecord> {
        self.lock().get(&path).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PathId, StreamRecord>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
