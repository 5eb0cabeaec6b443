//! Console events: Ctrl-C, Ctrl-Break, and the end of the console or the session.
//!
//! The system calls the handler on a thread of its own, so any code may run there. For the events that end the process
//! the system waits for the handler only: it stays in there while the daemon closes down, and the process's end takes it.

use std::io;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;

use windows_sys::Win32::System::Console::{
    CTRL_BREAK_EVENT, CTRL_C_EVENT, CTRL_CLOSE_EVENT, CTRL_LOGOFF_EVENT, CTRL_SHUTDOWN_EVENT,
    SetConsoleCtrlHandler,
};
use windows_sys::core::BOOL;

use crate::process::Signal;

type Watcher = Box<dyn Fn(Signal) + Send>;

/// The one watcher of this process: the system's handler takes no argument, so it must be found from here.
static WATCHER: OnceLock<Mutex<Watcher>> = OnceLock::new();

/// Calls `watcher` for every event from now on.
///
/// # Errors
/// When there is a watcher already, or the system refuses the handler.
pub(crate) fn watch_signals(watcher: impl Fn(Signal) + Send + 'static) -> io::Result<()> {
    WATCHER
        .set(Mutex::new(Box::new(watcher)))
        .map_err(|_| io::Error::new(io::ErrorKind::AlreadyExists, "signals are watched already"))?;
    // SAFETY: the handler is a plain function that lives as long as the process.
    let done = unsafe { SetConsoleCtrlHandler(Some(handle_event), 1) };
    if done == 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

unsafe extern "system" fn handle_event(event: u32) -> BOOL {
    let (signal, ends_process) = match event {
        CTRL_C_EVENT => (Signal::Interrupt, false),
        CTRL_BREAK_EVENT => (Signal::CtrlBreak, false),
        CTRL_CLOSE_EVENT | CTRL_LOGOFF_EVENT | CTRL_SHUTDOWN_EVENT => (Signal::Terminate, true),
        _ => return 0,
    };
    let Some(watcher) = WATCHER.get() else {
        return 0;
    };
    watcher.lock().unwrap_or_else(PoisonError::into_inner)(signal);
    if ends_process {
        stay();
    }
    1
}

/// The system ends the process when its handler returns, or a few seconds later.
fn stay() -> ! {
    loop {
        thread::park();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// The system's own call needs a console, which not every machine has; so the handler is
    /// called as the system would.
    #[test]
    fn console_events_are_reported_and_end_nothing_by_themselves() {
        let (send, signals) = mpsc::channel();
        watch_signals(move |signal| send.send(signal).expect("it is waited for"))
            .expect("the system takes a handler");
        let events = [
            (CTRL_C_EVENT, Signal::Interrupt),
            (CTRL_BREAK_EVENT, Signal::CtrlBreak),
        ];
        for (event, signal) in events {
            // SAFETY: it is what the system calls, and takes a number.
            let handled = unsafe { handle_event(event) };
            assert_eq!(handled, 1, "the system must not end the process");
            assert_eq!(signals.try_recv(), Ok(signal));
        }
        // SAFETY: as above.
        assert_eq!(unsafe { handle_event(u32::MAX) }, 0, "left to others");
        let second = watch_signals(|_| ()).expect_err("there is one watcher");
        assert_eq!(second.kind(), io::ErrorKind::AlreadyExists);
    }
}
