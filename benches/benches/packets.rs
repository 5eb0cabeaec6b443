//! Criterion benchmarks of what is done to each packet once, between the publisher's socket and the path's owner: a look at
//! its header, the split of a chunk into frames, and the way into a batch. Measured in CPU time of this thread.
//!
//! The chunks are of the made-up stream, as a read brings them: the packets of one access unit, one after another. Beside
//! the header view stands a general RTP crate, to see what a packet would cost that is parsed, or copied for each reader.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use criterion::{BatchSize, BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use rtc_shared::marshal::Unmarshal;
use shardcast::egress::Cargo;
use shardcast::fanout::LogPlace;
use shardcast::ingest::{Opening, Publication};
use shardcast::latency::{LatencyBoard, ShardLatencies};
use shardcast::record::SessionRecord;
use shardcast::stream::{
    Batch, BatchBuilder, PacketFlags, Standing, StreamClock, StreamInfo, TrackBase,
    WIRE_HEADER_BYTES,
};
use shardcast::{PathName, Role, SessionId};
use shardcast_benches::synthetic::{SDP, Source};
use shardcast_benches::thread_time::ThreadTime;
use shardcast_protocol::container::rtp::{
    Frames, HeaderView, HeaderViewMut, NtpTime, RtpTimestamp, SequenceNumber, Ssrc,
};
use shardcast_protocol::rtsp::{Limits, MessageReader, Parsed};
use shardcast_protocol::sdp;

/// Bytes of a packet on the wire: what is usual, and what ffmpeg sends.
const PACKET_BYTES: [usize; 2] = [1400, 1472];
/// Packets of a chunk and so of its batch: a frame at 2 Mbit/s or so, and a key frame.
const PACKETS: [usize; 2] = [10, 40];
/// Frames of a group of pictures.
const GOP_FRAMES: u64 = 60;
/// A batch closes at the end of its access unit, never for its size.
const BATCH_BYTES_MAX: usize = 256 * 1024;
/// Chunks that are made before the clock runs: many enough that reading the clock hardly counts, few enough that they are
/// still in the cache, as what a socket has just brought is.
const CHUNKS_PREPARED: u64 = 16;

/// So many packets of so many bytes.
#[derive(Clone, Copy)]
struct Shape {
    packets: usize,
    packet_bytes: usize,
}

impl Shape {
    fn all() -> impl Iterator<Item = Self> {
        PACKETS.into_iter().flat_map(|packets| {
            PACKET_BYTES.map(|packet_bytes| Self {
                packets,
                packet_bytes,
            })
        })
    }

    /// "10x1400".
    fn name(self) -> String {
        format!("{}x{}", self.packets, self.packet_bytes)
    }

    fn throughput(self) -> Throughput {
        Throughput::Elements(self.packets as u64)
    }

    fn source(self) -> Source {
        Source::new(GOP_FRAMES, self.packet_bytes)
    }

    /// The frames of the next access unit.
    fn next_frames(self, source: &mut Source) -> Vec<u8> {
        let mut frames = Vec::new();
        source.write_frame(self.packets, &mut frames);
        frames
    }

    /// The same as a chunk out of which a batch has gone before, as most have: that first one allocates the count of those
    /// that share the chunk.
    fn next_chunk(self, source: &mut Source) -> BytesMut {
        let mut chunk = BytesMut::from(&[0][..]);
        chunk.extend_from_slice(&self.next_frames(source));
        drop(chunk.split_to(1));
        chunk
    }
}

fn header(criterion: &mut Criterion<ThreadTime>) {
    let mut group = criterion.benchmark_group("header");
    group.throughput(Throughput::Elements(1));
    for packet_bytes in PACKET_BYTES {
        let shape = Shape {
            packets: 1,
            packet_bytes,
        };
        let mut packet = shape
            .next_frames(&mut shape.source())
            .split_off(WIRE_HEADER_BYTES);
        let shared = Bytes::copy_from_slice(&packet);
        let parsed = parse(shared.clone());
        group.bench_function(BenchmarkId::new("view", packet_bytes), |bencher| {
            bencher.iter(|| read_header(black_box(&packet)));
        });
        group.bench_function(BenchmarkId::new("rewrite", packet_bytes), |bencher| {
            bencher.iter(|| rewrite_header(black_box(&mut packet)));
        });
        group.bench_function(BenchmarkId::new("crate_parse", packet_bytes), |bencher| {
            bencher.iter_batched(|| shared.clone(), parse, BatchSize::SmallInput);
        });
        group.bench_function(BenchmarkId::new("crate_clone", packet_bytes), |bencher| {
            bencher.iter(|| black_box(&parsed).clone());
        });
    }
    group.finish();
}

