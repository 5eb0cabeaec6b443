//! Signals, delivered on a thread of their own.

use std::io;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::process::Signal;

/// Registers before it returns, so that no signal is lost after it.
pub(crate) fn watch_signals(handler: impl Fn(Signal) + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let watch = move || signals.forever().filter_map(signal_of).for_each(handler);
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(watch)?;
    Ok(())
}

fn signal_of(number: libc::c_int) -> Option<Signal> {
    match number {
        SIGINT => Some(Signal::Interrupt),
        SIGTERM => Some(Signal::Terminate),
        SIGHUP => Some(Signal::Hangup),
        _ => None,
    }
}
