//! A node whose behaviour each test writes as closures, and what the tests share around it: the
//! drivers of this machine, options, and waiting with a watchdog.

#![allow(
    dead_code,
    reason = "every test file takes what it needs of this module"
)]

use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use shardcast_platform::{DriverRequest, choose_driver};
use shardcast_runtime::{
    Hooks, Messages, Node, Options, Running, Runtime, ShardContext, ShardCount, ShardId,
};

/// No test waits longer for anything. Only a hang ever reaches it.
pub(crate) const WATCHDOG: Duration = Duration::from_secs(60);

/// Numbers as messages. A return is boxed in whatever the test wants to see dropped.
pub(crate) struct Wire;

impl Messages for Wire {
    type Media = u64;
    type Control = u64;
    type Return = Parcel;
}

/// Tells its number when it is dropped.
pub(crate) struct Parcel {
    pub(crate) number: u64,
    pub(crate) dropped: Option<Sender<u64>>,
}

impl Drop for Parcel {
    fn drop(&mut self) {
        if let Some(dropped) = &self.dropped {
            let _ = dropped.send(self.number);
        }
    }
}

pub(crate) type Context = ShardContext<Wire>;
type Handler<M> = Box<dyn Fn(ShardId, M)>;
type Draining = Pin<Box<dyn Future<Output = ()>>>;

/// What a shard of a test does.
pub(crate) struct Behaviour {
    pub(crate) media: Handler<u64>,
    pub(crate) control: Handler<u64>,
    pub(crate) returns: Handler<Parcel>,
    pub(crate) drain: Box<dyn Fn() -> Draining>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            media: Box::new(|_, _| ()),
            control: Box::new(|_, _| ()),
            returns: Box::new(|_, _| ()),
            drain: Box::new(|| Box::pin(async {})),
        }
    }
}

/// Makes a shard's behaviour on the shard's own thread.
pub(crate) type Script = Box<dyn FnOnce(Context) -> Behaviour + Send>;

/// A script from a closure.
pub(crate) fn script(f: impl FnOnce(Context) -> Behaviour + Send + 'static) -> Script {
    Box::new(f)
}

/// A shard that does nothing.
pub(crate) fn idle() -> Script {
    script(|_| Behaviour::default())
}

pub(crate) struct Scripted(Behaviour);

impl Node for Scripted {
    type Messages = Wire;
    type Seed = Script;

    fn start(context: Context, seed: Script) -> Rc<Self> {
        Rc::new(Self(seed(context)))
    }

    fn handle_media(&self, from: ShardId, message: u64) {
        (self.0.media)(from, message);
    }

    fn handle_control(&self, from: ShardId, message: u64) {
        (self.0.control)(from, message);
    }

    fn handle_return(&self, from: ShardId, message: Parcel) {
        (self.0.returns)(from, message);
    }

    async fn drain(self: Rc<Self>) {
        (self.0.drain)().await;
    }
}

/// The drivers that work here.
pub(crate) fn drivers() -> Vec<DriverRequest> {
    [
        DriverRequest::IoUring,
        DriverRequest::Epoll,
        DriverRequest::Kqueue,
        DriverRequest::Iocp,
        DriverRequest::Glommio,
    ]
    .into_iter()
    .filter(|driver| choose_driver(*driver).is_ok())
    .collect()
}

/// Options for so many shards on that driver.
pub(crate) fn options(shards: usize, driver: DriverRequest) -> Options {
    Options {
        shards: ShardCount::Count(NonZeroUsize::new(shards).expect("a test has shards")),
        driver,
        shutdown_timeout: WATCHDOG,
        ..Options::default()
    }
}

/// Starts one shard per script.
pub(crate) fn start(options: Options, hooks: Hooks, scripts: Vec<Script>) -> Running {
    Runtime::start::<Scripted, std::convert::Infallible>(options, hooks, |_| Ok(scripts))
        .expect("the runtime starts")
}

/// Shard `index`.
pub(crate) fn shard(index: usize) -> ShardId {
    ShardId::from_index(index).expect("a test has few shards")
}

/// A channel whose receiver gives up at the watchdog.
pub(crate) fn reports<T>() -> (Sender<T>, Reports<T>) {
    let (sender, receiver) = channel();
    (sender, Reports(receiver))
}

pub(crate) struct Reports<T>(Receiver<T>);

impl<T> Reports<T> {
    /// The next report.
    pub(crate) fn next(&self) -> T {
        self.0
            .recv_timeout(WATCHDOG)
            .expect("a report before the watchdog")
    }

    /// The next `count` reports.
    pub(crate) fn take(&self, count: usize) -> Vec<T> {
        (0..count).map(|_| self.next()).collect()
    }

    /// Whether nothing has been reported.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.try_recv().is_err()
    }
}
