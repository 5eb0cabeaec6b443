//! A peer over HTTP/2 that writes its frames by itself, good and bad (RFC 9113), on a connection without TLS.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Frame types (RFC 9113, section 6).
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const CONTINUATION: u8 = 9;

/// Flags of HEADERS; of DATA too is the first, of SETTINGS and PING `ACK`.
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const ACK: u8 = 1;

/// Error codes (RFC 9113, section 7).
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// How long the other side may keep silent.
const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// A frame.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The error code that ends a stream or the connection.
    pub(crate) fn error_code(&self) -> Option<u32> {
        let code = match self.kind {
            RST_STREAM => self.payload.get(..4)?,
            GOAWAY => self.payload.get(4..8)?,
            _ => return None,
        };
        Some(u32::from_be_bytes(code.try_into().ok()?))
    }

    /// The status of a response, which servers write first and from the static table (RFC 7541, appendix A), or as text.
    pub(crate) fn status(&self) -> Option<u16> {
        if self.kind != HEADERS {
            return None;
        }
        match *self.payload.first()? {
            index @ 0x88..=0x8e => {
                let known = [200, 204, 206, 304, 400, 404, 500];
                known.get(usize::from(index - 0x88)).copied()
            }
            // A name of the static table, and three digits in Huffman's code.
            _ => three_digits(self.payload.get(2..)?),
        }
    }
}

/// RFC 7541, appendix B: `0` to `2` have five bits, the other digits six.
fn three_digits(code: &[u8]) -> Option<u16> {
    let bits = code
        .iter()
        .take(3)
        .fold(0, |bits, byte| bits << 8 | u32::from(*byte));
    let (mut left, mut number) = (8 * u32::try_from(code.len().min(3)).ok()?, 0);
    for _ in 0..3 {
        let next = (bits >> left.checked_sub(6)?) & 0b11_1111;
        let (digit, used) = match next {
            0b00_0000..=0b00_0101 => (next >> 1, 5),
            0b01_1001..=0b01_1111 => (next - 0b01_1001 + 3, 6),
            _ => return None,
        };
        left -= used;
        number = number * 10 + digit;
    }
    u16::try_from(number).ok()
}

/// The connection.
#[derive(Debug)]
pub(crate) struct Peer(TcpStream);

impl Peer {
    /// Opens it, and sends the preface with these settings.
    pub(crate) fn open(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(READ_TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(READ_TIMEOUT)).unwrap();
        let mut peer = Self(stream);
        let settings = settings
            .iter()
            .flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat());
        let settings: Vec<u8> = settings.collect();
        peer.0
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .unwrap();
        peer.send(SETTINGS, 0, 0, &settings).unwrap();
        peer
    }

    /// Sends a frame. The other side may have had enough.
    pub(crate) fn send(
        &mut self,
        kind: u8,
        flags: u8,
        stream: u32,
        payload: &[u8],
    ) -> io::Result<()> {
        self.0.write_all(&bytes(kind, flags, stream, payload))
    }

    /// Sends several frames at once.
    pub(crate) fn send_all(&mut self, frames: &[u8]) -> io::Result<()> {
        self.0.write_all(frames)
    }

    /// GET of `target` on this stream.
    pub(crate) fn get(&mut self, stream: u32, target: &str) {
        let head = head("GET", target, &[]);
        self.send(HEADERS, END_STREAM | END_HEADERS, stream, &head)
            .unwrap();
    }

    /// The next frame; `None` at the connection's end, however it ends.
    ///
    /// # Panics
    /// When none comes.
    pub(crate) fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.fill(&mut head)?;
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, l0, l1, l2]) as usize];
        self.fill(&mut payload)?;
        Some(Frame {
            kind,
            flags,
            stream: u32::from_be_bytes([s0, s1, s2, s3]),
            payload,
        })
    }

    /// The first frame that is looked for; `None` when the connection ends before.
    pub(crate) fn find(&mut self, mut is_it: impl FnMut(&Frame) -> bool) -> Option<Frame> {
        loop {
            let frame = self.read()?;
            if is_it(&frame) {
                return Some(frame);
            }
        }
    }

    /// How a stream is answered: its status, or the error that resets it. `None` when the connection ends before.
    pub(crate) fn answer(&mut self, stream: u32) -> Option<Result<u16, u32>> {
        let is_answer =
            |frame: &Frame| frame.stream == stream && [HEADERS, RST_STREAM].contains(&frame.kind);
        let frame = self.find(is_answer)?;
        Some(match frame.error_code() {
            Some(code) => Err(code),
            None => Ok(frame.status().unwrap_or_default()),
        })
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Option<()> {
        match self.0.read_exact(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                panic!("the other side keeps silent")
            }
            done => done.ok(),
        }
    }
}

/// A frame's bytes.
pub(crate) fn bytes(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head[..], payload].concat()
}

/// A request's header block: literals without the dynamic table (RFC 7541, section 6.2.2).
pub(crate) fn head(method: &str, target: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let pseudo = [
        (":method", method),
        (":scheme", "http"),
        (":path", target),
        (":authority", "here"),
    ];
    block(&[&pseudo, headers].concat())
}

/// A header block of exactly these.
pub(crate) fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(0);
        for text in [name, value] {
            push_length(&mut block, text.len());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// RFC 7541, section 5.1, with a prefix of seven bits.
fn push_length(block: &mut Vec<u8>, length: usize) {
    let Some(mut rest) = length.checked_sub(127) else {
        block.push(length as u8);
        return;
    };
    block.push(127);
    while rest >= 128 {
        block.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    block.push(rest as u8);
}
