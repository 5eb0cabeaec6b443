//! Profiles in pprof's format: a message of protocol buffers (`proto/profile.proto` of github.com/google/pprof), compressed
//! by gzip.
//!
//! The few fields that are written need no generated code: a message is its fields one after the other, each a number with
//! its type, then a variable-length integer, or a length and bytes.

use std::collections::HashMap;
use std::io::Write as _;
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;
use shardcast_platform::{CodePlace, CpuSamples, code_places};

/// Fields of `Profile`.
mod profile {
    pub(super) const SAMPLE_TYPE: u64 = 1;
    pub(super) const SAMPLE: u64 = 2;
    pub(super) const LOCATION: u64 = 4;
    pub(super) const FUNCTION: u64 = 5;
    pub(super) const STRING_TABLE: u64 = 6;
    pub(super) const TIME_NANOS: u64 = 9;
    pub(super) const DURATION_NANOS: u64 = 10;
    pub(super) const PERIOD_TYPE: u64 = 11;
    pub(super) const PERIOD: u64 = 12;
    pub(super) const COMMENT: u64 = 13;
}

/// The profile that these samples make. Every address is looked up in the program's debug information.
pub(super) fn encode(samples: &CpuSamples, begun: SystemTime, duration: Duration) -> Vec<u8> {
    let mut writer = ProfileWriter::new();
    let (samples_text, count) = (writer.text("samples"), writer.text("count"));
    let (cpu, nanoseconds) = (writer.text("cpu"), writer.text("nanoseconds"));
    writer
        .out
        .message(profile::SAMPLE_TYPE, &pair(samples_text, count));
    writer
        .out
        .message(profile::SAMPLE_TYPE, &pair(cpu, nanoseconds));
    let period = nanos(samples.period);
    for (stack, count) in &samples.stacks {
        writer.write_sample(stack, *count, period);
    }
    let since_epoch = begun.duration_since(SystemTime::UNIX_EPOCH);
    let since_epoch = since_epoch.unwrap_or_default();
    writer.out.number(profile::TIME_NANOS, nanos(since_epoch));
    writer.out.number(profile::DURATION_NANOS, nanos(duration));
    writer
        .out
        .message(profile::PERIOD_TYPE, &pair(cpu, nanoseconds));
    writer.out.number(profile::PERIOD, period);
    if samples.lost > 0 {
        let lost = writer.text(&format!("{} samples found no room", samples.lost));
        writer.out.number(profile::COMMENT, lost);
    }
    writer.finish()
}

/// As `gzip` does it.
pub(super) fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Memory takes everything.
    let _infallible = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

/// `ValueType`: what is measured, in which unit.
fn pair(kind: u64, unit: u64) -> Message {
    let mut message = Message::default();
    message.number(1, kind);
    message.number(2, unit);
    message
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A message that is being written.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    fn number(&mut self, field: u64, value: u64) {
        self.variable(field << 3);
        self.variable(value);
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.variable(field << 3 | 2);
        self.variable(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn message(&mut self, field: u64, message: &Self) {
        self.bytes(field, &message.0);
    }

    fn numbers(&mut self, field: u64, values: impl IntoIterator<Item = u64>) {
        let mut packed = Self::default();
        values.into_iter().for_each(|value| packed.variable(value));
        self.message(field, &packed);
    }

    /// Seven bits to the byte, the lowest first.
    fn variable(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }
}

/// A profile that is being written, with what was named already: texts, places and functions are written once, by number.
#[derive(Debug)]
struct ProfileWriter {
    out: Message,
    texts: HashMap<String, u64>,
    text_list: Vec<String>,
    locations: HashMap<usize, u64>,
    functions: HashMap<(u64, u64), u64>,
}

impl ProfileWriter {
    /// The first text is the empty one.
    fn new() -> Self {
        Self {
            out: Message::default(),
            texts: HashMap::from([(String::new(), 0)]),
            text_list: vec![String::new()],
            locations: HashMap::new(),
            functions: HashMap::new(),
        }
    }

    fn text(&mut self, text: &str) -> u64 {
        if let Some(known) = self.texts.get(text) {
            return *known;
        }
        let index = self.text_list.len() as u64;
        self.text_list.push(text.to_owned());
        self.texts.insert(text.to_owned(), index);
        index
    }

    fn write_sample(&mut self, stack: &[usize], count: u64, period_ns: u64) {
        let locations: Vec<u64> = stack
            .iter()
            .map(|address| self.location(*address))
            .collect();
        let mut sample = Message::default();
        sample.numbers(1, locations);
        sample.numbers(2, [count, count.saturating_mul(period_ns)]);
        self.out.message(profile::SAMPLE, &sample);
    }

    /// Numbers of locations and functions begin at 1.
    fn location(&mut self, address: usize) -> u64 {
        if let Some(known) = self.locations.get(&address) {
            return *known;
        }
        let id = self.locations.len() as u64 + 1;
        self.locations.insert(address, id);
        let mut location = Message::default();
        location.number(1, id);
        location.number(3, address.wrapping_sub(1) as u64);
        for place in code_places(address) {
            let mut line = Message::default();
            line.number(1, self.function(&place));
            line.number(2, u64::from(place.line));
            location.message(4, &line);
        }
        self.out.message(profile::LOCATION, &location);
        id
    }

    fn function(&mut self, place: &CodePlace) -> u64 {
        let name = self.text(&place.function);
        let file = self.text(place.file.as_deref().unwrap_or_default());
        let next = self.functions.len() as u64 + 1;
        let id = *self.functions.entry((name, file)).or_insert(next);
        if id == next {
            let mut function = Message::default();
            function.number(1, id);
            function.number(2, name);
            function.number(3, name);
            function.number(4, file);
            self.out.message(profile::FUNCTION, &function);
        }
        id
    }

    fn finish(mut self) -> Vec<u8> {
        for text in &self.text_list {
            self.out.bytes(profile::STRING_TABLE, text.as_bytes());
        }
        self.out.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_seven_bits_to_the_byte() {
        let written = |value| {
            let mut message = Message::default();
            message.number(1, value);
            message.0
        };
        // The example of protocol buffers' documentation.
        assert_eq!(written(150), [0x08, 0x96, 0x01]);
        assert_eq!(written(0), [0x08, 0]);
        assert_eq!(written(u64::MAX).len(), 11);
    }

    #[test]
    fn texts_and_functions_are_written_once() {
        let mut writer = ProfileWriter::new();
        assert_eq!(writer.text(""), 0);
        assert_eq!(writer.text("cpu"), 1);
        assert_eq!(writer.text("cpu"), 1);
        let place = |function: &str| CodePlace {
            function: function.to_owned(),
            file: None,
            line: 1,
        };
        assert_eq!(writer.function(&place("a")), 1);
        assert_eq!(writer.function(&place("b")), 2);
        assert_eq!(writer.function(&place("a")), 1);
        assert_eq!(writer.text_list, ["", "cpu", "a", "b"]);
    }

    #[test]
    fn a_profile_of_nothing_is_a_profile() {
        let samples = CpuSamples {
            stacks: Vec::new(),
            lost: 0,
            period: Duration::from_millis(10),
        };
        let profile = encode(&samples, SystemTime::UNIX_EPOCH, Duration::from_secs(1));
        assert!(profile.windows(11).any(|bytes| bytes == b"nanoseconds"));
        assert_eq!(compressed(&profile).get(..2), Some(&[0x1f, 0x8b][..]));
    }
}
