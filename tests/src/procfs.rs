//! What Linux says about processes and sockets: descriptors, memory and time of a process, and the sockets behind a port.
//!
//! Everything comes from `/proc`. A process that has ended has nothing there, and then a test cannot go on.

use std::fs;
use std::time::Duration;

/// Clock ticks in a second of `/proc/*/stat`: `USER_HZ`, which is 100 on every architecture that Rust knows.
const TICKS_PER_SECOND: u64 = 100;

/// A process, by its number.
#[derive(Debug, Clone)]
pub struct Process(String);

impl Process {
    /// The process of this number.
    pub fn of(process_id: u32) -> Self {
        Self(process_id.to_string())
    }

    /// This one.
    pub fn own() -> Self {
        Self("self".to_owned())
    }

    /// Its open descriptors. Asking for one's own opens one more, which counts.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn descriptors(&self) -> usize {
        let listed = fs::read_dir(format!("/proc/{}/fd", self.0));
        listed.expect("the process lives").count()
    }

    /// Its memory that is in RAM.
    pub fn resident_bytes(&self) -> u64 {
        self.status_kib("VmRSS:") * 1024
    }

    /// Its memory that it has asked the system for and may write to, touched or not.
    pub fn data_bytes(&self) -> u64 {
        self.status_kib("VmData:") * 1024
    }

    /// The time that it has been computing, in all its threads.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn cpu_time(&self) -> Duration {
        let stat = self.read("stat");
        // The name, in parentheses, may hold anything; of what follows, user time and system time are fields 11 and 12.
        let (_, fields) = stat.rsplit_once(')').expect("a name in parentheses");
        let fields = fields.split_whitespace().skip(11).take(2);
        let ticks: u64 = fields
            .map(|field| field.parse::<u64>().expect("a number"))
            .sum();
        Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
    }

    fn status_kib(&self, key: &str) -> u64 {
        let status = self.read("status");
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
        kib.expect("Linux says how much")
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.0)).expect("the process lives")
    }
}

/// The open TCP sockets of this machine whose own port is `port`: those of a server, its listening ones included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sockets {
    /// How many.
    pub count: usize,
    /// Bytes that have come for them and that nobody has read.
    pub unread_bytes: u64,
}

impl Sockets {
    /// Those on this port, over IPv4 and IPv6.
    pub fn on(port: u16) -> Self {
        let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(fs::read_to_string);
        let tables: Vec<String> = tables.into_iter().filter_map(Result::ok).collect();
        let rows = tables.iter().flat_map(|table| table.lines().skip(1));
        rows.filter_map(|row| unread_on(row, port))
            .fold(Self::default(), |sum, unread_bytes| Self {
                count: sum.count + 1,
                unread_bytes: sum.unread_bytes + unread_bytes,
            })
    }
}

/// The unread bytes of a table's row, if it is an open socket on this port.
fn unread_on(row: &str, port: u16) -> Option<u64> {
    let fields: Vec<&str> = row.split_whitespace().collect();
    let (_, own_port) = fields.get(1)?.rsplit_once(':')?;
    // A socket that its process has closed has no inode any more.
    let is_open = *fields.get(9)? != "0";
    let is_it = is_open && u16::from_str_radix(own_port, 16).ok()? == port;
    let (_, unread) = fields.get(4)?.split_once(':')?;
    is_it.then_some(u64::from_str_radix(unread, 16).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn the_sockets_of_a_port_are_counted_until_they_are_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(Sockets::on(port).count, 1);
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let accepted = listener.accept().unwrap();
        std::io::Write::write_all(&mut peer, b"hello").unwrap();
        let (count, unread_bytes) = (2, 5);
        assert_eq!(
            Sockets::on(port),
            Sockets {
                count,
                unread_bytes
            }
        );
        drop(accepted);
        assert_eq!(Sockets::on(port).count, 1);
    }

    #[test]
    fn a_process_says_what_it_uses() {
        let own = Process::own();
        assert!(own.descriptors() >= 3);
        assert!(own.data_bytes() >= 1 << 20 && own.resident_bytes() >= 1 << 16);
        assert!(own.cpu_time() < Duration::from_secs(3600));
    }
}
