//! Where the process spends its CPU time: stacks, taken at even intervals of that time, and the names of what is on them.
//! On Linux; elsewhere there is no sampler.
//!
//! One sampler runs at a time, for the signal that it works by is the process's.

#[cfg(not(target_os = "linux"))]
mod absent;
#[cfg(target_os = "linux")]
mod linux;

use std::io;
use std::time::Duration;

#[cfg(not(target_os = "linux"))]
use absent as sampler;
#[cfg(target_os = "linux")]
use linux as sampler;

/// Takes samples until it is stopped or dropped.
#[derive(Debug)]
pub struct CpuSampler(sampler::Sampler);

/// What a sampler has taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuSamples {
    /// Each stack, from the function that ran outwards, and how often it was seen. An address is one behind the instruction
    /// that was at work, as return addresses are.
    pub stacks: Vec<(Vec<usize>, u64)>,
    /// Samples for which there was no room.
    pub lost: u64,
    /// CPU time, of all threads together, from one sample to the next.
    pub period: Duration,
}

/// Why there is no sampler.
#[derive(Debug, thiserror::Error)]
pub enum SamplerError {
    /// This system has none.
    #[error("CPU profiles can be taken on Linux only")]
    Unsupported,
    /// Another one runs.
    #[error("a CPU profile is being taken already")]
    Busy,
    /// The system refuses the signal or its timer.
    #[error("the system refuses the profiler's timer: {0}")]
    System(#[from] io::Error),
}

/// A function at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodePlace {
    /// Its name, as it is written in the source.
    pub function: String,
    /// The source's file, where it is known.
    pub file: Option<String>,
    /// The line in it.
    pub line: u32,
}

impl CpuSampler {
    /// Begins. The samples of `duration` will fit.
    ///
    /// # Errors
    /// See [`SamplerError`].
    pub fn start(duration: Duration) -> Result<Self, SamplerError> {
        sampler::Sampler::start(duration).map(Self)
    }

    /// Ends, and gives what was taken.
    #[must_use]
    pub fn stop(self) -> CpuSamples {
        self.0.stop()
    }
}

/// The functions at an address of a stack, from the innermost that was inlined outwards; none where nothing is known. It
/// reads the program's debug information, which takes long.
#[must_use]
pub fn code_places(address: usize) -> Vec<CodePlace> {
    sampler::code_places(address)
}
