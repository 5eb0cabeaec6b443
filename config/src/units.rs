//! Words and numbers with units as operators write them: switches, durations, sizes, rates.
//!
//! Read by `kind` from the text of one scalar, wherever it came from.

use std::time::Duration;

/// The longest duration: Go's `time.Duration` ends here too (292 years).
const DURATION_NANOS_MAX: u128 = i64::MAX as u128;

/// The largest size or rate; beyond it a number is a typing error.
const QUANTITY_MAX: f64 = (1u64 << 50) as f64;

/// `yes`, `no`, `true`, `false`, and YAML 1.1's `on` and `off`.
pub(crate) fn switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" | "on" => Some(true),
        "no" | "false" | "off" => Some(false),
        _ => None,
    }
}

/// A duration as Go writes it (`1h30m`, `500ms`, `1.5s`, `0`), with whole days in front
/// (`1d`, `1d12h`). Negative ones are refused: no key means anything by them.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    if text.is_empty() {
        return None;
    }
    let mut nanos: u128 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, after) = split_number(rest)?;
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.');
        let (unit, after) = after.split_at(unit_end.unwrap_or(after.len()));
        let first = rest.len() == text.len();
        let part = scaled(number, unit_nanos(unit, first && !number.contains('.'))?)?;
        nanos = nanos.checked_add(part)?;
        rest = after;
    }
    let nanos = u64::try_from(nanos).ok()?;
    (u128::from(nanos) <= DURATION_NANOS_MAX).then(|| Duration::from_nanos(nanos))
}

fn unit_nanos(unit: &str, days_allowed: bool) -> Option<u128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" if days_allowed => 86_400_000_000_000,
        _ => return None,
    })
}

/// The digits, with at most one point among them, that `text` begins with, and the rest.
fn split_number(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, rest) = text.split_at(end.unwrap_or(text.len()));
    let points = number.bytes().filter(|byte| *byte == b'.').count();
    (points <= 1 && number.len() > points).then_some((number, rest))
}

/// `number` × `unit`, exactly; digits that the unit cannot hold are cut off.
fn scaled(number: &str, unit: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole: u128 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let mut total = whole.checked_mul(unit)?;
    let mut place = unit;
    for digit in fraction.bytes() {
        place /= 10;
        total = total.checked_add(u128::from(digit - b'0').checked_mul(place)?)?;
    }
    Some(total)
}

/// Bytes: `256K`, `50M`, `1.5G`, `1T`, with or without `B` or `iB`, in any case, or a plain
/// number. Units are powers of 1024 however they are spelled, as in MediaMTX.
pub(crate) fn size(text: &str) -> Option<i64> {
    quantity(text, 1024.0, &["", "B"], &["", "B", "IB"])
}

/// Bits per second: `100M`, `2.5G`, or a plain number. Units are powers of 1000, as line rates
/// are sold.
pub(crate) fn bit_rate(text: &str) -> Option<i64> {
    quantity(text, 1000.0, &[""], &["", "BIT/S", "BPS"])
}

fn quantity(text: &str, base: f64, bare: &[&str], endings: &[&str]) -> Option<i64> {
    let (number, unit) = split_number(text)?;
    let unit = unit.to_ascii_uppercase();
    let factor = if bare.contains(&unit.as_str()) {
        1.0
    } else {
        let (prefix, ending) = unit.split_at_checked(1)?;
        let power = ["K", "M", "G", "T"]
            .iter()
            .position(|known| *known == prefix)?;
        if !endings.contains(&ending) {
            return None;
        }
        base.powi(i32::try_from(power).ok()? + 1)
    };
    let value = number.parse::<f64>().ok()? * factor;
    // Bounded far below the mantissa, so the conversion is exact but for a cut-off fraction.
    (value <= QUANTITY_MAX).then_some(value as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go_with_days_in_front() {
        let millis = |text| duration(text).map(|duration| duration.as_millis());
        assert_eq!(millis("10s"), Some(10_000));
        assert_eq!(millis("1h30m"), Some(5_400_000));
        assert_eq!(millis("500ms"), Some(500));
        assert_eq!(millis("1.5s"), Some(1_500));
        assert_eq!(millis(".5s"), Some(500));
        assert_eq!(millis("1d"), Some(86_400_000));
        assert_eq!(millis("1d12h"), Some(129_600_000));
        assert_eq!(millis("0"), Some(0));
        assert_eq!(duration("3us"), Some(Duration::from_micros(3)));
        assert_eq!(duration("3µs"), Some(Duration::from_micros(3)));
        for wrong in [
            "", "-5s", "10", "s", "1h1d", "1.5d", "1..5s", ".s", "1 s", "10sec", "٣s",
        ] {
            assert_eq!(duration(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_duration_beyond_the_range_of_go_is_refused() {
        assert!(duration("9223372036854775807ns").is_some());
        assert_eq!(duration("9223372036854775808ns"), None);
        assert_eq!(duration("99999999999999999999999999999999999999999h"), None);
    }

    #[test]
    fn sizes_are_powers_of_1024_however_they_are_spelled() {
        assert_eq!(size("50M"), Some(50 << 20));
        assert_eq!(size("50MB"), Some(50 << 20));
        assert_eq!(size("50MiB"), Some(50 << 20));
        assert_eq!(size("256k"), Some(256 << 10));
        assert_eq!(size("1.5M"), Some(3 << 19));
        assert_eq!(size("4096"), Some(4096));
        assert_eq!(size("4096B"), Some(4096));
        assert_eq!(size("1T"), Some(1 << 40));
        for wrong in ["", "M", "-1M", "1MM", "1 M", "1X", "1e3", "99999999T", "1µ"] {
            assert_eq!(size(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn bit_rates_are_powers_of_1000() {
        assert_eq!(bit_rate("100M"), Some(100_000_000));
        assert_eq!(bit_rate("2.5Gbit/s"), Some(2_500_000_000));
        assert_eq!(bit_rate("0"), Some(0));
        assert_eq!(bit_rate("1MiB"), None);
    }

    #[test]
    fn switches_are_the_words_of_yaml_1_1() {
        for (word, value) in [("yes", true), ("no", false), ("True", true), ("OFF", false)] {
            assert_eq!(switch(word), Some(value));
        }
        assert_eq!(switch("1"), None);
        assert_eq!(switch(""), None);
    }
}
