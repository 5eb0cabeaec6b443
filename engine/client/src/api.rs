//! Questions to the Control API, and its lists, which come in pages.

use std::io::Read;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use ureq::http::{Method, Request, Response};
use ureq::{Body, RequestExt as _};

use crate::ClientError;
use crate::connect::{Connect, Way};

/// The longest answer that is read: a list's page of a thousand items takes a few megabytes.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Items that are asked for at once; the API gives no more.
const ITEMS_PER_PAGE: usize = 1000;

/// Pages that are asked for: a million items, more than a server has.
const PAGES_MAX: u64 = 1000;

/// What stays as it is in a path's segments (RFC 3986, section 2.3), and the slash, which names have between their parts.
const NAME: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// The API of one server.
pub(crate) struct Api {
    way: Way,
}

impl Api {
    pub(crate) fn new(connect: &Connect) -> Result<Self, ClientError> {
        let way = connect.way()?;
        Ok(Self { way })
    }

    /// GETs `target`.
    pub(crate) fn get(&self, target: &str) -> Result<Value, ClientError> {
        self.ask(Method::GET, target, None)
    }

    /// Sends `body`, if there is one, to `target`.
    pub(crate) fn ask(
        &self,
        method: Method,
        target: &str,
        body: Option<&Value>,
    ) -> Result<Value, ClientError> {
        let mut response = self.send(method, target, &[], body)?;
        let is_ok = response.status().is_success();
        let answer = self.read(&mut response);
        match is_ok {
            true => answer,
            false => Err(refused(&response, answer.ok())),
        }
    }

    /// A response whose body has no end. Other answers are errors.
    pub(crate) fn open(
        &self,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Result<Response<Body>, ClientError> {
        let mut response = self.send(Method::GET, target, headers, None)?;
        match response.status().is_success() {
            true => Ok(response),
            false => {
                let answer = self.read(&mut response).ok();
                Err(refused(&response, answer))
            }
        }
    }

    /// All items of a list, as one page, with what the first one says beside them.
    pub(crate) fn list(&self, target: &str) -> Result<Value, ClientError> {
        let mut whole = self.page(target, 0)?;
        let pages = whole["pageCount"].as_u64();
        let pages = pages.ok_or_else(|| self.unexpected("a list has no pageCount"))?;
        let mut items = take_items(&mut whole);
        for page in 1..pages.min(PAGES_MAX) {
            items.extend(take_items(&mut self.page(target, page)?));
        }
        whole["itemCount"] = json!(items.len());
        whole["pageCount"] = json!(items.len().min(1));
        whole["items"] = Value::Array(items);
        Ok(whole)
    }

    fn page(&self, target: &str, page: u64) -> Result<Value, ClientError> {
        self.get(&format!(
            "{target}?page={page}&itemsPerPage={ITEMS_PER_PAGE}"
        ))
    }

    fn send(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Response<Body>, ClientError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{target}", self.way.base));
        if let Some(authorization) = &self.way.authorization {
            request = request.header("authorization", authorization);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let sent = match body {
            Some(body) => {
                let request = request.header("content-type", "application/json");
                request.body(body.to_string()).map(|request| {
                    let agent = request.with_agent(&self.way.agent);
                    agent.run()
                })
            }
            None => request.body(()).map(|request| {
                let agent = request.with_agent(&self.way.agent);
                agent.run()
            }),
        };
        let sent = sent.map_err(|error| ClientError::Usage(error.to_string()))?;
        sent.map_err(|error| self.unreachable(error))
    }

    fn read(&self, response: &mut Response<Body>) -> Result<Value, ClientError> {
        let mut bytes = Vec::new();
        let mut body = response.body_mut().as_reader().take(ANSWER_BYTES_MAX);
        body.read_to_end(&mut bytes)
            .map_err(|error| self.unexpected(&error.to_string()))?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).map_err(|error| self.unexpected(&error.to_string()))
    }

    pub(crate) fn unreachable(&self, error: ureq::Error) -> ClientError {
        ClientError::Unreachable {
            api: self.way.api.clone(),
            error: Box::new(error),
        }
    }

    pub(crate) fn unexpected(&self, what: &str) -> ClientError {
        ClientError::Unexpected {
            api: self.way.api.clone(),
            what: what.to_owned(),
        }
    }
}

/// `name` as a part of a target.
pub(crate) fn encoded(name: &str) -> String {
    utf8_percent_encode(name, NAME).to_string()
}

fn take_items(list: &mut Value) -> Vec<Value> {
    match list["items"].take() {
        Value::Array(items) => items,
        _ => Vec::new(),
    }
}

fn refused(response: &Response<Body>, answer: Option<Value>) -> ClientError {
    let status = response.status();
    let said = answer.and_then(|answer| answer["error"].as_str().map(str::to_owned));
    let message = said.unwrap_or_else(|| status.canonical_reason().unwrap_or("refused").to_owned());
    match status.as_u16() {
        404 => ClientError::NotFound(message),
        401 => ClientError::Refused {
            status: 401,
            message: format!("{message} (--user and --pass)"),
        },
        status => ClientError::Refused { status, message },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_but_for_their_slashes() {
        assert_eq!(encoded("cam/one two?#%"), "cam/one%20two%3F%23%25");
        assert_eq!(encoded("~^a-z_.*$"), "~%5Ea-z_.%2A%24");
    }
}
