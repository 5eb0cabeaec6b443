//! What threads and processes cost: CPU time, as finely as the system counts it, memory and threads.
//!
//! The system books a running thread's time when it goes to sleep, and at its ticks. So two readings
//! around work that has come to rest are exact; beside work that goes on they are off by a tick at
//! each end.

use std::io;
use std::time::Duration;

use crate::os;

/// What a process has cost so far, and what it holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessUsage {
    /// CPU time of all its threads, user's and kernel's, of those that have ended too; and on Linux
    /// of the kernel's helpers for its io_uring.
    pub cpu: Duration,
    /// Memory that is in RAM.
    pub resident_bytes: u64,
    /// Threads that live.
    pub threads: usize,
}

/// What the process with this number costs.
///
/// # Errors
/// When there is no such process, or no more, or the system does not let us look at it.
pub fn usage_of(process: u32) -> io::Result<ProcessUsage> {
    os::usage_of(process)
}

/// Memory of this process that is in RAM. Cheaper than [`usage_of`], and without memory from the heap where the system
/// allows that (Linux).
///
/// # Errors
/// When the system does not say.
pub fn resident_bytes() -> io::Result<u64> {
    os::resident_bytes()
}

/// How much CPU time the calling thread has had since it began, user's and kernel's: in nanoseconds
/// where the system counts them. On Windows it advances by ticks of about 15 ms.
///
/// # Errors
/// When the system does not keep the figure.
pub fn thread_cpu_time() -> io::Result<Duration> {
    os::thread_cpu_time()
}

/// How long the calling thread has had something to do since it began: the time that it ran, and, where the system counts
/// that (Linux), the time that it waited for a CPU. The rest it slept.
///
/// # Errors
/// When the system does not keep the figure.
pub fn thread_busy_time() -> io::Result<Duration> {
    os::thread_busy_time()
}

/// The memory that this process can have: the machine's, or what its control group grants (Linux) if that is less.
///
/// # Errors
/// When the system does not say.
pub fn memory_bytes() -> io::Result<u64> {
    os::memory_bytes()
}

/// How many descriptors this process has open; handles, on Windows.
///
/// # Errors
/// When the system does not let us look.
pub fn open_descriptors() -> io::Result<u64> {
    os::open_descriptors()
}

#[cfg(test)]
mod tests {
    use std::process::{self, Command, Stdio};
    use std::sync::mpsc;
    use std::thread;
    use std::time::Instant;

    use super::*;

    /// Keeps the calling thread busy for so much of its CPU time.
    fn work_for(time: Duration) {
        let begun = thread_cpu_time().unwrap();
        while thread_cpu_time().unwrap() < begun + time {}
    }

    #[test]
    fn work_of_this_thread_counts_and_that_of_others_does_not() {
        let begun = thread_cpu_time().unwrap();
        let other = thread::spawn(|| work_for(Duration::from_millis(40)));
        other.join().unwrap();
        assert!(thread_cpu_time().unwrap() - begun < Duration::from_millis(20));
    }

    #[test]
    fn work_of_a_thread_counts_for_its_process_while_it_lives_and_after() {
        let work = Duration::from_millis(40);
        let before = usage_of(process::id()).unwrap();
        let (worked, until_worked) = mpsc::channel();
        let (end, until_end) = mpsc::channel::<()>();
        let worker = thread::spawn(move || {
            work_for(work);
            worked.send(()).unwrap();
            let _ends = until_end.recv();
        });
        until_worked.recv().unwrap();
        let live = usage_of(process::id()).unwrap();
        drop(end);
        worker.join().unwrap();
        let ended = usage_of(process::id()).unwrap();
        assert!(live.cpu - before.cpu >= work * 3 / 4, "{before:?} {live:?}");
        assert!(ended.cpu >= live.cpu);
        assert!(live.threads >= 2);
        assert!(live.resident_bytes > 100 * 1024);
    }

    #[test]
    fn a_thread_is_busy_while_it_works_and_not_while_it_waits() {
        let (begun, work) = (thread_busy_time().unwrap(), Duration::from_millis(60));
        work_for(work);
        let (worked, at) = (thread_busy_time().unwrap(), Instant::now());
        // The system books at its ticks.
        assert!(worked - begun >= work - Duration::from_millis(20));
        let (_never, until_never) = mpsc::channel::<()>();
        until_never
            .recv_timeout(Duration::from_millis(200))
            .unwrap_err();
        let idle = at.elapsed() - (thread_busy_time().unwrap() - worked);
        assert!(idle >= Duration::from_millis(150), "{idle:?}");
    }

    /// Not on Windows, where the tests run under wine, whose `GetProcessHandleCount` says the same whatever is open.
    #[cfg(unix)]
    #[test]
    fn an_open_file_is_a_descriptor_more() {
        let before = open_descriptors().unwrap();
        let files: Vec<_> = (0..64)
            .map(|_| std::fs::File::open(std::env::current_exe().unwrap()).unwrap())
            .collect();
        // Other tests open and close theirs meanwhile.
        assert!(open_descriptors().unwrap() >= before + 32);
        drop(files);
    }

    #[test]
    fn a_process_has_less_memory_in_use_than_it_can_have() {
        let resident_bytes = resident_bytes().unwrap();
        assert!(memory_bytes().unwrap() > resident_bytes);
        let told = usage_of(process::id()).unwrap().resident_bytes;
        assert!(
            resident_bytes > told / 4 && resident_bytes / 4 < told,
            "{resident_bytes} {told}"
        );
    }

    #[test]
    fn a_process_that_has_ended_is_an_error() {
        let program = std::env::current_exe().unwrap();
        let mut other = Command::new(program)
            .arg("--list")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        other.wait().unwrap();
        // What is not running is not looked at, however its number is used.
        usage_of(other.id()).unwrap_err();
    }
}
