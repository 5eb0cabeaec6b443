//! The `shardcast` daemon: reads the configuration, starts the server, and ends it on a signal.
#![forbid(unsafe_code)]

mod event_log;
mod logging;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use shardcast::event::EventBus;
use shardcast::{Exit, Server, ServerHandle};
use shardcast_bench::{BenchError, Interrupt, Role};
use shardcast_config::Loaded;
use shardcast_platform::Signal;

/// Thousands of sessions are visited one after the other at every burst. With the system's allocator their blocks lie further
/// apart, and what is not in a cache makes a write a fifth dearer (`shardcast bench --readers 1000 --against floor`).
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A live media server for high fan-out.
#[derive(Debug, Parser)]
#[command(name = "shardcast", version, args_conflicts_with_subcommands = true)]
#[command(
    after_help = "Without FILE, the first of shardcast.yml and mediamtx.yml in the working directory and in \
    the system's folders is read; without any, built-in defaults are used.\nEvery key can be overridden by the \
    environment: MTX_ and the key in upper case."
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    file: File,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server (the default)
    Serve(File),
    /// Check a configuration and say what is wrong with it
    Check(File),
    /// Load a server with publishers and readers, and measure what the readers see
    Bench(Box<shardcast_bench::Options>),
    /// Have readers and publishers misbehave on a server for minutes, and check that it comes back to what it was
    Soak(Box<shardcast_bench::SoakOptions>),
    #[command(flatten)]
    Client(shardcast_client::ClientCommand),
    /// A part of a measurement, in a process of its own
    #[command(name = shardcast_bench::ROLE_COMMAND, hide = true)]
    BenchRole {
        /// Which
        role: Role,
    },
}

