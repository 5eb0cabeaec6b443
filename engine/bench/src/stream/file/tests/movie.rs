//! Writes small MP4 files: one track of H.264 whose pictures are shown in another order than they come in, and one of AAC.

/// A sequence parameter set of 1920 x 1080, a picture parameter set, and the begins of slices.
pub(super) const SPS: &[u8] = &[0x67, 0x42, 0xc0, 0x28, 0xda, 0x01, 0xe0, 0x08, 0x9f, 0x95];
pub(super) const PPS: &[u8] = &[0x68, 0xce, 0x3c, 0x80];
pub(super) const IDR: u8 = 0x65;
pub(super) const P: u8 = 0x41;
pub(super) const B: u8 = 0x01;

/// How a file is to be.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Form {
    /// In one piece.
    Whole,
    /// In fragments.
    Fragments,
    /// With a code for encryption.
    Encrypted,
    /// With codecs that nobody knows.
    Unknown,
}

/// Pictures: the begin of the slice, its bytes, by how many pictures it is shown later than decoded.
pub(super) const PICTURES: [(u8, usize, u32); 5] = [
    (IDR, 4000, 1),
    (P, 700, 3),
    (B, 60, 0),
    (B, 50, 1),
    (P, 300, 1),
];
/// Sounds: their bytes.
pub(super) const SOUNDS: [usize; 6] = [90, 1500, 70, 80, 60, 50];

/// Units per second of pictures, and how many a picture takes; of sounds likewise.
const PICTURE_TIMES: [u32; 2] = [12_800, 512];
const SOUND_TIMES: [u32; 2] = [48_000, 1024];

/// An MP4 file.
pub(super) fn movie(form: Form) -> Vec<u8> {
    let pictures: Vec<Vec<u8>> = PICTURES
        .iter()
        .map(|(kind, bytes, _)| picture(*kind, *bytes))
        .collect();
    let sounds: Vec<Vec<u8>> = SOUNDS.iter().map(|bytes| vec![0x21; *bytes]).collect();
    let ftyp = boxed(b"ftyp", &[b"isom\0\0\0\0"]);
    let media = [pictures.concat(), sounds.concat()];
    if form == Form::Fragments {
        let moov = head(form, &[0, 0], &[], &[]);
        let defaults = [
            boxed(b"trex", &trex(1, PICTURE_TIMES[1])),
            boxed(b"trex", &trex(2, SOUND_TIMES[1])),
        ];
        let moov = with(&moov, &boxed(b"mvex", &[&defaults.concat()]));
        let moof = |data: [u32; 2]| {
            let sizes: Vec<u32> = pictures.iter().map(|it| it.len() as u32).collect();
            let shifts: Vec<u32> = PICTURES
                .iter()
                .map(|(.., shift)| shift * PICTURE_TIMES[1])
                .collect();
            let video = traf(1, 0xa01, data[0], &[&sizes, &shifts]);
            let sizes: Vec<u32> = sounds.iter().map(|it| it.len() as u32).collect();
            let audio = traf(2, 0x201, data[1], &[&sizes]);
            boxed(b"moof", &[&boxed(b"mfhd", &[&[0; 8]]), &video, &audio])
        };
        let begin = moof([0, 0]).len() as u32 + 8;
        let moof = moof([begin, begin + media[0].len() as u32]);
        return [ftyp, moov, moof, boxed(b"mdat", &[&media.concat()])].concat();
    }
    let begin = ftyp.len() as u32 + 8;
    let offsets = [begin, begin + media[0].len() as u32];
    let mdat = boxed(b"mdat", &[&media.concat()]);
    [ftyp, mdat, head(form, &offsets, &pictures, &sounds)].concat()
}

/// A byte stream of so many pictures, the first of which is a key picture.
pub(super) fn stream(pictures: usize) -> Vec<u8> {
    let slice = |at: usize| [if at == 0 { IDR } else { P }, 0x99, 0x99];
    let slices = (0..pictures).flat_map(|at| [&[0, 0, 1][..], &slice(at)].concat());
    let sets: [&[u8]; 4] = [&[0, 0, 0, 1], SPS, &[0, 0, 1], PPS];
    sets.concat().into_iter().chain(slices).collect()
}

/// A picture of one slice, behind its length.
fn picture(kind: u8, bytes: usize) -> Vec<u8> {
    let mut picture = (bytes as u32).to_be_bytes().to_vec();
    picture.push(kind);
    picture.resize(4 + bytes, 0x99);
    picture
}

