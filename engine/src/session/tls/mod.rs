//! TLS for listeners: 1.2 and 1.3, with certificates from files that may change while the server runs.
//!
//! A listener's pair is loaded when the server starts, and an error then. From there on a thread looks whether the files
//! have changed (`watch`); the next handshake uses what it has loaded. Deliberately absent: certificates of peers, and
//! what is spoken inside.

mod pair;
mod watch;

use std::io;
use std::sync::Arc;

use futures_rustls::TlsAcceptor;
use futures_rustls::rustls::ServerConfig;
use futures_rustls::rustls::crypto::aws_lc_rs;
use shardcast_platform::PolledStream;

pub(crate) use pair::{PairError, PairFiles};
pub(crate) use watch::Watch;

use pair::Pair;

/// A connection inside TLS.
pub(crate) type TlsStream = futures_rustls::server::TlsStream<PolledStream>;

/// What a listener does with every connection before anything else.
#[derive(Clone)]
pub(crate) struct TlsListener {
    acceptor: TlsAcceptor,
    pair: Arc<Pair>,
}

impl TlsListener {
    /// With the pair that is in these files now. Whoever connects may choose among `protocols` (RFC 7301).
    ///
    /// # Errors
    /// What is wrong with a file.
    pub(crate) fn open(files: PairFiles, protocols: &[&[u8]]) -> Result<Self, PairError> {
        let pair = Arc::new(Pair::load(files)?);
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(PairError::Unusable)?;
        let mut config = config
            .with_no_client_auth()
            .with_cert_resolver(pair.clone());
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            pair,
        })
    }

    /// Shakes hands.
    ///
    /// # Errors
    /// The peer's, or the connection's.
    pub(crate) async fn accept(&self, stream: PolledStream) -> io::Result<TlsStream> {
        self.acceptor.accept(stream).await
    }
}

/// Whether the peer has chosen this protocol.
pub(crate) fn has_chosen(stream: &TlsStream, protocol: &[u8]) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(protocol)
}

impl std::fmt::Debug for TlsListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("TlsListener").field(&self.pair).finish()
    }
}
