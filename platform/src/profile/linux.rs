//! The sampler of Linux: a timer counts the process's CPU time (`ITIMER_PROF`), and its signal goes to the thread that has
//! just used it up, which writes its own stack into a table.
//!
//! The handler allocates nothing, waits for nobody and panics nowhere. It unwinds by the tables that the compiler has
//! written (`_Unwind_Backtrace`); the C library finds them without a lock since glibc 2.35 (`_dl_find_object`). Threads that
//! sleep are not disturbed: only who uses CPU time is sampled. A system call that the signal interrupts is begun again, or
//! says `EINTR`, which every loop here takes for nothing.

use std::collections::HashMap;
use std::io;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::time::Duration;

use super::{CodePlace, CpuSamples, SamplerError};

/// The shortest period, as Go's profiler has it: fine enough for what is worth knowing, and far below a hundredth of the CPU.
const PERIOD_MIN: Duration = Duration::from_millis(10);

/// Frames of a stack that are kept; outer ones are the event loop's.
const FRAMES_MAX: usize = 64;

/// Samples that fit, 32 MiB with their frames; memory that is not written to is not taken from the system.
const SAMPLES_MAX: usize = 65_536;

/// A sample in the table: the number of its frames, then these.
const SAMPLE_WORDS: usize = 1 + FRAMES_MAX;

/// The table, while samples are taken.
static TABLE: AtomicPtr<usize> = AtomicPtr::new(null_mut());
/// Samples that were begun, those without room too.
static BEGUN: AtomicUsize = AtomicUsize::new(0);
/// Handlers at work.
static INSIDE: AtomicUsize = AtomicUsize::new(0);
/// A sampler runs.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);
/// The handler is installed, and stays: a signal that comes late finds it.
static IS_INSTALLED: AtomicBool = AtomicBool::new(false);

#[derive(Debug)]
pub(super) struct Sampler {
    table: Option<Box<[usize]>>,
    period: Duration,
}

impl Sampler {
    pub(super) fn start(duration: Duration) -> Result<Self, SamplerError> {
        if IS_TAKEN.swap(true, Ordering::SeqCst) {
            return Err(SamplerError::Busy);
        }
        let period = period_for(duration);
        // From here on its end gives the place free.
        let mut sampler = Self {
            table: Some(vec![0; SAMPLES_MAX * SAMPLE_WORDS].into_boxed_slice()),
            period,
        };
        // The unwinder sets itself up at its first use, which must not be in a handler.
        let _sets_itself_up = backtrace::Backtrace::new_unresolved();
        install_handler()?;
        BEGUN.store(0, Ordering::SeqCst);
        if let Some(table) = &mut sampler.table {
            TABLE.store(table.as_mut_ptr(), Ordering::SeqCst);
        }
        set_timer(period)?;
        Ok(sampler)
    }

    pub(super) fn stop(mut self) -> CpuSamples {
        let table = self.end().unwrap_or_default();
        let begun = BEGUN.load(Ordering::SeqCst);
        let mut stacks: HashMap<&[usize], u64> = HashMap::new();
        for sample in table.chunks(SAMPLE_WORDS).take(begun) {
            let frames = sample.split_first();
            let frames = frames.and_then(|(count, frames)| frames.get(..*count));
            *stacks.entry(frames.unwrap_or_default()).or_default() += 1;
        }
        stacks.remove(&[][..]);
        let owned = stacks
            .into_iter()
            .map(|(stack, count)| (stack.to_vec(), count));
        CpuSamples {
            stacks: owned.collect(),
            lost: begun.saturating_sub(SAMPLES_MAX) as u64,
            period: self.period,
        }
    }

    /// Stops the timer and waits for the handlers that are at work; then the table is this thread's alone.
    fn end(&mut self) -> Option<Box<[usize]>> {
        let table = self.table.take()?;
        // A timer that cannot be stopped goes on to no effect.
        let _goes_on_to_no_effect = set_timer(Duration::ZERO);
        TABLE.store(null_mut(), Ordering::SeqCst);
        while INSIDE.load(Ordering::SeqCst) > 0 {
            std::thread::yield_now();
        }
        Some(table)
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.end();
        IS_TAKEN.store(false, Ordering::SeqCst);
    }
}

/// Longer than the shortest where all CPUs together would fill the table before `duration` is over.
fn period_for(duration: Duration) -> Duration {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let cpus = u32::try_from(cpus).unwrap_or(u32::MAX);
    let filling = duration.saturating_mul(cpus) / SAMPLES_MAX as u32;
    filling.max(PERIOD_MIN)
}

/// Called by the one sampler that there is.
fn install_handler() -> io::Result<()> {
    if IS_INSTALLED.load(Ordering::SeqCst) {
        return Ok(());
    }
    let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
        handle_signal;
    // SAFETY: all zeroes are a valid `sigaction`, whose mask is empty.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as libc::sighandler_t;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
    // SAFETY: `action` is valid and names a handler of the form that `SA_SIGINFO` asks for.
    match unsafe { libc::sigaction(libc::SIGPROF, &raw const action, null_mut()) } {
        0 => {
            IS_INSTALLED.store(true, Ordering::SeqCst);
            Ok(())
        }
        _ => Err(io::Error::last_os_error()),
    }
}

