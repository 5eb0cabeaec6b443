//! One shard's life: it attaches its doorbell, starts the node, serves the inbox, beats its heart,
//! drains and ends. It is one future, and nothing in it belongs to a thread, so that several shards
//! can run on one.

use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use shardcast_platform as platform;
use shardcast_platform::{Doorbell, DoorbellSeat, DoorbellWaiter, Driver};

use crate::bells::Bells;
use crate::context::ShardContext;
use crate::local::{Either, Notify, Receiver, oneshot, race};
use crate::mailbox::{Delivery, Drained, Inbox, Mailbox, Rtrb};
use crate::mark::{Mark, Stage};
use crate::scope::Scope;
use crate::shutdown::{Arrival, Shutdown};
use crate::supervise::poll_caught;
use crate::{Messages, Node};

/// How often a shard counts the time in which it was busy: a look at a file of the kernel, at the most.
const BUSY_INTERVAL: Duration = Duration::from_secs(1);

/// Everything that a shard starts from, made by the thread that starts the runtime.
pub(crate) struct Seat<N: Node> {
    pub(crate) seed: N::Seed,
    pub(crate) mailbox: Mailbox<N::Messages, Rtrb>,
    pub(crate) doorbell: DoorbellSeat,
    pub(crate) doorbells: Arc<[Doorbell]>,
    pub(crate) shutdown: Arc<Shutdown>,
    pub(crate) arrival: Arrival,
    pub(crate) driver: Driver,
    pub(crate) heartbeat: Duration,
}

/// How a shard ended.
#[derive(Debug)]
pub(crate) enum ShardEnd {
    /// It drained in time.
    Drained,
    /// It was still busy at the deadline.
    DeadlinePassed,
    /// It panicked, and the hook let the process live.
    Panicked,
    /// It could not start: the event loop or its doorbell was refused.
    Refused(std::io::Error),
}

/// The whole life of a shard. `ready` is called once its node has started.
pub(crate) async fn run<N: Node>(
    scope: Rc<Scope>,
    seat: Seat<N>,
    ready: impl FnOnce(),
) -> ShardEnd {
    let life = live(Rc::clone(&scope), seat, ready);
    match race(scope.failure(), poll_caught(life)).await {
        Either::First(()) => ShardEnd::Panicked,
        Either::Second(Ok(end)) => end,
        Either::Second(Err(message)) => {
            scope.handle_shard_panic(message);
            ShardEnd::Panicked
        }
    }
}

async fn live<N: Node>(scope: Rc<Scope>, seat: Seat<N>, ready: impl FnOnce()) -> ShardEnd {
    scope.pulse().set_mark(Mark::stage(Stage::START));
    scope.tick();
    let waiter = match seat.doorbell.attach() {
        Ok(waiter) => waiter,
        Err(error) => return ShardEnd::Refused(error),
    };
    let (outbox, inbox) = seat.mailbox;
    let bells = Rc::new(Bells::new(seat.doorbells));
    let context = ShardContext::new(Rc::clone(&scope), outbox, Rc::clone(&bells), seat.driver);
    spawn_bell_ringer(&context, Rc::clone(&bells));
    let node = N::start(context.clone(), seat.seed);
    let service = Rc::new(Service {
        node,
        context,
        bells,
        shutdown: seat.shutdown,
        progress: Notify::new(),
    });
    service.spawn_inbox(inbox, waiter);
    ready();
    beating(&scope, seat.heartbeat, service.until_the_end(seat.arrival)).await
}

fn spawn_bell_ringer<M: Messages>(context: &ShardContext<M>, bells: Rc<Bells>) {
    let counting = context.clone();
    context.spawn(Mark::stage(Stage::BELLS), async move {
        bells.ring_whenever_marked(counting.stats()).await;
    });
}

/// Runs `life` while the heart beats.
async fn beating<F: Future>(scope: &Scope, period: Duration, life: F) -> F::Output {
    let mut life = pin!(life);
    let mut next_count = platform::now();
    let mut meter = BusyMeter::default();
    loop {
        scope.tick();
        let now = platform::now();
        if now >= next_count {
            next_count = now + BUSY_INTERVAL;
            count_busy_time(scope, &mut meter, now);
        }
        if let Either::First(end) = race(life.as_mut(), platform::sleep(period)).await {
            return end;
        }
    }
}

/// Where the system does not say, nothing is counted.
fn count_busy_time(scope: &Scope, meter: &mut BusyMeter, now: Instant) {
    if let Ok(busy) = platform::thread_busy_time() {
        let busy_us = u64::try_from(busy.as_micros()).unwrap_or(u64::MAX);
        scope.counters().busy_us.raise(busy_us);
        scope.counters().busy_permille.set(meter.note(now, busy));
    }
}

/// The busy share of the last two seconds: of one, a burst would look like a load that stays.
#[derive(Default)]
struct BusyMeter {
    /// When busy time was read before the last time, and the last time.
    readings: [Option<(Instant, Duration)>; 2],
}

