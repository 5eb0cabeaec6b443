//! Listening on a Unix socket, which is a file: whoever may write to it may connect.
//!
//! A file that was left behind by a process that is gone is removed first; one on which somebody
//! listens is not. The kernel does not spread connections over several such sockets, so that the
//! shards share one. Its mode is what the process's umask leaves of 0777.
//!
//! What is accepted is a [`crate::TcpStream`] like any other: nothing that is done with one looks at
//! its family. Its peer has no address and counts as a program of this machine (127.0.0.1).

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::Acceptor;

/// What [`bind_unix`] opened.
#[derive(Debug)]
pub struct BoundUnix {
    /// One per shard.
    pub acceptors: Vec<Acceptor>,
    /// The file, for as long as it is to be there.
    pub file: SocketFile,
}

/// The file of a socket. Dropping this removes it, if it is the same still.
pub struct SocketFile {
    path: PathBuf,
    identity: Option<Identity>,
}

/// Device and number of a file.
type Identity = (u64, u64);

/// Why nothing listens. The operator's to solve.
#[derive(Debug, Error)]
pub enum UnixBindError {
    /// Somebody listens there already.
    #[error("cannot listen on {}: somebody does already", .0.display())]
    InUse(PathBuf),
    /// There is a file that is no socket.
    #[error("cannot listen on {}: there is a file that is no socket", .0.display())]
    NoSocket(PathBuf),
    /// The system has no such sockets that a server could use.
    #[error("cannot listen on {}: Unix sockets are not served on this system", .0.display())]
    Unsupported(PathBuf),
    /// Anything else, such as a directory that is missing.
    #[error("cannot listen on {}: {source}", path.display())]
    Failed {
        /// As configured.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Listens on the Unix socket `path` for `shards` shards (at least one).
///
/// # Errors
/// When somebody listens there, or the file cannot be made.
#[cfg(unix)]
pub fn bind_unix(path: &Path, shards: usize) -> Result<BoundUnix, UnixBindError> {
    remove_stale(path)?;
    let failed = |source| UnixBindError::Failed {
        path: path.to_owned(),
        source,
    };
    let socket = open(path).map_err(failed)?;
    let file = SocketFile {
        path: path.to_owned(),
        identity: identity(path),
    };
    let acceptors = (0..shards.max(1)).map(|_| {
        let same = std::os::fd::OwnedFd::from(socket.try_clone()?);
        Ok(Acceptor(std::net::TcpListener::from(same)))
    });
    Ok(BoundUnix {
        acceptors: acceptors.collect::<io::Result<_>>().map_err(failed)?,
        file,
    })
}

/// There are no such sockets here.
///
/// # Errors
/// Always.
#[cfg(not(unix))]
pub fn bind_unix(path: &Path, _shards: usize) -> Result<BoundUnix, UnixBindError> {
    Err(UnixBindError::Unsupported(path.to_owned()))
}

#[cfg(unix)]
fn open(path: &Path) -> io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&socket2::SockAddr::unix(path)?)?;
    socket.listen(super::listen::BACKLOG)?;
    Ok(socket)
}

/// Removes a socket on which nobody listens.
#[cfg(unix)]
fn remove_stale(path: &Path) -> Result<(), UnixBindError> {
    use std::os::unix::fs::FileTypeExt;
    let Ok(found) = std::fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !found.file_type().is_socket() {
        return Err(UnixBindError::NoSocket(path.to_owned()));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(UnixBindError::InUse(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(|source| UnixBindError::Failed {
                path: path.to_owned(),
                source,
            })
        }
        Err(source) => Err(UnixBindError::Failed {
            path: path.to_owned(),
            source,
        }),
    }
}

#[cfg(unix)]
fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    let found = std::fs::symlink_metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

#[cfg(not(unix))]
fn identity(_: &Path) -> Option<Identity> {
    None
}

impl Drop for SocketFile {
    /// Another process may have put its own there.
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            let _gone_already = std::fs::remove_file(&self.path);
        }
    }
}

impl fmt::Debug for SocketFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SocketFile").field(&self.path).finish()
    }
}
