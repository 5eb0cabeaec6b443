//! The system's part of a doorbell: a descriptor that another thread makes readable.
//!
//! On Linux an eventfd, which counts rings in the kernel; elsewhere a pair of sockets, where a full
//! buffer means that it has been rung already.

pub(crate) use self::system::{Bell, BellSeat, Ringer, attach, bell};

#[cfg(target_os = "linux")]
mod system {
    use std::fs::File;
    use std::io::{self, Read};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    pub(crate) use crate::backend::eventfd::{BellSeat, Ringer, bell};

    pub(crate) struct Bell {
        counter: File,
        /// monoio waits for the readiness of its own socket types alone. It never reads this one:
        /// an eventfd is no socket.
        readiness: monoio::net::UnixStream,
    }

    pub(crate) fn attach(seat: BellSeat) -> io::Result<Bell> {
        let counter = seat.into_counter();
        let same: OwnedFd = counter.try_clone()?.into();
        let readiness = monoio::net::UnixStream::from_std(UnixStream::from(same))?;
        Ok(Bell { counter, readiness })
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
    use std::sync::Arc;

    /// Any thread's end.
    #[derive(Clone)]
    pub(crate) struct Ringer(Arc<UnixStream>);

    pub(crate) struct BellSeat(UnixStream);

    pub(crate) struct Bell {
        receiver: UnixStream,
        readiness: monoio::net::UnixStream,
    }

    pub(crate) fn bell() -> io::Result<(Ringer, BellSeat)> {
        let (sender, receiver) = UnixStream::pair()?;
        sender.set_nonblocking(true)?;
        receiver.set_nonblocking(true)?;
        Ok((Ringer(Arc::new(sender)), BellSeat(receiver)))
    }

    pub(crate) fn attach(seat: BellSeat) -> io::Result<Bell> {
        let readiness = monoio::net::UnixStream::from_std(seat.0.try_clone()?)?;
        Ok(Bell {
            receiver: seat.0,
            readiness,
        })
    }

    impl Ringer {
        pub(crate) fn ring(&self) {
            let _ = (&*self.0).write(&[1]);
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
    use std::sync::Arc;

    /// Any thread's end.
    #[derive(Clone)]
    pub(crate) struct Ringer(Arc<UdpSocket>);

    pub(crate) struct BellSeat(UdpSocket);

    pub(crate) struct Bell {
        receiver: UdpSocket,
        readiness: monoio::net::udp::UdpSocket,
    }

    pub(crate) fn bell() -> io::Result<(Ringer, BellSeat)> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(socket.local_addr()?)?;
        socket.set_nonblocking(true)?;
        Ok((Ringer(Arc::new(socket.try_clone()?)), BellSeat(socket)))
    }

    pub(crate) fn attach(seat: BellSeat) -> io::Result<Bell> {
        let readiness = monoio::net::udp::UdpSocket::from_std(seat.0.try_clone()?)?;
        Ok(Bell {
            receiver: seat.0,
            readiness,
        })
    }

    impl Ringer {
        pub(crate) fn ring(&self) {
            let _ = self.0.send(&[1]);
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
