//! One TUN device: what its namespace sends over it is read here packet by packet, and what is written here arrives
//! there.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::fs::OpenOptionsExt as _;

use super::namespace::Namespace;
use super::veth::{End, Subnet, set_up};
use super::{NetlabError, sys};

/// Makes TUN devices.
const MAKER: &str = "/dev/net/tun";
/// Longest IP packet.
pub const PACKET_BYTES_MAX: usize = 65535;

/// A TUN device, switched on. It is gone when this is dropped.
#[derive(Debug)]
pub struct Tun {
    file: File,
}

impl Tun {
    /// Makes one in `namespace`, with the addresses of the subnet's end.
    ///
    /// # Errors
    /// Without the right to do so, or when the subnet is in use there.
    pub fn create(
        namespace: &Namespace,
        subnet: Subnet,
        end: End,
        mtu: usize,
    ) -> Result<Self, NetlabError> {
        // The device comes into being in the namespace of the thread that opens the file.
        let file = namespace.run(|| {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .custom_flags(libc::O_NONBLOCK)
                .open(MAKER)?;
            sys::make_tun(&file, &subnet.device())?;
            Ok(file)
        });
        let file = file.map_err(NetlabError::io(MAKER))?;
        set_up(namespace, subnet, end, mtu)?;
        Ok(Self { file })
    }

    /// The next packet that the namespace has sent, if there is one.
    pub fn receive(&mut self) -> Option<Vec<u8>> {
        let mut packet = vec![0; PACKET_BYTES_MAX];
        let length = self.file.read(&mut packet).ok()?;
        packet.truncate(length);
        Some(packet)
    }

    /// Lets a packet arrive in the namespace.
    ///
    /// # Errors
    /// When it is no IP packet, or the namespace takes none just now.
    pub fn deliver(&mut self, packet: &[u8]) -> io::Result<()> {
        self.file.write_all(packet)
    }

    /// Its descriptor, to wait on.
    pub(super) fn descriptor(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}
