//! RTSP: media between the messages of the connection, in datagrams, or to a group.
//!
//! A connection begins with requests alone, handled one after the other by one task ([`connection`], [`decide`]). PLAY takes
//! it apart: the same task goes on reading ([`play`], [`reported`]), another one writes media ([`writer`], [`datagrams`]). RECORD keeps it
//! whole ([`record`]), beside it a task takes what comes in datagrams ([`intake`]); packets leave over the publisher's
//! [`desk`]. PAUSE and TEARDOWN lead back to requests alone. While
//! only requests pass, the connection may move to the shard that owns its path ([`handover`]).

mod connection;
mod datagrams;
mod decide;
mod desk;
mod handover;
mod identity;
mod intake;
mod play;
mod record;
mod reported;
mod room;
mod rtp_info;
mod writer;

pub(crate) use connection::serve;
