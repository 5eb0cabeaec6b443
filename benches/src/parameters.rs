//! Parameters of a benchmark by environment variables: what criterion's own options have no place for. The `fanout`
//! benchmark takes its loads, drivers, shards and settings from here, `crossing` the size of its rings.
//!
//! A variable that is wrong, or that nobody knows, is an error that names it: figures of another load than the one that was
//! meant would mislead.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::str::FromStr as _;
use std::time::Duration;

use crate::settings::{Settings, SettingsError};
use crate::synthetic::PACKET_BYTES;

/// What the variables of `fanout` begin with.
const FANOUT: &str = "SHARDCAST_FANOUT_";
/// What follows.
const FANOUT_NAMES: [&str; 7] = [
    "READERS",
    "PACKETS",
    "PACKET_BYTES",
    "GAP",
    "DRIVERS",
    "SHARDS",
    "SET",
];
/// The size of the rings of `crossing`.
const CROSSING_RING: &str = "SHARDCAST_CROSSING_RING";

/// As many readers as one address has ports for, with room.
const READERS: RangeInclusive<usize> = 1..=20_000;
/// Packets of a batch: up to more than any frame has.
const PACKETS: RangeInclusive<usize> = 1..=1000;
/// Bytes of a packet: from its headers and moment to what a frame on the connection can hold.
const PACKET_BYTES_RANGE: RangeInclusive<usize> = 64..=65_535;
/// Microseconds from one packet to the next: a frame of a hundred packets then takes ten seconds at most.
const GAP_MICROS: RangeInclusive<u64> = 1..=100_000;
/// Shards: as many as a server may have.
const SHARDS: RangeInclusive<usize> = 1..=shardcast_config::SHARDS_MAX as usize;
/// Messages in a ring: from the largest burst that is measured to the most that `mediaRing` may be.
const RING: RangeInclusive<usize> = 64..=65_536;
/// Values of one list.
const LIST_MAX: usize = 16;

/// Messages in a ring where nothing else is asked for: the default of `mediaRing`.
const RING_DEFAULT: usize = 1024;

/// What the `fanout` benchmark measures: every load by every driver with every number of shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FanoutParameters {
    /// Readers.
    pub readers: Vec<usize>,
    /// Packets of a batch, and bytes of a packet.
    pub batches: Vec<(usize, usize)>,
    /// From one packet of a batch to the next; none sends them all at once.
    pub gap: Option<Duration>,
    /// `driver`.
    pub drivers: Vec<String>,
    /// `shards`.
    pub shards: Vec<usize>,
    /// Whatever else is set.
    pub settings: Settings,
}

/// Why parameters are none.
#[derive(Debug, thiserror::Error)]
pub enum ParameterError {
    /// A value that is no number, or out of range.
    #[error("{variable}: '{value}' is no number from {min} to {max}")]
    Number {
        /// The variable.
        variable: String,
        /// What it says.
        value: String,
        /// The smallest that it may say.
        min: usize,
        /// The largest.
        max: usize,
    },
    /// A gap that is none.
    #[error(
        "{variable}: '{value}' is no gap from {}us to {}us",
        GAP_MICROS.start(),
        GAP_MICROS.end()
    )]
    Gap {
        /// The variable.
        variable: String,
        /// What it says.
        value: String,
    },
    /// A list of nothing, or of too much.
    #[error("{variable}: a list of 1 to {LIST_MAX} values, with commas between them")]
    List {
        /// The variable.
        variable: String,
    },
    /// Settings that the server would not take.
    #[error("{variable}: {error}")]
    Settings {
        /// The variable.
        variable: String,
        /// Why.
        error: SettingsError,
    },
    /// A driver that there is not.
    #[error("{variable}: {reason}")]
    Driver {
        /// The variable.
        variable: String,
        /// Why.
        reason: String,
    },
    /// A variable that nobody reads.
    #[error("{variable} is unknown; there are {known}")]
    Unknown {
        /// The variable.
        variable: String,
        /// Those that are read.
        known: String,
    },
}

