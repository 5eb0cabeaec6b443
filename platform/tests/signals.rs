//! Promises about signals: this program starts itself once more as the process that gets them.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use shardcast_platform::{Signal, watch_signals};

/// Set for the second process.
const AS_CHILD: &str = "SHARDCAST_TEST_SIGNALS";

/// Not a promise of its own: what the second process does. Alone it has nothing to do.
#[test]
fn the_child_says_which_signals_it_got() {
    if std::env::var_os(AS_CHILD).is_none() {
        return;
    }
    let (send, signals) = mpsc::channel();
    watch_signals(move |signal| send.send(signal).expect("it is waited for")).expect("it watches");
    let mut output = std::io::stdout();
    writeln!(output, "\nready").expect("it is read");
    loop {
        let signal = signals.recv().expect("the watcher lives");
        writeln!(output, "got {signal:?}").expect("it is read");
        if signal == Signal::Terminate {
            return;
        }
    }
}

fn start_child() -> Child {
    let program = std::env::current_exe().expect("this program has a path");
    Command::new(program)
        .args([
            "--exact",
            "the_child_says_which_signals_it_got",
            "--nocapture",
        ])
        .env(AS_CHILD, "1")
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts once more")
}

#[test]
fn signals_are_reported_and_end_nothing_by_themselves() {
    let mut child = start_child();
    let output = child.stdout.take().expect("it is piped");
    let mut lines = BufReader::new(output)
        .lines()
        .map(|line| line.expect("text"));
    assert!(lines.any(|line| line == "ready"));
    let expected = [
        (libc::SIGHUP, "got Hangup"),
        (libc::SIGINT, "got Interrupt"),
        (libc::SIGTERM, "got Terminate"),
    ];
    for (number, answer) in expected {
        let process = libc::pid_t::try_from(child.id()).expect("a process number");
        // SAFETY: it sends a signal to a process that we started and have not waited for.
        assert_eq!(unsafe { libc::kill(process, number) }, 0);
        assert_eq!(lines.next().as_deref(), Some(answer));
    }
    assert!(child.wait().expect("it ends").success());
}
