//! The text that Prometheus scrapes, version 0.0.4 of its format: lines of `name{label="value"} number`, one per sample.

use std::fmt::Write;

/// The content type of the page.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Room for the page of a small server, so that it is not copied often while it grows.
const PAGE_BYTES: usize = 64 * 1024;

/// Labels with their values.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

/// What a family of samples is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A page that is being written.
#[derive(Debug)]
pub(super) struct Page(String);

/// A sample's number: whole ones exactly, others in the shortest decimals that mean the same.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Whole(u64),
    Real(f64),
}

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self::Whole(number)
    }
}

impl From<usize> for Number {
    fn from(number: usize) -> Self {
        Self::Whole(u64::try_from(number).unwrap_or(u64::MAX))
    }
}

impl From<f64> for Number {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl From<std::time::Duration> for Number {
    /// In seconds.
    fn from(time: std::time::Duration) -> Self {
        Self::Real(time.as_secs_f64())
    }
}

impl Page {
    pub(super) fn new() -> Self {
        Self(String::with_capacity(PAGE_BYTES))
    }

    /// A line for who reads the page.
    pub(super) fn comment(&mut self, text: &str) {
        self.line(format_args!("# {text}"));
    }

    /// An empty line.
    pub(super) fn gap(&mut self) {
        self.0.push('\n');
    }

    /// Begins a family of our own; its samples follow.
    pub(super) fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    /// One sample.
    pub(super) fn sample(&mut self, name: &str, labels: Labels<'_>, number: impl Into<Number>) {
        self.0.push_str(name);
        for (index, (label, value)) in labels.iter().enumerate() {
            self.0.push(if index == 0 { '{' } else { ',' });
            self.0.push_str(label);
            self.0.push_str("=\"");
            self.push_escaped(value);
            self.0.push('"');
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        match number.into() {
            Number::Whole(number) => self.line(format_args!(" {number}")),
            Number::Real(number) => self.line(format_args!(" {number}")),
        }
    }

    /// A family of one sample without labels.
    pub(super) fn single(&mut self, name: &str, kind: Kind, help: &str, number: impl Into<Number>) {
        self.family(name, kind, help);
        self.sample(name, &[], number);
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }

    fn push_escaped(&mut self, value: &str) {
        for character in value.chars() {
            match character {
                '\\' => self.0.push_str("\\\\"),
                '"' => self.0.push_str("\\\""),
                '\n' => self.0.push_str("\\n"),
                other => self.0.push(other),
            }
        }
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        let written = writeln!(self.0, "{text}");
        debug_assert!(written.is_ok(), "a string takes everything");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(write: impl FnOnce(&mut Page)) -> String {
        let mut page = Page::new();
        write(&mut page);
        page.into_text()
    }

    #[test]
    fn a_sample_is_a_name_labels_and_a_number() {
        let text = text_of(|page| {
            page.sample("paths", &[("name", "cam"), ("state", "ready")], 1_u64);
            page.sample("rtsp_conns", &[], 0_u64);
            page.sample("late", &[], 0.005);
        });
        assert_eq!(
            text,
            "paths{name=\"cam\",state=\"ready\"} 1\nrtsp_conns 0\nlate 0.005\n"
        );
    }

    #[test]
    fn whatever_a_label_holds_stays_in_it() {
        let text = text_of(|page| page.sample("a", &[("b", "c\"} 1\nd\\")], 1_u64));
        assert_eq!(text, "a{b=\"c\\\"} 1\\nd\\\\\"} 1\n");
    }

    #[test]
    fn a_family_says_first_what_it_is() {
        let text = text_of(|page| page.single("a_total", Kind::Counter, "All of them.", 7_u64));
        assert_eq!(
            text,
            "# HELP a_total All of them.\n# TYPE a_total counter\na_total 7\n"
        );
    }
}
