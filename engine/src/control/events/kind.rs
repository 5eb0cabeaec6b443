//! The kinds of events that listeners are told of, by the names that they filter by.

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $label:literal,)*) => {
        /// What an event is about.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum EventKind {
            $($(#[$doc])* $name,)*
        }

        impl EventKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name.
            #[must_use]
            pub fn label(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)*
                }
            }
        }
    };
}

kinds! {
    /// A stream can be read.
    PathReady = "pathReady",
    /// A stream has lost its publisher and waits for another.
    PathWaiting = "pathWaiting",
    /// A stream has ended.
    PathNotReady = "pathNotReady",
    /// A session publishes or reads from now on.
    SessionBegun = "sessionBegun",
    /// It has ended.
    SessionEnded = "sessionEnded",
    /// A bug of ours ended a session.
    SessionPanicked = "sessionPanicked",
    /// A reader was too slow; summed up.
    ReaderDropped = "readerDropped",
    /// A stream was cut for a shard.
    RingFull = "ringFull",
    /// Packets are too large for datagrams.
    PacketsOversized = "packetsOversized",
    /// Packets of a publisher were refused; summed up.
    PacketsRefused = "packetsRefused",
    /// Requests of a connection were refused; summed up.
    RequestsRefused = "requestsRefused",
    /// A peer has offered wrong credentials.
    AuthenticationFailed = "authenticationFailed",
    /// A connection could not be accepted.
    AcceptFailed = "acceptFailed",
    /// A shard does not answer.
    StallBegun = "stallBegun",
    /// It answers again.
    StallOver = "stallOver",
    /// The configuration was changed.
    Reloaded = "reloaded",
    /// It was to be, and is wrong.
    ReloadFailed = "reloadFailed",
    /// Events are missing here. Told whatever a listener filters by.
    Gap = "gap",
}

impl EventKind {
    /// The kind of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|kind| kind.label() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUIDE: &str = include_str!("../../../../config/guide/events.md");

    #[test]
    fn every_kind_is_known_by_its_name_and_stands_in_the_guide() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::of(kind.label()), Some(*kind));
            assert!(GUIDE.contains(&format!("`{}`", kind.label())), "{kind:?}");
        }
        assert_eq!(EventKind::of("nonsense"), None);
    }
}
