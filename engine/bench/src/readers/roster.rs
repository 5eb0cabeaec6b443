//! Who joins: each reader of a load with its path, its part and its moment. It follows from the load alone, so that a run
//! with the same seed has the same readers.

use std::time::Duration;

use fastrand::Rng;

use crate::shape::{Load, Storm};

/// What a reader does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Is looked at packet by packet.
    Sampled,
    /// Is only counted.
    Counted,
    /// Joins while the others are measured.
    Storm,
    /// Plays, and never reads.
    Stalled,
    /// Reads too slowly.
    Crawling,
    /// Vanishes, and comes back as somebody else.
    Vanishing,
}

/// A reader to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    /// In the order of joining; those that misbehave, and those of the storm, come after the others.
    pub(super) number: usize,
    /// Which path it reads.
    pub(super) path: usize,
    /// What it does.
    pub(super) part: Part,
    /// When it joins: from the begin of the ramp, or of what is measured for the storm.
    pub(super) at: Duration,
}

/// All readers of the load, those of a part together and each part in the order of joining.
pub(super) fn seats(load: &Load) -> Vec<Seat> {
    let course = load.course;
    let sampled = sampled(load);
    let mut seats = Vec::new();
    let part_of = |number: usize| match sampled.binary_search(&number) {
        Ok(_) => Part::Sampled,
        Err(_) => Part::Counted,
    };
    seat(&mut seats, load, load.readers, course.ramp, part_of);
    let misbehaving = load.misbehaving;
    for (part, count) in [
        (Part::Stalled, misbehaving.stalled),
        (Part::Crawling, misbehaving.crawling),
        (Part::Vanishing, misbehaving.vanishing),
    ] {
        seat(&mut seats, load, count, course.ramp, |_| part);
    }
    if let Some(storm) = load.storm {
        seat(&mut seats, load, storm.joins, storm.within, |_| Part::Storm);
    }
    seats
}

/// Adds so many readers, whose joins are spread evenly over `within`.
fn seat(
    seats: &mut Vec<Seat>,
    load: &Load,
    count: usize,
    within: Duration,
    part: impl Fn(usize) -> Part,
) {
    let first = seats.len();
    seats.extend((0..count).map(|index| Seat {
        number: first + index,
        path: (first + index) % load.paths.max(1),
        part: part(first + index),
        at: within.mul_f64(index as f64 / count as f64),
    }));
}

/// The readers that are looked at: one of each of as many equal stretches of the order of joining, by chance within its
/// stretch, so that with several paths none is left out for ever.
fn sampled(load: &Load) -> Vec<usize> {
    let mut chance = Rng::with_seed(load.seed);
    let count = load.sampled.min(load.readers);
    let begin = |stretch: usize| stretch * load.readers / count.max(1);
    let stretches = (0..count).map(|stretch| begin(stretch)..begin(stretch + 1));
    stretches.map(|stretch| chance.usize(stretch)).collect()
}

impl Seat {
    /// Whether its packets are looked at: all the time, or of a storm that stays only until it has had a key frame, for as
    /// many as of the others.
    pub(super) fn is_looked_at(&self, load: &Load) -> bool {
        let is_guest = |storm: Storm| {
            let one_in = storm.joins.div_ceil(load.sampled.max(1)).max(1);
            storm.stays && load.sampled > 0 && self.number.is_multiple_of(one_in)
        };
        match self.part {
            Part::Sampled => true,
            Part::Storm => load.storm.is_some_and(is_guest),
            Part::Counted | Part::Stalled | Part::Crawling | Part::Vanishing => false,
        }
    }

    /// What is left to chance for this reader.
    pub(super) fn chance(&self, seed: u64) -> Rng {
        Rng::with_seed(seed.wrapping_add(self.number as u64 + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::readers::tests::load;
    use crate::shape::Misbehaving;

    fn count(seats: &[Seat], part: Part) -> usize {
        seats.iter().filter(|seat| seat.part == part).count()
    }

    #[test]
    fn everybody_has_a_seat_and_a_number() {
        let mut load = load();
        (load.readers, load.sampled, load.paths) = (100, 10, 3);
        load.misbehaving = Misbehaving {
            stalled: 1,
            crawling: 2,
            vanishing: 3,
            ..Misbehaving::default()
        };
        load.storm = Some(Storm {
            joins: 5,
            within: Duration::from_secs(1),
            stays: false,
        });
        let seats = seats(&load);
        let parts = [
            Part::Sampled,
            Part::Counted,
            Part::Stalled,
            Part::Crawling,
            Part::Vanishing,
            Part::Storm,
        ];
        let counts = parts.map(|part| count(&seats, part));
        assert_eq!(counts, [10, 90, 1, 2, 3, 5]);
        for (number, seat) in seats.iter().enumerate() {
            assert_eq!((seat.number, seat.path), (number, number % 3));
        }
    }

    #[test]
    fn those_who_are_looked_at_are_spread_over_the_order_of_joining_and_over_paths() {
        let mut load = load();
        (load.readers, load.sampled, load.paths) = (1000, 50, 10);
        let seats = seats(&load);
        let of_path = |path: usize| {
            let sampled = seats.iter().filter(|seat| seat.part == Part::Sampled);
            sampled.filter(move |seat| seat.path == path).count()
        };
        assert!((0..10).filter(|path| of_path(*path) > 0).count() > 5);
        for stretch in seats.chunks(20) {
            assert_eq!(count(stretch, Part::Sampled), 1);
        }
        assert_eq!(seats, super::seats(&load));
    }

    #[test]
    fn of_a_storm_that_stays_as_many_are_looked_at_as_of_the_others() {
        let mut load = load();
        (load.readers, load.sampled) = (50, 10);
        let mut looked_at = |joins, stays| {
            let within = Duration::from_secs(1);
            load.storm = Some(Storm {
                joins,
                within,
                stays,
            });
            let seats = seats(&load).into_iter();
            let guests = seats.filter(|seat| seat.part == Part::Storm);
            guests.filter(|seat| seat.is_looked_at(&load)).count()
        };
        assert_eq!([looked_at(200, true), looked_at(4, true)], [10, 4]);
        assert_eq!(looked_at(200, false), 0);
    }

    #[test]
    fn no_more_are_looked_at_than_there_are() {
        let mut load = load();
        for (readers, sampled, expected) in [(0, 5, 0), (3, 5, 3), (3, 0, 0)] {
            (load.readers, load.sampled) = (readers, sampled);
            assert_eq!(count(&seats(&load), Part::Sampled), expected);
        }
    }

    #[test]
    fn joins_are_spread_evenly_over_the_ramp() {
        let mut load = load();
        (load.readers, load.course.ramp) = (4, Duration::from_secs(2));
        let moments: Vec<_> = seats(&load).iter().map(|seat| seat.at).collect();
        assert_eq!(moments, [0, 500, 1000, 1500].map(Duration::from_millis));
    }
}
