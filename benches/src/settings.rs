//! Configuration keys that somebody sets for the server that is measured, written `key=value`. They go to the server by its
//! environment, as `MTX_KEY`, and are judged here first, so that a wrong one is an error before anything is measured.

use std::fmt;
use std::process::Command;
use std::str::FromStr;

/// Settings that one list may have: more than there are keys.
const SETTINGS_MAX: usize = 256;
/// What the benchmarks choose by other means.
const CHOSEN_ELSEWHERE: [&str; 3] = ["driver", "shards", "rtspAddress"];

/// Keys with their values, in the order in which they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings(Vec<Setting>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Setting {
    key: String,
    value: String,
}

/// Why settings are none.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A part of the list is no `key=value`.
    #[error("'{0}' is not key=value, as wakeReaders=64 is")]
    Form(String),
    /// There are too many.
    #[error("more than {SETTINGS_MAX} settings")]
    TooMany,
    /// The benchmark decides this one.
    #[error("{0} is not set this way")]
    ChosenElsewhere(&'static str),
    /// The server would not take them.
    #[error("{0}")]
    Refused(String),
}

impl FromStr for Settings {
    type Err = SettingsError;

    /// `key=value,key=value`; a key of the paths' defaults is `pathDefaults.key`.
    fn from_str(text: &str) -> Result<Self, SettingsError> {
        let parts = text.split(',').map(str::trim).filter(|it| !it.is_empty());
        let settings = Self(parts.map(Setting::parse).collect::<Result<_, _>>()?);
        if settings.0.len() > SETTINGS_MAX {
            return Err(SettingsError::TooMany);
        }
        settings.judge()?;
        Ok(settings)
    }
}

impl Settings {
    /// Puts them into the environment of a server.
    pub(crate) fn configure(&self, command: &mut Command) {
        command.envs(self.variables());
    }

    fn variables(&self) -> impl Iterator<Item = (String, String)> {
        let pairs = self.0.iter();
        pairs.map(|setting| (setting.variable(), setting.value.clone()))
    }

    /// What is warned of counts too: a key that has no effect would be measured as if it had one.
    fn judge(&self) -> Result<(), SettingsError> {
        let loaded = shardcast_config::parse(None, "", self.variables())
            .map_err(|error| SettingsError::Refused(error.to_string()))?;
        match loaded.warnings.first() {
            Some(warning) => Err(SettingsError::Refused(warning.clone())),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, setting) in self.0.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            write!(f, "{comma}{}={}", setting.key, setting.value)?;
        }
        Ok(())
    }
}

impl Setting {
    fn parse(text: &str) -> Result<Self, SettingsError> {
        let form = || SettingsError::Form(text.to_owned());
        let (key, value) = text.split_once('=').ok_or_else(form)?;
        let is_name = |name: &str| !name.is_empty() && name.chars().all(char::is_alphanumeric);
        if !key.split('.').all(is_name) {
            return Err(form());
        }
        let setting = Self {
            key: key.to_owned(),
            value: value.to_owned(),
        };
        let elsewhere = CHOSEN_ELSEWHERE
            .into_iter()
            .find(|it| it.eq_ignore_ascii_case(key));
        elsewhere.map_or(Ok(setting), |it| Err(SettingsError::ChosenElsewhere(it)))
    }

    /// `MTX_PATHDEFAULTS_LOGBYTES`.
    fn variable(&self) -> String {
        format!("MTX_{}", self.key.replace('.', "_").to_ascii_uppercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_become_the_servers_environment() {
        let settings: Settings = "wakeReaders=64, pathDefaults.logAge=10s,".parse().unwrap();
        let variables: Vec<_> = settings.variables().collect();
        let expected = [
            ("MTX_WAKEREADERS", "64"),
            ("MTX_PATHDEFAULTS_LOGAGE", "10s"),
        ];
        assert_eq!(
            variables,
            expected.map(|(key, value)| (key.to_owned(), value.to_owned()))
        );
        assert_eq!(
            settings.to_string(),
            "wakeReaders=64,pathDefaults.logAge=10s"
        );
    }

    #[test]
    fn a_setting_that_the_server_would_not_take_is_refused() {
        for (text, said) in [
            ("coalesce", "key=value"),
            ("=1", "key=value"),
            ("coalesce=soon", "MTX_COALESCE"),
            ("wakeReader=64", "MTX_WAKEREADER"),
            ("shards=2", "shards"),
            ("DRIVER=epoll", "driver"),
        ] {
            let error = text.parse::<Settings>().unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
