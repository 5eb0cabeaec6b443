//! What a bad link does to the packets of one direction: a seeded chance decides for each whether it is lost, repeated or
//! held back, so that a run can be repeated.
//!
//! No clock and no sockets: packets and `now` go in, packets that are due come out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Packets that are on their way at most; what is over is lost, as in a router's queue.
const QUEUE_PACKETS_MAX: usize = 4096;
/// How much longer a packet takes that others are to overtake: a burst is past by the end, and it is a fraction of the
/// time for which anybody waits for a missing packet.
const HELD_BACK: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(10));

/// What is wrong with one direction of a link. The default is nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Impairment {
    /// Share of packets that are lost, 0 to 1.
    pub loss: f64,
    /// Share of packets that arrive twice.
    pub duplicate: f64,
    /// Share of packets that later ones overtake.
    pub reorder: f64,
    /// How long every packet takes.
    pub delay: Duration,
    /// Longer IP packets are lost.
    pub mtu: usize,
    /// Whether nothing passes at all.
    pub is_cut: bool,
}

impl Default for Impairment {
    fn default() -> Self {
        Self {
            loss: 0.0,
            duplicate: 0.0,
            reorder: 0.0,
            delay: Duration::ZERO,
            mtu: usize::MAX,
            is_cut: false,
        }
    }
}

/// What has become of the packets of one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets that were sent.
    pub sent: u64,
    /// Packets that were lost: by chance, while the link was cut, too long, or one too many.
    pub lost: u64,
    /// Packets that were sent on twice.
    pub repeated: u64,
    /// Packets that were held back.
    pub held_back: u64,
}

/// One direction of a link, with the packets that are on their way.
#[derive(Debug)]
pub struct Line {
    chance: Chance,
    waiting: BTreeMap<(Instant, u64), Vec<u8>>,
    serial: u64,
    counts: Counts,
}

impl Line {
    /// A direction whose chances come from `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            chance: Chance::new(seed),
            waiting: BTreeMap::new(),
            serial: 0,
            counts: Counts::default(),
        }
    }

    /// What has become of the packets so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Takes a packet that was sent at `now`.
    pub fn take(&mut self, packet: Vec<u8>, now: Instant, impairment: &Impairment) {
        self.counts.sent += 1;
        // Each packet draws the same number of chances, whatever becomes of it: one setting does not shift another's.
        let lost = self.chance.strikes(impairment.loss);
        let repeated = self.chance.strikes(impairment.duplicate);
        let held_back = self.chance.strikes(impairment.reorder);
        let holding = self.chance.between(HELD_BACK);
        let is_stopped = impairment.is_cut || packet.len() > impairment.mtu;
        if lost || is_stopped || self.waiting.len() >= QUEUE_PACKETS_MAX {
            self.counts.lost += 1;
            return;
        }
        let due = now + impairment.delay;
        if repeated {
            self.counts.repeated += 1;
            self.put(due, packet.clone());
        }
        self.counts.held_back += u64::from(held_back);
        self.put(if held_back { due + holding } else { due }, packet);
    }

    /// The next packet that has arrived by `now`.
    pub fn pop(&mut self, now: Instant) -> Option<Vec<u8>> {
        let next = self.waiting.first_entry()?;
        (next.key().0 <= now).then(|| next.remove())
    }

    /// When the next packet will arrive.
    pub fn next_due(&self) -> Option<Instant> {
        let ((due, _), _) = self.waiting.first_key_value()?;
        Some(*due)
    }

    fn put(&mut self, due: Instant, packet: Vec<u8>) {
        self.serial += 1;
        self.waiting.insert((due, self.serial), packet);
    }
}

/// Random numbers from a seed (xorshift64*).
#[derive(Debug)]
struct Chance(u64);

impl Chance {
    fn new(seed: u64) -> Self {
        // The state must not be zero.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn strikes(&mut self, share: f64) -> bool {
        self.fraction() < share
    }

    fn between(&mut self, (least, most): (Duration, Duration)) -> Duration {
        least + (most - least).mul_f64(self.fraction())
    }

    /// 0 to below 1.
    fn fraction(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11;
        bits as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKETS: u32 = 10_000;

    /// Numbers of the packets in the order in which they arrive, one sent each millisecond.
    fn carried(impairment: &Impairment, seed: u64) -> (Vec<u32>, Counts) {
        let start = Instant::now();
        let mut line = Line::new(seed);
        let mut arrived = Vec::new();
        for number in 0..PACKETS + 1000 {
            let now = start + Duration::from_millis(number.into());
            if number < PACKETS {
                line.take(number.to_be_bytes().to_vec(), now, impairment);
            }
            while let Some(packet) = line.pop(now) {
                arrived.push(u32::from_be_bytes(packet.try_into().unwrap()));
            }
        }
        (arrived, line.counts())
    }

    #[test]
    fn a_good_line_changes_nothing() {
        let (arrived, counts) = carried(&Impairment::default(), 1);
        assert!(arrived.into_iter().eq(0..PACKETS));
        assert_eq!((counts.sent, counts.lost), (PACKETS.into(), 0));
    }

    #[test]
    fn the_same_seed_does_the_same() {
        let bad = Impairment {
            loss: 0.1,
            duplicate: 0.1,
            reorder: 0.1,
            ..Impairment::default()
        };
        assert_eq!(carried(&bad, 7), carried(&bad, 7));
        assert_ne!(carried(&bad, 7), carried(&bad, 8));
    }

    #[test]
    fn losses_repetitions_and_delays_come_in_their_shares() {
        let bad = Impairment {
            loss: 0.02,
            duplicate: 0.05,
            reorder: 0.1,
            delay: Duration::from_millis(50),
            ..Impairment::default()
        };
        let (arrived, counts) = carried(&bad, 3);
        assert!((120..280).contains(&counts.lost), "{counts:?}");
        assert!((400..600).contains(&counts.repeated), "{counts:?}");
        assert!((850..1150).contains(&counts.held_back), "{counts:?}");
        let left = counts.sent - counts.lost + counts.repeated;
        assert_eq!(u64::try_from(arrived.len()).unwrap(), left);
        assert!(!arrived.is_sorted());
        let mut unique = arrived;
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(
            u64::try_from(unique.len()).unwrap(),
            counts.sent - counts.lost
        );
    }

    #[test]
    fn a_cut_line_and_a_narrow_one_let_nothing_through() {
        let cut = Impairment {
            is_cut: true,
            ..Impairment::default()
        };
        let narrow = Impairment {
            mtu: 3,
            ..Impairment::default()
        };
        for impairment in [cut, narrow] {
            let (arrived, counts) = carried(&impairment, 1);
            assert_eq!((arrived.len(), counts.lost), (0, PACKETS.into()));
        }
    }

    #[test]
    fn the_queue_is_bounded() {
        let slow = Impairment {
            delay: Duration::from_secs(3600),
            ..Impairment::default()
        };
        let (arrived, counts) = carried(&slow, 1);
        let held = u64::try_from(QUEUE_PACKETS_MAX).unwrap();
        assert_eq!((arrived.len(), counts.lost), (0, u64::from(PACKETS) - held));
    }
}
