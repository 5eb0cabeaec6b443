//! Many readers of one path, served by the calling thread through one `mio::Poll`.
//!
//! They are made to be cheap, so that the server is what is measured: a reader that only counts bytes has the kernel throw
//! them away unread where it can (`MSG_TRUNC`, Linux), as the bare senders' readers do.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::SockRef;

use crate::BenchError;
use crate::peer;
use crate::stamp::Stamp;
use crate::tally::Tally;

/// Bytes asked of a socket at once: above what a receive buffer usually holds, so that one call empties it.
const READ_BYTES: usize = 1 << 20;
/// Events taken from the kernel at once.
const EVENTS: usize = 1024;
/// Without a byte for so long, nothing will come any more.
const STUCK_AFTER: Duration = Duration::from_secs(20);
/// How often readers that leave what comes where it is look whether everybody has something.
const APART_INTERVAL: Duration = Duration::from_micros(200);
/// The longest latency that is told from longer ones.
const LATENCY_MAX: Duration = Duration::from_secs(60);
/// Linux's `MSG_TRUNC`; elsewhere the bytes are copied as usual.
const DISCARD: i32 = if cfg!(target_os = "linux") { 0x20 } else { 0 };

/// What the readers do with what they receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Count bytes.
    Bytes,
    /// One reader in so many, spread over the order of joining, looks at the beginning of every packet: its number, and when
    /// it was made. The others count bytes.
    Packets {
        /// 1 is all of them.
        one_in: usize,
    },
}

/// How the readers' thread waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// It sleeps until something comes. To wake it is work of the sender's CPU: cheap over a network, dear between the
    /// CPUs of one machine, and the more frequent the faster the readers are.
    Asleep,
    /// It asks again and again. Nobody is woken, but sender and readers hold each other up at every socket.
    Awake,
    /// It leaves everything where it is until something has come for every reader, and reads then. So the sender is alone with
    /// its work, as it is when its readers are other machines.
    Apart,
}

#[derive(Debug)]
struct Reader {
    stream: TcpStream,
    bytes: u64,
    /// Of a reader that looks at packets.
    tally: Option<Tally>,
    is_open: bool,
}

/// The readers of a path.
#[derive(Debug)]
pub struct Readers {
    poll: Poll,
    events: Events,
    readers: Vec<Reader>,
    /// From a packet's making to the moment it was read, in nanoseconds.
    latency: Histogram<u64>,
    wait: Wait,
    buffer: Vec<u8>,
    discarded: Vec<MaybeUninit<u8>>,
    open: usize,
    /// Readers that have fewer bytes than this are counted in `behind`.
    due_bytes: u64,
    behind: usize,
}

