//! epoll by its three system calls, level-triggered, as a bare relay would use it.

use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};

/// Events taken from the kernel at once.
const EVENTS: usize = 512;

/// An epoll instance; each event carries the descriptor that it is about.
#[derive(Debug)]
pub(super) struct Epoll(OwnedFd);

/// What a descriptor waits for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Interest {
    /// Bytes to read.
    Read,
    /// Bytes to read, and room to write.
    ReadAndWrite,
}

/// Room for the events of one wait.
pub(super) struct Events(Vec<libc::epoll_event>);

impl Events {
    pub(super) fn new() -> Self {
        Self(Vec::with_capacity(EVENTS))
    }

    /// Descriptors that are ready, and whether for writing only.
    pub(super) fn iter(&self) -> impl Iterator<Item = (RawFd, bool)> {
        let only_write = libc::EPOLLOUT as u32;
        let ready = self.0.iter();
        ready.map(move |event| (event.u64 as RawFd, event.events == only_write))
    }
}

impl Epoll {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: the call takes no memory of ours.
        let descriptor = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the descriptor has just been opened, and nobody else owns it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(descriptor) }))
    }

    pub(super) fn add(&self, descriptor: RawFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, descriptor, Interest::Read)
    }

    pub(super) fn change(&self, descriptor: RawFd, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, descriptor, interest)
    }

    fn control(&self, operation: i32, descriptor: RawFd, interest: Interest) -> io::Result<()> {
        let flags = match interest {
            Interest::Read => libc::EPOLLIN,
            Interest::ReadAndWrite => libc::EPOLLIN | libc::EPOLLOUT,
        };
        let mut event = libc::epoll_event {
            events: flags as u32,
            u64: descriptor as u64,
        };
        // SAFETY: the event outlives the call, which copies it.
        let result =
            unsafe { libc::epoll_ctl(self.0.as_raw_fd(), operation, descriptor, &raw mut event) };
        check(result).map(drop)
    }

    /// Sleeps until something is ready.
    pub(super) fn wait(&self, events: &mut Events) -> io::Result<()> {
        events.0.clear();
        // SAFETY: the buffer has room for as many events as are asked for, and outlives the call.
        let count = unsafe {
            libc::epoll_wait(self.0.as_raw_fd(), events.0.as_mut_ptr(), EVENTS as i32, -1)
        };
        let count = match check(count) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            other => other?,
        };
        // SAFETY: the kernel has filled in so many events, which are within the capacity.
        unsafe { events.0.set_len(count as usize) };
        Ok(())
    }
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}
