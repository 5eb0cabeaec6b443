//! Credentials of requests. Input: a peer's conversation.

use shardcast_protocol::rtsp::auth::Credentials;
use shardcast_protocol::rtsp::{Limits, MessageReader, Method, Parsed, Request};

/// What no input says as it stands: it shows where credentials leak, and nobody can know it as a password.
const SECRET: &str = "\u{1f}";

/// - No credentials are shown.
/// - A digest is no proof of a password that nobody has said, nor under another nonce or realm.
/// - What stands in a URL is taken only when no header says more.
pub fn check(conversation: &[u8]) {
    let mut reader = MessageReader::new(Limits::default());
    let mut unread = conversation;
    while let Ok(parsed) = reader.poll(unread) {
        let consumed = match parsed {
            Parsed::Incomplete { .. } => return,
            Parsed::Frame { consumed, .. } | Parsed::Response { consumed, .. } => consumed,
            Parsed::Request { request, consumed } => {
                check_request(&request);
                consumed
            }
        };
        unread = &unread[consumed..];
    }
}

fn check_request(request: &Request) {
    let Ok(Some(credentials)) = Credentials::of_request(request) else {
        return;
    };
    let shown = format!("{credentials:?}");
    let has_header = request.headers.get("Authorization").is_some();
    match credentials {
        Credentials::Basic { .. } => assert_eq!(shown, "Basic(hidden)"),
        Credentials::Digest(response) => {
            assert_eq!(shown, "Digest(hidden)");
            assert!(has_header);
            assert!(!response.is_valid_for(SECRET, &request.method, "", ""));
            let is_about = |method| response.is_about(&request.target, method);
            assert!(is_about(&Method::Setup) || !is_about(&request.method));
        }
    }
    assert!(has_header || request.target.contains('@'));
}