fn set_timer(period: Duration) -> io::Result<()> {
    let interval = libc::timeval {
        tv_sec: libc::time_t::try_from(period.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_usec: libc::suseconds_t::from(period.subsec_micros()),
    };
    let timer = libc::itimerval {
        it_interval: interval,
        it_value: interval,
    };
    // SAFETY: `timer` is valid for the call, and nothing is to be written back.
    match unsafe { libc::setitimer(libc::ITIMER_PROF, &raw const timer, null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

extern "C" fn handle_signal(_: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    INSIDE.fetch_add(1, Ordering::SeqCst);
    let table = TABLE.load(Ordering::SeqCst);
    if !table.is_null() {
        // SAFETY: it is the calling thread's own.
        let errno = unsafe { libc::__errno_location() };
        // SAFETY: as above; what was interrupted finds its error as it was.
        let before = unsafe { errno.read() };
        let place = BEGUN.fetch_add(1, Ordering::SeqCst);
        if place < SAMPLES_MAX {
            // SAFETY: the table has so many samples, and lives until no handler is inside. Each place is given out once.
            let sample = unsafe { table.add(place * SAMPLE_WORDS) };
            // SAFETY: `sample` has its words to itself; the kernel has given the context of what it interrupted.
            unsafe { take_stack(sample, interrupted_at(context)) };
        }
        // SAFETY: as above.
        unsafe { errno.write(before) };
    }
    INSIDE.fetch_sub(1, Ordering::SeqCst);
}

/// Writes the stack from `interrupted` outwards. The frames before it are this handler's.
///
/// # Safety
/// `sample` has [`SAMPLE_WORDS`] words that nobody else touches.
unsafe fn take_stack(sample: *mut usize, interrupted: usize) {
    let mut count = 0;
    let mut has_come = false;
    let mut keep = |address: usize| {
        count += 1;
        // SAFETY: `count` is at most `FRAMES_MAX`, which `is_full` sees to.
        unsafe { sample.add(count).write(address) };
        count == FRAMES_MAX
    };
    // What ran is named by the instruction behind, as what has called it is.
    let mut is_full = keep(interrupted.wrapping_add(1));
    // SAFETY: no other use of this unwinder is locked out, and none needs to be: it has no state of its own.
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            let address = frame.ip() as usize;
            if has_come && !is_full {
                is_full = keep(address);
            }
            has_come |= address == interrupted;
            !is_full
        });
    }
    // SAFETY: the first word is this sample's too.
    unsafe { sample.write(count) };
}

/// The instruction that was to be next; 0 where nobody has written down how to find it.
///
/// # Safety
/// `context` is what the kernel has given to a handler with `SA_SIGINFO`.
unsafe fn interrupted_at(context: *const libc::c_void) -> usize {
    if context.is_null() {
        return 0;
    }
    let context = context.cast::<libc::ucontext_t>();
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: see above; the register is one of the array's.
        (unsafe { (*context).uc_mcontext.gregs[libc::REG_RIP as usize] }) as usize
    }
    #[cfg(target_arch = "aarch64")]
    {
        // SAFETY: see above.
        (unsafe { (*context).uc_mcontext.pc }) as usize
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        let _unknown = context;
        0
    }
}

pub(super) fn code_places(address: usize) -> Vec<CodePlace> {
    let mut places = Vec::new();
    backtrace::resolve(address as *mut std::ffi::c_void, |symbol| {
        if let Some(name) = symbol.name() {
            places.push(CodePlace {
                function: format!("{name:#}"),
                file: symbol.filename().map(|file| file.display().to_string()),
                line: symbol.lineno().unwrap_or_default(),
            });
        }
    });
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Mutex, PoisonError};
    use std::time::Instant;

    /// The sampler is the process's, and tests run at once.
    static TURN: Mutex<()> = Mutex::new(());

    #[inline(never)]
    fn works_hard_by_name(until: Instant) -> u64 {
        let mut sum = 0_u64;
        while Instant::now() < until {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(1));
        }
        sum
    }

    #[test]
    fn a_function_that_works_hard_is_found_by_its_name() {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let is_here = |(stack, _): &(Vec<usize>, u64)| {
            let mut places = stack.iter().flat_map(|address| code_places(*address));
            places.any(|place| place.function.contains("works_hard_by_name"))
        };
        let given_up = Instant::now() + Duration::from_secs(30);
        loop {
            let sampler = Sampler::start(Duration::from_secs(1)).unwrap();
            works_hard_by_name(Instant::now() + Duration::from_millis(300));
            let samples = sampler.stop();
            assert_eq!((samples.lost, samples.period), (0, PERIOD_MIN));
            if samples.stacks.iter().any(is_here) {
                return;
            }
            assert!(Instant::now() < given_up, "{samples:?}");
        }
    }

    #[test]
    fn there_is_one_sampler_at_a_time() {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let first = Sampler::start(Duration::from_secs(1)).unwrap();
        let second = Sampler::start(Duration::from_secs(1));
        assert!(matches!(second, Err(SamplerError::Busy)));
        drop(first);
        assert!(Sampler::start(Duration::from_secs(1)).is_ok());
    }
}
