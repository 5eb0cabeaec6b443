//! Where a server is, and what its paths are called.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::Path;

use shardcast_protocol::rtsp::RtspUrl;
use shardcast_protocol::rtsp::auth::Login;

use crate::BenchError;

/// A server, and the first part of the names of the paths that are used on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    /// `rtsp://host:port/path`, without credentials.
    pub url: String,
    /// How many paths there are.
    pub paths: usize,
    /// Who publishes, and who reads where there are no users for that.
    pub credentials: Option<Credentials>,
    /// As whom readers log in, one after the other.
    pub users: Vec<Credentials>,
}

/// A user and the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name.
    pub user: String,
    /// The password.
    pub pass: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl Target {
    /// The server that an `rtsp://` URL names, for so many paths. Its user and password are ours.
    ///
    /// # Errors
    /// When it is no such URL, or its host has no address.
    pub fn parse(option: &'static str, text: &str, paths: usize) -> Result<Self, BenchError> {
        let wrong = |reason: String| BenchError::Option { option, reason };
        let url = RtspUrl::parse(text).map_err(|error| wrong(format!("{text}: {error}")))?;
        if url.is_tls() {
            return Err(wrong(format!("{text}: rtsps is not supported")));
        }
        let mut addresses = (url.host(), url.port())
            .to_socket_addrs()
            .map_err(|error| wrong(format!("{}: {error}", url.host())))?;
        let address = addresses
            .next()
            .ok_or_else(|| wrong(format!("{}: no address", url.host())))?;
        Ok(Self {
            address,
            url: url.to_base().trim_end_matches('/').to_owned(),
            paths,
            credentials: Credentials::of(text),
            users: Vec::new(),
        })
    }

    /// As whom this reader logs in.
    #[must_use]
    pub fn credentials_of(&self, reader: usize) -> Option<&Credentials> {
        let place = reader.checked_rem(self.users.len());
        let user = place.and_then(|place| self.users.get(place));
        user.or(self.credentials.as_ref())
    }

    /// Whether both are one path of one server, however their URLs are written.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        let path = |url: &str| url.splitn(4, '/').nth(3).map(str::to_owned);
        self.address == other.address && path(&self.url) == path(&other.url)
    }

    /// The URL of a path: that of the target while there is one path, else with the path's number behind it.
    #[must_use]
    pub fn path_url(&self, path: usize) -> String {
        match self.paths {
            0 | 1 => self.url.clone(),
            _ => format!("{}{path}", self.url),
        }
    }
}

impl Credentials {
    /// Those that a file has, one in each line: user, colon, password. Empty lines and those that begin with `#` have none.
    ///
    /// # Errors
    /// When the file cannot be read, or a line has no colon.
    pub fn read(option: &'static str, file: &Path) -> Result<Vec<Self>, BenchError> {
        let wrong = |reason: String| BenchError::Option {
            option,
            reason: format!("{}: {reason}", file.display()),
        };
        let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
        let lines = text.lines().enumerate();
        let lines = lines.filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
        let users = lines.map(|(number, line)| {
            let split = line.split_once(':');
            let (user, pass) =
                split.ok_or_else(|| wrong(format!("line {} is not USER:PASSWORD", number + 1)))?;
            Ok(Self {
                user: user.to_owned(),
                pass: pass.to_owned(),
            })
        });
        users.collect()
    }

    /// Those in a URL, percent-decoded.
    fn of(url: &str) -> Option<Self> {
        let Login { user, pass, .. } = Login::of_url(url, "")?;
        Some(Self { user, pass })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_we_are_stands_in_the_url_and_is_kept_out_of_it() {
        let target = Target::parse("target", "rtsp://u%40x:p%3A@127.0.0.1:9/a", 2).unwrap();
        let expected = Credentials {
            user: "u@x".to_owned(),
            pass: "p:".to_owned(),
        };
        assert_eq!(target.credentials, Some(expected));
        assert_eq!(target.path_url(1), "rtsp://127.0.0.1:9/a1");
    }

    #[test]
    fn a_path_of_a_server_is_the_same_however_it_is_written() {
        let target = |url| Target::parse("target", url, 1).expect("it is one");
        let one = target("rtsp://127.0.0.1/a");
        assert!(one.is_same_as(&target("rtsp://u:p@127.0.0.1:554/a/")));
        assert!(!one.is_same_as(&target("rtsp://127.0.0.1/b")));
        assert!(!one.is_same_as(&target("rtsp://127.0.0.1:8554/a")));
    }
}
