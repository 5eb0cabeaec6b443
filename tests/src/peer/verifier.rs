//! Checks a synthetic stream packet by packet on the reader's side: nothing lost, repeated, reordered or altered, and
//! the first packet with a counter begins a key frame.
//!
//! Where packets were lost before the server had them, a reader sees exactly that: [`Verifier::with_losses`].

use super::synthetic::{self, Counter, RTP_HEADER_BYTES};

/// What is wrong with a packet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Not an RTP packet of the plain form that the stream has.
    #[error("no RTP header of version 2")]
    NotRtp,
    /// Neither counters nor a parameter set.
    #[error("a payload that nobody sent: {first_bytes:02x?}")]
    Unknown {
        /// What it begins with.
        first_bytes: Vec<u8>,
    },
    /// The bytes after the counters are not those of this packet.
    #[error("packet {packet} was altered on its way")]
    Altered {
        /// Its counter.
        packet: u64,
    },
    /// The RTP sequence numbers are not consecutive.
    #[error("sequence number {found} where {due} was due")]
    SequenceJump {
        /// The number that should have come.
        due: u16,
        /// The number that came.
        found: u16,
    },
    /// The counters are not consecutive.
    #[error("packet {found} where {due} was due")]
    CounterJump {
        /// The counter that should have come.
        due: u64,
        /// The counter that came.
        found: u64,
    },
    /// The first packet, or the first after a permitted jump, does not begin a key frame.
    #[error("packet {packet} of frame {frame} is no start point")]
    NoStartPoint {
        /// Its counter.
        packet: u64,
        /// Its frame.
        frame: u64,
    },
}

/// What a reader may be spared.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Mercy {
    /// No gap at all.
    #[default]
    Strict,
    /// The server may move it on to a later key frame.
    Jumps,
    /// Packets may be missing anywhere, but never without a gap in the sequence numbers that says so.
    Losses,
}

/// The state of a reader's check.
#[derive(Debug, Default)]
pub struct Verifier {
    mercy: Mercy,
    due_sequence_number: Option<u16>,
    due_packet: Option<u64>,
    first: Option<Counter>,
    last: Option<Counter>,
    packets: u64,
    jumps: u64,
    missing: u64,
    /// Missing sequence numbers since the last packet with a counter.
    gap: u64,
}

impl Verifier {
    /// A check that permits no gap at all.
    pub fn strict() -> Self {
        Self::default()
    }

    /// A check for a reader that the server may move on to a later key frame.
    pub fn with_jumps() -> Self {
        Self {
            mercy: Mercy::Jumps,
            ..Self::default()
        }
    }

    /// A check for a stream whose publisher loses packets on the way: those that come are unaltered and in order, and
    /// what is missing is missing in the sequence numbers too.
    pub fn with_losses() -> Self {
        Self {
            mercy: Mercy::Losses,
            ..Self::default()
        }
    }

    /// The first packet with a counter.
    pub fn first(&self) -> Option<Counter> {
        self.first
    }

    /// The last packet with a counter.
    pub fn last(&self) -> Option<Counter> {
        self.last
    }

    /// Packets with counters seen so far.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Permitted jumps seen so far.
    pub fn jumps(&self) -> u64 {
        self.jumps
    }

    /// Packets with counters that are missing between the first and the last.
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// Looks at the next RTP packet of the video track.
    ///
    /// # Errors
    /// When it is not the packet that is due.
    pub fn check(&mut self, rtp: &[u8]) -> Result<(), Flaw> {
        let (sequence_number, counter) = read(rtp)?;
        self.check_sequence_number(sequence_number)?;
        counter.map_or(Ok(()), |counter| self.check_counter(counter))
    }

    fn check_sequence_number(&mut self, found: u16) -> Result<(), Flaw> {
        let due = self.due_sequence_number.replace(found.wrapping_add(1));
        let Some(due) = due.filter(|due| *due != found) else {
            return Ok(());
        };
        let ahead = found.wrapping_sub(due);
        match self.mercy {
            Mercy::Jumps => Ok(()),
            Mercy::Losses if ahead < u16::MAX / 2 => {
                self.gap += u64::from(ahead);
                Ok(())
            }
            _ => Err(Flaw::SequenceJump { due, found }),
        }
    }

    fn check_counter(&mut self, counter: Counter) -> Result<(), Flaw> {
        let Counter { packet, frame, .. } = counter;
        let gap = std::mem::take(&mut self.gap);
        let due = self.due_packet.replace(packet + 1);
        let jumped = due.is_some_and(|due| due != packet);
        if let (true, Some(due)) = (jumped, due) {
            self.check_jump(due, packet, gap)?;
        }
        let starts = jumped || due.is_none();
        if starts && !counter.starts_key_frame && self.mercy != Mercy::Losses {
            return Err(Flaw::NoStartPoint { packet, frame });
        }
        self.jumps += u64::from(jumped);
        self.packets += 1;
        self.first.get_or_insert(counter);
        self.last = Some(counter);
        Ok(())
    }

    /// Looks at a jump of the counters, `gap` sequence numbers being missing there.
    fn check_jump(&mut self, due: u64, found: u64, gap: u64) -> Result<(), Flaw> {
        let missing = found.saturating_sub(due);
        self.missing += missing;
        match self.mercy {
            Mercy::Jumps => Ok(()),
            Mercy::Losses if found > due && missing <= gap => Ok(()),
            _ => Err(Flaw::CounterJump { due, found }),
        }
    }
}

