//! `shardcast kick`: ends sessions.

use std::io::Write;

use clap::Args;
use ureq::http::Method;

use crate::api::{Api, encoded};
use crate::sessions::{self, KINDS, short};
use crate::{ClientError, Connect};

/// Arguments of `kick`.
#[derive(Args, Clone, Debug)]
pub struct KickOptions {
    #[command(flatten)]
    connect: Connect,
    /// Sessions: their ids, or the eight digits that the log shows
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
}

/// Goes on after one that is not there, and says so in the end.
pub(crate) fn run(options: &KickOptions, out: &mut dyn Write) -> Result<(), ClientError> {
    let api = Api::new(&options.connect)?;
    let mut missing = Vec::new();
    for id in &options.ids {
        match kick(&api, id) {
            Ok(full) => writeln!(out, "kicked {full}")?,
            Err(ClientError::NotFound(_)) => missing.push(id.as_str()),
            Err(error) => return Err(error),
        }
    }
    match missing.is_empty() {
        true => Ok(()),
        false => {
            let message = format!("no such session: {}", missing.join(", "));
            Err(ClientError::NotFound(message))
        }
    }
}

fn kick(api: &Api, id: &str) -> Result<String, ClientError> {
    let full = match id.len() == short(id).len() {
        true => lengthen(api, id)?,
        false => id.to_owned(),
    };
    let mut last = ClientError::NotFound(id.to_owned());
    for kind in KINDS {
        let target = format!("/v3/{kind}/kick/{}", encoded(&full));
        match api.ask(Method::POST, &target, None) {
            Ok(_) => return Ok(full),
            Err(error @ ClientError::NotFound(_)) => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

/// The id that begins with these digits; of two that do, neither is meant for sure.
fn lengthen(api: &Api, digits: &str) -> Result<String, ClientError> {
    let list = sessions::all(api)?;
    let items = list["items"].as_array().into_iter().flatten();
    let ids = items.filter_map(|session| session["id"].as_str());
    let wanted = digits.to_ascii_lowercase();
    let mut matching = ids.filter(|id| short(id) == wanted);
    match (matching.next(), matching.next()) {
        (Some(id), None) => Ok(id.to_owned()),
        (None, _) => Err(ClientError::NotFound(digits.to_owned())),
        (Some(_), Some(_)) => {
            let message = format!("{digits} is the begin of several ids: use a whole one");
            Err(ClientError::Usage(message))
        }
    }
}
