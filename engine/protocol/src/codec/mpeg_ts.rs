//! MPEG transport streams in RTP (RFC 2250 §2): what a payload holds.
//!
//! Input is one RTP payload in place, whole transport packets; output is a [`PacketKind`]. Program
//! association tables take the part of parameter sets: without one a demultiplexer knows nothing, and
//! several come every second. Where decoding of pictures can start, senders mark a recovery point.

use super::PacketKind;

/// Length of a transport packet, and the byte that it begins with (ISO 13818-1 §2.4.3.2).
const PACKET_BYTES: usize = 188;
const SYNC_BYTE: u8 = 0x47;
/// Length of a transport packet's header.
const HEADER_BYTES: usize = 4;
/// Bit of its second byte: something begins in it.
const BEGIN_BIT: u8 = 0x40;
/// Bits of its second and third byte that say whose it is; the program association table's are zero.
const PID_MASK: u16 = 0x1fff;
/// Bit of its fourth byte: an adaptation field follows, with its length in front.
const ADAPTATION_BIT: u8 = 0x20;
/// Bit of an adaptation field: decoding can start here (ISO 13818-1 §2.4.3.5).
const RANDOM_ACCESS_BIT: u8 = 0x40;
/// What packets of a video stream begin with, but for the stream's number (ISO 13818-1 §2.4.3.6).
const VIDEO_PREFIX: [u8; 3] = [0, 0, 1];
const VIDEO_STREAM: u8 = 0xe0;
const STREAM_MASK: u8 = 0xf0;

/// What `payload` holds.
#[must_use]
pub fn inspect(payload: &[u8]) -> PacketKind {
    let mut kind = PacketKind::OPAQUE;
    for packet in payload.chunks_exact(PACKET_BYTES) {
        if begins_table(packet) {
            kind.parameter_sets = true;
            // A picture in front of the table is out of reach.
            kind.recovery_point = false;
        }
        kind.recovery_point |= begins_random_access(packet) == Some(true);
    }
    kind
}

fn begins_table(packet: &[u8]) -> bool {
    packet
        .first_chunk::<3>()
        .is_some_and(|[sync, second, third]| {
            let pid = u16::from_be_bytes([*second, *third]) & PID_MASK;
            *sync == SYNC_BYTE && second & BEGIN_BIT != 0 && pid == 0
        })
}

/// Whether a picture at which decoding can start begins here. That sound can start is marked too, at
/// every packet of it.
fn begins_random_access(packet: &[u8]) -> Option<bool> {
    let (header, rest) = packet.split_first_chunk::<HEADER_BYTES>()?;
    let [sync, second, _, control] = *header;
    if sync != SYNC_BYTE || second & BEGIN_BIT == 0 || control & ADAPTATION_BIT == 0 {
        return Some(false);
    }
    let (length, rest) = rest.split_first()?;
    let (adaptation, stream) = rest.split_at_checked(usize::from(*length))?;
    let [number, ..] = *stream.strip_prefix(&VIDEO_PREFIX)? else {
        return None;
    };
    Some(adaptation.first()? & RANDOM_ACCESS_BIT != 0 && number & STREAM_MASK == VIDEO_STREAM)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(head: &[u8]) -> Vec<u8> {
        let mut packet = head.to_vec();
        packet.resize(PACKET_BYTES, 0xff);
        packet
    }

    fn inspected(packets: &[&[u8]]) -> (bool, bool) {
        let payload: Vec<u8> = packets.iter().flat_map(|head| packet(head)).collect();
        let kind = inspect(&payload);
        assert!(kind.picture && !kind.key && !kind.droppable);
        (kind.parameter_sets, kind.recovery_point)
    }

    const TABLE: &[u8] = &[0x47, 0x40, 0x00, 0x10, 0];
    const PICTURE: &[u8] = &[0x47, 0x41, 0x00, 0x10, 0, 0, 1, 0xe0];
    const KEY: &[u8] = &[0x47, 0x41, 0x00, 0x30, 1, 0x40, 0, 0, 1, 0xe0];
    const SOUND: &[u8] = &[0x47, 0x41, 0x01, 0x30, 1, 0x40, 0, 0, 1, 0xc0];

    #[test]
    fn tables_and_key_pictures_are_seen() {
        assert_eq!(inspected(&[PICTURE, SOUND]), (false, false));
        assert_eq!(inspected(&[PICTURE, TABLE]), (true, false));
        assert_eq!(inspected(&[SOUND, KEY]), (false, true));
        assert_eq!(inspected(&[TABLE, KEY]), (true, true));
        assert_eq!(inspected(&[KEY, TABLE]), (true, false));
        // The rest of a table, another table, and no transport packet at all.
        assert_eq!(
            inspected(&[&[0x47, 0, 0, 0x10], &[0x47, 0x40, 1, 0x10]]),
            (false, false)
        );
        assert_eq!(inspected(&[&[0x48, 0x40, 0, 0x10]]), (false, false));
    }

    #[test]
    fn a_packet_that_ends_within_its_fields_is_nothing() {
        assert_eq!(
            inspected(&[&[0x47, 0x41, 0, 0x30, 183, 0x40]]),
            (false, false)
        );
        assert_eq!(
            inspected(&[&[0x47, 0x41, 0, 0x30, 255, 0x40]]),
            (false, false)
        );
        assert_eq!(
            inspected(&[&[0x47, 0x41, 0, 0x30, 0, 0, 0, 1, 0xe0]]),
            (false, false)
        );
        let mut short = packet(TABLE);
        short.pop();
        assert_eq!(inspect(&short), PacketKind::OPAQUE);
        assert_eq!(inspect(&[]), PacketKind::OPAQUE);
    }
}
