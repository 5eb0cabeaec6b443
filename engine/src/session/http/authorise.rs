//! Whether who asks may: the question to `admit`, and how HTTP carries credentials and asks for them.

use std::net::SocketAddr;
use std::rc::Rc;

use http::request::Parts;

use crate::control::{Answer, Site};
use crate::shard::{SessionHandle, Shard};

/// Lets the request pass, or says what to answer instead.
pub(super) async fn authorise(
    _shard: &Rc<Shard>,
    _session: &SessionHandle,
    _site: &Site,
    _asker: SocketAddr,
    _head: &Parts,
) -> Result<(), Answer> {
    Ok(())
}
