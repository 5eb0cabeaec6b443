//! `shardcast events`: follows what happens, and goes on where it was when the connection is lost.

use std::io::{BufRead, BufReader, Write};
use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value};

use crate::api::{Api, encoded};
use crate::sessions::short;
use crate::table::{plain, text};
use crate::{ClientError, Connect};

/// Waits before connecting again: the first, doubled up to the last.
const PAUSE_FIRST: Duration = Duration::from_millis(500);
const PAUSE_LAST: Duration = Duration::from_secs(10);

/// The longest line of the stream: larger than any event.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// Arguments of `events`.
#[derive(Args, Clone, Debug)]
pub struct EventsOptions {
    #[command(flatten)]
    connect: Connect,
    /// Write each event as a line of JSON
    #[arg(long)]
    json: bool,
    /// Only events of this path, or of those that match, with ~ before an expression
    #[arg(long, value_name = "NAME")]
    path: Vec<String>,
    /// Only events of these kinds
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    kind: Vec<String>,
    /// Begin behind the event with this id
    #[arg(long, value_name = "ID")]
    since: Option<String>,
    /// End after so many events
    #[arg(long, value_name = "EVENTS")]
    count: Option<u64>,
}

/// Only what cannot be had from the start is an error: later the server may be on its way up again.
pub(crate) fn run(options: &EventsOptions, out: &mut dyn Write) -> Result<(), ClientError> {
    let api = Api::new(&options.connect)?;
    let mut follower = Follower {
        target: target(options),
        json: options.json,
        last_id: options.since.clone(),
        left: options.count,
        pause: PAUSE_FIRST,
        was_connected: false,
    };
    let mut connected = follower.follow(&api, out);
    while !follower.is_done() {
        match connected {
            Ok(()) | Err(ClientError::Unreachable { .. }) if follower.was_connected => {}
            Err(ClientError::Refused { status: 503, .. }) if follower.was_connected => {}
            other => return other,
        }
        follower.wait();
        connected = follower.follow(&api, out);
    }
    Ok(())
}

fn target(options: &EventsOptions) -> String {
    let paths = options.path.iter().map(|path| ("path", path));
    let kinds = options.kind.iter().map(|kind| ("kind", kind));
    let pairs = paths.chain(kinds);
    let pairs: Vec<String> = pairs
        .map(|(key, value)| format!("{key}={}", encoded(value)))
        .collect();
    format!("/v3/events?{}", pairs.join("&"))
}

struct Follower {
    target: String,
    json: bool,
    last_id: Option<String>,
    left: Option<u64>,
    pause: Duration,
    was_connected: bool,
}

impl Follower {
    fn is_done(&self) -> bool {
        self.left == Some(0)
    }

    fn wait(&mut self) {
        std::thread::sleep(self.pause);
        self.pause = (self.pause * 2).min(PAUSE_LAST);
    }

    /// Writes events until the stream ends, however that comes.
    fn follow(&mut self, api: &Api, out: &mut dyn Write) -> Result<(), ClientError> {
        let mut headers = vec![("accept", "text/event-stream")];
        let last_id = self.last_id.clone();
        if let Some(id) = &last_id {
            headers.push(("last-event-id", id));
        }
        let mut response = api.open(&self.target, &headers)?;
        self.pause = PAUSE_FIRST;
        self.was_connected = true;
        let mut stream = BufReader::new(response.body_mut().as_reader());
        while !self.is_done() {
            let mut line = Vec::new();
            let mut limited = std::io::Read::take(&mut stream, LINE_BYTES_MAX);
            match limited.read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return Ok(()),
                Ok(_) => self.take_line(String::from_utf8_lossy(&line).trim_end(), out)?,
            }
        }
        Ok(())
    }

    /// A field of the stream (WHATWG HTML, section 9.2.6). The server writes an event's data in one line.
    fn take_line(&mut self, line: &str, out: &mut dyn Write) -> Result<(), ClientError> {
        match line.split_once(": ") {
            Some(("id", id)) => self.last_id = Some(id.to_owned()),
            Some(("data", data)) => {
                match (self.json, serde_json::from_str(data)) {
                    (false, Ok(Value::Object(event))) => writeln!(out, "{}", sentence(&event))?,
                    _ => writeln!(out, "{data}")?,
                }
                out.flush()?;
                self.left = self.left.map(|left| left.saturating_sub(1));
            }
            _ => {}
        }
        Ok(())
    }
}

/// `time kind path key=value …`.
fn sentence(event: &Map<String, Value>) -> String {
    let of = |key: &str| event.get(key).map(text).unwrap_or_default();
    let mut words = vec![of("time"), of("kind")];
    if event.contains_key("path") {
        words.push(of("path"));
    }
    for (key, value) in event {
        match (key.as_str(), value) {
            ("id" | "time" | "kind" | "path", _) => {}
            ("session", Value::String(id)) => words.push(format!("session={}", plain(short(id)))),
            (_, Value::String(said)) if said.contains(' ') => {
                words.push(format!("{key}=\"{}\"", plain(said)));
            }
            _ => words.push(format!("{key}={}", text(value))),
        }
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_is_one_line_for_people() {
        let event = json!({
            "id": "1-2", "time": "2020-01-02T03:04:05Z", "kind": "sessionEnded", "path": "cam",
            "session": "0123abcd-0000-4000-8000-000000000000", "reason": "teardown", "message": "it is over",
        });
        let Value::Object(event) = event else {
            unreachable!("it is one")
        };
        let due = "2020-01-02T03:04:05Z sessionEnded cam message=\"it is over\" reason=teardown session=0123abcd";
        assert_eq!(sentence(&event), due);
    }
}
