//! What stands between a task and the event loop: it marks each poll for the stall detector, counts
//! the task, and catches its panics. A session's panic ends that session; any other, or one that
//! left guarded state half changed, is the shard's.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::mark::Mark;
use crate::scope::Scope;

/// Boxed, because a future that an `async` block or a combinator takes in by value is held there
/// twice.
type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Told a session's panic message.
pub(crate) type OnPanic = Box<dyn FnOnce(String)>;

/// A task under supervision; the future that the event loop polls.
pub(crate) struct Supervised {
    task: Option<Task>,
    mark: Mark,
    scope: Rc<Scope>,
    kind: Kind,
}

/// Whose panic it is.
enum Kind {
    Shard,
    /// `None` once the panic has been told.
    Session(Option<OnPanic>),
}

impl Supervised {
    /// A task whose panic is the shard's.
    pub(crate) fn task(
        scope: &Rc<Scope>,
        mark: Mark,
        task: impl Future<Output = ()> + 'static,
    ) -> Self {
        Self::new(scope, mark, Box::pin(task), Kind::Shard)
    }

    /// A task whose panic ends it alone.
    pub(crate) fn session(
        scope: &Rc<Scope>,
        mark: Mark,
        task: impl Future<Output = ()> + 'static,
        on_panic: OnPanic,
    ) -> Self {
        scope.counters().sessions.add(1);
        Self::new(scope, mark, Box::pin(task), Kind::Session(Some(on_panic)))
    }

    fn new(scope: &Rc<Scope>, mark: Mark, task: Task, kind: Kind) -> Self {
        scope.counters().tasks.add(1);
        Self {
            task: Some(task),
            mark,
            scope: Rc::clone(scope),
            kind,
        }
    }

    /// Drops the task inside the supervision: its `Drop` belongs to it as much as its polls.
    fn finish(&mut self) {
        let task = self.task.take();
        if let Err(message) = caught(|| drop(task)) {
            self.handle_panic(message);
        }
    }

    fn handle_panic(&mut self, message: String) {
        let told = match &mut self.kind {
            Kind::Shard => return self.scope.handle_shard_panic(message),
            Kind::Session(on_panic) => on_panic.take(),
        };
        self.scope
            .counters()
            .session_panics
            .add(u64::from(told.is_some()));
        self.finish();
        if self.scope.poison().is_poisoned() {
            let message = format!("{message} (while the shard's state was being changed)");
            return self.scope.handle_shard_panic(message);
        }
        if let Some(on_panic) = told
            && let Err(message) = caught(|| on_panic(message))
        {
            self.scope.handle_shard_panic(message);
        }
    }
}

impl Future for Supervised {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let Some(task) = this.task.as_mut() else {
            return Poll::Ready(());
        };
        if this.scope.has_failed() {
            // The shard's state may be half changed, so nothing runs on it until the shard is gone.
            return Poll::Pending;
        }
        this.scope.pulse().set_mark(this.mark);
        match caught(|| task.as_mut().poll(context)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(())) => this.finish(),
            Err(message) => this.handle_panic(message),
        }
        Poll::Ready(())
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        let counters = self.scope.counters();
        counters.tasks.subtract(1);
        if matches!(self.kind, Kind::Session(_)) {
            counters.sessions.subtract(1);
        }
    }
}

/// Polls `future` to its end, or to its panic's message.
pub(crate) async fn poll_caught<F: Future>(future: F) -> Result<F::Output, String> {
    let mut future = pin!(future);
    poll_fn(|context| match caught(|| future.as_mut().poll(context)) {
        Ok(poll) => poll.map(Ok),
        Err(message) => Poll::Ready(Err(message)),
    })
    .await
}

/// Runs `f` and turns its panic into the panic's message. Unwind safety is what
/// [`Guarded`](crate::Guarded) is for.
pub(crate) fn caught<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(f)).map_err(message_of)
}

fn message_of(payload: Box<dyn Any + Send>) -> String {
    let message = match payload.downcast_ref::<&'static str>() {
        Some(text) => String::from(*text),
        None => match payload.downcast_ref::<String>() {
            Some(text) => text.clone(),
            None => String::from("a panic without a message"),
        },
    };
    // A payload may panic when dropped; whoever made such a one does not bring the shard down by
    // it.
    std::mem::forget(payload);
    message
}
