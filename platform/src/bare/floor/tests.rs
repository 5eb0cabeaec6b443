//! A publisher and readers of the floor, over loopback.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::thread::JoinHandle;
use std::time::Duration;

use super::*;

/// After this nothing comes any more.
const WAIT_MAX: Duration = Duration::from_secs(20);
const DRIVERS: [FloorDriver; 2] = [FloorDriver::Epoll, FloorDriver::Uring];

/// A floor that serves on a thread of its own.
fn serve(driver: FloorDriver) -> (SocketAddr, JoinHandle<io::Result<()>>) {
    let floor = Floor::bind(SocketAddr::from(([127, 0, 0, 1], 0)), driver).unwrap();
    let address = floor.address().unwrap();
    (address, std::thread::spawn(|| floor.serve()))
}

/// A connection that has made these requests and read their answers; what the last body was.
fn ask(address: SocketAddr, requests: &[(&str, &str)]) -> (BufReader<TcpStream>, String) {
    ask_for("RTP/AVP/TCP;interleaved=4-5", address, requests)
}

fn ask_for(
    transport: &str,
    address: SocketAddr,
    requests: &[(&str, &str)],
) -> (BufReader<TcpStream>, String) {
    let mut stream = BufReader::new(TcpStream::connect(address).unwrap());
    let mut body = String::new();
    for (method, sent) in requests {
        let length = sent.len();
        let request = format!(
            "{method} rtsp://floor/x RTSP/1.0\r\nCSeq: 3\r\nTransport: {transport}\r\n\
             content-length: {length}\r\n\r\n{sent}"
        );
        stream.get_mut().write_all(request.as_bytes()).unwrap();
        body = answer(&mut stream);
    }
    (stream, body)
}

fn answer(stream: &mut BufReader<TcpStream>) -> String {
    let (mut head, mut length) = (String::new(), 0);
    while !head.ends_with("\r\n\r\n") {
        let begin = head.len();
        stream.read_line(&mut head).unwrap();
        if let Some(value) = head[begin..].strip_prefix("Content-Length: ") {
            length = value.trim().parse().unwrap();
        }
    }
    assert!(head.starts_with("RTSP/1.0 200 OK\r\nCSeq: 3\r\n"), "{head}");
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    String::from_utf8(body).unwrap()
}

fn frame(payload: &[u8]) -> Vec<u8> {
    frame_on(4, payload)
}

fn frame_on(channel: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [&[b'$', channel], &length[..], payload].concat()
}

/// Asks for something on a connection of which an answer was read before.
fn ask_again(stream: &mut BufReader<TcpStream>, method: &str) {
    let request = format!("{method} rtsp://floor/x RTSP/1.0\r\nCSeq: 3\r\n\r\n");
    stream.get_mut().write_all(request.as_bytes()).unwrap();
}

/// The status of what is asked on a connection of its own.
fn status(address: SocketAddr, method: &str, transport: &str) -> String {
    let mut stream = BufReader::new(TcpStream::connect(address).unwrap());
    let request = format!("{method} x RTSP/1.0\r\nCSeq: 9\r\nTransport: {transport}\r\n\r\n");
    stream.get_mut().write_all(request.as_bytes()).unwrap();
    let mut status = String::new();
    stream.read_line(&mut status).unwrap();
    let (_, status) = status.split_once(' ').unwrap();
    status.trim().to_owned()
}

fn publisher(address: SocketAddr) -> BufReader<TcpStream> {
    let publishing = [("ANNOUNCE", "v=0\r\n"), ("SETUP", ""), ("RECORD", "")];
    ask(address, &publishing).0
}

fn reader(address: SocketAddr) -> BufReader<TcpStream> {
    ask(address, &[("DESCRIBE", ""), ("SETUP", ""), ("PLAY", "")]).0
}

/// Reads exactly this.
fn expect(stream: &mut BufReader<TcpStream>, expected: &[u8]) {
    let mut received = vec![0; expected.len()];
    stream.read_exact(&mut received).unwrap();
    assert!(received == expected, "{} other bytes", expected.len());
}

#[test]
fn readers_get_the_description_and_whole_frames_however_they_were_sent() {
    for driver in DRIVERS {
        let (address, served) = serve(driver);
        let (mut publisher, _) = ask(
            address,
            &[("ANNOUNCE", "v=0\r\n"), ("SETUP", ""), ("RECORD", "")],
        );
        let reading = [("DESCRIBE", ""), ("SETUP", ""), ("PLAY", "")];
        let (_, described) = ask(address, &reading[..1]);
        assert_eq!(described, "v=0\r\n");
        let (mut gone, _) = ask(address, &reading);
        let mut readers = [ask(address, &reading).0, ask(address, &reading).0];
        let sent = [frame(b"one"), frame(b""), frame(&[9; 3000])].concat();
        for piece in sent.chunks(7) {
            publisher.get_mut().write_all(piece).unwrap();
        }
        let mut first = [0; 7];
        gone.read_exact(&mut first).unwrap();
        drop(gone);
        for reader in &mut readers {
            let mut received = vec![0; sent.len()];
            reader.read_exact(&mut received).unwrap();
            assert_eq!(received, sent, "{driver:?}");
        }
        drop(publisher);
        served.join().unwrap().unwrap();
    }
}

