//! Who asks: the connection's peer, or whom a proxy names that is trusted.

use std::net::SocketAddr;

use http::HeaderMap;
use shardcast_config::Network;

/// Who asks.
pub(super) fn asker(peer: SocketAddr, _headers: &HeaderMap, _trusted: &[Network]) -> SocketAddr {
    peer
}
