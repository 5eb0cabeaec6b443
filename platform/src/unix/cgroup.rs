//! The CPU quota and the memory that Linux's control groups grant, versions 1 and 2.
//!
//! The process's groups come from `/proc/self/cgroup`, their limits from the files below
//! `/sys/fs/cgroup`. A limit binds everything below it, so the smallest on the way to the root
//! counts. In a container the path may be the host's, of which only the root is visible: what is
//! missing on the way is passed over.

#![cfg(target_os = "linux")]

use std::fs;
use std::path::{Path, PathBuf};

/// Where control groups are mounted, on every distribution and in every container engine.
const ROOT: &str = "/sys/fs/cgroup";

/// A controller of version 1, with its usual folders; one is a link to the other where both exist.
struct Controller {
    name: &'static str,
    v1_folders: &'static [&'static str],
}

const CPU: Controller = Controller {
    name: "cpu",
    v1_folders: &["cpu,cpuacct", "cpu"],
};

const MEMORY: Controller = Controller {
    name: "memory",
    v1_folders: &["memory"],
};

/// CPUs' worth of time that the control groups grant, if they limit it.
pub(crate) fn cpu_quota() -> Option<f64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    smallest_quota(&groups, Path::new(ROOT))
}

/// Bytes of memory that the control groups grant, if they limit it.
pub(crate) fn memory_limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    smallest_memory(&groups, Path::new(ROOT))
}

fn smallest_quota(groups: &str, root: &Path) -> Option<f64> {
    let limits = limits(&CPU, groups, root, |version, folder| match version {
        Version::V2 => read_v2(folder),
        Version::V1 => read_v1(folder),
    });
    limits.into_iter().reduce(f64::min)
}

fn smallest_memory(groups: &str, root: &Path) -> Option<u64> {
    let limits = limits(&MEMORY, groups, root, |version, folder| {
        let file = match version {
            Version::V2 => "memory.max",
            Version::V1 => "memory.limit_in_bytes",
        };
        let text = fs::read_to_string(folder.join(file)).ok()?;
        text.trim().parse::<u64>().ok()
    });
    limits.into_iter().min()
}

