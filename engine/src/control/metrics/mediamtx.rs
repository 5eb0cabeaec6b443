//! Metrics with MediaMTX's names and labels, in its order, for what exists here: paths, and connections and sessions over
//! RTSP. Servers that are off, or not built, have none, as there; what is on and empty is a zero without labels.
//!
//! Each session has lines of its own while there are few. Beyond [`SESSIONS_MAX`] those of a path and state are summed:
//! a thousand readers would else be megabytes at every scrape, and as many time series that live as long as a connection.

use std::collections::BTreeMap;

use shardcast_config::Choice;

use super::census::{Census, PathRow};
use super::question::Question;
use super::text::{Kind, Labels, Number, Page};

/// With so many connections or sessions of a kind each has lines of its own, where the configuration leaves that to the
/// server: a page of 1.5 MB.
pub(super) const SESSIONS_MAX: usize = 500;

/// Numbers of a connection.
const CONNECTION: [&str; 2] = ["inbound_bytes", "outbound_bytes"];
const CONNECTION_DEPRECATED: &[(&str, usize)] = &[("bytes_received", 0), ("bytes_sent", 1)];

/// Numbers of a session.
pub(super) const SESSION: [&str; 12] = [
    "inbound_bytes",
    "inbound_rtp_packets",
    "inbound_rtp_packets_lost",
    "inbound_rtp_packets_in_error",
    "inbound_rtp_packets_jitter",
    "inbound_rtcp_packets",
    "inbound_rtcp_packets_in_error",
    "outbound_bytes",
    "outbound_rtp_packets",
    "outbound_rtp_packets_reported_lost",
    "outbound_rtp_packets_discarded",
    "outbound_rtcp_packets",
];

/// Earlier names, with the number that each has.
const SESSION_DEPRECATED: &[(&str, usize)] = &[
    ("bytes_received", 0),
    ("bytes_sent", 7),
    ("rtp_packets_received", 1),
    ("rtp_packets_sent", 8),
    ("rtp_packets_lost", 2),
    ("rtp_packets_in_error", 3),
    ("rtp_packets_jitter", 4),
    ("rtcp_packets_received", 5),
    ("rtcp_packets_sent", 11),
    ("rtcp_packets_in_error", 6),
];

/// Whether the sessions of a kind are summed.
pub(super) fn are_summed(choice: Choice, connections: usize, sessions: usize) -> bool {
    match choice {
        Choice::Yes => false,
        Choice::No => true,
        Choice::Auto => connections.max(sessions) > SESSIONS_MAX,
    }
}

/// All of them that are asked for.
pub(super) fn write(page: &mut Page, question: &Question, census: &Census, per_session: Choice) {
    if question.asks_for("paths", &["path"]) {
        write_paths(page, question, census);
    }
    if question.is_for("forward_dests") && !question.has_filters() {
        page.comment("Forward destinations");
        page.sample("forward_dests", &[], 0_u64);
        page.sample("forward_dests_outbound_bytes", &[], 0_u64);
        page.gap();
    }
    if census.has_rtsp {
        write_rtsp(page, question, census, per_session);
    }
}

fn write_paths(page: &mut Page, question: &Question, census: &Census) {
    if census.paths.is_empty() {
        if question.filter("path").is_none() {
            write_no_paths(page);
        }
        return;
    }
    let wanted = |path: &&PathRow| question.lets_pass("path", path.name.as_str());
    page.comment("Paths");
    for path in census.paths.iter().filter(wanted) {
        let (name, state) = (path.name.as_str(), path.state());
        let labels = [("name", name), ("state", state)];
        page.sample("paths", &labels, 1_u64);
        let kind = if path.readers > 0 { "rtspSession" } else { "" };
        let of_kind = [("name", name), ("readerType", kind), ("state", state)];
        page.sample("paths_readers", &of_kind, path.readers);
        page.sample("paths_inbound_bytes", &labels, path.inbound_bytes);
        page.sample("paths_outbound_bytes", &labels, path.outbound_bytes);
        let in_error = path.frames_in_error;
        page.sample("paths_inbound_frames_in_error", &labels, in_error);
    }
    page.gap();
    page.comment("Paths (deprecated)");
    for path in census.paths.iter().filter(wanted) {
        let labels = [("name", path.name.as_str()), ("state", path.state())];
        page.sample("paths_bytes_received", &labels, path.inbound_bytes);
        page.sample("paths_bytes_sent", &labels, path.outbound_bytes);
    }
    page.gap();
}

fn write_no_paths(page: &mut Page) {
    let groups = [
        (
            "Paths",
            &[
                "paths",
                "paths_inbound_bytes",
                "paths_outbound_bytes",
                "paths_inbound_frames_in_error",
            ][..],
        ),
        (
            "Paths (deprecated)",
            &["paths_bytes_received", "paths_bytes_sent", "paths_readers"],
        ),
    ];
    for (title, names) in groups {
        page.comment(title);
        names.iter().for_each(|name| page.sample(name, &[], 0_u64));
        page.gap();
    }
}

