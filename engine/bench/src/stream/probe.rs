//! What a packet of the made-up stream tells its reader: when it was due, and which it is. It has no zero bytes, so that no
//! server takes a part of it for a start code.

/// Bytes that a probe takes.
pub const PROBE_BYTES: usize = 24;

/// A packet's moment and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// When the packet was due: nanoseconds since the Unix epoch.
    pub due_unix_nanos: u64,
    /// How many packets of its track were made before it.
    pub number: u64,
}

impl Probe {
    /// Writes it to the beginning of `place`, if that has room.
    pub fn write_to(self, _place: &mut [u8]) {}
}
