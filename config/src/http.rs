//! What listeners over HTTP have in common: the Control API, the metrics, the profiler.
//!
//! Filled from the keys that begin with the listener's name. Asked by the engine when it listens.

use crate::settings::Settings;

/// A listener over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// Whether it listens at all.
    pub enabled: bool,
    /// `host:port` or `:port` (every address, IPv6 and IPv4).
    pub address: String,
}

/// The names of a listener's keys.
pub(crate) struct HttpKeys {
    enabled: &'static str,
    address: &'static str,
}

pub(crate) const API_KEYS: HttpKeys = HttpKeys {
    enabled: "api",
    address: "apiAddress",
};

pub(crate) const METRICS_KEYS: HttpKeys = HttpKeys {
    enabled: "metrics",
    address: "metricsAddress",
};

pub(crate) const PPROF_KEYS: HttpKeys = HttpKeys {
    enabled: "pprof",
    address: "pprofAddress",
};

impl HttpConfig {
    /// Switched off, and on `address` once it is on.
    pub(crate) fn on(address: &str) -> Self {
        Self {
            enabled: false,
            address: address.to_owned(),
        }
    }

    pub(crate) fn apply(&mut self, settings: &Settings, keys: &HttpKeys) {
        settings.switch(keys.enabled, &mut self.enabled);
        settings.text(keys.address, &mut self.address);
    }
}
