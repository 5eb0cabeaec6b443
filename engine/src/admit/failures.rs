//! Failed attempts that wait for their answer, by address. While an address has its maximum of them, nothing that it offers
//! is looked at: so many guesses it has in that time, over however many connections.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long after a request its failure is told: as long as MediaMTX waits on average.
pub const FAILURE_DELAY: Duration = Duration::from_secs(2);

/// Failures of one address that wait. A household's players with an old password stay below it; a guesser has eight
/// attempts a second.
const FAILURES_PER_ADDRESS_MAX: usize = 16;

/// Addresses with failures that wait, some megabytes. Beyond it nobody new may fail and wait: they are closed at once.
const FAILING_ADDRESSES_MAX: usize = 65_536;

/// The bits of an IPv6 address that its network does not choose for itself (RFC 4291, section 2.5.4).
const HOST_BITS: u32 = 64;

/// Failures by address. An address without any has no entry.
#[derive(Debug, Default)]
pub struct Failures(Mutex<HashMap<IpAddr, usize>>);

/// One failed attempt, which waits for its answer until it is dropped.
#[derive(Debug)]
pub struct FailedAttempt<'a> {
    failures: &'a Failures,
    network: IpAddr,
}

impl Failures {
    /// Whether the address has its maximum of failures.
    #[must_use]
    pub fn is_full(&self, address: IpAddr) -> bool {
        let counts = self.lock();
        let count = counts.get(&network(address)).copied();
        count.unwrap_or_default() >= FAILURES_PER_ADDRESS_MAX
    }

    /// Takes a failed attempt; `None` when its address, or all together, have their maximum.
    #[must_use]
    pub fn take(&self, address: IpAddr) -> Option<FailedAttempt<'_>> {
        let network = network(address);
        let mut counts = self.lock();
        let count = counts.get(&network).copied().unwrap_or_default();
        let is_one_too_many = count == 0 && counts.len() >= FAILING_ADDRESSES_MAX;
        if is_one_too_many || count >= FAILURES_PER_ADDRESS_MAX {
            return None;
        }
        counts.insert(network, count + 1);
        Some(FailedAttempt {
            failures: self,
            network,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for FailedAttempt<'_> {
    fn drop(&mut self) {
        let mut counts = self.failures.lock();
        if let Some(count) = counts.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.network);
            }
        }
    }
}

/// What counts as one address: of IPv6 whoever has one has a whole network of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) >> HOST_BITS << HOST_BITS;
            Ipv6Addr::from(network).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_its_maximum_of_failures_and_others_have_theirs() {
        let failures = Failures::default();
        let (one, two) = (address("10.0.0.1"), address("10.0.0.2"));
        let mut waiting: Vec<_> = (0..FAILURES_PER_ADDRESS_MAX)
            .map(|_| failures.take(one).unwrap())
            .collect();
        assert!(failures.is_full(one) && failures.take(one).is_none());
        assert!(!failures.is_full(two) && failures.take(two).is_some());
        waiting.pop();
        assert!(!failures.is_full(one) && failures.take(one).is_some());
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let failures = Failures::default();
        let waiting: Vec<_> = (0..FAILURES_PER_ADDRESS_MAX)
            .map(|n| failures.take(address(&format!("2001:db8::{n:x}"))).unwrap())
            .collect();
        assert!(failures.is_full(address("2001:db8::ffff")));
        assert!(!failures.is_full(address("2001:db8:0:1::1")));
        drop(waiting);
        assert!(
            failures.lock().is_empty(),
            "nothing is kept of who has failed"
        );
    }

    #[test]
    fn addresses_are_bounded_in_all() {
        let failures = Failures::default();
        let number = |n: usize| IpAddr::from(u32::try_from(n).unwrap().to_be_bytes());
        let _waiting: Vec<_> = (0..FAILING_ADDRESSES_MAX)
            .map(|n| failures.take(number(n)).unwrap())
            .collect();
        assert!(failures.take(number(FAILING_ADDRESSES_MAX)).is_none());
        assert!(failures.take(number(0)).is_some());
    }
}
