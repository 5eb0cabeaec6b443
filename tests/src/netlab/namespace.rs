//! A network namespace without a name: held by a descriptor, visited by threads, gone with the last of both.

use std::fs::File;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::process::Command;
use std::thread;

use super::{NetlabError, sys};

/// Leads to a thread's network namespace.
const OWN_NAMESPACE: &str = "/proc/thread-self/ns/net";

/// A network of its own, at first with nothing but its loopback device, which is up.
#[derive(Debug)]
pub struct Namespace {
    file: File,
}

impl Namespace {
    /// Makes one.
    ///
    /// # Errors
    /// Without the right to do so.
    pub fn new() -> Result<Self, NetlabError> {
        let made = thread::scope(|scope| {
            let maker = scope.spawn(|| {
                sys::enter_new_network()?;
                File::open(OWN_NAMESPACE)
            });
            maker.join().expect("the maker does not panic")
        });
        let file = made.map_err(NetlabError::io("a new network namespace"))?;
        let namespace = Self { file };
        // Multicast goes over loopback until a cable is there to take it.
        namespace.ip("link set lo multicast on up")?;
        namespace.ip("route add 224.0.0.0/4 dev lo metric 900")?;
        Ok(namespace)
    }

    /// Runs `action` within this network. Sockets that it opens, threads and processes that it starts, and what those
    /// start, belong to this network for good; this thread comes back.
    ///
    /// # Panics
    /// When `action` does.
    pub fn run<T>(&self, action: impl FnOnce() -> T) -> T {
        let own = File::open(OWN_NAMESPACE).expect("every thread has a network");
        let _visit = Visit { own };
        sys::enter_network(self.file.as_fd()).expect("whoever made it may enter it");
        action()
    }

    /// Runs `ip` with these arguments within this network.
    ///
    /// # Errors
    /// When it is not there or refuses.
    pub fn ip(&self, command: &str) -> Result<(), NetlabError> {
        let ran = self.run(|| Command::new("ip").args(command.split_whitespace()).output());
        let output = ran.map_err(NetlabError::io("ip (of iproute2)"))?;
        if output.status.success() {
            return Ok(());
        }
        Err(NetlabError::Ip {
            command: command.to_owned(),
            said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }

    /// Where other processes of this user find it.
    pub(super) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }
}

/// Brings its thread back when it is dropped.
struct Visit {
    own: File,
}

impl Drop for Visit {
    fn drop(&mut self) {
        // Whoever could leave it may enter it; a thread that stayed elsewhere would fail in strange ways.
        if let Err(error) = sys::enter_network(self.own.as_fd()) {
            eprintln!("a thread cannot go back to its network: {error}");
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::lab;
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn the_same_port_is_free_in_every_namespace() {
        lab::within(
            "netlab::namespace::tests::the_same_port_is_free_in_every_namespace",
            || {
                let (one, other) = (Namespace::new().unwrap(), Namespace::new().unwrap());
                let listen = || TcpListener::bind("127.0.0.1:8554").unwrap();
                let _both = (one.run(listen), other.run(listen));
            },
        );
    }

    #[test]
    fn a_command_that_ip_refuses_is_told_with_its_reason() {
        lab::within(
            "netlab::namespace::tests::a_command_that_ip_refuses_is_told_with_its_reason",
            || {
                let namespace = Namespace::new().unwrap();
                let refused = namespace.ip("link set nothing up").unwrap_err();
                assert!(refused.to_string().contains("nothing"), "{refused}");
            },
        );
    }
}
