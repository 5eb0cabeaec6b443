//! Control messages beside a datagram: which of our addresses it came to, or is to leave from.
//!
//! `windows-sys` has no macros for them. A message is a header, its data, and a gap up to the next
//! multiple of the header's alignment.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ptr;

use windows_sys::Win32::Networking::WinSock::{
    CMSGHDR, IN_PKTINFO, IN6_PKTINFO, IP_PKTINFO, IPPROTO_IP, IPPROTO_IPV6, IPV6_PKTINFO, WSABUF,
};

/// Bytes of control messages beside one datagram: addresses of both families, and room.
const CONTROL_BYTES: usize = 128;

/// Of a header, whose size is a multiple of its alignment.
const HEADER_BYTES: usize = size_of::<CMSGHDR>();

/// Room for control messages, aligned as their headers are.
#[repr(C, align(8))]
pub(super) struct Control([u8; CONTROL_BYTES]);

impl Control {
    pub(super) fn new() -> Self {
        Self([0; CONTROL_BYTES])
    }

    /// Lends the room to a receive.
    pub(super) fn lend(&mut self) -> WSABUF {
        self.described(CONTROL_BYTES)
    }

    /// Lends the address to send from, if there is one, to a send.
    pub(super) fn with_source(&mut self, from: Option<IpAddr>) -> WSABUF {
        let bytes = match from {
            None => 0,
            Some(IpAddr::V4(from)) => {
                let mut info = IN_PKTINFO::default();
                info.ipi_addr.S_un.S_addr = u32::from_ne_bytes(from.octets());
                self.put(IPPROTO_IP, IP_PKTINFO, info)
            }
            Some(IpAddr::V6(from)) => {
                let mut info = IN6_PKTINFO::default();
                info.ipi6_addr.u.Byte = from.octets();
                self.put(IPPROTO_IPV6, IPV6_PKTINFO, info)
            }
        };
        self.described(bytes)
    }

    fn described(&mut self, bytes: usize) -> WSABUF {
        WSABUF {
            len: u32::try_from(bytes).unwrap_or(0),
            buf: if bytes == 0 {
                ptr::null_mut()
            } else {
                self.0.as_mut_ptr()
            },
        }
    }

    /// Writes the one message of a send; how many bytes it takes.
    fn put<T: Copy>(&mut self, level: i32, kind: i32, value: T) -> usize {
        let header = CMSGHDR {
            cmsg_len: HEADER_BYTES + size_of::<T>(),
            cmsg_level: level,
            cmsg_type: kind,
        };
        let space = aligned(header.cmsg_len);
        assert!(
            space <= CONTROL_BYTES,
            "a control message as large as none is"
        );
        let start = self.0.as_mut_ptr();
        // SAFETY: header and data lie within the room, as just asserted.
        unsafe {
            ptr::write_unaligned(start.cast(), header);
            ptr::write_unaligned(start.add(HEADER_BYTES).cast(), value);
        }
        space
    }

    /// Which of our addresses a datagram came to, by the first `said` bytes that the system wrote.
    pub(super) fn local(&self, said: usize) -> Option<IpAddr> {
        let mut rest = self.0.get(..said)?;
        while let Some(header) = read::<CMSGHDR>(rest) {
            let data = rest.get(HEADER_BYTES..header.cmsg_len)?;
            if let Some(address) = address_in(&header, data) {
                return Some(address);
            }
            rest = rest.get(aligned(header.cmsg_len)..)?;
        }
        None
    }
}

fn address_in(header: &CMSGHDR, data: &[u8]) -> Option<IpAddr> {
    match (header.cmsg_level, header.cmsg_type) {
        (IPPROTO_IP, IP_PKTINFO) => {
            let info = read::<IN_PKTINFO>(data)?;
            // SAFETY: every form of the address is the same bytes.
            let address = unsafe { info.ipi_addr.S_un.S_addr };
            Some(Ipv4Addr::from(address.to_ne_bytes()).into())
        }
        (IPPROTO_IPV6, IPV6_PKTINFO) => {
            let info = read::<IN6_PKTINFO>(data)?;
            // SAFETY: as above.
            let address = unsafe { info.ipi6_addr.u.Byte };
            Some(Ipv6Addr::from(address).to_canonical())
        }
        _ => None,
    }
}

/// The value at the start of these bytes, all of which may hold any bits.
fn read<T: Copy>(bytes: &[u8]) -> Option<T> {
    let bytes = bytes.get(..size_of::<T>())?;
    // SAFETY: there are as many bytes, and the structures read here are numbers alone.
    Some(unsafe { ptr::read_unaligned(bytes.as_ptr().cast()) })
}

fn aligned(bytes: usize) -> usize {
    bytes.next_multiple_of(align_of::<CMSGHDR>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_comes_back_as_it_was_written() {
        let addresses: [IpAddr; 2] = [
            Ipv4Addr::new(192, 0, 2, 7).into(),
            Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7).into(),
        ];
        for address in addresses {
            let mut control = Control::new();
            let said = control.with_source(Some(address)).len as usize;
            assert_eq!(control.local(said), Some(address));
            for cut in 0..said - 8 {
                assert_eq!(control.local(cut), None, "{cut} of {said} bytes");
            }
        }
        assert_eq!(Control::new().with_source(None).len, 0);
    }
}
