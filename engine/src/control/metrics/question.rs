//! What a scrape asks for: everything, one type of metrics, or what is about one path, connection or session. The query's
//! names are MediaMTX's.

use crate::control::web::Request;

/// The type under which our own metrics can be had alone.
const OWN_TYPE: &str = "shardcast";

/// Filters that MediaMTX has. Each is for one type of metrics, but `path`, which is for two.
const FILTERS: [&str; 13] = [
    "path",
    "forward_dest",
    "hls_muxer",
    "hls_session",
    "rtsp_conn",
    "rtsp_session",
    "rtsps_conn",
    "rtsps_session",
    "rtmp_conn",
    "rtmps_conn",
    "srt_conn",
    "webrtc_session",
    "moq_session",
];

/// A scrape's query.
#[derive(Debug, Default)]
pub(super) struct Question {
    kind: String,
    filters: Vec<(String, String)>,
}

impl Question {
    pub(super) fn of(request: &Request) -> Self {
        let mut question = Self::default();
        for (name, value) in request.query().filter(|(_, value)| !value.is_empty()) {
            let is_given = question.filters.iter().any(|(known, _)| *known == name);
            if name == "type" && question.kind.is_empty() {
                question.kind = value;
            } else if FILTERS.contains(&name.as_str()) && !is_given {
                question.filters.push((name, value));
            }
        }
        question
    }

    /// Whether metrics of this type are asked for, by one of these filters if by any.
    pub(super) fn asks_for(&self, kind: &str, filters: &[&str]) -> bool {
        let is_kind = self.kind.is_empty() || self.kind == kind;
        let is_filter = |(name, _): &(String, String)| filters.contains(&name.as_str());
        is_kind && (self.filters.is_empty() || self.filters.iter().any(is_filter))
    }

    /// Whether our own metrics are asked for.
    pub(super) fn asks_for_own(&self) -> bool {
        self.asks_for(OWN_TYPE, &[])
    }

    /// Whether this type alone is asked for.
    pub(super) fn is_for(&self, kind: &str) -> bool {
        self.kind == kind
    }

    /// Whether something is asked for by its name.
    pub(super) fn has_filters(&self) -> bool {
        !self.filters.is_empty()
    }

    /// What this filter is to be.
    pub(super) fn filter(&self, name: &str) -> Option<&str> {
        let given = self.filters.iter().find(|(known, _)| known == name);
        given.map(|(_, value)| value.as_str())
    }

    /// Whether this filter lets `value` pass.
    pub(super) fn lets_pass(&self, name: &str, value: &str) -> bool {
        self.filter(name).is_none_or(|wanted| wanted == value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(query: &str) -> Question {
        let uri = format!("/metrics?{query}").parse().unwrap();
        Question::of(&Request {
            method: http::Method::GET,
            uri,
            headers: http::HeaderMap::new(),
            body: bytes::Bytes::new(),
            peer: ([127, 0, 0, 1], 1).into(),
            captures: Vec::new(),
        })
    }

    #[test]
    fn without_a_query_all_is_asked_for() {
        let all = question("");
        assert!(all.asks_for("paths", &["path"]) && all.asks_for_own());
        assert!(all.lets_pass("path", "cam"));
    }

    #[test]
    fn a_type_is_asked_for_alone() {
        let paths = question("type=paths");
        assert!(paths.asks_for("paths", &["path"]));
        assert!(!paths.asks_for("rtsp_conns", &["rtsp_conn"]) && !paths.asks_for_own());
        assert!(question("type=shardcast").asks_for_own());
    }

    #[test]
    fn a_filter_asks_for_its_type_alone() {
        let one = question("path=live%2Fcam&unknown=1");
        assert!(one.asks_for("paths", &["path"]));
        assert!(!one.asks_for("rtsp_sessions", &["rtsp_session"]) && !one.asks_for_own());
        assert!(one.lets_pass("path", "live/cam") && !one.lets_pass("path", "other"));
    }

    #[test]
    fn an_empty_filter_is_none() {
        assert!(question("path=&type=").asks_for_own());
    }
}
