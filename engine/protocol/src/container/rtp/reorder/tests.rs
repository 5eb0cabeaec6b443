//! Promises of the reorder window: packets leave in order and once, soon, and nothing that a peer
//! sends makes the window hold more than it may.

use proptest::prelude::*;

use super::*;

const BYTES: usize = 1200;

/// A window, and a caller that takes whatever is ready.
#[derive(Default)]
struct Link {
    window: ReorderWindow<u16>,
    now: Duration,
    left: Vec<u16>,
}

impl Link {
    fn having_sent(numbers: impl IntoIterator<Item = u16>) -> Self {
        let mut link = Self::default();
        link.send(numbers);
        link
    }

    fn send(&mut self, numbers: impl IntoIterator<Item = u16>) {
        for number in numbers {
            self.send_sized(number, BYTES);
        }
    }

    fn send_sized(&mut self, number: u16, bytes: usize) {
        self.window
            .push(SequenceNumber(number), self.now, number, bytes);
        self.take();
        assert!(self.window.waiting.len() <= WINDOW_PACKETS_MAX);
        assert!(self.window.waiting_bytes <= WINDOW_BYTES_MAX);
        assert!(self.window.ready.is_empty());
        let waiting = self.window.waiting.iter().flatten();
        let bytes: usize = waiting.map(|packet| packet.bytes).sum();
        assert_eq!(bytes, self.window.waiting_bytes);
        assert!(!matches!(self.window.waiting.front(), Some(Some(_))));
        assert!(!matches!(self.window.waiting.back(), Some(None)));
        let waits = !self.window.waiting.is_empty();
        assert_eq!(self.window.waiting_since.is_some(), waits);
    }

    fn take(&mut self) {
        while let Some(number) = self.window.pop(self.now) {
            self.left.push(number);
        }
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.take();
    }

    /// What has left since the last call.
    fn left(&mut self) -> Vec<u16> {
        std::mem::take(&mut self.left)
    }

    fn counts(&self) -> ReorderCounts {
        self.window.counts()
    }
}

#[test]
fn packets_in_order_pass_at_once_over_the_wrap() {
    let mut link = Link::default();
    for number in (65_530..=65_535).chain(0..10) {
        link.send([number]);
        assert_eq!(link.left(), [number]);
        assert_eq!(link.window.poll_timeout(), None);
    }
    assert_eq!(link.counts(), ReorderCounts::default());
    assert_eq!(link.window.waiting.capacity(), 0, "nothing was allocated");
}

#[test]
fn what_comes_too_early_waits_for_its_turn() {
    let mut link = Link::having_sent([65_534, 1, 65_535]);
    assert_eq!(link.left(), [65_534, 65_535]);
    link.send([2, 0]);
    assert_eq!(link.left(), [0, 1, 2]);
    assert_eq!(link.counts(), ReorderCounts::default());
}

#[test]
fn a_gap_is_given_up_when_its_time_is_over() {
    let mut link = Link::having_sent([1, 3]);
    assert_eq!(link.window.poll_timeout(), Some(WAIT_MAX));
    link.wait(WAIT_MAX / 2);
    link.send([5]);
    assert_eq!(link.left(), [1]);
    link.wait(WAIT_MAX / 2);
    assert_eq!(link.left(), [3], "its time is over, that of 5 is not");
    assert_eq!(link.window.poll_timeout(), Some(link.now + WAIT_MAX / 2));
    link.wait(WAIT_MAX / 2);
    assert_eq!(link.left(), [5]);
    link.send([4, 2, 6]);
    assert_eq!(link.left(), [6]);
    let counts = ReorderCounts {
        given_up: 2,
        late: 2,
        ..ReorderCounts::default()
    };
    assert_eq!(link.counts(), counts);
}

#[test]
fn an_old_packet_does_not_wait_behind_a_young_one() {
    let mut link = Link::having_sent([1, 5]);
    link.wait(WAIT_MAX / 2);
    link.send([3]);
    link.wait(WAIT_MAX / 2);
    assert_eq!(link.left(), [1, 3, 5]);
}

#[test]
fn a_packet_leaves_once() {
    let mut link = Link::having_sent([1, 1, 3, 3, 2, 2, 3]);
    assert_eq!(link.left(), [1, 2, 3]);
    let counts = ReorderCounts {
        duplicate: 1,
        late: 3,
        ..ReorderCounts::default()
    };
    assert_eq!(link.counts(), counts);
}

#[test]
fn the_window_spans_so_many_numbers_and_not_one_more() {
    let last = u16::try_from(WINDOW_PACKETS_MAX).unwrap();
    let mut link = Link::having_sent([0, last]);
    assert_eq!(link.left(), [0]);
    link.send([last + 1]);
    assert_eq!(link.left(), [last, last + 1], "the gap is too wide");
    assert_eq!(link.counts().given_up, u64::from(last) - 1);
}

#[test]
fn a_full_window_gives_up_its_first_gap_alone() {
    let last = u16::try_from(WINDOW_PACKETS_MAX).unwrap();
    let mut link = Link::having_sent((0..=last).filter(|number| ![1, 100].contains(number)));
    assert_eq!(link.left(), [0]);
    link.send([last + 1]);
    assert_eq!(link.left(), (2..100).collect::<Vec<_>>());
    link.send([100]);
    assert_eq!(link.left(), (100..=last + 1).collect::<Vec<_>>());
}