/// All that ingest asks a header for.
fn read_header(packet: &[u8]) -> Option<(SequenceNumber, RtpTimestamp, Ssrc, bool, usize)> {
    let view = HeaderView::parse(packet).ok()?;
    Some((
        view.sequence_number(),
        view.timestamp(),
        view.ssrc(),
        view.marker(),
        view.payload().len(),
    ))
}

/// All that numbering changes.
fn rewrite_header(packet: &mut [u8]) {
    if let Ok(mut view) = HeaderViewMut::parse(packet) {
        view.set_ssrc(black_box(Ssrc(7)));
        view.set_sequence_number(black_box(SequenceNumber(8)));
        view.set_timestamp(black_box(RtpTimestamp(9)));
    }
}

fn parse(mut packet: Bytes) -> rtc_rtp::Packet {
    rtc_rtp::Packet::unmarshal(&mut packet).expect("the made-up packets are RTP")
}

fn split(criterion: &mut Criterion<ThreadTime>) {
    let mut group = criterion.benchmark_group("split");
    for shape in Shape::all() {
        let frames = shape.next_frames(&mut shape.source());
        let mut reader = MessageReader::new(Limits::default());
        group.throughput(shape.throughput());
        group.bench_function(BenchmarkId::new("reader", shape.name()), |bencher| {
            assert_eq!(split_by_reader(&mut reader, &frames), shape.packets);
            bencher.iter(|| split_by_reader(&mut reader, black_box(&frames)));
        });
        group.bench_function(BenchmarkId::new("frames", shape.name()), |bencher| {
            bencher.iter(|| Frames::new(black_box(&frames)).map(black_box).count());
        });
    }
    group.finish();
}

/// As a publisher's session does it: what is no frame could be a request. Returns the number of frames.
fn split_by_reader(reader: &mut MessageReader, chunk: &[u8]) -> usize {
    let (mut at, mut frames) = (0, 0);
    while let Ok(Parsed::Frame {
        payload, consumed, ..
    }) = reader.poll(&chunk[at..])
    {
        black_box(payload);
        at += consumed;
        frames += 1;
    }
    frames
}

fn batch(criterion: &mut Criterion<ThreadTime>) {
    let mut group = criterion.benchmark_group("batch");
    for shape in Shape::all() {
        group.throughput(shape.throughput());
        let mut builder = Building::new(shape);
        bench_batches(&mut group, "builder", shape, |chunk| builder.build(chunk));
        let mut publisher = Publisher::new();
        bench_batches(&mut group, "ingest", shape, |chunk| {
            publisher.ingest(shape, chunk)
        });
        let mut publisher = Publisher::new();
        bench_batches(&mut group, "split_and_ingest", shape, |chunk| {
            publisher.split_and_ingest(chunk)
        });
    }
    group.finish();
}

/// How late packets have left: what a histogram takes for one record, and all that is kept of a write to a reader, its look
/// at the clock included. There is one per write and reader, of ten packets or so.
fn lateness(criterion: &mut Criterion<ThreadTime>) {
    let mut group = criterion.benchmark_group("lateness");
    let (path, begin) = (PathName::new("cam").expect("a name"), Instant::now());
    let latencies = ShardLatencies::new(0, LatencyBoard::new(1), begin);
    let latency = latencies.of(&path, begin);
    let mut latency_us = 0;
    group.bench_function("record", |bencher| {
        bencher.iter(|| {
            latency_us = (latency_us + 977) % 50_000;
            latency.record(black_box(latency_us), black_box(10));
        });
    });
    let peer = ([127, 0, 0, 1], 1).into();
    let record = SessionRecord::new(SessionId::new(1), Role::Reader, peer, path, 0);
    group.bench_function("write", |bencher| {
        bencher.iter(|| {
            let mut cargo = Cargo::default();
            cargo.add(black_box(Some(begin)), 10);
            let now = shardcast_platform::now();
            if let Some((latency_us, packets)) = cargo.record(&latency, now, 1) {
                record.latency.note(latency_us, packets.into());
            }
            let place = LogPlace {
                bytes: latency_us,
                read_us: latency_us,
            };
            record.progress.set(black_box(place));
        });
    });
    group.finish();
}

