//! A way into a shard for threads that are no shards: what they were asked to work out comes back
//! to the shard's tasks through its door. Not for packets: the queue has a lock.
//!
//! Made before the shard starts; the sending end goes to the thread, the seat to the shard, which
//! opens the door on its own event loop.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shardcast_platform::{Doorbell, DoorbellSeat, DoorbellWaiter};

use crate::Full;

/// A door behind which at most `most` values wait.
///
/// # Errors
/// When descriptors have run out.
pub fn door<T: Send>(most: usize) -> io::Result<(DoorSender<T>, DoorSeat<T>)> {
    let (bell, seat) = Doorbell::pair()?;
    let queue = Queue {
        values: Arc::default(),
        most,
    };
    let sender = DoorSender {
        queue: queue.clone(),
        bell,
    };
    Ok((sender, DoorSeat { queue, seat }))
}

/// The outer side: any thread's.
pub struct DoorSender<T> {
    queue: Queue<T>,
    bell: Doorbell,
}

/// The inner side on its way to its shard.
pub struct DoorSeat<T> {
    queue: Queue<T>,
    seat: DoorbellSeat,
}

/// The inner side, on its shard's event loop.
pub struct Door<T> {
    queue: Queue<T>,
    waiter: DoorbellWaiter,
}

struct Queue<T> {
    values: Arc<Mutex<VecDeque<T>>>,
    most: usize,
}

impl<T> DoorSender<T> {
    /// Hands a value in. Never waits for the shard.
    ///
    /// # Errors
    /// So many values wait already: this one comes back.
    pub fn send(&self, value: T) -> Result<(), Full<T>> {
        {
            let mut values = self.queue.lock();
            if values.len() >= self.queue.most {
                return Err(Full(value));
            }
            values.push_back(value);
        }
        self.bell.ring();
        Ok(())
    }
}

impl<T> DoorSeat<T> {
    /// Opens the door on this thread's event loop.
    ///
    /// # Errors
    /// When the driver cannot register it.
    ///
    /// # Panics
    /// Outside an event loop.
    pub fn open(self) -> io::Result<Door<T>> {
        Ok(Door {
            queue: self.queue,
            waiter: self.seat.attach()?,
        })
    }
}

impl<T> Door<T> {
    /// The next value, in the order in which they were handed in. Dropping the future is safe.
    pub async fn receive(&mut self) -> T {
        loop {
            // Taken in a statement of its own: no lock is held while this waits.
            let value = self.queue.lock().pop_front();
            if let Some(value) = value {
                return value;
            }
            let queue = &self.queue;
            self.waiter.wait(|| !queue.lock().is_empty()).await;
        }
    }
}

impl<T> Queue<T> {
    fn lock(&self) -> MutexGuard<'_, VecDeque<T>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self {
            values: Arc::clone(&self.values),
            most: self.most,
        }
    }
}

impl<T> std::fmt::Debug for DoorSender<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DoorSender")
    }
}

impl<T> std::fmt::Debug for DoorSeat<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DoorSeat")
    }
}

impl<T> std::fmt::Debug for Door<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Door")
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use shardcast_platform::{DriverRequest, block_on, choose_driver};

    /// More than any queue here holds, so that the sender has to be told that it is full.
    const VALUES: u32 = 10_000;

    #[test]
    fn what_another_thread_hands_in_arrives_whole_and_in_order() {
        let driver = choose_driver(DriverRequest::Auto).unwrap().driver;
        let (sender, seat) = door(8).unwrap();
        let outside = std::thread::spawn(move || {
            for value in 0..VALUES {
                let mut next = value;
                while let Err(Full(back)) = sender.send(next) {
                    next = back;
                    std::thread::yield_now();
                }
            }
        });
        let received = block_on(driver, async {
            let mut door = seat.open().unwrap();
            for due in 0..VALUES {
                assert_eq!(door.receive().await, due);
            }
        });
        received.unwrap();
        outside.join().unwrap();
    }

    #[test]
    fn a_door_has_its_maximum_of_values_waiting() {
        let (sender, _seat) = door(2).unwrap();
        assert!(sender.send('a').is_ok() && sender.send('b').is_ok());
        assert!(matches!(sender.send('c'), Err(Full('c'))));
    }
}
