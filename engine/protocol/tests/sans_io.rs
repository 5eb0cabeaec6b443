//! The protocol package is sans-IO: this looks at what it depends on, in the lock file of the
//! workspace. Clippy refuses the standard library's sockets, files, threads and clocks
//! (`clippy.toml`); a dependency could bring in others.

use std::collections::{BTreeMap, BTreeSet};

const LOCK_FILE: &str = include_str!("../../../Cargo.lock");
const MANIFEST: &str = include_str!("../Cargo.toml");

/// Runtimes, sockets, files, clocks and random sources: what no dependency may bring in.
const FORBIDDEN: [&str; 19] = [
    "async-io",
    "async-std",
    "chrono",
    "compio",
    "fastrand",
    "futures-executor",
    "getrandom",
    "glommio",
    "io-uring",
    "libc",
    "mio",
    "monoio",
    "rand",
    "rustix",
    "smol",
    "socket2",
    "time",
    "tokio",
    "windows-sys",
];

/// Asks the system which instructions the CPU has, on the way to a hash, and nothing else.
const ASKS_FOR_THE_CPU: &str = "cpufeatures";

#[test]
fn no_dependency_brings_in_a_runtime_a_socket_a_clock_or_randomness() {
    let graph = dependencies_by_package();
    let mut open: Vec<&str> = direct_dependencies();
    let mut seen = BTreeSet::new();
    while let Some(package) = open.pop() {
        assert!(
            !FORBIDDEN.contains(&package),
            "{package} is not sans-IO; seen: {seen:?}"
        );
        if seen.insert(package) && package != ASKS_FOR_THE_CPU {
            open.extend(graph.get(package).into_iter().flatten());
        }
    }
    assert!(seen.contains("bytes"), "the manifest was read: {seen:?}");
    assert!(seen.contains("syn"), "the lock file was followed: {seen:?}");
}

/// Names under `[dependencies]`, which are those of the packages. Test code may use what it likes.
fn direct_dependencies() -> Vec<&'static str> {
    let section = MANIFEST
        .split("\n[dependencies]\n")
        .nth(1)
        .unwrap_or_default();
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    lines
        .filter_map(|line| line.split(['.', '=', ' ']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .collect()
}

/// Each package of the lock file with the names that it depends on, on whatever platform.
fn dependencies_by_package() -> BTreeMap<&'static str, Vec<&'static str>> {
    let mut graph: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for package in LOCK_FILE.split("[[package]]").skip(1) {
        let name = quoted(package.split("name = ").nth(1).unwrap_or_default());
        let list = package.split("dependencies = [").nth(1).unwrap_or_default();
        let entries = list.split(']').next().unwrap_or_default().lines();
        let names = entries
            .map(str::trim)
            .filter(|entry| entry.starts_with('"'));
        // An entry is a name, or a name and a version.
        let names = names.filter_map(|entry| quoted(entry).split(' ').next());
        graph.entry(name).or_default().extend(names);
    }
    graph
}

fn quoted(text: &'static str) -> &'static str {
    text.split('"').nth(1).unwrap_or_default()
}
