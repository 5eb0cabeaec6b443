//! What a player has presented and when, and what follows: how late its pictures are, and its sound against them.
//!
//! Pictures come with the number that is painted in them, which begins again after some 40 s; beeps with their length,
//! which says which second of four they mark. So a lateness is known up to 40 s, and sound's lag up to 2 s.

use super::source::{BEEP_SECONDS_CYCLE, FRAME_RATE};
use crate::interop::counter::NUMBERS;

/// Pictures and beeps within so many seconds of a moment tell the lateness of that moment.
const PICTURES_REACH_S: f64 = 0.5;
/// See above: one beep a second.
const BEEPS_REACH_S: f64 = 1.5;
/// So much earlier than it was made a picture may seem to be presented: clocks are read on several threads.
const EARLY_MAX_S: f64 = 0.5;

/// A picture that was presented.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Picture {
    /// When.
    pub at_s: f64,
    /// The number that it shows.
    pub number: u64,
}

/// The begin of a beep that was presented.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Beep {
    /// When.
    pub at_s: f64,
    /// The second that it marks, modulo [`BEEP_SECONDS_CYCLE`].
    pub second: u64,
}

/// What was presented, in order.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    /// All pictures whose number could be read.
    pub pictures: Vec<Picture>,
    /// All beeps.
    pub beeps: Vec<Beep>,
}

impl Timeline {
    /// How late pictures are around this moment, against the moment at which each was handed to the encoder.
    pub fn latency_s(&self, around_s: f64) -> Option<f64> {
        let near = |at_s: f64| (at_s - around_s).abs() <= PICTURES_REACH_S;
        let pictures = self.pictures.iter().filter(|picture| near(picture.at_s));
        median(pictures.map(|picture| lateness_s(*picture)).collect())
    }

    /// By how much sound is later than the pictures around this moment.
    pub fn sound_lag_s(&self, around_s: f64) -> Option<f64> {
        let latency_s = self.latency_s(around_s)?;
        let near = |at_s: f64| (at_s - around_s).abs() <= BEEPS_REACH_S;
        let beeps = self.beeps.iter().filter(|beep| near(beep.at_s));
        median(beeps.map(|beep| lag_s(*beep, latency_s)).collect())
    }
}

/// The latest picture of this number that can have been made by then is the one.
fn lateness_s(picture: Picture) -> f64 {
    let cycle_s = NUMBERS as f64 / FRAME_RATE as f64;
    let made_s = picture.number as f64 / FRAME_RATE as f64;
    (picture.at_s + EARLY_MAX_S - made_s).rem_euclid(cycle_s) - EARLY_MAX_S
}

fn lag_s(beep: Beep, latency_s: f64) -> f64 {
    let cycle_s = BEEP_SECONDS_CYCLE as f64;
    let lag_s = beep.at_s - beep.second as f64 - latency_s;
    (lag_s + cycle_s / 2.0).rem_euclid(cycle_s) - cycle_s / 2.0
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Presented from 50 s on, `latency_s` and `lag_s` late.
    fn timeline(latency_s: f64, lag_s: f64) -> Timeline {
        let picture = |number: u64| Picture {
            at_s: number as f64 / FRAME_RATE as f64 + latency_s,
            number: number % NUMBERS,
        };
        let beep = |second: u64| Beep {
            at_s: second as f64 + latency_s + lag_s,
            second: second % BEEP_SECONDS_CYCLE,
        };
        Timeline {
            pictures: (1250..1500).map(picture).collect(),
            beeps: (50..60).map(beep).collect(),
        }
    }

    #[test]
    fn lateness_and_lag_are_found_on_both_sides_of_zero() {
        for (latency_s, lag_s) in [(2.0, 0.0), (12.3, -1.2), (0.02, 1.7)] {
            let timeline = timeline(latency_s, lag_s);
            let latency = timeline.latency_s(55.0 + latency_s).unwrap();
            assert!((latency - latency_s).abs() < 1e-6, "{latency}");
            let lag = timeline.sound_lag_s(55.0 + latency_s).unwrap();
            assert!((lag - lag_s).abs() < 1e-6, "{lag}");
        }
    }

    #[test]
    fn of_what_was_not_presented_nothing_is_known() {
        assert_eq!(timeline(1.0, 0.0).latency_s(20.0), None);
        assert_eq!(Timeline::default().sound_lag_s(0.0), None);
    }
}
