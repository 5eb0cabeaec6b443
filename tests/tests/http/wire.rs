//! A connection to a site on which a test writes what it likes, byte by byte, and reads what comes.

use std::io::{self, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use shardcast_tests::http::{Response, read_response};

/// How long the other side may keep silent: above every time limit that a test sets.
const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// The connection.
#[derive(Debug)]
pub(crate) struct Wire {
    input: BufReader<TcpStream>,
}

impl Wire {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(READ_TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(READ_TIMEOUT)).unwrap();
        Self {
            input: BufReader::new(stream),
        }
    }

    /// The socket, for whoever needs no more than that it is open.
    pub(crate) fn into_socket(self) -> TcpStream {
        self.input.into_inner()
    }

    /// Sends bytes as they are. The other side may have had enough.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.input.get_mut().write_all(bytes.as_ref())
    }

    /// As above, to one who listens.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).unwrap();
    }

    /// The next response, to a request that was no HEAD.
    pub(crate) fn response(&mut self) -> Response {
        self.try_response().unwrap()
    }

    /// Waits to be told to go on with the body.
    pub(crate) fn wait_to_go_on(&mut self) {
        const GO_ON: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
        let mut told = [0; GO_ON.len()];
        self.input.read_exact(&mut told).unwrap();
        assert_eq!(told, GO_ON);
    }

    /// The next response, to a request with this method.
    pub(crate) fn response_to(&mut self, method: &str) -> Response {
        read_response(&mut self.input, method).unwrap()
    }

    /// Our own address.
    pub(crate) fn local_address(&self) -> SocketAddr {
        self.input.get_ref().local_addr().unwrap()
    }

    pub(crate) fn try_response(&mut self) -> io::Result<Response> {
        read_response(&mut self.input, "GET")
    }

    /// GET of `target` with these headers; the connection stays.
    pub(crate) fn get(&mut self, target: &str, headers: &[(&str, &str)]) -> Response {
        self.send(head("GET", target, headers));
        self.response()
    }

    /// Everything up to the connection's end, however it ends; `None` when it does not end.
    pub(crate) fn read_to_end(mut self) -> Option<Vec<u8>> {
        let mut rest = Vec::new();
        match self.input.read_to_end(&mut rest) {
            Err(error) if is_timeout(&error) => None,
            _ => Some(rest),
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

/// A request's head.
pub(crate) fn head(method: &str, target: &str, headers: &[(&str, &str)]) -> String {
    let lines = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"));
    let lines: String = lines.collect();
    format!("{method} {target} HTTP/1.1\r\nhost: here\r\n{lines}\r\n")
}
