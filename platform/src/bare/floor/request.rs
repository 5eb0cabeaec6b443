//! The few parts of an RTSP request that the floor looks at, and its answers (RFC 2326).

use std::fmt::Write as _;

const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// A request.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) body: Vec<u8>,
    sequence: String,
    transport: Option<String>,
}

impl Request {
    /// The first request of these bytes and its length, if it is complete.
    pub(super) fn parse(bytes: &[u8]) -> Option<(Self, usize)> {
        let end = bytes
            .windows(END_OF_HEAD.len())
            .position(|window| window == END_OF_HEAD)?;
        let head = String::from_utf8_lossy(&bytes[..end]);
        let header = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(':'));
            let found = lines.find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.trim().to_owned())
        };
        let length = header("Content-Length").and_then(|length| length.parse().ok());
        let begin = end + END_OF_HEAD.len();
        let body = bytes.get(begin..begin.checked_add(length.unwrap_or(0))?)?;
        let request = Self {
            method: head.split(' ').next().unwrap_or_default().to_owned(),
            body: body.to_vec(),
            sequence: header("CSeq").unwrap_or_default(),
            transport: header("Transport"),
        };
        Some((request, begin + body.len()))
    }

    /// The port at which RTP is wanted over UDP.
    pub(super) fn client_port(&self) -> Option<u16> {
        let (_, ports) = self.transport.as_ref()?.split_once("client_port=")?;
        ports.split(['-', ';', ',']).next()?.parse().ok()
    }

    /// Whether packets are to come to us as datagrams.
    pub(super) fn offers_datagrams(&self) -> bool {
        let transport = self.transport.as_deref().unwrap_or_default();
        self.client_port().is_some() && transport.to_ascii_lowercase().contains("mode=record")
    }

    /// No, for this reason.
    pub(super) fn refuse(&self, status: &str) -> Vec<u8> {
        format!("RTSP/1.0 {status}\r\nCSeq: {}\r\n\r\n", self.sequence).into_bytes()
    }

    /// 200, with whatever the method's answer needs.
    pub(super) fn answer(&self, description: &[u8], server_port: u16) -> Vec<u8> {
        let mut head = format!("RTSP/1.0 200 OK\r\nCSeq: {}\r\n", self.sequence);
        if let Some(transport) = &self.transport {
            let _infallible = write!(head, "Transport: {transport}");
            if self.client_port().is_some() {
                let rtcp = server_port.wrapping_add(1);
                let _infallible = write!(head, ";server_port={server_port}-{rtcp}");
            }
            head += "\r\n";
        }
        if matches!(self.method.as_str(), "SETUP" | "PLAY" | "RECORD") {
            head += "Session: 1\r\n";
        }
        if self.method != "DESCRIBE" {
            return (head + "\r\n").into_bytes();
        }
        let length = description.len();
        let _infallible = write!(
            head,
            "Content-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n"
        );
        [head.as_bytes(), description].concat()
    }
}
