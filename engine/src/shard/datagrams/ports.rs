//! A shard's sockets on the two ports, and who expects which peer's datagrams.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use shardcast_platform::{Cancel, Readiness, RecvSlab, UdpSeat, UdpSocket};
use shardcast_runtime::ShardId;
use shardcast_runtime::local::Notify;

use super::directory::{DatagramDirectory, DatagramPeer};
use super::pacer::Pacer;
use crate::fanout::DatagramRun;
use crate::shard::Shard;
use crate::supervise::STAGE_DATAGRAMS;

/// Receives of one socket before the shard's other tasks have a turn: each may bring a run of a key frame's packets.
const RECEIVES_PER_TURN: usize = 8;

/// Pause after a wait that failed, as when descriptors run out: long enough not to spin.
const WAIT_PAUSE: Duration = Duration::from_millis(100);

/// Takes the datagrams of a peer that it expects.
pub trait DatagramTaker {
    /// A datagram of this track has come.
    fn take_datagram(&self, track: u8, is_rtcp: bool, bytes: &[u8]);
}

/// The two sockets of a shard, before it starts.
#[derive(Debug)]
pub struct DatagramSeed {
    /// At `rtpAddress`.
    pub rtp: UdpSeat,
    /// At `rtcpAddress`.
    pub rtcp: UdpSeat,
}

/// The two sockets of a shard, and whose datagrams they bring.
pub struct DatagramPorts {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    peers: RefCell<HashMap<DatagramPeer, Expected>>,
    slab: RefCell<RecvSlab>,
    /// Those who wait for room in a socket's send buffer.
    blocked: Pacer,
    stop: Cancel,
}

#[derive(Clone)]
struct Expected {
    track: u8,
    taker: Rc<dyn DatagramTaker>,
}

/// A peer whose datagrams are expected, until it is dropped.
pub struct PeerSeat {
    ports: Rc<DatagramPorts>,
    directory: Arc<DatagramDirectory>,
    shard: ShardId,
    peer: DatagramPeer,
    taker: Rc<dyn DatagramTaker>,
}

impl std::fmt::Debug for DatagramPorts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DatagramPorts")
            .field("peers", &self.peers.borrow().len())
            .finish_non_exhaustive()
    }
}

impl DatagramPorts {
    /// Puts the sockets on this thread's event loop.
    ///
    /// # Errors
    /// When the driver cannot register them.
    pub fn start(seed: DatagramSeed) -> io::Result<Rc<Self>> {
        Ok(Rc::new(Self {
            rtp: seed.rtp.start()?,
            rtcp: seed.rtcp.start()?,
            peers: RefCell::default(),
            slab: RefCell::new(RecvSlab::new()),
            blocked: Pacer::default(),
            stop: Cancel::new(),
        }))
    }

    /// Sends what the socket takes of a run now; the number of bytes.
    ///
    /// # Errors
    /// Those of the system: the peer cannot be reached.
    pub fn send(
        &self,
        run: &DatagramRun,
        to: SocketAddr,
        from: Option<IpAddr>,
    ) -> io::Result<usize> {
        let socket = if run.is_rtcp { &self.rtcp } else { &self.rtp };
        socket.send_run(&run.bytes, run.datagram_bytes, to, from)
    }

    /// Waits for room in the send buffers.
    pub async fn room(&self, turn: &Rc<Notify>) {
        self.blocked.wait(turn).await;
    }

    /// A socket for one publisher's packets of media alone, where the kernel has such.
    ///
    /// # Errors
    /// See [`UdpSocket::connect_peer`].
    pub fn connect_peer(&self, peer: SocketAddr, local: Option<IpAddr>) -> io::Result<UdpSocket> {
        self.rtp.connect_peer(peer, local)
    }

    fn expected(&self, peer: &DatagramPeer) -> Option<Expected> {
        self.peers.borrow().get(peer).cloned()
    }

    async fn wait_for_room(&self) {
        let rtp = self.rtp.writable_or(&self.stop).await;
        let rtcp = self.rtcp.writable_or(&self.stop).await;
        if rtp.and(rtcp).is_err() {
            shardcast_platform::sleep(WAIT_PAUSE).await;
        }
    }