impl BusyMeter {
    /// Takes a reading; the share since the one before the last, in thousandths.
    fn note(&mut self, now: Instant, busy: Duration) -> u64 {
        let [before, last] = self.readings;
        self.readings = [last, Some((now, busy))];
        let Some((since, busy_then)) = before.or(last) else {
            return 0;
        };
        let passed_us = now.saturating_duration_since(since).as_micros();
        let busy_us = busy.saturating_sub(busy_then).as_micros();
        let permille = (busy_us * 1000).checked_div(passed_us).unwrap_or(0);
        u64::try_from(permille).unwrap_or(1000).min(1000)
    }
}

/// What the inbox and the shard's end have in common.
struct Service<N: Node> {
    node: Rc<N>,
    context: ShardContext<N::Messages>,
    bells: Rc<Bells>,
    shutdown: Arc<Shutdown>,
    /// Told whenever the inbox was woken: the shutdown may have moved on.
    progress: Notify,
}

impl<N: Node> Service<N> {
    fn spawn_inbox(self: &Rc<Self>, inbox: Inbox<N::Messages, Rtrb>, waiter: DoorbellWaiter) {
        let service = Rc::clone(self);
        self.context.spawn(Mark::stage(Stage::INBOX), async move {
            service.serve(inbox, waiter).await;
        });
    }

    /// Serves the inbox for the rest of the shard's life. A turn is bounded; between two of them
    /// every other task has its own.
    async fn serve(&self, mut inbox: Inbox<N::Messages, Rtrb>, mut waiter: DoorbellWaiter) {
        let mut seen = Seen::default();
        loop {
            let drained = inbox.drain(|from, delivery| match delivery {
                Delivery::Media(message) => self.node.handle_media(from, message),
                Delivery::Control(message) => self.node.handle_control(from, message),
                Delivery::Return(message) => self.node.handle_return(from, message),
            });
            self.settle(&drained);
            if seen.advance(&self.shutdown) {
                self.progress.notify();
            }
            if drained.more || self.has_work(&inbox, seen) {
                platform::yield_now().await;
            } else {
                waiter.wait(|| self.has_work(&inbox, seen)).await;
                self.context.stats().wakes.add(1);
            }
        }
    }

    fn has_work(&self, inbox: &Inbox<N::Messages, Rtrb>, seen: Seen) -> bool {
        inbox.has_something()
            || self.context.outbox().wants_flush()
            || seen.is_behind(&self.shutdown)
    }

    /// After a turn: counts it, tells senders with a spill list that there is room, moves our own
    /// lists on.
    fn settle(&self, drained: &Drained) {
        self.context.stats().count_turn(drained);
        for sender in drained.hungry.iter() {
            self.bells.mark(sender);
        }
        if self.context.outbox().wants_flush() {
            self.context.outbox().flush(|to| self.bells.mark(to));
        }
    }

    /// Waits for the shutdown, drains, and waits for the others.
    async fn until_the_end(&self, arrival: Arrival) -> ShardEnd {
        while !self.shutdown.is_requested() {
            self.progress.notified().await;
        }
        let deadline = self.shutdown.deadline().unwrap_or_else(platform::now);
        let drained = within(deadline, self.drained()).await;
        drop(arrival);
        // Whether the others arrive in time is their result, not this shard's.
        let _ = within(deadline, self.until_all_have_arrived()).await;
        match drained {
            Some(Ok(())) => ShardEnd::Drained,
            _ => ShardEnd::DeadlinePassed,
        }
    }

    /// Drains the node in a task, so that its polls are marked and what it has in flight at the
    /// deadline ends with the event loop.
    fn drained(&self) -> Receiver<()> {
        let (done, drained) = oneshot();
        let node = Rc::clone(&self.node);
        self.context.spawn(Mark::stage(Stage::DRAIN), async move {
            node.drain().await;
            // The receiver is gone when the deadline has passed.
            let _ = done.send(());
        });
        drained
    }

    async fn until_all_have_arrived(&self) {
        while !self.shutdown.all_have_arrived() {
            self.progress.notified().await;
        }
    }
}

/// How much of the shutdown this shard has taken notice of.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Seen {
    request: bool,
    arrival: bool,
}

impl Seen {
    fn now(shutdown: &Shutdown) -> Self {
        Self {
            request: shutdown.is_requested(),
            arrival: shutdown.all_have_arrived(),
        }
    }

    fn is_behind(self, shutdown: &Shutdown) -> bool {
        self != Self::now(shutdown)
    }

    /// Takes notice; whether there was anything new.
    fn advance(&mut self, shutdown: &Shutdown) -> bool {
        let now = Self::now(shutdown);
        std::mem::replace(self, now) != now
    }
}

/// The future's output, or `None` at the deadline.
async fn within<F: Future>(deadline: Instant, future: F) -> Option<F::Output> {
    match race(future, platform::sleep_until(deadline)).await {
        Either::First(output) => Some(output),
        Either::Second(()) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busy_share_is_that_of_two_seconds() {
        let begin = Instant::now();
        let mut meter = BusyMeter::default();
        let mut note = |second, busy_ms| {
            let now = begin + Duration::from_secs(second);
            meter.note(now, Duration::from_millis(busy_ms))
        };
        assert_eq!(note(0, 5), 0);
        assert_eq!(note(1, 505), 500);
        assert_eq!(note(2, 505), 250);
        assert_eq!(note(3, 1505), 500);
        assert_eq!(note(4, 2505), 1000);
    }
}
