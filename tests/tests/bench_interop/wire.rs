//! A captured run, as the wire tells it: the RTP packets that the publisher sent, those that came to each reader, and how
//! long each was on its way.
//!
//! A packet is known again by how its payload begins: the server writes headers anew and leaves payloads as they are. Those
//! of the made-up stream all begin differently, but for parameter sets, which come again with every key frame: they are
//! counted, and that is all.

use std::collections::HashMap;

use shardcast_tests::interop::capture::Segment;

/// So many bytes of a payload tell it from all others.
const KEY_BYTES: usize = 48;
/// An interleaved frame's header (RFC 2326, section 10.12), and what it begins with.
const FRAME_HEADER_BYTES: usize = 4;
const FRAME: u8 = b'$';
/// An RTP header without extension and contributing sources.
const RTP_HEADER_BYTES: usize = 12;

type Key = Vec<u8>;

/// A run as it was captured.
#[derive(Debug)]
pub(crate) struct Run {
    /// Packets that came to each reader: when, and which of the publisher's it was.
    pub(crate) readers: Vec<Vec<Arrival>>,
}

/// A packet at a reader's connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// Nanoseconds since the Unix epoch.
    pub(crate) unix_nanos: u64,
    /// What is known of its way, unless there are others like it.
    pub(crate) way: Option<Way>,
}

/// A packet's way from the publisher to a reader.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    /// The how-manieth of the publisher's packets it was, those not counted that have others like them.
    pub(crate) number: usize,
    /// How long it was on its way.
    pub(crate) nanos: u64,
}

/// A packet of the publisher on the wire.
struct Departure {
    payload_bytes: usize,
    /// Its number and its moment, unless there are others like it.
    moment: Option<(usize, u64)>,
}

/// An RTP packet on the wire.
struct Passed {
    unix_nanos: u64,
    payload: Vec<u8>,
}

impl Run {
    /// Reads a run with one publisher over TCP.
    ///
    /// # Panics
    /// When the capture has holes, or packets that the publisher did not send.
    pub(crate) fn of(segments: &[Segment]) -> Self {
        let mut flows: HashMap<(u16, u16), Vec<&Segment>> = HashMap::new();
        for segment in segments {
            let flow = flows.entry((segment.from, segment.to)).or_default();
            flow.push(segment);
        }
        let server = server_port(&flows);
        let (mut sent, mut came) = (Vec::new(), Vec::new());
        for ((_, to), flow) in &flows {
            match (is_tcp(flow), *to == server) {
                (true, true) => sent.extend(framed(flow)),
                (true, false) => came.push(framed(flow)),
                (false, _) => {}
            }
        }
        let departures = departures(&sent);
        let datagrams = flows.values().filter(|flow| !is_tcp(flow));
        let media = datagrams.filter(|flow| is_media(flow, &departures));
        came.extend(media.map(|flow| cut(flow, &departures)));
        let readers = came.iter().filter(|packets| !packets.is_empty());
        let arrivals = readers.map(|packets| arrivals(packets, &departures));
        Self {
            readers: arrivals.collect(),
        }
    }

    /// The median of all packets' latencies, in nanoseconds.
    pub(crate) fn median_nanos(&self) -> u64 {
        let ways = self.readers.iter().flatten().filter_map(|it| it.way);
        let mut latencies: Vec<u64> = ways.map(|way| way.nanos).collect();
        latencies.sort_unstable();
        latencies
            .get(latencies.len() / 2)
            .copied()
            .unwrap_or_default()
    }

    /// How many packets came to all readers from one moment until before another.
    pub(crate) fn count_between(&self, begin_unix_nanos: u64, end_unix_nanos: u64) -> u64 {
        let window = begin_unix_nanos..end_unix_nanos;
        let arrivals = self.readers.iter().flatten();
        arrivals
            .filter(|it| window.contains(&it.unix_nanos))
            .count() as u64
    }
}

fn is_tcp(flow: &[&Segment]) -> bool {
    flow.iter().all(|segment| segment.tcp_number.is_some())
}

/// Whether these datagrams carry what the publisher has sent, and not reports.
fn is_media(flow: &[&Segment], departures: &HashMap<Key, Departure>) -> bool {
    let first = flow
        .first()
        .and_then(|segment| segment.payload.get(RTP_HEADER_BYTES..));
    first.is_some_and(|payload| departure(payload, departures).is_some())
}

