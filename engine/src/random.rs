//! The one random source of the engine: session ids that nobody may guess, and SSRCs.

/// Random bits of the operating system.
///
/// # Panics
/// If the system has none: then no session id could be trusted.
#[must_use]
pub(crate) fn random_u64() -> u64 {
    getrandom::u64().unwrap_or_else(|error| panic!("the system's random source failed: {error}"))
}

/// Random bits of the operating system.
///
/// # Panics
/// As [`random_u64`].
#[must_use]
pub(crate) fn random_u32() -> u32 {
    (random_u64() >> 32) as u32
}
