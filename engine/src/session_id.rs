//! The number of a session, as every room and every shard names it, and the UUIDs under which the API does.

use std::fmt;

use crate::uuid::Uuid;

/// Random and unique in the process; shown as its first eight hexadecimal digits, as operators know them from log lines.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SessionId(u64);

/// Version 8, whose other bits are the application's own, and the variant (RFC 9562, sections 4 and 5.8).
const FIXED_BITS: u128 = (8 << 76) | (0b10 << 62);

/// The last bit of a UUID that names a session's connection and not the session.
const CONNECTION_BIT: u128 = 1;

impl SessionId {
    /// The session of this number.
    #[must_use]
    pub const fn new(id: u64) -> Self {
        Self(id)
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The session's UUID. Its first eight digits are those of the log.
    #[must_use]
    pub const fn uuid(self) -> Uuid {
        let id = self.0 as u128;
        // The number's bits from the highest on, around the version and the variant: 48, 12 and 4 of them.
        let bits = ((id >> 16) << 80) | (((id >> 4) & 0xfff) << 64) | ((id & 0xf) << 58);
        Uuid::new(bits | FIXED_BITS)
    }

    /// The UUID of the session's connection.
    #[must_use]
    pub const fn connection_uuid(self) -> Uuid {
        Uuid::new(self.uuid().bits() | CONNECTION_BIT)
    }

    /// The session of this UUID; `None` of one that no session can have.
    #[must_use]
    pub fn of_uuid(uuid: Uuid) -> Option<Self> {
        let bits = uuid.bits();
        let id = ((bits >> 80) << 16) | (((bits >> 64) & 0xfff) << 4) | ((bits >> 58) & 0xf);
        let id = Self(u64::try_from(id).ok()?);
        (id.uuid() == uuid).then_some(id)
    }

    /// The session whose connection has this UUID; `None` of one that no connection can have.
    #[must_use]
    pub fn of_connection_uuid(uuid: Uuid) -> Option<Self> {
        let is_connection = uuid.bits() & CONNECTION_BIT != 0;
        let session = Uuid::new(uuid.bits() & !CONNECTION_BIT);
        Self::of_uuid(session).filter(|_| is_connection)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0 >> 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBERS: [u64; 4] = [0, 0x0123_4567_89ab_cdef, u64::MAX, 1];

    #[test]
    fn a_session_and_its_connection_have_uuids_of_their_own_that_begin_as_the_log_does() {
        for number in NUMBERS {
            let id = SessionId::new(number);
            let (session, connection) = (id.uuid(), id.connection_uuid());
            assert_ne!(session, connection);
            for uuid in [session, connection] {
                let text = uuid.to_string();
                assert!(text.starts_with(&id.to_string()), "{text}");
                assert_eq!(text.chars().nth(14), Some('8'), "the version of {text}");
                assert_eq!((uuid.bits() >> 62) & 0b11, 0b10, "the variant of {text}");
            }
        }
    }

    #[test]
    fn a_uuid_leads_back_to_its_session_and_to_no_other() {
        for number in NUMBERS {
            let id = SessionId::new(number);
            assert_eq!(SessionId::of_uuid(id.uuid()), Some(id));
            assert_eq!(SessionId::of_uuid(id.connection_uuid()), None);
            assert_eq!(
                SessionId::of_connection_uuid(id.connection_uuid()),
                Some(id)
            );
            assert_eq!(SessionId::of_connection_uuid(id.uuid()), None);
        }
        assert_eq!(SessionId::of_uuid(Uuid::new(u128::MAX)), None);
    }
}
