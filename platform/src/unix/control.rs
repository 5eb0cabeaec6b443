//! Control messages beside what is sent and received, and addresses, as the kernel writes them.

use std::mem::zeroed;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::ptr;
#[cfg(target_os = "linux")]
use std::time::Duration;
use std::time::SystemTime;

/// Bytes of control messages beside one datagram: an address of either family (20 bytes), the size
/// of a run's datagrams, and a stamp (16 bytes), each with a header of 16; and room.
const CONTROL_BYTES: usize = 128;

/// `<linux/udp.h>`: the size of a run's datagrams, with a send.
#[cfg(target_os = "linux")]
pub(in crate::unix) const UDP_SEGMENT: libc::c_int = 103;

/// As above: the same, with a receive.
#[cfg(target_os = "linux")]
pub(in crate::unix) const UDP_GRO: libc::c_int = 104;

/// `struct in6_pktinfo` of RFC 3542, 6, which `libc` does not have for every system.
#[repr(C)]
#[derive(Clone, Copy)]
struct Ipv6PacketInfo {
    address: libc::in6_addr,
    interface: libc::c_uint,
}

/// Room for control messages, aligned as their headers are.
#[repr(C, align(8))]
pub(in crate::unix) struct Control([u8; CONTROL_BYTES]);

impl Control {
    pub(in crate::unix) fn new() -> Self {
        Self([0; CONTROL_BYTES])
    }

    /// Lends the room to a receive.
    pub(in crate::unix) fn lend_to(&mut self, header: &mut libc::msghdr) {
        header.msg_control = self.0.as_mut_ptr().cast();
        header.msg_controllen = CONTROL_BYTES as _;
    }
}

/// Adds control messages to a send, one after the other.
pub(in crate::unix) struct Writer<'a> {
    control: &'a mut Control,
    bytes: usize,
}

impl<'a> Writer<'a> {
    pub(in crate::unix) fn new(control: &'a mut Control) -> Self {
        Self { control, bytes: 0 }
    }

    /// Our address to send from. One that is valid on one link alone needs that link's interface.
    pub(in crate::unix) fn push_source(&mut self, from: IpAddr, interface: u32) {
        match from {
            IpAddr::V4(from) => {
                // SAFETY: it is plain numbers, which all may be zero.
                let mut info: libc::in_pktinfo = unsafe { zeroed() };
                info.ipi_spec_dst.s_addr = u32::from_ne_bytes(from.octets());
                self.push(libc::IPPROTO_IP, libc::IP_PKTINFO, info);
            }
            IpAddr::V6(from) => {
                let info = Ipv6PacketInfo {
                    address: libc::in6_addr {
                        s6_addr: from.octets(),
                    },
                    interface,
                };
                self.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
            }
        }
    }

    /// The size of the run's datagrams.
    #[cfg(target_os = "linux")]
    pub(in crate::unix) fn push_segment(&mut self, segment: u16) {
        self.push(libc::SOL_UDP, UDP_SEGMENT, segment);
    }

    fn push<T: Copy>(&mut self, level: libc::c_int, kind: libc::c_int, value: T) {
        let size = size_of::<T>() as libc::c_uint;
        // SAFETY: they compute sizes.
        let (space, length) = unsafe { (libc::CMSG_SPACE(size), libc::CMSG_LEN(size)) };
        let end = self.bytes + space as usize;
        assert!(end <= CONTROL_BYTES, "more control messages than there are");
        // SAFETY: the message lies within the room, as just asserted, and is aligned, because the
        // room and all sizes are.
        unsafe {
            let header: *mut libc::cmsghdr = self.control.0.as_mut_ptr().add(self.bytes).cast();
            (*header).cmsg_level = level;
            (*header).cmsg_type = kind;
            (*header).cmsg_len = length as _;
            ptr::write_unaligned(libc::CMSG_DATA(header).cast(), value);
        }
        self.bytes = end;
    }

    /// Gives what has been written to a send.
    pub(in crate::unix) fn lend_to(self, header: &mut libc::msghdr) {
        if self.bytes > 0 {
            header.msg_control = self.control.0.as_mut_ptr().cast();
            header.msg_controllen = self.bytes as _;
        }
    }
}

