//! What listeners over HTTP have in common: the Control API, the metrics, the profiler.
//!
//! Filled from the keys that begin with the listener's name. Asked by the engine when it listens, and for each request.

use crate::network::Network;
use crate::settings::Settings;

/// A listener over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// Whether it listens at all.
    pub enabled: bool,
    /// `host:port`, `:port` (every address, IPv6 and IPv4) or `unix://path`.
    pub address: String,
    /// `…Encryption`: TLS, with the two files.
    pub encryption: bool,
    /// `…ServerKey`: the file of the private key.
    pub server_key: String,
    /// `…ServerCert`: the file of the certificate, and of those between it and its root.
    pub server_cert: String,
    /// `…AllowOrigins`: origins whose pages may ask, `*` for all of them.
    pub allow_origins: Vec<String>,
    /// `…TrustedProxies`: who is believed when it says whom it asks for.
    pub trusted_proxies: Vec<Network>,
}

/// The names of a listener's keys.
pub(crate) struct HttpKeys {
    enabled: &'static str,
    address: &'static str,
    encryption: &'static str,
    server_key: &'static str,
    server_cert: &'static str,
    allow_origins: &'static str,
    trusted_proxies: &'static str,
}

pub(crate) const API_KEYS: HttpKeys = HttpKeys {
    enabled: "api",
    address: "apiAddress",
    encryption: "apiEncryption",
    server_key: "apiServerKey",
    server_cert: "apiServerCert",
    allow_origins: "apiAllowOrigins",
    trusted_proxies: "apiTrustedProxies",
};

pub(crate) const METRICS_KEYS: HttpKeys = HttpKeys {
    enabled: "metrics",
    address: "metricsAddress",
    encryption: "metricsEncryption",
    server_key: "metricsServerKey",
    server_cert: "metricsServerCert",
    allow_origins: "metricsAllowOrigins",
    trusted_proxies: "metricsTrustedProxies",
};

pub(crate) const PPROF_KEYS: HttpKeys = HttpKeys {
    enabled: "pprof",
    address: "pprofAddress",
    encryption: "pprofEncryption",
    server_key: "pprofServerKey",
    server_cert: "pprofServerCert",
    allow_origins: "pprofAllowOrigins",
    trusted_proxies: "pprofTrustedProxies",
};

impl HttpConfig {
    /// Switched off, and on `address` once it is on.
    pub(crate) fn on(address: &str) -> Self {
        Self {
            enabled: false,
            address: address.to_owned(),
            encryption: false,
            server_key: "server.key".to_owned(),
            server_cert: "server.crt".to_owned(),
            allow_origins: vec!["*".to_owned()],
            trusted_proxies: Vec::new(),
        }
    }

    pub(crate) fn apply(&mut self, settings: &Settings, keys: &HttpKeys) {
        settings.switch(keys.enabled, &mut self.enabled);
        settings.text(keys.address, &mut self.address);
        settings.switch(keys.encryption, &mut self.encryption);
        settings.text(keys.server_key, &mut self.server_key);
        settings.text(keys.server_cert, &mut self.server_cert);
        settings.texts(keys.allow_origins, &mut self.allow_origins);
        settings.networks(keys.trusted_proxies, &mut self.trusted_proxies);
    }
}
