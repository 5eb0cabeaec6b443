//! What threads and processes cost, as Linux and macOS count it.

use std::io;
#[cfg(target_os = "linux")]
use std::io::Read;
use std::time::Duration;

use crate::usage::ProcessUsage;

/// Of the calling thread.
pub(crate) fn thread_cpu_time() -> io::Result<Duration> {
    cpu_time_by(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// More than a line of figures below `/proc` has.
#[cfg(target_os = "linux")]
const LINE_BYTES_MAX: usize = 256;

/// What a file of one line says, without memory from the heap: it is read once or twice a second for as long as we run.
#[cfg(target_os = "linux")]
fn line_of<'a>(file: &str, text: &'a mut [u8; LINE_BYTES_MAX]) -> io::Result<&'a str> {
    let length = std::fs::File::open(file)?.read(text)?;
    let line = text.get(..length).unwrap_or_default();
    str::from_utf8(line).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Of the calling thread. A kernel without statistics of its scheduler counts nothing there.
#[cfg(target_os = "linux")]
pub(crate) fn thread_busy_time() -> io::Result<Duration> {
    let mut text = [0; LINE_BYTES_MAX];
    let statistics = line_of("/proc/thread-self/schedstat", &mut text).unwrap_or_default();
    let mut nanos = statistics.split_ascii_whitespace().map(str::parse);
    let (Some(Ok(ran)), Some(Ok(waited))) = (nanos.next(), nanos.next()) else {
        return thread_cpu_time();
    };
    // The clock is finer than the statistics where these are booked at ticks.
    let ran = Duration::from_nanos(ran).max(thread_cpu_time()?);
    Ok(ran + Duration::from_nanos(waited))
}

/// Of the calling thread. How long it waited for a CPU is not counted.
#[cfg(target_os = "macos")]
pub(crate) fn thread_busy_time() -> io::Result<Duration> {
    thread_cpu_time()
}

/// The directory is open itself while it is read.
pub(crate) fn open_descriptors() -> io::Result<u64> {
    let open = std::fs::read_dir("/dev/fd")?.count();
    Ok(u64::try_from(open).unwrap_or(u64::MAX).saturating_sub(1))
}

/// In pages, the second figure of the file.
#[cfg(target_os = "linux")]
pub(crate) fn resident_bytes() -> io::Result<u64> {
    let mut text = [0; LINE_BYTES_MAX];
    let mut figures = line_of("/proc/self/statm", &mut text)?.split_ascii_whitespace();
    let pages = figures.nth(1).and_then(|pages| pages.parse::<u64>().ok());
    let no_figure = || io::Error::new(io::ErrorKind::InvalidData, "it does not say its memory");
    // SAFETY: it takes and gives numbers alone.
    let page_bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    let page_bytes = u64::try_from(page_bytes).map_err(|_| no_figure())?;
    Ok(pages.ok_or_else(no_figure)?.saturating_mul(page_bytes))
}

#[cfg(target_os = "macos")]
pub(crate) fn resident_bytes() -> io::Result<u64> {
    Ok(usage_of(std::process::id())?.resident_bytes)
}

/// What the machine has, or what the control group grants if that is less.
#[cfg(target_os = "linux")]
pub(crate) fn memory_bytes() -> io::Result<u64> {
    let machine = std::fs::read_to_string("/proc/meminfo")?;
    let no_figure = || io::Error::new(io::ErrorKind::InvalidData, "it does not say its memory");
    let kibibytes: u64 = figure(&machine, "MemTotal:").ok_or_else(no_figure)?;
    let machine = kibibytes.saturating_mul(1024);
    Ok(super::cgroup::memory_limit().map_or(machine, |limit| limit.min(machine)))
}

/// What the machine has.
#[cfg(target_os = "macos")]
pub(crate) fn memory_bytes() -> io::Result<u64> {
    let mut bytes = 0_u64;
    let mut size = size_of_val(&bytes);
    // SAFETY: the name ends with a zero; number and size are ours and outlive the call, which writes no more than is said.
    let result = unsafe {
        libc::sysctlbyname(
            c"hw.memsize".as_ptr(),
            (&raw mut bytes).cast(),
            &raw mut size,
            std::ptr::null_mut(),
            0,
        )
    };
    match result {
        0 => Ok(bytes),
        _ => Err(io::Error::last_os_error()),
    }
}

fn cpu_time_by(clock: libc::clockid_t) -> io::Result<Duration> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the structure is ours and outlives the call, which only writes to it.
    let result = unsafe { libc::clock_gettime(clock, &raw mut time) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    let (seconds, nanos) = (time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs());
    Ok(Duration::from_secs(seconds) + Duration::from_nanos(nanos))
}

/// Its CPU clock has the time of threads that have ended, too, which the files of `/proc` forget.
#[cfg(target_os = "linux")]
pub(crate) fn usage_of(process: u32) -> io::Result<ProcessUsage> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    // One that has ended, and that nobody has waited for yet, has no memory.
    let kibibytes: u64 = figure(&status, "VmRSS:").ok_or(io::ErrorKind::NotFound)?;
    let no_figure = || io::Error::new(io::ErrorKind::InvalidData, "it does not say its threads");
    Ok(ProcessUsage {
        cpu: cpu_time_by(clock_of(process)?)?,
        resident_bytes: kibibytes.saturating_mul(1024),
        threads: figure(&status, "Threads:").ok_or_else(no_figure)?,
    })
}

