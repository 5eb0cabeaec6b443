//! The ways in which a server can be built up: its driver, its shards, and whether connections move between them.

/// Three per driver.
const WAYS: usize = if cfg!(feature = "glommio") { 9 } else { 6 };

/// One way.
#[derive(Debug, Clone, Copy)]
pub struct House {
    /// `driver`.
    pub driver: &'static str,
    /// `shards`.
    pub shards: usize,
    /// `moveLive`.
    pub moves: bool,
}

impl House {
    /// Two shards on the driver that the server chooses; connections move.
    pub const USUAL: Self = Self::of("auto", 2, true);
    /// The same; connections stay where the kernel has put them.
    pub const RIGID: Self = Self::of("auto", 2, false);
    /// One shard on the driver that the server chooses.
    pub const SMALL: Self = Self::of("auto", 1, true);
    /// Every way: with one shard there is nowhere to move to.
    pub const ALL: [Self; WAYS] = [
        Self::of("io_uring", 1, true),
        Self::of("io_uring", 2, true),
        Self::of("io_uring", 2, false),
        Self::of("epoll", 1, true),
        Self::of("epoll", 2, true),
        Self::of("epoll", 2, false),
        #[cfg(feature = "glommio")]
        Self::of("glommio", 1, true),
        #[cfg(feature = "glommio")]
        Self::of("glommio", 2, true),
        #[cfg(feature = "glommio")]
        Self::of("glommio", 2, false),
    ];

    const fn of(driver: &'static str, shards: usize, moves: bool) -> Self {
        Self {
            driver,
            shards,
            moves,
        }
    }

    /// As lines of a configuration.
    pub fn configuration(&self) -> String {
        let moves = if self.moves { "yes" } else { "no" };
        let Self { driver, shards, .. } = self;
        format!("driver: {driver}\nshards: {shards}\nmoveLive: {moves}\n")
    }
}
