//! The files for operators in `config/`, as the tests read them: what the dashboard and the alert rules ask of Prometheus.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

/// Functions and words of PromQL are no metrics.
const WORDS: [&str; 9] = [
    "by", "or", "and", "unless", "without", "on", "ignoring", "offset", "bool",
];

/// Something that Prometheus is asked.
#[derive(Clone, Debug)]
pub struct Expression {
    /// Who asks: a panel or an alert.
    pub asked_by: String,
    /// In PromQL.
    pub text: String,
}

impl Expression {
    /// The names of the metrics in it.
    pub fn metrics(&self) -> BTreeSet<String> {
        let bare = without_lists(&without_braces(&self.text));
        let mut metrics = BTreeSet::new();
        let mut rest = bare.as_str();
        while let Some(begin) = rest.find(|next: char| next.is_ascii_alphabetic()) {
            let word = &rest[begin..];
            let end = word.find(|next: char| !next.is_ascii_alphanumeric() && next != '_');
            let (word, after) = word.split_at(end.unwrap_or(word.len()));
            let is_inside = rest[..begin].ends_with(|last: char| last.is_ascii_alphanumeric());
            let is_call = after.trim_start().starts_with('(');
            if !is_inside && !is_call && !WORDS.contains(&word) {
                metrics.insert(word.to_owned());
            }
            rest = after;
        }
        metrics
    }
}

/// Without labels and ranges.
fn without_braces(text: &str) -> String {
    let mut depth = 0_usize;
    let mut bare = String::new();
    for character in text.chars() {
        match character {
            '{' | '[' => depth += 1,
            '}' | ']' => depth = depth.saturating_sub(1),
            other if depth == 0 => bare.push(other),
            _ => {}
        }
    }
    bare
}

/// Without the labels that an aggregation keeps.
fn without_lists(text: &str) -> String {
    let mut bare = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(" by (") {
        bare.push_str(before);
        rest = after.split_once(')').map_or("", |(_, after)| after);
    }
    bare + rest
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../config"))
}

/// The folder of the alert rules.
pub fn prometheus_folder() -> PathBuf {
    folder().join("prometheus")
}

fn read(name: &str) -> String {
    let path = folder().join(name);
    let text = std::fs::read_to_string(&path);
    text.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What the panels of the dashboard ask, with the choices of its reader filled in: every server, the last half minute.
///
/// # Panics
/// When it is no dashboard.
pub fn dashboard() -> Vec<Expression> {
    let text = read("grafana/shardcast.json");
    let dashboard: Value = serde_json::from_str(&text).expect("the dashboard is JSON");
    let panels = dashboard["panels"].as_array().expect("it has panels");
    let targets = panels.iter().flat_map(|panel| {
        let targets = panel["targets"].as_array().into_iter().flatten();
        targets.map(move |target| (panel, target))
    });
    let expressions = targets.map(|(panel, target)| {
        let text = target["expr"].as_str().expect("a target has an expression");
        let text = text.replace("$__rate_interval", "30s");
        Expression {
            asked_by: format!("panel {}", panel["title"]),
            text: text.replace("$instance", ".*"),
        }
    });
    expressions.collect()
}

/// What the alert rules ask; each has its expression on a line of its own.
pub fn rules() -> Vec<Expression> {
    let text = read("prometheus/shardcast.rules.yml");
    let (mut rules, mut asked_by) = (Vec::new(), String::new());
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("- alert: ") {
            asked_by = format!("alert {name}");
        } else if let Some(text) = line.strip_prefix("expr: ") {
            let (asked_by, text) = (asked_by.clone(), text.to_owned());
            rules.push(Expression { asked_by, text });
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_told_from_functions_labels_and_ranges() {
        let text = "8 * sum by (name, le) (rate(paths_bytes{a=\"b\"}[5m])) or vector(0) > bool up";
        let expression = Expression {
            asked_by: String::new(),
            text: text.to_owned(),
        };
        let metrics: Vec<String> = expression.metrics().into_iter().collect();
        assert_eq!(metrics, ["paths_bytes", "up"]);
    }
}
