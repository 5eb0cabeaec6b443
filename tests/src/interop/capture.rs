//! What really goes over a network's loopback device, and when: captured by Wireshark's dumpcap with the kernel's stamps,
//! read by tshark. It owes nothing to the code that is looked at.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::process::ProgramError;
use crate::wait::poll_until;

/// How long dumpcap may take to begin, and to end once told to.
const LIMIT: Duration = Duration::from_secs(20);
/// Megabytes for packets that dumpcap has not written yet: far more than a few seconds of a few Mbit/s.
const BUFFER_MEGABYTES: &str = "64";
/// What dumpcap says when it captures, and before it tells what it has missed.
const BEGUN: &str = "File: ";
const RECEIVED_AND_DROPPED: &str = "Packets received/dropped";
/// What tshark is to say of each packet, in this order.
const FIELDS: [&str; 8] = [
    "frame.time_epoch",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.seq_raw",
    "tcp.payload",
    "udp.srcport",
    "udp.dstport",
    "udp.payload",
];

/// A capture under way on the loopback device of the network that it was started in. Dropping it ends it.
#[derive(Debug)]
pub struct Capture {
    dumpcap: Child,
    directory: PathBuf,
}

/// What was captured.
#[derive(Debug)]
pub struct Captured {
    /// Packets that dumpcap, or the kernel for it, has dropped.
    pub dropped: u64,
    /// Those that carry something, in order.
    pub segments: Vec<Segment>,
}

/// A TCP segment or a datagram, or several of one flow that the kernel has handed over as one.
#[derive(Debug)]
pub struct Segment {
    /// Nanoseconds since the Unix epoch.
    pub unix_nanos: u64,
    /// The ports.
    pub from: u16,
    /// See above.
    pub to: u16,
    /// The number of its first byte; none of a datagram.
    pub tcp_number: Option<u32>,
    /// What it carries.
    pub payload: Vec<u8>,
}

