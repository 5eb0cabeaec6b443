//! What only a reader that has just come needs: it is given up once the reader has caught up, so that those who play hold
//! nothing of it.

use std::rc::Rc;
use std::sync::Arc;

use super::reports::FirstClock;
use crate::fanout::{CatchUp, Entry, Log, Position};
use crate::stream::TrackBase;

/// How a reader begins.
#[derive(Debug)]
pub struct Begin {
    /// Where the tracks began, until the reader was told the clock.
    reports_due: Option<Arc<[TrackBase]>>,
    /// What it is sent in another way than others are.
    catch_up: Option<Rc<CatchUp>>,
}

impl Begin {
    /// A reader of a stream whose tracks began at `tracks`.
    #[must_use]
    pub fn new(tracks: Arc<[TrackBase]>, catch_up: Option<Rc<CatchUp>>) -> Box<Self> {
        Box::new(Self {
            reports_due: Some(tracks),
            catch_up,
        })
    }

    /// How a reader at this place is sent what is next, if otherwise than others are.
    pub(super) fn catch_up(&self, place: Option<Position>) -> Option<&Rc<CatchUp>> {
        let catch_up = self.catch_up.as_ref();
        catch_up.filter(|catch_up| catch_up.covers(place))
    }

    /// What the reader is to be told of the clock before its first packet, which is this one; once.
    pub(super) fn take_clock<'log>(
        &mut self,
        log: &'log Log,
        entry: &'log Entry,
        packet: u32,
    ) -> Option<(FirstClock<'log>, Arc<[TrackBase]>)> {
        let tracks = self.reports_due.take()?;
        let clock = match &self.catch_up {
            Some(catch_up) => FirstClock::catching_up(log, catch_up),
            None => FirstClock::at(entry.batch.shared(), packet),
        };
        Some((clock?, tracks))
    }
}
