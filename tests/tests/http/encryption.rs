//! Sites inside TLS: the pair that a handshake shows, what becomes of it when its files change, and peers that speak
//! something else.

use std::io::{BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use shardcast::event::EventBus;
use shardcast::{RefusalReason, Server};
use shardcast_tests::http::{Response, read_response};
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::ordeal::Ordeal;
use shardcast_tests::scene::rig::Rig;
use shardcast_tests::wait::poll_until;

use crate::wire::{Wire, head};

/// A pair of files: `first` or `second`, key and certificate in PEM, signed by themselves.
const PAIRS: [(&str, [&str; 2]); 2] = [
    (
        "first",
        [
            include_str!("../../data/tls/first.key"),
            include_str!("../../data/tls/first.crt"),
        ],
    ),
    (
        "second",
        [
            include_str!("../../data/tls/second.key"),
            include_str!("../../data/tls/second.crt"),
        ],
    ),
];

/// Puts a pair where the server looks for it.
fn put(directory: &Path, name: &str) {
    let pair = PAIRS.iter().find(|(known, _)| *known == name);
    let (_, [key, certificate]) = pair.unwrap();
    std::fs::write(directory.join("server.key"), key).unwrap();
    std::fs::write(directory.join("server.crt"), certificate).unwrap();
}

fn configuration(directory: &Path) -> String {
    let directory = directory.display();
    format!(
        "api: yes\napiAddress: 127.0.0.1:0\napiEncryption: yes\n\
         apiServerKey: '{directory}/server.key'\napiServerCert: '{directory}/server.crt'\nreadTimeout: 2s\n"
    )
}

/// Takes any certificate, and keeps it.
#[derive(Debug)]
struct Shown {
    provider: CryptoProvider,
    certificate: Mutex<Vec<u8>>,
}

impl ServerCertVerifier for Shown {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.certificate.lock().unwrap() = certificate.to_vec();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// What a handshake has brought.
struct Shaken {
    stream: StreamOwned<ClientConnection, TcpStream>,
    /// The name of the pair.
    pair: &'static str,
}

fn shake(address: SocketAddr, protocols: &[&[u8]]) -> Shaken {
    let provider = aws_lc_rs::default_provider();
    let shown = Arc::new(Shown {
        provider: provider.clone(),
        certificate: Mutex::default(),
    });
    let config = ClientConfig::builder_with_provider(Arc::new(provider));
    let mut config = config
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(shown.clone())
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let name = ServerName::try_from("localhost").unwrap();
    let client = ClientConnection::new(Arc::new(config), name).unwrap();
    let socket = TcpStream::connect(address).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut stream = StreamOwned::new(client, socket);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).unwrap();
    }
    let certificate = shown.certificate.lock().unwrap().clone();
    let is_it = |(_, [_, pem]): &&(&str, [&str; 2])| der(pem) == certificate;
    let pair = PAIRS.iter().find(is_it).expect("one of ours").0;
    Shaken { stream, pair }
}

fn der(pem: &str) -> Vec<u8> {
    use rustls::pki_types::pem::PemObject as _;
    CertificateDer::from_pem_slice(pem.as_bytes())
        .unwrap()
        .to_vec()
}

fn get(shaken: &mut Shaken, target: &str) -> Response {
    let request = head("GET", target, &[]);
    shaken.stream.write_all(request.as_bytes()).unwrap();
    read_response(BufReader::new(&mut shaken.stream), "GET").unwrap()
}

