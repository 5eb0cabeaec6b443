//! A file as a stream that never ends: its access units one after the other, and again from the begin, with numbers and
//! times that go on. The file is read once, whole, and shared by all paths that publish it.
//!
//! In front of each picture's first slice goes an SEI message with the probe, and in front of a key picture its parameter
//! sets, where the file has them only in its head. Sound of a file carries no probe.

mod annex_b;
mod boxes;
mod entry;
mod error;
mod fragments;
mod media;
mod mp4;
mod samples;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use shardcast_protocol::codec::aac;
use shardcast_protocol::container::rtp::Cut;
use shardcast_protocol::sdp::Codec;

use super::packets::{Numbering, Packets, RTP_HEADER_BYTES};
use super::probe::{Carrier, ProbeUnit, audio_unit_head};
use super::source::{SDP_HEAD, control_of};
use crate::BenchError;
use error::FileError;
use media::{Media, MediaTrack, NalKind, Unit};

/// Bytes of a file that are taken into memory: half an hour of 2 Mbit/s, and a machine that makes a load has as much.
pub const FILE_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Bytes of a full RTP packet, its header included: what fits an Ethernet frame.
const PACKET_BYTES: usize = 1400;
const PAYLOAD_BYTES: usize = PACKET_BYTES - RTP_HEADER_BYTES;
const NANOS_PER_SECOND: u128 = 1_000_000_000;
/// The payload type of the first track; the others follow.
const FIRST_PAYLOAD_TYPE: u8 = 96;
/// As many tracks as there are payload types for them (RFC 3551, section 6).
const TRACKS_MAX: usize = 32;

/// Plays a file.
#[derive(Debug)]
pub(super) struct FileSource {
    media: Arc<Media>,
    chance: fastrand::Rng,
    tracks: Vec<TrackState>,
    /// Which access unit is next, and how often the file has been played.
    next: usize,
    rounds: u64,
    /// When the first access unit was due.
    begin: Duration,
}

/// How far a track has come.
#[derive(Clone, Debug)]
struct TrackState {
    carrier: Carrier,
    cut: Option<Cut>,
    probe: Option<ProbeUnit>,
    numbering: Numbering,
}

