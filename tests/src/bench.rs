//! `shardcast bench`, and `soak`, as a child process: its options, what it prints, how it ends, and the figures in its JSON.
//!
//! The program is the daemon's, see [`daemon::program`]. A run whose figures of time are judged has the machine to itself, as
//! far as this test process goes: it waits for the others, and they for it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::daemon;
use crate::wait::poll_until;

/// How long a run may take: seconds of measuring, and far more for a machine that is busy.
const RUN_LIMIT: Duration = Duration::from_secs(120);
/// How the line of an error begins.
const ERROR: &str = "shardcast bench: ";
/// The exit status when the load generator was the bottleneck.
const OWN_FAULT: i32 = 3;

/// Held by every run, by one that is to be alone for itself.
static MACHINE: RwLock<()> = RwLock::new(());

/// How a run holds it.
#[derive(Debug)]
enum Hold {
    Shared {
        _guard: RwLockReadGuard<'static, ()>,
    },
    Alone {
        _guard: RwLockWriteGuard<'static, ()>,
    },
}

/// A run to be.
#[derive(Debug)]
pub struct Bench {
    command: &'static str,
    arguments: Vec<String>,
    shell: Option<String>,
    is_alone: bool,
}

impl Hold {
    fn of(is_alone: bool) -> Self {
        match is_alone {
            false => Self::Shared {
                _guard: MACHINE.read().unwrap_or_else(PoisonError::into_inner),
            },
            true => Self::Alone {
                _guard: MACHINE.write().unwrap_or_else(PoisonError::into_inner),
            },
        }
    }
}

/// A run under way. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    begin: Instant,
    directory: TempDir,
    _hold: Hold,
}

/// A run that has ended.
#[derive(Debug)]
pub struct Done {
    /// The exit status; none when a signal has ended it.
    pub code: Option<i32>,
    /// From its start to its end.
    pub took: Duration,
    /// What it has printed.
    pub stdout: String,
    /// What it has said meanwhile.
    pub stderr: String,
    /// Where it ran, with the files that it wrote.
    directory: TempDir,
}

impl Bench {
    /// A run with these options, split at spaces.
    pub fn with(options: &str) -> Self {
        Self::of("bench", options)
    }

    /// A run of `shardcast soak` with these options.
    pub fn soak(options: &str) -> Self {
        Self::of("soak", options)
    }

    fn of(command: &'static str, options: &str) -> Self {
        Self {
            command,
            arguments: options.split_whitespace().map(str::to_owned).collect(),
            shell: None,
            is_alone: false,
        }
    }

    /// With these options besides.
    #[must_use]
    pub fn and(mut self, options: &str) -> Self {
        let more = options.split_whitespace().map(str::to_owned);
        self.arguments.extend(more);
        self
    }

    /// With this word besides, spaces and all.
    #[must_use]
    pub fn and_word(mut self, word: &str) -> Self {
        self.arguments.push(word.to_owned());
        self
    }

    /// Publishing this file.
    #[must_use]
    pub fn with_file(mut self, file: &Path) -> Self {
        let file = file.to_str().expect("a name in Unicode");
        self.arguments
            .extend(["--file".to_owned(), file.to_owned()]);
        self
    }

    /// With the seconds of a usual run cut short, and key frames alone: so every reader begins at once, and all frames are
    /// equal, which makes counts comparable that do not begin and end at the same moment.
    #[must_use]
    pub fn brief(self) -> Self {
        self.brief_for("1s")
    }

    /// As [`Self::brief`], with so long a time that is measured.
    #[must_use]
    pub fn brief_for(self, duration: &str) -> Self {
        let options = format!("--gop 1 --ramp 50ms --warm-up 200ms --duration {duration}");
        self.and(&options)
    }

    /// While no other run is under way.
    #[must_use]
    pub fn alone(mut self) -> Self {
        self.is_alone = true;
        self
    }

