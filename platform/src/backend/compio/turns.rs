//! What one thread's loop keeps from turn to turn: its tasks, those that yielded, the bells it hears, the operations in
//! the system's hands, and the first panic.
//!
//! compio keeps tasks too, but drops them only together with its driver. Here the loop drops them first, so that their
//! operations can be cancelled and awaited while the driver still runs.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::bell::Station;

thread_local! {
    /// The loop that runs on this thread, while one does.
    static CURRENT: RefCell<Option<Rc<Turns>>> = const { RefCell::new(None) };
}

type BoxedFuture = Pin<Box<dyn Future<Output = ()>>>;

/// See the module. All lists are bounded by the number of tasks.
#[derive(Default)]
pub(super) struct Turns {
    tasks: RefCell<Tasks>,
    /// Tasks that yielded; they are woken after the next look at the completion port.
    yielded: RefCell<Vec<Waker>>,
    /// Bells that other threads ring.
    stations: RefCell<Vec<Rc<Station>>>,
    /// Operations that the system has not finished.
    in_flight: Cell<usize>,
    /// The first panic of a spawned task.
    panic: RefCell<Option<Box<dyn Any + Send>>>,
}

impl Turns {
    /// The loop of this thread.
    ///
    /// # Panics
    /// Outside of `block_on`.
    pub(super) fn current() -> Rc<Self> {
        CURRENT
            .with_borrow(Clone::clone)
            .expect("this thread runs no event loop")
    }

    pub(super) fn add_station(&self, station: Rc<Station>) {
        self.stations.borrow_mut().push(station);
    }

    pub(super) fn remove_station(&self, station: &Rc<Station>) {
        self.stations
            .borrow_mut()
            .retain(|other| !Rc::ptr_eq(other, station));
    }

    pub(super) fn hear_bells(&self) {
        for station in self.stations.borrow().iter() {
            station.hear();
        }
    }

    pub(super) fn add_yielded(&self, waker: Waker) {
        self.yielded.borrow_mut().push(waker);
    }

    pub(super) fn has_yielded(&self) -> bool {
        !self.yielded.borrow().is_empty()
    }

    pub(super) fn wake_yielded(&self) {
        self.yielded.borrow_mut().drain(..).for_each(Waker::wake);
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.get()
    }

    pub(super) fn take_panic(&self) -> Option<Box<dyn Any + Send>> {
        self.panic.borrow_mut().take()
    }

    /// Drops every task. What they do in their drops may spawn more; those go too.
    pub(super) fn drop_tasks(&self) {
        loop {
            let tasks = self.tasks.take().places;
            if tasks.is_empty() {
                return;
            }
            for task in tasks.into_iter().flatten() {
                task.drop_future();
            }
        }
    }

    fn keep_panic(&self, panic: Box<dyn Any + Send>) {
        self.panic.borrow_mut().get_or_insert(panic);
    }
}

/// Makes a loop this thread's until it is dropped, also when the thread unwinds.
pub(super) struct Registration;

impl Registration {
    /// # Panics
    /// When the thread has a loop already.
    pub(super) fn new(turns: &Rc<Turns>) -> Self {
        CURRENT.with_borrow_mut(|current| {
            assert!(current.is_none(), "this thread runs an event loop already");
            *current = Some(Rc::clone(turns));
        });
        Self
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        CURRENT.set(None);
    }
}

/// Counts one operation as in the system's hands for as long as it lives.
pub(super) struct InFlight(Rc<Turns>);

impl InFlight {
    pub(super) fn begin() -> Self {
        let turns = Turns::current();
        turns.in_flight.update(|count| count + 1);
        Self(turns)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.update(|count| count - 1);
    }
}

/// The live tasks, each at a place that its end frees.
#[derive(Default)]
struct Tasks {
    places: Vec<Option<Rc<Task>>>,
    free: Vec<usize>,
}

impl Tasks {
    fn add(&mut self, task: Rc<Task>) -> usize {
        let place = self.free.pop().unwrap_or(self.places.len());
        if place == self.places.len() {
            self.places.push(None);
        }
        if let Some(free) = self.places.get_mut(place) {
            *free = Some(task);
        }
        place
    }

    /// Places may have been taken all at once by the loop's end; then there is nothing to free.
    fn remove(&mut self, place: usize) {
        if self.places.get_mut(place).and_then(Option::take).is_some() {
            self.free.push(place);
        }
    }
}

/// A spawned future, until it has ended or the loop has.
struct Task {
    future: RefCell<Option<BoxedFuture>>,
}

impl Task {
    fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        match &mut *self.future.borrow_mut() {
            Some(future) => future.as_mut().poll(context),
            None => Poll::Ready(()),
        }
    }

    fn drop_future(&self) {
        let future = self.future.borrow_mut().take();
        drop(future);
    }
}

/// What compio runs in a task's place.
struct Runner {
    task: Rc<Task>,
    place: usize,
    turns: Rc<Turns>,
}

impl Future for Runner {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match catch_unwind(AssertUnwindSafe(|| self.task.poll(context))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(())) => {}
            Err(panic) => self.turns.keep_panic(panic),
        }
        self.task.drop_future();
        self.turns.tasks.borrow_mut().remove(self.place);
        Poll::Ready(())
    }
}

/// Registers `future` as a task of this thread's loop; what is returned is to be run by compio.
pub(super) fn task(future: impl Future<Output = ()> + 'static) -> impl Future<Output = ()> {
    let turns = Turns::current();
    let future: BoxedFuture = Box::pin(future);
    let task = Rc::new(Task {
        future: RefCell::new(Some(future)),
    });
    let place = turns.tasks.borrow_mut().add(Rc::clone(&task));
    Runner { task, place, turns }
}
