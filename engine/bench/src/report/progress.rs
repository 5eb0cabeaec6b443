//! What is going on, once a second, on standard error: in one line that is written over on a terminal, in whole lines
//! elsewhere. The coordinator of a run feeds it.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::measured::Interval;
use crate::report::words;

/// Goes to the begin of the line and empties it (ECMA-48, EL).
const OVERWRITE: &str = "\r\x1b[K";
/// What does not fit the line is cut, not put into the next one, which could not be written over (DECAWM).
const CUT: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

/// Tells on standard error how far things are.
#[derive(Debug)]
pub struct Progress {
    is_quiet: bool,
    is_terminal: bool,
    /// Whether the last line is one to be written over.
    is_open: AtomicBool,
}

impl Progress {
    /// Tells, unless it is to be quiet.
    #[must_use]
    pub fn new(is_quiet: bool) -> Self {
        Self {
            is_quiet,
            is_terminal: std::io::stderr().is_terminal() && knows_controls(),
            is_open: AtomicBool::new(false),
        }
    }

    /// Tells nothing.
    #[must_use]
    pub fn quiet() -> Self {
        Self::new(true)
    }

    /// A line that stays.
    pub fn heading(&self, text: &str) {
        self.say(&format!("{text}\n"), false);
    }

    /// The last second of a run: its stage, and how many readers were asked for.
    pub fn second(&self, stage: &str, asked: usize, interval: &Interval) {
        self.line(&line(stage, asked, interval));
    }

    /// A line that the next one takes the place of, where that is possible.
    pub fn line(&self, line: &str) {
        match self.is_terminal {
            true => self.say(&format!("{CUT}{line}{WRAP}"), true),
            false => self.say(&format!("{line}\n"), false),
        }
    }

    /// Leaves the line that is written over as it is: whatever comes next begins a new one.
    pub fn finish(&self) {
        if self.is_open.load(Ordering::Relaxed) {
            self.say("\n", false);
        }
    }

    /// Writes; that standard error is closed is nobody's loss.
    fn say(&self, text: &str, stays_open: bool) {
        if self.is_quiet {
            return;
        }
        let was_open = self.is_open.swap(stays_open, Ordering::Relaxed);
        let before = match was_open && text != "\n" {
            true => OVERWRITE,
            false => "",
        };
        let mut stderr = std::io::stderr().lock();
        let _ = write!(stderr, "{before}{text}").and_then(|()| stderr.flush());
    }
}

/// Whether the terminal knows control sequences. A console of Windows has no `TERM`, and may not.
fn knows_controls() -> bool {
    std::env::var_os("TERM").is_some_and(|terminal| terminal != "dumb")
}

fn line(stage: &str, asked: usize, interval: &Interval) -> String {
    let mut line = format!(
        "{stage:<8} {:>4.0} s  {:>6} of {asked} readers  {:>6.0} Mbit/s  lost {}",
        interval.until.as_secs_f64(),
        interval.readers,
        interval.bytes as f64 * 8e-6,
        interval.lost,
    );
    if let Some(p99) = interval.latency_p99 {
        let _ = write!(line, "  p99 {}", words::duration(p99));
    }
    if let Some(cpu) = interval.server_cpu {
        let _ = write!(line, "  server {:.0} %", cpu.as_secs_f64() * 100.0);
    }
    let _ = write!(line, "  own {:.0} %", interval.own_share * 100.0);
    line
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_second_says_what_matters_in_one_line() {
        let interval = Interval {
            until: Duration::from_secs(12),
            readers: 998,
            bytes: 250_000_000,
            lost: 3,
            latency_p99: Some(Duration::from_micros(12_340)),
            server_cpu: Some(Duration::from_millis(234)),
            own_share: 0.31,
            ..Interval::default()
        };
        assert_eq!(
            line("measured", 1000, &interval),
            "measured   12 s     998 of 1000 readers    2000 Mbit/s  lost 3  p99 12.3 ms  server 23 %  own 31 %"
        );
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let said = line("ramp", 10, &Interval::default());
        assert!(!said.contains("p99") && !said.contains("server"), "{said}");
    }
}
