//! Promises about credentials: what clients send is read, what is right is told from what is wrong,
//! and nothing secret is shown.

use proptest::prelude::*;

use super::*;
use crate::rtsp::Method;

const URL: &str = "rtsp://h:8554/a";

fn basic(user: &str, pass: &str) -> Credentials {
    let (user, pass) = (user.into(), pass.into());
    Credentials::Basic { user, pass }
}

fn digest(header: &str) -> DigestResponse {
    match Credentials::parse(header) {
        Ok(Credentials::Digest(response)) => response,
        other => panic!("{header}: {other:?}"),
    }
}

fn request(target: &str, headers: &[&str]) -> Request {
    let mut request = Request::new(Method::Describe, target, 1);
    for value in headers {
        request.headers.push("authorization", value).unwrap();
    }
    request
}

#[test]
fn a_password_in_the_clear_is_read() {
    for (header, user, pass) in [
        ("Basic dXNlcjpwYXNz", "user", "pass"),
        ("basic  dXNlcjpwYXNz ", "user", "pass"),
        ("Basic dXNlcjpwOmE6c3M=", "user", "p:a:ss"),
        ("Basic dXNlcjpwOmE6c3M", "user", "p:a:ss"),
        ("Basic Og==", "", ""),
        ("BASIC w7w6w58=", "ü", "ß"),
    ] {
        assert_eq!(
            Credentials::parse(header),
            Ok(basic(user, pass)),
            "{header}"
        );
    }
}

#[test]
fn what_cannot_be_read_is_refused_by_its_reason() {
    use AuthError::{Malformed, Unsupported};
    let whole = "Digest username=\"u\", realm=\"r\", nonce=\"n\", uri=\"x\", response=\"0\"";
    let mut cases = vec![
        (String::new(), Malformed),
        ("Basic".into(), Malformed),
        ("Basic !".into(), Malformed),
        ("Basic dXNlcg==".into(), Malformed),
        ("Basic /zo=".into(), Malformed),
        ("Digest ".into(), Malformed),
        ("Bearer abc".into(), Unsupported),
        (format!("{whole}, algorithm=MD5-sess"), Unsupported),
        (format!("{whole}, qop=auth-int"), Unsupported),
        (format!("{whole}, qop=auth, nc=00000001"), Malformed),
    ];
    for needed in ["username", "realm", "nonce", "uri", "response"] {
        cases.push((whole.replace(needed, "other"), Malformed));
    }
    for (header, error) in cases {
        assert_eq!(Credentials::parse(&header), Err(error), "{header}");
    }
}

/// The example of RFC 2617, section 3.5, and, without the quality of protection, of RFC 2069 with its
/// erratum 749.
#[test]
fn a_digest_by_md5_is_checked() {
    let rest = "uri=\"/dir/index.html\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", \
        username=\"Mufasa\", realm=\"testrealm@host.com\"";
    let protected = "response=\"6629fae49393a05397450978507c4ef1\", qop=auth, nc=00000001, \
        cnonce=\"0a4f113b\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"";
    let plain = "response=\"670FD8C2DF070C60B045671B8B24FF02\",algorithm=\"md5\"";
    let get = Method::Other("GET".into());
    let (nonce, realm) = ("dcd98b7102dd2f0e8b11d0f600bfb0c093", "testrealm@host.com");
    for answer in [protected, plain] {
        let response = digest(&format!("Digest {rest}, {answer}"));
        assert_eq!(response.user(), "Mufasa");
        assert_eq!(response.algorithm(), DigestAlgorithm::Md5);
        let is_valid = |pass: &str, method: &Method, nonce: &str, realm: &str| {
            response.is_valid_for(pass, method, nonce, realm)
        };
        assert!(is_valid("Circle Of Life", &get, nonce, realm));
        assert!(!is_valid("Circle of Life", &get, nonce, realm));
        assert!(!is_valid("Circle Of Life", &Method::Play, nonce, realm));
        assert!(!is_valid("Circle Of Life", &get, "another", realm));
        assert!(!is_valid("Circle Of Life", &get, nonce, "another"));
    }
}

/// The example of RFC 7616, section 3.9.1.
#[test]
fn a_digest_by_sha_256_is_checked() {
    let response = digest(
        "Digest username=\"Mufasa\",realm=\"http-auth@example.org\",uri=\"/dir/index.html\",\
         algorithm=SHA-256,nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\",nc=00000001,\
         cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\",qop=auth,\
         response=\"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1\"",
    );
    let get = Method::Other("GET".into());
    let nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
    let realm = "http-auth@example.org";
    assert_eq!(response.algorithm(), DigestAlgorithm::Sha256);
    assert!(response.is_valid_for("Circle of Life", &get, nonce, realm));
    assert!(!response.is_valid_for("Circle of life", &get, nonce, realm));
}

