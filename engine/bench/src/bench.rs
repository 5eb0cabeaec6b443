//! From the options to the exit status: what is to be measured is run, once, in turns with something else, or with more and
//! more readers, and the report is written.

use std::ffi::OsString;

use crate::BenchError;
use crate::against::{self, alternate};
use crate::cpus::Cpus;
use crate::limit::{Criteria, LimitFound, find_limit};
use crate::limits::LimitComparison;
use crate::measured::Measured;
use crate::options::Options;
use crate::plan::{Other, Plan};
use crate::report::{Outcome, Output, Progress, Report};
use crate::run::{Interrupt, Trial};
use crate::shape::Load;
use crate::stream::Source;
use crate::subject::Subject;
use crate::target::Target;

/// Measures as the options say, and writes the report; the exit status of the process. `words` are those that the options
/// were made of: `--baseline` puts others behind them.
///
/// # Errors
/// When an option cannot be followed, or nothing could be measured. What was measured before an error is written first.
pub fn run(options: &Options, words: &[OsString], interrupt: &Interrupt) -> Result<u8, BenchError> {
    let plan = Plan::of(options, words)?;
    let mut output = Output::create(options.json.as_deref(), options.plot.as_deref())?;
    let progress = Progress::new(options.quiet);
    let bench = Bench {
        options,
        plan: &plan,
        interrupt,
        progress: &progress,
    };
    progress.heading(&format!("seed {}", plan.load.seed));
    if let Some(remark) = Source::remark_on(&plan.load.source)? {
        progress.heading(&remark);
    }
    let (outcome, error) = match (&plan.other, options.find_limit) {
        (None, false) => bench.once()?,
        (Some(other), false) => (bench.in_turns(other), None),
        (None, true) => (Outcome::Limit(bench.limit(&plan.subject)), None),
        (Some(other), true) => (bench.limits(other), None),
    };
    progress.finish();
    let mut report = Report {
        target: plan.subject.name(),
        load: plan.load.clone(),
        baseline: baseline_load(options, &plan),
        bounds: plan.bounds,
        outcome,
    };
    let status = report.exit_status();
    output.write(&report)?;
    let failure = match &mut report.outcome {
        Outcome::Run(_) => error,
        Outcome::Comparison(comparison) => comparison.failure.take(),
        Outcome::Limit(found) => found.failure.take(),
        Outcome::Limits(limits) => limits.take_failure(),
    };
    failure.map_or(Ok(status), Err)
}

/// Runs a load on a server that runs already, once, on these CPUs: for programs that compare servers in ways of their own.
///
/// # Errors
/// When it cannot be measured to the end.
pub fn measure(
    target: Target,
    process: Option<u32>,
    load: &Load,
    cpus: &[usize],
) -> Result<Measured, BenchError> {
    let subject = Subject::Running { target, process };
    let trial = Trial {
        subject: &subject,
        load,
        cpus,
        looks_at_sockets: false,
        interrupt: &Interrupt::default(),
    };
    let ended = trial.run(&Progress::quiet())?;
    ended.error.map_or(Ok(ended.measured), Err)
}

/// What the other turns are loaded with, where that is what differs.
fn baseline_load(options: &Options, plan: &Plan) -> Option<Load> {
    let other = plan.other.as_ref().filter(|_| options.baseline.is_some());
    other.map(|other| other.load.clone())
}

struct Bench<'a> {
    options: &'a Options,
    plan: &'a Plan,
    interrupt: &'a Interrupt,
    progress: &'a Progress,
}

impl Bench<'_> {
    fn trial(
        &self,
        subject: &Subject,
        load: &Load,
        cpus: &Cpus,
    ) -> Result<(Measured, Option<BenchError>), BenchError> {
        let trial = Trial {
            subject,
            load,
            cpus: &cpus.load,
            looks_at_sockets: self.plan.bounds.memory_growth.is_some(),
            interrupt: self.interrupt,
        };
        let ended = trial.run(self.progress)?;
        Ok((ended.measured, ended.error))
    }

    /// A run of which nothing is wanted that it could not show.
    fn whole(&self, subject: &Subject, load: &Load, cpus: &Cpus) -> Result<Measured, BenchError> {
        let (measured, error) = self.trial(subject, load, cpus)?;
        error.map_or(Ok(measured), Err)
    }

    fn once(&self) -> Result<(Outcome, Option<BenchError>), BenchError> {
        let plan = self.plan;
        let (measured, error) = self.trial(&plan.subject, &plan.load, &plan.cpus)?;
        Ok((Outcome::Run(Box::new(measured)), error))
    }

    fn in_turns(&self, other: &Other) -> Outcome {
        let turns = against::Plan {
            turns: self.options.turns,
            ours: self.plan.subject.name(),
            theirs: other.name.clone(),
            cpu_at_most: self.options.cpu_at_most,
            p99_at_most: self.options.p99_at_most,
            bounds: self.plan.bounds,
        };
        let plan = self.plan;
        let ours = || self.whole(&plan.subject, &plan.load, &plan.cpus);
        let theirs = || self.whole(&other.subject, &other.load, &other.cpus);
        Outcome::Comparison(alternate(turns, self.progress, ours, theirs))
    }

    fn limit(&self, subject: &Subject) -> LimitFound {
        let criteria = Criteria {
            start: self.plan.load.readers,
            max_p99: self.options.max_p99,
            max_loss_percent: self.options.max_loss,
            max_readers: self.options.max_readers,
            precision_percent: self.options.precision,
        };
        find_limit(&criteria, self.progress, |readers| {
            let load = self.plan.load_of(self.options, readers);
            self.whole(subject, &load, &self.plan.cpus)
        })
    }

    fn limits(&self, other: &Other) -> Outcome {
        let search = |name: &str, subject: &Subject| {
            self.progress.heading(&format!("limit of {name}"));
            self.limit(subject)
        };
        let ours_name = self.plan.subject.name();
        let ours = search(&ours_name, &self.plan.subject);
        let theirs = (!ours.is_partial()).then(|| search(&other.name, &other.subject));
        Outcome::Limits(Box::new(LimitComparison {
            ours_name,
            theirs_name: other.name.clone(),
            ours,
            theirs,
            at_least: self.options.limit_at_least,
        }))
    }
}
