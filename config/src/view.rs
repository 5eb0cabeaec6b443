//! The configuration as the Control API shows it: every key with its value in JSON, as MediaMTX
//! writes it.
//!
//! Made by `document` from checked settings; written as text, because a list of ten thousand paths
//! is a million values. Keys that were not given show what holds without them. Passwords are never
//! shown. Old names of keys are left out, and so are keys without a default of their own, unless
//! they were given.

use std::fmt::Write as _;
use std::sync::OnceLock;
use std::time::Duration;

use crate::credential::{Credential, REDACTED};
use crate::keys::{Key, Status, Table};
use crate::kind::{Field, Kind, Value};
use crate::settings::Settings;

/// Keys and fields whose value is a password.
const PASSWORDS: [&str; 3] = ["pass", "publishPass", "readPass"];

/// The top level, without `pathDefaults` and `paths`.
pub(crate) fn global(settings: &Settings) -> String {
    let mut text = String::from("{");
    for shown in shown_keys(Table::global()) {
        shown.write(&mut text, [settings.value(shown.key.name), None]);
    }
    close(text)
}

/// A path called `name` that gives `settings` over `defaults`; without a name, `pathDefaults`.
pub(crate) fn path(name: &str, settings: &Settings, defaults: &Settings) -> String {
    let mut text = String::from("{\"name\":");
    write_text(&mut text, name);
    text.push(',');
    for shown in shown_keys(Table::path()) {
        let key = shown.key.name;
        shown.write(&mut text, [settings.value(key), defaults.value(key)]);
    }
    close(text)
}

/// What `settings` give, and nothing else.
pub(crate) fn given(table: &'static Table, settings: &Settings) -> String {
    let mut text = String::from("{");
    for shown in shown_keys(table) {
        if let Some(value) = settings.value(shown.key.name) {
            shown.write(&mut text, [Some(value), None]);
        }
    }
    close(text)
}

/// What `key` has: the first of `values` that was given, else its default.
pub(crate) fn value(key: &'static Key, values: [Option<&Value>; 2]) -> String {
    let mut text = String::new();
    let given = values.into_iter().flatten().next().cloned();
    match given.or_else(|| key.kind.read_default(key.default)) {
        Some(value) => write_value(&mut text, key.name, &key.kind, &value),
        None => text += "null",
    }
    text
}

fn close(mut text: String) -> String {
    if text.ends_with(',') {
        text.pop();
    }
    text + "}"
}

/// A key that is shown.
struct Shown {
    key: &'static Key,
    /// Its default in JSON; `None`: it is shown only when it was given.
    default: Option<String>,
}

impl Shown {
    fn write(&self, text: &mut String, values: [Option<&Value>; 2]) {
        let given = values.into_iter().flatten().next();
        if given.is_none() && self.default.is_none() {
            return;
        }
        let _ = write!(text, "\"{}\":", self.key.name);
        match given {
            Some(value) => write_value(text, self.key.name, &self.key.kind, value),
            None => *text += self.default.as_deref().unwrap_or("null"),
        }
        text.push(',');
    }
}

