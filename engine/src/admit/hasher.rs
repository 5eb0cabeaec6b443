//! The thread that computes slow hashes, one at a time; it gives way to the shards.
//!
//! Jobs come from the shards by a bounded queue, each with a deadline and the way back for its answer. It ends when the
//! admission that started it is gone.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Instant;

use shardcast_config::Credential;

use super::failures::Failures;
use super::known::KnownHashes;
use super::verify::{Verdict, compare, compare_slowly};
use super::weigh::HashWork;

/// Requests that wait for the thread. At ten milliseconds a hash that is as many as can be served within the deadline.
pub const HASHES_WAITING_MAX: usize = 1024;

/// A request whose hashes are to be computed.
pub(crate) struct Job {
    /// Takes the answer to whoever waits for it. Never waits itself.
    pub(crate) answer: Box<dyn FnOnce(Hashed) + Send>,
    /// Whose request it is.
    pub(crate) address: IpAddr,
    /// Nobody waits for the answer after that.
    pub(crate) deadline: Instant,
    pub(crate) work: HashWork,
}

/// What came of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hashed {
    /// The peer may.
    Right,
    /// It may not.
    Wrong,
    /// Its address has had too many failures meanwhile: nothing was computed.
    TooManyFailures,
    /// The deadline has passed.
    Late,
}

/// The thread's other end.
#[derive(Debug)]
pub(super) struct Hasher {
    jobs: SyncSender<Job>,
}

impl Hasher {
    pub(super) fn start(known: Arc<KnownHashes>, failures: Arc<Failures>) -> std::io::Result<Self> {
        let (jobs, queue) = sync_channel(HASHES_WAITING_MAX);
        let bench = Bench { known, failures };
        let builder = std::thread::Builder::new().name("hashes".into());
        builder.spawn(move || bench.work_off(&queue))?;
        Ok(Self { jobs })
    }

    /// Whether there was room for the job. Never waits.
    pub(super) fn take(&self, job: Job) -> bool {
        self.jobs.try_send(job).is_ok()
    }
}

/// What the thread works with.
struct Bench {
    known: Arc<KnownHashes>,
    failures: Arc<Failures>,
}

impl Bench {
    fn work_off(&self, queue: &Receiver<Job>) {
        // Where the system refuses it, hashes compete with shards as any thread would.
        let _as_any_other_thread = shardcast_platform::lower_current_thread();
        while let Ok(job) = queue.recv() {
            let hashed = self.hashed(&job);
            (job.answer)(hashed);
        }
    }

    fn hashed(&self, job: &Job) -> Hashed {
        if self.failures.is_full(job.address) {
            return Hashed::TooManyFailures;
        }
        let verdict = job
            .work
            .verdict(|credential, offered| self.compare_before(job.deadline, credential, offered));
        match verdict {
            Verdict::Right => Hashed::Right,
            Verdict::Wrong => Hashed::Wrong,
            Verdict::Unknown => Hashed::Late,
        }
    }

    /// Begins no hash after the deadline, and none that somebody else's request has found right meanwhile.
    fn compare_before(&self, deadline: Instant, credential: &Credential, offered: &str) -> Verdict {
        let Credential::Argon2(encoded) = credential else {
            return compare(credential, offered);
        };
        let now = shardcast_platform::now();
        if self.known.contains(encoded, offered, now) {
            return Verdict::Right;
        }
        if now >= deadline {
            return Verdict::Unknown;
        }
        let is_right = compare_slowly(encoded, offered);
        if is_right {
            self.known
                .insert(encoded, offered, shardcast_platform::now());
        }
        is_right.into()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::admit::{Action, Admission, AdmitRequest, Offered, Weighed};
    use crate::path::PathName;

    const SLOW: &str = "argon2:$argon2i$v=19$m=4096,t=3,p=1$MTIzNDU2Nzg$/mrZ42TiTv1mcPnpMUera5oi0SFYbbyueAbdx5sUvWo";

    fn job(pass: &str, deadline: Instant) -> Job {
        let text = format!(
            "authInternalUsers: [{{user: bob, pass: '{SLOW}', permissions: [{{action: read}}]}}]\n\
             paths: {{all_others: }}\n"
        );
        let file = Some(Path::new("test.yml"));
        let loaded = shardcast_config::parse(file, &text, std::iter::empty()).unwrap();
        let path = PathName::from_url_path("/cam").unwrap();
        let request = AdmitRequest {
            action: Action::Read,
            path: Some(&path),
            peer: ([10, 0, 0, 1], 1).into(),
            offered: Offered::Password { user: "bob", pass },
        };
        let admission = Admission::start().unwrap();
        let config = Arc::new(loaded.config);
        let Weighed::Hash(work) = admission.weigh(&config, request, deadline) else {
            panic!("it cannot be known at once");
        };
        Job {
            answer: Box::new(|_hashed| {}),
            address: request.peer.ip(),
            deadline,
            work,
        }
    }

    fn bench() -> Bench {
        Bench {
            known: Arc::new(KnownHashes::new()),
            failures: Arc::default(),
        }
    }

    fn soon() -> Instant {
        shardcast_platform::now() + std::time::Duration::from_secs(3600)
    }

    #[test]
    fn a_job_tells_right_from_wrong() {
        let bench = bench();
        assert_eq!(bench.hashed(&job("testpass", soon())), Hashed::Right);
        assert_eq!(bench.hashed(&job("wrong", soon())), Hashed::Wrong);
    }

    #[test]
    fn no_hash_is_begun_after_its_deadline() {
        let (bench, passed) = (bench(), shardcast_platform::now());
        assert_eq!(bench.hashed(&job("testpass", passed)), Hashed::Late);
        // One that is known is no hash to begin.
        assert_eq!(bench.hashed(&job("testpass", soon())), Hashed::Right);
        assert_eq!(bench.hashed(&job("testpass", passed)), Hashed::Right);
    }

    #[test]
    fn no_hash_is_computed_for_an_address_that_has_failed_too_often() {
        let bench = bench();
        let job = job("testpass", soon());
        let mut waiting = Vec::new();
        while let Some(failed) = bench.failures.take(job.address) {
            waiting.push(failed);
        }
        assert_eq!(bench.hashed(&job), Hashed::TooManyFailures);
    }
}
