//! The frame counter in a clip's picture: ten blocks of 32 × 32 pixels at its top are the bits of the frame's number,
//! light or dark, and the row below says the same inverted, so that a picture that was not decoded whole is known.
//!
//! Input are a reader's decoded frames, cropped to these rows and grey, as raw bytes one after the other.

/// Width of the clips and height of the counter.
pub const WIDTH: usize = 320;
/// Two rows of blocks.
pub const HEIGHT: usize = 2 * BLOCK;
const BLOCK: usize = 32;
const BITS: usize = WIDTH / BLOCK;
/// Numbers begin again after so many.
pub const NUMBERS: u64 = 1 << BITS;
/// Compression blurs a block's edge: only its middle is looked at.
const MARGIN: usize = 8;
/// Half-way between the two levels that are painted, 16 and 235.
const THRESHOLD: u32 = 125;

/// The filter that paints the counter into a picture of [`WIDTH`].
pub fn paint_filter() -> String {
    let bit = format!("mod(floor(N/pow(2,floor(X/{BLOCK}))),2)");
    let bits = format!("if({bit},235,16)");
    let inverted = format!("if({bit},16,235)");
    let luma = format!("if(lt(Y,{BLOCK}),{bits},if(lt(Y,{HEIGHT}),{inverted},lum(X,Y)))");
    let chroma = |plane: &str| format!("if(lt(Y,{BLOCK}),128,{plane}(X,Y))");
    format!(
        "format=yuv420p,geq=lum='{luma}':cb='{}':cr='{}'",
        chroma("cb"),
        chroma("cr")
    )
}

/// The counter's rows of a picture with this number, grey.
pub fn paint(number: u64) -> Vec<u8> {
    let row = |is_inverted: bool| -> Vec<u8> {
        let light = |column: usize| (number >> (column / BLOCK) & 1 == 1) != is_inverted;
        let levels = (0..WIDTH).map(|column| if light(column) { 235 } else { 16 });
        levels.collect()
    };
    [row(false).repeat(BLOCK), row(true).repeat(BLOCK)].concat()
}

/// The counters of all frames in `grey`; `None` for a picture whose two rows do not agree.
pub fn read_counters(grey: &[u8]) -> Vec<Option<u64>> {
    grey.chunks_exact(WIDTH * HEIGHT)
        .map(read_counter)
        .collect()
}

/// The counter of one picture that begins with the counter's rows.
pub fn read_counter(picture: &[u8]) -> Option<u64> {
    let (bits, inverted) = picture.split_at(WIDTH * BLOCK);
    (0..BITS).try_fold(0, |counter, bit| {
        match (is_light(bits, bit), is_light(inverted, bit)) {
            (true, false) => Some(counter | (1 << bit)),
            (false, true) => Some(counter),
            _ => None,
        }
    })
}

/// Whether the middle of block `index` of a row of blocks is light.
fn is_light(row: &[u8], index: usize) -> bool {
    let columns = index * BLOCK + MARGIN..(index + 1) * BLOCK - MARGIN;
    let lines = row.chunks_exact(WIDTH).take(BLOCK - MARGIN).skip(MARGIN);
    let pixels = lines.filter_map(|line| line.get(columns.clone())).flatten();
    let (sum, count) = pixels.fold((0, 0), |(sum, count), pixel| {
        (sum + u32::from(*pixel), count + 1)
    });
    sum > THRESHOLD * count
}

/// What is wrong with a row of decoded frames.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameFlaw {
    /// No key frame was decoded whole.
    #[error("no key frame among {frames} decoded frames")]
    NoKeyFrame {
        /// Frames that the reader decoded.
        frames: usize,
    },
    /// The reader decoded frames before its first key frame: it was not started at one.
    #[error("{frames} frames before the first key frame")]
    NoStartPoint {
        /// Their number.
        frames: usize,
    },
    /// A frame is missing, repeated or broken.
    #[error("frame {found:?} where {due} was due")]
    Break {
        /// The number that should have come.
        due: u64,
        /// The number that came, or nothing where the picture is broken.
        found: Option<u64>,
    },
    /// The reader did not get to the clip's last frame.
    #[error("the last frame is {found}, the clip's is {due}")]
    ShortEnd {
        /// The clip's last number.
        due: u64,
        /// The reader's last number.
        found: u64,
    },
}

/// Checks that from the first key frame to the clip's last frame each number comes once; gives the first one. Of the last
/// `end_frames`, any may be missing.
///
/// # Errors
/// When it is not so.
pub fn check(
    counters: &[Option<u64>],
    gop_frames: u64,
    clip_frames: u64,
    end_frames: u64,
) -> Result<u64, FrameFlaw> {
    let is_key =
        |counter: &Option<u64>| counter.is_some_and(|number| number.is_multiple_of(gop_frames));
    let frames = counters.len();
    let start = counters
        .iter()
        .position(is_key)
        .ok_or(FrameFlaw::NoKeyFrame { frames })?;
    if start > 0 {
        return Err(FrameFlaw::NoStartPoint { frames: start });
    }
    let first = counters.first().copied().flatten().unwrap_or(0);
    let mut due = first;
    for found in counters.iter().copied() {
        match found {
            Some(number) if number == due || (number > due && due + end_frames >= clip_frames) => {
                due = number + 1;
            }
            _ => return Err(FrameFlaw::Break { due, found }),
        }
    }
    if due + end_frames >= clip_frames {
        return Ok(first);
    }
    Err(FrameFlaw::ShortEnd {
        due: clip_frames - 1,
        found: due - 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_painted_number_is_read_back() {
        let grey: Vec<u8> = [0, 1, 199, 1023].into_iter().flat_map(paint).collect();
        assert_eq!(
            read_counters(&grey),
            [Some(0), Some(1), Some(199), Some(1023)]
        );
    }

    #[test]
    fn a_grey_picture_has_no_number() {
        assert_eq!(read_counters(&[128; WIDTH * HEIGHT]), [None]);
    }

    #[test]
    fn only_a_whole_row_from_a_key_frame_passes() {
        let row =
            |numbers: &[u64]| -> Vec<Option<u64>> { numbers.iter().copied().map(Some).collect() };
        assert_eq!(check(&row(&[2, 3, 4, 5]), 2, 6, 0), Ok(2));
        assert_eq!(
            check(&row(&[1, 3, 5]), 2, 6, 0),
            Err(FrameFlaw::NoKeyFrame { frames: 3 })
        );
        assert_eq!(
            check(&row(&[1, 2, 3]), 2, 4, 0),
            Err(FrameFlaw::NoStartPoint { frames: 1 })
        );
        let broken = FrameFlaw::Break {
            due: 3,
            found: Some(4),
        };
        assert_eq!(check(&row(&[2, 4, 5]), 2, 6, 0), Err(broken));
        assert_eq!(
            check(&row(&[2, 3]), 2, 6, 0),
            Err(FrameFlaw::ShortEnd { due: 5, found: 3 })
        );
        assert_eq!(check(&row(&[2, 3, 5]), 2, 6, 2), Ok(2));
        assert_eq!(check(&row(&[2, 3]), 2, 6, 2), Ok(2));
        assert!(check(&row(&[2, 4, 5]), 2, 6, 2).is_err());
        assert_eq!(
            check(&[Some(2), None], 2, 4, 0),
            Err(FrameFlaw::Break {
                due: 3,
                found: None
            })
        );
    }
}