/// Where requests go to: the other direction begins with an answer.
fn server_port(flows: &HashMap<(u16, u16), Vec<&Segment>>) -> u16 {
    let mut asked = flows
        .iter()
        .filter(|(_, flow)| is_tcp(flow) && !joined(flow).0.starts_with(b"RTSP/"));
    let ((_, to), _) = asked.next().expect("somebody has asked something");
    *to
}

/// The RTP packets in the frames of a connection's one direction; each came when its last byte did.
fn framed(flow: &[&Segment]) -> Vec<Passed> {
    let (bytes, ends) = joined(flow);
    let (mut packets, mut rest) = (Vec::new(), bytes.as_slice());
    while let Some(length) = message_bytes(rest) {
        let Some((message, others)) = rest.split_at_checked(length) else {
            break;
        };
        let end = bytes.len() - others.len();
        if let [FRAME, channel, _, _, rtp @ ..] = message
            && channel % 2 == 0
            && let Some(payload) = rtp.get(RTP_HEADER_BYTES..)
        {
            let segment = ends.partition_point(|(segment_end, _)| *segment_end < end);
            packets.push(Passed {
                unix_nanos: ends[segment].1,
                payload: payload.to_vec(),
            });
        }
        rest = others;
    }
    packets
}

/// All bytes in order, and how many of them had come when.
fn joined(flow: &[&Segment]) -> (Vec<u8>, Vec<(usize, u64)>) {
    let first = flow
        .first()
        .and_then(|segment| segment.tcp_number)
        .unwrap_or_default();
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for segment in flow {
        let number = segment.tcp_number.unwrap_or_default();
        let offset = number.wrapping_sub(first) as usize;
        assert!(
            offset <= bytes.len(),
            "the capture lacks bytes, or they are out of order"
        );
        // What is sent again begins further back.
        let new = segment
            .payload
            .get(bytes.len() - offset..)
            .unwrap_or_default();
        bytes.extend_from_slice(new);
        ends.push((bytes.len(), segment.unix_nanos));
    }
    (bytes, ends)
}

/// Bytes of the frame, request or answer that these begin with, if that much of it is there.
fn message_bytes(bytes: &[u8]) -> Option<usize> {
    if let [FRAME, _, high, low, ..] = bytes {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        return Some(FRAME_HEADER_BYTES + length);
    }
    let head = bytes.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(bytes.get(..head)?).to_ascii_lowercase();
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    let body: usize = length.map_or(0, |length| length.trim().parse().expect("a length"));
    Some(head + body)
}

fn departures(sent: &[Passed]) -> HashMap<Key, Departure> {
    let mut alike: HashMap<Key, usize> = HashMap::new();
    for packet in sent {
        *alike.entry(key(&packet.payload)).or_default() += 1;
    }
    let (mut departures, mut number) = (HashMap::new(), 0);
    for packet in sent {
        let key = key(&packet.payload);
        let moment = (alike[&key] == 1).then_some((number, packet.unix_nanos));
        number += usize::from(moment.is_some());
        let payload_bytes = packet.payload.len();
        departures.insert(
            key,
            Departure {
                payload_bytes,
                moment,
            },
        );
    }
    departures
}

fn key(payload: &[u8]) -> Key {
    payload.get(..KEY_BYTES).unwrap_or(payload).to_vec()
}

/// The packet whose payload begins these bytes. One shorter than a key may have others behind it.
fn departure<'a>(bytes: &[u8], departures: &'a HashMap<Key, Departure>) -> Option<&'a Departure> {
    let mut lengths = (1..=KEY_BYTES.min(bytes.len())).rev();
    lengths.find_map(|length| departures.get(bytes.get(..length)?))
}

/// The RTP packets in the datagrams to a reader: a captured one may be several of one size, of which the kernel has made
/// one, so each is as long as its publisher's was.
fn cut(flow: &[&Segment], departures: &HashMap<Key, Departure>) -> Vec<Passed> {
    let mut packets = Vec::new();
    for segment in flow {
        let mut rest = segment.payload.as_slice();
        while let Some((_, from_payload)) = rest.split_at_checked(RTP_HEADER_BYTES) {
            let departure = departure(from_payload, departures);
            let bytes = departure.expect("the publisher has sent it").payload_bytes;
            let (payload, others) = from_payload.split_at_checked(bytes).expect("it is whole");
            packets.push(Passed {
                unix_nanos: segment.unix_nanos,
                payload: payload.to_vec(),
            });
            rest = others;
        }
    }
    packets
}

