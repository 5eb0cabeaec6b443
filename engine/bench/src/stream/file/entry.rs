//! The sample entry of an MP4 track: its codec, with the parameter sets of pictures (ISO 14496-15) or the configuration of
//! sound (ISO 14496-1), and how NAL units are framed in samples.

use bytes::Bytes;
use shardcast_protocol::codec::h265;
use shardcast_protocol::sdp::Codec;

use super::boxes::{Boxes, Code, Fields};
use super::error::FileError;

/// Bytes of a sample entry before its boxes: of pictures, and of sound (ISO 14496-12, sections 12.1.3 and 12.2.3).
const VISUAL_ENTRY_BYTES: usize = 78;
const AUDIO_ENTRY_BYTES: usize = 28;
/// Where in a sound's entry QuickTime says its version, and what the versions add.
const AUDIO_VERSION_OFFSET: usize = 8;
const AUDIO_VERSION_1_BYTES: usize = 16;
const AUDIO_VERSION_2_BYTES: usize = 36;

const ENTRY: &str = "the description of a track";

/// What a track has.
#[derive(Debug)]
pub(super) enum Entry {
    /// What can be published.
    Known {
        codec: Codec,
        /// Bytes of the length in front of each NAL unit; none in front of sound.
        length_bytes: usize,
    },
    /// What cannot, by its code, or [`Entry::ENCRYPTED`].
    Other(String),
}

impl Entry {
    /// Stands for the code of what is encrypted.
    pub(super) const ENCRYPTED: &str = "encrypted";

    /// Reads a sample description (`stsd`); of several entries the first counts.
    pub(super) fn read(stsd: &[u8]) -> Result<Self, FileError> {
        let mut fields = Fields::new(stsd, ENTRY);
        fields.version()?;
        let _entries = fields.u32()?;
        let first = Boxes::new(fields.rest(), ENTRY).next()?;
        let (code, body) = first.ok_or(FileError::Missing("description of a track"))?;
        match &code {
            b"avc1" | b"avc3" => avc(picture_box(body, b"avcC")?),
            b"hvc1" | b"hev1" => hevc(picture_box(body, b"hvcC")?),
            b"mp4a" => audio(body),
            b"encv" | b"enca" | b"drmi" | b"drms" => Ok(Self::Other(Self::ENCRYPTED.to_owned())),
            _ => Ok(Self::Other(text_of(&code))),
        }
    }
}

/// A code as text.
fn text_of(code: &Code) -> String {
    code.escape_ascii().to_string().trim_end().to_owned()
}

fn picture_box<'a>(entry: &'a [u8], code: &Code) -> Result<Fields<'a>, FileError> {
    let boxes = entry.get(VISUAL_ENTRY_BYTES..).unwrap_or_default();
    let found = Boxes::new(boxes, ENTRY).find(code)?;
    let found = found.ok_or(FileError::Missing("configuration of its pictures"))?;
    Ok(Fields::new(found, "the configuration of its pictures"))
}

/// `AVCDecoderConfigurationRecord` (ISO 14496-15, section 5.3.3.1).
fn avc(mut fields: Fields<'_>) -> Result<Entry, FileError> {
    fields.skip(4)?;
    let length_bytes = usize::from(fields.u8()? & 3) + 1;
    let sequences = fields.u8()? & 0x1f;
    let sps = sets(&mut fields, sequences.into())?;
    let pictures = fields.u8()?;
    let pps = sets(&mut fields, pictures.into())?;
    Ok(Entry::Known {
        codec: Codec::H264 {
            sps,
            pps,
            packetization_mode: 1,
        },
        length_bytes,
    })
}

/// `HEVCDecoderConfigurationRecord` (ISO 14496-15, section 8.3.3.1).
fn hevc(mut fields: Fields<'_>) -> Result<Entry, FileError> {
    fields.skip(21)?;
    let length_bytes = usize::from(fields.u8()? & 3) + 1;
    let (mut vps, mut sps, mut pps) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..fields.u8()? {
        let kind = fields.u8()? & 0x3f;
        let count = fields.u16()?;
        let units = sets(&mut fields, count)?;
        match kind {
            h265::VPS => vps.extend(units),
            h265::SPS => sps.extend(units),
            h265::PPS => pps.extend(units),
            _ => {}
        }
    }
    Ok(Entry::Known {
        codec: Codec::H265 { vps, sps, pps },
        length_bytes,
    })
}

fn sets(fields: &mut Fields<'_>, count: u16) -> Result<Vec<Bytes>, FileError> {
    let mut sets = Vec::new();
    for _ in 0..count {
        let bytes = fields.u16()?;
        let set = fields.bytes(bytes.into())?;
        if !set.is_empty() {
            sets.push(Bytes::copy_from_slice(set));
        }
    }
    Ok(sets)
}

fn audio(entry: &[u8]) -> Result<Entry, FileError> {
    let version = entry
        .get(AUDIO_VERSION_OFFSET..)
        .and_then(<[u8]>::first_chunk);
    let more = match version.map(|version| u16::from_be_bytes(*version)) {
        Some(1) => AUDIO_VERSION_1_BYTES,
        Some(2) => AUDIO_VERSION_2_BYTES,
        _ => 0,
    };
    let boxes = Boxes::new(
        entry.get(AUDIO_ENTRY_BYTES + more..).unwrap_or_default(),
        ENTRY,
    );
    // QuickTime puts it one box deeper.
    let found = match boxes.clone().find(b"esds")? {
        Some(found) => Some(found),
        None => match boxes.find(b"wave")? {
            Some(wave) => Boxes::new(wave, ENTRY).find(b"esds")?,
            None => None,
        },
    };
    match found {
        Some(esds) => elementary_stream(esds),
        None => Err(FileError::Missing("configuration of its sound")),
    }
}

