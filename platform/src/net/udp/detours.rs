//! Destinations to which a run does not go as one, so that not every run begins with a send that
//! fails.
//!
//! A path that takes only smaller packets, or a device that computes no checksums, makes the kernel
//! refuse a run; its datagrams go one by one. That is remembered here by address, in a small table
//! in which a newcomer takes the place of whom it meets: who is forgotten pays one failing call.

use std::net::IpAddr;

/// Addresses that are remembered.
const PLACES: usize = 64;

/// Runs after which one is tried as a whole again: a path changes seldom, and a failing call per
/// thousand runs costs nothing.
const RUNS_BEFORE_TRIAL: u16 = 1000;

/// The table; made with its first entry, since most sockets never need it.
#[derive(Debug, Default)]
pub(super) struct Detours(Option<Box<[Option<Detour>; PLACES]>>);

#[derive(Clone, Copy, Debug)]
struct Detour {
    ip: IpAddr,
    /// Runs of datagrams of so many bytes, or more, are refused.
    segment: usize,
    runs_until_trial: u16,
}

impl Detours {
    /// Whether a run to this address is worth a try, as far as is known. Counts it if not.
    pub(super) fn are_none(&mut self, ip: IpAddr, segment: usize) -> bool {
        let Some(places) = &mut self.0 else {
            return true;
        };
        let place = &mut places[place_of(ip)];
        let Some(detour) = place
            .as_mut()
            .filter(|it| it.ip == ip && it.segment <= segment)
        else {
            return true;
        };
        detour.runs_until_trial -= 1;
        if detour.runs_until_trial == 0 {
            *place = None;
        }
        false
    }

    /// Remembers that a run was refused.
    pub(super) fn add(&mut self, ip: IpAddr, segment: usize) {
        let places = self.0.get_or_insert_with(|| Box::new([None; PLACES]));
        places[place_of(ip)] = Some(Detour {
            ip,
            segment,
            runs_until_trial: RUNS_BEFORE_TRIAL,
        });
    }
}

fn place_of(ip: IpAddr) -> usize {
    let bits = match ip {
        IpAddr::V4(ip) => u64::from(ip.to_bits()),
        IpAddr::V6(ip) => (ip.to_bits() ^ (ip.to_bits() >> 64)) as u64,
    };
    // Fibonacci hashing: the upper bits are the good ones.
    let mixed = bits.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> (u64::BITS - PLACES.ilog2())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEAR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn who_refused_a_run_is_sent_none_that_is_larger_until_the_next_trial() {
        let mut detours = Detours::default();
        assert!(detours.are_none(NEAR, 1400));
        detours.add(NEAR, 1400);
        for _ in 0..RUNS_BEFORE_TRIAL {
            assert!(!detours.are_none(NEAR, 1400));
        }
        assert!(detours.are_none(NEAR, 1400));
        detours.add(NEAR, 1400);
        assert!(detours.are_none(NEAR, 1399));
        assert!(!detours.are_none(NEAR, 1401));
    }

    #[test]
    fn any_address_has_a_place_and_others_do_not_suffer_from_it() {
        let mut detours = Detours::default();
        let far = (0..=255_u8).flat_map(|last| {
            let ipv6: IpAddr = [0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(last)].into();
            [ipv6, [198, 51, 100, last].into()]
        });
        for ip in far {
            detours.add(ip, 1);
            assert!(!detours.are_none(ip, 1));
            assert!(detours.are_none(NEAR, 1));
        }
    }
}
