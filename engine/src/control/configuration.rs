//! The configuration that the server runs with, as control changes it.
//!
//! The Control API and the signal for a reload come here; both are worked off by the clerk. What holds is put where the
//! shards look (`ServerState::config`), and paths that are nobody's any more are withdrawn from their owners. Whatever is
//! wrong changes nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use shardcast_config::{Changed, Config, Document};

use crate::event::{Event, ReloadedBy};
use crate::shard::{ServerState, is_open_to_publishers};

/// Called with every configuration that begins to hold after the first: what is outside the server, the log, takes over
/// its part.
pub type ConfigHook = Box<dyn Fn(&Config) + Send + Sync>;

/// The document and what follows from it.
pub struct Configuration {
    document: Mutex<Document>,
    hook: OnceLock<ConfigHook>,
    /// The files were read again, and are wrong.
    is_file_wrong: AtomicBool,
}

impl std::fmt::Debug for Configuration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Configuration")
    }
}

impl Configuration {
    /// What the server starts with.
    #[must_use]
    pub fn new(document: Document) -> Self {
        Self {
            document: Mutex::new(document),
            hook: OnceLock::new(),
            is_file_wrong: AtomicBool::new(false),
        }
    }

    /// Has `hook` called after every change; only the first one is.
    pub fn set_hook(&self, hook: ConfigHook) {
        let _first_stays = self.hook.set(hook);
    }

    /// Looks at the document.
    pub fn look<T>(&self, look: impl FnOnce(&Document) -> T) -> T {
        look(&self.lock())
    }

    /// Changes the document, and has the server go over to it.
    ///
    /// # Errors
    /// Those of `change`, which has then changed nothing.
    pub fn change<E>(
        &self,
        server: &ServerState,
        by: ReloadedBy,
        change: impl FnOnce(&mut Document) -> Result<Changed, E>,
    ) -> Result<(), E> {
        // Held to the end: what holds last is what was changed last.
        let mut document = self.lock();
        let Changed { warnings, waiting } = change(&mut document)?;
        let event = Event::Reloaded {
            by,
            warnings,
            waiting,
        };
        server.events.publish(&event);
        self.put_in_force(server, document.config());
        Ok(())
    }

    /// Reads the files again.
    pub fn reload(&self, server: &ServerState) {
        let reloaded = self.change(server, ReloadedBy::Signal, Document::reload);
        self.is_file_wrong
            .store(reloaded.is_err(), Ordering::Relaxed);
        if let Err(error) = reloaded {
            let error = error.to_string();
            server.events.publish(&Event::ReloadFailed { error });
        }
    }

    /// Whether the files were wrong when they were read again last: then the server would not start with them.
    #[must_use]
    pub fn is_file_wrong(&self) -> bool {
        self.is_file_wrong.load(Ordering::Relaxed)
    }

    fn put_in_force(&self, server: &ServerState, config: &Arc<Config>) {
        if let Some(hook) = self.hook.get() {
            hook(config);
        }
        server.config.store(config.clone());
        let entries = server.directory.entries();
        let gone = entries
            .iter()
            .filter(|entry| !is_open_to_publishers(config, entry.name.as_str()));
        gone.for_each(|entry| server.withdrawals.add(entry));
        server.withdrawals.announce(server);
    }

    /// A panic in a change leaves the document as it was: it is changed at the end, at once.
    fn lock(&self) -> MutexGuard<'_, Document> {
        self.document.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
