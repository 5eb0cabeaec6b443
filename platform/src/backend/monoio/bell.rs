//! The system's part of a doorbell: a descriptor that another thread makes readable.
//!
//! On Linux an eventfd, which counts rings in the kernel; elsewhere a pair of sockets, where a full
//! buffer means that it has been rung already.

use std::io;
use std::sync::Arc;

use self::system::Sender;
pub(crate) use self::system::{Bell, BellSeat};

/// Any thread's end.
#[derive(Clone)]
pub(crate) struct Ringer(Arc<Sender>);

impl Ringer {
    pub(crate) fn ring(&self) {
        self.0.ring();
    }
}

pub(crate) fn bell() -> io::Result<(Ringer, BellSeat)> {
    let (sender, seat) = system::pair()?;
    Ok((Ringer(Arc::new(sender)), seat))
}

#[cfg(target_os = "linux")]
mod system {
    use std::fs::File;
    use std::io::{self, Read, Write};
    use std::os::fd::{FromRawFd, OwnedFd};
    use std::os::unix::net::UnixStream;

    pub(super) struct Sender(File);

    pub(crate) struct BellSeat(File);

    pub(crate) struct Bell {
        counter: File,
        /// monoio waits for the readiness of its own socket types alone. It never reads this one:
        /// an eventfd is no socket.
        readiness: monoio::net::UnixStream,
    }

    pub(super) fn pair() -> io::Result<(Sender, BellSeat)> {
        // SAFETY: it takes no pointers.
        let descriptor = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is open and nobody else's.
        let counter = File::from(unsafe { OwnedFd::from_raw_fd(descriptor) });
        Ok((Sender(counter.try_clone()?), BellSeat(counter)))
    }

    impl Sender {
        pub(super) fn ring(&self) {
            // It fails only when the counter is full, and then the bell has been rung.
            let _ = (&self.0).write(&1_u64.to_ne_bytes());
        }
    }

    impl BellSeat {
        pub(crate) fn attach(self) -> io::Result<Bell> {
            let same: OwnedFd = self.0.try_clone()?.into();
            let readiness = monoio::net::UnixStream::from_std(UnixStream::from(same))?;
            Ok(Bell {
                counter: self.0,
                readiness,
            })
        }
    }

    impl Bell {
        pub(crate) async fn wait(&mut self) {
            loop {
                // A relaxed wait would report readiness that is over, and spin.
                let ready = self.readiness.readable(false).await;
                let mut count = [0; 8];
                if self.counter.read(&mut count).is_ok() || ready.is_err() {
                    return;
                }
            }
        }
    }
}

#[cfg(target_os = "macos")]
mod system {
    use std::io::{self, Read, Write};
    use std::os::unix::net::UnixStream;

    pub(super) struct Sender(UnixStream);

    pub(crate) struct BellSeat(UnixStream);

    pub(crate) struct Bell {
        receiver: UnixStream,
        readiness: monoio::net::UnixStream,
    }

    pub(super) fn pair() -> io::Result<(Sender, BellSeat)> {
        let (sender, receiver) = UnixStream::pair()?;
        sender.set_nonblocking(true)?;
        receiver.set_nonblocking(true)?;
        Ok((Sender(sender), BellSeat(receiver)))
    }

    impl Sender {
        pub(super) fn ring(&self) {
            let _ = (&self.0).write(&[1]);
        }
    }

    impl BellSeat {
        pub(crate) fn attach(self) -> io::Result<Bell> {
            let readiness = monoio::net::UnixStream::from_std(self.0.try_clone()?)?;
            Ok(Bell {
                receiver: self.0,
                readiness,
            })
        }
    }

    impl Bell {
        pub(crate) async fn wait(&mut self) {
            loop {
                let ready = self.readiness.readable(false).await;
                let mut rings = [0; 64];
                if self.receiver.read(&mut rings).is_ok() || ready.is_err() {
                    return;
                }
            }
        }
    }
}

#[cfg(windows)]
mod system {
    use std::io;
    use std::net::{Ipv4Addr, UdpSocket};

    pub(super) struct Sender(UdpSocket);

    pub(crate) struct BellSeat(UdpSocket);

    pub(crate) struct Bell {
        receiver: UdpSocket,
        readiness: monoio::net::udp::UdpSocket,
    }

    pub(super) fn pair() -> io::Result<(Sender, BellSeat)> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(socket.local_addr()?)?;
        socket.set_nonblocking(true)?;
        Ok((Sender(socket.try_clone()?), BellSeat(socket)))
    }

    impl Sender {
        pub(super) fn ring(&self) {
            let _ = self.0.send(&[1]);
        }
    }

    impl BellSeat {
        pub(crate) fn attach(self) -> io::Result<Bell> {
            let readiness = monoio::net::udp::UdpSocket::from_std(self.0.try_clone()?)?;
            Ok(Bell {
                receiver: self.0,
                readiness,
            })
        }
    }

    impl Bell {
        pub(crate) async fn wait(&mut self) {
            loop {
                let ready = self.readiness.readable(false).await;
                if self.receiver.recv(&mut [0; 8]).is_ok() || ready.is_err() {
                    return;
                }
            }
        }
    }
}
