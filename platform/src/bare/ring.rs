//! One io_uring that sends the same bytes to many sockets: as many submissions as its queue takes, one system call for
//! all of them, and their results.

use std::io;
use std::os::fd::RawFd;

use io_uring::{IoUring, opcode, squeue, types};

/// Submissions at once. More sockets than this take several system calls.
const ENTRIES: u32 = 4096;

/// A ring for one thread, with its completions handled when that thread asks for them.
pub(super) struct SendRing(IoUring);

/// Where bytes go.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    /// A descriptor.
    Descriptor(RawFd),
    /// The index of a registered one, which spares the kernel the look-up.
    Registered(u32),
}

impl SendRing {
    pub(super) fn new() -> io::Result<Self> {
        let mut builder = IoUring::builder();
        builder.setup_single_issuer().setup_defer_taskrun();
        builder.build(ENTRIES).map(Self)
    }

    /// Lets sockets be named by their index from now on.
    pub(super) fn register(&mut self, sockets: &[RawFd]) -> io::Result<()> {
        self.0.submitter().register_files(sockets)
    }

    /// Sends `bytes` once to each target, waits for all results, and gives each with the target's place in the list. With
    /// `whole`, the kernel goes on until everything is sent; else it sends what the socket takes at once.
    pub(super) fn send_to_all(
        &mut self,
        targets: &[Target],
        bytes: &[u8],
        whole: bool,
        mut done: impl FnMut(usize, io::Result<usize>),
    ) -> io::Result<()> {
        let (mut submitted, mut completed) = (0, 0);
        while completed < targets.len() {
            submitted += self.submit(targets, submitted, bytes, whole);
            self.0.submit_and_wait(1)?;
            for entry in self.0.completion() {
                completed += 1;
                let result = usize::try_from(entry.result());
                let result = result.map_err(|_| io::Error::from_raw_os_error(-entry.result()));
                done(entry.user_data() as usize, result);
            }
        }
        Ok(())
    }

    /// Queues targets from `first` on, as many as fit; how many.
    fn submit(&mut self, targets: &[Target], first: usize, bytes: &[u8], whole: bool) -> usize {
        let mut queue = self.0.submission();
        let mut count = 0;
        for (index, target) in targets.iter().enumerate().skip(first) {
            let entry = send(*target, bytes, whole).user_data(index as u64);
            // SAFETY: the bytes outlive the operation, because `send_to_all` borrows them and waits for every result.
            if unsafe { queue.push(&entry) }.is_err() {
                break;
            }
            count += 1;
        }
        count
    }
}

fn send(target: Target, bytes: &[u8], whole: bool) -> squeue::Entry {
    let (start, length) = (bytes.as_ptr(), bytes.len() as u32);
    let how = if whole {
        libc::MSG_WAITALL
    } else {
        libc::MSG_DONTWAIT
    };
    let flags = how | libc::MSG_NOSIGNAL;
    match target {
        Target::Descriptor(fd) => opcode::Send::new(types::Fd(fd), start, length)
            .flags(flags)
            .build(),
        Target::Registered(index) => opcode::Send::new(types::Fixed(index), start, length)
            .flags(flags)
            .build(),
    }
}