#[test]
fn a_reader_that_falls_behind_skips_chunks_but_gets_whole_frames() {
    for driver in DRIVERS {
        let (address, served) = serve(driver);
        let (mut publisher, _) = ask(address, &[("ANNOUNCE", ""), ("SETUP", ""), ("RECORD", "")]);
        let (mut reader, _) = ask(address, &[("SETUP", ""), ("PLAY", "")]);
        // Far more than the sockets between them hold.
        for index in 0..400u32 {
            let frame = frame(&index.to_be_bytes().repeat(15_000));
            publisher.get_mut().write_all(&frame).unwrap();
        }
        drop(publisher);
        served.join().unwrap().unwrap();
        let mut received = Vec::new();
        // What was owed when the floor ended is cut.
        reader.read_to_end(&mut received).unwrap();
        let mut rest = &received[..];
        let mut last = None;
        while let Some((frame, others)) = rest.split_at_checked(60_004) {
            let index: [u8; 4] = frame[4..8].try_into().unwrap();
            assert_eq!(frame, self::frame(&index.repeat(15_000)), "{driver:?}");
            assert!(last < Some(index));
            (last, rest) = (Some(index), others);
        }
        assert!(last.is_some());
    }
}

#[test]
fn readers_over_udp_get_each_packet_as_a_datagram_in_order() {
    let (address, served) = serve(FloorDriver::Epoll);
    let sockets = [0, 1].map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
    let playing = [("SETUP", ""), ("PLAY", "")];
    let _playing = sockets.each_ref().map(|socket| {
        let port = socket.local_addr().unwrap().port();
        let transport = format!("RTP/AVP;unicast;client_port={port}-9");
        ask_for(&transport, address, &playing)
    });
    let (mut publisher, _) = ask(address, &[("ANNOUNCE", ""), ("SETUP", ""), ("RECORD", "")]);
    let sizes = [1000, 1000, 1000, 400, 1000, 7, 7, 1300];
    let packets = (0..).zip(sizes).map(|(index, size)| vec![index; size]);
    let packets: Vec<Vec<u8>> = packets
        .chain((0..70).map(|index| vec![index; 200]))
        .collect();
    let frames: Vec<u8> = packets
        .iter()
        .flat_map(|packet| frame_on(0, packet))
        .collect();
    publisher.get_mut().write_all(&frames).unwrap();
    let mut buffer = [0; 2000];
    for socket in &sockets {
        socket.set_read_timeout(Some(WAIT_MAX)).unwrap();
        for packet in &packets {
            let count = socket.recv(&mut buffer).unwrap();
            assert_eq!(buffer[..count], **packet);
        }
    }
    drop(publisher);
    served.join().unwrap().unwrap();
}

#[test]
fn each_track_goes_to_its_own_port() {
    let (address, served) = serve(FloorDriver::Epoll);
    let mut publisher = publisher(address);
    let sockets = [0, 1].map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
    let ports = sockets
        .each_ref()
        .map(|socket| socket.local_addr().unwrap().port());
    let transport = |port| format!("RTP/AVP;unicast;client_port={port}-9");
    let (mut playing, _) = ask_for(&transport(ports[0]), address, &[("SETUP", "")]);
    let second = transport(ports[1]);
    let request = format!("SETUP x RTSP/1.0\r\nCSeq: 3\r\nTransport: {second}\r\n\r\n");
    playing.get_mut().write_all(request.as_bytes()).unwrap();
    answer(&mut playing);
    ask_again(&mut playing, "PLAY");
    answer(&mut playing);
    for number in 0..50 {
        let report = frame_on(1, b"report");
        let frames = [
            frame_on(0, &[number; 500]),
            report,
            frame_on(2, &[number; 20]),
        ];
        publisher.get_mut().write_all(&frames.concat()).unwrap();
    }
    let mut buffer = [0; 2000];
    for (socket, size) in sockets.iter().zip([500, 20]) {
        socket.set_read_timeout(Some(WAIT_MAX)).unwrap();
        for number in 0..50 {
            let count = socket.recv(&mut buffer).unwrap();
            assert_eq!(buffer[..count], [number].repeat(size));
        }
    }
    drop(publisher);
    served.join().unwrap().unwrap();
}

