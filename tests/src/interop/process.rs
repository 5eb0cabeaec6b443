//! Programs from outside as child processes: output to a log file, an end within a limit, and no leftovers.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::wait::poll_until;

/// Lines of a program's log that an error shows.
const LOG_LINES: usize = 15;

/// What goes wrong with a program from outside.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It could not be started, or its files not be read.
    #[error("{what}: {source}")]
    Io {
        /// The program or file.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// It said that it failed.
    #[error("{program} ended with {status}:\n{log}")]
    Failed {
        /// Its name.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it said.
        log: String,
    },
    /// It did not end by itself.
    #[error("{program} did not end within {limit:?}:\n{log}")]
    Endless {
        /// Its name.
        program: String,
        /// How long it had.
        limit: Duration,
        /// The end of what it said.
        log: String,
    },
}

impl ProgramError {
    /// Puts the name of what was tried to an I/O error.
    pub fn io(what: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let what = what.as_ref().display().to_string();
        move |source| Self::Io { what, source }
    }
}

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub struct Program {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Program {
    /// Starts `command` with everything that it says going to `log`.
    ///
    /// # Errors
    /// When it is not there.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self, ProgramError> {
        Self::spawn(command, log, Stdio::null())
    }

    /// As [`Self::start`], and what is written to the pipe that comes with it is the program's input.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_fed(
        command: &mut Command,
        log: &Path,
    ) -> Result<(Self, ChildStdin), ProgramError> {
        let mut program = Self::spawn(command, log, Stdio::piped())?;
        let input = program.child.stdin.take().expect("it is piped");
        Ok((program, input))
    }

    fn spawn(command: &mut Command, log: &Path, input: Stdio) -> Result<Self, ProgramError> {
        let name = command.get_program().to_string_lossy().into_owned();
        let output = File::create(log).map_err(ProgramError::io(log))?;
        let errors = output.try_clone().map_err(ProgramError::io(log))?;
        command.stdin(input).stdout(output).stderr(errors);
        let child = command.spawn().map_err(ProgramError::io(&name))?;
        let log = log.to_owned();
        Ok(Self { child, name, log })
    }

    /// Whether it still runs; if not, the end of what it has said.
    ///
    /// # Errors
    /// When it does not.
    pub fn check_running(&mut self) -> Result<(), ProgramError> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(ProgramError::Failed {
                program: self.name.clone(),
                status,
                log: self.log_end(),
            }),
            Err(error) => Err(ProgramError::io(&self.name)(error)),
        }
    }

    /// Waits until it has ended by itself, well.
    ///
    /// # Errors
    /// When it fails, or does not end within `limit`.
    pub fn wait(mut self, limit: Duration) -> Result<(), ProgramError> {
        let program = self.name.clone();
        let ended = poll_until(limit, || self.child.try_wait().transpose());
        let log = self.log_end();
        match ended {
            None => Err(ProgramError::Endless {
                program,
                limit,
                log,
            }),
            Some(Err(error)) => Err(ProgramError::io(&program)(error)),
            Some(Ok(status)) if status.success() => Ok(()),
            Some(Ok(status)) => Err(ProgramError::Failed {
                program,
                status,
                log,
            }),
        }
    }

    fn log_end(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        let end = lines.split_at(lines.len().saturating_sub(LOG_LINES)).1;
        end.join("\n")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Most have ended by themselves; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
