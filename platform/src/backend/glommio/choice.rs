//! Whether glommio works here.
//!
//! glommio ends the process, or panics, where the kernel lacks what it needs; so that is tried
//! before it is given the chance. And it wants memory that it may lock.

use std::io;

use glommio::{LocalExecutor, LocalExecutorBuilder, Placement};
use io_uring::{IoUring, opcode};

use crate::backend::uring::{self, Operation};
use crate::driver::{Driver, DriverChoice, DriverError, DriverRequest};
use crate::os;

/// Entries of each of an event loop's three submission queues; completions get twice as many, and
/// what is more waits in the kernel. A stream that waits takes one entry, for the moment in which
/// it begins to.
const SUBMISSIONS: usize = 1024;

/// The lockable memory without which glommio does not start. It pins 192 KiB of it per event loop.
const LOCKABLE_BYTES_MIN: u64 = 512 * 1024;

/// glommio ends the process when one of these is missing.
const NEEDED: [Operation; 23] = [
    (opcode::Nop::CODE, "NOP"),
    (opcode::Readv::CODE, "READV"),
    (opcode::Writev::CODE, "WRITEV"),
    (opcode::Fsync::CODE, "FSYNC"),
    (opcode::ReadFixed::CODE, "READ_FIXED"),
    (opcode::WriteFixed::CODE, "WRITE_FIXED"),
    (opcode::PollAdd::CODE, "POLL_ADD"),
    (opcode::PollRemove::CODE, "POLL_REMOVE"),
    (opcode::SendMsg::CODE, "SENDMSG"),
    (opcode::RecvMsg::CODE, "RECVMSG"),
    (opcode::Timeout::CODE, "TIMEOUT"),
    (opcode::TimeoutRemove::CODE, "TIMEOUT_REMOVE"),
    (opcode::Accept::CODE, "ACCEPT"),
    (opcode::LinkTimeout::CODE, "LINK_TIMEOUT"),
    (opcode::Connect::CODE, "CONNECT"),
    (opcode::Fallocate::CODE, "FALLOCATE"),
    (opcode::OpenAt::CODE, "OPENAT"),
    (opcode::Close::CODE, "CLOSE"),
    (opcode::Statx::CODE, "STATX"),
    (opcode::Read::CODE, "READ"),
    (opcode::Write::CODE, "WRITE"),
    (opcode::Send::CODE, "SEND"),
    (opcode::Recv::CODE, "RECV"),
];

/// Raises the limit of lockable memory as far as it is allowed, and builds an event loop.
pub(crate) fn choose(request: DriverRequest) -> Result<DriverChoice, DriverError> {
    let refused = |reason| DriverError::Refused {
        driver: request.name(),
        reason,
    };
    check_lockable_memory().map_err(refused)?;
    executor().map_err(|error| refused(error.to_string()))?;
    Ok(DriverChoice {
        driver: Driver::Glommio,
        reason: format!("{request} was asked for"),
    })
}

/// An executor on the CPUs that this thread may use already.
pub(super) fn executor() -> io::Result<LocalExecutor> {
    let entries = u32::try_from(SUBMISSIONS).unwrap_or(u32::MAX);
    uring::trial(&IoUring::builder(), entries, &NEEDED).map_err(io::Error::other)?;
    let executor = LocalExecutorBuilder::new(Placement::Unbound)
        .ring_depth(SUBMISSIONS)
        // The least that it takes: files are not read or written through it.
        .io_memory(0)
        .preempt_timer(super::event_loop::PREEMPTION)
        .make()?;
    Ok(executor)
}

fn check_lockable_memory() -> Result<(), String> {
    let limit = os::raise_lockable_memory_limit()
        .map_err(|error| format!("the limit of lockable memory is not known ({error})"))?;
    if limit >= LOCKABLE_BYTES_MIN {
        return Ok(());
    }
    Err(format!(
        "it needs {} KiB of lockable memory, and {} KiB are allowed (RLIMIT_MEMLOCK; see ulimit -l)",
        LOCKABLE_BYTES_MIN / 1024,
        limit / 1024
    ))
}
