//! What a key takes: the types of values, their reading and their limits.
//!
//! Used by the key tables (`keys`); reads one node of the tree into a value, of which
//! [`Kind::normal`] tells whether two mean the same. Every key is checked, built or not.

use std::time::Duration;

use crate::access::PathRule;
use crate::credential::Credential;
use crate::error::Report;
use crate::nearest;
use crate::network::Network;
use crate::place::Place;
use crate::tree::{Content, Entry, Node, Written, quoted};
use crate::units;

/// The most items of a list value, `paths` aside.
const LIST_ITEMS_MAX: usize = 10_000;

/// The type of a key's value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// `yes` or `no`.
    Switch,
    /// A whole number in a range.
    Count(i64, i64),
    /// 2, 4, 8 …: a queue of packets in MediaMTX.
    PowerOfTwo,
    /// A number.
    Decimal,
    /// A duration; the shortest and the longest.
    Span(Duration, Duration),
    /// Bytes; the fewest and the most.
    Size(i64, i64),
    /// Bits per second.
    BitRate,
    /// `auto` or something else.
    Automatic(&'static Self),
    /// Any text.
    Text,
    /// `host:port` or `:port`.
    Listen,
    /// As `Listen`, or `unix://path`, or empty.
    Address,
    /// Where a stream comes from.
    Source,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Some of these words, in any order.
    Choices(&'static [&'static str]),
    /// A list of texts.
    Texts,
    /// A list of numbers.
    Decimals,
    /// A list of addresses and networks, in any order.
    Networks,
    /// An IPv4 network of multicast addresses.
    MulticastRange,
    /// A user name or password, plain or hashed, or empty. Errors never repeat it.
    Credential,
    /// The path of a permission: a name, a regular expression after `~`, or empty.
    PathRule,
    /// A list of maps with these keys, in any order.
    Records(&'static [Field]),
}

/// A key of a map in a list. Its default is text; empty is nothing.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: &'static str,
}

pub(crate) const fn field(name: &'static str, kind: Kind, default: &'static str) -> Field {
    Field {
        name,
        kind,
        default,
    }
}

