//! A server for the readers' tests: it answers everybody, and sends each reader the made-up stream from a thread of that
//! reader's own. In some manners it is odd.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::{shape, wait};
use crate::stream::{Packets, Source};

/// A request that comes later than this comes never.
const REQUEST_WAIT_MAX: Duration = Duration::from_secs(60);

/// How a server is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Manner {
    /// It refuses SETUP to all connections from this one on, once those before it play.
    pub(super) refuses_from: Option<usize>,
    /// It hangs up after so many frames.
    pub(super) frames_max: Option<usize>,
    /// It loses every so many-th packet.
    pub(super) loses_one_in: Option<usize>,
    /// It sends what is no packet after so many frames.
    pub(super) babbles_after: Option<usize>,
    /// Its sessions live so long, in seconds.
    pub(super) session_seconds: Option<usize>,
}

/// What has been asked of it, all connections together.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) connections: AtomicUsize,
    pub(super) plays: AtomicUsize,
    pub(super) keep_alives: AtomicUsize,
    pub(super) teardowns: AtomicUsize,
    /// Connections that were reset by us.
    pub(super) resets: AtomicUsize,
    /// Connections that we have ended in order.
    pub(super) ends: AtomicUsize,
    /// Frames that were sent, to all.
    pub(super) frames: AtomicUsize,
}

/// Starts one; its threads end with the test's process.
pub(super) fn serve(manner: Manner) -> (SocketAddr, Arc<Asked>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, asked) = (listener.local_addr().unwrap(), Arc::new(Asked::default()));
    let all = Arc::clone(&asked);
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let (stream, asked) = (stream.unwrap(), Arc::clone(&all));
            asked.connections.fetch_add(1, Ordering::Relaxed);
            let connection = Connection {
                writer: Arc::new(Mutex::new(stream.try_clone().unwrap())),
                stream,
                manner,
                number,
                asked,
                port: None,
                is_over: Arc::default(),
            };
            std::thread::spawn(move || connection.talk());
        }
    });
    (address, asked)
}

struct Connection {
    stream: TcpStream,
    writer: Arc<Mutex<TcpStream>>,
    manner: Manner,
    number: usize,
    asked: Arc<Asked>,
    /// Where its packets go over UDP.
    port: Option<u16>,
    /// The reader has left.
    is_over: Arc<AtomicBool>,
}

impl Connection {
    fn talk(mut self) {
        self.stream.set_nodelay(true).unwrap();
        self.stream
            .set_read_timeout(Some(REQUEST_WAIT_MAX))
            .unwrap();
        while let Some(request) = self.request() {
            let method = request.split(' ').next().unwrap_or_default();
            let answer = self.answer(method, &request);
            self.writer
                .lock()
                .unwrap()
                .write_all(answer.as_bytes())
                .ok();
            match method {
                "PLAY" => {
                    self.asked.plays.fetch_add(1, Ordering::Relaxed);
                    self.play();
                }
                "GET_PARAMETER" | "OPTIONS" if self.number_of(&request) > 1 => {
                    self.asked.keep_alives.fetch_add(1, Ordering::Relaxed);
                }
                "TEARDOWN" => {
                    self.is_over.store(true, Ordering::Relaxed);
                    self.asked.teardowns.fetch_add(1, Ordering::Relaxed);
                }
                _ => {}
            }
        }
    }

    fn request(&mut self) -> Option<String> {
        let (mut request, mut byte) = (Vec::new(), [0]);
        while !request.ends_with(b"\r\n\r\n") {
            match self.stream.read(&mut byte) {
                Ok(1..) => request.push(byte[0]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                    self.asked.resets.fetch_add(1, Ordering::Relaxed);
                    return None;
                }
                Ok(0) => {
                    self.asked.ends.fetch_add(1, Ordering::Relaxed);
                    return None;
                }
                Err(_) => return None,
            }
        }
        String::from_utf8(request).ok()
    }

    fn number_of(&self, request: &str) -> usize {
        let (_, rest) = request.split_once("CSeq: ").unwrap();
        rest.split("\r\n").next().unwrap().parse().unwrap()
    }

    fn answer(&mut self, method: &str, request: &str) -> String {
        let refuses = self
            .manner
            .refuses_from
            .is_some_and(|from| self.number >= from);
        if refuses && method == "SETUP" {
            let plays = || self.asked.plays.load(Ordering::Relaxed);
            wait("plays", || Some(plays()) >= self.manner.refuses_from);
        }
        let status = match method {
            "SETUP" if refuses => "453 Not Enough Bandwidth",
            _ => "200 OK",
        };
        let number = self.number_of(request);
        let seconds = self.manner.session_seconds.unwrap_or(60);
        let mut head = format!("RTSP/1.0 {status}\r\nCSeq: {number}\r\n");
        if method == "SETUP" {
            let (_, transport) = request.split_once("Transport: ").unwrap();
            let transport = transport.split("\r\n").next().unwrap();
            let ports = transport.split_once("client_port=");
            let port = ports.and_then(|(_, ports)| ports.split('-').next());
            self.port = port.map(|port| port.parse().unwrap());
            head += &format!("Transport: {transport}\r\nSession: 1;timeout={seconds}\r\n");
        }
        match method {
            "DESCRIBE" => {
                let sdp = source().sdp();
                let sdp = String::from_utf8(sdp.to_vec()).unwrap();
                head + &format!("Content-Length: {}\r\n\r\n{sdp}", sdp.len())
            }
            _ => head + "\r\n",
        }
    }

    /// Sends frames until the reader is gone, while requests are still answered.
    fn play(&self) {
        let sending = Sending {
            stream: self.stream.try_clone().unwrap(),
            writer: Arc::clone(&self.writer),
            manner: self.manner,
            asked: Arc::clone(&self.asked),
            is_over: Arc::clone(&self.is_over),
            datagrams: self.port.map(|port| {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                socket.connect(("127.0.0.1", port)).unwrap();
                socket
            }),
        };
        std::thread::spawn(move || sending.send());
    }
}

struct Sending {
    stream: TcpStream,
    writer: Arc<Mutex<TcpStream>>,
    manner: Manner,
    asked: Arc<Asked>,
    is_over: Arc<AtomicBool>,
    datagrams: Option<UdpSocket>,
}

impl Sending {
    fn send(self) {
        let (mut source, mut packets) = (source(), Packets::default());
        let (begin, mut sent) = (Instant::now(), 0);
        for frame in 0.. {
            packets.clear();
            let due = source.next(&mut packets);
            std::thread::sleep(due.saturating_sub(begin.elapsed()));
            if self.is_over.load(Ordering::Relaxed) {
                return;
            }
            if self.manner.frames_max == Some(frame) {
                break;
            }
            if self.manner.babbles_after == Some(frame) {
                self.writer.lock().unwrap().write_all(b"\x01\x02").ok();
            }
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            (0..packets.len()).for_each(|packet| packets.stamp(packet, now.as_nanos() as u64));
            for (_, packet) in packets.iter() {
                sent += 1;
                let is_lost = self
                    .manner
                    .loses_one_in
                    .is_some_and(|one_in| sent % one_in == 0);
                if !is_lost && !self.send_packet(packet) {
                    return;
                }
            }
            self.asked.frames.fetch_add(1, Ordering::Relaxed);
        }
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }

    fn send_packet(&self, packet: &[u8]) -> bool {
        match &self.datagrams {
            None => self.writer.lock().unwrap().write_all(packet).is_ok(),
            Some(socket) => socket.send(&packet[4..]).is_ok(),
        }
    }
}

fn source() -> Source {
    Source::open(&shape(), 1).unwrap()
}
