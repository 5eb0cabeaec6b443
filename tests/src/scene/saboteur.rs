//! Faults inside a running server: a shard that is held busy, a shard's panic, sessions that panic when their peer says
//! so. They come in by the companion that a program may run on every shard; the daemon has none.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::mpsc::{self, Sender, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use shardcast::Companion;
use shardcast::session::{Sink, Source, Transport, serve};
use shardcast::shard::Shard;
use shardcast_platform::{
    AcceptOutcome, Cancel, Gather, IdleSocket, ListenAddress, Outcome, SendBuffer, Slab, bind,
};
use shardcast_runtime::{Mark, Stage};

use super::PATIENCE;

/// How often a shard looks for orders.
const LOOK: Duration = Duration::from_millis(5);

/// A shard is held no longer, whatever becomes of the test.
const HOLD_MAX: Duration = Duration::from_secs(30);

/// A turn of a task that burdens its shard: short beside what other tasks wait for anyway.
const BURDEN_TURN: Duration = Duration::from_millis(2);

/// What a peer at a thorny door says to make its session panic.
pub const PANIC_WORD: &[u8] = b"PANIC-NOW";

/// Name of what the faults do, for the stall detector: past all of the server's own.
const STAGE: Stage = Stage::engine(99);

/// What a shard is to do, on its own thread.
type Order = Box<dyn FnOnce(&Rc<Shard>) + Send>;

/// Gives orders to the shards of one server.
#[derive(Clone, Default)]
pub struct Saboteur {
    orders: Arc<Mutex<VecDeque<(usize, Order)>>>,
}

impl std::fmt::Debug for Saboteur {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Saboteur")
    }
}

/// A shard that is busy until this is dropped.
#[derive(Debug)]
pub struct Held(#[expect(dead_code, reason = "hung up by being dropped")] Sender<()>);

impl Saboteur {
    /// What the server has to be started with.
    pub fn companion(&self) -> Companion {
        let saboteur = self.clone();
        Arc::new(move |shard| {
            let (saboteur, task) = (saboteur.clone(), shard.clone());
            shard.context.spawn(Mark::stage(STAGE), async move {
                loop {
                    shardcast_platform::sleep(LOOK).await;
                    while let Some(order) = saboteur.next_order(task.id().index()) {
                        order(&task);
                    }
                }
            });
        })
    }

    /// Keeps a shard busy. It is by the time that this returns.
    ///
    /// # Panics
    /// When the shard does not come round.
    pub fn hold(&self, shard: usize) -> Held {
        let (entered, is_held) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        self.give(shard, move |_| {
            // The test may have failed meanwhile.
            let _ = entered.send(());
            let _hung_up = released.recv_timeout(HOLD_MAX);
        });
        is_held
            .recv_timeout(PATIENCE)
            .expect("the shard comes round");
        Held(release)
    }

    /// Takes all the time that a shard has, and lets its other tasks have their turns. It does by the time that this
    /// returns, until what it returns is dropped.
    ///
    /// # Panics
    /// When the shard does not come round.
    pub fn burden(&self, shard: usize) -> Held {
        let (entered, is_burdened) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        self.give(shard, move |shard| {
            shard.context.spawn(Mark::stage(STAGE), async move {
                let end = Instant::now() + HOLD_MAX;
                let _ = entered.send(());
                while released.try_recv() == Err(TryRecvError::Empty) && Instant::now() < end {
                    let turn = Instant::now() + BURDEN_TURN;
                    while Instant::now() < turn {
                        std::hint::spin_loop();
                    }
                    shardcast_platform::yield_now().await;
                }
            });
        });
        is_burdened
            .recv_timeout(PATIENCE)
            .expect("the shard comes round");
        Held(release)
    }

    /// Makes a task of the shard's own panic. `first` is called just before.
    pub fn panic_on(&self, shard: usize, first: impl FnOnce() + Send + 'static) {
        self.give(shard, |_| {
            first();
            panic!("a bug in a shard's core");
        });
    }

    /// Opens a door on a shard whose sessions panic when their peer says [`PANIC_WORD`], and says where.
    ///
    /// # Panics
    /// When the shard does not come round.
    pub fn thorny_door(&self, shard: usize) -> SocketAddr {
        let (opened, open) = mpsc::channel();
        self.give(shard, move |shard| {
            let _test_is_gone = opened.send(open_door(shard));
        });
        open.recv_timeout(PATIENCE).expect("the shard comes round")
    }

    fn give(&self, shard: usize, order: impl FnOnce(&Rc<Shard>) + Send + 'static) {
        self.lock().push_back((shard, Box::new(order)));
    }

    fn next_order(&self, shard: usize) -> Option<Order> {
        let mut orders = self.lock();
        let at = orders.iter().position(|(of, _)| *of == shard)?;
        orders.remove(at).map(|(_, order)| order)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<(usize, Order)>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open_door(shard: &Rc<Shard>) -> SocketAddr {
    let any: ListenAddress = "127.0.0.1:0".parse().expect("an address");
    let bound = bind(&any, 1).expect("a free port");
    let (address, task) = (bound.local_addr, shard.clone());
    shard.context.spawn(Mark::stage(STAGE), async move {
        let acceptor = bound.acceptors.into_iter().next();
        let listener = acceptor.expect("one shard").start().expect("it listens");
        let never = Cancel::new();
        while let AcceptOutcome::Accepted(stream, peer) = listener.accept(&never).await {
            serve(&task, Thorny(stream), peer);
        }
    });
    address
}

/// A stream on which a word makes the session panic that reads it.
struct Thorny<T>(T);

impl<T: Source> Source for Thorny<T> {
    async fn read_or(&mut self, slab: Slab, cancel: &Cancel) -> (Outcome, Slab) {
        let (outcome, slab) = self.0.read_or(slab, cancel).await;
        let mut words = slab.filled().windows(PANIC_WORD.len());
        assert!(words.all(|word| word != PANIC_WORD), "a bug in a session");
        (outcome, slab)
    }
}

impl<T: Sink> Sink for Thorny<T> {
    async fn write_or(&mut self, gather: Gather, cancel: &Cancel) -> (Outcome, Gather) {
        self.0.write_or(gather, cancel).await
    }

    fn unacknowledged_bytes(&self) -> io::Result<usize> {
        self.0.unacknowledged_bytes()
    }

    async fn shutdown_write(&mut self) -> io::Result<()> {
        self.0.shutdown_write().await
    }
}

impl<T: Transport> Transport for Thorny<T> {
    type Source = Thorny<T::Source>;
    type Sink = Thorny<T::Sink>;

    fn split(self) -> (Self::Source, Self::Sink) {
        let (source, sink) = self.0.split();
        (Thorny(source), Thorny(sink))
    }

    fn reunite(source: Self::Source, sink: Self::Sink) -> Self {
        Self(T::reunite(source.0, sink.0))
    }

    fn bound_send_buffer(&self, bound: SendBuffer) -> io::Result<()> {
        self.0.bound_send_buffer(bound)
    }

    fn local_ip(&self) -> Option<IpAddr> {
        self.0.local_ip()
    }

    /// It stays on the shard of its door, thorn and all.
    fn is_movable(&self) -> bool {
        false
    }

    fn release(self) -> Result<IdleSocket, Self> {
        Err(self)
    }
}