impl FileSource {
    /// Reads a file.
    pub(super) fn open(file: &Path, seed: u64) -> Result<Self, BenchError> {
        let media = read(file).map_err(|error| BenchError::File {
            file: file.to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Self::of(Arc::new(media), seed))
    }

    /// The same file with other numbers, from a key picture that chance has chosen.
    pub(super) fn beside(&self, seed: u64) -> Self {
        let mut source = Self::of(Arc::clone(&self.media), seed);
        source.next = source.chance.usize(..source.media.units.len().max(1));
        source.skip_to_start();
        source.begin = source.due();
        source
    }

    fn of(media: Arc<Media>, seed: u64) -> Self {
        let mut chance = fastrand::Rng::with_seed(seed);
        let payload_types = FIRST_PAYLOAD_TYPE..;
        let tracks = media
            .tracks
            .iter()
            .zip(payload_types)
            .map(|(track, payload_type)| {
                let carrier = track.carrier();
                TrackState {
                    carrier,
                    cut: Cut::of(&track.codec),
                    probe: ProbeUnit::of(carrier),
                    numbering: Numbering::new(payload_type, &mut chance),
                }
            });
        Self {
            tracks: tracks.collect(),
            chance,
            next: 0,
            rounds: 0,
            begin: Duration::ZERO,
            media,
        }
    }

    /// Goes on with other numbers, at a key picture if there are any.
    pub(super) fn begin_anew(&mut self) {
        for (track, payload_type) in self.tracks.iter_mut().zip(FIRST_PAYLOAD_TYPE..) {
            track.numbering = Numbering::new(payload_type, &mut self.chance);
        }
        self.skip_to_start();
    }

    /// Leaves out what is before the next key picture, if there is video.
    fn skip_to_start(&mut self) {
        let rest = self.media.units.get(self.next..).unwrap_or_default();
        let skipped = rest.iter().take_while(|unit| !self.media.is_start(unit));
        self.next += skipped.count();
        self.wrap();
    }

    fn wrap(&mut self) {
        if self.next >= self.media.units.len() {
            (self.next, self.rounds) = (0, self.rounds + 1);
        }
    }

    /// When the next access unit is due, were the file played from its begin.
    fn due(&self) -> Duration {
        let unit = self.media.units.get(self.next);
        let nanos = self.played_nanos() + u128::from(unit.map_or(0, |unit| unit.due_nanos));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn played_nanos(&self) -> u128 {
        u128::from(self.media.nanos) * u128::from(self.rounds)
    }

    /// What whoever publishes it should know.
    pub(super) fn remark(&self) -> Option<&str> {
        self.media.remark.as_deref()
    }

    /// How its tracks carry probes.
    pub(super) fn carriers(&self) -> Vec<Carrier> {
        let tracks = self.tracks.iter();
        let carriers = tracks.map(|track| track.probe.map_or(Carrier::Other, |_| track.carrier));
        carriers.collect()
    }

    /// The stream's description.
    pub(super) fn sdp(&self) -> String {
        let mut sdp = SDP_HEAD.to_owned();
        let tracks = self.media.tracks.iter().zip(FIRST_PAYLOAD_TYPE..);
        for (index, (track, payload_type)) in tracks.enumerate() {
            sdp.push_str(&track.sdp(payload_type, &control_of(index)));
        }
        sdp
    }

    /// Writes the next access unit, and says when it is due, from the stream's begin.
    pub(super) fn next(&mut self, packets: &mut Packets) -> Duration {
        packets.clear();
        let media = Arc::clone(&self.media);
        let (due, played_nanos) = (self.due(), self.played_nanos());
        if let Some(unit) = media.units.get(self.next) {
            self.write_unit(&media, unit, played_nanos, packets);
        }
        self.next += 1;
        self.wrap();
        due.saturating_sub(self.begin)
    }

    fn write_unit(
        &mut self,
        media: &Media,
        unit: &Unit,
        played_nanos: u128,
        packets: &mut Packets,
    ) {
        let states = self.tracks.get_mut(unit.track);
        let (Some(state), Some(track)) = (states, media.tracks.get(unit.track)) else {
            return;
        };
        let rounds = played_nanos * u128::from(track.clock_rate) + NANOS_PER_SECOND / 2;
        let rounds = rounds / NANOS_PER_SECOND;
        let out = Out {
            packets,
            track: unit.track,
            // Of timestamps the lowest bits count alone.
            ticks: (rounds as u64).wrapping_add_signed(unit.ticks),
            numbering: &mut state.numbering,
        };
        match (state.cut, state.probe) {
            (Some(cut), Some(probe)) => write_picture(media, unit, track, cut, probe, out),
            _ => write_sound(media, unit, out),
        }
    }
}

fn read(file: &Path) -> Result<Media, FileError> {
    const TOO_LARGE: FileError = FileError::TooLarge {
        max: FILE_BYTES_MAX / 1024 / 1024,
    };
    let mut bytes = Vec::new();
    let file = File::open(file)?;
    if file.metadata()?.len() > FILE_BYTES_MAX {
        return Err(TOO_LARGE);
    }
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(TOO_LARGE);
    }
    media_of(bytes)
}

/// A file's tracks, by how it begins.
fn media_of(bytes: Vec<u8>) -> Result<Media, FileError> {
    let media = match (mp4::is_mp4(&bytes), annex_b::is_byte_stream(&bytes)) {
        (true, _) => mp4::read(bytes)?,
        (false, true) => annex_b::read(bytes)?,
        (false, false) => return Err(FileError::Unknown),
    };
    match media.tracks.len() {
        0..=TRACKS_MAX => Ok(media),
        _ => Err(FileError::TooMany {
            what: "tracks",
            max: TRACKS_MAX,
        }),
    }
}

/// Where the packets of an access unit go.
struct Out<'a> {
    packets: &'a mut Packets,
    track: usize,
    ticks: u64,
    numbering: &'a mut Numbering,
}

impl Out<'_> {
    fn packet(&mut self, is_last: bool, parts: &[&[u8]]) {
        let header = self.numbering.header(is_last, self.ticks);
        let mut packet = self.packets.begin(self.track, header);
        for part in parts {
            packet.bytes(part);
        }
        packet.end();
    }

    fn probe(&mut self, unit: ProbeUnit) {
        let header = self.numbering.header(false, self.ticks);
        let mut packet = self.packets.begin(self.track, header);
        packet.bytes(unit.head()).probe(self.numbering.next_probe());
        packet.bytes(unit.tail()).end();
    }

    /// A NAL unit, in fragments where it is too large for a packet.
    fn unit(&mut self, cut: Cut, unit: &[u8], is_last: bool) {
        for piece in cut.pieces(unit, PAYLOAD_BYTES).into_iter().flatten() {
            self.packet(is_last && piece.is_last, &[piece.head(), piece.body]);
        }
    }
}

