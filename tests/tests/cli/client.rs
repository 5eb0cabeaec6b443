//! A daemon with its API, and the commands that are run against it.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use shardcast_tests::daemon::{Daemon, DaemonError, command, program};
use shardcast_tests::port::free_tcp_port;
use shardcast_tests::scene::PATIENCE;
use shardcast_tests::wait::poll_until;

/// A server that commands are run against.
#[derive(Debug)]
pub(crate) struct Served {
    daemon: Daemon,
    port: u16,
}

/// How a command has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    output: Output,
}

impl Served {
    pub(crate) fn start(configuration: &str) -> Self {
        let port = free_tcp_port().expect("a port");
        let daemon = start_daemon(port, configuration);
        let daemon = daemon.unwrap_or_else(|error| panic!("{error}"));
        Self { daemon, port }
    }

    /// With an API where the configuration says.
    pub(crate) fn start_at(configuration: &str) -> Self {
        let daemon = Daemon::start(&format!("api: yes\n{configuration}"));
        let daemon = daemon.unwrap_or_else(|error| panic!("{error}"));
        Self { daemon, port: 0 }
    }

    /// Ends it, and starts another one in its place as soon as that is free.
    pub(crate) fn restart(self, configuration: &str) -> Self {
        let port = self.port;
        self.daemon.stop().expect("it ends");
        let daemon = poll_until(PATIENCE, || start_daemon(port, configuration).ok());
        let daemon = daemon.expect("another one starts");
        Self { daemon, port }
    }

    pub(crate) fn rtsp(&self) -> SocketAddr {
        self.daemon.address()
    }

    pub(crate) fn api(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).output();
        let output = output.expect("the program runs");
        Ran { output }
    }

    /// As this user of the environment.
    pub(crate) fn run_as(&self, user: &str, pass: &str, arguments: &[&str]) -> Ran {
        let mut command = self.command(arguments);
        command
            .env("SHARDCAST_USER", user)
            .env("SHARDCAST_PASS", pass);
        let output = command.output().expect("the program runs");
        Ran { output }
    }

    /// A command that goes on.
    pub(crate) fn begin(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the program runs")
    }

    /// Waits for a row of a command's table.
    pub(crate) fn wait_row(&self, arguments: &[&str], is_it: impl Fn(&str) -> bool) {
        let found = poll_until(PATIENCE, || {
            let table = self.run(arguments).done();
            table.lines().any(&is_it).then_some(())
        });
        assert!(found.is_some(), "{}", self.run(arguments).done());
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(&program().expect("the program is built"));
        let api = format!("http://{}", self.api());
        command.args(arguments).env("SHARDCAST_API", api);
        command
            .env_remove("SHARDCAST_USER")
            .env_remove("SHARDCAST_PASS");
        command.stdin(Stdio::null());
        command
    }
}

fn start_daemon(port: u16, configuration: &str) -> Result<Daemon, DaemonError> {
    let api = format!("api: yes\napiAddress: 127.0.0.1:{port}\n");
    Daemon::start(&(api + configuration))
}

impl Ran {
    /// What it has written, if all went well.
    pub(crate) fn done(&self) -> String {
        let errors = String::from_utf8_lossy(&self.output.stderr);
        assert_eq!(self.output.status.code(), Some(0), "{errors}");
        String::from_utf8(self.output.stdout.clone()).expect("text")
    }

    pub(crate) fn json(&self) -> Value {
        let text = self.done();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// It has ended with this status, and said this.
    pub(crate) fn failed(&self, status: i32, said: &str) {
        let errors = String::from_utf8_lossy(&self.output.stderr);
        assert_eq!(self.output.status.code(), Some(status), "{errors}");
        assert!(errors.contains(said), "{errors}");
    }
}