#[test]
fn so_many_bytes_wait_and_not_one_more() {
    let mut link = Link::having_sent([0]);
    link.send_sized(2, WINDOW_BYTES_MAX - 1);
    link.send_sized(3, 1);
    assert_eq!(link.left(), [0]);
    link.send_sized(5, 1);
    assert_eq!(link.left(), [2, 3]);
    link.send_sized(7, WINDOW_BYTES_MAX + 1);
    assert_eq!(link.left(), [5, 7]);
    assert_eq!(link.counts().given_up, 3);
}

#[test]
fn a_burst_of_loss_is_no_jump() {
    let dropout = u16::try_from(DROPOUT_PACKETS_MAX).unwrap();
    let mut link = Link::having_sent([0, dropout]);
    assert_eq!(link.left(), [0, dropout]);
    assert_eq!(link.counts().given_up, u64::from(dropout) - 1);
}

#[test]
fn a_jump_begins_anew_and_loses_nothing() {
    for (before, after) in [(100, 32_100), (32_100, 100), (0, 40_000), (5000, 0)] {
        let mut link = Link::having_sent(before..before + 10);
        link.send([before + 11]);
        link.left();
        link.send(after..after + 3);
        let expected = [before + 11, after, after + 1, after + 2];
        assert_eq!(link.left(), expected, "{before} {after}");
        let counts = ReorderCounts {
            given_up: 1,
            ..ReorderCounts::default()
        };
        assert_eq!(link.counts(), counts);
    }
}

#[test]
fn a_jump_out_of_order_is_put_in_order() {
    let mut link = Link::having_sent([0, 32_002, 32_000, 32_003, 32_001]);
    assert_eq!(link.left(), [0, 32_000, 32_001, 32_002, 32_003]);
}

#[test]
fn a_stray_number_is_dropped_by_the_next_good_one() {
    let mut link = Link::having_sent([0, 32_000, 1, 50_000, 2]);
    assert_eq!(link.left(), [0, 1, 2]);
    assert_eq!(link.counts().stray, 2);
    link.send([32_000, 32_000, 10_000, 60_000]);
    assert!(link.left().is_empty());
    let counts = ReorderCounts {
        stray: 4,
        duplicate: 1,
        ..ReorderCounts::default()
    };
    assert_eq!(link.counts(), counts);
}

#[test]
fn a_jump_that_nothing_contradicts_is_believed() {
    let mut link = Link::having_sent([0, 32_000]);
    assert_eq!(link.left(), [0]);
    assert_eq!(link.window.poll_timeout(), Some(WAIT_MAX));
    link.wait(WAIT_MAX);
    assert_eq!(link.left(), [32_000]);
    assert_eq!(link.window.poll_timeout(), None);
}

#[test]
fn a_source_that_begins_a_little_further_back_is_soon_heard() {
    let mut link = Link::having_sent([500]);
    link.send(100..400);
    let run = u16::try_from(LATE_RUN_MAX).unwrap();
    let heard = std::iter::once(500).chain(99 + run..400);
    assert_eq!(link.left(), heard.collect::<Vec<_>>());
}

#[test]
fn a_caller_that_takes_nothing_is_given_no_more() {
    let mut window = ReorderWindow::new();
    for number in 0..1000 {
        window.push(SequenceNumber(number), Duration::ZERO, number, BYTES);
    }
    assert_eq!(window.ready.len(), WINDOW_PACKETS_MAX);
    let overflow = 1000 - u64::try_from(WINDOW_PACKETS_MAX).unwrap();
    assert_eq!(window.counts().overflow, overflow);
}

/// Numbers as a hostile peer may choose them: gaps, jumps, duplicates.
fn any_steps() -> impl Strategy<Value = Vec<(i32, u16, usize)>> {
    let step = prop_oneof![
        Just(1),
        -3..4i32,
        0..600i32,
        -600..4000i32,
        -40_000..40_000i32
    ];
    prop::collection::vec((step, 0..30u16, 0..70_000usize), 0..400)
}

proptest! {
    #[test]
    fn whatever_order_packets_come_in_within_the_window_they_leave_in_theirs(
        first: u16, order in prop::collection::vec(0..40u16, 100..300),
    ) {
        // Each packet overtakes others by up to 40 numbers, which all come within its time.
        let mut sent: Vec<_> = (0u16..).zip(&order).map(|(at, late)| (at + late, at)).collect();
        sent.sort_unstable();
        let mut link = Link::having_sent([first.wrapping_sub(1)]);
        link.send(sent.iter().map(|(_, number)| first.wrapping_add(*number)));
        let numbers = u16::try_from(order.len()).unwrap();
        let expected = (0..=numbers).map(|number| first.wrapping_sub(1).wrapping_add(number));
        prop_assert_eq!(link.left(), expected.collect::<Vec<_>>());
        prop_assert_eq!(link.counts(), ReorderCounts::default());
    }

    /// Promise: jumps, duplicates and floods of gaps cannot make the window grow, and each packet leaves or is counted.
    #[test]
    fn nothing_grows_and_every_packet_is_accounted_for(steps in any_steps()) {
        let (mut link, mut number, sent) = (Link::default(), 0u16, steps.len());
        for (step, millis, bytes) in steps {
            number = number.wrapping_add_signed((step % 32_768) as i16);
            link.send_sized(number, bytes);
            link.wait(Duration::from_millis(millis.into()));
        }
        link.wait(WAIT_MAX);
        prop_assert_eq!(link.window.poll_timeout(), None);
        let counts = link.counts();
        let dropped = counts.late + counts.duplicate + counts.stray + counts.overflow;
        let left = u64::try_from(link.left().len()).unwrap();
        prop_assert_eq!(left + dropped, u64::try_from(sent).unwrap());
    }
}
