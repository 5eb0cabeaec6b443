//! What a shard is doing: stage, path and session of the task that it polls. The engine gives marks
//! to its tasks, the shard's pulse holds the last one, the stall detector names it.

/// A step of the work, as an index into a table of names: the runtime's own stages come first, then
/// the engine's ([`Hooks::stages`](crate::Hooks)).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Stage(u16);

impl Stage {
    /// The shard is being set up: `Node::start`.
    pub const START: Self = Self(0);
    /// Messages of other shards are being handled.
    pub const INBOX: Self = Self(1);
    /// Other shards are being woken.
    pub const BELLS: Self = Self(2);
    /// The shard drains: `Node::drain`.
    pub const DRAIN: Self = Self(3);

    /// The engine's stage number `index`: the name at that place of
    /// [`Hooks::stages`](crate::Hooks).
    #[must_use]
    pub const fn engine(index: u16) -> Self {
        Self(OWN_NAMES.len() as u16 + index)
    }

    /// The name, given the engine's table.
    #[must_use]
    pub fn name(self, engine: &'static [&'static str]) -> &'static str {
        let index = usize::from(self.0);
        let name = match index.checked_sub(OWN_NAMES.len()) {
            None => OWN_NAMES.get(index),
            Some(index) => engine.get(index),
        };
        name.copied().unwrap_or("unnamed stage")
    }

    pub(crate) const fn to_bits(self) -> u64 {
        self.0 as u64
    }

    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits as u16)
    }
}

const OWN_NAMES: [&str; 4] = ["start", "inbox", "bells", "drain"];

/// Stage, path and session as numbers, so that marking costs three stores. 0 stands for *none*; the
/// hook `describe` turns the numbers into names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Mark {
    /// The step of the work.
    pub stage: Stage,
    /// The engine's number of the path, or 0.
    pub path: u64,
    /// The engine's number of the session, or 0.
    pub session: u64,
}

impl Mark {
    /// A mark of no particular path or session.
    #[must_use]
    pub const fn stage(stage: Stage) -> Self {
        Self {
            stage,
            path: 0,
            session: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_has_the_name_of_its_table() {
        let engine = &["parse", "write"];
        assert_eq!(Stage::INBOX.name(engine), "inbox");
        assert_eq!(Stage::engine(1).name(engine), "write");
        assert_eq!(Stage::engine(2).name(engine), "unnamed stage");
        assert_eq!(
            Stage::from_bits(Stage::engine(7).to_bits()),
            Stage::engine(7)
        );
    }
}
