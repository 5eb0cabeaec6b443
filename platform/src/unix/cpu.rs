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
    run_on(&[cpu])
}

/// Keeps this thread on these CPUs; what it starts inherits them (sched_setaffinity(2)).
#[cfg(target_os = "linux")]
pub(crate) fn run_on(cpus: &[usize]) -> io::Result<()> {
    let mut mask = [0 as libc::c_ulong; MASK_WORDS];
    for cpu in cpus {
        let word = mask
            .get_mut(cpu / BITS)
            .ok_or(io::ErrorKind::InvalidInput)?;
        *word |= 1 << (cpu % BITS);
    }
    // SAFETY: the mask is as large as is said, and outlives the call.
    let result = unsafe { libc::sched_setaffinity(0, size_of_val(&mask), mask.as_ptr().cast()) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// As above.
#[cfg(not(target_os = "linux"))]
pub(crate) fn run_on(_cpus: &[usize]) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The least slack that Linux knows: 0 would be the thread's own default again.
#[cfg(target_os = "linux")]
const TIMER_SLACK_NANOS: libc::c_ulong = 1;

/// `PR_SET_TIMERSLACK` (prctl(2)).
#[cfg(target_os = "linux")]
pub(crate) fn precise_timers() -> io::Result<()> {
    // SAFETY: it takes numbers alone.
    let result = unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, TIMER_SLACK_NANOS) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// macOS has no such setting.
#[cfg(not(target_os = "linux"))]
pub(crate) fn precise_timers() -> io::Result<()> {
    Ok(())
}

/// macOS cannot.
#[cfg(not(target_os = "linux"))]
pub(crate) fn pin_current_thread(_cpu: usize) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// How far a thread is lowered: beside one that computes without end, on one CPU, it has 3 % of it.
#[cfg(target_os = "linux")]
const NICE: i32 = 15;

/// How long a lowered thread would run if nothing woke: the most that Linux takes. Whoever asks for less, as all others do,
/// takes the CPU from it at once (Linux 6.12 and later; others weigh by the nice value).
#[cfg(target_os = "linux")]
const SLICE_NANOS: u64 = 100_000_000;

/// `SCHED_BATCH` (sched(7)), and not `SCHED_IDLE`: beside programs that compute without end that would be no time at all.
#[cfg(target_os = "linux")]
pub(crate) fn lower_current_thread() -> io::Result<()> {
    let attributes = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: libc::SCHED_BATCH as u32,
        sched_flags: 0,
        sched_nice: NICE,
        sched_priority: 0,
        sched_runtime: SLICE_NANOS,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the attributes are as large as they say, and outlive the call; 0 is the calling thread.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// macOS has a priority per process, and classes that need its own threads.
#[cfg(not(target_os = "linux"))]
pub(crate) fn lower_current_thread() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