/// What the readers that look at packets have received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// How many they are.
    pub looking: usize,
    /// Packets of all of them.
    pub packets: u64,
    /// Packets of that of them that has fewest.
    pub packets_min: u64,
    /// Packets that sequence numbers leave out.
    pub lost: u64,
    /// Packets that came again or out of order.
    pub repeated: u64,
    /// Readers that were sent something else than frames.
    pub broken: usize,
    /// Readers, of all, whose connection the server has ended.
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

    /// Connects so many sockets and only reads.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn connect_bare(address: SocketAddr, count: usize) -> Result<Self, BenchError> {
        let connecting = (0..count).map(|_| std::net::TcpStream::connect(address));
        let streams = connecting.collect::<Result<Vec<_>, _>>()?;
        Self::of(
            streams.into_iter().map(|stream| (stream, Vec::new())),
            Check::Bytes,
        )
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
            acknowledge_when_read(&stream)?;
            let mut stream = TcpStream::from_std(stream);
            let token = Token(readers.len());
            poll.registry()
                .register(&mut stream, token, Interest::READABLE)?;
            let mut tally = check.looks(readers.len()).then(Tally::default);
            if let Some(tally) = &mut tally {
                // What came along with an answer was waiting for us, not we for it.
                tally.handle_bytes(&begun, |_| {});
            }
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
            latency: latencies()?,
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
            Wait::Awake | Wait::Apart => Duration::ZERO,
        };
        if self.wait == Wait::Apart {
            self.read_together()?;
        }
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
        let tallies = self.readers.iter().filter_map(|it| it.tally.as_ref());
        Received {
            closed: self.readers.len() - self.open,
            ..Received::of(tallies)
        }
    }

    /// How long packets took so far.
    #[must_use]
    pub fn latency(&self) -> &Histogram<u64> {
        &self.latency
    }

    /// Forgets how long packets took so far.
    pub fn forget_latency(&mut self) {
        self.latency.reset();
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
        let ready = self.ready(timeout)?;
        for &(place, to_end) in &ready {
            self.read_one(place, to_end);
        }
        Ok(!ready.is_empty())
    }

    /// Leaves what comes where it is until there is something for every reader, then reads.
    fn read_together(&mut self) -> Result<(), BenchError> {
        let (mut told, begin) = (BTreeMap::new(), Instant::now());
        while told.len() < self.open {
            self.check_heard(begin, self.open - told.len())?;
            let ready = self.ready(Duration::ZERO)?;
            if ready.is_empty() {
                std::thread::sleep(APART_INTERVAL);
            }
            for (place, to_end) in ready {
                *told.entry(place).or_default() |= to_end;
            }
        }
        for (place, to_end) in told {
            self.read_one(place, to_end);
        }
        Ok(())
    }

    /// The readers that have something to read, and whether their connections have ended behind it.
    fn ready(&mut self, timeout: Duration) -> Result<Vec<(usize, bool)>, BenchError> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Vec::new()),
            other => other?,
        }
        let events = self.events.iter();
        Ok(events
            .map(|event| (event.token().0, event.is_read_closed()))
            .collect())
    }

    /// Reads what one reader has. The end of a connection that comes with its last bytes makes no event of its own, hence
    /// `to_end`.
    fn read_one(&mut self, place: usize, to_end: bool) {
        let Some(reader) = self.readers.get_mut(place) else {
            return;
        };
        let before = reader.bytes;
        let is_open = match reader.tally {
            None => reader.discard(&mut self.discarded, to_end),
            Some(_) => reader.read(&mut self.buffer, to_end, &mut self.latency),
        };
        if before < self.due_bytes && reader.bytes >= self.due_bytes {
            self.behind -= 1;
        }
        if reader.is_open && !is_open {
            reader.is_open = false;
            self.open -= 1;
        }
    }
}

impl Received {
    /// What these readers have received, all of which play still.
    pub(crate) fn of<'a>(tallies: impl Iterator<Item = &'a Tally>) -> Self {
        let mut sum = Self {
            packets_min: u64::MAX,
            ..Self::default()
        };
        for tally in tallies {
            sum.looking += 1;
            sum.packets += tally.packets;
            sum.packets_min = sum.packets_min.min(tally.packets);
            sum.lost += tally.lost;
            sum.repeated += tally.repeated;
            sum.broken += usize::from(tally.is_broken);
        }
        sum
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
    fn read(&mut self, buffer: &mut [u8], to_end: bool, latency: &mut Histogram<u64>) -> bool {
        loop {
            let received = self.stream.read(buffer);
            let count = *received.as_ref().unwrap_or(&0);
            self.bytes += count as u64;
            let (bytes, now) = (buffer.get(..count).unwrap_or_default(), Stamp::now());
            if let Some(tally) = &mut self.tally {
                tally.handle_bytes(bytes, |made| note_latency(latency, now.since(made)));
            }
            if count == 0 || (count < buffer.len() && !to_end) {
                return goes_on(received);
            }
        }
    }
}

/// A connection that has asked and been answered waits with its acknowledgements for something to send along. They then
/// leave while the next packet comes in, which over loopback is the sender's own CPU time; those of a connection that has
/// only listened leave when the reader reads. All readers shall do the latter.
#[cfg(target_os = "linux")]
fn acknowledge_when_read(stream: &std::net::TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_tcp_quickack(true)
}

/// Elsewhere there is no such choice.
#[cfg(not(target_os = "linux"))]
fn acknowledge_when_read(_: &std::net::TcpStream) -> io::Result<()> {
    Ok(())
}

impl Check {
    /// Whether the reader at this place looks at packets.
    fn looks(self, place: usize) -> bool {
        match self {
            Self::Bytes => false,
            Self::Packets { one_in } => place.is_multiple_of(one_in.max(1)),
        }
    }
}

/// For latencies up to a minute, to a tenth of a percent.
pub(crate) fn latencies() -> Result<Histogram<u64>, BenchError> {
    Ok(Histogram::new_with_max(LATENCY_MAX.as_nanos() as u64, 3)?)
}

pub(crate) fn note_latency(latency: &mut Histogram<u64>, took: Duration) {
    latency.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
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
        for check in [Check::Bytes, Check::Packets { one_in: 1 }] {
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