/// What the control messages of a receive say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::unix) struct Said {
    /// Which of our addresses it was sent to.
    pub(in crate::unix) local: Option<IpAddr>,
    /// The size of a run's datagrams.
    pub(in crate::unix) segment: Option<usize>,
    /// When it was received: see `stamp_arrivals`.
    pub(in crate::unix) at: Option<SystemTime>,
}

impl Said {
    /// # Safety
    /// The header is one that the kernel has filled in, with its control messages.
    pub(in crate::unix) unsafe fn of(header: &libc::msghdr) -> Self {
        let mut said = Self::default();
        // SAFETY: the macros walk the messages within the length that the kernel has set, each of
        // which holds what its level and type say.
        unsafe {
            let mut message = libc::CMSG_FIRSTHDR(header);
            while !message.is_null() {
                said.add(&*message);
                message = libc::CMSG_NXTHDR(header, message);
            }
        }
        said
    }

    /// # Safety
    /// It lies before its data, of the kind that it says.
    unsafe fn add(&mut self, message: &libc::cmsghdr) {
        // SAFETY: it computes an address.
        let data = unsafe { libc::CMSG_DATA(message) };
        match (message.cmsg_level, message.cmsg_type) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                // SAFETY: the data is of this kind.
                let info: libc::in_pktinfo = unsafe { ptr::read_unaligned(data.cast()) };
                self.local = Some(Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes()).into());
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                // SAFETY: the data is of this kind.
                let info: Ipv6PacketInfo = unsafe { ptr::read_unaligned(data.cast()) };
                self.local = Some(Ipv6Addr::from(info.address.s6_addr).to_canonical());
            }
            #[cfg(target_os = "linux")]
            (libc::SOL_UDP, UDP_GRO) => {
                // SAFETY: the data is of this kind.
                let segment: libc::c_int = unsafe { ptr::read_unaligned(data.cast()) };
                self.segment = usize::try_from(segment).ok().filter(|segment| *segment > 0);
            }
            #[cfg(target_os = "linux")]
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                // SAFETY: the data is of this kind.
                let stamp: libc::timespec = unsafe { ptr::read_unaligned(data.cast()) };
                self.at = moment(stamp);
            }
            _ => {}
        }
    }
}

/// The moment of a stamp, which is since the Unix epoch.
#[cfg(target_os = "linux")]
fn moment(stamp: libc::timespec) -> Option<SystemTime> {
    let seconds = u64::try_from(stamp.tv_sec).ok()?;
    let nanos = u32::try_from(stamp.tv_nsec).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanos))
}

/// The address of a peer, in its canonical form.
///
/// # Safety
/// The kernel has written a whole address there, of the family that it says.
pub(in crate::unix) unsafe fn peer_at(address: &libc::sockaddr_storage) -> Option<SocketAddr> {
    let place = ptr::from_ref(address).cast::<libc::sockaddr>();
    // SAFETY: as the caller says.
    let ip = unsafe { ip_at(place) }?;
    // Port and scope stand at the same place in both forms of `sockaddr_storage` and of theirs.
    // SAFETY: a storage is as long as every address, and aligned for it.
    let of_ipv6 = unsafe { &*place.cast::<libc::sockaddr_in6>() };
    let port = u16::from_be(of_ipv6.sin6_port);
    Some(match ip {
        IpAddr::V4(ip) => (ip, port).into(),
        IpAddr::V6(ip) => SocketAddrV6::new(ip, port, 0, of_ipv6.sin6_scope_id).into(),
    })
}

/// The IP address in a socket's or an interface's, in its canonical form.
///
/// # Safety
/// It is null, or a valid address as long as its family says.
pub(in crate::unix) unsafe fn ip_at(address: *const libc::sockaddr) -> Option<IpAddr> {
    // SAFETY: as the caller says.
    let family = libc::c_int::from(unsafe { address.as_ref() }?.sa_family);
    match family {
        libc::AF_INET => {
            // SAFETY: the family says so.
            let ipv4: libc::sockaddr_in = unsafe { ptr::read_unaligned(address.cast()) };
            Some(Ipv4Addr::from(ipv4.sin_addr.s_addr.to_ne_bytes()).into())
        }
        libc::AF_INET6 => {
            // SAFETY: the family says so.
            let ipv6: libc::sockaddr_in6 = unsafe { ptr::read_unaligned(address.cast()) };
            Some(Ipv6Addr::from(ipv6.sin6_addr.s6_addr).to_canonical())
        }
        _ => None,
    }
}
