//! `shardcast config`: the configuration of a running server, shown and changed.

use std::io::{Read, Write};

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use ureq::http::Method;

use crate::api::{Api, encoded};
use crate::table::{Table, plain, text, write_json};
use crate::{ClientError, Connect};

/// The longest file of changes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Arguments of `config`.
#[derive(Args, Clone, Debug)]
pub struct ConfigOptions {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Subcommand, Clone, Debug)]
enum ConfigCommand {
    /// Show the configuration, or a part of it
    Get(GetOptions),
    /// Change keys
    Set(SetOptions),
    /// Change what a file of JSON says
    Patch(PatchOptions),
    /// Add a path
    Add(AddOptions),
    /// Delete a path
    Delete(DeleteOptions),
    /// Show in what the configuration differs from its file
    Changes(ChangesOptions),
    /// Go back to what the configuration's file says
    Revert(RevertOptions),
}

#[derive(Args, Clone, Debug)]
struct GetOptions {
    #[command(flatten)]
    connect: Connect,
    /// Write the API's JSON
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Subcommand, Clone, Debug)]
enum Part {
    /// What is no path's (the default)
    Global,
    /// What paths have unless they say otherwise
    Pathdefaults,
    /// A path's
    Path {
        /// As the configuration names it
        name: String,
    },
    /// The paths' names
    Paths,
}

/// Where a change goes.
#[derive(Args, Clone, Debug)]
struct Place {
    /// Change this path's, as the configuration names it
    #[arg(long, value_name = "NAME")]
    path: Option<String>,
    /// Change what paths have unless they say otherwise
    #[arg(long, conflicts_with = "path")]
    defaults: bool,
    /// Keep it when the server starts again
    #[arg(long)]
    persist: bool,
}

#[derive(Args, Clone, Debug)]
struct SetOptions {
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    place: Place,
    /// Keys and their values: text, or JSON where the key is no text
    #[arg(value_name = "KEY=VALUE", required = true)]
    pairs: Vec<String>,
}

#[derive(Args, Clone, Debug)]
struct PatchOptions {
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    place: Place,
    /// A file of JSON; - is standard input
    #[arg(value_name = "FILE")]
    file: String,
}

#[derive(Args, Clone, Debug)]
struct AddOptions {
    #[command(flatten)]
    connect: Connect,
    /// Keep it when the server starts again
    #[arg(long)]
    persist: bool,
    /// As the configuration is to name it
    #[arg(value_name = "NAME")]
    name: String,
    /// Keys and their values
    #[arg(value_name = "KEY=VALUE")]
    pairs: Vec<String>,
}

#[derive(Args, Clone, Debug)]
struct DeleteOptions {
    #[command(flatten)]
    connect: Connect,
    /// Keep it when the server starts again
    #[arg(long)]
    persist: bool,
    /// As the configuration names it
    #[arg(value_name = "NAME")]
    name: String,
}

