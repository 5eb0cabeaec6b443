//! The limits of open descriptors and of lockable memory.

use std::io;

/// Raises the soft limit to the hard one; the limit in force is returned either way.
pub(crate) fn raise_descriptor_limit() -> io::Result<u64> {
    raise(libc::RLIMIT_NOFILE, allowed)
}

/// As above, for memory that may not be swapped out: bytes, or `u64::MAX` for all there is.
#[cfg(all(target_os = "linux", feature = "glommio"))]
pub(crate) fn raise_lockable_memory_limit() -> io::Result<u64> {
    raise(libc::RLIMIT_MEMLOCK, |hard| hard)
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
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is a valid place for the answer.
    check(unsafe { libc::getrlimit(resource, &raw mut limit) })?;
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
