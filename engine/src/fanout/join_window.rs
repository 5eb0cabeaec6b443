//! Who shares what is sent to readers that catch up. All who come within a moment have one *window*, which says from where
//! to where and which timestamp becomes which, and the images that are made for it, batch by batch, when the first of them
//! takes the batch.
//!
//! The log keeps the images of its latest window, and those for a second: at most what it holds itself, once more. A
//! reader that is not through by then has what it is sent made for itself, write by write.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::catch_up::{CatchUp, PressedBatch};
use super::datagrams::DatagramRun;
use super::local_batch::ChannelMap;
use super::log::{Entry, Log};

/// Readers who come so soon one after the other share a window. The last of them begins so much behind the live pictures,
/// with timestamps that say so: a tenth of a second is within what a player waits anyway.
const JOIN_WINDOW: Duration = Duration::from_millis(100);

/// Images are kept so long: a reader that takes longer for them is no quick one, and there may be few like it.
const IMAGES_KEPT: Duration = Duration::from_secs(1);

/// A log's latest window, with its images.
#[derive(Debug, Default)]
pub(super) struct JoinWindow(RefCell<Option<Box<Open>>>);

#[derive(Debug)]
struct Open {
    catch_up: Rc<CatchUp>,
    made: Instant,
    batches: Images<PressedBatch>,
    datagrams: Images<Rc<[DatagramRun]>>,
}

/// One per entry of the window, as far as somebody has asked. Bounded by the log's entries.
#[derive(Debug)]
struct Images<T>(Vec<Option<T>>);

impl<T> Images<T> {
    fn of(&mut self, index: usize, build: impl FnOnce() -> T) -> Option<&T> {
        if self.0.len() <= index {
            self.0.resize_with(index + 1, || None);
        }
        Some(self.0.get_mut(index)?.get_or_insert_with(build))
    }
}

impl JoinWindow {
    /// Lets go of images that are no longer kept.
    pub(super) fn prune(&mut self, now: Instant) {
        let is_over = |open: &mut Box<Open>| now.saturating_duration_since(open.made) > IMAGES_KEPT;
        self.0.get_mut().take_if(is_over);
    }
}

impl Log {
    /// How a reader that comes now catches up; nothing if the latest start point is the live edge, or there is none.
    #[must_use]
    pub fn catch_up(&self, now: Instant) -> Option<Rc<CatchUp>> {
        let start = self.latest_start()?;
        let mut window = self.join_window.0.borrow_mut();
        let is_current = |open: &&Open| {
            let age = now.saturating_duration_since(open.made);
            open.catch_up.start == start && age <= JOIN_WINDOW
        };
        if let Some(open) = window.as_deref().filter(is_current) {
            return Some(open.catch_up.clone());
        }
        let catch_up = Rc::new(CatchUp::new(self, start, self.live_edge())?);
        *window = Some(Box::new(Open {
            catch_up: catch_up.clone(),
            made: now,
            batches: Images(Vec::new()),
            datagrams: Images(Vec::new()),
        }));
        Some(catch_up)
    }

    /// An entry within the window as it is sent over TCP to readers with these channels; nothing for those who do not take
    /// the leading track.
    #[must_use]
    pub fn pressed_batch(
        &self,
        catch_up: &Rc<CatchUp>,
        number: u64,
        entry: &Entry,
        channels: &ChannelMap,
    ) -> Option<PressedBatch> {
        let leading = usize::from(catch_up.leading);
        let (channel, _) = (*channels.0.get(leading)?)?;
        let build = |channel| catch_up.press(number, entry.batch.shared(), channel);
        let usual = catch_up.leading.checked_mul(2)?;
        let mut window = self.join_window.0.borrow_mut();
        let shared = window
            .as_mut()
            .filter(|open| channel == usual && Rc::ptr_eq(&open.catch_up, catch_up));
        match shared {
            Some(open) => open
                .batches
                .of(catch_up.index(number)?, || build(usual))
                .cloned(),
            None => Some(build(channel)),
        }
    }

    /// The datagrams of an entry within the window.
    #[must_use]
    pub fn pressed_datagrams(
        &self,
        catch_up: &Rc<CatchUp>,
        number: u64,
    ) -> Option<Rc<[DatagramRun]>> {
        let datagrams = self.datagrams(number)?;
        let build = || catch_up.press_datagrams(number, datagrams);
        let mut window = self.join_window.0.borrow_mut();
        let is_its = |open: &&mut Box<Open>| Rc::ptr_eq(&open.catch_up, catch_up);
        match window.as_mut().filter(is_its) {
            Some(open) => open.datagrams.of(catch_up.index(number)?, build).cloned(),
            None => Some(build()),
        }
    }
}

#[cfg(test)]
mod tests {
    use shardcast_protocol::container::rtp::HeaderView;

    use super::*;
    use crate::fanout::catch_up::tests::{append, cached};