/// A checked value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Value {
    Switch(bool),
    Count(i64),
    Span(Duration),
    /// Texts and words; decimals too, as Rust prints them.
    Text(String),
    Credential(Credential),
    /// In the order in which it was written, words aside, which are sorted.
    List(Vec<Self>),
    /// Sorted by name, without fields that have their default.
    Record(Vec<(&'static str, Self)>),
}

/// The schemes of `source`.
const SOURCE_SCHEMES: [&str; 19] = [
    "rtsp",
    "rtsps",
    "rtsp+http",
    "rtsps+http",
    "rtsp+ws",
    "rtsps+ws",
    "rtmp",
    "rtmps",
    "http",
    "https",
    "udp",
    "udp+mpegts",
    "unix+mpegts",
    "udp+rtp",
    "unix+rtp",
    "srt",
    "whep",
    "wheps",
    "moqt",
];

impl Kind {
    /// Reads `node`, the value of `key`. `None`: it is wrong, and `report` says so.
    pub(crate) fn read(&self, key: &str, node: &Node, report: &mut Report) -> Option<Value> {
        let read = match (self, &node.content) {
            (Self::Records(fields), _) => return read_records(key, fields, node, report),
            (_, Content::Text(text)) if self.is_list() => (node.written == Written::Freely)
                .then(|| self.read_items(split_list(text)))
                .flatten(),
            (_, Content::List(items)) if self.is_list() => {
                let texts = items.iter().map(|item| match &item.content {
                    Content::Text(text) if self.takes(item.written, text) => Some(text.as_str()),
                    _ => None,
                });
                texts
                    .collect::<Option<Vec<_>>>()
                    .and_then(|texts| self.read_items(texts))
            }
            (_, Content::Text(text)) if self.takes(node.written, text) => self.read_scalar(text),
            _ => None,
        };
        if read.is_none() {
            report.add(&node.place, || self.misread(key, node));
        }
        read
    }

    /// What is wrong with `node`.
    fn misread(&self, key: &str, node: &Node) -> String {
        match (self, &node.content) {
            (Self::Credential, Content::Text(text)) => {
                format!("{key}: expected {}", Credential::expected(text))
            }
            (Self::PathRule, Content::Text(text)) => {
                let expected = PathRule::parse(text).err().unwrap_or_default();
                format!("{key}: expected {expected}, found {}", node.found())
            }
            _ => {
                let (expected, found) = (self.expected(), node.found());
                format!("{key}: expected {expected}, found {found}")
            }
        }
    }

    /// The value that `text` of a table stands for.
    pub(crate) fn read_default(&self, text: &str) -> Option<Value> {
        let mut report = Report::default();
        let place = Place::File { line: 0, column: 0 };
        let node = match self {
            Self::Records(_) if !text.is_empty() => crate::yaml::read(text, &mut report)?,
            Self::Choice(_) if text.is_empty() => return Some(Value::Text(String::new())),
            _ => Node::text(text, place),
        };
        self.read("", &node, &mut report)
    }

    /// Whether a scalar of this type, or an item of it in a list, can be meant.
    fn takes(&self, written: Written, text: &str) -> bool {
        let is_number = matches!(
            self,
            Self::Count(..) | Self::PowerOfTwo | Self::Decimal | Self::Decimals
        );
        match (self, written) {
            (_, Written::Freely) => true,
            (Self::Automatic(_), Written::Text) if text == "auto" => true,
            (Self::Automatic(kind), _) => kind.takes(written, text),
            (_, Written::Switch) => matches!(self, Self::Switch),
            (_, Written::Number) => is_number,
            (_, Written::Text) => !is_number && !matches!(self, Self::Switch),
        }
    }

    /// `value` in the one form in which two that mean the same are equal: sorted where order
    /// means nothing.
    pub(crate) fn normal(&self, value: &Value) -> Value {
        match (self, value) {
            (Self::Networks, Value::List(items)) => {
                let mut items = items.clone();
                items.sort();
                items.dedup();
                Value::List(items)
            }
            (Self::Records(fields), Value::List(records)) => {
                let records = records.iter().map(|record| normal_record(fields, record));
                let mut records: Vec<Value> = records.collect();
                records.sort();
                Value::List(records)
            }
            _ => value.clone(),
        }
    }

    /// Whether a list is taken, also as text with commas.
    fn is_list(&self) -> bool {
        matches!(
            self,
            Self::Choices(_) | Self::Texts | Self::Decimals | Self::Networks
        )
    }

    fn read_items(&self, texts: Vec<&str>) -> Option<Value> {
        if texts.len() > LIST_ITEMS_MAX {
            return None;
        }
        let items = texts.into_iter().map(|text| self.read_item(text));
        let mut items = items.collect::<Option<Vec<_>>>()?;
        if matches!(self, Self::Choices(_)) {
            items.sort();
            items.dedup();
        }
        Some(Value::List(items))
    }

    fn read_item(&self, text: &str) -> Option<Value> {
        match self {
            Self::Choices(words) => word(text, words).map(Value::Text),
            Self::Decimals => decimal(text),
            Self::Networks => {
                let network = Network::parse(text)?;
                Some(Value::Text(network.to_string()))
            }
            _ => Some(Value::Text(text.to_owned())),
        }
    }

    fn read_scalar(&self, text: &str) -> Option<Value> {
        let whole = || text.parse::<i64>().ok();
        match self {
            Self::Switch => units::switch(text).map(Value::Switch),
            Self::Count(min, max) => whole().filter(|n| min <= n && n <= max).map(Value::Count),
            Self::PowerOfTwo => {
                let power = |n: &i64| u32::try_from(*n).is_ok_and(u32::is_power_of_two);
                whole().filter(power).map(Value::Count)
            }
            Self::Decimal => decimal(text),
            Self::Span(min, max) => {
                let span = units::duration(text).filter(|span| min <= span && span <= max);
                span.map(Value::Span)
            }
            Self::Size(min, max) => {
                let size = units::size(text).filter(|size| min <= size && size <= max);
                size.map(Value::Count)
            }
            Self::BitRate => units::bit_rate(text).map(Value::Count),
            Self::Automatic(_) if text == "auto" => Some(Value::Text(text.to_owned())),
            Self::Automatic(kind) => kind.read_scalar(text),
            Self::Listen => is_listen(text).then(|| Value::Text(text.to_owned())),
            Self::Address => is_address(text).then(|| Value::Text(text.to_owned())),
            Self::Source => is_source(text).then(|| Value::Text(text.to_owned())),
            Self::Choice(words) => word(text, words).map(Value::Text),
            Self::MulticastRange => {
                let range = Network::parse(text).filter(Network::is_multicast)?;
                Some(Value::Text(range.to_string()))
            }
            Self::Credential if !text.is_empty() => Credential::parse(text).map(Value::Credential),
            Self::PathRule => PathRule::parse(text)
                .ok()
                .map(|_| Value::Text(text.to_owned())),
            _ => Some(Value::Text(text.to_owned())),
        }
    }

    /// What an error says was expected.
    pub(crate) fn expected(&self) -> String {
        match self {
            Self::Switch => "yes or no".to_owned(),
            Self::Count(min, i64::MAX) => format!("a whole number of at least {min}"),
            Self::Count(min, max) => format!("a whole number from {min} to {max}"),
            Self::PowerOfTwo => "a power of two".to_owned(),
            Self::Decimal => "a number".to_owned(),
            Self::Span(min, max) => {
                let range = limits(min, &Duration::ZERO, max, &Duration::MAX);
                format!("a duration such as 10s, 1h30m or 1d{range}")
            }
            Self::Size(min, max) => {
                let range = limits(min, &0, max, &i64::MAX);
                format!("a size in bytes such as 256K or 50M{range}")
            }
            Self::BitRate => "bits per second such as 100M".to_owned(),
            Self::Automatic(kind) => format!("auto or {}", kind.expected()),
            Self::Text => "text".to_owned(),
            Self::Listen => "an address as host:port or :port".to_owned(),
            Self::Address => "an address as host:port, :port or unix://path".to_owned(),
            Self::Source => "publisher, redirect, rpiCamera or the URL of a source".to_owned(),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::Choices(words) => format!("a list of {}", words.join(", ")),
            Self::Texts => "a list of texts".to_owned(),
            Self::Decimals => "a list of numbers".to_owned(),
            Self::Networks => "a list of IP addresses or networks as 10.0.0.0/8".to_owned(),
            Self::MulticastRange => {
                "a network of multicast addresses such as 224.1.0.0/16".to_owned()
            }
            Self::Credential => "a user name or password".to_owned(),
            Self::PathRule => "a path, or a regular expression after '~'".to_owned(),
            Self::Records(_) => "a list of maps".to_owned(),
        }
    }
}

/// `, at least …, at most …` where there are such limits.
fn limits<T: PartialEq + std::fmt::Debug>(min: &T, lowest: &T, max: &T, highest: &T) -> String {
    let mut text = String::new();
    if min != lowest {
        text += &format!(", at least {min:?}");
    }
    if max != highest {
        text += &format!(", at most {max:?}");
    }
    text
}

/// The items of a list that is written as text; the empty text is the empty list.
fn split_list(text: &str) -> Vec<&str> {
    match text {
        "" => Vec::new(),
        text => text.split(',').map(str::trim).collect(),
    }
}

/// `text` if it is one of `words`, a switch's spelling included: `yes` also stands for
/// `strict` where that is a word, and `true` for `yes`.
fn word(text: &str, words: &[&str]) -> Option<String> {
    let same: &[&str] = match units::switch(text) {
        Some(true) => &["yes", "strict"],
        Some(false) => &["no"],
        None => &[],
    };
    let known = |candidate: &&str| words.contains(candidate);
    let mut candidates = std::iter::once(&text).chain(same);
    candidates
        .find(|candidate| known(candidate))
        .map(ToString::to_string)
}

fn decimal(text: &str) -> Option<Value> {
    let number = text
        .parse::<f64>()
        .ok()
        .filter(|number| number.is_finite())?;
    Some(Value::Text(number.to_string()))
}

/// `:8554`, `127.0.0.1:8554`, `host:8554`, `[::1]:8554`.
fn is_listen(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let bracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let host_is_right = match bracketed {
        Some(inner) => inner.contains(':'),
        None => !host.contains([':', '[', ']', '/']) && !host.contains(char::is_whitespace),
    };
    host_is_right && port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
}

fn is_address(text: &str) -> bool {
    text.is_empty() || text.starts_with("unix://") || is_listen(text)
}

fn is_source(text: &str) -> bool {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    ["publisher", "redirect", "rpiCamera"].contains(&text)
        || scheme.is_some_and(|scheme| SOURCE_SCHEMES.contains(&scheme))
}

/// Reads a list of maps. The empty text is the empty list, so that a variable can say it.
fn read_records(
    key: &str,
    fields: &'static [Field],
    node: &Node,
    report: &mut Report,
) -> Option<Value> {
    let items = match &node.content {
        Content::List(items) if items.len() <= LIST_ITEMS_MAX => items.as_slice(),
        Content::Text(text) if text.is_empty() => &[],
        _ => {
            report.add(&node.place, || {
                format!("{key}: expected a list of maps, found {}", node.found())
            });
            return None;
        }
    };
    let records = items
        .iter()
        .map(|item| read_record(key, fields, item, report));
    let records: Vec<Option<Value>> = records.collect();
    let records: Option<Vec<Value>> = records.into_iter().collect();
    records.map(Value::List)
}

fn normal_record(fields: &'static [Field], record: &Value) -> Value {
    let Value::Record(values) = record else {
        return record.clone();
    };
    let values = values.iter().map(|(name, value)| {
        let field = fields.iter().find(|field| field.name == *name);
        let normal = field.map(|field| field.kind.normal(value));
        (*name, normal.unwrap_or_else(|| value.clone()))
    });
    Value::Record(values.collect())
}

fn read_record(
    key: &str,
    fields: &'static [Field],
    node: &Node,
    report: &mut Report,
) -> Option<Value> {
    let Content::Map(entries) = &node.content else {
        report.add(&node.place, || {
            format!("{key}: expected a map, found {}", node.found())
        });
        return None;
    };
    let mut record = Vec::new();
    let mut right = true;
    for entry in entries {
        match read_field(key, fields, entry, report) {
            Ok(Some(field)) => record.push(field),
            Ok(None) => {}
            Err(()) => right = false,
        }
    }
    record.sort();
    right.then_some(Value::Record(record))
}

/// A field with its value, or nothing when that is the default.
fn read_field(
    key: &str,
    fields: &'static [Field],
    entry: &Entry,
    report: &mut Report,
) -> Result<Option<(&'static str, Value)>, ()> {
    let Some(field) = fields.iter().find(|field| field.name == entry.key) else {
        report.add(&entry.place, || {
            let names = fields.iter().map(|field| field.name);
            let near = nearest::hint(&entry.key, names);
            format!("unknown key {} in {key}{near}", quoted(&entry.key))
        });
        return Err(());
    };
    let is_empty = matches!(entry.value.content, Content::Null);
    if is_empty && entry.value.written == Written::Freely {
        return Ok(None);
    }
    let name = format!("{key}.{}", field.name);
    let value = field.kind.read(&name, &entry.value, report).ok_or(())?;
    let is_default = field
        .kind
        .read_default(field.default)
        .is_some_and(|default| default == value);
    Ok((!is_default).then_some((field.name, value)))
}
