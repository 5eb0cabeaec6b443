//! Where results go: a table or JSON on standard output, and files, which are opened before anything runs.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::BenchError;
use crate::report::Report;

/// As the name of a file, standard output.
const STANDARD_OUTPUT: &str = "-";

/// Where results go.
#[derive(Debug)]
pub struct Output {
    is_table: bool,
    json: Option<OutputFile>,
    plot: Option<OutputFile>,
}

/// A file that can be written.
#[derive(Debug)]
struct OutputFile {
    name: PathBuf,
    file: File,
}

impl Output {
    /// Opens the files: JSON (`-`: to standard output, instead of the table) and a drawing. What they had before stays until
    /// there is a result.
    ///
    /// # Errors
    /// [`BenchError::Output`] when one cannot be written.
    pub fn create(json: Option<&Path>, plot: Option<&Path>) -> Result<Self, BenchError> {
        let is_table = json != Some(Path::new(STANDARD_OUTPUT));
        let json = json.filter(|_| is_table).map(OutputFile::create);
        Ok(Self {
            is_table,
            json: json.transpose()?,
            plot: plot.map(OutputFile::create).transpose()?,
        })
    }

    /// Writes a result, whole or partial. A file that fails keeps none of the others from being written.
    ///
    /// # Errors
    /// [`BenchError::Output`], the first.
    pub fn write(&mut self, report: &Report) -> Result<(), BenchError> {
        let printed = match self.is_table {
            true => print(&report.table()),
            false => print(&report.json()),
        };
        let json = match &mut self.json {
            Some(file) => file.write(&report.json()),
            None => Ok(()),
        };
        let plot = match &mut self.plot {
            Some(file) => match report.plot() {
                Ok(plot) => file.write(&plot),
                Err(reason) => Err(unwritable(&file.name, reason)),
            },
            None => Ok(()),
        };
        printed.and(json).and(plot)
    }
}

impl OutputFile {
    fn create(name: &Path) -> Result<Self, BenchError> {
        let mut options = File::options();
        let file = options.write(true).create(true).truncate(false).open(name);
        Ok(Self {
            name: name.to_owned(),
            file: file.map_err(|error| unwritable(name, error.to_string()))?,
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
    fn standard_output_has_either_the_table_or_json() {
        let output = Output::create(Some(Path::new("-")), None).unwrap();
        assert!(!output.is_table && output.json.is_none());
        assert!(Output::create(None, None).unwrap().is_table);
    }
}
