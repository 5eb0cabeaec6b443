//! The seam between the mailbox and its rings: two small traits that `rtrb` implements in what
//! ships, and a stand-in implements where a model checker has to see every access.

/// The writing end of a bounded single-producer, single-consumer ring.
pub(crate) trait RingWriter<T> {
    /// Puts `item` at the end, or gives it back when the ring is full. Never waits.
    fn push(&mut self, item: T) -> Result<(), T>;

    /// Whether a push would succeed now.
    fn has_room(&self) -> bool;
}

/// The reading end of such a ring.
pub(crate) trait RingReader<T> {
    /// Takes the oldest item.
    fn pop(&mut self) -> Option<T>;

    /// Items that can be taken now; more may come at any time.
    fn len(&self) -> usize;

    /// Whether a pop would find nothing now.
    fn is_empty(&self) -> bool;
}

/// A family of rings: the mailbox is generic over it.
pub(crate) trait Rings: 'static {
    /// The writing end.
    type Writer<T: Send + 'static>: RingWriter<T> + Send + 'static;
    /// The reading end.
    type Reader<T: Send + 'static>: RingReader<T> + Send + 'static;

    /// A ring for `capacity` items.
    fn pair<T: Send + 'static>(capacity: usize) -> (Self::Writer<T>, Self::Reader<T>);
}

/// The rings that ship: wait-free, one allocation each, made once at start.
pub(crate) struct Rtrb;

impl Rings for Rtrb {
    type Writer<T: Send + 'static> = rtrb::Producer<T>;
    type Reader<T: Send + 'static> = rtrb::Consumer<T>;

    fn pair<T: Send + 'static>(capacity: usize) -> (Self::Writer<T>, Self::Reader<T>) {
        rtrb::RingBuffer::new(capacity)
    }
}

impl<T> RingWriter<T> for rtrb::Producer<T> {
    fn push(&mut self, item: T) -> Result<(), T> {
        Self::push(self, item).map_err(|rtrb::PushError::Full(item)| item)
    }

    fn has_room(&self) -> bool {
        !self.is_full()
    }
}

impl<T> RingReader<T> for rtrb::Consumer<T> {
    fn pop(&mut self) -> Option<T> {
        Self::pop(self).ok()
    }

    fn len(&self) -> usize {
        self.slots()
    }

    fn is_empty(&self) -> bool {
        Self::is_empty(self)
    }
}
