//! The drawing of a report: SVG, with everything needed to judge it in the picture itself.

use plotters::prelude::*;

use crate::report::Report;

/// Width and height, in pixels.
const SIZE: (u32, u32) = (1200, 900);

/// The drawing of a report.
pub(super) fn plot(report: &Report) -> Result<String, String> {
    let mut svg = String::new();
    let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    let titled = root
        .fill(&WHITE)
        .and_then(|()| root.titled(&report.target, ("sans-serif", 22)).map(drop))
        .and_then(|()| root.present());
    drop(root);
    titled.map_err(|error| error.to_string())?;
    Ok(svg)
}
