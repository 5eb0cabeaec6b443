//! When the server has granted each player's PLAY, from its stream of events. Players are told apart by the query in their
//! URL, which the Control API knows of a session.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::source::Begin;
use crate::event_stream::EventStream;
use crate::http;

/// The moments so far, by query.
#[derive(Debug, Clone, Default)]
pub struct Plays(Arc<Mutex<HashMap<String, f64>>>);

impl Plays {
    /// Listens to the server whose Control API is there, until it ends.
    pub fn listen(api: SocketAddr, begin: Begin) -> Self {
        let plays = Self::default();
        let noted = plays.clone();
        let mut events = EventStream::open(api, "/v3/events", "");
        thread::spawn(move || {
            while let Some(event) = events.next_event() {
                let at_s = begin.elapsed_s();
                if event.kind == "sessionBegun" && event.data["role"] == "reader" {
                    noted.note(api, event.data["session"].as_str(), at_s);
                }
            }
        });
        plays
    }

    /// When the player with this query was granted its PLAY, if it was.
    pub fn at_s(&self, query: &str) -> Option<f64> {
        self.lock().get(query).copied()
    }

    fn note(&self, api: SocketAddr, session: Option<&str>, at_s: f64) {
        let session = session.unwrap_or_default();
        let about = http::get(api, &format!("/v3/rtspsessions/get/{session}"));
        // One that has gone already was no player that counts.
        if let (200, Some(query)) = (about.status, about.json()["query"].as_str()) {
            self.lock().entry(query.to_owned()).or_insert(at_s);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, f64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
