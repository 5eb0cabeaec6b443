//! Many readers of one path, served by the calling thread through one `mio::Poll`.
//!
//! They are made to be cheap, so that the server is what is measured: a reader that only counts bytes has the kernel throw
//! them away unread where it can (`MSG_TRUNC`, Linux), as the bare senders' readers do.

use std::io::{self, Read as _};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::SockRef;

use crate::BenchError;
use crate::peer;
use crate::tally::Tally;

/// Bytes asked of a socket at once: above what a receive buffer usually holds, so that one call empties it.
const READ_BYTES: usize = 1 << 20;
/// Events taken from the kernel at once.
const EVENTS: usize = 1024;
/// Without a byte for so long, nothing will come any more.
const STUCK_AFTER: Duration = Duration::from_secs(20);
/// Linux's `MSG_TRUNC`; elsewhere the bytes are copied as usual.
const DISCARD: i32 = if cfg!(target_os = "linux") { 0x20 } else { 0 };

/// What the readers do with what they receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Count bytes.
    Bytes,
    /// Look at every packet's sequence number.
    Sequence,
}

/// How the readers' thread waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// It sleeps until something comes. To wake it is work of the sender's CPU: cheap over a network, dear between the
    /// CPUs of one machine, and the more frequent the faster the readers are.
    Asleep,
    /// It asks again and again, so that the sender's own cost is left.
    Awake,
}

#[derive(Debug)]
struct Reader {
    stream: TcpStream,
    bytes: u64,
    tally: Tally,
    is_open: bool,
}

/// The readers of a path.
#[derive(Debug)]
pub struct Readers {
    poll: Poll,
    events: Events,
    readers: Vec<Reader>,
    check: Check,
    wait: Wait,
    buffer: Vec<u8>,
    discarded: Vec<MaybeUninit<u8>>,
    open: usize,
    /// Readers that have fewer bytes than this are counted in `behind`.
    due_bytes: u64,
    behind: usize,
}

/// What all readers have received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Packets of all readers.
    pub packets: u64,
    /// Packets of the reader that has fewest.
    pub packets_min: u64,
    /// Packets that sequence numbers leave out.
    pub lost: u64,
    /// Packets that came again or out of order.
    pub repeated: u64,
    /// Readers that were sent something else than frames.
    pub broken: usize,
    /// Readers whose connection the server has ended.
    pub closed: usize,
}

impl Readers {
    /// Connects so many readers and plays.
    ///
    /// # Errors
    /// When the server is not there or refuses one of them.
    pub fn connect(
        address: SocketAddr,
        url: &str,
        count: usize,
        check: Check,
    ) -> Result<Self, BenchError> {
        let playing = (0..count).map(|_| peer::play(address, url));
        Self::of(playing.collect::<Result<Vec<_>, _>>()?, check)
    }

