//! What the server has open and holds, by its own metrics; and what of it has not come back to what it was.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A page of metrics comes within this: far above what a busy machine needs.
const SCRAPE_TIMEOUT: Duration = Duration::from_secs(10);
/// A page has some hundred lines; more than this is none.
const PAGE_BYTES_MAX: u64 = 16 << 20;
/// Messages that may lie in all rings of a kind together. Streams flow on while the shards are asked one after the other.
const IN_RINGS_MAX: u64 = 64;
/// A log holds what came since a key frame that is as old as it may be: between two scrapes it differs by a group of pictures
/// of every path, a third of it at most.
const LOG_PART: u64 = 2;
const LOG_SPARE_BYTES: u64 = 1 << 20;

/// How the server is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Vitals {
    /// Memory in RAM.
    pub(crate) resident_bytes: u64,
    /// Descriptors that are open.
    pub(crate) descriptors: u64,
    /// Tasks of all shards.
    pub(crate) tasks: u64,
    /// Connections that all shards serve, that of the scrape among them.
    pub(crate) sessions: u64,
    /// What the logs of all shards hold.
    pub(crate) log_bytes: u64,
    /// Messages that were put into rings and not taken out.
    pub(crate) in_rings: u64,
    /// Sessions that a panic has ended.
    pub(crate) panics: u64,
    /// How often a shard showed no sign of life.
    pub(crate) stalls: u64,
}

/// What is not as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deviation {
    /// What.
    pub(crate) what: &'static str,
    /// How much of it there is.
    pub(crate) is: u64,
    /// How much there was.
    pub(crate) was: u64,
    /// How much there may be.
    pub(crate) at_most: u64,
}

impl Vitals {
    /// Asks the server.
    ///
    /// # Errors
    /// When it does not answer, or with what is no page of its metrics.
    pub(crate) fn take(site: SocketAddr) -> io::Result<Self> {
        let mut stream = TcpStream::connect_timeout(&site, SCRAPE_TIMEOUT)?;
        stream.set_read_timeout(Some(SCRAPE_TIMEOUT))?;
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {site}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut page = String::new();
        stream.take(PAGE_BYTES_MAX).read_to_string(&mut page)?;
        Self::read(&page)
            .ok_or_else(|| io::Error::other("the server's metrics lack what they should have"))
    }

    fn read(page: &str) -> Option<Self> {
        let sum = |name: &str| sum_of(page, name);
        let sent = sum("shardcast_shard_ring_sent_total")?;
        let received = sum("shardcast_shard_ring_received_total")?;
        Some(Self {
            resident_bytes: sum("shardcast_process_resident_memory_bytes")?,
            descriptors: sum("shardcast_process_open_fds")?,
            tasks: sum("shardcast_shard_tasks")?,
            sessions: sum("shardcast_shard_sessions")?,
            // Absent while nothing is published.
            log_bytes: sum("shardcast_shard_log_bytes").unwrap_or_default(),
            in_rings: sent.saturating_sub(received),
            panics: sum("shardcast_shard_session_panics_total")?,
            stalls: sum("shardcast_shard_stalls_total")?,
        })
    }

    /// Whether nobody is there but those who stay: the same is open and runs as before.
    pub(crate) fn is_as_still_as(&self, before: &Self) -> bool {
        let of = |it: &Self| (it.descriptors, it.tasks, it.sessions);
        of(self) == of(before)
    }

