//! The CPU time of the calling thread, user's and kernel's, in nanoseconds where the system counts them.

use std::io;
use std::time::Duration;

/// How much CPU time this thread has had since it began. On Windows it advances by scheduler ticks of about 15 ms.
///
/// # Errors
/// When the system does not keep the figure.
#[cfg(unix)]
pub fn thread_cpu_time() -> io::Result<Duration> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the structure is ours and outlives the call, which only writes to it.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    let (seconds, nanos) = (time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs());
    Ok(Duration::from_secs(seconds) + Duration::from_nanos(nanos))
}

/// How much CPU time this thread has had since it began. It advances by scheduler ticks of about 15 ms.
///
/// # Errors
/// When the system does not keep the figure.
#[cfg(windows)]
pub fn thread_cpu_time() -> io::Result<Duration> {
    use windows_sys::Win32::Foundation::FILETIME;
    use windows_sys::Win32::System::Threading::{GetCurrentThread, GetThreadTimes};
    // Of FILETIME.
    const NANOS_PER_TICK: u64 = 100;
    let zero = FILETIME {
        dwLowDateTime: 0,
        dwHighDateTime: 0,
    };
    let (mut created, mut exited, mut kernel, mut user) = (zero, zero, zero, zero);
    // SAFETY: the four structures are ours and outlive the call, which only writes to them.
    let done = unsafe {
        GetThreadTimes(
            GetCurrentThread(),
            &raw mut created,
            &raw mut exited,
            &raw mut kernel,
            &raw mut user,
        )
    };
    if done == 0 {
        return Err(io::Error::last_os_error());
    }
    let ticks =
        |time: FILETIME| u64::from(time.dwHighDateTime) << 32 | u64::from(time.dwLowDateTime);
    Ok(Duration::from_nanos(
        (ticks(kernel) + ticks(user)) * NANOS_PER_TICK,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_of_this_thread_counts_and_that_of_others_does_not() {
        let begun = thread_cpu_time().unwrap();
        let other = std::thread::spawn(|| {
            let begun = thread_cpu_time().unwrap();
            while thread_cpu_time().unwrap() < begun + Duration::from_millis(40) {}
        });
        other.join().unwrap();
        assert!(thread_cpu_time().unwrap() - begun < Duration::from_millis(20));
    }
}
