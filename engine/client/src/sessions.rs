//! `shardcast sessions`: who publishes to a server and reads from it.

use std::io::Write;

use chrono::Local;
use clap::Args;
use serde_json::{Value, json};

use crate::api::Api;
use crate::table::{Table, age, bytes, text, write_json};
use crate::{ClientError, Connect};

/// The API's lists of sessions. A server that does not have one of them has no such sessions.
pub(crate) const KINDS: [&str; 2] = ["rtspsessions", "rtspssessions"];

/// Digits of an id that the log shows.
const SHORT_ID_DIGITS: usize = 8;

/// Arguments of `sessions`.
#[derive(Args, Clone, Debug)]
pub struct SessionsOptions {
    #[command(flatten)]
    connect: Connect,
    /// Write the API's JSON
    #[arg(long)]
    json: bool,
    /// Only those on this path
    #[arg(long, value_name = "NAME")]
    path: Option<String>,
}

pub(crate) fn run(options: &SessionsOptions, out: &mut dyn Write) -> Result<(), ClientError> {
    let api = Api::new(&options.connect)?;
    let mut list = all(&api)?;
    if let (Some(path), Value::Array(items)) = (&options.path, &mut list["items"]) {
        items.retain(|session| session["path"] == path.as_str());
        let count = items.len();
        list["itemCount"] = json!(count);
        list["pageCount"] = json!(count.min(1));
    }
    match options.json {
        true => write_json(&list, out)?,
        false => table(&list).write(out)?,
    }
    Ok(())
}

/// All sessions of all kinds, as one page.
pub(crate) fn all(api: &Api) -> Result<Value, ClientError> {
    let mut items = Vec::new();
    for kind in KINDS {
        match api.list(&format!("/v3/{kind}/list")) {
            Ok(mut list) => {
                if let Value::Array(more) = list["items"].take() {
                    items.extend(more);
                }
            }
            Err(ClientError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    let count = items.len();
    Ok(json!({ "itemCount": count, "pageCount": count.min(1), "items": items }))
}

/// As the log names a session.
pub(crate) fn short(id: &str) -> &str {
    id.get(..SHORT_ID_DIGITS).unwrap_or(id)
}

fn table(list: &Value) -> Table {
    let now = Local::now();
    let mut table = Table::new([
        "ID",
        "STATE",
        "PATH",
        "TRANSPORT",
        "PEER",
        "USER",
        "SINCE",
        "RECEIVED",
        "SENT",
        "LOST",
    ]);
    for session in list["items"].as_array().into_iter().flatten() {
        table.add([
            short(&text(&session["id"])).to_owned(),
            text(&session["state"]),
            text(&session["path"]),
            text(&session["transport"]),
            text(&session["remoteAddr"]),
            text(&session["user"]),
            age(&session["created"], now),
            bytes(&session["inboundBytes"]),
            bytes(&session["outboundBytes"]),
            lost(session),
        ]);
    }
    table
}

/// Packets that have not arrived here or there, or were not sent because a reader was too slow.
fn lost(session: &Value) -> String {
    const LOSSES: [&str; 3] = [
        "inboundRTPPacketsLost",
        "outboundRTPPacketsReportedLost",
        "outboundRTPPacketsDiscarded",
    ];
    let losses = LOSSES.iter().filter_map(|key| session[*key].as_u64());
    losses.fold(0, u64::saturating_add).to_string()
}
