//! The known key that a mistyped one most likely means.
//!
//! Asked by whatever reports an unknown key or variable.

/// From this similarity on a name is taken for a misspelling of another.
const LIKELY: f64 = 0.75;

/// The longest mistyped name that is compared: the distance costs the product of both lengths.
const COMPARED_BYTES_MAX: usize = 64;

/// The end of an error about `name`: `, did you mean 'rtspAddress'?`, or less sure of it.
pub(crate) fn hint<'key>(name: &str, known: impl Iterator<Item = &'key str>) -> String {
    match nearest(name, known) {
        Some((key, similarity)) if similarity >= LIKELY => format!(", did you mean '{key}'?"),
        Some((key, _)) => format!("; the nearest known key is '{key}'"),
        None => String::new(),
    }
}

/// The most similar of `known`, and how similar it is, from 0 to 1; case counts for little.
fn nearest<'key>(name: &str, known: impl Iterator<Item = &'key str>) -> Option<(&'key str, f64)> {
    let end = name.floor_char_boundary(COMPARED_BYTES_MAX);
    let name = name.split_at(end).0.to_lowercase();
    let similarity = |key: &str| strsim::normalized_damerau_levenshtein(&name, &key.to_lowercase());
    let measured = known.map(|key| (key, similarity(key)));
    measured.reduce(|best, next| if next.1 > best.1 { next } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 4] = ["rtsp", "rtspAddress", "rtspsAddress", "maxReaders"];

    #[test]
    fn a_misspelt_key_is_recognised() {
        let hint = |name| hint(name, KNOWN.into_iter());
        assert_eq!(hint("rtspAdress"), ", did you mean 'rtspAddress'?");
        assert_eq!(hint("MAXREADERS"), ", did you mean 'maxReaders'?");
        assert_eq!(hint("read"), "; the nearest known key is 'maxReaders'");
    }

    #[test]
    fn a_name_without_end_costs_no_more_than_a_long_one() {
        let name = "ä".repeat(1_000_000);
        assert!(hint(&name, KNOWN.into_iter()).contains("nearest"));
    }
}
