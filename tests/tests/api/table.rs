//! The table of what MediaMTX's API has (`fields.csv`), and the check of an answer against it.

use serde_json::Value;

/// Routes, fields with their types, and enumerations of MediaMTX for what exists here.
const TABLE: &str = include_str!("fields.csv");

/// A line of the table.
pub(crate) struct Row {
    /// `route`, `field` or `enum`.
    pub(crate) kind: &'static str,
    /// Method of a route, type of a field, name of an enumeration.
    pub(crate) place: &'static str,
    /// Pattern of a route, name of a field.
    pub(crate) name: &'static str,
    /// Statuses of a route with the types of their bodies, type of a field, values of an enumeration.
    pub(crate) types: &'static str,
}

/// Every line of this kind.
pub(crate) fn rows(kind: &str) -> impl Iterator<Item = Row> {
    let rows = TABLE.lines().skip(1).map(|line| {
        let mut cells = line.splitn(4, ',');
        let mut cell = || cells.next().expect("four cells");
        Row {
            kind: cell(),
            place: cell(),
            name: cell(),
            types: cell(),
        }
    });
    rows.filter(move |row| row.kind == kind)
}

/// Checks that `value` is of the type of this name.
///
/// # Panics
/// When it is not.
pub(crate) fn check(value: &Value, kind: &str, place: &str) {
    if let Some(kind) = kind.strip_suffix("|null") {
        if !value.is_null() {
            check(value, kind, place);
        }
        return;
    }
    if let Some(kind) = kind
        .strip_prefix('[')
        .and_then(|kind| kind.strip_suffix(']'))
    {
        let items = value.as_array();
        let items = items.unwrap_or_else(|| panic!("{place}: {value} is no list"));
        return items.iter().for_each(|item| check(item, kind, place));
    }
    if let Some(row) = rows("enum").find(|row| row.place == kind) {
        let is_known = row.types.split(';').any(|known| value == known);
        return assert!(is_known, "{place}: {value} is no {kind}");
    }
    let is_right = match kind {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "string:uuid" => value.as_str().is_some_and(is_uuid),
        "number:double" => value.is_number(),
        "integer:int64" | "integer:uint64" => value.is_u64(),
        kind => return check_object(value, kind, place),
    };
    assert!(is_right, "{place}: {value} is no {kind}");
}

fn check_object(value: &Value, kind: &str, place: &str) {
    let fields: Vec<Row> = rows("field").filter(|row| row.place == kind).collect();
    assert!(!fields.is_empty(), "{place}: an unknown type {kind}");
    for field in fields {
        let place = format!("{place}.{}", field.name);
        let found = value.get(field.name);
        let found = found.unwrap_or_else(|| panic!("{place} is missing in {value}"));
        match field.types {
            "PathTrackCodecProps|null" => check_properties(found, &value["codec"], &place),
            kind => check(found, kind, &place),
        }
    }
}

/// Those of a codec have its fields and no others.
fn check_properties(value: &Value, codec: &Value, place: &str) {
    let Some(properties) = value.as_object() else {
        return assert!(value.is_null(), "{place}: {value}");
    };
    let codec = codec.as_str().expect("a codec").replace(['-', ' '], "");
    let kind = format!("PathTrackCodecProps{codec}");
    check_object(value, &kind, place);
    let known = rows("field").filter(|row| row.place == kind).count();
    assert_eq!(properties.len(), known, "{place}: {value}");
}

/// RFC 9562, section 4: five groups of hexadecimal digits, with a version and the variant.
fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths = groups.iter().map(|group| group.len());
    let is_hex = |group: &&str| group.bytes().all(|byte| byte.is_ascii_hexdigit());
    lengths.eq([8, 4, 4, 4, 12])
        && groups.iter().all(is_hex)
        && groups[2].starts_with(['1', '2', '3', '4', '5', '6', '7', '8'])
        && groups[3].starts_with(['8', '9', 'a', 'b'])
}
