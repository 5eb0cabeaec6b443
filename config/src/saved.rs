//! The file in which changes are kept: beside the configuration's, written as a whole or not at
//! all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::load::FILE_BYTES_MAX;

/// The name of the file where there is no configuration file.
const LONE_NAME: &str = "shardcast.changes.yml";

/// Where the changes to `file` are kept: `mediamtx.changes.yml` beside `mediamtx.yml`.
pub(crate) fn changes_file(file: Option<&Path>) -> PathBuf {
    match file {
        Some(file) => file.with_extension("changes.yml"),
        None => PathBuf::from(LONE_NAME),
    }
}

/// Puts `text` in the place of what `file` holds: whoever reads the file, also after a power
/// failure, finds one or the other. It may hold passwords, so that only its owner may read it.
///
/// # Errors
/// What the system says; `file` is as it was.
pub(crate) fn replace(file: &Path, text: &str) -> io::Result<()> {
    if text.len() as u64 > FILE_BYTES_MAX {
        let told = format!("would be larger than {FILE_BYTES_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, told));
    }
    let next = file.with_extension("yml.new");
    let written = write(&next, text).and_then(|()| fs::rename(&next, file));
    if written.is_err() {
        let _may_never_have_been = fs::remove_file(&next);
    }
    written?;
    sync_folder_of(file)
}

/// Takes `file` away, if it is there.
///
/// # Errors
/// What the system says.
pub(crate) fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync_folder_of(file),
    }
}

fn write(file: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(file)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// A renamed file is where it is only once its folder is on the disk; Windows cannot open folders,
/// and does not need it.
fn sync_folder_of(file: &Path) -> io::Result<()> {
    if cfg!(windows) {
        return Ok(());
    }
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_changes_is_beside_that_of_the_configuration() {
        let name = |file: Option<&str>| changes_file(file.map(Path::new));
        assert_eq!(name(None), Path::new("shardcast.changes.yml"));
        assert_eq!(
            name(Some("/etc/mtx/mediamtx.yml")),
            Path::new("/etc/mtx/mediamtx.changes.yml")
        );
        assert_eq!(name(Some("conf")), Path::new("conf.changes.yml"));
    }

    #[test]
    fn a_file_that_cannot_be_written_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.changes.yml");
        replace(&file, "first").unwrap();
        let most = usize::try_from(FILE_BYTES_MAX).unwrap();
        assert!(replace(&file, &"x".repeat(most + 1)).is_err());
        fs::create_dir(folder.path().join("a.changes.yml.new")).unwrap();
        assert!(replace(&file, "second").is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "first");
        fs::remove_dir(folder.path().join("a.changes.yml.new")).unwrap();
        replace(&file, &"x".repeat(most)).unwrap();
        remove(&file).unwrap();
        remove(&file).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