fn write_rtsp(page: &mut Page, question: &Question, census: &Census, per_session: Choice) {
    let (connections, sessions) = (&census.connections, &census.sessions);
    let are_summed = are_summed(per_session, connections.len(), sessions.len());
    if question.asks_for("rtsp_conns", &["rtsp_conn"]) {
        let wanted = question.filter("rtsp_conn");
        let rows = connections.iter().map(|connection| Row {
            labels: vec![("id", connection.id.clone())],
            count: 1,
            numbers: connection.numbers,
        });
        let group = Group {
            title: "RTSP connections",
            prefix: "rtsp_conns",
            fields: &CONNECTION,
            deprecated: CONNECTION_DEPRECATED,
        };
        group.write(page, rows, wanted, are_summed);
    }
    if question.asks_for("rtsp_sessions", &["rtsp_session"]) {
        let wanted = question.filter("rtsp_session");
        let rows = sessions.iter().map(|session| Row {
            labels: vec![
                ("id", session.id.clone()),
                ("path", session.path.clone()),
                ("remoteAddr", session.peer.to_string()),
                ("state", session.state.to_owned()),
            ],
            count: 1,
            numbers: session.numbers,
        });
        let group = Group {
            title: "RTSP sessions",
            prefix: "rtsp_sessions",
            fields: &SESSION,
            deprecated: SESSION_DEPRECATED,
        };
        group.write(page, rows, wanted, are_summed);
    }
}

/// A connection or session, or the sum of some.
struct Row<const N: usize> {
    labels: Vec<(&'static str, String)>,
    count: u64,
    numbers: [Number; N],
}

impl<const N: usize> Row<N> {
    fn labels(&self) -> Vec<(&str, &str)> {
        let labels = self.labels.iter();
        labels
            .map(|(name, value)| (*name, value.as_str()))
            .collect()
    }
}

/// Metrics of one kind of connections or sessions.
struct Group<const N: usize> {
    title: &'static str,
    prefix: &'static str,
    fields: &'static [&'static str; N],
    deprecated: &'static [(&'static str, usize)],
}

impl<const N: usize> Group<N> {
    /// Who is asked for by id has lines of its own, however many there are.
    fn write(
        &self,
        page: &mut Page,
        rows: impl Iterator<Item = Row<N>>,
        wanted: Option<&str>,
        are_summed: bool,
    ) {
        let mut rows: Vec<_> = rows.collect();
        if rows.is_empty() {
            if wanted.is_none() {
                self.write_rows(page, &[self.none()]);
            }
            return;
        }
        match wanted {
            Some(id) => rows.retain(|row| row.labels.contains(&("id", id.to_owned()))),
            None if are_summed => rows = summed(rows),
            None => {}
        }
        self.write_rows(page, &rows);
    }

    fn none(&self) -> Row<N> {
        Row {
            labels: Vec::new(),
            count: 0,
            numbers: [Number::Whole(0); N],
        }
    }

    fn write_rows(&self, page: &mut Page, rows: &[Row<N>]) {
        page.comment(self.title);
        for row in rows {
            let labels = row.labels();
            page.sample(self.prefix, &labels, row.count);
            for (field, number) in self.fields.iter().zip(row.numbers) {
                self.write_number(page, field, &labels, number);
            }
        }
        page.gap();
        page.comment(&format!("{} (deprecated)", self.title));
        for row in rows {
            let labels = row.labels();
            for (field, index) in self.deprecated {
                if let Some(number) = row.numbers.get(*index) {
                    self.write_number(page, field, &labels, *number);
                }
            }
        }
        page.gap();
    }

    fn write_number(&self, page: &mut Page, field: &str, labels: Labels<'_>, number: Number) {
        page.sample(&format!("{}_{field}", self.prefix), labels, number);
    }
}

/// Those of one path and state together: whole numbers summed, others, which are jitters, at their most.
fn summed<const N: usize>(rows: Vec<Row<N>>) -> Vec<Row<N>> {
    let mut sums = BTreeMap::<Vec<(&str, String)>, Row<N>>::new();
    for mut row in rows {
        let is_shared = |label: &str| matches!(label, "path" | "state");
        row.labels.retain(|(label, _)| is_shared(label));
        match sums.get_mut(&row.labels) {
            Some(sum) => sum.add(&row),
            None => drop(sums.insert(row.labels.clone(), row)),
        }
    }
    sums.into_values().collect()
}

impl<const N: usize> Row<N> {
    fn add(&mut self, other: &Self) {
        self.count += other.count;
        for (sum, number) in self.numbers.iter_mut().zip(other.numbers) {
            *sum = match (*sum, number) {
                (Number::Whole(sum), Number::Whole(more)) => Number::Whole(sum.wrapping_add(more)),
                (Number::Real(most), Number::Real(other)) => Number::Real(most.max(other)),
                (sum, _) => sum,
            };
        }
    }
}

