//! What a process has cost so far, from `/proc`: CPU time of each of its threads, to the nanosecond, and its memory.
//!
//! The kernel books a running thread's time at its ticks and when it goes to sleep, so two readings around work that has
//! come to rest are exact.

use std::fs;
use std::io;
use std::ops::Sub;
use std::path::Path;
use std::time::Duration;

/// How the names of the threads begin that run shards.
const SHARD_THREADS: &str = "shard-";

/// CPU time of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// Of the threads that run shards.
    pub shards: Duration,
    /// Of all threads, the kernel's helpers for io_uring included.
    pub process: Duration,
}

impl Sub for CpuTime {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            shards: self.shards.saturating_sub(before.shards),
            process: self.process.saturating_sub(before.process),
        }
    }
}

/// The CPU time that a process has had so far.
///
/// # Errors
/// When there is no such process, or no such file system.
pub fn cpu_time(process: u32) -> io::Result<CpuTime> {
    let mut sum = CpuTime::default();
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let thread = thread?.path();
        match named_time(&thread) {
            Ok((name, time)) => {
                sum.process += time;
                if name.starts_with(SHARD_THREADS) {
                    sum.shards += time;
                }
            }
            Err(error) if has_ended(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sum)
}

fn named_time(thread: &Path) -> io::Result<(String, Duration)> {
    let name = fs::read_to_string(thread.join("comm"))?;
    Ok((name, thread_time(thread)?))
}

/// A thread may end between the listing and the look at it: its files are gone then, or say ESRCH when they are read.
fn has_ended(error: &io::Error) -> bool {
    const ESRCH: i32 = 3;
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(ESRCH)
}

/// The first figure of `schedstat` is the time on a CPU, in nanoseconds.
fn thread_time(thread: &Path) -> io::Result<Duration> {
    let text = fs::read_to_string(thread.join("schedstat"))?;
    let nanos = text.split_ascii_whitespace().next();
    let nanos = nanos.and_then(|nanos| nanos.parse().ok());
    nanos
        .map(Duration::from_nanos)
        .ok_or_else(|| no_figure("schedstat"))
}

/// The memory of a process that is in RAM, in bytes.
///
/// # Errors
/// As [`cpu_time`].
pub fn resident_bytes(process: u32) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kibibytes
        .map(|kibibytes| kibibytes * 1024)
        .ok_or_else(|| no_figure("status"))
}

fn no_figure(file: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{file} does not hold the figure"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn work_of_a_shards_thread_is_counted_as_such() {
        let before = cpu_time(std::process::id()).unwrap();
        let worker = std::thread::Builder::new().name("shard-0".into());
        let (work, worked) = (std::sync::mpsc::channel::<()>(), std::sync::mpsc::channel());
        let worker = worker.spawn(move || {
            let begin = std::time::Instant::now();
            while begin.elapsed() < Duration::from_millis(20) {
                std::hint::spin_loop();
            }
            worked.0.send(()).unwrap();
            let _until_measured = work.1.recv();
        });
        worked.1.recv().unwrap();
        let cost = cpu_time(std::process::id()).unwrap() - before;
        drop(work.0);
        worker.unwrap().join().unwrap();
        assert!(cost.shards > Duration::ZERO);
        assert!(cost.process >= cost.shards);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_has_memory() {
        assert!(resident_bytes(std::process::id()).unwrap() > 100 * 1024);
    }
}
