//! Which CPUs this process may use, and how much of them: from them follows the number of shards.

use std::io;

use crate::os;

/// The CPUs that the scheduler may give us, and the share of their time that is ours.
#[derive(Clone, Debug, PartialEq)]
pub struct CpuBudget {
    /// Their numbers, ascending, as [`pin_current_thread`] takes them.
    pub cpus: Vec<usize>,
    /// How many CPUs' worth of time the control group grants; `None` is no limit.
    pub quota: Option<f64>,
}

impl CpuBudget {
    /// How many shards fit: a shard per CPU, and none that would be throttled for want of quota.
    #[must_use]
    pub fn shards(&self) -> usize {
        let by_affinity = self.cpus.len().max(1);
        match self.quota {
            // The comparison also keeps the conversion within the range of what it converts to.
            Some(quota) if quota.is_finite() && quota.ceil() < by_affinity as f64 => {
                (quota.ceil().max(1.0)) as usize
            }
            _ => by_affinity,
        }
    }
}

/// Asks the system. Where it does not say, the standard library's count of CPUs stands in.
#[must_use]
pub fn cpu_budget() -> CpuBudget {
    let cpus = os::affinity().unwrap_or_else(|_| {
        (0..std::thread::available_parallelism().map_or(1, usize::from)).collect()
    });
    CpuBudget {
        cpus,
        quota: os::cpu_quota(),
    }
}

/// Keeps the calling thread on one CPU of [`CpuBudget::cpus`].
///
/// # Errors
/// When there is no such CPU, it is not ours, or the system cannot pin threads.
pub fn pin_current_thread(cpu: usize) -> io::Result<()> {
    os::pin_current_thread(cpu)
}

/// Keeps the calling thread on these CPUs, and with it the threads and processes that it starts from
/// now on.
///
/// # Errors
/// When none of them is ours, or, beside Linux, always.
pub fn run_on(cpus: &[usize]) -> io::Result<()> {
    os::run_on(cpus)
}

/// Has sleeps of the calling thread end when they are due, not up to 50 µs later, as Linux does it
/// to wake for several at once. Elsewhere they end as exactly as they can anyway.
///
/// # Errors
/// When the system refuses.
pub fn precise_timers() -> io::Result<()> {
    os::precise_timers()
}

/// Makes the calling thread give way to all others: for work that may wait and must not hold up an
/// event loop.
///
/// # Errors
/// When the system has no such thing, or refuses it. The thread then runs as any other.
pub fn lower_current_thread() -> io::Result<()> {
    os::lower_current_thread()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shards(cpus: usize, quota: Option<f64>) -> usize {
        CpuBudget {
            cpus: (0..cpus).collect(),
            quota,
        }
        .shards()
    }

    #[test]
    fn shards_are_the_smaller_of_affinity_and_quota_and_at_least_one() {
        assert_eq!(shards(8, None), 8);
        assert_eq!(shards(8, Some(1.5)), 2);
        assert_eq!(shards(8, Some(2.0)), 2);
        assert_eq!(shards(2, Some(64.0)), 2);
        assert_eq!(shards(4, Some(0.1)), 1);
        assert_eq!(shards(4, Some(f64::NAN)), 4);
        assert_eq!(shards(0, None), 1);
    }

    #[test]
    fn this_machine_has_a_cpu_for_us() {
        let budget = cpu_budget();
        assert!(!budget.cpus.is_empty());
        assert!(budget.cpus.is_sorted());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn threads_of_a_thread_stay_on_its_cpus() {
        let ours = cpu_budget().cpus;
        let cpu = ours[ours.len() - 1];
        let kept = std::thread::spawn(move || {
            run_on(&[cpu]).unwrap();
            std::thread::spawn(|| cpu_budget().cpus).join().unwrap()
        });
        assert_eq!(kept.join().unwrap(), [cpu]);
        run_on(&[]).unwrap_err();
        run_on(&[usize::MAX]).unwrap_err();
        assert_eq!(cpu_budget().cpus, ours);
    }

    #[test]
    fn every_thread_may_have_precise_timers() {
        let asked = std::thread::spawn(precise_timers);
        asked.join().unwrap().unwrap();
    }

    #[test]
    #[cfg(any(target_os = "linux", windows))]
    fn a_thread_may_be_lowered() {
        let lowered = std::thread::spawn(lower_current_thread);
        lowered.join().unwrap().unwrap();
    }
}
