//! What servers say in ways of their own, and what they mean by it.

use std::time::Duration;

use crate::rtsp::url::split_scheme;
use crate::rtsp::{Headers, Method, RtspUrl};

/// How long a session lives without a request when the server does not say (RFC 2326, section 12.37).
pub(super) const SESSION_TIMEOUT: Duration = Duration::from_secs(60);

/// The URL below which a description's tracks lie: what the server says, else what was asked (RFC
/// 2326, C.1.1). It has to be a whole URL, but some servers leave out the scheme (Anjvision, SV3C and
/// phones with pedroSG94's server), write it twice (icamra), or give a path alone. What means nothing
/// at all is passed over.
pub(super) fn base_url(headers: &Headers, asked: RtspUrl) -> RtspUrl {
    let said = headers
        .get("Content-Base")
        .or_else(|| headers.get("Content-Location"));
    let said = said.map(str::trim).filter(|said| !said.is_empty());
    said.and_then(|said| whole_url(said, &asked))
        .unwrap_or(asked)
}

fn whole_url(said: &str, asked: &RtspUrl) -> Option<RtspUrl> {
    if said.starts_with('/') {
        return Some(asked.with_path_and_query(said));
    }
    let mut scheme = if asked.is_tls() { "rtsps" } else { "rtsp" };
    let mut rest = said;
    while let Some((said, behind)) = split_scheme(rest) {
        (scheme, rest) = (said, behind);
    }
    RtspUrl::parse(&format!("{scheme}://{rest}")).ok()
}

/// The id of a `Session` header, and how long the session lives without a request. Nobody means a
/// timeout of zero, or one that is no number.
pub(super) fn session(value: &str) -> (&str, Duration) {
    let (id, parameters) = value.split_once(';').unwrap_or((value, ""));
    let seconds = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let is_timeout = name.trim().eq_ignore_ascii_case("timeout");
        is_timeout.then(|| value.trim().parse().ok()).flatten()
    });
    let timeout = seconds.filter(|seconds| *seconds > 0);
    let timeout = timeout.map_or(SESSION_TIMEOUT, Duration::from_secs);
    (id.trim(), timeout)
}

/// What keeps a session alive: `GET_PARAMETER` where the server has it, as FFmpeg, GStreamer and VLC
/// do, else `OPTIONS`. A server that refuses `OPTIONS` gives no list.
pub(super) fn keep_alive(options_granted: bool, headers: &Headers) -> Method {
    let mut listed = headers.all("Public").flat_map(|value| value.split(','));
    let has = listed.any(|name| name.trim() == Method::GetParameter.name());
    match has || !options_granted {
        true => Method::GetParameter,
        false => Method::Options,
    }
}