impl FanoutParameters {
    /// What the environment asks for, and this where it asks for nothing.
    ///
    /// # Errors
    /// When a variable is wrong or unknown.
    pub fn of(
        environment: impl Iterator<Item = (String, String)>,
        mut default: Self,
    ) -> Result<Self, ParameterError> {
        let asked = Asked::among(environment)?;
        if let Some(readers) = asked.numbers("READERS", READERS)? {
            default.readers = readers;
        }
        let packets = asked.numbers("PACKETS", PACKETS)?;
        let packet_bytes = asked.numbers("PACKET_BYTES", PACKET_BYTES_RANGE)?;
        if packets.is_some() || packet_bytes.is_some() {
            let packets = packets.unwrap_or_else(|| default.batches_packets());
            let packet_bytes = packet_bytes.unwrap_or_else(|| vec![PACKET_BYTES]);
            let pair = |packets| packet_bytes.iter().map(move |bytes| (packets, *bytes));
            default.batches = packets.into_iter().flat_map(pair).collect();
        }
        default.gap = asked.gap()?.or(default.gap);
        if let Some(drivers) = asked.drivers()? {
            default.drivers = drivers;
        }
        if let Some(shards) = asked.numbers("SHARDS", SHARDS)? {
            default.shards = shards;
        }
        default.settings = asked.settings()?.unwrap_or(default.settings);
        Ok(default)
    }

    /// The packets of its batches, each number once.
    fn batches_packets(&self) -> Vec<usize> {
        let mut packets: Vec<usize> = self.batches.iter().map(|(packets, _)| *packets).collect();
        packets.sort_unstable();
        packets.dedup();
        packets
    }
}

/// Messages that the rings of `crossing` hold, by what its variable says.
///
/// # Errors
/// When that is no such number.
pub fn crossing_ring(value: Option<&str>) -> Result<usize, ParameterError> {
    value.map_or(Ok(RING_DEFAULT), |value| number(CROSSING_RING, value, RING))
}

/// As [`crossing_ring`], by the environment.
///
/// # Errors
/// As [`crossing_ring`].
pub fn crossing_ring_of_environment() -> Result<usize, ParameterError> {
    let value = std::env::var_os(CROSSING_RING);
    crossing_ring(
        value
            .map(|value| value.to_string_lossy().into_owned())
            .as_deref(),
    )
}

/// The variables of `fanout`.
struct Asked(BTreeMap<String, String>);

impl Asked {
    fn among(environment: impl Iterator<Item = (String, String)>) -> Result<Self, ParameterError> {
        let ours: BTreeMap<String, String> = environment
            .filter(|(variable, _)| variable.starts_with(FANOUT))
            .collect();
        let known = FANOUT_NAMES.map(|name| format!("{FANOUT}{name}"));
        match ours.keys().find(|variable| !known.contains(variable)) {
            Some(variable) => Err(ParameterError::Unknown {
                variable: variable.clone(),
                known: known.join(", "),
            }),
            None => Ok(Self(ours)),
        }
    }

    fn value(&self, name: &str) -> Option<(String, &str)> {
        let (variable, value) = self.0.get_key_value(&format!("{FANOUT}{name}"))?;
        Some((variable.clone(), value))
    }

    /// The values between commas.
    fn list(&self, name: &str) -> Result<Option<(String, Vec<&str>)>, ParameterError> {
        let Some((variable, value)) = self.value(name) else {
            return Ok(None);
        };
        let values: Vec<&str> = value.split(',').map(str::trim).collect();
        if values.contains(&"") || values.len() > LIST_MAX {
            return Err(ParameterError::List { variable });
        }
        Ok(Some((variable, values)))
    }

    fn numbers(
        &self,
        name: &str,
        range: RangeInclusive<usize>,
    ) -> Result<Option<Vec<usize>>, ParameterError> {
        let Some((variable, values)) = self.list(name)? else {
            return Ok(None);
        };
        let numbers = values
            .into_iter()
            .map(|value| number(&variable, value, range.clone()));
        numbers.collect::<Result<_, _>>().map(Some)
    }

    /// `600us`.
    fn gap(&self) -> Result<Option<Duration>, ParameterError> {
        let Some((variable, value)) = self.value("GAP") else {
            return Ok(None);
        };
        let micros = value
            .trim()
            .strip_suffix("us")
            .and_then(|micros| micros.parse().ok());
        match micros.filter(|micros| GAP_MICROS.contains(micros)) {
            Some(micros) => Ok(Some(Duration::from_micros(micros))),
            None => Err(ParameterError::Gap {
                variable,
                value: value.to_owned(),
            }),
        }
    }

    fn drivers(&self) -> Result<Option<Vec<String>>, ParameterError> {
        let Some((variable, values)) = self.list("DRIVERS")? else {
            return Ok(None);
        };
        for value in &values {
            let asked = [("MTX_DRIVER".to_owned(), (*value).to_owned())];
            if let Err(error) = shardcast_config::parse(None, "", asked.into_iter()) {
                let reason = error.to_string();
                return Err(ParameterError::Driver { variable, reason });
            }
        }
        Ok(Some(values.into_iter().map(str::to_owned).collect()))
    }

