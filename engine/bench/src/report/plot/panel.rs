//! A panel: a title, a legend beside nothing it could hide, two axes, and what is drawn between them.

use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::Axis;
use super::{Area, Drawn, GREY, GRID, INK, MARGIN, SHADE, bold, plain, printable};

const TITLE_Y: i32 = 6;
/// Of the legend's first row; and of a row.
const LEGEND_Y: i32 = 28;
const LEGEND_ROW: i32 = 18;
/// Of a line or sign in the legend, and from it to its name.
const SIGN_WIDTH: i32 = 22;
const SIGN_GAP: i32 = 6;
/// Of a character, about: sans-serif at the legend's size.
const CHAR_WIDTH: i32 = 7;
/// From one entry of the legend to the next.
const LEGEND_GAP: i32 = 16;
/// Half of a tick's label stands out above the chart.
const CHART_TOP: i32 = 10;
const X_LABELS_HEIGHT: u32 = 46;
const Y_LABELS_WIDTH: u32 = 70;
/// The rightmost tick's label stands out half.
const RIGHT: i32 = 32;
/// Below the horizontal axis's name.
const BOTTOM: i32 = 10;
const DOT_RADIUS: i32 = 4;

/// One chart.
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) series: Vec<Series>,
    /// Ranges of the horizontal axis that are shaded.
    pub(super) shaded: Vec<(f64, f64)>,
    /// What the shade means.
    pub(super) shade_name: &'static str,
    /// Written in the middle when there is nothing to draw.
    pub(super) absent: &'static str,
}

/// Points that belong together.
pub(super) struct Series {
    /// Its name in the legend; without one it shares that of another.
    pub(super) name: Option<String>,
    pub(super) color: RGBColor,
    pub(super) sign: Sign,
    pub(super) points: Vec<(f64, f64)>,
}

/// How points are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Sign {
    Thin,
    Thick,
    Dashed,
    Dots,
    Crosses,
}

/// A line of the legend; without a sign it explains the shade.
struct Entry {
    name: String,
    color: RGBColor,
    sign: Option<Sign>,
    x: i32,
    y: i32,
}

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;

impl Panel {
    /// An empty panel.
    pub(super) fn new(title: impl Into<String>, x: Axis, y: Axis) -> Self {
        Self {
            title: title.into(),
            x,
            y,
            series: Vec::new(),
            shaded: Vec::new(),
            shade_name: "",
            absent: "not known",
        }
    }

    /// Adds a dashed line at a value of the horizontal axis.
    pub(super) fn mark_x(&mut self, name: String, color: RGBColor, value: f64) {
        let (low, high) = self.y.ends();
        self.mark(name, color, [(value, low), (value, high)]);
    }

    /// Adds one at a value of the vertical axis.
    pub(super) fn mark_y(&mut self, name: String, color: RGBColor, value: f64) {
        let (low, high) = self.x.ends();
        self.mark(name, color, [(low, value), (high, value)]);
    }

    fn mark(&mut self, name: String, color: RGBColor, ends: [(f64, f64); 2]) {
        self.series.push(Series {
            name: Some(name),
            color,
            sign: Sign::Dashed,
            points: ends.into(),
        });
    }

    /// Draws all of it.
    pub(super) fn draw(&self, area: &Area<'_>) -> Drawn {
        let (width, _) = area.dim_in_pixel();
        let entries = self.legend(i32::try_from(width).unwrap_or(i32::MAX));
        let head_height = entries
            .last()
            .map_or(LEGEND_Y, |entry| entry.y + LEGEND_ROW);
        let (head, body) = area.split_vertically(head_height);
        head.draw_text(&printable(&self.title), &bold(13.0, INK), (MARGIN, TITLE_Y))?;
        for entry in &entries {
            entry.draw(&head)?;
        }
        let mut chart = ChartBuilder::on(&body)
            .margin_left(MARGIN)
            .margin_right(RIGHT)
            .margin_top(CHART_TOP)
            .margin_bottom(BOTTOM)
            .x_label_area_size(X_LABELS_HEIGHT)
            .y_label_area_size(Y_LABELS_WIDTH)
            .build_cartesian_2d(self.x.clone(), self.y.clone())?;
        self.draw_shades(&mut chart)?;
        self.draw_mesh(&mut chart)?;
        for series in &self.series {
            draw_series(&mut chart, series)?;
        }
        self.draw_absence(&body)
    }

