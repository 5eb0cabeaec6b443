//! The CPU quota of Linux's control groups, versions 1 and 2.
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

/// The version 1 controller's usual folders; one is a link to the other where both exist.
const V1_FOLDERS: [&str; 2] = ["cpu,cpuacct", "cpu"];

/// CPUs' worth of time that the control groups grant, if they limit it.
pub(crate) fn cpu_quota() -> Option<f64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    smallest_quota(&groups, Path::new(ROOT))
}

fn smallest_quota(groups: &str, root: &Path) -> Option<f64> {
    let mut smallest: Option<f64> = None;
    for (version, path) in groups.lines().filter_map(parse_group) {
        for folder in folders(version, path, root) {
            let quota = match version {
                Version::V2 => read_v2(&folder),
                Version::V1 => read_v1(&folder),
            };
            smallest = match (smallest, quota) {
                (Some(smallest), Some(quota)) => Some(smallest.min(quota)),
                (known, read) => known.or(read),
            };
        }
    }
    smallest
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Version {
    V1,
    V2,
}

/// A line of `/proc/self/cgroup`: `0::/path` for version 2, `4:cpu,cpuacct:/path` for version 1's
/// CPU controller; the other controllers give `None`.
fn parse_group(line: &str) -> Option<(Version, &str)> {
    let mut parts = line.splitn(3, ':');
    let (hierarchy, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    if hierarchy == "0" && controllers.is_empty() {
        return Some((Version::V2, path));
    }
    controllers
        .split(',')
        .any(|name| name == "cpu")
        .then_some((Version::V1, path))
}

/// The group's folder and those above it, to the mount's root.
fn folders(version: Version, path: &str, root: &Path) -> Vec<PathBuf> {
    let mounts = match version {
        // Beside version 1 the unified hierarchy is mounted one level deeper.
        Version::V2 => vec![root.to_owned(), root.join("unified")],
        Version::V1 => V1_FOLDERS.iter().map(|folder| root.join(folder)).collect(),
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
        assert_eq!(parse_group("0::/a/b"), Some((Version::V2, "/a/b")));
        assert_eq!(
            parse_group("4:cpu,cpuacct:/docker/x"),
            Some((Version::V1, "/docker/x"))
        );
        assert_eq!(parse_group("4:cpuset:/x"), None);
        assert_eq!(parse_group("1:name=systemd:/x"), None);
        assert_eq!(parse_group("garbage"), None);
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
}
