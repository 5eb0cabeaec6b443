//! RTSP messages as the raw peer writes and reads them: requests to bytes, the connection's bytes to responses and
//! interleaved frames.
//!
//! Written apart from the server's own reader on purpose, and strict: what a careful peer would not understand is an
//! error here.

use super::PeerError;

/// Longest head of a response that the peer takes: far above what the server has to say.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Length of `$`, channel and size in front of an interleaved packet (RFC 2326, section 10.12).
const FRAME_HEADER_BYTES: usize = 4;

/// An answer of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Status code of the first line.
    pub status: u16,
    /// What stands behind it.
    pub phrase: String,
    /// Header names and values, in order.
    pub headers: Vec<(String, String)>,
    /// The body, as long as Content-Length says.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of this name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// One packet between the messages of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Interleaved channel.
    pub channel: u8,
    /// The RTP or RTCP packet.
    pub payload: Vec<u8>,
}

/// What lies at the front of a connection's bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Item {
    /// A whole interleaved packet.
    Frame(Frame),
    /// A whole response.
    Response(Response),
}

/// Writes a request with its CSeq, further headers and body.
pub fn write_request(
    method: &str,
    url: &str,
    cseq: u32,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Vec<u8> {
    let mut text = format!("{method} {url} RTSP/1.0\r\nCSeq: {cseq}\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// Reads the first item of `input` and says how many bytes it took; `None` while it is incomplete.
///
/// # Errors
/// When the bytes are neither a frame nor a response.
pub fn read_item(input: &[u8]) -> Result<Option<(Item, usize)>, PeerError> {
    match input.first() {
        None => Ok(None),
        Some(b'$') => Ok(read_frame(input)),
        Some(_) => read_response(input),
    }
}

fn read_frame(input: &[u8]) -> Option<(Item, usize)> {
    let (header, rest) = input.split_first_chunk::<FRAME_HEADER_BYTES>()?;
    let [_, channel, high, low] = *header;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let frame = Frame {
        channel,
        payload: rest.get(..length)?.to_vec(),
    };
    Some((Item::Frame(frame), FRAME_HEADER_BYTES + length))
}

fn read_response(input: &[u8]) -> Result<Option<(Item, usize)>, PeerError> {
    let Some(head_bytes) = input.windows(4).position(|window| window == b"\r\n\r\n") else {
        return if input.len() > HEAD_BYTES_MAX {
            Err(PeerError::Garbage("a head without end".to_owned()))
        } else {
            Ok(None)
        };
    };
    let (head, rest) = input.split_at(head_bytes + 4);
    let mut response = read_head(head)?;
    let length = content_length(&response)?;
    let Some(body) = rest.get(..length) else {
        return Ok(None);
    };
    response.body = body.to_vec();
    Ok(Some((Item::Response(response), head.len() + length)))
}

fn read_head(head: &[u8]) -> Result<Response, PeerError> {
    let text = std::str::from_utf8(head).map_err(|_| garbage(head))?;
    let mut lines = text.split("\r\n").filter(|line| !line.is_empty());
    let first = lines.next().and_then(|line| line.strip_prefix("RTSP/1.0 "));
    let (status, phrase) = first
        .and_then(|line| line.split_once(' ').or(Some((line, ""))))
        .and_then(|(code, phrase)| Some((code.parse().ok()?, phrase.to_owned())))
        .ok_or_else(|| garbage(head))?;
    let headers = lines
        .map(|line| {
            let (name, value) = line.split_once(':').ok_or_else(|| garbage(head))?;
            Ok((name.to_owned(), value.trim().to_owned()))
        })
        .collect::<Result<_, PeerError>>()?;
    Ok(Response {
        status,
        phrase,
        headers,
        body: Vec::new(),
    })
}

fn content_length(response: &Response) -> Result<usize, PeerError> {
    let Some(value) = response.header("Content-Length") else {
        return Ok(0);
    };
    value
        .parse()
        .map_err(|_| PeerError::Garbage(format!("Content-Length: {value}")))
}

fn garbage(bytes: &[u8]) -> PeerError {
    let shown: String = String::from_utf8_lossy(bytes).chars().take(120).collect();
    PeerError::Garbage(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_and_a_response_are_told_apart() {
        let mut bytes = b"$\x02\x00\x03abc".to_vec();
        bytes.extend_from_slice(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 2\r\n\r\nhi");
        let (frame, taken) = read_item(&bytes).unwrap().unwrap();
        let payload = b"abc".to_vec();
        assert_eq!(
            frame,
            Item::Frame(Frame {
                channel: 2,
                payload
            })
        );
        let (response, _) = read_item(bytes.get(taken..).unwrap()).unwrap().unwrap();
        let Item::Response(response) = response else {
            panic!("not a response: {response:?}");
        };
        assert_eq!(response.status, 200);
        assert_eq!(response.header("cseq"), Some("1"));
        assert_eq!(response.body, b"hi");
    }

    #[test]
    fn every_cut_of_a_message_is_incomplete() {
        let whole = b"RTSP/1.0 404 Not Found\r\nCSeq: 7\r\nContent-Length: 3\r\n\r\nabc";
        for end in 0..whole.len() {
            assert!(read_item(whole.get(..end).unwrap()).unwrap().is_none());
        }
        assert!(read_item(whole).unwrap().is_some());
    }

    #[test]
    fn what_is_no_message_is_refused() {
        assert!(read_item(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(read_item(&[b'x'; HEAD_BYTES_MAX + 1]).is_err());
    }
}