fn shown_keys(table: &'static Table) -> &'static [Shown] {
    static GLOBAL: OnceLock<Vec<Shown>> = OnceLock::new();
    static PATH: OnceLock<Vec<Shown>> = OnceLock::new();
    let cell = match std::ptr::eq(table, Table::path()) {
        true => &PATH,
        false => &GLOBAL,
    };
    cell.get_or_init(|| table.keys.iter().filter_map(shown).collect())
}

fn shown(key: &'static Key) -> Option<Shown> {
    let default = match key.status {
        Status::Becomes(_)
        | Status::Inverted(_)
        | Status::First(_)
        | Status::InPathDefaults
        | Status::Gone => return None,
        Status::BecomesUsers => None,
        _ if key.is_shown_when_given => None,
        _ => Some(value(key, [None, None])),
    };
    Some(Shown { key, default })
}

// Writing to a string cannot fail.
fn write_value(text: &mut String, name: &str, kind: &Kind, value: &Value) {
    match (kind, value) {
        (Kind::Automatic(kind), Value::Count(_) | Value::Span(_)) => {
            write_value(text, name, kind, value);
        }
        (Kind::Records(fields), Value::List(records)) => {
            write_list(text, records, |text, record| {
                write_record(text, fields, record);
            });
        }
        (Kind::Decimal | Kind::Decimals, Value::Text(number)) => *text += number,
        (Kind::Size(..), Value::Count(bytes)) => write_text(text, &size(*bytes)),
        (Kind::BitRate, Value::Count(bits)) => write_text(text, &bits.to_string()),
        (_, Value::Switch(on)) => *text += if *on { "true" } else { "false" },
        (_, Value::Count(number)) => *text += &number.to_string(),
        (_, Value::Span(span)) => write_text(text, &duration(*span)),
        (_, Value::Text(word)) => write_text(text, word),
        (_, Value::Credential(_)) if PASSWORDS.contains(&name) => write_text(text, REDACTED),
        (_, Value::Credential(credential)) => write_text(text, &shown_credential(credential)),
        (_, Value::List(items)) => {
            write_list(text, items, |text, item| {
                write_value(text, name, kind, item);
            });
        }
        (_, Value::Record(_)) => *text += "null",
    }
}

fn write_list(text: &mut String, items: &[Value], write: impl Fn(&mut String, &Value)) {
    text.push('[');
    for (at, item) in items.iter().enumerate() {
        *text += if at == 0 { "" } else { "," };
        write(text, item);
    }
    text.push(']');
}

fn write_record(text: &mut String, fields: &'static [Field], record: &Value) {
    let given = match record {
        Value::Record(values) => values.as_slice(),
        _ => &[],
    };
    text.push('{');
    for (at, field) in fields.iter().enumerate() {
        let found = given.iter().find(|(name, _)| *name == field.name);
        let value = found.map(|(_, value)| value.clone());
        let value = value.or_else(|| field.kind.read_default(field.default));
        let _ = write!(
            text,
            "{}\"{}\":",
            if at == 0 { "" } else { "," },
            field.name
        );
        match value {
            Some(value) => write_value(text, field.name, &field.kind, &value),
            None => *text += "null",
        }
    }
    text.push('}');
}

fn write_text(text: &mut String, word: &str) {
    *text += &serde_json::Value::from(word).to_string();
}

fn shown_credential(credential: &Credential) -> String {
    use base64::Engine as _;
    let base64 = base64::engine::general_purpose::STANDARD;
    match credential {
        Credential::Plain(text) => text.clone(),
        Credential::Sha256(hash) => format!("sha256:{}", base64.encode(hash)),
        Credential::Argon2(hash) => format!("argon2:{hash}"),
    }
}

/// As Go writes durations (<https://pkg.go.dev/time#Duration.String>), with whole days before it.
/// Zero is `0s`, where MediaMTX has nothing.
pub(crate) fn duration(span: Duration) -> String {
    const DAY_SECONDS: u64 = 86_400;
    let (days, seconds) = (span.as_secs() / DAY_SECONDS, span.as_secs() % DAY_SECONDS);
    let rest = Duration::new(seconds, span.subsec_nanos());
    match (days, rest.is_zero()) {
        (0, _) => go_duration(rest),
        (days, true) => format!("{days}d"),
        (days, false) => format!("{days}d{}", go_duration(rest)),
    }
}

/// Less than a day.
fn go_duration(span: Duration) -> String {
    let nanos = span.as_nanos();
    let below_a_second = [(1_000_000, "ms"), (1_000, "µs"), (1, "ns")];
    if nanos == 0 {
        return "0s".to_owned();
    }
    if nanos < 1_000_000_000 {
        let unit = below_a_second.iter().find(|(unit, _)| nanos >= *unit);
        let (unit, name) = unit.copied().unwrap_or((1, "ns"));
        return fraction(nanos / unit, nanos % unit, unit) + name;
    }
    let (seconds, below) = (span.as_secs(), u128::from(span.subsec_nanos()));
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let seconds = fraction(u128::from(seconds % 60), below, 1_000_000_000) + "s";
    match (hours, minutes) {
        (0, 0) => seconds,
        (0, minutes) => format!("{minutes}m{seconds}"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
    }
}

/// `whole` and `part` of `unit`, a power of ten, without zeros at the end.
fn fraction(whole: u128, part: u128, unit: u128) -> String {
    if part == 0 {
        return whole.to_string();
    }
    let digits = unit.ilog10() as usize;
    let part = format!("{part:0digits$}");
    format!("{whole}.{}", part.trim_end_matches('0'))
}

/// Bytes as MediaMTX writes them: at most one digit after the point. Where that would be another
/// size, the bytes themselves.
pub(crate) fn size(bytes: i64) -> String {
    let units = [
        (1_i64 << 40, "T"),
        (1 << 30, "G"),
        (1 << 20, "M"),
        (1 << 10, "K"),
    ];
    let Some((unit, name)) = units.into_iter().find(|(unit, _)| bytes >= *unit) else {
        return format!("{bytes}B");
    };
    let tenths = bytes.checked_mul(10).filter(|tenfold| tenfold % unit == 0);
    match tenths.map(|tenfold| tenfold / unit) {
        Some(tenths) if tenths % 10 == 0 => format!("{}{name}", tenths / 10),
        Some(tenths) => format!("{}.{}{name}", tenths / 10, tenths % 10),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units;

    #[test]
    fn durations_are_written_as_go_does_and_read_back() {
        for (written, shown) in [
            ("0", "0s"),
            ("1ns", "1ns"),
            ("1500ns", "1.5µs"),
            ("200ms", "200ms"),
            ("1.5s", "1.5s"),
            ("10s", "10s"),
            ("60s", "1m0s"),
            ("1h", "1h0m0s"),
            ("90m", "1h30m0s"),
            ("1d", "1d"),
            ("36h", "1d12h0m0s"),
            ("1h1ns", "1h0m0.000000001s"),
        ] {
            let span = units::duration(written).unwrap();
            assert_eq!(duration(span), shown);
            assert_eq!(units::duration(shown), Some(span));
        }
    }

    #[test]
    fn sizes_have_the_largest_unit_that_they_are_exact_in() {
        for (bytes, shown) in [
            (0, "0B"),
            (1023, "1023B"),
            (64 << 10, "64K"),
            (3 << 19, "1.5M"),
            (50 << 20, "50M"),
            ((50 << 20) + 1, "52428801B"),
            (1 << 40, "1T"),
            (1 << 50, "1024T"),
        ] {
            assert_eq!(size(bytes), shown);
            assert_eq!(units::size(shown), Some(bytes));
        }
    }
}