    /// The legend, in as many rows as its names need.
    fn legend(&self, width: i32) -> Vec<Entry> {
        let named = |it: &Series| Some((it.name.clone()?, it.color, Some(it.sign)));
        let series = self.series.iter().filter_map(named);
        let shade = (self.shade_name.to_owned(), GRID, None);
        let shade = (!self.shaded.is_empty()).then_some(shade);
        let mut entries = Vec::new();
        let (mut x, mut y) = (MARGIN, LEGEND_Y);
        for (name, color, sign) in series.chain(shade) {
            let name = printable(&name);
            let chars = i32::try_from(name.chars().count()).unwrap_or(width);
            let entry_width = SIGN_WIDTH + SIGN_GAP + chars.saturating_mul(CHAR_WIDTH);
            if x > MARGIN && x.saturating_add(entry_width) > width {
                (x, y) = (MARGIN, y + LEGEND_ROW);
            }
            entries.push(Entry {
                name,
                color,
                sign,
                x,
                y,
            });
            x = x.saturating_add(entry_width + LEGEND_GAP);
        }
        entries
    }

    /// Says that there is nothing to draw, if so.
    fn draw_absence(&self, body: &Area<'_>) -> Drawn {
        let is_drawn = |it: &Series| it.sign != Sign::Dashed && !it.points.is_empty();
        if self.series.iter().any(is_drawn) {
            return Ok(());
        }
        let (width, height) = body.dim_in_pixel();
        let middle = Pos::new(HPos::Center, VPos::Center);
        let style = plain(14.0, GREY).pos(middle);
        let at = [width / 2, height / 2].map(|at| i32::try_from(at).unwrap_or(0));
        body.draw_text(self.absent, &style, (at[0], at[1]))
    }

    fn draw_shades(&self, chart: &mut Chart<'_, '_>) -> Drawn {
        let (low, high) = self.y.ends();
        let shades = self.shaded.iter().map(|(from, to)| {
            let corners = [(*from, low), (*to, high)];
            Rectangle::new(corners, SHADE.filled())
        });
        chart.draw_series(shades).map(drop)
    }

    fn draw_mesh(&self, chart: &mut Chart<'_, '_>) -> Drawn {
        chart
            .configure_mesh()
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .axis_style(GREY)
            .label_style(plain(12.0, INK))
            .axis_desc_style(plain(12.0, INK))
            .x_desc(self.x.name.as_str())
            .y_desc(self.y.name.as_str())
            .draw()
    }
}

impl Entry {
    fn draw(&self, area: &Area<'_>) -> Drawn {
        let (x, y) = (self.x, self.y + 6);
        let ends = [(x, y), (x + SIGN_WIDTH, y)];
        let middle = (x + SIGN_WIDTH / 2, y);
        let color = self.color;
        match self.sign {
            Some(Sign::Thin) => area.draw(&PathElement::new(ends, thin(color)))?,
            Some(Sign::Thick) => area.draw(&PathElement::new(ends, thick(color)))?,
            Some(Sign::Dashed) => area.draw(&DashedPathElement::new(ends, 6, 4, medium(color)))?,
            Some(Sign::Dots) => area.draw(&Circle::new(middle, DOT_RADIUS, color.filled()))?,
            Some(Sign::Crosses) => area.draw(&Cross::new(middle, DOT_RADIUS, medium(color)))?,
            None => {
                let corners = [(x, self.y), (x + SIGN_WIDTH, self.y + 12)];
                area.draw(&Rectangle::new(corners, SHADE.filled()))?;
                area.draw(&Rectangle::new(corners, color))?;
            }
        }
        let at = (x + SIGN_WIDTH + SIGN_GAP, self.y);
        area.draw_text(&self.name, &plain(12.0, INK), at)
    }
}

fn draw_series(chart: &mut Chart<'_, '_>, series: &Series) -> Drawn {
    let points = series.points.iter().copied();
    let color = series.color;
    match series.sign {
        Sign::Thin => chart
            .draw_series(LineSeries::new(points, thin(color)))
            .map(drop),
        Sign::Thick => chart
            .draw_series(LineSeries::new(points, thick(color)))
            .map(drop),
        Sign::Dashed => {
            let line = DashedLineSeries::new(series.points.clone(), 6, 4, medium(color));
            chart.draw_series(line).map(drop)
        }
        Sign::Dots => {
            let dots = points.map(|at| Circle::new(at, DOT_RADIUS, color.filled()));
            chart.draw_series(dots).map(drop)
        }
        Sign::Crosses => {
            let crosses = points.map(|at| Cross::new(at, DOT_RADIUS, medium(color)));
            chart.draw_series(crosses).map(drop)
        }
    }
}

fn thin(color: RGBColor) -> ShapeStyle {
    color.mix(0.6).stroke_width(1)
}

fn medium(color: RGBColor) -> ShapeStyle {
    color.stroke_width(2)
}

fn thick(color: RGBColor) -> ShapeStyle {
    color.stroke_width(3)
}