    fn settings(&self) -> Result<Option<Settings>, ParameterError> {
        let Some((variable, value)) = self.value("SET") else {
            return Ok(None);
        };
        let settings = Settings::from_str(value);
        settings
            .map(Some)
            .map_err(|error| ParameterError::Settings { variable, error })
    }
}

fn number(
    variable: &str,
    value: &str,
    range: RangeInclusive<usize>,
) -> Result<usize, ParameterError> {
    let number = value.trim().parse().ok();
    number
        .filter(|number| range.contains(number))
        .ok_or_else(|| ParameterError::Number {
            variable: variable.to_owned(),
            value: value.to_owned(),
            min: *range.start(),
            max: *range.end(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn default() -> FanoutParameters {
        FanoutParameters {
            readers: vec![500],
            batches: vec![(1, 1400), (10, 1400), (10, 1472)],
            gap: None,
            drivers: vec!["io_uring".to_owned()],
            shards: vec![1, 2],
            settings: Settings::default(),
        }
    }

    fn asked(variables: &[(&str, &str)]) -> Result<FanoutParameters, ParameterError> {
        let named = |(name, value): &(&str, &str)| (format!("{FANOUT}{name}"), (*value).to_owned());
        FanoutParameters::of(variables.iter().map(named), default())
    }

    #[test]
    fn what_is_not_asked_for_stays_as_it_is() {
        assert_eq!(asked(&[]).unwrap(), default());
        let readers = asked(&[("READERS", "10, 100")]).unwrap();
        assert_eq!(readers.readers, [10, 100]);
        assert_eq!(readers.batches, default().batches);
    }

    #[test]
    fn packets_and_their_bytes_are_combined() {
        let both = asked(&[("PACKETS", "1,40"), ("PACKET_BYTES", "200,1400")]).unwrap();
        assert_eq!(both.batches, [(1, 200), (1, 1400), (40, 200), (40, 1400)]);
        let bytes = asked(&[("PACKET_BYTES", "200")]).unwrap();
        assert_eq!(bytes.batches, [(1, 200), (10, 200)]);
        let packets = asked(&[("PACKETS", "40")]).unwrap();
        assert_eq!(packets.batches, [(40, PACKET_BYTES)]);
    }

    #[test]
    fn drivers_shards_gap_and_settings_are_taken() {
        let all = asked(&[
            ("DRIVERS", "epoll,io_uring"),
            ("SHARDS", "4"),
            ("GAP", "600us"),
            ("SET", "coalesce=5ms,wakeReaders=64"),
        ]);
        let all = all.unwrap();
        assert_eq!(all.drivers, ["epoll", "io_uring"]);
        assert_eq!(all.shards, [4]);
        assert_eq!(all.gap, Some(Duration::from_micros(600)));
        assert_eq!(all.settings.to_string(), "coalesce=5ms,wakeReaders=64");
    }

    #[test]
    fn a_wrong_value_is_an_error_that_names_its_variable() {
        for (name, value) in [
            ("READERS", "0"),
            ("READERS", "20001"),
            ("READERS", ""),
            ("READERS", "10,,20"),
            ("PACKETS", "ten"),
            ("PACKETS", "1001"),
            ("PACKET_BYTES", "63"),
            ("PACKET_BYTES", "65536"),
            ("GAP", "600"),
            ("GAP", "0us"),
            ("GAP", "100001us"),
            ("DRIVERS", "kernel"),
            ("SHARDS", "0"),
            ("SHARDS", "257"),
            ("SET", "coalesce=soon"),
            ("READER", "10"),
        ] {
            let error = asked(&[(name, value)]).unwrap_err().to_string();
            let variable = format!("{FANOUT}{name}");
            assert!(error.starts_with(&variable), "{name}={value}: {error}");
        }
        let many = vec!["1"; LIST_MAX + 1].join(",");
        assert!(asked(&[("READERS", &many)]).is_err());
        assert!(asked(&[("READERS", &many[2..])]).is_ok());
    }

    #[test]
    fn a_ring_holds_the_largest_burst_and_no_more_than_a_server_would() {
        assert_eq!(crossing_ring(None).unwrap(), RING_DEFAULT);
        for (value, is_one) in [
            ("63", false),
            ("64", true),
            ("65536", true),
            ("65537", false),
        ] {
            assert_eq!(crossing_ring(Some(value)).is_ok(), is_one, "{value}");
        }
        let error = crossing_ring(Some("many")).unwrap_err().to_string();
        assert!(error.starts_with(CROSSING_RING), "{error}");
    }
}
