//! `shardcast paths`: the paths of a server, or one of them.

use std::io::Write;

use chrono::Local;
use clap::Args;
use serde_json::Value;

use crate::api::{Api, encoded};
use crate::table::{Table, age, bytes, text, write_json};
use crate::{ClientError, Connect};

/// Arguments of `paths`.
#[derive(Args, Clone, Debug)]
pub struct PathsOptions {
    #[command(flatten)]
    connect: Connect,
    /// Write the API's JSON
    #[arg(long)]
    json: bool,
    /// Only this path, with all there is to say
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

pub(crate) fn run(options: &PathsOptions, out: &mut dyn Write) -> Result<(), ClientError> {
    let api = Api::new(&options.connect)?;
    let answer = match &options.name {
        Some(name) => api.get(&format!("/v3/paths/get/{}", encoded(name)))?,
        None => api.list("/v3/paths/list")?,
    };
    let written = match (options.json, &options.name) {
        (true, _) => write_json(&answer, out),
        (false, Some(_)) => one(&answer).write(out),
        (false, None) => all(&answer).write(out),
    };
    Ok(written?)
}

fn all(list: &Value) -> Table {
    let now = Local::now();
    let mut table = Table::new([
        "NAME", "STATE", "SINCE", "READERS", "RECEIVED", "SENT", "TRACKS",
    ]);
    for path in list["items"].as_array().into_iter().flatten() {
        table.add([
            text(&path["name"]),
            state(path).to_owned(),
            age(&path["availableTime"], now),
            readers(path).to_string(),
            bytes(&path["inboundBytes"]),
            bytes(&path["outboundBytes"]),
            tracks(path),
        ]);
    }
    table
}

fn one(path: &Value) -> Table {
    let mut table = Table::of_pairs();
    let mut add = |name: &str, value: String| table.add([name.to_owned(), value]);
    add("name", text(&path["name"]));
    add("configured as", text(&path["confName"]));
    add("state", state(path).to_owned());
    add("since", text(&path["availableTime"]));
    add("source", peer(&path["source"]));
    add("tracks", tracks(path));
    add("received", bytes(&path["inboundBytes"]));
    add("sent", bytes(&path["outboundBytes"]));
    add("readers", readers(path).to_string());
    for reader in path["readers"].as_array().into_iter().flatten() {
        add("", peer(reader));
    }
    table
}

/// A stream without a publisher waits for the next one.
fn state(path: &Value) -> &'static str {
    let is = |key: &str| path[key].as_bool().unwrap_or_default();
    match (is("available"), is("online")) {
        (true, true) => "ready",
        (true, false) => "waiting",
        (false, _) => "not ready",
    }
}

fn readers(path: &Value) -> usize {
    path["readers"].as_array().map_or(0, Vec::len)
}

fn tracks(path: &Value) -> String {
    let tracks = path["tracks"].as_array().into_iter().flatten();
    tracks.map(text).collect::<Vec<_>>().join(", ")
}

fn peer(peer: &Value) -> String {
    match peer.is_object() {
        true => format!("{} {}", text(&peer["type"]), text(&peer["id"])),
        false => String::new(),
    }
}
