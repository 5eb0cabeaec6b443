//! Whether there is room for what a connection asks for, and on which shard: looked at as soon as it is clear what is asked
//! (ANNOUNCE, DESCRIBE, the first SETUP), so that nobody sets up in vain, and decided when it begins (RECORD, PLAY).

use std::sync::atomic::Ordering;

use shardcast_config::Config;
use shardcast_protocol::rtsp::TransportKind;
use shardcast_runtime::ShardId;

use super::connection::Connection;
use crate::limits::{Place, Reached, ReaderKind, announced_bit_rate, log_growth};
use crate::path::{PathEntry, PathName};
use crate::session::transport::Transport;
use crate::stream::StreamInfo;

/// How a reader with this transport is sent its stream.
pub(super) fn reader_kind(transport: TransportKind) -> ReaderKind {
    match transport {
        TransportKind::Tcp | TransportKind::Udp => ReaderKind::Own,
        TransportKind::Multicast => ReaderKind::Group,
    }
}

impl<T: Transport> Connection<T> {
    /// Whether one more could read the path now, and on which shard that should be, if it should be another one: with the
    /// path's owner while its readers are few, for then no batch has to cross; else on this one, unless that carries too
    /// much.
    pub(super) fn look_for_reader(&self, entry: &PathEntry) -> Result<Option<ShardId>, Reached> {
        let config = self.shard.server.config.load();
        let readers = entry.readers.load(Ordering::Relaxed) as usize;
        self.look_at_limits(&config, entry, readers)?;
        let gathers = readers < config.fanout.gather_readers;
        let cpu_percent = config.limits.cpu_percent;
        let (limits, owner) = (&self.shard.server.limits, entry.owner);
        if gathers && !limits.busy.is_too_busy(owner.index(), cpu_percent) {
            if owner == self.shard.id() {
                return Ok(None);
            }
            if self.may_move_to(owner) {
                return Ok(Some(owner));
            }
        }
        self.look_for_shard(cpu_percent)
    }

    fn look_at_limits(
        &self,
        config: &Config,
        entry: &PathEntry,
        readers: usize,
    ) -> Result<(), Reached> {
        let path = config.path(entry.name.as_str());
        let most = path.and_then(|path| path.max_readers);
        if let Some(most) = most.filter(|most| readers >= most.get()) {
            return Err(Reached::MaxReaders(most.get()));
        }
        let limits = &self.shard.server.limits;
        let bit_rate = entry.bit_rate.load(Ordering::Relaxed);
        limits.ledger.look(bit_rate, &config.limits)?;
        limits.memory.look_for_reader(&config.limits)
    }

    fn look_for_shard(&self, cpu_percent: usize) -> Result<Option<ShardId>, Reached> {
        let limits = &self.shard.server.limits;
        let other = |shard| ShardId::from_index(shard).filter(|shard| self.may_move_to(*shard));
        match limits.place(self.shard.id().index(), cpu_percent) {
            Place::Here => Ok(None),
            Place::Rather(shard) => Ok(other(shard)),
            Place::Only(shard) => match other(shard) {
                Some(shard) => Ok(Some(shard)),
                None => Err(Reached::Cpu(cpu_percent)),
            },
            Place::Nowhere => Err(Reached::Cpu(cpu_percent)),
        }
    }

    /// Whether another publisher could publish these tracks to the path now.
    pub(super) fn look_for_publisher(
        &self,
        name: &PathName,
        info: &StreamInfo,
    ) -> Result<(), Reached> {
        let config = self.shard.server.config.load();
        let bytes = self.log_bytes(&config, name, info);
        self.shard.server.limits.memory.look(bytes, &config.limits)
    }

    /// Takes the memory that its log is going to take.
    pub(super) fn reserve_publisher(
        &self,
        name: &PathName,
        info: &StreamInfo,
    ) -> Result<(), Reached> {
        let config = self.shard.server.config.load();
        let bytes = self.log_bytes(&config, name, info);
        let memory = &self.shard.server.limits.memory;
        memory.reserve(bytes, &config.limits)
    }

    /// What the log of the path will grow by. A stream that is there already is counted with it.
    fn log_bytes(&self, config: &Config, name: &PathName, info: &StreamInfo) -> u64 {
        let server = &self.shard.server;
        let entry = server.directory.find(name);
        if entry.is_some_and(|entry| server.streams.find(entry.id).is_some()) {
            return 0;
        }
        let path = config.path(name.as_str()).unwrap_or(&config.path_defaults);
        log_growth(announced_bit_rate(info), path.log_bytes, path.log_age, 0)
    }
}
