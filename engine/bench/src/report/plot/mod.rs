//! The drawing of a report: SVG, with everything needed to judge it in the picture itself: what was loaded and how, what
//! came of it, and why not to trust it if it is not to be.
//!
//! A page is a head and panels; each kind of outcome says which panels (`run`, `comparison`, `limit`), and all are drawn
//! alike (`panel`). Axes begin at 0, or are logarithmic and say so.

mod axis;
mod comparison;
mod limit;
mod panel;
mod run;

use std::io;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::report::{Outcome, Report, stream_words};
use panel::Panel;

/// Width and height, in pixels.
const SIZE: (u32, u32) = (1280, 1040);
/// Of the head's lines, in pixels: where the first is, and those of the reasons not to trust the figures.
const HEAD_LINES: [i32; 3] = [12, 40, 60];
const REASON_LINE: i32 = 82;
const LINE_HEIGHT: i32 = 20;
/// Between the edge and what is written.
const MARGIN: i32 = 16;
/// Reasons not to trust the figures that are written out; the table has all.
const REASONS_MAX: usize = 2;
/// Characters of a line of the head that fit.
const HEAD_CHARS_MAX: usize = 170;
/// Characters of a server's name in a legend.
const NAME_CHARS_MAX: usize = 32;
/// The library writes SVG text smaller than asked for, by this factor.
const TEXT_FACTOR: f64 = 1.24;

const OURS: RGBColor = RGBColor(0, 114, 178);
const THEIRS: RGBColor = RGBColor(213, 94, 0);
const LIGHT: RGBColor = RGBColor(120, 180, 215);
const INK: RGBColor = RGBColor(40, 40, 40);
const GREY: RGBColor = RGBColor(130, 130, 130);
const GRID: RGBColor = RGBColor(225, 225, 225);
const SHADE: RGBColor = RGBColor(242, 242, 242);
const ALARM: RGBColor = RGBColor(190, 0, 0);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), DrawingAreaErrorKind<io::Error>>;

/// What a page shows.
struct Page {
    /// In a line, what came of it.
    outcome: String,
    /// From the top, rows of panels.
    rows: Vec<Vec<Panel>>,
}

/// The drawing of a report.
pub(super) fn plot(report: &Report) -> Result<String, String> {
    let page = match &report.outcome {
        Outcome::Run(run) => run::page(report, run),
        Outcome::Comparison(comparison) => comparison::page(comparison),
        Outcome::Limit(found) => limit::page(found),
        Outcome::Limits(limits) => limit::page_of_two(limits),
    };
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    let drawn = draw(&area, report, &page).and_then(|()| area.present());
    drop(area);
    drawn.map_err(|error| error.to_string())?;
    Ok(svg)
}

fn draw(area: &Area<'_>, report: &Report, page: &Page) -> Drawn {
    area.fill(&WHITE)?;
    let reasons = report.reasons_against();
    let lines = i32::try_from(reasons.len().min(REASONS_MAX)).unwrap_or(0);
    let (head, body) = area.split_vertically(REASON_LINE + lines * LINE_HEIGHT);
    draw_head(&head, report, &page.outcome)?;
    draw_reasons(&head, &reasons)?;
    for (row, panels) in body
        .split_evenly((page.rows.len(), 1))
        .iter()
        .zip(&page.rows)
    {
        for (area, panel) in row.split_evenly((1, panels.len())).iter().zip(panels) {
            panel.draw(area)?;
        }
    }
    Ok(())
}

fn draw_head(area: &Area<'_>, report: &Report, outcome: &str) -> Drawn {
    let load = &report.load;
    let title = match &report.outcome {
        Outcome::Comparison(it) => format!("{} beside {}", report.target, it.plan.theirs),
        Outcome::Limits(it) => format!("{} beside {}", report.target, it.theirs_name),
        Outcome::Run(_) | Outcome::Limit(_) => report.target.clone(),
    };
    let what = format!(
        "{}, {}; seed {}; shardcast {}",
        report.reader_words(),
        stream_words(load),
        load.seed,
        env!("CARGO_PKG_VERSION")
    );
    let [first, second, third] = HEAD_LINES;
    write(area, &title, first, &bold(20.0, INK))?;
    write(area, &what, second, &plain(13.0, INK))?;
    write(area, outcome, third, &plain(13.0, INK))
}

fn draw_reasons(area: &Area<'_>, reasons: &[String]) -> Drawn {
    let style = bold(13.0, ALARM);
    let shown = reasons.iter().take(REASONS_MAX);
    for ((place, reason), line) in shown.enumerate().zip(0..) {
        let left = reasons.len() - place - 1;
        let more = match place + 1 == REASONS_MAX && left > 0 {
            true => format!(" (and {left} more)"),
            false => String::new(),
        };
        let y = REASON_LINE + line * LINE_HEIGHT;
        write(area, &format!("not valid: {reason}{more}"), y, &style)?;
    }
    Ok(())
}

