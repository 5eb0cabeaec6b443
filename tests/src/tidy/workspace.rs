//! The repository's files, found from this package's own folder.

use std::fs;
use std::path::{Path, PathBuf};

/// Kinds of files that people write here.
const TEXT_EXTENSIONS: [&str; 7] = ["rs", "toml", "md", "yml", "yaml", "sh", "csv"];

/// The repository's top folder.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent()
        .expect("the package lies in the repository")
        .to_owned()
}

/// One text file.
#[derive(Debug)]
pub struct File {
    /// Its path from the top folder, with slashes.
    pub path: String,
    /// What is in it.
    pub text: String,
}

/// All Rust files, by path.
pub fn rust_files() -> Vec<File> {
    let mut files = text_files();
    files.retain(|file| file.path.ends_with(".rs"));
    files
}

/// All files that people write: sources, manifests, documents, and the scripts of `.ci`.
pub fn text_files() -> Vec<File> {
    let root = root();
    let mut files = Vec::new();
    collect(&root, &root, &mut files);
    files.sort_by(|left, right| left.path.cmp(&right.path));
    files
}

/// What lies in the top folder and is neither hidden nor built.
pub fn top_level() -> Vec<String> {
    let entries = fs::read_dir(root()).expect("the top folder is readable");
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names
        .filter(|name| !name.starts_with('.') && name != "target")
        .collect();
    names.sort();
    names
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<File>) {
    let entries = fs::read_dir(folder).expect("a folder of the repository is readable");
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let skipped = name == "target" || (name.starts_with('.') && name != ".ci");
        if path.is_dir() && !skipped {
            collect(root, &path, files);
        } else if is_text(root, &path) {
            files.extend(read(root, &path));
        }
    }
}

fn is_text(root: &Path, path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let known = extension.is_some_and(|extension| TEXT_EXTENSIONS.contains(&extension));
    path.is_file() && (known || path.parent() == Some(&root.join(".ci")))
}

fn read(root: &Path, path: &Path) -> Option<File> {
    let relative = path.strip_prefix(root).ok()?.to_str()?.replace('\\', "/");
    let text = fs::read_to_string(path).ok()?;
    Some(File {
        path: relative,
        text,
    })
}