#[test]
fn what_the_publisher_asks_between_its_frames_is_answered_and_its_leave_is_the_end() {
    for driver in DRIVERS {
        let (address, served) = serve(driver);
        let mut publisher = publisher(address);
        let mut reader = reader(address);
        publisher.get_mut().write_all(&frame(b"one")).unwrap();
        ask_again(&mut publisher, "GET_PARAMETER");
        publisher.get_mut().write_all(&frame(b"two")).unwrap();
        answer(&mut publisher);
        expect(&mut reader, &[frame(b"one"), frame(b"two")].concat());
        ask_again(&mut publisher, "TEARDOWN");
        answer(&mut publisher);
        served.join().unwrap().unwrap();
    }
}

#[test]
fn readers_leave_in_order_or_not_and_the_others_play_on() {
    for driver in DRIVERS {
        let (address, served) = serve(driver);
        let mut publisher = publisher(address);
        let [mut stays, mut leaves, resets] = [0; 3].map(|_| reader(address));
        // Its reports are nothing that is asked.
        leaves.get_mut().write_all(&frame_on(1, b"report")).unwrap();
        ask_again(&mut leaves, "OPTIONS");
        answer(&mut leaves);
        publisher.get_mut().write_all(&frame(b"all")).unwrap();
        expect(&mut leaves, &frame(b"all"));
        ask_again(&mut leaves, "TEARDOWN");
        answer(&mut leaves);
        let reset = socket2::SockRef::from(resets.get_ref()).set_linger(Some(Duration::ZERO));
        reset.unwrap();
        drop(resets);
        publisher.get_mut().write_all(&frame(b"rest")).unwrap();
        expect(&mut stays, &[frame(b"all"), frame(b"rest")].concat());
        // Nothing came for it between the answers.
        ask_again(&mut leaves, "OPTIONS");
        answer(&mut leaves);
        drop(publisher);
        served.join().unwrap().unwrap();
    }
}

#[test]
fn an_answer_to_a_reader_that_has_fallen_behind_comes_between_frames() {
    for driver in DRIVERS {
        let (address, served) = serve(driver);
        let mut publisher = publisher(address);
        let mut reader = reader(address);
        let sent = frame(&[7; 60_000]);
        for _ in 0..400 {
            publisher.get_mut().write_all(&sent).unwrap();
        }
        // The floor has had all of them when it answers this, and then owes the reader a part of one.
        ask_again(&mut publisher, "OPTIONS");
        answer(&mut publisher);
        ask_again(&mut reader, "GET_PARAMETER");
        while reader.fill_buf().unwrap()[0] == FRAME_MAGIC {
            expect(&mut reader, &sent);
        }
        answer(&mut reader);
        drop(publisher);
        served.join().unwrap().unwrap();
    }
}

#[test]
fn what_the_floor_cannot_do_is_refused() {
    let (address, served) = serve(FloorDriver::Epoll);
    let tcp = "RTP/AVP/TCP;interleaved=0-1";
    assert_eq!(status(address, "DESCRIBE", tcp), "404 Not Found");
    let udp = "RTP/AVP;unicast;client_port=5000-5001;mode=record";
    assert_eq!(status(address, "SETUP", udp), "461 Unsupported Transport");
    let publisher = publisher(address);
    for method in ["ANNOUNCE", "RECORD"] {
        assert_eq!(status(address, method, tcp), "403 Forbidden");
    }
    drop(publisher);
    served.join().unwrap().unwrap();
}

#[test]
fn thousands_of_readers_join_at_once_and_all_get_everything() {
    /// Of each, two descriptors are ours.
    const READERS: u64 = 1500;
    let count = READERS.min(crate::raise_descriptor_limit().unwrap() / 3);
    for driver in DRIVERS {
        let (address, served) = serve(driver);
        let mut publisher = publisher(address);
        let mut streams: Vec<BufReader<TcpStream>> = (0..count)
            .map(|_| BufReader::with_capacity(512, TcpStream::connect(address).unwrap()))
            .collect();
        for stream in &mut streams {
            ask_again(stream, "PLAY");
        }
        streams.iter_mut().for_each(|stream| drop(answer(stream)));
        let sent = [frame(&[1; 300]), frame(&[2; 300])].concat();
        publisher.get_mut().write_all(&sent).unwrap();
        for stream in &mut streams {
            expect(stream, &sent);
        }
        drop(streams);
        publisher.get_mut().write_all(&sent).unwrap();
        drop(publisher);
        served.join().unwrap().unwrap();
    }
}
