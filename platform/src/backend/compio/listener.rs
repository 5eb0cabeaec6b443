//! Listening: a place at the door, on any thread and then on a shard's loop.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::bell::{Bell, BellSeat, attach};
use super::door::{self, Arrival, Place, reachable};
use super::stream::{ReadHalf, WriteHalf, adopt};
use crate::cancel::{Cancel, Cancelled};
use crate::net::listen::listen;
use crate::net::{BindError, ListenAddress};

/// How long a local listener may take to answer; Windows tries a refused connection again for
/// two seconds before it says so.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);

/// See [`crate::Acceptor`].
pub(crate) struct Acceptor {
    place: Place,
    seat: BellSeat,
}

/// See [`crate::TcpListener`]. One task accepts from it.
pub(crate) struct Listener {
    place: Place,
    bell: Bell,
}

/// Listens with one socket for all shards: Windows does not spread connections over several.
pub(crate) fn bind(
    address: &ListenAddress,
    shards: usize,
) -> Result<(Vec<Acceptor>, SocketAddr, Option<String>), BindError> {
    let listening = listen(address, 1).map_err(in_use_if_answered)?;
    let failed = |source| BindError::Failed {
        address: address.clone(),
        source,
    };
    let socket = listening.sockets.into_iter().next();
    let socket = socket.ok_or_else(|| failed(io::ErrorKind::NotConnected.into()))?;
    // The thread at the door waits in `accept`.
    socket.set_nonblocking(false).map_err(failed)?;
    let places = door::open(socket, shards.max(1)).map_err(failed)?;
    let acceptors = places
        .into_iter()
        .map(|(place, seat)| Acceptor { place, seat })
        .collect();
    Ok((acceptors, listening.local_addr, listening.note))
}

/// Windows calls a port that another program holds exclusively "denied", as it does a port that
/// nobody may have. The operator gets the difference: somebody answers there, or nobody.
fn in_use_if_answered(error: BindError) -> BindError {
    match error {
        BindError::Denied { address } if is_answered(&address) => BindError::InUse { address },
        other => other,
    }
}

fn is_answered(address: &ListenAddress) -> bool {
    let Ok(address) = address.resolve() else {
        return false;
    };
    // Who holds IPv4's wildcard keeps the dual-stack one from being bound.
    let ipv4 = SocketAddr::from((Ipv4Addr::LOCALHOST, address.port()));
    let places = [reachable(address), ipv4];
    let tried = if address.ip().is_unspecified() { 2 } else { 1 };
    let answers = |place| TcpStream::connect_timeout(place, ANSWER_TIMEOUT).is_ok();
    places.iter().take(tried).any(answers)
}

impl Listener {
    pub(crate) fn start(acceptor: Acceptor) -> io::Result<Self> {
        Ok(Self {
            place: acceptor.place,
            bell: attach(acceptor.seat)?,
        })
    }

    /// The next connection, or nothing once `cancel` is raised.
    pub(crate) async fn accept(
        &self,
        cancel: &Cancel,
    ) -> Option<io::Result<(ReadHalf, WriteHalf, SocketAddr)>> {
        let mut cancelled = cancel.cancelled();
        let arrival =
            std::future::poll_fn(|context| self.poll_arrival(context, &mut cancelled)).await?;
        Some(arrival.and_then(|(socket, peer)| {
            let (read, write) = adopt(socket)?;
            Ok((read, write, peer))
        }))
    }

    fn poll_arrival(
        &self,
        context: &mut Context<'_>,
        cancelled: &mut Cancelled<'_>,
    ) -> Poll<Option<Arrival>> {
        loop {
            if Pin::new(&mut *cancelled).poll(context).is_ready() {
                return Poll::Ready(None);
            }
            if let Some(arrival) = self.place.take() {
                return Poll::Ready(Some(arrival));
            }
            if self.bell.poll_heard(context).is_pending() {
                return Poll::Pending;
            }
        }
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.place.local_addr())
    }
}

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let address = self.place.local_addr();
        f.debug_struct("Acceptor")
            .field("local_addr", &address)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let address = self.place.local_addr();
        f.debug_struct("Listener")
            .field("local_addr", &address)
            .finish_non_exhaustive()
    }
}
