//! A bell that any thread rings and one task of an event loop hears: the only way from another thread into the loop.
//!
//! compio's own cross-thread task wakes go through a bounded queue at which the waking thread may spin; a bell is a flag
//! and a post to the completion port, and nobody waits. A ring that comes before the task waits is remembered.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use compio::runtime::Runtime;

use super::turns::Turns;

/// What both ends share.
#[derive(Default)]
struct Shared {
    rung: AtomicBool,
    /// Interrupts the loop of the hearing thread; empty until that thread has taken its station.
    driver: OnceLock<Waker>,
}

/// The end that rings.
#[derive(Clone)]
pub(crate) struct Ringer(Arc<Shared>);

/// The end that hears, not on a loop yet.
pub(crate) struct BellSeat(Arc<Shared>);

/// The end that hears, on its loop.
pub(super) struct Station {
    shared: Arc<Shared>,
    heard: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
}

/// Keeps a station in its loop's list.
pub(crate) struct Bell {
    station: Rc<Station>,
    turns: Weak<Turns>,
}

/// A bell as the doorbell wants it.
///
/// # Errors
/// None here: it takes no descriptor.
pub(crate) fn bell() -> io::Result<(Ringer, BellSeat)> {
    Ok(pair())
}

pub(super) fn pair() -> (Ringer, BellSeat) {
    let shared = Arc::new(Shared::default());
    (Ringer(Arc::clone(&shared)), BellSeat(shared))
}

impl Ringer {
    /// Wakes the hearing task, now or when it next waits.
    pub(crate) fn ring(&self) {
        if self.0.rung.swap(true, Ordering::SeqCst) {
            return;
        }
        fence(Ordering::SeqCst);
        if let Some(driver) = self.0.driver.get() {
            driver.wake_by_ref();
        }
    }
}

/// Takes its place on this thread's loop.
///
/// # Panics
/// Outside of `block_on`.
pub(crate) fn attach(seat: BellSeat) -> io::Result<Bell> {
    let driver = Runtime::with_current(Runtime::waker);
    seat.0.driver.set(driver).expect("a seat is attached once");
    fence(Ordering::SeqCst);
    let station = Rc::new(Station {
        shared: seat.0,
        heard: Cell::new(false),
        waiting: RefCell::new(None),
    });
    let turns = Turns::current();
    turns.add_station(Rc::clone(&station));
    Ok(Bell {
        station,
        turns: Rc::downgrade(&turns),
    })
}

impl Station {
    /// Called by the loop after each look at the port.
    pub(super) fn hear(&self) {
        if !self.shared.rung.load(Ordering::SeqCst)
            || !self.shared.rung.swap(false, Ordering::SeqCst)
        {
            return;
        }
        self.heard.set(true);
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }
}

impl Bell {
    /// Returns once for all rings since the last time.
    pub(crate) async fn wait(&mut self) {
        std::future::poll_fn(|context| self.poll_heard(context)).await;
    }

    /// Ready once for all rings since the last time.
    pub(super) fn poll_heard(&self, context: &mut Context<'_>) -> Poll<()> {
        self.station.hear();
        if self.station.heard.replace(false) {
            return Poll::Ready(());
        }
        *self.station.waiting.borrow_mut() = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        if let Some(turns) = self.turns.upgrade() {
            turns.remove_station(&self.station);
        }
    }
}
