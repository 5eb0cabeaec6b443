//! The limits of open descriptors and of lockable memory.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};

/// Raises the soft limit to the hard one; the limit in force is returned either way.
pub(crate) fn raise_descriptor_limit() -> io::Result<u64> {
    raise(libc::RLIMIT_NOFILE, allowed)
}

/// As above, for memory that may not be swapped out: bytes, or `u64::MAX` for all there is.
#[cfg(all(target_os = "linux", feature = "glommio"))]
pub(crate) fn raise_lockable_memory_limit() -> io::Result<u64> {
    raise(libc::RLIMIT_MEMLOCK, |hard| hard)
}

/// Of a limit, the part that a reserve may be at most: a process that has few is to use most of them.
const RESERVED_PART: u64 = 8;

/// The system gives the lowest free number, so one near the limit says that those below are taken. The runtime sees to it
/// that there is a standard input.
pub(crate) fn are_descriptors_scarce(reserve: u64) -> bool {
    let Ok(limit) = limit_of(libc::RLIMIT_NOFILE) else {
        return false;
    };
    let reserve = reserve.min(limit.rlim_cur / RESERVED_PART);
    match io::stdin().as_fd().try_clone_to_owned() {
        Ok(lowest) => {
            let lowest = u64::try_from(lowest.as_raw_fd()).unwrap_or_default();
            lowest.saturating_add(reserve) >= limit.rlim_cur
        }
        Err(error) => matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)),
    }
}

/// What the C library calls the number of a limit.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
type Resource = libc::__rlimit_resource_t;
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
type Resource = libc::c_int;

fn raise(
    resource: Resource,
    allowed: impl FnOnce(libc::rlim_t) -> libc::rlim_t,
) -> io::Result<u64> {
    let limit = limit_of(resource)?;
    let wanted = libc::rlimit {
        rlim_cur: allowed(limit.rlim_max),
        ..limit
    };
    if wanted.rlim_cur <= limit.rlim_cur {
        return Ok(limit.rlim_cur);
    }
    // SAFETY: `wanted` is a valid limit that outlives the call.
    match check(unsafe { libc::setrlimit(resource, &raw const wanted) }) {
        Ok(()) => Ok(wanted.rlim_cur),
        Err(_) => Ok(limit.rlim_cur),
    }
}

fn limit_of(resource: Resource) -> io::Result<libc::rlimit> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is a valid place for the answer.
    check(unsafe { libc::getrlimit(resource, &raw mut limit) })?;
    Ok(limit)
}

/// macOS refuses more than `OPEN_MAX` per process, whatever the hard limit says.
#[cfg(target_os = "macos")]
fn allowed(hard: libc::rlim_t) -> libc::rlim_t {
    hard.min(10_240)
}

#[cfg(not(target_os = "macos"))]
fn allowed(hard: libc::rlim_t) -> libc::rlim_t {
    hard
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_scarce_when_no_more_than_the_reserve_is_left() {
        let limit = limit_of(libc::RLIMIT_NOFILE).unwrap().rlim_cur;
        assert!(!are_descriptors_scarce(0));
        // A reserve is bounded, so that a few open descriptors do not reach it.
        assert!(!are_descriptors_scarce(limit));
    }
}