impl Capture {
    /// Starts one, with its files in this directory, and waits until it captures.
    ///
    /// # Errors
    /// When dumpcap is not there or may not capture.
    pub fn start(directory: &Path) -> Result<Self, ProgramError> {
        let log = log_of(directory);
        let file = fs::File::create(&log).map_err(ProgramError::io(&log))?;
        let mut dumpcap = Command::new("dumpcap");
        dumpcap.args(["-q", "-i", "lo", "-B", BUFFER_MEGABYTES, "-w"]);
        dumpcap.arg(capture_of(directory));
        dumpcap
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file);
        let mut capture = Self {
            dumpcap: dumpcap.spawn().map_err(ProgramError::io("dumpcap"))?,
            directory: directory.to_owned(),
        };
        let begun = poll_until(LIMIT, || {
            let is_over = matches!(capture.dumpcap.try_wait(), Ok(Some(_)));
            let has_begun = capture.said().contains(BEGUN);
            (has_begun || is_over).then_some(has_begun)
        });
        match begun {
            Some(true) => Ok(capture),
            Some(false) | None => Err(capture.endless()),
        }
    }

    /// Ends it and reads it.
    ///
    /// # Errors
    /// When dumpcap does not end, or tshark cannot read what it has written.
    pub fn stop(mut self) -> Result<Captured, ProgramError> {
        let id = self.dumpcap.id().to_string();
        let told = Command::new("kill").args(["-INT", &id]).status();
        told.map_err(ProgramError::io("kill"))?;
        let ended = poll_until(LIMIT, || self.dumpcap.try_wait().transpose());
        if ended.is_none() {
            return Err(self.endless());
        }
        let dropped = dropped(&self.said()).ok_or_else(|| self.endless())?;
        let segments = read(&capture_of(&self.directory))?;
        Ok(Captured { dropped, segments })
    }

    fn said(&self) -> String {
        let bytes = fs::read(log_of(&self.directory)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn endless(&self) -> ProgramError {
        ProgramError::Endless {
            program: "dumpcap".to_owned(),
            limit: LIMIT,
            log: self.said(),
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // It has usually ended; then there is nothing to kill.
        let _ = self.dumpcap.kill();
        let _ = self.dumpcap.wait();
    }
}

fn capture_of(directory: &Path) -> PathBuf {
    directory.join("capture.pcapng")
}

fn log_of(directory: &Path) -> PathBuf {
    directory.join("dumpcap.log")
}

/// `Packets received/dropped on interface 'Loopback: lo': 478/0 (pcap:0/dumpcap:0/flushed:0/ps_ifdrop:0) (100.0%)`
fn dropped(said: &str) -> Option<u64> {
    let line = said
        .lines()
        .find(|line| line.starts_with(RECEIVED_AND_DROPPED))?;
    let (_, counts) = line.split_once("': ")?;
    let (_, dropped) = counts.split(' ').next()?.split_once('/')?;
    dropped.parse().ok()
}

fn read(capture: &Path) -> Result<Vec<Segment>, ProgramError> {
    let mut tshark = Command::new("tshark");
    // Every segment by itself: what belongs together is put together here.
    tshark.args(["-n", "-o", "tcp.desegment_tcp_streams:FALSE", "-r"]);
    tshark.arg(capture).args(["-T", "fields"]);
    tshark.args(FIELDS.iter().flat_map(|field| ["-e", field]));
    let output = tshark.output().map_err(ProgramError::io("tshark"))?;
    if !output.status.success() {
        return Err(ProgramError::Failed {
            program: "tshark".to_owned(),
            status: output.status,
            log: String::from_utf8_lossy(&output.stderr).into_owned(),
        });
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().filter_map(segment).collect())
}

/// Nothing of what carries nothing.
fn segment(line: &str) -> Option<Segment> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [time, tcp_from, tcp_to, number, tcp, udp_from, udp_to, udp] = fields[..] else {
        return None;
    };
    let (from, to, payload) = match tcp.is_empty() {
        true => (udp_from, udp_to, udp),
        false => (tcp_from, tcp_to, tcp),
    };
    let payload = bytes(payload).filter(|payload| !payload.is_empty())?;
    Some(Segment {
        unix_nanos: nanos(time)?,
        from: from.parse().ok()?,
        to: to.parse().ok()?,
        tcp_number: number.parse().ok(),
        payload,
    })
}

/// `1795391412.761789926`
fn nanos(time: &str) -> Option<u64> {
    let (seconds, fraction) = time.split_once('.')?;
    let seconds: u64 = seconds.parse().ok()?;
    let nanos: u64 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    Some(seconds * 1_000_000_000 + nanos)
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = hex
        .bytes()
        .filter(|digit| *digit != b':')
        .map(|digit| char::from(digit).to_digit(16).map(|digit| digit as u8))
        .collect::<Option<_>>()?;
    let pairs = digits.chunks_exact(2);
    pairs
        .remainder()
        .is_empty()
        .then(|| pairs.map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_tshark_is_a_segment() {
        let line = "1795391412.7617\t51576\t46587\t2718232523\t4f50:54\t\t\t";
        let tcp = segment(line).unwrap();
        assert_eq!(tcp.unix_nanos, 1_795_391_412_761_700_000);
        assert_eq!((tcp.from, tcp.to), (51576, 46587));
        assert_eq!(tcp.tcp_number, Some(2_718_232_523));
        assert_eq!(tcp.payload, [0x4f, 0x50, 0x54]);
        let udp = segment("1.5\t\t\t\t\t1\t2\t8060").unwrap();
        assert_eq!((udp.from, udp.to, udp.tcp_number), (1, 2, None));
        assert!(
            segment("1.5\t1\t2\t3\t\t\t\t").is_none(),
            "nothing is carried"
        );
        assert!(segment("1.5\t1\t2\t3\tfff\t\t\t").is_none(), "half a byte");
    }

    #[test]
    fn what_dumpcap_has_missed_is_read() {
        let said = "Packets captured: 9\n\
            Packets received/dropped on interface 'Loopback: lo': 478/3 (pcap:0/dumpcap:3) (99%)\n";
        assert_eq!(dropped(said), Some(3));
        assert_eq!(dropped("Packets captured: 9"), None);
    }
}