/// `ES_Descriptor` (ISO 14496-1, section 7.2.6.5).
fn elementary_stream(esds: &[u8]) -> Result<Entry, FileError> {
    let mut fields = Fields::new(esds, "the configuration of its sound");
    fields.version()?;
    let mut stream = descriptor(&mut fields, 3)?;
    stream.skip(2)?;
    let flags = stream.u8()?;
    if flags & 0x80 != 0 {
        stream.skip(2)?;
    }
    if flags & 0x40 != 0 {
        let url_bytes = stream.u8()?;
        stream.skip(url_bytes.into())?;
    }
    if flags & 0x20 != 0 {
        stream.skip(2)?;
    }
    let mut decoder = descriptor(&mut stream, 4)?;
    let kind = decoder.u8()?;
    // AAC of MPEG-4, and of MPEG-2 in three profiles (table 5).
    if !matches!(kind, 0x40 | 0x66..=0x68) {
        return Ok(Entry::Other(format!("mp4a.{kind:x}")));
    }
    decoder.skip(12)?;
    let config = descriptor(&mut decoder, 5)?;
    Ok(Entry::Known {
        codec: Codec::Aac {
            config: Bytes::copy_from_slice(config.rest()),
        },
        length_bytes: 0,
    })
}

/// The next descriptor, which has to be of this kind: seven bits of its length to the byte, four bytes at most.
fn descriptor<'a>(fields: &mut Fields<'a>, kind: u8) -> Result<Fields<'a>, FileError> {
    if fields.u8()? != kind {
        return Err(FileError::Damaged(
            "the configuration of its sound makes no sense",
        ));
    }
    let mut length = 0;
    for _ in 0..4 {
        let byte = fields.u8()?;
        length = length << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    let body = fields.bytes(length)?;
    Ok(Fields::new(body, "the configuration of its sound"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::movie::boxed;
    use super::*;

    fn description(code: &Code, parts: &[&[u8]]) -> Vec<u8> {
        [&[0, 0, 0, 0, 0, 0, 0, 1], &boxed(code, parts)[..]].concat()
    }

    fn known(stsd: &[u8]) -> (Codec, usize) {
        match Entry::read(stsd).unwrap() {
            Entry::Known {
                codec,
                length_bytes,
            } => (codec, length_bytes),
            Entry::Other(code) => panic!("{code}"),
        }
    }

    #[test]
    fn sets_of_h265_are_sorted_by_their_kinds() {
        let set =
            |kind: u8, bytes: &[u8]| [&[0x80 | kind, 0, 1, 0, bytes.len() as u8], bytes].concat();
        let record = [
            &[1; 21][..],
            &[0xfd, 4],
            &set(34, b"p"),
            &set(32, b"v"),
            &set(39, b"x"),
            &set(33, b"s"),
        ];
        let stsd = description(
            b"hev1",
            &[&[0; VISUAL_ENTRY_BYTES], &boxed(b"hvcC", &record)],
        );
        let [vps, sps, pps] = [b"v", b"s", b"p"].map(|set| vec![Bytes::from_static(set)]);
        assert_eq!(known(&stsd), (Codec::H265 { vps, sps, pps }, 2));
        for cut in 0..stsd.len() {
            assert!(Entry::read(&stsd[..cut]).is_err(), "{cut}");
        }
    }

    /// A descriptor of sound that has all that may stand before what counts.
    fn esds(kind: u8) -> Vec<u8> {
        let decoder = [&[kind][..], &[0; 12], &[5, 0x80, 2, 0x12, 0x10]].concat();
        let optional = [&[0xe0, 0, 9, 2][..], b"ab", &[0, 1]].concat();
        let stream = [&[0, 1], &optional[..], &[4, decoder.len() as u8], &decoder].concat();
        boxed(b"esds", &[&[0; 4], &[3, stream.len() as u8], &stream])
    }

    #[test]
    fn the_configuration_of_sound_is_found_wherever_it_stands() {
        let entry = |version: u8, more: usize, boxes: &[u8]| {
            let mut head = vec![0; AUDIO_ENTRY_BYTES + more];
            head[AUDIO_VERSION_OFFSET + 1] = version;
            description(b"mp4a", &[&head, boxes])
        };
        let config = Bytes::from_static(&[0x12, 0x10]);
        let (plain, deep) = (
            esds(0x40),
            boxed(b"wave", &[&boxed(b"frma", &[b"mp4a"]), &esds(0x40)]),
        );
        for stsd in [
            entry(0, 0, &plain),
            entry(1, AUDIO_VERSION_1_BYTES, &deep),
            entry(2, AUDIO_VERSION_2_BYTES, &plain),
        ] {
            let config = config.clone();
            assert_eq!(known(&stsd), (Codec::Aac { config }, 0));
        }
        let other = Entry::read(&entry(0, 0, &esds(0x6b))).unwrap();
        assert!(matches!(other, Entry::Other(code) if code == "mp4a.6b"));
    }
}
