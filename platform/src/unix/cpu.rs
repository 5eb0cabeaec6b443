//! Affinity and pinning.

use std::io;

/// Words of the affinity mask: 8192 CPUs, Linux's `NR_CPUS` at its largest. The C library's own
/// set ends at 1024.
#[cfg(target_os = "linux")]
const MASK_WORDS: usize = 8192 / BITS;

#[cfg(target_os = "linux")]
const BITS: usize = libc::c_ulong::BITS as usize;

/// The CPUs that this thread may run on, ascending.
#[cfg(target_os = "linux")]
pub(crate) fn affinity() -> io::Result<Vec<usize>> {
    let mut mask = [0 as libc::c_ulong; MASK_WORDS];
    // SAFETY: the mask is as large as is said, and the kernel writes no more than that.
    let result =
        unsafe { libc::sched_getaffinity(0, size_of_val(&mask), mask.as_mut_ptr().cast()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    let is_set = |cpu: &usize| mask[cpu / BITS] >> (cpu % BITS) & 1 == 1;
    Ok((0..MASK_WORDS * BITS).filter(is_set).collect())
}

/// macOS has no affinity: all of them.
#[cfg(not(target_os = "linux"))]
pub(crate) fn affinity() -> io::Result<Vec<usize>> {
    Ok((0..std::thread::available_parallelism()?.get()).collect())
}

#[cfg(target_os = "linux")]
pub(crate) use super::cgroup::cpu_quota;

/// macOS has no control groups.
#[cfg(not(target_os = "linux"))]
pub(crate) fn cpu_quota() -> Option<f64> {
    None
}

/// Keeps this thread on `cpu`.
#[cfg(target_os = "linux")]
pub(crate) fn pin_current_thread(cpu: usize) -> io::Result<()> {
    let mut mask = [0 as libc::c_ulong; MASK_WORDS];
    let word = mask
        .get_mut(cpu / BITS)
        .ok_or(io::ErrorKind::InvalidInput)?;
    *word = 1 << (cpu % BITS);
    // SAFETY: the mask is as large as is said, and outlives the call.
    let result = unsafe { libc::sched_setaffinity(0, size_of_val(&mask), mask.as_ptr().cast()) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// macOS cannot.
#[cfg(not(target_os = "linux"))]
pub(crate) fn pin_current_thread(_cpu: usize) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// `SCHED_IDLE` (sched(7)): whatever else wakes on its CPU takes its place at once.
#[cfg(target_os = "linux")]
pub(crate) fn run_current_thread_last() -> io::Result<()> {
    // musl's function of this name always fails, so the kernel is asked; its `sched_param` is one int.
    let priority: libc::c_int = 0;
    // SAFETY: the parameter outlives the call; 0 is the calling thread.
    let result = unsafe {
        libc::syscall(
            libc::SYS_sched_setscheduler,
            0,
            libc::SCHED_IDLE,
            &raw const priority,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// macOS has a priority per process, and classes that need its own threads.
#[cfg(not(target_os = "linux"))]
pub(crate) fn run_current_thread_last() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
