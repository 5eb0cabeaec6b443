//! The right to make networks: had, or got within a user namespace, or missing, which is an error and never a reason to
//! leave a test out.

use std::sync::OnceLock;

use super::NetlabError;
use super::namespace::Namespace;
use crate::alone::Alone;

/// Starts the test's program anew where its user is root, over a network of its own alone.
const AS_ROOT_OF_ITS_OWN: &str = r#"exec unshare --user --map-root-user --net -- "$0" "$@" 2>&1"#;

/// Runs the body of the test of this name (`module::function`), which makes networks: here if that is allowed, else in a
/// child within a user namespace.
///
/// # Panics
/// When the body does, or when nothing allows networks to be made.
pub fn within(test: &str, body: impl FnOnce()) {
    match trial() {
        Ok(()) => body(),
        Err(error) => match Alone::start(test, AS_ROOT_OF_ITS_OWN) {
            Some(child) => child.assert_passes(),
            None => panic!(
                "{error}: this test needs network namespaces, as root or within a user namespace \
                 (sysctl kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)"
            ),
        },
    }
}

/// Makes a namespace, once in this process.
fn trial() -> Result<(), &'static NetlabError> {
    static TRIAL: OnceLock<Result<(), NetlabError>> = OnceLock::new();
    let tried = TRIAL.get_or_init(|| Namespace::new().map(drop));
    tried.as_ref().copied()
}