/// Says whether sessions of a kind are summed.
pub(super) fn write_summed(page: &mut Page, census: &Census, per_session: Choice) {
    let name = "shardcast_metrics_sessions_summed";
    let help =
        "Whether the sessions of a kind have metrics by path and state only (metricsPerSession).";
    page.family(name, Kind::Gauge, help);
    let (connections, sessions) = (census.connections.len(), census.sessions.len());
    let are_summed = are_summed(per_session, connections, sessions);
    page.sample(name, &[("kind", "rtsp")], u64::from(are_summed));
}

#[cfg(test)]
mod tests {
    use super::super::census::{ConnectionRow, SessionRow};
    use super::*;
    use crate::path::PathName;

    fn session(number: usize, path: &str, state: &'static str) -> SessionRow {
        let mut numbers = [Number::Whole(1); SESSION.len()];
        numbers[4] = Number::Real(number as f64);
        SessionRow {
            id: format!("id{number}"),
            path: path.to_owned(),
            peer: ([127, 0, 0, 1], 1).into(),
            state,
            numbers,
        }
    }

    fn census(sessions: Vec<SessionRow>) -> Census {
        let connections = (0..sessions.len()).map(|number| ConnectionRow {
            id: format!("conn{number}"),
            numbers: [Number::Whole(10), Number::Whole(20)],
        });
        Census {
            paths: Vec::new(),
            connections: connections.collect(),
            sessions,
            has_rtsp: true,
        }
    }

    fn page(census: &Census, per_session: Choice) -> String {
        let mut page = Page::new();
        write(&mut page, &Question::default(), census, per_session);
        page.into_text()
    }

    #[test]
    fn what_is_on_and_empty_is_a_zero_without_labels() {
        let page = page(&census(Vec::new()), Choice::Auto);
        for line in [
            "paths 0",
            "paths_readers 0",
            "rtsp_conns 0",
            "rtsp_sessions_rtp_packets_jitter 0",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} in {page}");
        }
        assert!(!page.contains("forward_dests") && !page.contains("rtsps_"));
    }

    #[test]
    fn a_server_that_is_off_has_no_metrics() {
        let off = Census {
            has_rtsp: false,
            ..census(Vec::new())
        };
        assert!(!page(&off, Choice::Auto).contains("rtsp"));
    }

    #[test]
    fn each_session_has_its_own_lines_up_to_the_maximum_and_none_beyond() {
        let sessions = |count| census((0..count).map(|n| session(n, "cam", "read")).collect());
        let line =
            "rtsp_sessions{id=\"id7\",path=\"cam\",remoteAddr=\"127.0.0.1:1\",state=\"read\"} 1";
        assert!(page(&sessions(SESSIONS_MAX), Choice::Auto).contains(line));
        let beyond = page(&sessions(SESSIONS_MAX + 1), Choice::Auto);
        assert!(!beyond.contains("id=") && beyond.len() < 4096);
        assert!(beyond.contains("rtsp_sessions{path=\"cam\",state=\"read\"} 501\n"));
        assert!(beyond.contains("rtsp_conns 501\nrtsp_conns_inbound_bytes 5010\n"));
        assert!(page(&sessions(SESSIONS_MAX + 1), Choice::Yes).contains(line));
        assert!(!page(&sessions(1), Choice::No).contains("id="));
    }

    #[test]
    fn sums_are_by_path_and_state_and_jitter_is_the_longest() {
        let sessions = [
            ("a", "read"),
            ("a", "publish"),
            ("b", "read"),
            ("a", "read"),
        ];
        let sessions = sessions.iter().enumerate();
        let sessions = sessions.map(|(number, (path, state))| session(number, path, state));
        let page = page(&census(sessions.collect()), Choice::No);
        for line in [
            "rtsp_sessions_inbound_rtp_packets_jitter{path=\"a\",state=\"read\"} 3",
            "rtsp_sessions_outbound_bytes{path=\"a\",state=\"read\"} 2",
            "rtsp_sessions_bytes_sent{path=\"b\",state=\"read\"} 1",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} in {page}");
        }
    }

    #[test]
    fn a_path_has_its_labels_in_the_order_of_the_alphabet() {
        let census = Census {
            paths: vec![PathRow {
                name: PathName::new("cam").unwrap(),
                is_ready: true,
                readers: 3,
                inbound_bytes: 5,
                outbound_bytes: 6,
                frames_in_error: 7,
            }],
            ..census(Vec::new())
        };
        let page = page(&census, Choice::Auto);
        let expected = "# Paths\n\
            paths{name=\"cam\",state=\"ready\"} 1\n\
            paths_readers{name=\"cam\",readerType=\"rtspSession\",state=\"ready\"} 3\n\
            paths_inbound_bytes{name=\"cam\",state=\"ready\"} 5\n\
            paths_outbound_bytes{name=\"cam\",state=\"ready\"} 6\n\
            paths_inbound_frames_in_error{name=\"cam\",state=\"ready\"} 7\n\n\
            # Paths (deprecated)\n\
            paths_bytes_received{name=\"cam\",state=\"ready\"} 5\n\
            paths_bytes_sent{name=\"cam\",state=\"ready\"} 6\n";
        assert!(page.starts_with(expected), "{page}");
    }
}