fn write_picture(
    media: &Media,
    unit: &Unit,
    track: &MediaTrack,
    cut: Cut,
    probe: ProbeUnit,
    mut out: Out<'_>,
) {
    let carrier = track.carrier();
    let kind_of = |piece| NalKind::of(carrier, media.piece(piece));
    let has_sets = unit
        .pieces
        .clone()
        .any(|piece| kind_of(piece) == NalKind::ParameterSet);
    let mut is_probed = false;
    for piece in unit.pieces.clone() {
        let kind = kind_of(piece);
        if kind.is_slice() && !is_probed {
            is_probed = true;
            if kind == NalKind::KeySlice && !has_sets {
                let sets = track.codec.parameter_sets();
                sets.for_each(|set| out.unit(cut, set, false));
            }
            out.probe(probe);
        }
        out.unit(cut, media.piece(piece), piece + 1 == unit.pieces.end);
    }
}

/// RFC 3640, section 3.2.3: one access unit to the packet, or its fragments, each behind the size of the whole.
fn write_sound(media: &Media, unit: &Unit, mut out: Out<'_>) {
    let content = media.piece(unit.pieces.start);
    let head = audio_unit_head(u16::try_from(content.len()).unwrap_or(u16::MAX));
    let fragments = content.chunks(PAYLOAD_BYTES - head.len());
    let last = fragments.len().saturating_sub(1);
    for (index, fragment) in fragments.enumerate() {
        out.packet(index == last, &[&head, fragment]);
    }
}

impl MediaTrack {
    fn carrier(&self) -> Carrier {
        Carrier::from(&self.codec)
    }

    /// What a description says of it.
    fn sdp(&self, payload_type: u8, control: &str) -> String {
        let rate = self.clock_rate;
        let (kind, encoding, parameters) = match &self.codec {
            Codec::H264 { sps, pps, .. } => {
                ("video", "H264/90000".to_owned(), h264_parameters(sps, pps))
            }
            Codec::H265 { vps, sps, pps } => {
                let sets = [("vps", vps), ("sps", sps), ("pps", pps)];
                let sets = sets.map(|(name, sets)| format!("sprop-{name}={}", base64_of(sets)));
                ("video", "H265/90000".to_owned(), sets.join("; "))
            }
            Codec::Aac { config } => {
                let encoding = format!("mpeg4-generic/{rate}/{}", channels_of(config));
                ("audio", encoding, aac_parameters(config))
            }
            _ => return String::new(),
        };
        format!(
            "m={kind} 0 RTP/AVP {payload_type}\r\n\
             a=rtpmap:{payload_type} {encoding}\r\n\
             a=fmtp:{payload_type} {parameters}\r\n\
             a=control:{control}\r\n"
        )
    }
}

/// RFC 6184, section 8.1.
fn h264_parameters(sps: &[Bytes], pps: &[Bytes]) -> String {
    let mut parameters = "packetization-mode=1".to_owned();
    if let Some(profile) = sps.first().and_then(|sps| sps.get(1..4)) {
        let profile = hex_of(profile);
        parameters.push_str(&format!("; profile-level-id={profile}"));
    }
    let sets: Vec<Bytes> = sps.iter().chain(pps).cloned().collect();
    match sets.is_empty() {
        true => parameters,
        false => format!("{parameters}; sprop-parameter-sets={}", base64_of(&sets)),
    }
}

/// RFC 3640, section 4.1.
fn aac_parameters(config: &[u8]) -> String {
    let config = hex_of(config);
    format!(
        "streamtype=5; profile-level-id=1; mode=AAC-hbr; sizelength=13; indexlength=3; indexdeltalength=3; \
         config={config}"
    )
}

fn channels_of(config: &[u8]) -> u8 {
    let parameters = aac::parameters(config).unwrap_or_default();
    parameters.channels.unwrap_or(2)
}

fn base64_of(sets: &[Bytes]) -> String {
    let sets: Vec<String> = sets.iter().map(|set| BASE64_STANDARD.encode(set)).collect();
    sets.join(",")
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