#[test]
fn a_site_inside_tls_speaks_what_its_peer_chooses() {
    let directory = tempfile::tempdir().unwrap();
    put(directory.path(), "first");
    let rig = Rig::start(House::USUAL, &configuration(directory.path()));
    let mut plain = shake(rig.site("API"), &[b"http/1.1"]);
    assert_eq!(plain.stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    for _ in 0..2 {
        assert_eq!(get(&mut plain, "/v3/info").status, 200);
    }
    let mut silent = shake(rig.site("API"), &[]);
    assert_eq!(get(&mut silent, "/v3/info").status, 200);
    let mut second = shake(rig.site("API"), &[b"h2", b"http/1.1"]);
    assert_eq!(second.stream.conn.alpn_protocol(), Some(&b"h2"[..]));
    second
        .stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .unwrap();
    let mut settings = [0; 9];
    second.stream.read_exact(&mut settings).unwrap();
    assert_eq!(settings[3], 4, "a frame of settings");
}

#[test]
fn a_pair_is_replaced_while_the_server_runs_and_a_broken_one_is_not_taken() {
    let directory = tempfile::tempdir().unwrap();
    put(directory.path(), "first");
    let rig = Rig::start(House::USUAL, &configuration(directory.path()));
    let mut before = shake(rig.site("API"), &[]);
    assert_eq!(before.pair, "first");
    let shows = |name: &str| {
        let limit = Duration::from_secs(20);
        poll_until(limit, || {
            (shake(rig.site("API"), &[]).pair == name).then_some(())
        })
    };
    put(directory.path(), "second");
    assert_eq!(shows("second"), Some(()));
    // Who is connected stays so.
    assert_eq!(get(&mut before, "/healthz").status, 200);
    std::fs::write(directory.path().join("server.crt"), "no certificate").unwrap();
    put_key(directory.path());
    assert_eq!(shake(rig.site("API"), &[]).pair, "second");
    put(directory.path(), "first");
    assert_eq!(shows("first"), Some(()));
}

/// A key that does not belong to what is there.
fn put_key(directory: &Path) {
    std::fs::write(directory.join("server.key"), PAIRS[0].1[0]).unwrap();
}

#[test]
fn whoever_speaks_plainly_where_it_is_encrypted_is_told_and_the_other_way_round() {
    let directory = tempfile::tempdir().unwrap();
    put(directory.path(), "first");
    let sites = format!(
        "{}metrics: yes\nmetricsAddress: 127.0.0.1:0\n",
        configuration(directory.path())
    );
    let ordeal = Ordeal::begin(House::USUAL, &sites);
    let mut plain = Wire::open(ordeal.rig.site("API"));
    let told = plain.get("/v3/info", &[]);
    assert_eq!(told.status, 400);
    assert_eq!(
        told.text(),
        "Client sent an HTTP request to an HTTPS server.\n"
    );
    let mut hello = Wire::open(ordeal.rig.site("metrics"));
    hello.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    assert_eq!(hello.response().status, 400);
    // A handshake that is none, and one that is never finished.
    let mut broken = Wire::open(ordeal.rig.site("API"));
    broken.send(b"\x16\x03\x01\x00\x04\xff\xff\xff\xff");
    assert!(broken.read_to_end().is_some());
    let mut stalled = Wire::open(ordeal.rig.site("API"));
    stalled.send(b"\x16\x03\x01\x02\x00\x01");
    assert!(stalled.read_to_end().is_some());
    drop((plain, hello));
    ordeal.wait_refused(&[
        (RefusalReason::Tls, 1),
        (RefusalReason::NoTls, 1),
        (RefusalReason::TlsHandshake, 1),
        (RefusalReason::MessageUnfinished, 1),
    ]);
    ordeal.finish();
}

#[test]
fn a_pair_that_cannot_be_used_is_an_error_that_names_key_and_file() {
    let directory = tempfile::tempdir().unwrap();
    let error = |text: &str| {
        let loaded = shardcast_config::parse(None, text, std::iter::empty()).unwrap();
        let error = Server::start(loaded.document, EventBus::default());
        error.expect_err("an error").to_string()
    };
    let text = format!("rtsp: no\n{}", configuration(directory.path()));
    let file = directory.path().join("server.key");
    let missing = error(&text);
    assert!(
        missing.starts_with(&format!("apiServerKey: {}: ", file.display())),
        "{missing}"
    );
    put(directory.path(), "first");
    let file = directory.path().join("server.crt");
    std::fs::write(&file, "no certificate").unwrap();
    let empty = error(&text);
    assert!(
        empty.starts_with(&format!("apiServerCert: {}: ", file.display())),
        "{empty}"
    );
    std::fs::write(&file, PAIRS[1].1[1]).unwrap();
    let foreign = error(&text);
    assert!(
        foreign.starts_with("apiServerKey: key and certificate"),
        "{foreign}"
    );
}