fn head(form: Form, offsets: &[u32; 2], pictures: &[Vec<u8>], sounds: &[Vec<u8>]) -> Vec<u8> {
    let avcc = [
        &[1, 0x42, 0xc0, 0x28, 0xff, 0xe1, 0, SPS.len() as u8][..],
        SPS,
        &[1, 0, PPS.len() as u8],
        PPS,
    ];
    let codes: [&[u8; 4]; 2] = match form {
        Form::Encrypted => [b"encv", b"enca"],
        Form::Unknown => [b"av01", b"Opus"],
        _ => [b"avc1", b"mp4a"],
    };
    let video = boxed(codes[0], &[&[0; 78], &boxed(b"avcC", &avcc)]);
    let config = [0x11, 0x90];
    let decoder = [&[4, 17, 0x40][..], &[0; 12], &[5, 2], &config].concat();
    let esds = boxed(
        b"esds",
        &[&[0; 4], &[3, 3 + decoder.len() as u8, 0, 1, 0], &decoder],
    );
    let audio = boxed(codes[1], &[&[0; 28], &esds]);
    let shifts: Vec<u8> = PICTURES
        .iter()
        .take(pictures.len())
        .flat_map(|(.., shift)| [1, shift * PICTURE_TIMES[1]])
        .flat_map(u32::to_be_bytes)
        .collect();
    let ctts = boxed(
        b"ctts",
        &[&[0; 4], &(pictures.len() as u32).to_be_bytes(), &shifts],
    );
    // The first picture is shown when the sound begins.
    let edit = [0, 1, 0, 0, PICTURE_TIMES[1], 0x1_0000]
        .map(u32::to_be_bytes)
        .concat();
    let edit = boxed(b"edts", &[&boxed(b"elst", &[&edit])]);
    boxed(
        b"moov",
        &[
            &boxed(b"mvhd", &[&[0; 12], &1000u32.to_be_bytes(), &[0; 80]]),
            &trak(
                1,
                PICTURE_TIMES,
                &video,
                &table(pictures, PICTURE_TIMES[1], offsets[0], &ctts),
                &edit,
            ),
            &trak(
                2,
                SOUND_TIMES,
                &audio,
                &table(sounds, SOUND_TIMES[1], offsets[1], &[]),
                &[],
            ),
        ],
    )
}

fn trak(id: u32, times: [u32; 2], entry: &[u8], table: &[u8], edit: &[u8]) -> Vec<u8> {
    let stsd = boxed(b"stsd", &[&[0, 0, 0, 0, 0, 0, 0, 1], entry]);
    let minf = boxed(b"minf", &[&boxed(b"stbl", &[&stsd, table])]);
    let mdhd = boxed(b"mdhd", &[&[0; 12], &times[0].to_be_bytes(), &[0; 8]]);
    let tkhd = boxed(b"tkhd", &[&[0; 12], &id.to_be_bytes(), &[0; 68]]);
    boxed(b"trak", &[&tkhd, edit, &boxed(b"mdia", &[&mdhd, &minf])])
}

/// The tables of samples that lie in chunks of two.
fn table(samples: &[Vec<u8>], takes: u32, offset: u32, more: &[u8]) -> Vec<u8> {
    let count = samples.len() as u32;
    let sizes: Vec<u8> = samples
        .iter()
        .flat_map(|it| (it.len() as u32).to_be_bytes())
        .collect();
    let chunks = samples.chunks(2).scan(offset, |offset, chunk| {
        let begin = *offset;
        *offset += chunk.concat().len() as u32;
        Some(begin)
    });
    let chunks: Vec<u32> = chunks.collect();
    let offsets: Vec<u8> = chunks.iter().copied().flat_map(u32::to_be_bytes).collect();
    let runs = u32::from(count > 0);
    [
        boxed(
            b"stts",
            &[
                &[0; 4],
                &[runs, count, takes].map(u32::to_be_bytes).concat(),
            ],
        ),
        boxed(
            b"stsc",
            &[&[0; 4], &[runs, 1, 2, 1].map(u32::to_be_bytes).concat()],
        ),
        boxed(b"stsz", &[&[0; 8], &count.to_be_bytes(), &sizes]),
        boxed(
            b"stco",
            &[&[0; 4], &(chunks.len() as u32).to_be_bytes(), &offsets],
        ),
        more.to_vec(),
    ]
    .concat()
}

fn trex(track: u32, takes: u32) -> [&'static [u8]; 1] {
    let fields = [0, track, 1, takes, 0, 0].map(u32::to_be_bytes).concat();
    [fields.leak()]
}

/// A track's fragment, whose samples have these fields.
fn traf(track: u32, flags: u32, data: u32, fields: &[&[u32]]) -> Vec<u8> {
    let tfhd = boxed(
        b"tfhd",
        &[&[0x2_0000, track].map(u32::to_be_bytes).concat()],
    );
    let tfdt = boxed(b"tfdt", &[&[0; 8]]);
    let count = fields[0].len();
    let samples = (0..count).flat_map(|index| fields.iter().map(move |field| field[index]));
    let samples: Vec<u8> = samples.flat_map(u32::to_be_bytes).collect();
    let run = [flags, count as u32, data].map(u32::to_be_bytes).concat();
    boxed(b"traf", &[&tfhd, &tfdt, &boxed(b"trun", &[&run, &samples])])
}

/// A box with these parts.
pub(in crate::stream::file) fn boxed(code: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let size = body.len() as u32 + 8;
    [&size.to_be_bytes(), &code[..], &body].concat()
}

/// A box with one more part.
fn with(whole: &[u8], part: &[u8]) -> Vec<u8> {
    let code = whole[4..8].try_into().unwrap();
    boxed(code, &[&whole[8..], part])
}
