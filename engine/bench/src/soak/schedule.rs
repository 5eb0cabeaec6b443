//! Who does what, and when: a list of errands for each of those who misbehave, in each round. It follows from the seed alone,
//! so that a soak can be had again.

use std::time::Duration;

use fastrand::Rng;

use crate::shape::Transport;

/// What a reader can do.
const READER_ACTS: [Act; 8] = [
    Act::Leave,
    Act::Stall,
    Act::Crawl,
    Act::Reset,
    Act::Vanish,
    Act::Flap,
    Act::Ask,
    Act::Linger,
];
/// What a publisher can do.
const PUBLISHER_ACTS: [Act; 4] = [
    Act::Publish,
    Act::BreakOff,
    Act::FallSilent,
    Act::PublishAndVanish,
];
/// How long an errand lasts, at least and at most, and what part of a round at most; and how long its actor waits before it.
const LASTS_MIN: Duration = Duration::from_millis(50);
const LASTS_MAX: Duration = Duration::from_secs(2);
const PART_OF_ROUND: u32 = 5;
const PAUSE_MAX: Duration = Duration::from_millis(300);
/// A publisher goes to its neighbour's path, and takes over from it or is taken over, so often.
const TAKE_OVER_ONE_IN: u32 = 4;

/// What somebody does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Act {
    /// Plays and leaves in order.
    Leave,
    /// Plays, and reads nothing.
    Stall,
    /// Plays, and reads too little.
    Crawl,
    /// Plays, takes a part of a packet and resets the connection.
    Reset,
    /// Plays, and closes the connection without a word.
    Vanish,
    /// Joins and leaves, again and again.
    Flap,
    /// Asks for the description and hangs up.
    Ask,
    /// Stalls for a while, reads everything, and leaves in order.
    Linger,
    /// Publishes and leaves in order.
    Publish,
    /// Publishes, and resets the connection in the middle of a packet.
    BreakOff,
    /// Announces a stream, sends none of it, and hangs up.
    FallSilent,
    /// Publishes, and closes the connection without a word.
    PublishAndVanish,
}

/// Something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Errand {
    /// What.
    pub(crate) act: Act,
    /// On which path; those that are published all the time come first.
    pub(crate) path: usize,
    /// How packets travel.
    pub(crate) transport: Transport,
    /// How long nothing is done before.
    pub(crate) pause: Duration,
    /// How long it is done.
    pub(crate) lasts: Duration,
    /// What is left to chance in it.
    pub(crate) seed: u64,
}

/// How many there are of everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cast {
    /// Paths that are published all the time.
    pub(crate) paths: usize,
    /// Readers that misbehave.
    pub(crate) readers: usize,
    /// Publishers that do, each with a path of its own.
    pub(crate) publishers: usize,
    /// All of it follows from this.
    pub(crate) seed: u64,
}

impl Act {
    /// What a report calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Leave => "leave",
            Self::Stall => "stall",
            Self::Crawl => "crawl",
            Self::Reset => "reset",
            Self::Vanish => "vanish",
            Self::Flap => "flap",
            Self::Ask => "ask",
            Self::Linger => "linger",
            Self::Publish => "publish",
            Self::BreakOff => "break_off",
            Self::FallSilent => "fall_silent",
            Self::PublishAndVanish => "publish_and_vanish",
        }
    }

    /// Whether a publisher does it.
    pub(crate) fn is_of_publisher(self) -> bool {
        PUBLISHER_ACTS.contains(&self)
    }
}

impl Cast {
    /// All who misbehave.
    pub(crate) fn actors(&self) -> usize {
        self.readers + self.publishers
    }

    /// Paths of any kind.
    pub(crate) fn all_paths(&self) -> usize {
        self.paths + self.publishers
    }

    /// What one of them does in a round that lasts so long. In round 0, before the baseline, nothing is left out.
    pub(crate) fn errands(&self, round: u64, actor: usize, lasts: Duration) -> Vec<Errand> {
        let acts: &[Act] = match actor < self.readers {
            true => &READER_ACTS,
            false => &PUBLISHER_ACTS,
        };
        let mut chance = Rng::with_seed(self.seed ^ (round << 32) ^ (actor as u64 + 1));
        let (mut deck, mut errands, mut spent) = (Vec::new(), Vec::new(), Duration::ZERO);
        let least = if round == 0 { acts.len() } else { 1 };
        while spent < lasts || errands.len() < least {
            if deck.is_empty() {
                deck = acts.to_vec();
                chance.shuffle(&mut deck);
            }
            let Some(act) = deck.pop() else {
                break;
            };
            let lasts_max = (lasts / PART_OF_ROUND).clamp(LASTS_MIN, LASTS_MAX);
            let errand = self.errand(act, actor, lasts_max, &mut chance);
            spent += errand.pause + errand.lasts;
            errands.push(errand);
        }
        errands
    }

    fn errand(&self, act: Act, actor: usize, lasts_max: Duration, chance: &mut Rng) -> Errand {
        let path = match act.is_of_publisher() {
            false => chance.usize(0..self.all_paths()),
            true => {
                let own = actor - self.readers;
                let step = usize::from(chance.u32(0..TAKE_OVER_ONE_IN) == 0);
                self.paths + (own + step) % self.publishers
            }
        };
        Errand {
            act,
            path,
            transport: match chance.bool() {
                true => Transport::Tcp,
                false => Transport::Udp,
            },
            pause: PAUSE_MAX.mul_f64(chance.f64()),
            lasts: LASTS_MIN + (lasts_max - LASTS_MIN).mul_f64(chance.f64()),
            seed: chance.u64(..),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const CAST: Cast = Cast {
        paths: 4,
        readers: 8,
        publishers: 3,
        seed: 7,
    };
    const ROUND: Duration = Duration::from_secs(15);

    fn all(cast: &Cast, round: u64) -> Vec<Vec<Errand>> {
        let actors = 0..cast.actors();
        actors
            .map(|actor| cast.errands(round, actor, ROUND))
            .collect()
    }

    #[test]
    fn the_same_seed_has_the_same_errands_and_another_has_others() {
        assert_eq!(all(&CAST, 3), all(&CAST, 3));
        assert_ne!(all(&CAST, 3), all(&CAST, 4));
        assert_ne!(all(&CAST, 3), all(&Cast { seed: 8, ..CAST }, 3));
    }

    #[test]
    fn before_the_baseline_everything_is_done_once_however_short_the_round_is() {
        for actor in 0..CAST.actors() {
            let errands = CAST.errands(0, actor, Duration::ZERO);
            let acts: BTreeSet<Act> = errands.iter().map(|errand| errand.act).collect();
            let expected = if actor < CAST.readers { 8 } else { 4 };
            assert_eq!(acts.len(), expected);
        }
    }

    #[test]
    fn errands_fill_a_round_and_publishers_leave_steady_paths_alone() {
        for errand in all(&CAST, 1).iter().flatten() {
            let is_steady = errand.path < CAST.paths;
            assert!(errand.path < CAST.all_paths());
            assert!(!(is_steady && errand.act.is_of_publisher()), "{errand:?}");
        }
        for errands in all(&CAST, 1) {
            let spent: Duration = errands.iter().map(|it| it.pause + it.lasts).sum();
            assert!(spent >= ROUND && spent < ROUND + Duration::from_secs(3));
        }
    }
}
