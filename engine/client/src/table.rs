//! Tables for people: columns as wide as what stands in them, numbers with units.

use std::fmt::Write as _;
use std::io::{self, Write};

use chrono::{DateTime, Local};
use serde_json::Value;

/// Rows under a heading.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<const N: usize>(heading: [&str; N]) -> Self {
        let rows = vec![heading.map(str::to_owned).to_vec()];
        Self { rows }
    }

    /// Names and what they stand for, without a heading.
    pub(crate) fn of_pairs() -> Self {
        Self { rows: Vec::new() }
    }

    pub(crate) fn add<const N: usize>(&mut self, row: [String; N]) {
        self.rows.push(row.to_vec());
    }

    pub(crate) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or_default()
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                // Writing to a string does not fail.
                let _infallible = write!(line, "{cell:width$}  ");
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// What an operator's terminal is shown of a text that a peer may have chosen: no control characters.
pub(crate) fn plain(text: &str) -> String {
    let harmless = |character: char| match character.is_control() {
        true => '\u{fffd}',
        false => character,
    };
    text.chars().map(harmless).collect()
}

/// A value as text: a string without quotes, nothing for null.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => plain(text),
        other => other.to_string(),
    }
}

/// Bytes, in units of a thousand.
pub(crate) fn bytes(value: &Value) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut amount = value.as_f64().unwrap_or_default();
    let mut unit = 0;
    while amount >= 999.95 && unit + 1 < UNITS.len() {
        amount /= 1000.0;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or_default();
    match unit {
        0 => format!("{amount:.0} {name}"),
        _ => format!("{amount:.1} {name}"),
    }
}

/// How long ago this moment was, in its two largest units.
pub(crate) fn age(value: &Value, now: DateTime<Local>) -> String {
    let moment = value.as_str().map(DateTime::parse_from_rfc3339);
    let Some(Ok(moment)) = moment else {
        return String::new();
    };
    let seconds = now.signed_duration_since(moment).num_seconds().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{:02}s", seconds % 60),
        (0, _, _) => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

/// `value` as the API has written it, on lines of its own.
pub(crate) fn write_json(value: &Value, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{value:#}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;
    use serde_json::json;

    #[test]
    fn columns_are_as_wide_as_what_stands_in_them() {
        let mut table = Table::new(["NAME", "IN"]);
        table.add(["a".into(), "1 B".into()]);
        table.add(["längster".into(), "".into()]);
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        let due = "NAME      IN\na         1 B\nlängster\n";
        assert_eq!(String::from_utf8(out).unwrap(), due);
    }

    #[test]
    fn bytes_are_told_in_the_unit_that_fits() {
        let told = |count: u64| bytes(&json!(count));
        assert_eq!(told(0), "0 B");
        assert_eq!(told(999), "999 B");
        assert_eq!(told(1000), "1.0 kB");
        assert_eq!(told(999_949), "999.9 kB");
        assert_eq!(told(999_950), "1.0 MB");
        assert_eq!(told(u64::MAX), "18446.7 PB");
    }

    #[test]
    fn ages_are_told_in_two_units() {
        let now = Local::now();
        let told = |seconds: i64| {
            let moment = now - TimeDelta::seconds(seconds);
            age(&json!(moment.to_rfc3339()), now)
        };
        assert_eq!(told(5), "5s");
        assert_eq!(told(61), "1m01s");
        assert_eq!(told(3 * 3600 + 120), "3h02m");
        assert_eq!(told(49 * 3600), "2d01h");
        assert_eq!(told(-5), "0s");
        assert_eq!(age(&Value::Null, now), "");
    }

    #[test]
    fn what_a_peer_has_named_cannot_steer_a_terminal() {
        assert_eq!(text(&json!("a\u{1b}[2Jb\n")), "a\u{fffd}[2Jb\u{fffd}");
    }
}
