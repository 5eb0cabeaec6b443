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