    fn usual() -> ChannelMap {
        ChannelMap([Some((0, 1)), Some((2, 3))].into_iter().collect())
    }

    fn pressed(log: &Log, catch_up: &Rc<CatchUp>, number: u64, map: &ChannelMap) -> PressedBatch {
        let entry = log.entry(number).unwrap();
        log.pressed_batch(catch_up, number, entry, map).unwrap()
    }

    #[test]
    fn a_hundred_readers_of_a_window_share_one_image_per_batch() {
        let now = Instant::now();
        let log = cached(now);
        let first = log.catch_up(now).unwrap();
        let images = [0, 7, 269].map(|number| pressed(&log, &first, number, &usual()).bytes);
        for reader in 1..100 {
            let catch_up = log.catch_up(now + Duration::from_millis(reader)).unwrap();
            assert!(Rc::ptr_eq(&first, &catch_up));
            for (number, image) in [0, 7, 269].into_iter().zip(&images) {
                let bytes = pressed(&log, &catch_up, number, &usual()).bytes;
                assert_eq!((bytes.as_ptr(), bytes.len()), (image.as_ptr(), image.len()));
            }
        }
        let later = log.catch_up(now + 2 * JOIN_WINDOW).unwrap();
        assert!(!Rc::ptr_eq(&first, &later));
    }

    #[test]
    fn the_image_is_the_leading_track_with_its_numbers_and_other_timestamps() {
        let now = Instant::now();
        let log = cached(now);
        let catch_up = log.catch_up(now).unwrap();
        let mut last = None;
        for unit in 0..270 {
            let image = pressed(&log, &catch_up, u64::from(unit), &usual());
            assert_eq!(image.packets, 2);
            let packets: Vec<_> = image.bytes.chunks(18).map(|wire| &wire[4..]).collect();
            let views = packets
                .iter()
                .map(|packet| HeaderView::parse(packet).unwrap());
            let numbers: Vec<_> = views.map(|view| view.sequence_number().0).collect();
            assert_eq!(numbers, [2 * unit, 2 * unit + 1]);
            assert!(
                packets.iter().all(|packet| packet[13] == packet[3]),
                "its payload"
            );
            let timestamp = HeaderView::parse(packets[0]).unwrap().timestamp();
            assert!(last.is_none_or(|last| timestamp.distance_from(last) > 0));
            last = Some(timestamp);
        }
    }

    #[test]
    fn a_reader_of_an_older_window_is_sent_the_same_as_before() {
        let now = Instant::now();
        let mut log = cached(now);
        let catch_up = log.catch_up(now).unwrap();
        let before = pressed(&log, &catch_up, 5, &usual()).bytes;
        append(&mut log, 270, true, now);
        let newer = log.catch_up(now + 2 * JOIN_WINDOW).unwrap();
        let after = pressed(&log, &catch_up, 5, &usual()).bytes;
        assert_eq!(&*before, &*after);
        assert_ne!(&*after, &*pressed(&log, &newer, 5, &usual()).bytes);
    }

    #[test]
    fn images_are_let_go_of_when_nobody_quick_takes_them_any_more() {
        let now = Instant::now();
        let mut log = cached(now);
        let _catch_up = log.catch_up(now).unwrap();
        append(&mut log, 270, true, now + IMAGES_KEPT);
        assert!(log.join_window.0.borrow().is_some());
        append(&mut log, 271, true, now + 2 * IMAGES_KEPT);
        assert!(log.join_window.0.borrow().is_none());
    }

    #[test]
    fn readers_with_other_channels_have_theirs_and_those_without_pictures_nothing() {
        let now = Instant::now();
        let log = cached(now);
        let catch_up = log.catch_up(now).unwrap();
        let map = |video| ChannelMap([video, Some((0, 1))].into_iter().collect());
        let other = pressed(&log, &catch_up, 3, &map(Some((8, 9)))).bytes;
        assert_eq!((other[1], other[19]), (8, 8));
        assert_eq!(pressed(&log, &catch_up, 3, &usual()).bytes[1], 0);
        let entry = log.entry(3).unwrap();
        assert!(log.pressed_batch(&catch_up, 3, entry, &map(None)).is_none());
    }

    #[test]
    fn datagrams_are_made_once_for_all_with_the_numbers_of_their_image() {
        let now = Instant::now();
        let log = cached(now);
        log.join_datagrams(1452);
        let catch_up = log.catch_up(now).unwrap();
        let runs = log.pressed_datagrams(&catch_up, 3).unwrap();
        assert!(Rc::ptr_eq(
            &runs,
            &log.pressed_datagrams(&catch_up, 3).unwrap()
        ));
        assert_eq!(runs.len(), 1, "the sound is left out");
        assert_eq!(runs[0].datagrams(), 2);
        let wire = pressed(&log, &catch_up, 3, &usual()).bytes;
        assert_eq!(&runs[0].bytes[..14], &wire[4..18]);
    }
}