#[test]
fn parameters_are_found_however_a_client_writes_them() {
    for header in [
        "Digest username=\"u\", realm=\"r\", nonce=\"n\", uri=\"x\", response=\"00\"",
        "digest  response=00,uri=x , nonce=n,realm=r,username=u",
        "Digest USERNAME = \"u\" ,\tRealm=\"r\",Nonce=\"n\",Uri=\"x\",Response=\"00\",",
        "Digest username=\"u\",realm=\"r\",nonce=\"n\",uri=\"x\",response=\"00\",qop=\"\"",
    ] {
        let expected = digest("Digest username=u,realm=r,nonce=n,uri=x,response=00");
        assert_eq!(digest(header), expected, "{header}");
    }
    let quoted = |user: &str| {
        digest(&format!(
            "Digest username=\"{user}\",realm=r,nonce=n,uri=x,response=00"
        ))
    };
    assert_eq!(quoted("a, b=\\\"c\\\\").user(), "a, b=\"c\\");
    assert_eq!(quoted("DOMAIN\\user").user(), "DOMAIN\\user");
}

#[test]
fn a_response_is_about_its_request_and_no_other() {
    let is_about = |uri: &str, target: &str, method: Method| {
        digest(&format!(
            "Digest username=u,realm=r,nonce=n,uri=\"{uri}\",response=00"
        ))
        .is_about(target, &method)
    };
    let track = "rtsp://h:8554/a/trackID=0";
    for (uri, target) in [
        (URL, URL),
        ("rtsp://h:8554/a/", URL),
        (URL, "rtsp://h:8554/a/"),
        ("/a", URL),
        ("rtsp://192.0.2.1/a", URL),
        ("rtsp://u:p@h:8554/a", URL),
        ("rtsp://h/a?q=1", "rtsp://h/a?q=1/"),
        ("*", "*"),
    ] {
        assert!(is_about(uri, target, Method::Describe), "{uri} {target}");
    }
    for uri in [track, URL, "rtsp://h:8554/a/", "/a"] {
        assert!(is_about(uri, track, Method::Setup), "{uri}");
        assert_eq!(is_about(uri, track, Method::Play), uri == track);
    }
    for (uri, target) in [
        ("rtsp://h:8554/b", URL),
        ("rtsp://h:8554/a", "rtsp://h:8554/ab/trackID=0"),
        ("", URL),
        ("rtsp://h:8554/a?q=1", URL),
        (track, URL),
    ] {
        assert!(!is_about(uri, target, Method::Setup), "{uri} {target}");
    }
}

#[test]
fn credentials_are_taken_from_the_header_else_from_the_url() {
    let in_url = "rtsp://us%40er:p@ss%3A@h/a";
    for (target, headers, expected) in [
        (URL, &[][..], Ok(None)),
        (in_url, &[], Ok(Some(basic("us@er", "p@ss:")))),
        ("rtsp://user@h/a", &[], Ok(Some(basic("user", "")))),
        ("rtsp://h/a@b:c@d", &[], Ok(None)),
        ("*", &[], Ok(None)),
        (in_url, &["Basic YTpi"], Ok(Some(basic("a", "b")))),
        (URL, &["Bearer x", "Basic YTpi"], Ok(Some(basic("a", "b")))),
        (in_url, &["Bearer x"], Err(AuthError::Unsupported)),
        (URL, &["Bearer x", "Basic !"], Err(AuthError::Malformed)),
    ] {
        let found = Credentials::of_request(&request(target, headers));
        assert_eq!(found, expected, "{target} {headers:?}");
    }
}

#[test]
fn a_challenge_says_all_ways_in_their_order() {
    let schemes = [
        AuthScheme::Basic,
        AuthScheme::Digest(DigestAlgorithm::Md5),
        AuthScheme::Digest(DigestAlgorithm::Sha256),
    ];
    let headers = challenges(&schemes, "shardcast", "0123");
    let expected = [
        "Basic realm=\"shardcast\"",
        "Digest realm=\"shardcast\", nonce=\"0123\", algorithm=MD5",
        "Digest realm=\"shardcast\", nonce=\"0123\", algorithm=SHA-256",
    ];
    assert_eq!(
        headers.all("WWW-Authenticate").collect::<Vec<_>>(),
        expected
    );
}

#[test]
fn nothing_secret_is_shown() {
    let digest = "Digest username=\"secret\",realm=r,nonce=n,uri=x,response=secret";
    for header in ["Basic c2VjcmV0OnNlY3JldA==", digest] {
        let shown = format!("{:?}", Credentials::parse(header).unwrap());
        assert!(!shown.contains("secret"), "{shown}");
    }
    let shown = format!("{:?}", request(URL, &[digest]));
    assert!(!shown.contains("secret"), "{shown}");
}

proptest! {
    #[test]
    fn any_header_is_read_or_refused(
        header in "(Basic|Digest|\\PC{0,5}) ?(\\PC{0,40}|([a-z]{0,8}=\"?[a-z\\\\\"]{0,6}\"?,? ?){0,8})",
        target in "(rtsp://)?[a-z:@%/?]{0,20}",
    ) {
        if let Ok(Credentials::Digest(response)) = Credentials::parse(&header) {
            prop_assert!(!response.is_valid_for("p", &Method::Play, "n", "r"));
            let _ = response.is_about(&target, &Method::Setup);
        }
        let _ = Credentials::of_request(&request(&target, &[]));
    }

    #[test]
    fn every_password_is_read_as_it_was_sent(user in "[^:]{0,20}", pass in "\\PC{0,20}") {
        let header = format!("Basic {}", BASE64.encode(format!("{user}:{pass}")));
        prop_assert_eq!(Credentials::parse(&header), Ok(basic(&user, &pass)));
    }
}