/// Whatever the groups on the way to the root say.
fn limits<T>(
    controller: &Controller,
    groups: &str,
    root: &Path,
    read: impl Fn(Version, &Path) -> Option<T>,
) -> Vec<T> {
    let groups = groups.lines();
    let groups = groups.filter_map(|line| parse_group(controller, line));
    let read_of = |(version, path)| {
        let folders = folders(controller, version, path, root).into_iter();
        folders
            .filter_map(|folder| read(version, &folder))
            .collect::<Vec<_>>()
    };
    groups.flat_map(read_of).collect()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Version {
    V1,
    V2,
}

/// A line of `/proc/self/cgroup`: `0::/path` for version 2, `4:cpu,cpuacct:/path` for version 1's
/// CPU controller; other controllers than the one asked for give `None`.
fn parse_group<'a>(controller: &Controller, line: &'a str) -> Option<(Version, &'a str)> {
    let mut parts = line.splitn(3, ':');
    let (hierarchy, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    if hierarchy == "0" && controllers.is_empty() {
        return Some((Version::V2, path));
    }
    controllers
        .split(',')
        .any(|name| name == controller.name)
        .then_some((Version::V1, path))
}

/// The group's folder and those above it, to the mount's root.
fn folders(controller: &Controller, version: Version, path: &str, root: &Path) -> Vec<PathBuf> {
    let mounts = match version {
        // Beside version 1 the unified hierarchy is mounted one level deeper.
        Version::V2 => vec![root.to_owned(), root.join("unified")],
        Version::V1 => {
            let folders = controller.v1_folders.iter();
            folders.map(|folder| root.join(folder)).collect()
        }
    };
    let path = Path::new(path.trim_start_matches('/'));
    let up = |mount: PathBuf| {
        path.ancestors()
            .map(move |part| mount.join(part))
            .collect::<Vec<_>>()
    };
    mounts.into_iter().flat_map(up).collect()
}

fn read_v2(folder: &Path) -> Option<f64> {
    parse_v2(&fs::read_to_string(folder.join("cpu.max")).ok()?)
}

fn read_v1(folder: &Path) -> Option<f64> {
    let quota = fs::read_to_string(folder.join("cpu.cfs_quota_us")).ok()?;
    let period = fs::read_to_string(folder.join("cpu.cfs_period_us")).ok()?;
    parse_v1(&quota, &period)
}

/// `cpu.max`: quota and period in microseconds, or `max 100000`.
fn parse_v2(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    ratio(quota.parse().ok()?, period.parse().ok()?)
}

/// A quota of -1 is no limit.
fn parse_v1(quota: &str, period: &str) -> Option<f64> {
    ratio(quota.trim().parse().ok()?, period.trim().parse().ok()?)
}

fn ratio(quota: f64, period: f64) -> Option<f64> {
    (quota.is_finite() && quota > 0.0 && period.is_finite() && period > 0.0)
        .then_some(quota / period)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_2_limits_are_understood() {
        assert_eq!(parse_v2("150000 100000\n"), Some(1.5));
        assert_eq!(parse_v2("max 100000\n"), None);
        for text in ["", "150000", "x y", "100 0", "0 100", "inf 1", "nan 1"] {
            assert_eq!(parse_v2(text), None, "{text:?}");
        }
    }

    #[test]
    fn version_1_limits_are_understood() {
        assert_eq!(parse_v1("50000\n", "100000\n"), Some(0.5));
        assert_eq!(parse_v1("-1\n", "100000\n"), None);
        assert_eq!(parse_v1("50000", ""), None);
    }

    #[test]
    fn only_groups_of_the_cpu_controller_count() {
        assert_eq!(parse_group(&CPU, "0::/a/b"), Some((Version::V2, "/a/b")));
        assert_eq!(
            parse_group(&CPU, "4:cpu,cpuacct:/docker/x"),
            Some((Version::V1, "/docker/x"))
        );
        assert_eq!(parse_group(&CPU, "4:cpuset:/x"), None);
        assert_eq!(parse_group(&CPU, "1:name=systemd:/x"), None);
        assert_eq!(parse_group(&CPU, "garbage"), None);
    }

    fn write(root: &Path, file: &str, text: &str) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().expect("a file in a folder")).expect("folder");
        fs::write(path, text).expect("file");
    }

    #[test]
    fn the_smallest_limit_on_the_way_to_the_root_counts() {
        let root = tempfile::tempdir().expect("temporary folder");
        write(root.path(), "cpu.max", "max 100000");
        write(root.path(), "a/cpu.max", "200000 100000");
        write(root.path(), "a/b/cpu.max", "400000 100000");
        assert_eq!(smallest_quota("0::/a/b\n", root.path()), Some(2.0));
        assert_eq!(smallest_quota("0::/missing/here\n", root.path()), None);
    }

    #[test]
    fn a_container_that_sees_only_the_root_of_version_1_is_limited() {
        let root = tempfile::tempdir().expect("temporary folder");
        write(root.path(), "cpu/cpu.cfs_quota_us", "30000");
        write(root.path(), "cpu/cpu.cfs_period_us", "100000");
        let groups = "11:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n0::/docker/x\n";
        assert_eq!(smallest_quota(groups, root.path()), Some(0.3));
    }

    #[test]
    fn the_smallest_memory_of_either_version_counts() {
        let root = tempfile::tempdir().expect("temporary folder");
        write(root.path(), "a/memory.max", "200000000\n");
        write(root.path(), "a/b/memory.max", "max\n");
        assert_eq!(smallest_memory("0::/a/b\n", root.path()), Some(200_000_000));
        write(root.path(), "memory/memory.limit_in_bytes", "100000000\n");
        let groups = "11:memory:/docker/x\n0::/a/b\n";
        assert_eq!(smallest_memory(groups, root.path()), Some(100_000_000));
        assert_eq!(smallest_memory("0::/\n", root.path()), None);
    }
}
