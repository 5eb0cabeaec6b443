//! Servers that are none, or odd ones: each answers every connection in one way.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;

/// How a server answers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Oddity {
    /// It closes each connection at once.
    Closes,
    /// It says this to every request, whatever that is.
    Says(&'static [u8]),
    /// It grants everything but DESCRIBE, which it refuses with this status.
    RefusesDescribe(&'static str),
}

/// Starts one; it ends with this process.
pub(crate) fn start(oddity: Oddity) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            if !matches!(oddity, Oddity::Closes) {
                thread::spawn(move || answer(stream, oddity));
            }
        }
    });
    address
}

/// Until the peer has had enough.
fn answer(mut stream: TcpStream, oddity: Oddity) {
    let Ok(reading) = stream.try_clone() else {
        return;
    };
    let mut lines = BufReader::new(reading).lines().map_while(Result::ok);
    loop {
        let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
        let Some(request) = head.first() else {
            return;
        };
        let bytes = match oddity {
            Oddity::Closes => return,
            Oddity::Says(bytes) => bytes.to_vec(),
            Oddity::RefusesDescribe(status) if request.starts_with("DESCRIBE") => {
                response(status, &head)
            }
            Oddity::RefusesDescribe(_) => response("200 OK", &head),
        };
        if stream.write_all(&bytes).is_err() {
            return;
        }
    }
}

fn response(status: &str, head: &[String]) -> Vec<u8> {
    let number = head.iter().find(|line| line.starts_with("CSeq"));
    let number = number.map_or("CSeq: 1", String::as_str);
    format!("RTSP/1.0 {status}\r\n{number}\r\n\r\n").into_bytes()
}
