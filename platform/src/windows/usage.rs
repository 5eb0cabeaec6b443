//! What threads and processes cost, as Windows counts it: by ticks of about 15 ms.

use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr;
use std::time::Duration;

use windows_sys::Win32::Foundation::{FILETIME, HANDLE, INVALID_HANDLE_VALUE, WAIT_TIMEOUT};
use windows_sys::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, PROCESSENTRY32W, Process32FirstW, Process32NextW, TH32CS_SNAPPROCESS,
};
use windows_sys::Win32::System::ProcessStatus::{K32GetProcessMemoryInfo, PROCESS_MEMORY_COUNTERS};
use windows_sys::Win32::System::SystemInformation::{GlobalMemoryStatusEx, MEMORYSTATUSEX};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetCurrentThread, GetProcessHandleCount, GetProcessTimes, GetThreadTimes,
    OpenProcess, PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_SYNCHRONIZE, WaitForSingleObject,
};

/// Of `FILETIME`.
const NANOS_PER_TICK: u64 = 100;

/// Creation, end, and time in the kernel and outside of it.
#[derive(Default)]
struct Times([FILETIME; 4]);

impl Times {
    /// What a call fills in that takes a place for each.
    fn filled(
        fill: impl FnOnce(*mut FILETIME, *mut FILETIME, *mut FILETIME, *mut FILETIME) -> i32,
    ) -> io::Result<Self> {
        let mut times = Self::default();
        let [created, ended, kernel, user] = &mut times.0;
        check(fill(created, ended, kernel, user))?;
        Ok(times)
    }

    fn cpu(&self) -> Duration {
        let [_, _, kernel, user] = self
            .0
            .map(|time| u64::from(time.dwHighDateTime) << 32 | u64::from(time.dwLowDateTime));
        Duration::from_nanos((kernel + user).saturating_mul(NANOS_PER_TICK))
    }
}

/// Of the calling thread.
pub(crate) fn thread_cpu_time() -> io::Result<Duration> {
    let times = Times::filled(|created, ended, kernel, user| {
        // SAFETY: the places outlive the call; the pseudo handle needs no closing.
        unsafe { GetThreadTimes(GetCurrentThread(), created, ended, kernel, user) }
    });
    times.map(|times| times.cpu())
}

/// Of the calling thread. How long it waited for a CPU is not counted.
pub(crate) fn thread_busy_time() -> io::Result<Duration> {
    thread_cpu_time()
}

pub(crate) fn open_descriptors() -> io::Result<u64> {
    let mut handles = 0;
    // SAFETY: the place outlives the call; the pseudo handle needs no closing.
    check(unsafe { GetProcessHandleCount(GetCurrentProcess(), &raw mut handles) })?;
    Ok(handles.into())
}

/// Without the list of threads that [`usage_of`] goes through.
pub(crate) fn resident_bytes() -> io::Result<u64> {
    let mut memory = PROCESS_MEMORY_COUNTERS::default();
    let size = size_of_val(&memory) as u32;
    // SAFETY: the pseudo handle needs no closing, and the structure is as large as is said.
    check(unsafe { K32GetProcessMemoryInfo(GetCurrentProcess(), &raw mut memory, size) })?;
    Ok(memory.WorkingSetSize as u64)
}

/// What the machine has.
pub(crate) fn memory_bytes() -> io::Result<u64> {
    let mut memory = MEMORYSTATUSEX {
        dwLength: size_of::<MEMORYSTATUSEX>() as u32,
        ..MEMORYSTATUSEX::default()
    };
    // SAFETY: the structure is ours, says how large it is, and outlives the call.
    check(unsafe { GlobalMemoryStatusEx(&raw mut memory) })?;
    Ok(memory.ullTotalPhys)
}

pub(crate) fn usage_of(process: u32) -> io::Result<crate::usage::ProcessUsage> {
    let handle = open(process)?;
    let raw = handle.as_raw_handle() as HANDLE;
    // SAFETY: the handle is open.
    if unsafe { WaitForSingleObject(raw, 0) } != WAIT_TIMEOUT {
        // It has ended, and somebody keeps it.
        return Err(io::ErrorKind::NotFound.into());
    }
    let times = Times::filled(|created, ended, kernel, user| {
        // SAFETY: the handle is open, and the places outlive the call.
        unsafe { GetProcessTimes(raw, created, ended, kernel, user) }
    })?;
    let mut memory = PROCESS_MEMORY_COUNTERS::default();
    let size = size_of_val(&memory) as u32;
    // SAFETY: the handle is open, and the structure as large as is said.
    check(unsafe { K32GetProcessMemoryInfo(raw, &raw mut memory, size) })?;
    Ok(crate::usage::ProcessUsage {
        cpu: times.cpu(),
        resident_bytes: memory.WorkingSetSize as u64,
        threads: threads_of(process)?,
    })
}

fn open(process: u32) -> io::Result<OwnedHandle> {
    let rights = PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_SYNCHRONIZE;
    // SAFETY: it takes numbers alone.
    let handle = unsafe { OpenProcess(rights, 0, process) };
    if ptr::eq(handle, ptr::null()) {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the handle is open and nobody else's.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle.cast()) })
}

/// Found in a list of all processes: there is no other way to it.
fn threads_of(process: u32) -> io::Result<usize> {
    // SAFETY: it takes numbers alone.
    let list = unsafe { CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0) };
    if list == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the handle is open and nobody else's.
    let list = unsafe { OwnedHandle::from_raw_handle(list.cast()) };
    let raw = list.as_raw_handle() as HANDLE;
    let mut entry = PROCESSENTRY32W {
        dwSize: size_of::<PROCESSENTRY32W>() as u32,
        ..PROCESSENTRY32W::default()
    };
    // SAFETY: the handle is open, and the entry says how large it is.
    let mut found = unsafe { Process32FirstW(raw, &raw mut entry) };
    while found != 0 {
        if entry.th32ProcessID == process {
            return Ok(entry.cntThreads as usize);
        }
        // SAFETY: as above.
        found = unsafe { Process32NextW(raw, &raw mut entry) };
    }
    Err(io::ErrorKind::NotFound.into())
}

fn check(done: i32) -> io::Result<()> {
    if done == 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