/// A chunk in, its batch out. The end of both is not measured: batches end later, and elsewhere.
fn bench_batches(
    group: &mut BenchmarkGroup<'_, ThreadTime>,
    variant: &str,
    shape: Shape,
    mut routine: impl FnMut(&mut BytesMut) -> Batch,
) {
    let mut source = shape.source();
    // The first frame is a key frame, in front of which ingest puts the stream's parameter sets.
    let _key = routine(&mut shape.next_chunk(&mut source));
    let second = routine(&mut shape.next_chunk(&mut source));
    assert_eq!(second.packets.len(), shape.packets);
    group.bench_function(BenchmarkId::new(variant, shape.name()), |bencher| {
        let size = BatchSize::NumIterations(CHUNKS_PREPARED);
        bencher.iter_batched_ref(|| shape.next_chunk(&mut source), &mut routine, size);
    });
}

/// The list of packets and the memory alone.
struct Building {
    shape: Shape,
    builder: BatchBuilder,
    clock: StreamClock,
    read_at: Instant,
}

impl Building {
    fn new(shape: Shape) -> Self {
        let (info, base) = stream();
        Self {
            shape,
            builder: BatchBuilder::new(0),
            clock: StreamClock::begin(&info, &[base]),
            read_at: base.standing.at,
        }
    }

    fn build(&mut self, chunk: &mut BytesMut) -> Batch {
        for _ in 0..self.shape.packets {
            let packet_bytes = black_box(self.shape.packet_bytes);
            self.builder
                .note(packet_bytes, 0, PacketFlags::default(), self.read_at);
        }
        self.builder.hold(chunk.split_to(chunk.len()));
        let batch = self.builder.close(self.clock.clone());
        batch.expect("packets were noted")
    }
}

/// A publisher's packets on their way into batches.
struct Publisher {
    reader: MessageReader,
    publication: Publication,
    read_at: Instant,
}

impl Publisher {
    fn new() -> Self {
        let (info, base) = stream();
        Self {
            reader: MessageReader::new(Limits::default()),
            publication: Publication::new(&Opening {
                published: &info,
                info: info.clone(),
                bases: &[base],
                first_sequence: 0,
                takes_over_at: None,
                batch_bytes_max: BATCH_BYTES_MAX,
            }),
            read_at: base.standing.at,
        }
    }

    /// Numbers, looks for access units and batches: all that follows the split.
    fn ingest(&mut self, shape: Shape, chunk: &mut BytesMut) -> Batch {
        for frame in chunk.chunks_exact_mut(shape.packet_bytes) {
            let taken = self.publication.handle_rtp(0, frame, self.read_at);
            debug_assert_eq!(taken, Ok(true));
        }
        self.close(chunk)
    }

    /// The whole way from a chunk to its batch.
    fn split_and_ingest(&mut self, chunk: &mut BytesMut) -> Batch {
        let mut at = 0;
        while let Ok(Parsed::Frame { consumed, .. }) = self.reader.poll(&chunk[at..]) {
            let frame = &mut chunk[at..at + consumed];
            let taken = self.publication.handle_rtp(0, frame, self.read_at);
            debug_assert_eq!(taken, Ok(true));
            at += consumed;
        }
        self.close(chunk)
    }

    fn close(&mut self, chunk: &mut BytesMut) -> Batch {
        self.publication.hold(chunk.split_to(chunk.len()));
        assert!(self.publication.is_batch_due());
        let batch = self.publication.close_batch();
        batch.expect("packets were taken")
    }
}

/// The made-up stream, and where its track begins.
fn stream() -> (Arc<StreamInfo>, TrackBase) {
    let tracks = sdp::parse(SDP.as_bytes()).and_then(|description| sdp::tracks(&description));
    let tracks = tracks.expect("the made-up description is SDP");
    let base = TrackBase {
        ssrc: Ssrc(7),
        standing: Standing::begin(SequenceNumber(0), RtpTimestamp(0), Instant::now()),
        ntp: NtpTime::default(),
    };
    (Arc::new(StreamInfo::new(tracks, "packets")), base)
}

fn main() {
    let mut criterion = Criterion::default()
        .with_measurement(ThreadTime)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1500))
        .configure_from_args();
    header(&mut criterion);
    split(&mut criterion);
    batch(&mut criterion);
    lateness(&mut criterion);
    criterion.final_summary();
}