/// Writes a line, cut where the page ends.
fn write(area: &Area<'_>, text: &str, y: i32, style: &TextStyle<'_>) -> Drawn {
    let text = cut(text, HEAD_CHARS_MAX);
    area.draw_text(&printable(&text), style, (MARGIN, y))
}

/// A server's name, cut to what fits a legend.
fn short_name(name: &str) -> String {
    cut(name, NAME_CHARS_MAX)
}

fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// XML has no control characters, names of files may.
fn printable(text: &str) -> String {
    text.replace(char::is_control, " ")
}

fn plain(pixels: f64, color: RGBColor) -> TextStyle<'static> {
    ("sans-serif", pixels * TEXT_FACTOR)
        .into_font()
        .color(&color)
}

fn bold(pixels: f64, color: RGBColor) -> TextStyle<'static> {
    let font = ("sans-serif", pixels * TEXT_FACTOR).into_font();
    font.style(FontStyle::Bold).color(&color)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measured::example;
    use crate::report::tests::{of_comparison, of_limit, of_limits, of_run};
    use crate::validity::Invalid;

    /// The texts of a drawing, which has to be one.
    fn texts(report: &Report) -> Vec<String> {
        let svg = plot(report).expect("it is drawn");
        assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"));
        let opened = svg.matches("<text ").count();
        assert_eq!(opened, svg.matches("</text>").count());
        let texts = svg.split("<text ").skip(1).filter_map(|element| {
            let (_, text) = element.split_once('>')?;
            Some(text.split_once("</text>")?.0.trim().to_owned())
        });
        texts.collect()
    }

    fn assert_has(texts: &[String], wanted: &[&str]) {
        for wanted in wanted {
            let has = texts.iter().any(|text| text == wanted);
            assert!(has, "{wanted} in {texts:#?}");
        }
    }

    #[test]
    fn a_run_shows_its_target_its_axes_and_its_units() {
        let texts = texts(&of_run(example()));
        assert_has(
            &texts,
            &[
                "rtsp://127.0.0.1:8554/bench",
                "Latency distribution",
                "latency (ms)",
                "99.99 %",
                "time (s)",
                "CPU (% of one)",
                "server&apos;s process",
                "asked for: 1 000",
                "not measured",
            ],
        );
        assert!(!texts.iter().any(|text| text.starts_with("not valid")));
    }

    #[test]
    fn a_run_that_is_not_valid_says_so_in_the_picture() {
        let mut run = example();
        let reasons = &mut run.validity.reasons;
        reasons.push(Invalid::OwnCpu { share: 0.95 });
        reasons.push(Invalid::NothingArrived);
        reasons.push(Invalid::NothingArrived);
        let wanted = [
            "not valid: a thread of the load generator was busy for 95 % of a second",
            "not valid: nothing arrived at the readers that are looked at (and 1 more)",
        ];
        assert_has(&texts(&of_run(run)), &wanted);
    }

    #[test]
    fn what_is_not_known_is_not_drawn_as_nothing() {
        let mut run = example();
        run.server = None;
        run.sampled.latency.reset();
        for interval in &mut run.intervals {
            interval.server_cpu = None;
        }
        let wanted = [
            "the stream carries no moments",
            "server&apos;s process: not known",
        ];
        assert_has(&texts(&of_run(run)), &wanted);
    }

    #[test]
    fn a_comparison_shows_both_sides_and_their_ratios() {
        let wanted = [
            "rtsp://127.0.0.1:8554/bench beside floor",
            "floor: turns",
            "floor: median of the turns",
            "CPU per packet and reader: 2.00 × (2.00 to 2.00)",
            "floor: 500 ns",
            "memory (MiB)",
        ];
        assert_has(&texts(&of_comparison()), &wanted);
    }

    #[test]
    fn a_limit_shows_its_bounds_and_what_was_found() {
        let wanted = [
            "readers",
            "bound: 100 ms",
            "latency (ms), log scale",
            "packets missing (%)",
            "trial within the bounds",
            "trial above",
        ];
        assert_has(&texts(&of_limit()), &wanted);
    }

    #[test]
    fn two_limits_share_a_picture() {
        let wanted = [
            "rtsp://127.0.0.1:8554/bench beside floor",
            "bound: 100 ms",
            "shardcast: trial within the bounds",
            "floor: trial within the bounds",
            "floor: median of the trials",
        ];
        assert_has(&texts(&of_limits()), &wanted);
    }

    #[test]
    fn a_run_without_a_second_is_drawn_all_the_same() {
        let mut run = example();
        run.intervals.clear();
        run.wall = std::time::Duration::ZERO;
        assert_has(&texts(&of_run(run)), &["Latency distribution", "not known"]);
    }
}
