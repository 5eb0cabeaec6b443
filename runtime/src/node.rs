//! What runs on a shard: the engine's part, as the runtime calls it.

use std::future::Future;
use std::rc::Rc;

use crate::{Messages, ShardContext, ShardId};

/// One shard's share of the engine. Every call comes on the shard's own thread, and none while
/// another call of the same shard runs, so a node's state needs no lock.
///
/// A panic in any of these is a shard's panic: they work on state that all sessions of the shard
/// share.
pub trait Node: Sized + 'static {
    /// What shards send each other.
    type Messages: Messages;

    /// What one shard starts from: its acceptors, its part of the configuration. Made by the caller
    /// of
    /// [`Runtime::start`](crate::Runtime::start), one per shard, and moved to the shard's thread.
    type Seed: Send + 'static;

    /// Sets the shard up, inside its event loop, and spawns its own tasks (accept loops) through
    /// `context`.
    fn start(context: ShardContext<Self::Messages>, seed: Self::Seed) -> Rc<Self>;

    /// Media from another shard. Must not wait; what takes long is handed to a task.
    fn handle_media(&self, from: ShardId, message: <Self::Messages as Messages>::Media);

    /// A control message from another shard.
    fn handle_control(&self, from: ShardId, message: <Self::Messages as Messages>::Control);

    /// Something that comes home from another shard.
    fn handle_return(&self, from: ShardId, message: <Self::Messages as Messages>::Return);

    /// Asked once at shutdown: ends what can be ended and resolves when the shard has drained.
    /// Messages are handled all the while. The runtime drops it at the deadline.
    fn drain(self: Rc<Self>) -> impl Future<Output = ()>;
}