#[derive(Args, Clone, Debug)]
struct ChangesOptions {
    #[command(flatten)]
    connect: Connect,
    /// Write the API's JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Clone, Debug)]
struct RevertOptions {
    #[command(flatten)]
    connect: Connect,
}

pub(crate) fn run(options: &ConfigOptions, out: &mut dyn Write) -> Result<(), ClientError> {
    match &options.command {
        ConfigCommand::Get(options) => get(options, out),
        ConfigCommand::Set(options) => {
            let pairs = split(&options.pairs)?;
            let api = Api::new(&options.connect)?;
            let now = api.get(&target(&options.place, "get"))?;
            let body = object(&pairs, &now);
            change(&api, &options.place, &body)
        }
        ConfigCommand::Patch(options) => {
            let body = read_file(&options.file)?;
            change(&Api::new(&options.connect)?, &options.place, &body)
        }
        ConfigCommand::Add(options) => add(options),
        ConfigCommand::Delete(options) => {
            let target = format!("/v3/config/paths/delete/{}", encoded(&options.name));
            let target = kept(target, options.persist);
            let api = Api::new(&options.connect)?;
            api.ask(Method::DELETE, &target, None).map(drop)
        }
        ConfigCommand::Changes(options) => {
            let list = Api::new(&options.connect)?.list("/v3/config/changes")?;
            match options.json {
                true => write_json(&list, out)?,
                false => changes(&list).write(out)?,
            }
            Ok(())
        }
        ConfigCommand::Revert(options) => {
            let api = Api::new(&options.connect)?;
            api.ask(Method::DELETE, "/v3/config/changes", None)
                .map(drop)
        }
    }
}

fn get(options: &GetOptions, out: &mut dyn Write) -> Result<(), ClientError> {
    let api = Api::new(&options.connect)?;
    let answer = match &options.part {
        None | Some(Part::Global) => api.get("/v3/config/global/get")?,
        Some(Part::Pathdefaults) => api.get("/v3/config/pathdefaults/get")?,
        Some(Part::Path { name }) => api.get(&format!("/v3/config/paths/get/{}", encoded(name)))?,
        Some(Part::Paths) => {
            let list = api.list("/v3/config/paths/list")?;
            return names(&list, options.json, out);
        }
    };
    show(&answer, options.json, out)
}

/// A key and its value on each line.
fn show(answer: &Value, json: bool, out: &mut dyn Write) -> Result<(), ClientError> {
    match (json, answer) {
        (false, Value::Object(keys)) => {
            let mut table = Table::of_pairs();
            for (key, value) in keys {
                table.add([plain(key), text(value)]);
            }
            table.write(out)?;
        }
        _ => write_json(answer, out)?,
    }
    Ok(())
}

fn names(list: &Value, json: bool, out: &mut dyn Write) -> Result<(), ClientError> {
    if json {
        return Ok(write_json(list, out)?);
    }
    for path in list["items"].as_array().into_iter().flatten() {
        writeln!(out, "{}", text(&path["name"]))?;
    }
    Ok(())
}

fn changes(list: &Value) -> Table {
    let mut table = Table::new(["KEY", "FILE", "NOW", "KEPT", "AFTER RESTART"]);
    for change in list["items"].as_array().into_iter().flatten() {
        let yes = |key: &str| match change[key] == true {
            true => "yes".to_owned(),
            false => String::new(),
        };
        table.add([
            text(&change["key"]),
            text(&change["file"]),
            text(&change["now"]),
            yes("persisted"),
            yes("restart"),
        ]);
    }
    table
}

fn add(options: &AddOptions) -> Result<(), ClientError> {
    let pairs = split(&options.pairs)?;
    let api = Api::new(&options.connect)?;
    let defaults = match pairs.is_empty() {
        true => Value::Null,
        false => api.get("/v3/config/pathdefaults/get")?,
    };
    let body = object(&pairs, &defaults);
    let target = format!("/v3/config/paths/add/{}", encoded(&options.name));
    let target = kept(target, options.persist);
    api.ask(Method::POST, &target, Some(&body)).map(drop)
}

fn change(api: &Api, place: &Place, body: &Value) -> Result<(), ClientError> {
    let target = kept(target(place, "patch"), place.persist);
    api.ask(Method::PATCH, &target, Some(body)).map(drop)
}

fn target(place: &Place, verb: &str) -> String {
    match (&place.path, place.defaults) {
        (Some(name), _) => format!("/v3/config/paths/{verb}/{}", encoded(name)),
        (None, true) => format!("/v3/config/pathdefaults/{verb}"),
        (None, false) => format!("/v3/config/global/{verb}"),
    }
}

fn kept(target: String, persist: bool) -> String {
    match persist {
        true => target + "?persist=true",
        false => target,
    }
}

fn split(pairs: &[String]) -> Result<Vec<(&str, &str)>, ClientError> {
    let split = pairs.iter().map(|pair| {
        let split = pair.split_once('=').filter(|(key, _)| !key.is_empty());
        split.ok_or_else(|| ClientError::Usage(format!("'{pair}' is no KEY=VALUE")))
    });
    split.collect()
}

/// `pairs` as an object whose values have the types that they have `now`.
fn object(pairs: &[(&str, &str)], now: &Value) -> Value {
    let typed = |(key, value): &(&str, &str)| ((*key).to_owned(), typed(value, &now[*key]));
    Value::Object(pairs.iter().map(typed).collect::<Map<_, _>>())
}

/// What a key that is text is given stays text, be it a number; what makes no JSON is text too.
fn typed(value: &str, now: &Value) -> Value {
    match (now, value) {
        (Value::String(_), _) => json!(value),
        (Value::Bool(_), "yes") => json!(true),
        (Value::Bool(_), "no") => json!(false),
        _ => serde_json::from_str(value).unwrap_or_else(|_| json!(value)),
    }
}

fn read_file(file: &str) -> Result<Value, ClientError> {
    let mut text = String::new();
    let read = match file {
        "-" => std::io::stdin()
            .take(FILE_BYTES_MAX)
            .read_to_string(&mut text),
        _ => std::fs::File::open(file)
            .and_then(|open| open.take(FILE_BYTES_MAX).read_to_string(&mut text)),
    };
    let file = file.to_owned();
    if let Err(error) = read {
        return Err(ClientError::File { file, error });
    }
    serde_json::from_str(&text).map_err(|error| ClientError::Usage(format!("{file}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_types_that_they_have_now() {
        let now = json!({ "logLevel": "info", "user": "", "api": true, "n": 4, "list": [] });
        let pairs = [
            "logLevel=debug",
            "user=123",
            "api=no",
            "n=5",
            "list=[\"a\"]",
            "new=a=b",
        ];
        let pairs = pairs.map(str::to_owned);
        let due = json!({
            "logLevel": "debug", "user": "123", "api": false, "n": 5, "list": ["a"], "new": "a=b",
        });
        assert_eq!(object(&split(&pairs).unwrap(), &now), due);
        for wrong in ["logLevel", "=debug"] {
            let refused = split(&[wrong.to_owned()]).map(|_| ()).unwrap_err();
            assert_eq!(refused.exit_status(), 2);
        }
    }
}
