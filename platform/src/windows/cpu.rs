//! Which CPUs this process may use, how much of them, and how a thread is bound to one.
//!
//! Windows numbers CPUs within groups of 64, and a process that does not ask for more runs in one group; so does this.

use std::io;
use std::ptr;

use windows_sys::Win32::System::JobObjects::{
    JOB_OBJECT_CPU_RATE_CONTROL_ENABLE, JOB_OBJECT_CPU_RATE_CONTROL_HARD_CAP,
    JOBOBJECT_CPU_RATE_CONTROL_INFORMATION, JobObjectCpuRateControlInformation,
    QueryInformationJobObject,
};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetCurrentThread, GetProcessAffinityMask, SetThreadAffinityMask,
    SetThreadPriority, THREAD_PRIORITY_LOWEST,
};

/// A job's CPU rate is given in hundredths of a percent of the whole
/// machine.
const RATE_OF_ALL: f64 = 10_000.0;

/// The CPUs that the process's affinity allows, ascending.
pub(crate) fn affinity() -> io::Result<Vec<usize>> {
    allowed_and_present().map(|(allowed, _)| cpus_of(allowed))
}

/// The CPUs' worth of time that the job (a container, a service limit) grants.
pub(crate) fn cpu_quota() -> Option<f64> {
    let (_, present) = allowed_and_present().ok()?;
    let information = cpu_rate_control()?;
    // SAFETY: the union holds the rate when the flags say neither weight nor minimum and maximum.
    let rate = unsafe { information.Anonymous.CpuRate };
    quota_of(information.ControlFlags, rate, present.count_ones())
}

/// Keeps this thread on `cpu`.
pub(crate) fn pin_current_thread(cpu: usize) -> io::Result<()> {
    let mask = u32::try_from(cpu)
        .ok()
        .and_then(|cpu| 1_usize.checked_shl(cpu))
        .ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("there is no CPU {cpu} in this group"),
            )
        })?;
    // SAFETY: the pseudo handle of this thread needs no closing; the mask is a number.
    let before = unsafe { SetThreadAffinityMask(GetCurrentThread(), mask) };
    if before == 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// A thread's affinity does not go to the processes that it starts.
pub(crate) fn run_on(_cpus: &[usize]) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The standard library sleeps by timers of high resolution.
pub(crate) fn precise_timers() -> io::Result<()> {
    Ok(())
}

/// The lowest priority that is not reserved for an idle machine.
pub(crate) fn lower_current_thread() -> io::Result<()> {
    // SAFETY: the pseudo handle of this thread needs no closing; the priority is a number.
    let done = unsafe { SetThreadPriority(GetCurrentThread(), THREAD_PRIORITY_LOWEST) };
    if done == 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn allowed_and_present() -> io::Result<(usize, usize)> {
    let (mut allowed, mut present) = (0, 0);
    // SAFETY: both pointers are to live locals.
    let done = unsafe { GetProcessAffinityMask(GetCurrentProcess(), &mut allowed, &mut present) };
    if done == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((allowed, present))
}

fn cpus_of(mask: usize) -> Vec<usize> {
    (0..usize::BITS as usize)
        .filter(|&cpu| mask & (1 << cpu) != 0)
        .collect()
}

fn cpu_rate_control() -> Option<JOBOBJECT_CPU_RATE_CONTROL_INFORMATION> {
    let mut information = JOBOBJECT_CPU_RATE_CONTROL_INFORMATION::default();
    let size = u32::try_from(size_of_val(&information)).ok()?;
    // SAFETY: no handle stands for this process's own job; the buffer is a live local of the size given.
    let done = unsafe {
        QueryInformationJobObject(
            ptr::null_mut(),
            JobObjectCpuRateControlInformation,
            (&raw mut information).cast(),
            size,
            ptr::null_mut(),
        )
    };
    (done != 0).then_some(information)
}

/// Only a hard cap is a quota: a weight or a minimum lets the process have more.
fn quota_of(flags: u32, rate: u32, cpus: u32) -> Option<f64> {
    let capped = JOB_OBJECT_CPU_RATE_CONTROL_ENABLE | JOB_OBJECT_CPU_RATE_CONTROL_HARD_CAP;
    (flags == capped && rate > 0).then(|| f64::from(rate) / RATE_OF_ALL * f64::from(cpus))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_names_its_cpus() {
        assert_eq!(cpus_of(0b1011), [0, 1, 3]);
        assert_eq!(cpus_of(1 << 63), [63]);
        assert!(cpus_of(0).is_empty());
    }

    #[test]
    fn only_a_hard_cap_is_a_quota() {
        let capped = JOB_OBJECT_CPU_RATE_CONTROL_ENABLE | JOB_OBJECT_CPU_RATE_CONTROL_HARD_CAP;
        assert_eq!(quota_of(capped, 2_500, 8), Some(2.0));
        assert_eq!(quota_of(JOB_OBJECT_CPU_RATE_CONTROL_ENABLE, 2_500, 8), None);
        assert_eq!(quota_of(0, 2_500, 8), None);
        assert_eq!(quota_of(capped, 0, 8), None);
    }

    #[test]
    fn a_cpu_beyond_the_group_is_refused() {
        assert!(pin_current_thread(64).is_err());
        assert!(pin_current_thread(usize::MAX).is_err());
    }
}
