//! The table that people read: sections of figures with their units, and at the end, in plain words, why not to trust
//! them if they are not to be.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

use crate::against::{Comparison, FIGURES, Figure, Side, Spread, Turn};
use crate::limit::{LimitFound, Try, Verdict};
use crate::limits::{LimitComparison, LimitRatio};
use crate::measured::{Measured, quantile_of};
use crate::report::words::{self, UNKNOWN};
use crate::report::{Outcome, Report, stream_words};

/// Between two columns.
const GUTTER: &str = "  ";

/// The table of a report.
pub(super) fn table(report: &Report) -> String {
    let mut text = head(report);
    match &report.outcome {
        Outcome::Run(run) => text.push_str(&run_table(report, run)),
        Outcome::Comparison(comparison) => text.push_str(&comparison_table(comparison)),
        Outcome::Limit(found) => text.push_str(&limit_table(found)),
        Outcome::Limits(limits) => text.push_str(&limits_table(limits)),
    }
    for judged in report.judged() {
        let _ = writeln!(text, "{}", judged.words());
    }
    text.push('\n');
    let against = report.reasons_against();
    if against.is_empty() {
        text.push_str("valid: the load generator was not the bottleneck\n");
    }
    for reason in against {
        let _ = writeln!(text, "NOT VALID: {reason}");
    }
    text
}

fn head(report: &Report) -> String {
    format!(
        "{}\n{}, {}; seed {}\n\n",
        report.target,
        report.reader_words(),
        stream_words(&report.load),
        report.load.seed
    )
}

/// Rows of a section: what, and how much. The section's name stands beside the first.
struct Section(&'static str, Vec<(&'static str, String)>);

fn run_table(report: &Report, run: &Measured) -> String {
    let sections = [
        server_section(run),
        reader_section(report, run),
        loss_section(run),
        publisher_section(run),
        own_section(run),
    ];
    let mut rows = Vec::new();
    for Section(name, figures) in sections {
        for (place, (what, figure)) in figures.into_iter().enumerate() {
            let name = if place == 0 { name } else { "" };
            rows.push(vec![name.to_owned(), what.to_owned(), figure]);
        }
    }
    let mut text = aligned(&rows);
    text.push('\n');
    text.push_str(&aligned(&quantile_rows(run)));
    text
}

/// What is distributed, by quantiles.
fn quantile_rows(run: &Measured) -> [Vec<String>; 5] {
    const QUANTILES: [(&str, f64); 5] = [
        ("p50", 0.5),
        ("p90", 0.9),
        ("p99", 0.99),
        ("p99.9", 0.999),
        ("max", 1.0),
    ];
    let row = |name: &str, cell: &dyn Fn(&str, f64) -> String| {
        let cells = QUANTILES
            .iter()
            .map(|(label, quantile)| cell(label, *quantile));
        [name.to_owned()].into_iter().chain(cells).collect()
    };
    let figures = |name, histogram: &Histogram<u64>| {
        row(name, &|_, quantile| {
            known(quantile_of(histogram, quantile).map(words::duration))
        })
    };
    [
        row("", &|label, _| label.to_owned()),
        figures("latency, from due to received", &run.sampled.latency),
        figures("joins, from first byte to PLAY", &run.joins),
        figures("starts, from PLAY to a key frame", &run.starts),
        figures("publishing, later than due", &run.published.lateness),
    ]
}

fn server_section(run: &Measured) -> Section {
    let share = run.server_share();
    let resident = run.server.map(|it| words::bytes(it.resident_bytes as f64));
    let threads = run.server.map(|it| it.threads.to_string());
    Section(
        "server",
        vec![
            ("CPU", known(share.map(share_words))),
            (
                "CPU per packet and reader",
                known(run.server_nanos().map(words::nanos)),
            ),
            ("memory", known(resident)),
            ("threads", known(threads)),
        ],
    )
}

fn reader_section(report: &Report, run: &Measured) -> Section {
    let per_second = |count: f64| match run.wall.as_secs_f64() {
        0.0 => 0.0,
        seconds => count / seconds,
    };
    let all = &run.all;
    Section(
        "readers",
        vec![
            (
                "playing",
                format!(
                    "{} of {}, {} of them looked at packet by packet",
                    all.readers, report.load.readers, run.sampled.readers
                ),
            ),
            (
                "received",
                words::bit_rate(per_second(all.bytes as f64) * 8.0),
            ),
            (
                "packets",
                format!("{}/s", words::count(per_second(all.deliveries) as u64)),
            ),
            (
                "sent away",
                format!(
                    "{} refused, {} failed, {} closed by the server",
                    all.refused, all.failed, all.closed
                ),
            ),
        ],
    )
}

fn loss_section(run: &Measured) -> Section {
    let sampled = &run.sampled;
    let part = words::percent(run.loss() * 100.0);
    let count = |count: u64| words::count(count);
    Section(
        "loss",
        vec![
            (
                "missing",
                format!("{part} of the packets of those looked at"),
            ),
            ("sequence numbers left out", count(sampled.lost)),
            ("skipped by the server", count(sampled.skipped)),
            ("duplicates", count(sampled.duplicates)),
            ("out of order", count(sampled.reordered)),
            ("readers sent what is no packet", sampled.broken.to_string()),
            (
                "counted readers with too few bytes",
                run.all.short.to_string(),
            ),
        ],
    )
}

