//! Primitives between the tasks of one shard: a wake-up, a value, a race. Everything here is
//! single-threaded and safe to drop at any `.await`.

mod notify;
mod oneshot;
mod race;
#[cfg(test)]
pub(crate) mod testing;

pub use notify::{Notified, Notify};
pub use oneshot::{Receiver, Sender, SenderDropped, oneshot};
pub use race::{Either, race};
