//! Promises of a dialogue: it plays and publishes, and says what a server did that it cannot go on with. The servers are
//! scripts on threads of their own.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread::JoinHandle;

use shardcast_platform::{DriverRequest, block_on, choose_driver, spawn, yield_now};

use super::*;
use crate::BenchError;

const SDP: &str = "v=0\r\ns=x\r\nt=0 0\r\na=control:*\r\nm=video 0 RTP/AVP 96\r\n\
    a=rtpmap:96 H264/90000\r\na=control:trackID=0\r\n";

/// A server that gives one of these answers to each request; `$CSEQ` in it is the request's number. Then it hangs up.
fn serve(answers: Vec<String>) -> (SocketAddr, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut requests = Vec::new();
        for answer in answers {
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") {
                if stream.read(&mut byte).unwrap_or(0) == 0 {
                    return requests;
                }
                request.push(byte[0]);
            }
            let request = String::from_utf8(request).unwrap();
            let number = requests.len() + 1;
            let answer = answer.replace("$CSEQ", &number.to_string());
            stream.write_all(answer.as_bytes()).unwrap();
            requests.push(request);
        }
        requests
    };
    (address, std::thread::spawn(serving))
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("RTSP/1.0 {status}\r\nCSeq: $CSEQ\r\n{headers}Content-Length: {length}\r\n\r\n{body}")
}

fn ok(headers: &str, body: &str) -> String {
    answer("200 OK", headers, body)
}

/// Until the answer to DESCRIBE.
fn described() -> Vec<String> {
    vec![ok("", ""), ok("", SDP)]
}

fn run<F: Future>(future: F) -> F::Output {
    let driver = choose_driver(DriverRequest::Auto).unwrap().driver;
    block_on(driver, future).unwrap()
}

async fn play(address: SocketAddr) -> Result<Flow, DialogueError> {
    let mut dialogue = Dialogue::connect(address, None, &Cancel::new()).await?;
    let description = dialogue.describe("rtsp://h/x").await?;
    dialogue.play(&description, Offer::Tcp).await?;
    Ok(dialogue.into_flow())
}

fn refusal(answers: Vec<String>) -> String {
    let (address, _server) = serve(answers);
    let error = run(play(address)).map(|_| ()).unwrap_err();
    error
        .into_bench_error("reader", "rtsp://h/x", 0)
        .to_string()
}

#[test]
fn what_comes_behind_the_last_answer_is_kept() {
    let session = "Session: 1;timeout=10\r\n";
    let set_up = format!("{session}Transport: RTP/AVP/TCP;interleaved=0-1\r\n");
    let playing = ok(session, "") + "$\0\0\x03abc";
    let mut answers = described();
    answers.extend([ok(&set_up, ""), playing, ok("", "")]);
    let (address, server) = serve(answers);
    run(async move {
        let mut flow = play(address).await.unwrap();
        while flow.rest.len() < 7 {
            let slab = Slab::from_bytes_mut(std::mem::take(&mut flow.rest));
            let (read, slab) = flow.stream.read(slab).await;
            read.unwrap();
            flow.rest = slab.into_bytes_mut();
        }
        assert_eq!(&flow.rest[..], b"$\0\0\x03abc");
        assert_eq!(flow.client.session_timeout(), Duration::from_secs(10));
        flow.into_dialogue(&Cancel::new()).leave().await.unwrap();
    });
    let requests = server.join().unwrap();
    let methods: Vec<_> = requests
        .iter()
        .filter_map(|it| it.split(' ').next())
        .collect();
    assert_eq!(
        methods,
        ["OPTIONS", "DESCRIBE", "SETUP", "PLAY", "TEARDOWN"]
    );
}

#[test]
fn a_refusal_names_the_url_and_the_status() {
    let mut answers = described();
    answers.push(answer("453 Not Enough Bandwidth", "", ""));
    let said = "reader on rtsp://h/x: the server refused SETUP with 453 Not Enough Bandwidth";
    assert_eq!(refusal(answers), said);
}

#[test]
fn nonsense_is_told_from_a_refusal() {
    let long = format!("RTSP/1.0 200 {}\r\n", "x".repeat(9000));
    let cases = [
        (vec!["HTTP/1.1 200 OK\r\n\r\n".to_owned()], "no RTSP"),
        (vec![long], "no RTSP"),
        (vec![ok("", ""), ok("", "<html>")], "makes no sense"),
        (vec![ok("", "")], "closed the connection"),
        (vec![ok("", "").replace("$CSEQ", "77")], "CSeq"),
    ];
    for (answers, expected) in cases {
        let (address, _server) = serve(answers);
        let error = run(play(address)).map(|_| ()).unwrap_err();
        assert!(!error.is_refusal());
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = run(play(address)).map(|_| ()).unwrap_err();
    let error = error.into_bench_error("publisher", "rtsp://h/x", 0);
    assert!(matches!(error, BenchError::Unreachable { address: at, .. } if at == address));
}

#[test]
fn a_wait_ends_when_the_run_does() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let outcome = run(async move {
        let ending = Cancel::new();
        let mut dialogue = Dialogue::connect(address, None, &ending).await?;
        spawn(async move {
            yield_now().await;
            ending.cancel();
        });
        dialogue.describe("rtsp://h/x").await
    });
    assert!(matches!(outcome, Err(DialogueError::Stopped)));
}

#[test]
fn descriptors_that_have_run_out_are_told_as_such() {
    let code = OUT_OF_DESCRIPTORS_HERE;
    let error = std::io::Error::from_raw_os_error(code);
    let error = DialogueError::from(error).into_bench_error("reader", "rtsp://h/x", 7);
    assert!(matches!(error, BenchError::Descriptors { readers: 7, .. }));
}

const OUT_OF_DESCRIPTORS_HERE: i32 = if cfg!(windows) { 10_024 } else { 24 };

#[test]
fn a_publisher_that_is_asked_who_it_is_says_so() {
    let challenge = "WWW-Authenticate: Basic realm=\"r\"\r\n";
    let session = "Session: 1\r\n";
    let set_up = format!("{session}Transport: RTP/AVP/TCP;interleaved=0-1\r\n");
    let (address, server) = serve(vec![
        ok("", ""),
        answer("401 Unauthorized", challenge, ""),
        ok("", ""),
        ok(&set_up, ""),
        ok(session, ""),
    ]);
    run(async move {
        let credentials = Credentials {
            user: "u".into(),
            pass: "p".into(),
        };
        let ending = Cancel::new();
        let connecting = Dialogue::connect(address, Some(&credentials), &ending);
        let mut dialogue = connecting.await.unwrap();
        let controls = [Some("trackID=0".to_owned())];
        let publishing = dialogue.publish("rtsp://h/x", Bytes::new(), &controls, Offer::Tcp);
        publishing.await.unwrap();
    });
    let requests = server.join().unwrap();
    let has_login = |request: &&String| request.contains("Authorization: Basic dTpw");
    assert_eq!(requests.iter().filter(has_login).count(), 3);
}
