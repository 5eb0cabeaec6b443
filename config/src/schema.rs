//! The keys as JSON Schema (<https://json-schema.org/draft/2020-12>), for the description of the Control API.
//!
//! Made from the same tables by which a configuration is judged. What a text has to look like beside its being one is said in
//! words: the judge's errors say it too.

use serde_json::{Map, Value, json};

use crate::keys::{Status, Table};
use crate::kind::{Field, Kind};

/// All keys of the top level but `pathDefaults` and `paths`, those that are deprecated marked so.
#[must_use]
pub fn global_schema() -> Value {
    object(keys(Table::global()))
}

/// All keys of a path and of `pathDefaults`, and `name`, which is shown and may be sent back.
#[must_use]
pub fn path_schema() -> Value {
    let mut keys = keys(Table::path());
    let name = json!({ "type": "string", "description": "The name; of no effect in a request." });
    keys.insert("name".to_owned(), name);
    object(keys)
}

fn object(properties: Map<String, Value>) -> Value {
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn keys(table: &'static Table) -> Map<String, Value> {
    let keys = table.keys.iter().map(|key| {
        let mut schema = nullable(&key.kind);
        let is_old = matches!(
            key.status,
            Status::Becomes(_)
                | Status::BecomesUsers
                | Status::Inverted(_)
                | Status::First(_)
                | Status::InPathDefaults
                | Status::Gone
        );
        if is_old || key.is_shown_when_given {
            schema["deprecated"] = json!(true);
        }
        (key.name.to_owned(), schema)
    });
    keys.collect()
}

/// A value, or null, which says nothing of the key.
fn nullable(kind: &Kind) -> Value {
    let mut schema = value(kind);
    if let Some(kind) = schema.get("type").cloned() {
        schema["type"] = match kind {
            Value::Array(mut kinds) => {
                kinds.push(json!("null"));
                Value::Array(kinds)
            }
            kind => json!([kind, "null"]),
        };
    }
    if let Some(Value::Array(words)) = schema.get_mut("enum") {
        words.push(Value::Null);
    }
    schema
}

fn value(kind: &Kind) -> Value {
    match kind {
        Kind::Switch => json!({ "type": "boolean" }),
        Kind::Count(min, i64::MAX) => json!({ "type": "integer", "minimum": min }),
        Kind::Count(min, max) => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::PowerOfTwo => {
            let powers = (0..u32::BITS).map(|bits| 1_u64 << bits);
            json!({ "type": "integer", "enum": powers.collect::<Vec<_>>() })
        }
        Kind::Decimal => json!({ "type": "number" }),
        Kind::Decimals => json!({ "type": "array", "items": { "type": "number" } }),
        Kind::Choice(words) => json!({ "type": "string", "enum": choices(words) }),
        Kind::Choices(words) => {
            json!({ "type": "array", "items": { "type": "string", "enum": words } })
        }
        Kind::Texts | Kind::Networks => {
            json!({ "type": "array", "items": { "type": "string" }, "description": kind.expected() })
        }
        Kind::Automatic(inner) => {
            let inner = value(inner)["type"].clone();
            let kinds = match inner == "string" {
                true => json!("string"),
                false => json!(["string", inner]),
            };
            json!({ "type": kinds, "description": kind.expected() })
        }
        Kind::Records(fields) => json!({ "type": "array", "items": record(fields) }),
        _ => json!({ "type": "string", "description": kind.expected() }),
    }
}

/// The words, and the empty one, which is shown where none was given.
fn choices(words: &[&str]) -> Vec<String> {
    let words = words.iter().copied().chain([""]);
    words.map(str::to_owned).collect()
}

fn record(fields: &[Field]) -> Value {
    let fields = fields.iter();
    let fields = fields.map(|field| (field.name.to_owned(), value(&field.kind)));
    object(fields.collect())
}