fn publisher_section(run: &Measured) -> Section {
    let published = &run.published;
    let packets = words::count(published.packets);
    let bytes = words::bytes(published.bytes as f64);
    Section(
        "publishers",
        vec![
            ("sent", format!("{packets} packets, {bytes}")),
            ("left and came back", words::count(published.flaps)),
        ],
    )
}

fn own_section(run: &Measured) -> Section {
    let seconds = run.wall.as_secs_f64();
    let share = (seconds > 0.0).then(|| share_words(run.own.cpu.as_secs_f64() / seconds));
    Section(
        "own use",
        vec![
            ("CPU", known(share)),
            (
                "CPU per packet and reader",
                known(run.own_nanos().map(words::nanos)),
            ),
            (
                "busiest thread",
                format!(
                    "{} of its busiest second",
                    words::percent(run.own.busiest_share * 100.0)
                ),
            ),
        ],
    )
}

fn comparison_table(comparison: &Comparison) -> String {
    let name = |side| comparison.name(side).to_owned();
    let mut rows = vec![vec![
        "median (smallest to largest)".to_owned(),
        name(Side::Ours),
        name(Side::Theirs),
        "ratio (of turns)".to_owned(),
    ]];
    rows.extend(FIGURES.map(|figure| comparison_row(comparison, figure)));
    let turns = |side| {
        let turns = comparison.turns(side);
        let is_invalid = |turn: &&Turn| !turn.measured.validity.is_valid();
        match turns.iter().filter(is_invalid).count() {
            0 => turns.len().to_string(),
            invalid => format!("{}, {invalid} of them not valid", turns.len()),
        }
    };
    rows.push(vec![
        "turns made".to_owned(),
        turns(Side::Ours),
        turns(Side::Theirs),
        format!("{} wanted", comparison.plan.turns),
    ]);
    aligned(&rows)
}

fn comparison_row(comparison: &Comparison, figure: Figure) -> Vec<String> {
    let side = |side| {
        known(
            comparison
                .spread(side, figure)
                .map(|it| spread_words(figure, it)),
        )
    };
    let ratio = comparison.ratio(figure).map(|ratio| {
        let Spread {
            smallest, largest, ..
        } = ratio.of_turns;
        format!("{:.2} ({smallest:.2} to {largest:.2})", ratio.of_medians)
    });
    vec![
        figure.name().to_owned(),
        side(Side::Ours),
        side(Side::Theirs),
        known(ratio),
    ]
}

fn spread_words(figure: Figure, spread: Spread) -> String {
    let [median, smallest, largest] =
        [spread.median, spread.smallest, spread.largest].map(|value| figure.words(value));
    format!("{median} ({smallest} to {largest})")
}

fn limit_table(found: &LimitFound) -> String {
    const COLUMNS: [&str; 8] = [
        "readers",
        "playing",
        "CPU",
        "per packet and reader",
        "p50",
        "p99",
        "loss",
        "verdict",
    ];
    let mut rows = vec![COLUMNS.map(str::to_owned).to_vec()];
    for point in &found.curve {
        rows.extend(point.tries.iter().map(|it| try_row(point.readers, it)));
    }
    let mut text = aligned(&rows);
    let criteria = &found.criteria;
    let _ = writeln!(
        text,
        "\nlimit: {}{} readers with p99 at most {} and loss at most {}",
        if found.is_at_least() { "at least " } else { "" },
        words::count(found.readers as u64),
        words::duration(criteria.max_p99),
        words::percent(criteria.max_loss_percent),
    );
    if let Some(bound) = found.bound_by {
        let _ = writeln!(text, "{}", bound.sentence());
    }
    if !found.curve.is_empty() && !found.is_latency_known() {
        text.push_str("the stream carries no moments, so latency is not known: loss has decided\n");
    }
    text
}

fn limits_table(limits: &LimitComparison) -> String {
    let mut text = String::new();
    for (name, found) in limits.sides() {
        let _ = writeln!(text, "{name}\n{}", limit_table(found));
    }
    let ratio = limits.ratio();
    let _ = writeln!(text, "ratio of the limits: {}", ratio_words(ratio));
    if let Some(bound) = limits.at_least {
        let (kept, ratio) = (limits.is_kept(), ratio_words(ratio));
        let _ = match kept {
            Some(true) => writeln!(text, "limit: {ratio}, and {bound} × was wanted"),
            Some(false) => writeln!(text, "BELOW ITS BOUND: limit: {ratio}, not {bound} ×"),
            None => writeln!(text, "NOT KNOWN: limit: at least {bound} × was wanted"),
        };
    }
    text
}

/// The ratio of two limits, as far as it is known.
pub(super) fn ratio_words(ratio: LimitRatio) -> String {
    match ratio {
        LimitRatio::Known(ratio) => format!("{ratio:.2} ×"),
        LimitRatio::AtLeast(ratio) => format!("at least {ratio:.2} ×"),
        LimitRatio::AtMost(ratio) => format!("at most {ratio:.2} ×"),
        LimitRatio::Unknown => UNKNOWN.to_owned(),
    }
}