/// Reads a packet's sequence number and its counter, which a parameter set has not.
///
/// # Errors
/// When it is no packet of a synthetic stream, or was altered.
pub(super) fn read(rtp: &[u8]) -> Result<(u16, Option<Counter>), Flaw> {
    let (header, payload) = rtp
        .split_first_chunk::<RTP_HEADER_BYTES>()
        .filter(|(header, _)| header.first() == Some(&0x80))
        .ok_or(Flaw::NotRtp)?;
    let sequence_number = u16::from_be_bytes([header[2], header[3]]);
    if synthetic::is_parameter_set(payload) {
        return Ok((sequence_number, None));
    }
    let (counter, pattern) = synthetic::read_counter(payload).ok_or_else(|| Flaw::Unknown {
        first_bytes: payload.iter().take(8).copied().collect(),
    })?;
    let whole = synthetic::pattern(counter.packet).take(pattern.len());
    if whole.eq(pattern.iter().copied()) {
        return Ok((sequence_number, Some(counter)));
    }
    Err(Flaw::Altered {
        packet: counter.packet,
    })
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::{Shape, Source};
    use super::*;

    fn packets(frames: u64) -> Vec<Vec<u8>> {
        let shape = Shape {
            gop_frames: 10,
            ..Shape::default()
        };
        let mut source = Source::new(shape);
        (0..frames).flat_map(|_| source.next_frame()).collect()
    }

    fn check(verifier: &mut Verifier, packets: &[Vec<u8>]) -> Result<(), Flaw> {
        packets.iter().try_for_each(|packet| verifier.check(packet))
    }

    #[test]
    fn a_whole_stream_passes_across_the_wrap_of_its_sequence_numbers() {
        let mut verifier = Verifier::strict();
        check(&mut verifier, &packets(40)).unwrap();
        assert_eq!(verifier.packets(), 240);
        assert_eq!(verifier.last().unwrap().frame, 39);
    }

    #[test]
    fn a_lost_a_repeated_and_an_altered_packet_are_found() {
        let whole = packets(2);
        let mut lost = whole.clone();
        lost.remove(5);
        assert!(matches!(
            check(&mut Verifier::strict(), &lost),
            Err(Flaw::SequenceJump { .. })
        ));
        let mut repeated = whole.clone();
        repeated.insert(5, whole[5].clone());
        assert!(matches!(
            check(&mut Verifier::strict(), &repeated),
            Err(Flaw::SequenceJump { .. })
        ));
        let mut altered = whole;
        altered[5].last_mut().map(|byte| *byte ^= 1).unwrap();
        assert!(matches!(
            check(&mut Verifier::strict(), &altered),
            Err(Flaw::Altered { .. })
        ));
    }

    #[test]
    fn a_loss_hidden_by_rewritten_sequence_numbers_is_found() {
        let mut hidden = packets(2);
        hidden.remove(5);
        for (packet, sequence_number) in hidden.iter_mut().zip(7_u16..) {
            packet[2..4].copy_from_slice(&sequence_number.to_be_bytes());
        }
        assert!(matches!(
            check(&mut Verifier::strict(), &hidden),
            Err(Flaw::CounterJump { .. })
        ));
    }

    #[test]
    fn a_start_within_a_gop_is_found() {
        let all = packets(3);
        let middle = all.split_at(12).1;
        assert!(matches!(
            check(&mut Verifier::strict(), middle),
            Err(Flaw::NoStartPoint { .. })
        ));
    }

    #[test]
    fn a_jump_may_only_lead_to_a_key_frame() {
        let all = packets(30);
        let gop = all.len() / 3;
        let mut to_key = all[..10].to_vec();
        to_key.extend_from_slice(&all[gop..]);
        let mut verifier = Verifier::with_jumps();
        check(&mut verifier, &to_key).unwrap();
        assert_eq!(verifier.jumps(), 1);
        let mut to_other = all[..10].to_vec();
        to_other.extend_from_slice(&all[gop + 10..]);
        assert!(matches!(
            check(&mut Verifier::with_jumps(), &to_other),
            Err(Flaw::NoStartPoint { .. })
        ));
    }

    #[test]
    fn losses_that_the_sequence_numbers_show_pass_and_others_do_not() {
        let whole = packets(3);
        let mut lossy = whole.clone();
        lossy.drain(12..15);
        lossy.remove(5);
        let mut verifier = Verifier::with_losses();
        check(&mut verifier, &lossy).unwrap();
        assert_eq!(verifier.missing(), 4);
        let mut swapped = whole.clone();
        swapped.swap(6, 7);
        assert!(check(&mut Verifier::with_losses(), &swapped).is_err());
        let mut hidden = whole;
        hidden.remove(5);
        for (packet, sequence_number) in hidden.iter_mut().zip(7_u16..) {
            packet[2..4].copy_from_slice(&sequence_number.to_be_bytes());
        }
        let flaw = check(&mut Verifier::with_losses(), &hidden);
        assert!(matches!(flaw, Err(Flaw::CounterJump { .. })));
    }
}
