//! UDP sockets on this loop: it says when a call is worth a try, and makes none itself.
//!
//! The wait for a datagram is an overlapped receive that looks at it and takes no byte, as libuv's.
//! So one that is cancelled or dropped has taken nothing. A socket joins the loop's port with its
//! first wait: one that only sends never does, and may be a duplicate of one that is on another
//! thread's.

use std::cell::Cell;
use std::io;
use std::os::windows::io::AsRawSocket;
use std::rc::Rc;
use std::time::{Duration, Instant};

use socket2::Socket;

use super::event_loop::sleep_until;
use super::operation::{Flight, Operation, Peek};
use super::stream::{attach, submit_or};
use crate::cancel::Cancel;

/// How soon a full send buffer is tried again. The system tells of no room in it, and it is seldom
/// full: a datagram stays there until the device has taken it.
const FULL_INTERVAL: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(crate) struct Datagrams {
    socket: Socket,
    is_attached: Cell<bool>,
}

impl Datagrams {
    pub(crate) fn start(socket: Socket) -> io::Result<Self> {
        Ok(Self {
            socket,
            is_attached: Cell::new(false),
        })
    }

    /// What the network says of single datagrams makes the socket readable, too.
    pub(crate) async fn readable(&self, cancel: &Cancel) -> Option<io::Result<()>> {
        if cancel.is_cancelled() {
            return None;
        }
        if !self.is_attached.get() {
            if let Err(error) = attach(&self.socket) {
                return Some(Err(error));
            }
            self.is_attached.set(true);
        }
        let socket = self.socket.as_raw_socket();
        let flight: Rc<Flight> = Rc::default();
        let peek = Peek::at_datagrams(Operation::new(socket, Rc::clone(&flight)));
        let _peeked = submit_or(peek, socket, flight, cancel).await;
        (!cancel.is_cancelled()).then_some(Ok(()))
    }

    pub(crate) async fn writable(&self, cancel: &Cancel) -> Option<io::Result<()>> {
        cancel
            .or(sleep_until(Instant::now() + FULL_INTERVAL))
            .await?;
        Some(Ok(()))
    }

    pub(crate) fn with_socket<R>(&self, action: impl FnOnce(&Socket) -> R) -> R {
        action(&self.socket)
    }
}