#[derive(Debug, Args)]
struct File {
    /// Configuration file
    #[arg(value_name = "FILE", conflicts_with = "config")]
    file: Option<PathBuf>,
    /// Configuration file; -config is understood too
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

fn main() -> ExitCode {
    let cli = Cli::parse_from(std::env::args_os().map(long_config));
    let done = match cli.command {
        None => serve(cli.file),
        Some(Command::Serve(file)) => serve(file),
        Some(Command::Check(file)) => check(file),
        Some(Command::Bench(options)) => {
            // Behind the program's name and that of the command, which nothing can stand between.
            let words: Vec<OsString> = std::env::args_os().skip(2).collect();
            return measure("bench", |interrupt| {
                shardcast_bench::run(&options, &words, interrupt)
            });
        }
        Some(Command::Soak(options)) => {
            return measure("soak", |interrupt| {
                shardcast_bench::soak(&options, interrupt)
            });
        }
        Some(Command::Client(command)) => return ExitCode::from(shardcast_client::run(&command)),
        Some(Command::BenchRole { role }) => shardcast_bench::play(role, serve_measured),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shardcast: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// `-config` in the manner of Go's flags is `--config`.
fn long_config(argument: OsString) -> OsString {
    match argument.to_str() {
        Some(text) if text == "-config" || text.starts_with("-config=") => {
            format!("-{text}").into()
        }
        _ => argument,
    }
}

fn load(file: File) -> anyhow::Result<Loaded> {
    let file = file.file.or(file.config);
    Ok(shardcast_config::load(
        file.as_deref(),
        shardcast_config::environment(),
    )?)
}

fn check(file: File) -> anyhow::Result<()> {
    let loaded = load(file)?;
    for warning in &loaded.warnings {
        println!("warning: {warning}");
    }
    if let Some(kept) = kept_changes(&loaded) {
        println!("{kept}");
    }
    println!("{}", loaded.summary());
    Ok(())
}

fn serve(file: File) -> anyhow::Result<()> {
    serve_loaded(load(file)?)
}

/// As a measurement starts it: without a file, and with nothing in its environment that means nothing.
fn serve_measured() -> anyhow::Result<()> {
    let loaded = shardcast_config::parse(None, "", shardcast_config::environment())?;
    match loaded.warnings.first() {
        Some(warning) => anyhow::bail!("{warning}"),
        None => serve_loaded(loaded),
    }
}

/// Measures, by the command of this name; the exit status says what has come of it.
fn measure(command: &str, run: impl FnOnce(&Interrupt) -> Result<u8, BenchError>) -> ExitCode {
    let interrupt = Interrupt::default();
    let raised = interrupt.clone();
    let watch = shardcast_platform::watch_signals(move |_| match raised.is_raised() {
        true => std::process::exit(1),
        false => raised.raise(),
    });
    let measured = watch.context("cannot watch signals").and_then(|()| {
        // Where it stays as it is, a run that needs more says so.
        let _limit = shardcast_platform::raise_descriptor_limit();
        Ok(run(&interrupt)?)
    });
    match measured {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("shardcast {command}: {error:#}");
            let told = error.downcast_ref::<BenchError>();
            told.map_or(ExitCode::FAILURE, |told| ExitCode::from(told.exit_status()))
        }
    }
}

fn serve_loaded(loaded: Loaded) -> anyhow::Result<()> {
    let (_log, log) = logging::start(&loaded.config.log)?;
    let descriptors = shardcast_platform::raise_descriptor_limit();
    let events = EventBus::default();
    let lines = events.listen().context("the log cannot listen to events")?;
    let writer = std::thread::Builder::new()
        .name("log".into())
        .spawn(move || event_log::write_all(&lines))?;
    tracing::info!("Shardcast v{}", env!("CARGO_PKG_VERSION"));
    match &loaded.source {
        Some(file) => tracing::info!("configuration loaded from {}", absolute(file).display()),
        None => tracing::info!("no configuration file: built-in defaults"),
    }
    if let Some(kept) = kept_changes(&loaded) {
        tracing::info!("{kept}");
    }
    loaded
        .warnings
        .iter()
        .for_each(|warning| tracing::warn!("{warning}"));
    if let Err(error) = descriptors {
        tracing::warn!("the limit of open files stays as it is: {error}");
    }
    let started = Arc::new(OnceLock::new());
    watch_signals(started.clone())?;
    let server = Server::start(loaded.document, events)?;
    server.set_config_hook(Box::new(move |config| log.follow(&config.log)));
    report_start(&server);
    let _set_once = started.set(server.handle());
    report_end(&server.join());
    let _lines_are_written = writer.join();
    Ok(())
}

/// What was changed over the API, and lies over the configuration file.
fn kept_changes(loaded: &Loaded) -> Option<String> {
    let (count, file) = (
        loaded.document.kept_changes(),
        loaded.document.changes_file()?,
    );
    let noun = if count == 1 { "change" } else { "changes" };
    let file = absolute(file);
    (count > 0).then(|| {
        format!(
            "{count} {noun} made over the API apply, from {}",
            file.display()
        )
    })
}

fn absolute(file: &std::path::Path) -> PathBuf {
    std::path::absolute(file).unwrap_or_else(|_| file.to_owned())
}

fn report_start(server: &Server) {
    let plan = server.plan();
    tracing::info!("driver {}: {}", plan.driver.driver, plan.driver.reason);
    let noun = if plan.shards == 1 { "shard" } else { "shards" };
    tracing::info!("{} {noun}: {}", plan.shards, plan.shards_reason);
    for listener in server.listeners() {
        if let Some(note) = &listener.note {
            tracing::warn!("[{}] {note}", listener.protocol);
        }
        tracing::info!(
            "[{}] listener opened on {} ({})",
            listener.protocol,
            listener.address,
            listener.transport
        );
    }
    if server.listeners().is_empty() {
        tracing::warn!("nothing listens: every protocol is switched off");
    }
}

fn report_end(exit: &Exit) {
    match exit {
        Exit::Clean => tracing::info!("all sessions have ended, good bye"),
        Exit::DeadlinePassed { shards } => {
            let shards: Vec<String> = shards.iter().map(ToString::to_string).collect();
            tracing::warn!(
                "shutdownTimeout has passed; sessions on shards {} were cut",
                shards.join(", ")
            );
        }
        Exit::Panicked { .. } => tracing::error!("a shard has failed"),
    }
}

/// Has the configuration read again, or ends the server: the first signal drains, the second one ends the process at once;
/// so does one that comes before there is anything to drain.
fn watch_signals(server: Arc<OnceLock<ServerHandle>>) -> anyhow::Result<()> {
    let is_ending = AtomicBool::new(false);
    let watch = shardcast_platform::watch_signals(move |signal| match (signal, server.get()) {
        // What comes before there is a server is read by it anyway.
        (Signal::Hangup, None) => {}
        (Signal::Hangup, Some(server)) => server.reload(),
        (_, None) => std::process::exit(0),
        (_, Some(_)) if is_ending.swap(true, Ordering::Relaxed) => std::process::exit(1),
        (_, Some(server)) => {
            tracing::info!("shutting down");
            server.shutdown();
        }
    });
    watch.context("cannot watch signals")
}
