//! Events as lines of the log, in MediaMTX's words where it has them: filters of operators depend on these.

use std::time::Duration;

use shardcast::event::{Event, EventReceiver, Protocol, Received};
use shardcast_protocol::rtsp::TransportKind;

/// Writes events until the server has ended.
pub(crate) fn write_all(events: &EventReceiver) {
    while let Ok(received) = events.receive(Duration::from_secs(3600)) {
        match received {
            Some(Received::Event(event)) => write(&event),
            Some(Received::Missed(count)) => {
                tracing::warn!("{count} events were lost: the log is too slow");
            }
            None => {}
        }
    }
}

fn write(event: &Event) {
    match event {
        Event::ConnectionOpened { peer, protocol, .. } => {
            write_connection(*protocol, format_args!("[conn {peer}] opened"));
        }
        Event::ConnectionClosed {
            peer,
            protocol,
            reason,
        } => write_connection(*protocol, format_args!("[conn {peer}] closed: {reason}")),
        Event::AuthenticationFailed { peer, protocol } => {
            tracing::warn!(
                "[{protocol}] [conn {peer}] failed to authenticate: authentication failed"
            );
        }
        Event::AcceptFailed { protocol, error } => {
            tracing::error!("[{protocol}] cannot accept connections: {error}");
        }
        Event::PathAvailable { path, tracks, .. } => {
            tracing::info!("[path {path}] stream is available and online, {tracks}");
        }
        Event::PathWaiting { path, grace } => {
            tracing::info!("[path {path}] the publisher was lost, waiting {grace:?} for another");
        }
        Event::PathGone { path, reason } => {
            tracing::info!("[path {path}] stream is no longer available: {reason}");
        }
        Event::PublisherBegan {
            session,
            peer,
            path,
            tracks,
            ..
        } => {
            tracing::info!("[RTSP] [session {session}] created by {peer}");
            tracing::info!("[RTSP] [session {session}] is publishing to path '{path}', {tracks}");
        }
        Event::ReaderBegan {
            session,
            peer,
            path,
            tracks,
            transport,
        } => {
            let transport = transport_name(*transport);
            tracing::info!("[RTSP] [session {session}] created by {peer}");
            tracing::info!(
                "[RTSP] [session {session}] is reading from path '{path}', with {transport}, {tracks}"
            );
        }
        Event::SessionEnded {
            session, reason, ..
        } => tracing::info!("[RTSP] [session {session}] destroyed: {reason}"),
        Event::Reloaded {
            by,
            warnings,
            waiting,
        } => {
            tracing::info!("reloading configuration ({by})");
            warnings.iter().for_each(|line| tracing::warn!("{line}"));
            if !waiting.is_empty() {
                tracing::warn!("takes effect after a restart: {}", waiting.join(", "));
            }
        }
        Event::ReloadFailed { error } => {
            tracing::error!("the configuration stays as it is:\n{error}");
        }
        trouble => write_trouble(trouble),
    }
}

/// Connections over HTTP come and go with every script and dashboard: of interest when something is looked for.
fn write_connection(protocol: Protocol, what: std::fmt::Arguments<'_>) {
    match protocol {
        Protocol::Rtsp => tracing::info!("[{protocol}] {what}"),
        Protocol::Http(_) => tracing::debug!("[{protocol}] {what}"),
    }
}

fn write_trouble(event: &Event) {
    match event {
        Event::ReaderDropped {
            session,
            path,
            reason,
            bytes,
            units,
            times,
        } => {
            tracing::warn!(
                "[path {path}] [session {session}] reader is too slow: {bytes} bytes in {units} access units dropped, \
                 {times} times ({reason})"
            );
        }
        Event::RingFull {
            path,
            shard,
            batches,
        } => {
            tracing::warn!(
                "[path {path}] {batches} batches did not reach shard {shard}: its ring was full"
            );
        }
        Event::PacketsOversized {
            path,
            packet_bytes_max,
        } => {
            tracing::warn!(
                "[path {path}] packets of more than {packet_bytes_max} bytes (udpMaxPayloadSize) cannot be cut and do \
                 not reach readers over UDP"
            );
        }
        Event::PublisherPacketsRefused {
            session,
            path,
            reason,
            packets,
        } => {
            tracing::warn!(
                "[path {path}] [session {session}] {packets} packets of the publisher refused ({reason})"
            );
        }
        Event::Stalled {
            shard,
            busy_for,
            at,
            over: false,
        } => {
            tracing::warn!("shard {shard} has not polled for {busy_for:?}, last at {at}");
        }
        Event::Stalled {
            shard,
            busy_for,
            at,
            over: true,
        } => {
            tracing::warn!("shard {shard} goes on after {busy_for:?}, at {at}");
        }
        Event::SessionPanicked { session, message } => {
            tracing::error!("[session {session}] ended by an internal error: {message}");
        }
        other => tracing::debug!("{other:?}"),
    }
}

/// MediaMTX's names.
fn transport_name(transport: TransportKind) -> &'static str {
    match transport {
        TransportKind::Tcp => "TCP",
        TransportKind::Udp => "UDP",
        TransportKind::Multicast => "UDP-multicast",
    }
}
