//! A test in a process of its own, for faults that would take its neighbours along: a shard's panic ends the process,
//! and a limit of descriptors holds for all of it. The test runs itself once more, as a child.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Set in the child; says which test it is.
const CHILD: &str = "SHARDCAST_TEST_ALONE";

/// What a child says when it is about to do what its parent waits for.
const MARKER: &str = "now it happens";

/// A test that runs once more as a child.
#[derive(Debug)]
pub struct Alone {
    child: Child,
    output: BufReader<ChildStdout>,
    said: String,
}

/// How a child has ended.
#[derive(Debug)]
pub struct End {
    /// Its status.
    pub status: ExitStatus,
    /// Time from its marker, or from its start, to its end.
    pub took: Duration,
    /// All that it has put out.
    pub said: String,
}

impl Alone {
    /// Starts the test of this name (`module::function`) once more, behind these commands of a shell, such as
    /// `ulimit -n 100`; `None` in the child itself.
    ///
    /// # Panics
    /// When there is no shell or the child does not start.
    pub fn start(test: &str, shell: &str) -> Option<Self> {
        if std::env::var(CHILD).is_ok_and(|child| child == test) {
            return None;
        }
        let program = std::env::current_exe().expect("this test's program");
        let mut child = Command::new("sh")
            .args(["-c", &format!("{shell}\nexec \"$0\" \"$@\" 2>&1")])
            .arg(program)
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(CHILD, test)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let output = child.stdout.take().expect("it is piped");
        Some(Self {
            child,
            output: BufReader::new(output),
            said: String::new(),
        })
    }

    /// Waits for the child's marker.
    ///
    /// # Panics
    /// When it ends without.
    pub fn wait_marker(&mut self) {
        while !self.said.contains(MARKER) {
            let read = self.output.read_line(&mut self.said).expect("text");
            assert!(read > 0, "the child has ended early:\n{}", self.said);
        }
    }

    /// Waits for the child's end.
    ///
    /// # Panics
    /// When its output is no text.
    pub fn wait_end(mut self) -> End {
        let begun = Instant::now();
        // The pipe ends with the process.
        self.output.read_to_string(&mut self.said).expect("text");
        End {
            status: self.child.wait().expect("the child is ours"),
            took: begun.elapsed(),
            said: self.said,
        }
    }

    /// Waits until the child has passed its test.
    ///
    /// # Panics
    /// When it has failed.
    pub fn assert_passes(self) {
        let end = self.wait_end();
        let ran = end.said.contains("1 passed");
        assert!(end.status.success() && ran, "{}", end.said);
    }
}

/// Says, in the child, that what the parent waits for happens now.
pub fn say_marker() {
    println!("{MARKER}");
}