fn try_row(readers: usize, tried: &Try) -> Vec<String> {
    let verdict = match (tried.verdict, &tried.reason) {
        (Verdict::Within, _) => "within",
        (Verdict::Above(_), Some(reason)) => reason,
        (Verdict::Above(_), None) => "above",
    };
    vec![
        words::count(readers as u64),
        words::count(tried.playing as u64),
        known(tried.server_share.map(|it| words::percent(it * 100.0))),
        known(tried.server_nanos.map(words::nanos)),
        known(tried.p50.map(words::duration)),
        known(tried.p99.map(words::duration)),
        known(tried.loss_percent.map(words::percent)),
        verdict.to_owned(),
    ]
}

fn share_words(share: f64) -> String {
    format!("{} of one CPU", words::percent(share * 100.0))
}

fn known(figure: Option<String>) -> String {
    figure.unwrap_or_else(|| UNKNOWN.to_owned())
}

/// Rows with columns of equal width.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:<width$}{GUTTER}");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measured::example;
    use crate::report::tests::{of_comparison, of_limit, of_limits, of_run};
    use crate::validity::Invalid;

    /// Whether a line has all of these words, however far apart.
    fn has_line(text: &str, words: &[&str]) -> bool {
        let mut lines = text.lines();
        lines.any(|line| words.iter().all(|word| line.contains(word)))
    }

    #[test]
    fn a_run_has_every_section_with_units() {
        let text = table(&of_run(example()));
        for words in [
            &["1 000 readers of 1 path over TCP, 2.00 Mbit/s", "seed 42"][..],
            &["server", "CPU", "20.0 % of one CPU"],
            &["CPU per packet and reader", "1.00 µs"],
            &["memory", "64.0 MiB"],
            &["readers", "playing", "1000 of 1000, 50 of them"],
            &["received", "2.00 Gbit/s"],
            &["p50", "p90", "p99", "p99.9", "max"],
            &["latency", "10.0 ms", "19.8 ms"],
            &["joins", "10.0 ms"],
            &["publishing, later than due", "80.1 µs"],
            &["loss", "missing", "0 %"],
            &["publishers", "2 000 packets"],
            &["own use", "CPU", "10.0 % of one CPU"],
            &["valid: "],
        ] {
            assert!(has_line(&text, words), "{words:?} in\n{text}");
        }
    }

    #[test]
    fn what_is_not_known_is_said_to_be_so() {
        let mut run = example();
        run.server = None;
        run.sampled.latency.reset();
        let text = table(&of_run(run));
        assert!(has_line(&text, &["CPU per packet and reader", UNKNOWN]));
        assert!(has_line(&text, &["latency", UNKNOWN]), "{text}");
    }

    #[test]
    fn a_run_that_is_not_valid_says_why_at_the_end() {
        let mut run = example();
        run.is_partial = true;
        let reasons = &mut run.validity.reasons;
        reasons.push(Invalid::OwnCpu { share: 0.95 });
        let text = table(&of_run(run));
        let end = text.lines().next_back();
        assert_eq!(
            end,
            Some("NOT VALID: a thread of the load generator was busy for 95 % of a second")
        );
        assert!(has_line(&text, &["NOT VALID: it was broken off"]));
    }

    #[test]
    fn a_comparison_has_both_sides_and_judges() {
        let text = table(&of_comparison());
        for words in [
            &["shardcast", "floor", "ratio"][..],
            &[
                "1.00 µs (1.00 µs to 1.00 µs)",
                "500 ns",
                "2.00 (2.00 to 2.00)",
            ],
            &["turns made", "3", "3 wanted"],
            &["ABOVE ITS BOUND: CPU per packet and reader: 2.00 × is more than 1.2 ×"],
            &["latency p99: 1.00 × is at most 1.3 ×"],
        ] {
            assert!(has_line(&text, words), "{words:?} in\n{text}");
        }
    }

    #[test]
    fn a_limit_has_a_line_per_trial_and_says_what_binds() {
        let text = table(&of_limit());
        for words in [
            &["readers", "playing", "p99", "verdict"][..],
            &["100", "8.00 ms", "within"],
            &["800", "p99 is above 100 ms"],
            &[
                "limit: ",
                "readers with p99 at most 100 ms and loss at most 0 %",
            ],
            &["with more, the 99th percentile of latency is too high"],
        ] {
            assert!(has_line(&text, words), "{words:?} in\n{text}");
        }
    }

    #[test]
    fn two_limits_have_a_table_each_their_ratio_and_its_bound() {
        let text = table(&of_limits());
        let mut lines = text.lines();
        assert!(lines.any(|line| line == "shardcast") && lines.any(|line| line == "floor"));
        assert!(has_line(&text, &["ratio of the limits: 0.88 ×"]), "{text}");
        let judged = "BELOW ITS BOUND: limit: 0.88 ×, not 0.95 ×";
        assert!(has_line(&text, &[judged]), "{text}");
    }
}
