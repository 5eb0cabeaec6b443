//! How many packets a queue has taken for its reader: from the queue to the reader's record, each time that it was filled.

/// Packets that were taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// All of them.
    pub packets: u32,
    /// Those of them that are RTCP.
    pub rtcp: u32,
}
