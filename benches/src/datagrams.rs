//! Many readers of one path over UDP, served by the calling thread through one `mio::Poll`.
//!
//! Each has sockets of its own, whose receive buffers hold seconds of the stream. They are made to be cheap, so that the
//! server is what is measured: runs are taken whole, and most readers look at how each begins, no further. So every
//! reader's losses are counted, and the latency of each run's first packet is known.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};
use shardcast_platform::RecvSlab;
use shardcast_platform::bare::{bind_reader, read_datagrams, read_run_head};
use shardcast_protocol::rtsp::PortPair;

use crate::BenchError;
use crate::peer;
use crate::readers::{Received, latencies, note_latency};
use crate::stamp::Stamp;
use crate::tally::Tally;

/// Of each reader, as far as the system allows (Linux: `net.core.rmem_max`).
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;
/// Sockets tried until one has an even port and a free one behind it.
const PORT_TRIALS_MAX: usize = 1000;
/// Events taken from the kernel at once.
const EVENTS: usize = 1024;

/// The readers of a path.
pub struct DatagramReaders {
    poll: Poll,
    events: Events,
    readers: Vec<Reader>,
    /// From a packet's making to the moment it was read, in nanoseconds.
    latency: Histogram<u64>,
    slab: RecvSlab,
}

struct Reader {
    packets: UdpSocket,
    tally: Tally,
    /// Whether it looks at every packet.
    looks: bool,
    /// What comes here is dropped by the kernel when it is full.
    _reports: std::net::UdpSocket,
    /// The session lives as long as it does.
    _connection: TcpStream,
}

impl DatagramReaders {
    /// Has so many readers play. One in `one_in` looks at every packet, the others at how runs begin.
    ///
    /// # Errors
    /// When the server is not there or refuses one of them.
    pub fn connect(
        address: SocketAddr,
        url: &str,
        count: usize,
        one_in: usize,
    ) -> Result<Self, BenchError> {
        let any: IpAddr = match address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let poll = Poll::new()?;
        let mut readers = Vec::new();
        for place in 0..count {
            let (packets, reports, ports) = bind_pair(any)?;
            let mut packets = UdpSocket::from_std(packets);
            poll.registry()
                .register(&mut packets, Token(place), Interest::READABLE)?;
            readers.push(Reader {
                _connection: peer::play_to(address, url, ports)?,
                _reports: reports,
                packets,
                tally: Tally::default(),
                looks: place.is_multiple_of(one_in.max(1)),
            });
        }
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS),
            readers,
            latency: latencies()?,
            slab: RecvSlab::new(),
        })
    }

    /// Reads what comes until `deadline`.
    ///
    /// # Errors
    /// When the system refuses to wait or to read.
    pub fn read_until(&mut self, deadline: Instant) -> Result<(), BenchError> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.turn(left)?;
        }
    }

    /// What they have received so far.
    #[must_use]
    pub fn received(&self) -> Received {
        Received::of(self.readers.iter().map(|reader| &reader.tally))
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

    fn turn(&mut self, timeout: Duration) -> Result<(), BenchError> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        for event in &self.events {
            if let Some(reader) = self.readers.get_mut(event.token().0) {
                reader.read(&mut self.slab, &mut self.latency)?;
            }
        }
        Ok(())
    }
}

impl Reader {
    /// Reads all that there is: what comes later makes an event of its own.
    fn read(&mut self, slab: &mut RecvSlab, latency: &mut Histogram<u64>) -> io::Result<()> {
        let (socket, tally) = (&self.packets, &mut self.tally);
        if self.looks {
            while read_datagrams(socket, slab)? {
                let now = Stamp::now();
                for datagram in slab.datagrams() {
                    let note = |made| note_latency(latency, now.since(made));
                    tally.handle_run(datagram.bytes, 1, note);
                }
            }
        } else {
            while let Some(run) = read_run_head(socket)? {
                let now = Stamp::now();
                let note = |made| note_latency(latency, now.since(made));
                tally.handle_run(run.first(), run.datagrams(), note);
            }
        }
        Ok(())
    }
}

/// A socket for packets at an even port, and one for reports at the next (RFC 3550, section 11).
pub(crate) fn bind_pair(
    ip: IpAddr,
) -> io::Result<(std::net::UdpSocket, std::net::UdpSocket, PortPair)> {
    for _ in 0..PORT_TRIALS_MAX {
        let packets = bind_reader(SocketAddr::new(ip, 0), RECEIVE_BUFFER_BYTES)?;
        let port = packets.local_addr()?.port();
        if port % 2 == 1 {
            continue;
        }
        if let Ok(reports) = std::net::UdpSocket::bind(SocketAddr::new(ip, port + 1)) {
            let ports = PortPair {
                rtp: port,
                rtcp: port + 1,
            };
            return Ok((packets, reports, ports));
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broadcast::{Broadcast, Rhythm};
    use shardcast_platform::bare::{Floor, FloorDriver};

    #[test]
    fn readers_count_every_packet_that_a_bare_relay_sends() {
        let floor = Floor::bind(([127, 0, 0, 1], 0).into(), FloorDriver::Epoll).unwrap();
        let address = floor.address().unwrap();
        let relaying = std::thread::spawn(|| floor.serve());
        let url = format!("rtsp://{address}/relay");
        let rhythm = Rhythm::of_bits_per_second(2e6);
        let mut broadcast = Broadcast::start(address, &url, rhythm).unwrap();
        let mut readers = DatagramReaders::connect(address, &url, 4, 2).unwrap();
        let sent = broadcast.send_for(Duration::from_millis(200)).unwrap();
        let begin = Instant::now();
        while readers.received().packets_min < sent && begin.elapsed() < Duration::from_secs(20) {
            let soon = Instant::now() + Duration::from_millis(10);
            readers.read_until(soon).unwrap();
        }
        let all = Received {
            looking: 4,
            packets: 4 * sent,
            packets_min: sent,
            ..Received::default()
        };
        assert_eq!(readers.received(), all);
        assert!(!readers.latency().is_empty());
        drop(broadcast);
        relaying.join().unwrap().unwrap();
    }
}