    /// Readers of connections on which packets flow, with the bytes of them that were read already.
    fn of(
        playing: impl IntoIterator<Item = (std::net::TcpStream, Vec<u8>)>,
        check: Check,
    ) -> Result<Self, BenchError> {
        let poll = Poll::new()?;
        let mut readers = Vec::new();
        for (stream, begun) in playing {
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            let token = Token(readers.len());
            poll.registry()
                .register(&mut stream, token, Interest::READABLE)?;
            let mut tally = Tally::default();
            tally.handle_bytes(&begun);
            readers.push(Reader {
                stream,
                bytes: begun.len() as u64,
                tally,
                is_open: true,
            });
        }
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS),
            open: readers.len(),
            readers,
            check,
            wait: Wait::Asleep,
            buffer: vec![0; READ_BYTES],
            discarded: vec![MaybeUninit::uninit(); READ_BYTES],
            due_bytes: 0,
            behind: 0,
        })
    }

    /// Waits like this from now on while bytes are due.
    pub fn set_wait(&mut self, wait: Wait) {
        self.wait = wait;
    }

    /// Reads until every reader has so many bytes.
    ///
    /// # Errors
    /// When a connection ends before, or nothing comes any more.
    pub fn read_bytes(&mut self, due_bytes: u64) -> Result<(), BenchError> {
        let is_behind = |reader: &&Reader| reader.bytes < due_bytes;
        self.due_bytes = due_bytes;
        self.behind = self.readers.iter().filter(is_behind).count();
        let (all, mut heard) = (self.open, Instant::now());
        let timeout = match self.wait {
            Wait::Asleep => STUCK_AFTER,
            Wait::Awake => Duration::ZERO,
        };
        while self.behind > 0 {
            if self.turn(timeout)? {
                heard = Instant::now();
            }
            if self.open < all {
                return Err(BenchError::Closed("a reader"));
            }
            self.check_heard(heard, self.behind)?;
        }
        Ok(())
    }

    /// Reads what comes until `deadline`.
    ///
    /// # Errors
    /// When the system refuses to wait.
    pub fn read_until(&mut self, deadline: Instant) -> Result<(), BenchError> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.turn(left)?;
        }
    }

    /// Reads until the server has ended every connection.
    ///
    /// # Errors
    /// When nothing comes any more, and some are open.
    pub fn read_to_end(&mut self) -> Result<(), BenchError> {
        let mut heard = Instant::now();
        while self.open > 0 {
            if self.turn(STUCK_AFTER)? {
                heard = Instant::now();
            }
            self.check_heard(heard, self.open)?;
        }
        Ok(())
    }

    /// What they have received so far.
    #[must_use]
    pub fn received(&self) -> Received {
        let mut sum = Received {
            packets_min: u64::MAX,
            closed: self.readers.len() - self.open,
            ..Received::default()
        };
        for reader in &self.readers {
            let tally = &reader.tally;
            sum.packets += tally.packets;
            sum.packets_min = sum.packets_min.min(tally.packets);
            sum.lost += tally.lost;
            sum.repeated += tally.repeated;
            sum.broken += usize::from(tally.is_broken);
        }
        sum
    }

    fn check_heard(&self, heard: Instant, readers: usize) -> Result<(), BenchError> {
        if heard.elapsed() < STUCK_AFTER {
            return Ok(());
        }
        let seconds = STUCK_AFTER.as_secs();
        Err(BenchError::Stuck { readers, seconds })
    }

    /// Waits for something to read, and reads it; whether there was something.
    fn turn(&mut self, timeout: Duration) -> Result<bool, BenchError> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(false),
            other => other?,
        }
        for event in &self.events {
            let Some(reader) = self.readers.get_mut(event.token().0) else {
                continue;
            };
            let before = reader.bytes;
            // The end of a connection that comes with its last bytes makes no event of its own.
            let to_end = event.is_read_closed();
            let is_open = match self.check {
                Check::Bytes => reader.discard(&mut self.discarded, to_end),
                Check::Sequence => reader.read(&mut self.buffer, to_end),
            };
            if before < self.due_bytes && reader.bytes >= self.due_bytes {
                self.behind -= 1;
            }
            if reader.is_open && !is_open {
                reader.is_open = false;
                self.open -= 1;
            }
        }
        Ok(!self.events.is_empty())
    }
}

impl Reader {
    /// Throws away what has come; whether the connection goes on.
    fn discard(&mut self, buffer: &mut [MaybeUninit<u8>], to_end: bool) -> bool {
        loop {
            let received = SockRef::from(&self.stream).recv_with_flags(buffer, DISCARD);
            let count = *received.as_ref().unwrap_or(&0);
            self.bytes += count as u64;
            // Less than asked for is all there was; more makes a new event.
            if count == 0 || (count < buffer.len() && !to_end) {
                return goes_on(received);
            }
        }
    }

    /// Looks at what has come; whether the connection goes on.
    fn read(&mut self, buffer: &mut [u8], to_end: bool) -> bool {
        loop {
            let received = self.stream.read(buffer);
            let count = *received.as_ref().unwrap_or(&0);
            self.bytes += count as u64;
            self.tally
                .handle_bytes(buffer.get(..count).unwrap_or_default());
            if count == 0 || (count < buffer.len() && !to_end) {
                return goes_on(received);
            }
        }
    }
}

/// Whether a connection goes on after such a read.
fn goes_on(received: io::Result<usize>) -> bool {
    match received {
        Ok(count) => count > 0,
        Err(error) => matches!(
            error.kind(),
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_that_comes_with_the_last_bytes_is_seen() {
        for check in [Check::Bytes, Check::Sequence] {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (mut server, _) = listener.accept().unwrap();
            let mut readers = Readers::of([(stream, Vec::new())], check).unwrap();
            io::Write::write_all(&mut server, b"$\0\0\x04\x80\x60\0\0").unwrap();
            drop(server);
            readers.read_to_end().unwrap();
            assert_eq!(readers.received().closed, 1);
        }
    }
}