    /// Behind these commands of a shell, such as `ulimit -n 100`.
    #[must_use]
    pub fn behind(mut self, shell: &str) -> Self {
        self.shell = Some(shell.to_owned());
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// When the program does not build or start.
    pub fn start(self) -> Running {
        let hold = Hold::of(self.is_alone);
        let directory = TempDir::new().expect("a folder");
        let file = |name| File::create(directory.path().join(name)).expect("a file");
        let child = self
            .command()
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .expect("the program starts");
        Running {
            child,
            begin: Instant::now(),
            directory,
            _hold: hold,
        }
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When it does not start or end.
    pub fn run(self) -> Done {
        self.start().wait()
    }

    fn command(self) -> Command {
        let program = daemon::program().expect("the program");
        let mut command = match self.shell {
            None => Command::new(program),
            Some(shell) => {
                let mut command = Command::new("sh");
                command.args(["-c", &format!("{shell}\nexec \"$0\" \"$@\"")]);
                command.arg(program);
                command
            }
        };
        command.arg(self.command).args(self.arguments);
        command
    }
}

impl Running {
    /// Waits until it has said this.
    ///
    /// # Panics
    /// When it ends without.
    pub fn wait_said(&mut self, word: &str) {
        let said = poll_until(RUN_LIMIT, || {
            let is_over = self.child.try_wait().expect("it is ours").is_some();
            let said = self.text("stderr");
            (said.contains(word) || is_over).then_some(said)
        });
        let said = said.unwrap_or_default();
        assert!(said.contains(word), "{word:?} is not said:\n{said}");
    }

    /// Sends it this signal, as `kill` names it.
    ///
    /// # Panics
    /// When there is no `kill`.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let mut kill = Command::new("kill");
        let sent = kill.args([format!("-{name}"), id]).status();
        assert!(sent.expect("kill").success());
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When there is none.
    pub fn wait(mut self) -> Done {
        let ended = poll_until(RUN_LIMIT, || self.child.try_wait().transpose());
        let took = self.begin.elapsed();
        let (stdout, stderr) = (self.text("stdout"), self.text("stderr"));
        let status: io::Result<_> = ended.unwrap_or_else(|| panic!("it does not end:\n{stderr}"));
        let code = status.expect("it is ours").code();
        let directory = std::mem::replace(&mut self.directory, TempDir::new().expect("a folder"));
        Done {
            code,
            took,
            stdout,
            stderr,
            directory,
        }
    }

    fn text(&self, name: &str) -> String {
        let bytes = fs::read(self.directory.path().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Done {
    /// Its JSON, printed by `--json`.
    ///
    /// # Panics
    /// When it is none.
    pub fn figures(&self) -> Figures {
        let parsed = serde_json::from_str(&self.stdout);
        Figures(parsed.unwrap_or_else(|error| panic!("{error}:\n{self}")))
    }

    /// The JSON of a run that was good: with exit status 0, or with what it has for a load generator that was too slow on
    /// this machine at this moment, which says nothing about it.
    ///
    /// # Panics
    /// When it was not.
    pub fn good(&self) -> Figures {
        let is_good = matches!(self.code, Some(0 | OWN_FAULT));
        assert!(is_good, "{self}");
        self.figures()
    }

    /// That it has failed with this status, and said why in one line that has these words.
    ///
    /// # Panics
    /// When it has not.
    pub fn assert_failed(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self}");
        let errors = self.stderr.lines().filter(|line| line.starts_with(ERROR));
        let errors: Vec<&str> = errors.collect();
        assert_eq!(errors.len(), 1, "one line says why\n{self}");
        for word in words {
            assert!(errors.concat().contains(word), "no {word:?}\n{self}");
        }
    }

    /// The file of this name where it ran.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What the file of this name has.
    ///
    /// # Panics
    /// When it is not there.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name))
            .unwrap_or_else(|error| panic!("{name}: {error}\n{self}"))
    }
}

impl std::fmt::Display for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            code,
            stdout,
            stderr,
            ..
        } = self;
        write!(f, "status {code:?}\n{stdout}\n{stderr}")
    }
}

/// The figures of a run.
#[derive(Debug)]
pub struct Figures(pub Value);

impl Figures {
    /// What stands at this place, such as `/run/sampled/lost`.
    ///
    /// # Panics
    /// When nothing does.
    pub fn at(&self, place: &str) -> &Value {
        let found = self.0.pointer(place);
        found.unwrap_or_else(|| panic!("nothing at {place} of {:#}", self.0))
    }

    /// The number at this place.
    ///
    /// # Panics
    /// When there is none.
    pub fn number(&self, place: &str) -> f64 {
        let number = self.at(place).as_f64();
        number.unwrap_or_else(|| panic!("no number at {place} of {:#}", self.0))
    }

    /// The list at this place.
    ///
    /// # Panics
    /// When there is none.
    pub fn list(&self, place: &str) -> &[Value] {
        let list = self.at(place).as_array();
        list.unwrap_or_else(|| panic!("no list at {place} of {:#}", self.0))
    }
}
