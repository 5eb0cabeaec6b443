//! Whether io_uring works here, found out by trying.
//!
//! It can be missing (kernels before 5.1), too old to be of use (before 5.7), switched off by
//! `kernel.io_uring_disabled`, or forbidden by a container engine's system call filter. Only
//! building a ring and running an operation through it tells.

use std::io;

use io_uring::{IoUring, Probe, opcode};

/// An operation's code, and its name for the operator.
pub(super) type Operation = (u8, &'static str);

/// Builds a ring like an event loop's, looks at what it can do, and runs an operation. What is
/// amiss comes back in words.
pub(super) fn trial(
    builder: &io_uring::Builder,
    entries: u32,
    needed: &[Operation],
) -> Result<(), String> {
    let mut ring = builder.build(entries).map_err(|error| refusal(&error))?;
    check_features(&ring)?;
    check_operations(&ring, needed)?;
    run_nop(&mut ring).map_err(|error| format!("io_uring fails here ({error})"))
}

fn refusal(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EPERM) => "io_uring is forbidden here (EPERM)".to_owned(),
        Some(libc::EACCES) => "io_uring is forbidden here (EACCES)".to_owned(),
        Some(libc::ENOSYS) => "io_uring is missing here (ENOSYS)".to_owned(),
        Some(libc::ENOMEM) => {
            "io_uring may not lock enough memory here (ENOMEM; see ulimit -l)".to_owned()
        }
        Some(libc::EINVAL) => "io_uring is too old here (EINVAL)".to_owned(),
        _ => format!("io_uring cannot be set up here ({error})"),
    }
}

fn check_features(ring: &IoUring) -> Result<(), String> {
    let parameters = ring.params();
    if !parameters.is_feature_nodrop() {
        return Err("io_uring is too old here (it can lose completions)".to_owned());
    }
    if !parameters.is_feature_fast_poll() {
        return Err("io_uring is too old here (it would block threads on sockets)".to_owned());
    }
    Ok(())
}

fn check_operations(ring: &IoUring, needed: &[Operation]) -> Result<(), String> {
    let mut probe = Probe::new();
    ring.submitter()
        .register_probe(&mut probe)
        .map_err(|error| format!("io_uring cannot be probed here ({error})"))?;
    match needed.iter().find(|(code, _)| !probe.is_supported(*code)) {
        Some((_, name)) => Err(format!("io_uring is too old here (it lacks {name})")),
        None => Ok(()),
    }
}

fn run_nop(ring: &mut IoUring) -> io::Result<()> {
    const MARK: u64 = 0x5ca1ab1e;
    let nop = opcode::Nop::new().build().user_data(MARK);
    // SAFETY: a no-operation refers to no memory.
    unsafe { ring.submission().push(&nop) }.map_err(io::Error::other)?;
    ring.submit_and_wait(1)?;
    match ring.completion().next() {
        Some(entry) if entry.user_data() == MARK && entry.result() == 0 => Ok(()),
        _ => Err(io::Error::other("an operation did not complete")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_the_kernel_said() {
        let reason = |code| refusal(&io::Error::from_raw_os_error(code));
        assert_eq!(reason(libc::EPERM), "io_uring is forbidden here (EPERM)");
        assert_eq!(reason(libc::ENOSYS), "io_uring is missing here (ENOSYS)");
        assert!(reason(libc::ENOMEM).contains("ulimit -l"));
        assert!(reason(libc::EMFILE).contains("cannot be set up"));
    }
}
