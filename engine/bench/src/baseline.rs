//! The options of a baseline: the words of the command line, and behind them those of `--baseline`, each in the place of an
//! earlier one. They become options by the same rules, so that what contradicts itself is refused in the same words.

use std::ffi::OsString;

use clap::{Args as _, Command, FromArgMatches as _};

use crate::BenchError;
use crate::options::Options;

/// What a baseline may differ in: the load, and how it is made. The rest is of the comparison, not of a side.
const HEADINGS: [&str; 3] = ["Load", "Course", "Disturbance"];
/// And of the server that is started, these.
const SERVER_OPTIONS: [&str; 3] = ["set", "server-cpus", "load-cpus"];

/// The options of the other turns.
///
/// # Errors
/// When one of them is none of a load, or they make no sense together.
pub(crate) fn baseline_options(words: &[OsString], baseline: &str) -> Result<Options, BenchError> {
    let command = Options::augment_args(Command::new("bench"))
        .no_binary_name(true)
        .args_override_self(true);
    let others = split(baseline).ok_or_else(|| wrong("a quote has no end"))?;
    for word in &others {
        check(&command, word)?;
    }
    let words = words.iter().cloned();
    let words = words.chain(others.into_iter().map(OsString::from));
    let matches = command.try_get_matches_from(words);
    let options = matches.and_then(|matches| Options::from_arg_matches(&matches));
    options.map_err(|error| wrong(first_line(&error.to_string())))
}

/// Whether a word is a value, or an option that a side can differ in.
fn check(command: &Command, word: &str) -> Result<(), BenchError> {
    let name = word.split_once('=').map_or(word, |(name, _)| name);
    let is_allowed = match name.strip_prefix("--") {
        Some(long) => command.get_arguments().any(|argument| {
            let heading = argument.get_help_heading().unwrap_or_default();
            argument.get_long() == Some(long)
                && (HEADINGS.contains(&heading) || SERVER_OPTIONS.contains(&long))
        }),
        None => !name.starts_with('-'),
    };
    match is_allowed {
        true => Ok(()),
        false => Err(wrong(format!("{name} is no option of a load"))),
    }
}

/// Words as a shell has them: divided by white space, unless that stands in quotes. None when a quote has no end.
fn split(text: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for character in text.chars() {
        match (character, quote) {
            (_, Some(open)) if character == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (_, None) if character.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// What is wrong, without the words about usage that follow.
fn first_line(error: &str) -> String {
    let line = error.lines().next().unwrap_or_default();
    line.trim_start_matches("error: ").to_owned()
}

fn wrong(reason: impl Into<String>) -> BenchError {
    BenchError::Option {
        option: "baseline",
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str, baseline: &str) -> Result<Options, BenchError> {
        let words: Vec<_> = line.split_whitespace().map(OsString::from).collect();
        baseline_options(&words, baseline)
    }

    #[test]
    fn later_options_stand_in_the_place_of_earlier_ones_and_keys_are_added() {
        let line = "--readers 200 --storm 2000 --storm-stays --set shards=2 --mbit 1";
        let baseline = "--readers 2200 --storm 0 --set 'shards=1'";
        let options = options(line, baseline).expect("it makes sense");
        assert_eq!((options.readers, options.storm), (Some(2200), 0));
        assert_eq!(options.set, ["shards=2", "shards=1"]);
        assert!((options.mbit - 1.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_not_of_a_load_is_refused() {
        for (baseline, said) in [
            ("--turns 3", "--turns"),
            ("--json", "--json"),
            ("-q", "-q"),
            ("--target=rtsp://127.0.0.1/a", "--target"),
            ("--baseline --audio", "--baseline"),
            ("--cpu-at-most 1", "--cpu-at-most"),
            ("--nonsense", "--nonsense"),
            ("--readers many", "many"),
            ("--readers-per-path 3", "--readers-per-path"),
            ("--set \"a=b", "quote"),
            ("loose", "loose"),
        ] {
            let error = options("--readers 10 --turns 1 --against floor", baseline).unwrap_err();
            let error = error.to_string();
            assert!(error.starts_with("--baseline: "), "{error}");
            assert!(error.contains(said), "{baseline}: {error}");
        }
    }

    #[test]
    fn words_are_divided_as_in_a_shell() {
        let words = |text| split(text).expect("quotes end");
        assert_eq!(words(" a  b=c\td "), ["a", "b=c", "d"]);
        assert_eq!(words("'a b' c\"'d \"e ''"), ["a b", "c'd e", ""]);
        assert_eq!(split("'a"), None);
    }
}
