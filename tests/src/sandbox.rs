//! What a container engine takes away from a process: io_uring, and all CPUs but one. Both hold for the thread that
//! gives them up and for every thread and process that it starts, so a test gives up on a thread of its own.

use std::thread;

/// Runs `action` on a thread of its own, and passes its panic on.
///
/// # Panics
/// When `action` does.
pub fn on_a_thread<T: Send + 'static>(action: impl FnOnce() -> T + Send + 'static) -> T {
    match thread::spawn(action).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Leaves this thread, and all that it starts, the lowest of its CPUs.
///
/// # Panics
/// When the system refuses.
pub fn keep_one_cpu() {
    let cpus = shardcast_platform::cpu_budget().cpus;
    let first = cpus.first().expect("a thread runs somewhere");
    shardcast_platform::pin_current_thread(*first).expect("it runs there already");
}

/// Forbids io_uring to this thread and to all that it starts, by a filter of system calls.
///
/// # Panics
/// When the system refuses the filter.
#[cfg(target_os = "linux")]
pub fn forbid_io_uring() {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter};

    /// `io_uring_setup`, which has the same number on every architecture.
    const IO_URING_SETUP: i64 = 425;
    /// `EPERM`, which container engines answer.
    const NOT_PERMITTED: u32 = 1;
    let arch = TargetArch::try_from(std::env::consts::ARCH).expect("a known architecture");
    let filter = SeccompFilter::new(
        [(IO_URING_SETUP, Vec::new())].into_iter().collect(),
        SeccompAction::Allow,
        SeccompAction::Errno(NOT_PERMITTED),
        arch,
    );
    let program: BpfProgram = filter
        .and_then(TryInto::try_into)
        .expect("a filter of one call");
    apply_filter(&program).expect("a process may always forbid itself something");
}
