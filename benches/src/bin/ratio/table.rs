//! How comparisons are printed and judged.

use shardcast_benches::summary::Runs;

/// One side of a comparison.
pub(crate) fn print_side(name: &str, unit: &str, runs: &Runs) {
    println!("  {name:<34} {runs} {unit}");
}

/// The ratio of the medians, and whether it is within its bound.
pub(crate) fn judge(what: &str, ours: &Runs, other: &Runs, at_most: Option<f64>) -> bool {
    let ratio = ours.median() / other.median();
    let is_within = at_most.is_none_or(|bound| ratio <= bound);
    let bound = at_most.map_or(String::new(), |bound| format!(" (at most {bound})"));
    println!("  {what:<34} {ratio:.3} x{bound}");
    is_within
}