fn arrivals(packets: &[Passed], departures: &HashMap<Key, Departure>) -> Vec<Arrival> {
    let arrival = |packet: &Passed| {
        let departure = departure(&packet.payload, departures);
        let moment = departure.expect("the publisher has sent it").moment;
        Arrival {
            unix_nanos: packet.unix_nanos,
            way: moment.map(|(number, left)| Way {
                number,
                nanos: packet.unix_nanos.saturating_sub(left),
            }),
        }
    };
    packets.iter().map(arrival).collect()
}

/// Two connections, made up: one publishes, one reads.
#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: u16 = 8554;
    const PUBLISHER: u16 = 40_001;
    const READER: u16 = 40_002;
    const PACKETS: u8 = 3;
    const PACKET_BYTES: usize = 100;

    fn frame(number: u8, header: u8) -> Vec<u8> {
        let head = [FRAME, 0, 0, PACKET_BYTES as u8];
        let rest = PACKET_BYTES - RTP_HEADER_BYTES;
        [&head[..], &[header; RTP_HEADER_BYTES], &vec![number; rest]].concat()
    }

    /// Request or answer, then packets, in segments of so many bytes, each a microsecond after the one before.
    fn flow(from: u16, to: u16, head: &str, header: u8, bytes: usize, begin: u64) -> Vec<Segment> {
        let frames = (1..=PACKETS).flat_map(|number| frame(number, header));
        let stream: Vec<u8> = head.bytes().chain(frames).collect();
        let mut segments = Vec::new();
        for (index, payload) in stream.chunks(bytes).enumerate() {
            segments.push(Segment {
                unix_nanos: begin + index as u64 * 1000,
                from,
                to,
                tcp_number: Some(u32::MAX.wrapping_add((index * bytes) as u32)),
                payload: payload.to_vec(),
            });
        }
        segments
    }

    fn run(bytes: usize) -> Run {
        let ask = "SETUP rtsp://x RTSP/1.0\r\nCSeq: 1\r\n\r\n";
        let answer = "RTSP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n$$";
        let mut segments = flow(PUBLISHER, SERVER, ask, 1, bytes, 0);
        segments.extend(flow(SERVER, READER, answer, 2, bytes, 500_000));
        Run::of(&segments)
    }

    #[test]
    fn packets_are_known_again_however_the_streams_are_cut() {
        for bytes in [1, 7, 64, 150, 1000] {
            let run = run(bytes);
            let [arrivals] = &run.readers[..] else {
                panic!("one reader");
            };
            let ways = arrivals.iter().filter_map(|it| it.way);
            let numbers: Vec<usize> = ways.map(|way| way.number).collect();
            assert_eq!(numbers, [0, 1, 2], "segments of {bytes} bytes");
        }
    }

    #[test]
    fn a_packet_has_come_when_its_last_byte_has() {
        let whole = run(1000);
        assert_eq!(whole.median_nanos(), 500_000);
        assert_eq!(whole.count_between(500_000, 500_001), 3);
        assert_eq!(whole.count_between(0, 500_000), 0);
        // The answer has four bytes more than the request, so every packet comes four segments later.
        assert_eq!(run(1).median_nanos(), 504_000);
    }

    #[test]
    fn packets_that_are_alike_are_counted_and_no_more() {
        let passed = |number: u8| Passed {
            unix_nanos: 1,
            payload: vec![number; 80],
        };
        let sent = [passed(1), passed(2), passed(1), passed(3)];
        let arrivals = arrivals(&sent, &departures(&sent));
        let numbers = arrivals.iter().map(|it| it.way.map(|way| way.number));
        assert_eq!(Vec::from_iter(numbers), [None, Some(0), None, Some(1)]);
    }

    #[test]
    fn what_is_sent_again_counts_once() {
        let mut segments = flow(PUBLISHER, SERVER, "SETUP ", 1, 30, 0);
        segments[0].payload.splice(.., *b"SETUP x\r\n\r\n");
        let flow: Vec<&Segment> = segments.iter().take(1).chain(&segments[..1]).collect();
        assert_eq!(joined(&flow).0, b"SETUP x\r\n\r\n");
    }
}
