//! The thread that looks whether files of certificates have changed.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::TlsListener;
use super::pair::{Pair, Reloaded};

/// How often it looks: a certificate that was renewed is in use before anybody has looked at his watch.
const INTERVAL: Duration = Duration::from_secs(1);

/// Keeps the thread at work until it is dropped.
#[derive(Debug)]
pub(crate) struct Watch(#[expect(dead_code, reason = "to be dropped")] Sender<Infallible>);

impl Watch {
    /// Starts the thread, if there is anything to look at.
    ///
    /// # Errors
    /// When the system refuses one.
    pub(crate) fn start(listeners: &[TlsListener]) -> std::io::Result<Option<Self>> {
        let pairs: Vec<_> = listeners.iter().map(|one| one.pair.clone()).collect();
        if pairs.is_empty() {
            return Ok(None);
        }
        let (keep, ended) = channel();
        let builder = std::thread::Builder::new().name("certificates".into());
        builder.spawn(move || look_after(&pairs, &ended))?;
        Ok(Some(Self(keep)))
    }
}

fn look_after(pairs: &[Arc<Pair>], ended: &Receiver<Infallible>) {
    while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(INTERVAL) {
        for pair in pairs {
            match pair.reload() {
                Reloaded::Unchanged => {}
                Reloaded::Swapped => tracing::info!("[TLS] certificates were reloaded: {pair}"),
                Reloaded::Broken(error) => {
                    tracing::warn!("[TLS] the old certificates stay in use: {error}");
                }
            }
        }
    }
}

impl std::fmt::Display for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.certificate_file().display().fmt(f)
    }
}