    fn receive_now(
        &self,
        socket: &UdpSocket,
        mut handle: impl FnMut(SocketAddr, &[u8]),
    ) -> io::Result<bool> {
        let mut slab = self.slab.borrow_mut();
        let has_come = socket.recv_now(&mut slab)?;
        if has_come {
            let datagrams = slab.datagrams();
            datagrams.for_each(|datagram| handle(datagram.source, datagram.bytes));
        }
        Ok(has_come)
    }
}

impl Shard {
    /// Receives and paces datagrams for as long as the shard lives.
    pub(in crate::shard) fn serve_datagrams(self: &Rc<Self>, ports: &Rc<DatagramPorts>) {
        for is_rtcp in [false, true] {
            self.spawn_datagrams(ports, move |shard, ports| async move {
                let socket = if is_rtcp { &ports.rtcp } else { &ports.rtp };
                if socket.receives() {
                    shard.receive(&ports, socket, is_rtcp, &ports.stop).await;
                }
            });
        }
        self.spawn_datagrams(ports, |_, ports| async move {
            ports.blocked.run_by(|| ports.wait_for_room()).await;
        });
    }

    /// Receives from a socket of one of the ports until `stop` is raised.
    pub async fn receive(
        &self,
        ports: &DatagramPorts,
        socket: &UdpSocket,
        is_rtcp: bool,
        stop: &Cancel,
    ) {
        loop {
            let mut received = Ok(true);
            for _ in 0..RECEIVES_PER_TURN {
                if !matches!(received, Ok(true)) {
                    break;
                }
                received = ports.receive_now(socket, |address, bytes| {
                    self.handle_datagram(DatagramPeer { address, is_rtcp }, bytes);
                });
            }
            match received {
                Ok(true) => shardcast_platform::yield_now().await,
                Ok(false) => match socket.readable_or(stop).await {
                    Ok(Readiness::Ready) => {}
                    Ok(Readiness::Cancelled) => return,
                    Err(_) => shardcast_platform::sleep(WAIT_PAUSE).await,
                },
                Err(_) => shardcast_platform::sleep(WAIT_PAUSE).await,
            }
            if stop.is_cancelled() {
                return;
            }
        }
    }

    /// The peer's datagrams are expected here from now on, whoever has expected them before; nothing without UDP.
    #[must_use]
    pub fn expect_datagrams(
        &self,
        peer: DatagramPeer,
        track: u8,
        taker: Rc<dyn DatagramTaker>,
    ) -> Option<PeerSeat> {
        let ports = self.datagrams.clone()?;
        let expected = Expected {
            track,
            taker: taker.clone(),
        };
        ports.peers.borrow_mut().insert(peer, expected);
        let (directory, shard) = (self.server.datagram_directory.clone(), self.id());
        directory.insert(peer, shard);
        Some(PeerSeat {
            ports,
            directory,
            shard,
            peer,
            taker,
        })
    }

    fn spawn_datagrams<F: Future<Output = ()> + 'static>(
        self: &Rc<Self>,
        ports: &Rc<DatagramPorts>,
        run: impl FnOnce(Rc<Self>, Rc<DatagramPorts>) -> F,
    ) {
        let ports = ports.clone();
        self.spawn_stage(STAGE_DATAGRAMS, |shard| run(shard, ports));
    }

    fn handle_datagram(&self, peer: DatagramPeer, bytes: &[u8]) {
        if !self.take_datagram(&peer, bytes) {
            self.forward_datagram(peer, bytes);
        }
    }

    /// Hands a datagram to whoever expects it here; false if nobody does.
    pub(in crate::shard) fn take_datagram(&self, peer: &DatagramPeer, bytes: &[u8]) -> bool {
        let ports = self.datagrams.as_ref();
        let expected = ports.and_then(|ports| ports.expected(peer));
        if let Some(Expected { track, taker }) = &expected {
            taker.take_datagram(*track, peer.is_rtcp, bytes);
        }
        expected.is_some()
    }
}

impl Drop for PeerSeat {
    fn drop(&mut self) {
        let mut peers = self.ports.peers.borrow_mut();
        let is_ours = |expected: &Expected| Rc::ptr_eq(&expected.taker, &self.taker);
        if peers.get(&self.peer).is_some_and(is_ours) {
            peers.remove(&self.peer);
            self.directory.remove(&self.peer, self.shard);
        }
    }
}