/// The first word behind this name, of a file with a name per line.
#[cfg(target_os = "linux")]
fn figure<T: std::str::FromStr>(status: &str, name: &str) -> Option<T> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(target_os = "linux")]
fn clock_of(process: u32) -> io::Result<libc::clockid_t> {
    let none = || io::Error::from(io::ErrorKind::NotFound);
    let process = libc::pid_t::try_from(process).map_err(|_| none())?;
    let mut clock = 0;
    // SAFETY: the number is ours and outlives the call, which only writes to it.
    let error = unsafe { libc::clock_getcpuclockid(process, &raw mut clock) };
    if error == 0 {
        Ok(clock)
    } else {
        Err(io::Error::from_raw_os_error(error))
    }
}

#[cfg(target_os = "macos")]
pub(crate) fn usage_of(process: u32) -> io::Result<ProcessUsage> {
    let none = || io::Error::from(io::ErrorKind::NotFound);
    let process = libc::pid_t::try_from(process).map_err(|_| none())?;
    // SAFETY: it is plain numbers, which all may be zero.
    let mut task: libc::proc_taskinfo = unsafe { std::mem::zeroed() };
    let size = size_of_val(&task) as libc::c_int;
    // SAFETY: the structure is ours, as large as is said, and outlives the call.
    let filled = unsafe {
        libc::proc_pidinfo(
            process,
            libc::PROC_PIDTASKINFO,
            0,
            (&raw mut task).cast(),
            size,
        )
    };
    if filled < size {
        return Err(io::Error::last_os_error());
    }
    Ok(ProcessUsage {
        cpu: duration_of(task.pti_total_user.saturating_add(task.pti_total_system)),
        resident_bytes: task.pti_resident_size,
        threads: usize::try_from(task.pti_threadnum).unwrap_or(0),
    })
}

/// The kernel counts in ticks of its clock, which are no nanoseconds on every machine.
#[cfg(target_os = "macos")]
fn duration_of(ticks: u64) -> Duration {
    #[repr(C)]
    struct Timebase {
        numerator: u32,
        denominator: u32,
    }
    // SAFETY: it is how <mach/mach_time.h> declares it.
    unsafe extern "C" {
        fn mach_timebase_info(info: *mut Timebase) -> libc::c_int;
    }
    let mut base = Timebase {
        numerator: 1,
        denominator: 1,
    };
    // SAFETY: the structure is ours and outlives the call, which only writes to it.
    unsafe { mach_timebase_info(&raw mut base) };
    let nanos = u128::from(ticks) * u128::from(base.numerator);
    let nanos = nanos / u128::from(base.denominator.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
