//! The reorder window, and the statistics of a source. Input: datagrams as a publisher sends them, five bytes each:
//! number, milliseconds since the one before, and length.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use shardcast_protocol::container::rtp::reorder::{WAIT_MAX, WINDOW_BYTES_MAX, WINDOW_PACKETS_MAX};
use shardcast_protocol::container::rtp::{
    Reception, ReorderWindow, RtpTimestamp, SequenceNumber, Ssrc,
};

/// The longest datagram: its length takes two bytes here.
const DATAGRAM_BYTES_MAX: usize = u16::MAX as usize;

/// What the window holds.
#[derive(Default)]
struct Gauge {
    packets: Cell<usize>,
    bytes: Cell<usize>,
}

/// A datagram, held until it is dropped.
struct Datagram {
    bytes: usize,
    gauge: Rc<Gauge>,
}

impl Datagram {
    fn new(bytes: usize, gauge: &Rc<Gauge>) -> Self {
        gauge.packets.set(gauge.packets.get() + 1);
        gauge.bytes.set(gauge.bytes.get() + bytes);
        let gauge = gauge.clone();
        Self { bytes, gauge }
    }
}

impl Drop for Datagram {
    fn drop(&mut self) {
        self.gauge.packets.set(self.gauge.packets.get() - 1);
        self.gauge.bytes.set(self.gauge.bytes.get() - self.bytes);
    }
}

/// - Every datagram leaves or is counted as dropped, and none waits longer than it may.
/// - Whatever is sent, no more than a window of it is held, besides one datagram that may be the begin of new numbers.
/// - No report says what its fields cannot.
pub fn check(datagrams: &[u8]) {
    let mut window = ReorderWindow::new();
    let mut reception = Reception::new(90_000);
    let gauge = Rc::new(Gauge::default());
    let (mut now, mut left) = (Duration::ZERO, 0);
    let (datagrams, _) = datagrams.as_chunks::<5>();
    for [high, low, millis, length @ ..] in datagrams {
        now += Duration::from_millis((*millis).into());
        let number = SequenceNumber(u16::from_be_bytes([*high, *low]));
        let bytes = usize::from(u16::from_be_bytes(*length));
        window.push(number, now, Datagram::new(bytes, &gauge), bytes);
        left += take(&mut window, now);
        assert!(gauge.packets.get() <= WINDOW_PACKETS_MAX + 1);
        assert!(gauge.bytes.get() <= WINDOW_BYTES_MAX + DATAGRAM_BYTES_MAX);
        check_report(&mut reception, number, now);
    }
    left += take(&mut window, now + WAIT_MAX);
    let counts = window.counts();
    assert_eq!(counts.overflow, 0);
    let dropped = counts.late + counts.duplicate + counts.stray;
    assert_eq!(u64::try_from(datagrams.len()).expect("few"), left + dropped);
    assert_eq!((gauge.packets.get(), window.poll_timeout()), (0, None));
}

/// Takes what is ready, and counts it.
fn take(window: &mut ReorderWindow<Datagram>, now: Duration) -> u64 {
    let mut left = 0;
    while window.pop(now).is_some() {
        left += 1;
    }
    let due = window.poll_timeout();
    assert!(due.is_none_or(|due| due > now), "nothing waits too long");
    left
}

fn check_report(reception: &mut Reception, number: SequenceNumber, now: Duration) {
    let timestamp = RtpTimestamp(u32::from(number.0) * 3000);
    reception.handle_packet(number, timestamp, now);
    let report = reception.report_block(Ssrc(1), now).expect("it has come");
    assert!((-0x80_0000..=0x7f_ffff).contains(&report.cumulative_lost));
    assert_eq!(report.jitter_ticks, reception.jitter_ticks());
}
