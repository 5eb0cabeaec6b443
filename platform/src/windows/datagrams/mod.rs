//! Datagrams by plain calls that do not wait: a socket's options, one send, and one receive.
//!
//! Each call moves one datagram. Addresses of ours come and go as control messages, by `WSARecvMsg`
//! and `WSASendMsg`. Where the system refuses such an address, the datagram leaves without it.

mod control;

use std::io;
use std::mem::zeroed;
use std::net::{IpAddr, SocketAddr};
use std::os::windows::io::AsRawSocket;
use std::ptr;
use std::sync::OnceLock;

use socket2::{SockAddr, SockAddrStorage, Socket};
use windows_sys::Win32::Networking::WinSock::{
    IP_PKTINFO, IPPROTO_IP, IPPROTO_IPV6, IPV6_PKTINFO, LPFN_WSARECVMSG,
    SIO_GET_EXTENSION_FUNCTION_POINTER, SIO_UDP_CONNRESET, SOCKADDR, SOCKET, WSABUF,
    WSAGetLastError, WSAID_WSARECVMSG, WSAIoctl, WSAMSG, WSASendMsg, setsockopt,
};

use self::control::Control;
use super::prepare_listener;
use crate::net::{Arrival, RecvSlab};

/// Each call sends one datagram.
pub(crate) const SEGMENTS_MAX: usize = 1;

/// Keeps other programs off the port, has the system say which of our addresses a datagram was sent
/// to, and has it keep to itself that an earlier datagram found nobody.
///
/// # Errors
/// When the port cannot be kept.
pub(crate) fn prepare_datagrams(
    socket: &Socket,
    is_ipv6: bool,
    is_dual_stack: bool,
) -> io::Result<()> {
    prepare_listener(socket)?;
    // Without these, receives would fail now and then, which is skipped, and addresses be unknown,
    // which is told.
    let _ = forget_resets(socket);
    if is_ipv6 {
        set_on(socket, IPPROTO_IPV6, IPV6_PKTINFO);
    }
    if !is_ipv6 || is_dual_stack {
        set_on(socket, IPPROTO_IP, IP_PKTINFO);
    }
    Ok(())
}

fn set_on(socket: &Socket, level: i32, name: i32) {
    let on: i32 = 1;
    // SAFETY: the socket is open, and the value is an i32 that outlives the call.
    unsafe {
        setsockopt(
            raw(socket),
            level,
            name,
            (&raw const on).cast(),
            size_of_val(&on) as i32,
        );
    }
}

fn forget_resets(socket: &Socket) -> io::Result<()> {
    let (off, mut bytes) = (0_u32, 0);
    // SAFETY: the value outlives the call, which gives nothing back.
    check(unsafe {
        WSAIoctl(
            raw(socket),
            SIO_UDP_CONNRESET,
            (&raw const off).cast(),
            size_of_val(&off) as u32,
            ptr::null_mut(),
            0,
            &raw mut bytes,
            ptr::null_mut(),
            None,
        )
    })
}

/// Sends `bytes` as one datagram. `to` is of the socket's family; `from` is one of our addresses.
///
/// # Errors
/// What the system says. `WouldBlock` when the send buffer is full.
pub(crate) fn send_datagrams(
    socket: &Socket,
    bytes: &[u8],
    segment: usize,
    to: SocketAddr,
    from: Option<IpAddr>,
) -> io::Result<()> {
    debug_assert!(bytes.len() <= segment, "a run, where none can be sent");
    match (send(socket, bytes, to, from), from) {
        (Err(error), Some(_)) if error.kind() != io::ErrorKind::WouldBlock => {
            send(socket, bytes, to, None)
        }
        (sent, _) => sent,
    }
}

fn send(socket: &Socket, bytes: &[u8], to: SocketAddr, from: Option<IpAddr>) -> io::Result<()> {
    let to = SockAddr::from(to);
    let mut buffer = buffer_of(bytes.as_ptr().cast_mut(), bytes.len());
    let mut control = Control::new();
    let mut sent = 0;
    let message = WSAMSG {
        name: to.as_ptr().cast_mut().cast(),
        namelen: to.len(),
        lpBuffers: &raw mut buffer,
        dwBufferCount: 1,
        Control: control.with_source(from),
        dwFlags: 0,
    };
    // SAFETY: the message describes memory that outlives the call, which only reads it.
    check(unsafe {
        WSASendMsg(
            raw(socket),
            &raw const message,
            0,
            &raw mut sent,
            ptr::null_mut(),
            None,
        )
    })
}

