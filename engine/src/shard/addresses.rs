//! How many sessions of each address neither play nor record: they cost memory and do nothing, so one address may have
//! only so many. Asked when a connection begins or goes back to requests, never on the packet's way.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Idle sessions by address. Bounded by the sessions themselves: an address without any has no entry.
#[derive(Clone, Debug, Default)]
pub struct IdleSessions(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One idle session of an address, until it is dropped.
#[derive(Debug)]
pub struct IdleSeat {
    sessions: IdleSessions,
    address: IpAddr,
}

impl IdleSessions {
    /// Seats a new session; `None` when its address has `most` already. 0 is no limit.
    #[must_use]
    pub fn seat(&self, address: IpAddr, most: usize) -> Option<IdleSeat> {
        let mut counts = self.lock();
        let count = counts.entry(address).or_default();
        if most > 0 && *count >= most {
            return None;
        }
        *count += 1;
        Some(IdleSeat {
            sessions: self.clone(),
            address,
        })
    }

    /// Seats a session that played or recorded before: it may always go back to requests.
    #[must_use]
    pub fn seat_again(&self, address: IpAddr) -> IdleSeat {
        *self.lock().entry(address).or_default() += 1;
        IdleSeat {
            sessions: self.clone(),
            address,
        }
    }

    /// Those of the address that has most.
    #[must_use]
    pub fn most_of_an_address(&self) -> usize {
        self.lock().values().copied().max().unwrap_or(0)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for IdleSeat {
    fn drop(&mut self) {
        let mut counts = self.sessions.lock();
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 1));
    const TWO: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));

    #[test]
    fn an_address_has_its_maximum_of_idle_sessions_and_others_have_theirs() {
        let sessions = IdleSessions::default();
        let first = sessions.seat(ONE, 2).unwrap();
        let _second = sessions.seat(ONE, 2).unwrap();
        assert!(sessions.seat(ONE, 2).is_none());
        assert!(sessions.seat(TWO, 2).is_some());
        drop(first);
        assert!(sessions.seat(ONE, 2).is_some());
    }

    #[test]
    fn nothing_is_kept_of_an_address_without_sessions() {
        let sessions = IdleSessions::default();
        drop((sessions.seat(ONE, 0), sessions.seat_again(ONE)));
        assert!(sessions.lock().is_empty());
    }
}
