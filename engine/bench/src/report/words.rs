//! Figures in words: with a unit that suits them and three digits that mean something. For people; files have plain
//! numbers.

use std::time::Duration;

/// What stands where a figure is not known.
pub(crate) const UNKNOWN: &str = "unknown";

/// `812 ns`, `12.3 µs`, `4.56 ms`, `1.20 s`.
pub(crate) fn duration(duration: Duration) -> String {
    nanos(duration.as_nanos() as f64)
}

/// The same of nanoseconds.
pub(crate) fn nanos(nanos: f64) -> String {
    const UNITS: [(f64, &str); 4] = [(1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns")];
    scaled(nanos, &UNITS)
}

/// `81.3 MiB`.
pub(crate) fn bytes(bytes: f64) -> String {
    const UNITS: [(f64, &str); 4] = [
        (1_073_741_824.0, "GiB"),
        (1_048_576.0, "MiB"),
        (1024.0, "KiB"),
        (1.0, "B"),
    ];
    scaled(bytes, &UNITS)
}

/// `2.01 Gbit/s`, of bits per second.
pub(crate) fn bit_rate(bits_per_second: f64) -> String {
    const UNITS: [(f64, &str); 4] = [
        (1e9, "Gbit/s"),
        (1e6, "Mbit/s"),
        (1e3, "kbit/s"),
        (1.0, "bit/s"),
    ];
    scaled(bits_per_second, &UNITS)
}

/// `23.4 %`, of percent; what is not nothing is never written as nothing.
pub(crate) fn percent(percent: f64) -> String {
    match percent {
        0.0 => "0 %".to_owned(),
        tiny if tiny < 0.001 => "< 0.001 %".to_owned(),
        small if small < 1.0 => format!("{small:.3} %"),
        percent => format!("{percent:.1} %"),
    }
}

/// `1 234 567`.
pub(crate) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

/// The value in the largest unit of which it has one, or the last.
fn scaled(value: f64, units: &[(f64, &str)]) -> String {
    let fits = |(size, _): &&(f64, &str)| value >= *size;
    let Some((size, unit)) = units.iter().find(fits).or(units.last()) else {
        return value.to_string();
    };
    let value = value / size;
    match value {
        tens if tens >= 100.0 || *size == 1.0 => format!("{value:.0} {unit}"),
        ones if ones >= 10.0 => format!("{value:.1} {unit}"),
        _ => format!("{value:.2} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_unit_that_suits_them() {
        assert_eq!(nanos(812.0), "812 ns");
        assert_eq!(nanos(12_340.0), "12.3 µs");
        assert_eq!(nanos(4_560_000.0), "4.56 ms");
        assert_eq!(duration(Duration::from_millis(1200)), "1.20 s");
        assert_eq!(duration(Duration::ZERO), "0 ns");
        assert_eq!(bytes(85_249_228.0), "81.3 MiB");
        assert_eq!(bit_rate(2e9), "2.00 Gbit/s");
        assert_eq!(count(1_234_567), "1 234 567");
        assert_eq!(count(999), "999");
    }

    #[test]
    fn a_little_loss_is_not_none() {
        assert_eq!(percent(0.0), "0 %");
        assert_eq!(percent(0.000_01), "< 0.001 %");
        assert_eq!(percent(0.02), "0.020 %");
        assert_eq!(percent(23.42), "23.4 %");
    }
}
