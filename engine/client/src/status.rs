//! `shardcast status`: what a server is, whether it is well, and how much goes through it.

use std::io::Write;

use chrono::Local;
use clap::Args;
use serde_json::{Value, json};

use crate::api::Api;
use crate::table::{Table, age, bytes, text, write_json};
use crate::{ClientError, Connect, sessions};

/// Arguments of `status`.
#[derive(Args, Clone, Debug)]
pub struct StatusOptions {
    #[command(flatten)]
    connect: Connect,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &StatusOptions, out: &mut dyn Write) -> Result<(), ClientError> {
    let api = Api::new(&options.connect)?;
    let info = api.get("/v3/info")?;
    // A server that does not take more says so with an error, which is an answer here.
    let ready = match api.get("/readyz") {
        Err(ClientError::Refused { status: 503, .. }) => json!({ "status": "error" }),
        other => other?,
    };
    let paths = api.list("/v3/paths/list")?;
    let sessions = sessions::all(&api)?;
    let limits = api.get("/v3/limits")?;
    let status = json!({
        "info": info,
        "ready": ready,
        "paths": counts(&paths, "ready", &["true"]),
        "sessions": counts(&sessions, "state", &["publish", "read", "idle"]),
        "limits": limits["items"],
        "inboundBytes": sum(&paths, "inboundBytes"),
        "outboundBytes": sum(&paths, "outboundBytes"),
    });
    match options.json {
        true => write_json(&status, out)?,
        false => table(&status).write(out)?,
    }
    Ok(())
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list["items"].as_array().into_iter().flatten()
}

fn sum(list: &Value, key: &str) -> u64 {
    let numbers = items(list).filter_map(|item| item[key].as_u64());
    numbers.fold(0, u64::saturating_add)
}

/// How many items there are, and how many have each of these values under `key`.
fn counts(list: &Value, key: &str, values: &[&str]) -> Value {
    let mut counts = json!({ "total": items(list).count() });
    for value in values {
        let name = if *value == "true" { key } else { *value };
        let has = |item: &&Value| text(&item[key]) == *value;
        counts[name] = json!(items(list).filter(has).count());
    }
    counts
}

fn table(status: &Value) -> Table {
    let mut table = Table::of_pairs();
    let mut add = |name: &str, value: String| table.add([name.to_owned(), value]);
    let (info, paths, sessions) = (&status["info"], &status["paths"], &status["sessions"]);
    let started = &info["started"];
    add("version", text(&info["version"]));
    let since = format!("{} ({} ago)", text(started), age(started, Local::now()));
    add("started", since);
    let word = match status["ready"]["status"] == "ok" {
        true => "yes",
        false => "no",
    };
    add("ready", word.to_owned());
    add(
        "paths",
        format!("{}, {} ready", paths["total"], paths["ready"]),
    );
    let (publish, read) = (&sessions["publish"], &sessions["read"]);
    let total = &sessions["total"];
    add(
        "sessions",
        format!("{total}, {publish} publish, {read} read"),
    );
    add("received", bytes(&status["inboundBytes"]));
    add("sent", bytes(&status["outboundBytes"]));
    for limit in status["limits"].as_array().into_iter().flatten() {
        if let Some(told) = told_limit(limit) {
            add(&text(&limit["name"]), told);
        }
    }
    table
}

/// What is taken of a limit; nothing where there is none.
fn told_limit(limit: &Value) -> Option<String> {
    let most = limit["limit"].as_u64()?;
    let amount = |value: &Value| match limit["unit"].as_str() {
        Some("bytes") => bytes(value),
        Some("percent") => format!("{} %", text(value)),
        Some(unit) => format!("{} {unit}", text(value)),
        None => text(value),
    };
    let (used, most) = (amount(&limit["used"]), amount(&json!(most)));
    let refused = match limit["refused"].as_u64() {
        None | Some(0) => String::new(),
        Some(refused) => format!(", {refused} refused"),
    };
    Some(format!("{used} of {most}{refused}"))
}
