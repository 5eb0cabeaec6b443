//! Where results go: a table or JSON on standard output, and files, which are opened before anything runs.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::BenchError;
use crate::report::Report;

/// As the name of a file, standard output.
const STANDARD_OUTPUT: &str = "-";

/// Where words and figures go.
#[derive(Debug)]
pub(crate) struct OutputText {
    is_table: bool,
    json: Option<OutputFile>,
}

/// Where results go.
#[derive(Debug)]
pub struct Output {
    text: OutputText,
    plot: Option<OutputFile>,
}

/// A file that can be written.
#[derive(Debug)]
struct OutputFile {
    name: PathBuf,
    file: File,
    /// It was not there before.
    is_new: bool,
}

impl OutputText {
    /// Opens the file for JSON (`-`: to standard output, instead of the table). What it had before stays until there is a
    /// result.
    ///
    /// # Errors
    /// [`BenchError::Output`] when it cannot be written.
    pub(crate) fn create(json: Option<&Path>) -> Result<Self, BenchError> {
        let is_table = json != Some(Path::new(STANDARD_OUTPUT));
        let json = json.filter(|_| is_table).map(OutputFile::create);
        Ok(Self {
            is_table,
            json: json.transpose()?,
        })
    }

    /// Writes both. A file that fails keeps the table from nobody.
    ///
    /// # Errors
    /// [`BenchError::Output`], the first.
    pub(crate) fn write(&mut self, table: &str, json: &str) -> Result<(), BenchError> {
        let printed = match self.is_table {
            true => print(table),
            false => print(json),
        };
        let json = match &mut self.json {
            Some(file) => file.write(json),
            None => Ok(()),
        };
        printed.and(json)
    }
}

impl Output {
    /// Opens the files: JSON (`-`: to standard output, instead of the table) and a drawing. What they had before stays until
    /// there is a result.
    ///
    /// # Errors
    /// [`BenchError::Output`] when one cannot be written; [`BenchError::Option`] when both are one.
    pub fn create(json: Option<&Path>, plot: Option<&Path>) -> Result<Self, BenchError> {
        if let Some(reason) = plot.and_then(|plot| reason_against(plot, json)) {
            let option = "plot";
            return Err(BenchError::Option { option, reason });
        }
        Ok(Self {
            text: OutputText::create(json)?,
            plot: plot.map(OutputFile::create).transpose()?,
        })
    }

    /// Writes a result, whole or partial. A file that fails keeps none of the others from being written.
    ///
    /// # Errors
    /// [`BenchError::Output`], the first.
    pub fn write(&mut self, report: &Report) -> Result<(), BenchError> {
        let written = self.text.write(&report.table(), &report.json());
        let plot = match &mut self.plot {
            Some(file) => match report.plot() {
                Ok(plot) => file.write(&plot),
                Err(reason) => Err(unwritable(&file.name, reason)),
            },
            None => Ok(()),
        };
        written.and(plot)
    }
}

/// Why a drawing cannot go there.
fn reason_against(plot: &Path, json: Option<&Path>) -> Option<String> {
    if plot == Path::new(STANDARD_OUTPUT) {
        return Some("a drawing goes to a file".to_owned());
    }
    let is_json = json.is_some_and(|json| whole_name(json) == whole_name(plot));
    is_json.then(|| format!("{} is the file of --json", plot.display()))
}

/// The name of a file by which it can be told from others, through links where it is there already.
fn whole_name(name: &Path) -> Option<PathBuf> {
    let whole = name.canonicalize().or_else(|_| std::path::absolute(name));
    whole.ok()
}

impl OutputFile {
    fn create(name: &Path) -> Result<Self, BenchError> {
        let mut options = File::options();
        options.write(true).truncate(false);
        let (file, is_new) = match options.clone().create_new(true).open(name) {
            Ok(file) => (Ok(file), true),
            Err(_) => (options.create(true).open(name), false),
        };
        Ok(Self {
            name: name.to_owned(),
            file: file.map_err(|error| unwritable(name, error.to_string()))?,
            is_new,
        })
    }

    fn write(&mut self, text: &str) -> Result<(), BenchError> {
        let written = self.rewrite(text);
        written.map_err(|error| unwritable(&self.name, error.to_string()))
    }

    fn rewrite(&mut self, text: &str) -> io::Result<()> {
        if self.file.metadata()?.is_file() {
            self.file.set_len(0)?;
        }
        self.file.write_all(text.as_bytes())?;
        self.file.flush()
    }
}

/// What was created here and never written is taken away again.
impl Drop for OutputFile {
    fn drop(&mut self) {
        let is_empty = self.file.metadata().is_ok_and(|it| it.len() == 0);
        if self.is_new && is_empty {
            // An empty file that cannot be removed does no harm.
            let _ = std::fs::remove_file(&self.name);
        }
    }
}

fn print(text: &str) -> Result<(), BenchError> {
    let mut stdout = io::stdout().lock();
    let printed = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    printed.map_err(|error| unwritable(Path::new("standard output"), error.to_string()))
}

fn unwritable(file: &Path, reason: String) -> BenchError {
    BenchError::Output {
        file: file.to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measured::example;
    use crate::report::tests::of_run;

    #[test]
    fn a_file_that_cannot_be_written_is_refused_before_anything_runs() {
        let folder = tempfile::tempdir().unwrap();
        let plot = folder.path().join("missing/run.svg");
        let Err(error) = Output::create(None, Some(&plot)) else {
            panic!("the folder is missing");
        };
        assert!(error.to_string().contains("run.svg"), "{error}");
    }

    #[test]
    fn files_keep_what_they_had_until_there_is_a_result() {
        let folder = tempfile::tempdir().unwrap();
        let json = folder.path().join("run.json");
        let plot = folder.path().join("run.svg");
        std::fs::write(&json, "x".repeat(1_000_000)).unwrap();
        let mut output = Output::create(Some(&json), Some(&plot)).unwrap();
        assert_eq!(std::fs::metadata(&json).unwrap().len(), 1_000_000);
        output.write(&of_run(example())).unwrap();
        let written = std::fs::read_to_string(&json).unwrap();
        assert!(written.ends_with("}\n"), "nothing of the old is left");
        assert!(std::fs::read_to_string(&plot).unwrap().contains("</svg>"));
    }

    #[test]
    fn files_without_a_result_are_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let (json, plot) = (
            folder.path().join("run.json"),
            folder.path().join("run.svg"),
        );
        std::fs::write(&plot, "").unwrap();
        drop(Output::create(Some(&json), Some(&plot)).unwrap());
        assert!(!json.exists() && plot.exists());
        let missing = folder.path().join("missing/run.svg");
        assert!(Output::create(Some(&json), Some(&missing)).is_err());
        assert!(!json.exists());
    }

    #[test]
    fn a_drawing_has_a_file_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("run"), folder.path().join("./run"));
        for (json, plot) in [(&one, other.as_path()), (&one, Path::new("-"))] {
            let error = Output::create(Some(json), Some(plot)).unwrap_err();
            assert_eq!(error.exit_status(), 2, "{error}");
            assert!(error.to_string().starts_with("--plot: "), "{error}");
        }
        assert!(!one.exists());
    }

    #[test]
    fn standard_output_has_either_the_table_or_json() {
        let output = Output::create(Some(Path::new("-")), None).unwrap();
        assert!(!output.text.is_table && output.text.json.is_none());
        assert!(Output::create(None, None).unwrap().text.is_table);
    }
}
