//! Yielding: what makes a task wait until all the others, the sockets and the timers had a turn.
//!
//! monoio's loop runs its task queue, then the main future, and then asks the kernel without
//! waiting if the queue is not empty, else waits for it. Timers fire in the second case only, and
//! a task that wakes itself keeps the queue from ever being empty. So a task that yields is kept
//! *outside* the queue:
//!
//! - The main future, which the loop polls after the queue and before the kernel, puts the
//!   yielding tasks back. They run after the kernel has been asked. That costs no system call.
//! - Once per [`PARK_INTERVAL`] it leaves them out and rings a bell of its own instead. The queue
//!   drains, the loop waits for the kernel, timers fire, and the bell ends the wait at once.
//! - The main future itself always takes that second way, since it would be polled again at once.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;

use super::bell::{Bell, Ringer, attach, bell};

/// How long timers may wait for tasks that yield all the time: their resolution.
const PARK_INTERVAL: Duration = Duration::from_millis(1);

thread_local! {
    static TURN: RefCell<Option<Rc<Turn>>> = const { RefCell::new(None) };
}

/// Who yields on this thread. One entry per task that yields, so bounded by the tasks.
struct Turn {
    yielding: RefCell<Vec<Waker>>,
    /// The other list, empty, to swap with: nothing is allocated per turn.
    spare: RefCell<Vec<Waker>>,
    main: RefCell<Option<Waker>>,
    main_yields: Cell<bool>,
    number: Cell<u64>,
    parked: Cell<Instant>,
    nudge: Ringer,
    nudging: Cell<bool>,
}

pub(crate) async fn yield_now() {
    let turn = current();
    let until = turn.number.get() + 1;
    let mut enlisted: Option<Waker> = None;
    poll_fn(|context| {
        if turn.number.get() >= until {
            return Poll::Ready(());
        }
        // A second poll before its turn must not ask for another poll of the main future: if that
        // is what yields here, it would be polled for ever.
        if !enlisted
            .as_ref()
            .is_some_and(|waker| waker.will_wake(context.waker()))
        {
            turn.enlist(context.waker());
            enlisted = Some(context.waker().clone());
        }
        Poll::Pending
    })
    .await;
}

fn current() -> Rc<Turn> {
    let turn = TURN.with_borrow(Option::clone);
    turn.expect("yielding outside an event loop")
}

pub(super) fn reset() {
    TURN.set(None);
}

/// Sets the thread's turns up.
fn set_up() -> io::Result<(Rc<Turn>, Bell)> {
    let (nudge, seat) = bell()?;
    let turn = Rc::new(Turn {
        yielding: RefCell::default(),
        spare: RefCell::default(),
        main: RefCell::default(),
        main_yields: Cell::new(false),
        number: Cell::new(0),
        parked: Cell::new(Instant::now()),
        nudge,
        nudging: Cell::new(false),
    });
    TURN.set(Some(Rc::clone(&turn)));
    Ok((turn, attach(seat)?))
}

/// Ends each wait for the kernel that yielding tasks were left out for.
async fn end_waits(turn: Rc<Turn>, mut bell: Bell) {
    loop {
        bell.wait().await;
        turn.parked.set(Instant::now());
        turn.nudging.set(false);
        turn.release();
    }
}

impl Turn {
    fn enlist(&self, waker: &Waker) {
        self.yielding.borrow_mut().push(waker.clone());
        if let Some(main) = &*self.main.borrow() {
            if main.will_wake(waker) {
                self.main_yields.set(true);
            }
            main.wake_by_ref();
        }
    }

    /// Called by the main future, between the task queue and the kernel.
    fn pass(&self) {
        if self.yielding.borrow().is_empty() || self.nudging.get() {
            return;
        }
        if self.main_yields.get() || self.parked.get().elapsed() >= PARK_INTERVAL {
            self.nudging.set(true);
            self.nudge.ring();
        } else {
            self.release();
        }
    }

    fn release(&self) {
        self.number.set(self.number.get() + 1);
        self.main_yields.set(false);
        self.yielding.swap(&self.spare);
        let mut released = self.spare.borrow_mut();
        released.drain(..).for_each(Waker::wake);
    }
}

/// Runs `future` as the main future of an event loop, with the passing of turns.
pub(super) async fn with_turns<F: Future>(future: F) -> io::Result<F::Output> {
    let (turn, bell) = set_up()?;
    turn.main.replace(Some(
        poll_fn(|context| Poll::Ready(context.waker().clone())).await,
    ));
    let waits = end_waits(Rc::clone(&turn), bell);
    Ok(WithTurns {
        turn,
        waits,
        future,
    }
    .await)
}

pin_project! {
    struct WithTurns<W, F> {
        turn: Rc<Turn>,
        #[pin]
        waits: W,
        #[pin]
        future: F,
    }
}

impl<W: Future<Output = ()>, F: Future> Future for WithTurns<W, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let waits = this.waits.poll(context);
        debug_assert!(waits.is_pending(), "it waits for ever");
        this.turn.pass();
        this.future.poll(context)
    }
}
