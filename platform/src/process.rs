//! The process as the operator and the system see it: signals and the descriptor limit.

use std::io;

use crate::os;

/// What the operator or the system asks of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// SIGINT, or Ctrl-C.
    Interrupt,
    /// SIGTERM; on Windows the console's close, log-off and shutdown events.
    Terminate,
    /// SIGHUP.
    Hangup,
    /// Ctrl-Break, on Windows.
    CtrlBreak,
}

/// Calls `handler` for every signal from now on, on a thread of its own. The process no longer ends
/// by them: that is the handler's decision.
///
/// # Errors
/// When the system refuses a handler or a thread.
pub fn watch_signals(handler: impl Fn(Signal) + Send + 'static) -> io::Result<()> {
    os::watch_signals(handler)
}

/// Raises the process's limit of open descriptors as far as it is allowed, and says what is in
/// force then. A reader costs one.
///
/// # Errors
/// When the system does not say.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    os::raise_descriptor_limit()
}

/// Whether no more than `reserve` descriptors are left, or an eighth of the limit if that is less. Whoever asks before it
/// takes one leaves the rest to others. Two or three system calls; on Windows there is no limit to meet.
#[must_use]
pub fn are_descriptors_scarce(reserve: u64) -> bool {
    os::are_descriptors_scarce(reserve)
}