    /// What has not come back to the baseline.
    pub(crate) fn deviations(&self, baseline: &Self, memory_tolerance: u64) -> Vec<Deviation> {
        let same = |what, is, was| Deviation {
            what,
            is,
            was,
            at_most: was,
        };
        let up_to = |what, is, was, at_most| Deviation {
            what,
            is,
            was,
            at_most,
        };
        let logs = baseline.log_bytes + baseline.log_bytes / LOG_PART + LOG_SPARE_BYTES;
        let memory = baseline.resident_bytes.saturating_add(memory_tolerance);
        let all = [
            same("descriptors", self.descriptors, baseline.descriptors),
            same("tasks", self.tasks, baseline.tasks),
            same("sessions", self.sessions, baseline.sessions),
            up_to("bytes of logs", self.log_bytes, baseline.log_bytes, logs),
            up_to(
                "messages in rings",
                self.in_rings,
                baseline.in_rings,
                IN_RINGS_MAX,
            ),
            up_to(
                "bytes of memory",
                self.resident_bytes,
                baseline.resident_bytes,
                memory,
            ),
            up_to("panics", self.panics, 0, 0),
            up_to("stalls", self.stalls, 0, 0),
        ];
        let is_exact = |it: &Deviation| it.at_most == it.was && it.is != it.was;
        let deviates = |it: &Deviation| it.is > it.at_most || is_exact(it);
        all.into_iter().filter(deviates).collect()
    }
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            what,
            is,
            was,
            at_most,
        } = self;
        write!(f, "{is} {what}, where there were {was}")?;
        match at_most == was {
            true => Ok(()),
            false => write!(f, " and may be {at_most}"),
        }
    }
}

/// The sum of a family's samples, whatever their labels; none when there are none.
fn sum_of(page: &str, name: &str) -> Option<u64> {
    let samples = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let is_whole_name = rest.starts_with(['{', ' ']);
        let (_, value) = rest.rsplit_once(' ').filter(|_| is_whole_name)?;
        value.parse::<f64>().ok()
    });
    samples
        .reduce(|sum, value| sum + value)
        .map(|sum| sum as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STILL: Vitals = Vitals {
        resident_bytes: 40 << 20,
        descriptors: 60,
        tasks: 50,
        sessions: 13,
        log_bytes: 2 << 20,
        in_rings: 0,
        panics: 0,
        stalls: 0,
    };

    fn deviations(vitals: Vitals) -> Vec<&'static str> {
        let deviations = vitals.deviations(&STILL, 1 << 20);
        deviations.iter().map(|deviation| deviation.what).collect()
    }

    #[test]
    fn samples_of_one_name_are_added_up_and_others_are_not() {
        let page = "# HELP a_b x\na_b{c=\"0\"} 2\na_b{c=\"1\"} 3.0\na_bc 7\n";
        assert_eq!(sum_of(page, "a_b"), Some(5));
        assert_eq!(sum_of(page, "a_bc"), Some(7));
        assert_eq!(sum_of(page, "a"), None);
    }

    #[test]
    fn what_came_back_is_no_deviation() {
        let within = Vitals {
            resident_bytes: STILL.resident_bytes + (1 << 20),
            log_bytes: 3 << 20,
            in_rings: IN_RINGS_MAX,
            ..STILL
        };
        assert_eq!(deviations(within), [""; 0]);
    }

    #[test]
    fn whatever_stays_behind_is_named() {
        let descriptors = STILL.descriptors + 1;
        let fewer_tasks = STILL.tasks - 1;
        for (vitals, what) in [
            (
                Vitals {
                    descriptors,
                    ..STILL
                },
                "descriptors",
            ),
            (
                Vitals {
                    tasks: fewer_tasks,
                    ..STILL
                },
                "tasks",
            ),
            (
                Vitals {
                    sessions: 14,
                    ..STILL
                },
                "sessions",
            ),
            (
                Vitals {
                    log_bytes: 9 << 20,
                    ..STILL
                },
                "bytes of logs",
            ),
            (
                Vitals {
                    in_rings: IN_RINGS_MAX + 1,
                    ..STILL
                },
                "messages in rings",
            ),
            (
                Vitals {
                    resident_bytes: 42 << 20,
                    ..STILL
                },
                "bytes of memory",
            ),
            (Vitals { panics: 1, ..STILL }, "panics"),
            (Vitals { stalls: 1, ..STILL }, "stalls"),
        ] {
            assert_eq!(deviations(vitals), [what]);
        }
    }
}
