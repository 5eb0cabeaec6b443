//! A publisher and readers that take no memory of their own while they are measured: the server runs in the same process,
//! so whatever the allocator counts is the server's.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use shardcast_tests::peer::READ_TIMEOUT;
use shardcast_tests::peer::publisher::{Publisher, interleave};
use shardcast_tests::peer::synthetic::{Shape, Source};

/// The path.
const PATH: &str = "measured";
/// Batches of one small packet; every tenth is a start point.
const SHAPE: Shape = Shape {
    gop_frames: 10,
    frame_packets: 1,
    pattern_bytes: 0,
};
/// At this pace the publisher's bit rate gives it the smallest chunks, on any machine. Faster ones would make them larger,
/// and so fewer.
const BATCH_INTERVAL: Duration = Duration::from_millis(5);
/// Above every answer, and every batch is read in pieces of it.
const BUFFER_BYTES: usize = 16 * 1024;

/// A publisher whose batches are made before anything is measured.
pub(crate) struct Stage {
    address: SocketAddr,
    publisher: Publisher,
    source: Source,
    /// Bytes since the latest key frame, which are what a reader who comes now catches up with.
    group_bytes: usize,
}

impl Stage {
    pub(crate) fn open(address: SocketAddr) -> Self {
        Self {
            address,
            publisher: Publisher::start(address, PATH).expect("the path is free"),
            source: Source::new(SHAPE),
            group_bytes: 0,
        }
    }

    /// Sends so many batches, each when every reader has the last one. `before` is called when all are made and none is
    /// sent.
    pub(crate) fn send(&mut self, batches: usize, readers: &mut [Reader], before: impl FnOnce()) {
        let made: Vec<_> = (0..batches).map(|_| self.next_batch()).collect();
        before();
        for batch in &made {
            let begin = Instant::now();
            let socket = self.publisher.connection().socket();
            let mut socket: &TcpStream = socket;
            socket.write_all(batch).expect("the server reads");
            for reader in &mut *readers {
                reader.take(batch);
            }
            while begin.elapsed() < BATCH_INTERVAL {
                std::thread::yield_now();
            }
        }
    }

    fn next_batch(&mut self) -> Vec<u8> {
        if self.source.frames().is_multiple_of(SHAPE.gop_frames) {
            self.group_bytes = 0;
        }
        let batch = interleave(0, &self.source.next_frame());
        self.group_bytes += batch.len();
        batch
    }

    /// A reader up to and without PLAY.
    pub(crate) fn set_up_reader(&self) -> Reader {
        self.connect().0
    }

    /// A reader that plays.
    pub(crate) fn play_reader(&self) -> Reader {
        let (mut reader, session) = self.connect();
        reader.behind_bytes = self.group_bytes;
        let url = self.url();
        reader.ask(&format!(
            "PLAY {url} RTSP/1.0\r\nCSeq: 3\r\nSession: {session}\r\n\r\n"
        ));
        reader
    }

    /// A reader up to SETUP, and its session.
    fn connect(&self) -> (Reader, String) {
        let stream = TcpStream::connect(self.address).expect("the server listens");
        stream.set_nodelay(true).expect("a socket");
        let timeout = Some(READ_TIMEOUT);
        stream.set_read_timeout(timeout).expect("a socket");
        let mut reader = Reader {
            stream,
            is_clocked: false,
            behind_bytes: 0,
        };
        let url = self.url();
        reader.ask(&format!("DESCRIBE {url} RTSP/1.0\r\nCSeq: 1\r\n\r\n"));
        let granted = reader.ask(&format!(
            "SETUP {url}/trackID=0 RTSP/1.0\r\nCSeq: 2\r\n\
             Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n"
        ));
        let session = granted
            .split("Session: ")
            .nth(1)
            .and_then(|rest| rest.split(';').next());
        (reader, session.expect("a session").to_owned())
    }

    fn url(&self) -> String {
        format!("rtsp://{}/{PATH}", self.address)
    }
}

/// A reader: its socket alone.
pub(crate) struct Reader {
    stream: TcpStream,
    /// It has had the sender report that comes before the first packet.
    is_clocked: bool,
    /// Bytes that it has still to catch up with.
    behind_bytes: usize,
}

impl Reader {
    /// Keeps the session alive.
    pub(crate) fn keep_alive(&mut self) {
        self.ask("OPTIONS * RTSP/1.0\r\nCSeq: 9\r\n\r\n");
    }

    /// Sends a request and reads its answer to the end, and nothing of what follows.
    fn ask(&mut self, request: &str) -> String {
        self.stream
            .write_all(request.as_bytes())
            .expect("the server reads");
        let (mut buffer, mut filled) = ([0; BUFFER_BYTES], 0);
        while !is_whole(&buffer[..filled]) {
            filled += self.read(&mut buffer[filled..=filled]);
        }
        let answer = String::from_utf8_lossy(&buffer[..filled]);
        assert!(answer.starts_with("RTSP/1.0 200"), "{request}{answer}");
        answer.into_owned()
    }

    /// Reads a batch to its end, and what comes before the first one.
    fn take(&mut self, batch: &[u8]) {
        while !self.is_clocked || self.behind_bytes > 0 {
            self.take_early_frame();
        }
        let (mut buffer, mut left) = ([0; BUFFER_BYTES], batch.len());
        while left > 0 {
            let most = left.min(BUFFER_BYTES);
            left -= self.read(&mut buffer[..most]);
        }
    }

    /// At least one byte. A server that ends on io_uring interrupts waits of the thread that has started it.
    fn read(&mut self, buffer: &mut [u8]) -> usize {
        loop {
            match self.stream.read(buffer) {
                Ok(count @ 1..) => return count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => panic!("the server writes: {other:?}"),
            }
        }
    }

    /// The sender report, or a packet that the reader catches up with.
    fn take_early_frame(&mut self) {
        let mut header = [0; 4];
        self.stream.read_exact(&mut header).expect("a frame");
        let [magic, channel, length @ ..] = header;
        assert_eq!(magic, b'$');
        let bytes = usize::from(u16::from_be_bytes(length));
        let mut frame = [0; BUFFER_BYTES];
        let frame = frame.get_mut(..bytes).expect("a short frame");
        self.stream.read_exact(frame).expect("the frame");
        match channel {
            1 => self.is_clocked = true,
            _ => self.behind_bytes -= header.len() + bytes,
        }
    }
}

/// Whether an answer is here with its body.
fn is_whole(bytes: &[u8]) -> bool {
    let end = b"\r\n\r\n";
    let Some(head) = bytes.windows(4).position(|window| window == end) else {
        return false;
    };
    let text = std::str::from_utf8(&bytes[..head]).expect("a head is text");
    let mut lines = text.lines();
    let length = lines.find_map(|line| line.strip_prefix("Content-Length: "));
    let body = length.map_or(0, |length| length.parse().expect("a length"));
    bytes.len() >= head + end.len() + body
}
