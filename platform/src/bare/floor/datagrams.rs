//! Readers over UDP: the packets of one read, copied back to back once per track, and sent to each reader by one call per
//! run of packets of equal size (GSO). A reader's n-th track is the one of the publisher's n-th pair of channels.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd as _, RawFd};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::{FRAME_HEADER_BYTES, frames};

/// Packets of one call at most, as every kernel with GSO takes them.
const RUN_PACKETS_MAX: usize = 64;
/// Bytes of one call at most: what an IPv4 packet of 65535 bytes carries.
const RUN_BYTES_MAX: usize = 65_507;
/// Room for a key frame to all readers, where the system allows it.
const SEND_BUFFER_BYTES: usize = 4 << 20;
/// `<linux/udp.h>`.
const UDP_SEGMENT: libc::c_int = 103;

/// The one socket for all readers over UDP.
pub(super) struct Datagrams {
    socket: Socket,
    port: u16,
    tracks: Vec<Track>,
}

/// Who gets the packets of a track.
#[derive(Default)]
struct Track {
    /// By the descriptors of their connections.
    readers: Vec<(RawFd, SockAddr)>,
    run: Run,
}

/// Packets back to back, all of the first one's size but the last.
#[derive(Default)]
struct Run {
    bytes: Vec<u8>,
    packets: usize,
    segment: usize,
}

impl Run {
    /// Whether the packet may follow.
    fn takes(&self, packet: &[u8]) -> bool {
        self.packets == 0
            || self.packets < RUN_PACKETS_MAX
                && packet.len() <= self.segment
                && self.bytes.len() == self.packets * self.segment
                && self.bytes.len() + packet.len() <= RUN_BYTES_MAX
    }

    fn push(&mut self, packet: &[u8]) {
        if self.packets == 0 {
            self.segment = packet.len();
        }
        self.bytes.extend_from_slice(packet);
        self.packets += 1;
    }
}

impl Datagrams {
    pub(super) fn bind(ip: IpAddr) -> io::Result<Self> {
        let address = SocketAddr::new(ip, 0);
        let domain = Domain::for_address(address);
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
        socket.bind(&address.into())?;
        let local = socket.local_addr()?.as_socket();
        Ok(Self {
            socket,
            port: local.map_or(0, |local| local.port()),
            tracks: Vec::new(),
        })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// A port per track.
    pub(super) fn add(&mut self, connection: RawFd, ip: IpAddr, ports: &[u16]) {
        if self.tracks.len() < ports.len() {
            self.tracks.resize_with(ports.len(), Track::default);
        }
        for (track, port) in self.tracks.iter_mut().zip(ports) {
            let address = SocketAddr::new(ip, *port);
            track.readers.push((connection, address.into()));
        }
    }

    pub(super) fn remove(&mut self, connection: RawFd) {
        for track in &mut self.tracks {
            track.readers.retain(|(reader, _)| *reader != connection);
        }
    }

    /// Sends the RTP packets of these frames, which have the even channels, to every reader.
    pub(super) fn relay(&mut self, chunk: &[u8]) -> io::Result<()> {
        if self.tracks.iter().all(|track| track.readers.is_empty()) {
            return Ok(());
        }
        for frame in frames(chunk).filter(|frame| frame[1].is_multiple_of(2)) {
            let packet = &frame[FRAME_HEADER_BYTES..];
            if let Some(track) = self.tracks.get_mut(usize::from(frame[1] / 2)) {
                track.relay(&self.socket, packet)?;
            }
        }
        let mut tracks = self.tracks.iter_mut();
        tracks.try_for_each(|track| track.send(&self.socket))
    }
}

impl Track {
    fn relay(&mut self, socket: &Socket, packet: &[u8]) -> io::Result<()> {
        if !self.run.takes(packet) {
            self.send(socket)?;
        }
        self.run.push(packet);
        Ok(())
    }

    /// Sends the run, and begins the next.
    fn send(&mut self, socket: &Socket) -> io::Result<()> {
        let run = &mut self.run;
        if run.packets > 0 && !self.readers.is_empty() {
            set_segment(socket, run.segment)?;
            for (_, reader) in &self.readers {
                // What there is no room for is lost, and so is what nobody waits for.
                let _sent = socket.send_to(&run.bytes, reader);
            }
        }
        run.bytes.clear();
        run.packets = 0;
        Ok(())
    }
}

/// Has every send from now on cut into datagrams of so many bytes.
fn set_segment(socket: &Socket, bytes: usize) -> io::Result<()> {
    let bytes = bytes as libc::c_int;
    let size = size_of_val(&bytes) as libc::socklen_t;
    // SAFETY: the descriptor is open, and the value is a c_int that outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_UDP,
            UDP_SEGMENT,
            (&raw const bytes).cast(),
            size,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
