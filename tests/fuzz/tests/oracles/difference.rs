//! Where our reader and another one are meant to differ, and why. A difference that has vanished fails its example; one that
//! nobody meant is explained by no entry.

use std::fmt::Debug;

/// Two readers of the same bytes, ours and an oracle.
pub(crate) trait Readers: Sized + 'static {
    /// Bytes, and what both say of them.
    type Case<'a>: Debug;

    /// All differences that are meant.
    const DIFFERENCES: &'static [Difference<Self>];

    /// Has both read.
    fn read(bytes: &[u8]) -> Self::Case<'_>;

    /// Whether both say the same.
    fn is_alike(case: &Self::Case<'_>) -> bool;
}

/// One deliberate difference.
pub(crate) struct Difference<R: Readers> {
    /// What we do instead, and why.
    pub(crate) reason: &'static str,
    /// Bytes that the two read differently.
    pub(crate) examples: &'static [&'static [u8]],
    /// Whether a case that is read differently is of this kind.
    pub(crate) explains: for<'a> fn(&R::Case<'a>) -> bool,
}

/// Whether an entry explains a case.
fn is_explained<R: Readers>(case: &R::Case<'_>) -> bool {
    R::DIFFERENCES
        .iter()
        .any(|difference| (difference.explains)(case))
}

/// Fails when a case is read differently and nothing explains it.
pub(crate) fn assert_alike<R: Readers>(bytes: &[u8], case: &R::Case<'_>) {
    assert!(
        R::is_alike(case) || is_explained::<R>(case),
        "nothing explains this difference:\n{:?}\n{case:#?}",
        String::from_utf8_lossy(bytes)
    );
}

/// Every difference has examples, which are read differently, and it explains each of them.
pub(crate) fn assert_differences_exist<R: Readers>() {
    for difference in R::DIFFERENCES {
        for example in difference.examples {
            let case = R::read(example);
            let text = String::from_utf8_lossy(example);
            let is_of_kind = (difference.explains)(&case);
            assert!(!R::is_alike(&case), "{}: {text}", difference.reason);
            assert!(is_of_kind, "{}: {text}", difference.reason);
        }
        assert!(!difference.examples.is_empty(), "{}", difference.reason);
    }
}

/// What is read alike needs no explanation, and has none.
pub(crate) fn assert_unexplained<R: Readers>(bytes: &[u8]) {
    let case = R::read(bytes);
    assert!(R::is_alike(&case) && !is_explained::<R>(&case), "{case:#?}");
}
