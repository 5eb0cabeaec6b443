//! MPEG transport streams in RTP (RFC 2250 §2): what a payload holds.
//!
//! Input is one RTP payload in place, whole transport packets; output is a [`PacketKind`].

use super::PacketKind;

/// Length of a transport packet, and the byte that it begins with (ISO 13818-1 §2.4.3.2).
const PACKET_BYTES: usize = 188;
const SYNC_BYTE: u8 = 0x47;
/// Bit of a transport packet's second byte: something begins in it.
const BEGIN_BIT: u8 = 0x40;
/// Bits of its second and third byte that say whose it is; the program association table's are zero.
const PID_MASK: u16 = 0x1fff;

/// What `payload` holds. A reader can start where the program association table begins: without it, a
/// demultiplexer knows nothing.
#[must_use]
pub fn inspect(payload: &[u8]) -> PacketKind {
    let has_table = payload.chunks_exact(PACKET_BYTES).any(|packet| {
        let begin = packet.first_chunk::<3>();
        begin.is_some_and(|[sync, second, third]| {
            let pid = u16::from_be_bytes([*second, *third]) & PID_MASK;
            *sync == SYNC_BYTE && second & BEGIN_BIT != 0 && pid == 0
        })
    });
    PacketKind {
        picture_start: true,
        key: has_table,
        ..PacketKind::OPAQUE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(pid: u16, begins: bool) -> Vec<u8> {
        let [high, low] = pid.to_be_bytes();
        let mut packet = vec![SYNC_BYTE, high | if begins { BEGIN_BIT } else { 0 }, low];
        packet.resize(PACKET_BYTES, 0xff);
        packet
    }

    #[test]
    fn a_reader_starts_where_the_program_association_table_begins() {
        let with = |pid: u16, begins: bool| [packet(256, true), packet(pid, begins)].concat();
        assert!(inspect(&with(0, true)).key);
        assert!(!inspect(&with(0, false)).key);
        assert!(!inspect(&with(0x100, true)).key);
        assert!(!inspect(&with(0, true)[..300]).key);
        assert!(!inspect(&[]).key);
    }
}
