//! What a running server takes over of a changed configuration, and what waits for its next start.

use super::{Key, Status, Table};

/// Keys of the top level that the engine looks up whenever it needs them, or can change while it
/// runs. Whatever else is built there opens sockets, files and threads at the start.
const LIVE: [&str; 33] = [
    "logLevel",
    "logStructured",
    "readTimeout",
    "writeTimeout",
    "writeQueueSize",
    "udpMaxPayloadSize",
    "authInternalUsers",
    "apiAllowOrigins",
    "apiTrustedProxies",
    "metricsAllowOrigins",
    "metricsTrustedProxies",
    "pprofAllowOrigins",
    "pprofTrustedProxies",
    "playbackAllowOrigins",
    "playbackTrustedProxies",
    "rtspAuthMethods",
    "shutdownTimeout",
    "coalesce",
    "batchBytes",
    "gatherReaders",
    "wakeReaders",
    "wakeBytes",
    "moveLive",
    "notSentLowat",
    "sendBuffer",
    "sessionsPerAddress",
    "connectionsPerAddress",
    "readers",
    "egress",
    "memory",
    "cpu",
    "metricsPerSession",
    "apiLocalSources",
];

impl Key {
    /// Whether a change of this key of the top level has effect only at the next start.
    pub(crate) fn waits_for_restart(&self) -> bool {
        let is_built = matches!(
            self.status,
            Status::Built | Status::BuiltExcept(_) | Status::BuiltNotEmpty
        );
        is_built && !LIVE.contains(&self.name)
    }
}

/// The keys of the top level whose change has effect only at the next start.
pub(crate) fn waiting_for_restart() -> impl Iterator<Item = &'static Key> {
    let keys = Table::global().keys.iter();
    keys.filter(|key| key.waits_for_restart())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_live_are_keys_of_the_top_level() {
        for name in LIVE {
            assert!(Table::global().find(name).is_some(), "{name}");
        }
    }

    #[test]
    fn addresses_and_threads_wait_for_a_restart() {
        let names: Vec<_> = waiting_for_restart().map(|key| key.name).collect();
        for name in [
            "rtspAddress",
            "shards",
            "driver",
            "api",
            "apiAddress",
            "logFile",
        ] {
            assert!(names.contains(&name), "{name}");
        }
    }
}
