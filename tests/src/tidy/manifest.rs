//! Dependencies as the workspace's `Cargo.toml` files name them.
//!
//! Reads the plain forms that this repository uses, line by line: `[dependencies]`, `[target.….dependencies]` and
//! their development and build kin, with one dependency per line.

/// One dependency of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// Its name in the manifest.
    pub name: String,
    /// Whether only tests, examples and benchmarks see it.
    pub development: bool,
    /// Whether its version comes from the workspace.
    pub inherited: bool,
}

/// All dependencies of a package's manifest.
pub fn dependencies(manifest: &str) -> Vec<Dependency> {
    let mut section = "";
    let mut found = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']');
        } else if let Some(dependency) = dependency(section, line) {
            found.push(dependency);
        }
    }
    found
}

/// Whether the manifest has `line` in `section`.
pub fn has_line(manifest: &str, section: &str, line: &str) -> bool {
    let mut lines = manifest.lines().map(str::trim);
    lines.any(|found| found == section)
        && lines
            .take_while(|found| !found.starts_with('['))
            .any(|found| found == line)
}

fn dependency(section: &str, line: &str) -> Option<Dependency> {
    if !section.ends_with("dependencies") || line.starts_with('#') {
        return None;
    }
    let (key, value) = line.split_once('=')?;
    let (name, dotted) = key.trim().split_once('.').unwrap_or((key.trim(), ""));
    Some(Dependency {
        name: name.to_owned(),
        development: section.ends_with("dev-dependencies"),
        inherited: dotted == "workspace" || value.contains("workspace = true"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_in_use_are_read() {
        let manifest = "[lints]\nworkspace = true\n\n[dependencies]\na.workspace = true\n# b = \"1\"\n\
            [target.'cfg(unix)'.dependencies]\nc = { workspace = true, features = [\"x\"] }\n\
            [dev-dependencies]\nd = \"1\"\n[features]\ne = []\n";
        let found: Vec<_> = dependencies(manifest)
            .into_iter()
            .map(|found| (found.name, found.development, found.inherited))
            .collect();
        let expected = [("a", false, true), ("c", false, true), ("d", true, false)];
        assert_eq!(
            found,
            expected.map(|(name, development, inherited)| (
                name.to_owned(),
                development,
                inherited
            ))
        );
        assert!(has_line(manifest, "[lints]", "workspace = true"));
        assert!(!has_line(manifest, "[features]", "workspace = true"));
    }
}