/// Fills the slab with what has arrived, without waiting.
///
/// # Errors
/// `WouldBlock` when nothing has; else what the system says of an earlier datagram, or of one that
/// a slot does not hold.
pub(crate) fn receive_datagrams(socket: &Socket, slab: &mut RecvSlab) -> io::Result<()> {
    let slots = slab.lend();
    for (slot, (start, length)) in slots.into_iter().enumerate() {
        match receive(socket, buffer_of(start, length)) {
            Ok(arrival) => slab.push(arrival),
            Err(error) if slot == 0 => return Err(error),
            // An error after the first datagram comes again, or concerned one datagram alone.
            Err(_) => break,
        }
    }
    Ok(())
}

fn receive(socket: &Socket, mut buffer: WSABUF) -> io::Result<Option<Arrival>> {
    let receive = receive_function(socket)?;
    let mut name = SockAddrStorage::zeroed();
    let mut control = Control::new();
    let mut message = WSAMSG {
        name: (&raw mut name).cast::<SOCKADDR>(),
        namelen: name.size_of(),
        lpBuffers: &raw mut buffer,
        dwBufferCount: 1,
        Control: control.lend(),
        dwFlags: 0,
    };
    let mut bytes = 0;
    // SAFETY: the message describes memory that outlives the call, and nobody else touches it.
    check(unsafe {
        receive(
            raw(socket),
            &raw mut message,
            &raw mut bytes,
            ptr::null_mut(),
            None,
        )
    })?;
    let said = message.Control.len as usize;
    // SAFETY: the system has written an address of this length.
    let source = unsafe { SockAddr::new(name, message.namelen) }.as_socket();
    let bytes = bytes as usize;
    Ok(source.map(|source| Arrival {
        bytes,
        segment: bytes,
        source: canonical(source),
        local: control.local(said),
        at: None,
    }))
}

fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => (ip, address.port()).into(),
        IpAddr::V6(_) => address,
    }
}

/// `WSARecvMsg`, which is to be asked for.
type Receive = unsafe extern "system" fn(
    SOCKET,
    *mut WSAMSG,
    *mut u32,
    *mut windows_sys::Win32::System::IO::OVERLAPPED,
    windows_sys::Win32::Networking::WinSock::LPWSAOVERLAPPED_COMPLETION_ROUTINE,
) -> i32;

fn receive_function(socket: &Socket) -> io::Result<Receive> {
    static FUNCTION: OnceLock<Receive> = OnceLock::new();
    if let Some(function) = FUNCTION.get() {
        return Ok(*function);
    }
    let name = WSAID_WSARECVMSG;
    // SAFETY: it is an optional function pointer, and nothing is a valid one.
    let mut function: LPFN_WSARECVMSG = unsafe { zeroed() };
    let mut bytes = 0;
    // SAFETY: the name outlives the call, and there is room for the pointer that it gives.
    check(unsafe {
        WSAIoctl(
            raw(socket),
            SIO_GET_EXTENSION_FUNCTION_POINTER,
            (&raw const name).cast(),
            size_of_val(&name) as u32,
            (&raw mut function).cast(),
            size_of_val(&function) as u32,
            &raw mut bytes,
            ptr::null_mut(),
            None,
        )
    })?;
    let function = function.ok_or(io::ErrorKind::Unsupported)?;
    Ok(*FUNCTION.get_or_init(|| function))
}

/// Whether the system may refuse a run and yet send its datagrams: it is given none.
pub(crate) fn is_refusal_of_runs(_error: &io::Error) -> bool {
    false
}

/// The number of the interface that has this address: not asked for here.
///
/// # Errors
/// Always.
pub(crate) fn interface_of(_address: IpAddr) -> io::Result<u32> {
    Err(io::ErrorKind::Unsupported.into())
}

fn raw(socket: &Socket) -> SOCKET {
    socket.as_raw_socket() as SOCKET
}

fn buffer_of(start: *mut u8, length: usize) -> WSABUF {
    WSABUF {
        len: u32::try_from(length).unwrap_or(u32::MAX),
        buf: start,
    }
}

fn check(returned: i32) -> io::Result<()> {
    if returned == 0 {
        return Ok(());
    }
    // SAFETY: it reads this thread's last error, no more.
    Err(io::Error::from_raw_os_error(unsafe { WSAGetLastError() }))
}
