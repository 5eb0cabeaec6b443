//! A shard's core state, and what a panic leaves of it. A session's panic ends that session alone,
//! but not when it unwound through a mutable borrow of state that others share: half of a change
//! may be in there. Such a panic poisons the shard, and the runtime ends the process.

use std::cell::{Cell, Ref, RefCell, RefMut};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;
use std::thread;

/// Whether some guarded state of this shard was left half changed. All [`Guarded`] values of a
/// shard share one.
#[derive(Clone, Debug, Default)]
pub struct Poison(Rc<Cell<bool>>);

impl Poison {
    /// Not poisoned.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a mutable borrow was alive while its thread unwound.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.0.get()
    }
}

/// A `RefCell` that poisons its shard when a panic passes through a mutable borrow. No borrow of it
/// may be held across an `.await`.
pub struct Guarded<T: ?Sized> {
    poison: Poison,
    value: RefCell<T>,
}

impl<T> Guarded<T> {
    /// Guards `value` for the shard that `poison` belongs to.
    pub fn new(value: T, poison: &Poison) -> Self {
        Self {
            poison: poison.clone(),
            value: RefCell::new(value),
        }
    }
}

impl<T: ?Sized> Guarded<T> {
    /// A look at the value.
    ///
    /// # Panics
    /// If it is mutably borrowed: a bug of ours.
    #[track_caller]
    pub fn borrow(&self) -> Ref<'_, T> {
        self.value.borrow()
    }

    /// The value, to change it.
    ///
    /// # Panics
    /// If it is borrowed: a bug of ours.
    #[track_caller]
    pub fn borrow_mut(&self) -> GuardedMut<'_, T> {
        GuardedMut {
            poison: &self.poison,
            was_panicking: thread::panicking(),
            value: self.value.borrow_mut(),
        }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Guarded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Guarded").field(&&self.value).finish()
    }
}

/// A mutable borrow of a [`Guarded`] value.
#[must_use = "a borrow that is dropped at once changes nothing"]
pub struct GuardedMut<'a, T: ?Sized> {
    poison: &'a Poison,
    /// A borrow that begins during a panic (in some `Drop`) and ends well has changed its state
    /// wholly.
    was_panicking: bool,
    value: RefMut<'a, T>,
}

impl<T: ?Sized> Deref for GuardedMut<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: ?Sized> DerefMut for GuardedMut<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: ?Sized> Drop for GuardedMut<'_, T> {
    fn drop(&mut self) {
        if thread::panicking() && !self.was_panicking {
            self.poison.0.set(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    fn panics(f: impl FnOnce()) {
        assert!(catch_unwind(AssertUnwindSafe(f)).is_err());
    }

    #[test]
    fn a_panic_through_a_mutable_borrow_poisons_the_shard() {
        let poison = Poison::new();
        let state = Guarded::new(1, &poison);
        panics(|| {
            let mut borrowed = state.borrow_mut();
            *borrowed = 2;
            panic!("half way");
        });
        assert!(poison.is_poisoned());
    }

    #[test]
    fn a_panic_beside_a_finished_or_shared_borrow_does_not() {
        let poison = Poison::new();
        let state = Guarded::new(1, &poison);
        panics(|| {
            *state.borrow_mut() = 2;
            let _look = state.borrow();
            panic!("after the change");
        });
        assert!(!poison.is_poisoned());
        assert_eq!(*state.borrow(), 2);
    }

    #[test]
    fn a_whole_change_made_while_unwinding_does_not() {
        struct Leaves<'a>(&'a Guarded<i32>);
        impl Drop for Leaves<'_> {
            fn drop(&mut self) {
                *self.0.borrow_mut() -= 1;
            }
        }
        let poison = Poison::new();
        let readers = Guarded::new(1, &poison);
        panics(|| {
            let _leaves = Leaves(&readers);
            panic!("the session ends");
        });
        assert!(!poison.is_poisoned());
        assert_eq!(*readers.borrow(), 0);
    }

    #[test]
    fn a_borrow_that_collides_poisons_through_the_outer_one() {
        let poison = Poison::new();
        let state = Guarded::new(1, &poison);
        panics(|| {
            let _outer = state.borrow_mut();
            let _inner = state.borrow_mut();
        });
        assert!(poison.is_poisoned());
    }
}
