//! The hearing part of a doorbell: an eventfd, waited for by its readiness.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::time::Instant;

use super::event_loop::sleep_until;
use super::readiness::{BLIND_INTERVAL, Readiness};
use crate::backend::eventfd::BellSeat;

pub(crate) struct Bell {
    counter: File,
    /// The last wait's. It is kept until the next one, so that its descriptor is not lost to
    /// another use in between.
    readiness: Option<Readiness>,
}

pub(crate) fn attach(seat: BellSeat) -> io::Result<Bell> {
    let counter = seat.into_counter();
    let readiness = Some(Readiness::of(counter.as_fd())?);
    Ok(Bell { counter, readiness })
}

impl Bell {
    pub(crate) async fn wait(&mut self) {
        while self.counter.read(&mut [0; 8]).is_err() {
            self.readiness = None;
            match Readiness::of(self.counter.as_fd()) {
                Ok(readiness) => self.readiness.insert(readiness).readable().await,
                Err(_) => sleep_until(Instant::now() + BLIND_INTERVAL).await,
            }
        }
    }
}
