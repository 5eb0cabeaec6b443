//! Which CPUs the server has that is started here, and which the load: so that neither is measured with the other's work.

use std::io;

use shardcast_platform::{cpu_budget, run_on};

use crate::BenchError;

/// A division of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cpus {
    /// Of the server that is started here.
    pub(crate) server: Vec<usize>,
    /// Of publishers and readers; empty leaves them where they are.
    pub(crate) load: Vec<usize>,
}

impl Cpus {
    /// Those of both.
    pub(crate) fn all(self) -> Vec<usize> {
        let mut all = self.server;
        all.extend(self.load);
        all.sort_unstable();
        all.dedup();
        all
    }

    /// As the options say, on the CPUs that this process may use.
    ///
    /// # Errors
    /// When a list is none, or names a CPU that is not ours.
    pub(crate) fn divide(
        server: Option<&str>,
        load: Option<&str>,
        starts_server: bool,
    ) -> Result<Self, BenchError> {
        let all = cpu_budget().cpus;
        let half = all.len().div_ceil(2);
        let server = match server {
            Some(list) => parse("server-cpus", list, &all)?,
            None => all.iter().copied().take(half).collect(),
        };
        let rest = all.iter().copied().filter(|cpu| !server.contains(cpu));
        let load = match load {
            Some(list) => parse("load-cpus", list, &all)?,
            None if starts_server => rest.collect(),
            None => Vec::new(),
        };
        Ok(Self { server, load })
    }
}

/// Keeps this thread, and the threads and processes that it starts, on these CPUs; none leave it where it is, as does a
/// system that knows no such thing.
///
/// # Errors
/// When the system refuses.
pub(crate) fn settle_on(cpus: &[usize]) -> Result<(), BenchError> {
    if cpus.is_empty() {
        return Ok(());
    }
    match run_on(cpus) {
        Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(BenchError::io(format!(
            "cannot run on CPUs {cpus:?}"
        ))(error)),
        _ => Ok(()),
    }
}

/// `0,2-3` is the CPUs 0, 2 and 3.
fn parse(option: &'static str, list: &str, all: &[usize]) -> Result<Vec<usize>, BenchError> {
    let wrong = |reason: String| BenchError::Option { option, reason };
    let mut cpus = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<usize>().ok();
        let (Some(first), Some(last)) = (number(first), number(last)) else {
            return Err(wrong(format!(
                "'{part}' is no CPU and no range of them, as 0 and 2-3 are"
            )));
        };
        if let Some(cpu) = [first, last].into_iter().find(|cpu| !all.contains(cpu)) {
            return Err(wrong(format!("there is no CPU {cpu} here, but {all:?}")));
        }
        cpus.extend((first..=last).filter(|cpu| all.contains(cpu)));
    }
    cpus.sort_unstable();
    cpus.dedup();
    match cpus.is_empty() {
        true => Err(wrong(format!("'{list}' is empty"))),
        false => Ok(cpus),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_name_cpus_and_ranges() {
        let all = [0, 1, 2, 3, 5];
        assert_eq!(parse("load-cpus", "0,2-3", &all).unwrap(), [0, 2, 3]);
        assert_eq!(parse("load-cpus", "5, 1", &all).unwrap(), [1, 5]);
        for list in ["", "a", "1-", "4", "3-2", "0-99999999999999999999"] {
            let error = parse("load-cpus", list, &all).unwrap_err().to_string();
            assert!(error.starts_with("--load-cpus: "), "{error}");
        }
    }

    #[test]
    fn a_server_that_is_started_here_has_cpus_of_its_own() {
        let cpus = Cpus::divide(None, None, true).unwrap();
        assert!(cpus.load.iter().all(|cpu| !cpus.server.contains(cpu)));
        assert!(Cpus::divide(None, None, false).unwrap().load.is_empty());
    }
}
