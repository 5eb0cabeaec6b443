//! A page of metrics as Prometheus reads it: version 0.0.4 of its text format, by a reader of our own that owes nothing to
//! the code under test and takes no line that the format does not have.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::http;

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The metric.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its number.
    pub value: f64,
}

/// A page.
#[derive(Clone, Debug, Default)]
pub struct Scrape {
    /// As it came.
    pub text: String,
    /// All samples, in order.
    pub samples: Vec<Sample>,
    /// What families are, by name: `counter`, `gauge`, `histogram`.
    pub kinds: BTreeMap<String, String>,
}

impl Scrape {
    /// Scrapes a server; `query` begins with `?`, or is empty.
    ///
    /// # Panics
    /// When the server does not answer with a page that Prometheus reads.
    pub fn take(address: SocketAddr, query: &str) -> Self {
        let response = http::get(address, &format!("/metrics{query}"));
        assert_eq!(response.status, 200, "{}", response.text());
        let kind = response.header("content-type");
        assert_eq!(kind, Some("text/plain; version=0.0.4; charset=utf-8"));
        Self::read(&response.text()).unwrap_or_else(|line| panic!("no sample: {line}"))
    }

    /// Reads a page.
    ///
    /// # Errors
    /// The line that Prometheus would not read.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut scrape = Self {
            text: text.to_owned(),
            ..Self::default()
        };
        for line in text.lines() {
            if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').ok_or(line)?;
                scrape.kinds.insert(name.to_owned(), kind.to_owned());
            } else if !line.is_empty() && !line.starts_with('#') {
                scrape.samples.push(sample(line).ok_or(line)?);
            }
        }
        Ok(scrape)
    }

    /// The samples of this metric that have these labels, among others.
    pub fn all<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = &'a Sample> {
        let has = |sample: &Sample, (label, value): &(&str, &str)| {
            sample
                .labels
                .get(*label)
                .is_some_and(|found| found == value)
        };
        self.samples.iter().filter(move |sample| {
            sample.name == name && labels.iter().all(|label| has(sample, label))
        })
    }

    /// The sum of those; nothing if there are none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let values: Vec<f64> = self.all(name, labels).map(|sample| sample.value).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    /// Whether there is a sample or a family of this name.
    pub fn has(&self, name: &str) -> bool {
        let is_family = |family: &String| {
            let suffix = name.strip_prefix(family.as_str());
            suffix.is_some_and(|suffix| matches!(suffix, "" | "_bucket" | "_sum" | "_count"))
        };
        self.kinds.keys().any(is_family) || self.samples.iter().any(|sample| sample.name == name)
    }
}

/// `name{label="value",…} number`
fn sample(line: &str) -> Option<Sample> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(mut inside) = rest.strip_prefix('{') {
        loop {
            let (label, after) = inside.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            if !is_name(label) || labels.insert(label.to_owned(), value).is_some() {
                return None;
            }
            match after.strip_prefix(',') {
                Some(more) => inside = more,
                None => {
                    rest = after.strip_prefix('}')?;
                    break;
                }
            }
        }
    }
    let value = rest.strip_prefix(' ')?.parse().ok()?;
    is_name(name).then(|| Sample {
        name: name.to_owned(),
        labels,
        value,
    })
}

fn is_name(name: &str) -> bool {
    let is_part = |next: char| next.is_ascii_alphanumeric() || next == '_';
    name.starts_with(|first: char| first.is_ascii_alphabetic()) && name.chars().all(is_part)
}

/// A label's value up to its closing quote, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match characters.next()?.1 {
                'n' => '\n',
                escaped @ ('\\' | '"') => escaped,
                _ => return None,
            }),
            other => value.push(other),
        }
    }
    None
}
