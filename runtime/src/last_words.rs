//! The end of the process after a shard's panic: one line, then exit. A dead shard in a live
//! process would hold its paths and readers for ever, and a supervisor cannot see it.

use std::process;
use std::thread;
use std::time::Duration;

use crate::ShardPanic;

/// What the process exits with: `EX_SOFTWARE` of sysexits.h, an internal error.
pub const SHARD_PANIC_EXIT_CODE: i32 = 70;

/// The log's line and the orderly exit get this long (a log may be a pipe that nobody reads), then
/// the process is aborted. Together it stays under the second that a supervisor may count on.
const LAST_WORDS_MAX: Duration = Duration::from_millis(800);

/// Logs the panic and ends the process with [`SHARD_PANIC_EXIT_CODE`]; never returns. A daemon
/// whose own hook does more before the end calls this last.
pub fn exit_with(panic: &ShardPanic) -> ! {
    let bell = thread::Builder::new()
        .name(String::from("last-words"))
        .spawn(|| {
            thread::sleep(LAST_WORDS_MAX);
            process::abort();
        });
    if bell.is_err() {
        // Without a thread nothing bounds the line below, so it is not written.
        process::abort();
    }
    tracing::error!(
        "shard {} panicked in {} ({}), the process ends: {}",
        panic.shard,
        panic.stage,
        panic.subject,
        panic.message
    );
    process::exit(SHARD_PANIC_EXIT_CODE)
}
