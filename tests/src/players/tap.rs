//! What a player puts out, read at the moment at which it does: pictures and sound through pipes, or pictures as files.
//!
//! A tap is a thread. A named pipe is held open by whoever made it until the player has ended, because a player may close
//! and open it again; then the tap comes to its end.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::source::{BEEP_STEP, Begin, PICTURE_HEIGHT, SAMPLE_RATE};
use super::timeline::{Beep, Picture, Timeline};
use crate::interop::counter::{HEIGHT, WIDTH, read_counter};
use crate::interop::process::ProgramError;
use crate::wait::poll_until;

/// What is read at once; a pipe holds 64 KiB.
const PIECE_BYTES: usize = 64 * 1024;
/// What is louder belongs to a beep, whose amplitude is 16 384.
const LOUD: u16 = 2000;
/// A beep is over after so many quiet samples: 10 ms, some periods of its sine.
const QUIET_SAMPLES: u64 = SAMPLE_RATE / 100;
/// How long a file may take to follow the one before it, until it is looked whether the player is over.
const FILE_LIMIT: Duration = Duration::from_millis(200);
/// What every line before a picture ends with, in the frames of YUV4MPEG2.
const FRAME: &[u8] = b"FRAME\n";

/// A timeline that is being written.
pub type Written = Arc<Mutex<Timeline>>;

/// A named pipe.
#[derive(Debug)]
pub struct Pipe {
    path: PathBuf,
    /// Holds the pipe open.
    _keeper: File,
}

/// How pictures follow each other in a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Grey, one behind the other.
    Grey,
    /// Planes of YUV 4:2:0, each picture behind a line.
    Yuv4Mpeg,
}

impl Pipe {
    /// Makes one that anybody may write to.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(path: PathBuf) -> Result<Self, ProgramError> {
        let made = Command::new("mkfifo")
            .args(["-m", "666"])
            .arg(&path)
            .status();
        made.map_err(ProgramError::io("mkfifo"))?;
        let keeper = File::options().read(true).write(true).open(&path);
        let _keeper = keeper.map_err(ProgramError::io(&path))?;
        Ok(Self { path, _keeper })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Notes the pictures that come through it.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn tap_pictures(
        &self,
        framing: Framing,
        begin: Begin,
        written: &Written,
    ) -> Result<(), ProgramError> {
        let mut pipe = self.open()?;
        let written = Arc::clone(written);
        thread::spawn(move || {
            let mut waiting = Vec::new();
            let mut piece = vec![0; PIECE_BYTES];
            while let Ok(read @ 1..) = pipe.read(&mut piece) {
                let at_s = begin.elapsed_s();
                waiting.extend_from_slice(&piece[..read]);
                while let Some(picture) = take_picture(&mut waiting, framing) {
                    note_picture(&written, at_s, &picture);
                }
            }
        });
        Ok(())
    }

    /// Notes the beeps that come through it, mono in 16 bits. What is written is heard so much later.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn tap_sound(
        &self,
        heard_after: Duration,
        begin: Begin,
        written: &Written,
    ) -> Result<(), ProgramError> {
        let mut pipe = self.open()?;
        let written = Arc::clone(written);
        thread::spawn(move || {
            let mut ear = Ear::default();
            let mut waiting = Vec::new();
            let mut piece = vec![0; PIECE_BYTES];
            while let Ok(read @ 1..) = pipe.read(&mut piece) {
                let at_s = begin.elapsed_s() + heard_after.as_secs_f64();
                waiting.extend_from_slice(&piece[..read]);
                let whole = waiting.len() / 2 * 2;
                let samples: Vec<u8> = waiting.drain(..whole).collect();
                let beeps = ear.hear(at_s, &samples);
                lock(&written).beeps.extend(beeps);
            }
        });
        Ok(())
    }

    fn open(&self) -> Result<File, ProgramError> {
        File::open(&self.path).map_err(ProgramError::io(&self.path))
    }
}

/// The timeline, to be looked at.
pub fn lock(written: &Written) -> std::sync::MutexGuard<'_, Timeline> {
    written.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The counter's rows of the next whole picture.
fn take_picture(waiting: &mut Vec<u8>, framing: Framing) -> Option<Vec<u8>> {
    let luma = WIDTH * PICTURE_HEIGHT;
    let (from, bytes) = match framing {
        Framing::Grey => (0, luma),
        Framing::Yuv4Mpeg => {
            let at = waiting.windows(FRAME.len()).position(|line| line == FRAME);
            (at? + FRAME.len(), luma * 3 / 2)
        }
    };
    let picture = waiting.get(from..from + bytes)?;
    let rows = picture[..WIDTH * HEIGHT].to_vec();
    waiting.drain(..from + bytes);
    Some(rows)
}

fn note_picture(written: &Written, at_s: f64, grey: &[u8]) {
    if let Some(number) = read_counter(grey) {
        lock(written).pictures.push(Picture { at_s, number });
    }
}

/// Notes the pictures that SDL's driver `dummy` saves in a folder as it shows them (`SDL_VIDEO_DUMMY_SAVE_FRAMES`), until
/// `is_over`.
pub fn tap_files(folder: PathBuf, is_over: Arc<AtomicBool>, begin: Begin, written: &Written) {
    let written = Arc::clone(written);
    let name = move |number: u64| folder.join(format!("SDL_window1-{number:08}.bmp"));
    thread::spawn(move || {
        let mut number = 1;
        while !is_over.load(Ordering::Relaxed) {
            // When the next one is there, this one is whole.
            let next = name(number + 1);
            if poll_until(FILE_LIMIT, || next.exists().then_some(())).is_none() {
                continue;
            }
            let file = name(number);
            let shown = fs::metadata(&file).and_then(|about| about.modified());
            if let (Ok(shown), Some(grey)) = (shown, bitmap_rows(&file)) {
                note_picture(&written, begin.seconds_to(shown), &grey);
            }
            // It is gone with its folder at the latest.
            let _ = fs::remove_file(&file);
            number += 1;
        }
    });
}

/// The counter's rows of a bitmap of the sources' size, whose lines stand bottom up. Where its pixels begin and how many
/// bits each has stands in its header.
fn bitmap_rows(file: &Path) -> Option<Vec<u8>> {
    let bytes = fs::read(file).ok()?;
    let from = u32::from_le_bytes(*bytes.get(10..)?.first_chunk()?) as usize;
    let bits = u16::from_le_bytes(*bytes.get(28..)?.first_chunk()?);
    let pixel = usize::from(bits / 8).max(1);
    let line = (WIDTH * pixel).next_multiple_of(4);
    let lines: Vec<&[u8]> = bytes.get(from..)?.chunks_exact(line).collect();
    let top_down = lines.into_iter().rev().take(HEIGHT);
    let grey = top_down.flat_map(|line| line.iter().copied().step_by(pixel).take(WIDTH));
    Some(grey.collect())
}

/// Finds beeps in sound that comes in pieces.
#[derive(Debug, Default)]
pub struct Ear {
    /// The begin of the beep that is heard now, and its loud samples' span so far.
    beep: Option<(f64, u64)>,
    /// Quiet samples since the last loud one.
    quiet: u64,
}

impl Ear {
    /// The beeps that end within these samples, of which the first is presented at `at_s`.
    pub fn hear(&mut self, at_s: f64, samples: &[u8]) -> Vec<Beep> {
        let mut beeps = Vec::new();
        let (samples, _) = samples.as_chunks();
        for (index, sample) in samples.iter().enumerate() {
            if i16::from_le_bytes(*sample).unsigned_abs() > LOUD {
                let at_s = at_s + index as f64 / SAMPLE_RATE as f64;
                let (_, span) = self.beep.get_or_insert((at_s, 0));
                *span += self.quiet + 1;
                self.quiet = 0;
            } else if self.beep.is_some() {
                self.quiet += 1;
            }
            if self.quiet > QUIET_SAMPLES {
                self.quiet = 0;
                beeps.extend(self.beep.take().and_then(beep));
            }
        }
        beeps
    }
}

/// The beep that began then and had so many samples; none if its length is no beep's, such as that of one whose begin was
/// not heard.
fn beep((at_s, samples): (f64, u64)) -> Option<Beep> {
    let steps = samples as f64 / SAMPLE_RATE as f64 / BEEP_STEP.as_secs_f64();
    let is_near = (steps - steps.round()).abs() < 0.25;
    let second = (steps.round() as u64).checked_sub(1)?;
    is_near.then_some(Beep { at_s, second })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interop::counter;

    /// Half a second with a beep of so many steps, 100 ms after its begin.
    fn sound(steps: u32) -> Vec<u8> {
        let rate = SAMPLE_RATE as f64;
        let length_s = BEEP_STEP.as_secs_f64() * f64::from(steps);
        let sample = |index: u64| {
            let at_s = index as f64 / rate - 0.1;
            let is_loud = (0.0..length_s).contains(&at_s);
            let level = (at_s * 1000.0 * std::f64::consts::TAU).sin() * 16384.0;
            if is_loud { level as i16 } else { 0 }
        };
        let samples = (0..SAMPLE_RATE / 2).map(sample);
        samples.flat_map(i16::to_le_bytes).collect()
    }

    #[test]
    fn a_beep_in_two_pieces_is_one_and_says_its_second() {
        for steps in 1..=4 {
            let (first, second) = (sound(steps), sound(steps));
            let (first, rest) = first.split_at(SAMPLE_RATE as usize / 5);
            let mut ear = Ear::default();
            let mut beeps = ear.hear(7.0, first);
            beeps.extend(ear.hear(7.1, rest));
            beeps.extend(ear.hear(7.5, &second));
            let seconds: Vec<u64> = beeps.iter().map(|beep| beep.second).collect();
            assert_eq!(seconds, [u64::from(steps) - 1; 2]);
            assert!((beeps[0].at_s - 7.1).abs() < 0.001, "{beeps:?}");
        }
    }

    #[test]
    fn half_a_beep_is_none() {
        let sound = sound(2);
        let cut = sound.len() / 5 + SAMPLE_RATE as usize / 25;
        assert_eq!(Ear::default().hear(0.0, &sound[cut / 2 * 2..]), []);
    }

    #[test]
    fn pictures_are_found_behind_their_lines() {
        let mut stream = b"I420 W320\n".to_vec();
        let rest = vec![128; WIDTH * (PICTURE_HEIGHT - HEIGHT) + WIDTH * PICTURE_HEIGHT / 2];
        for number in [5, 6] {
            stream.extend([FRAME, &counter::paint(number), &rest].concat());
        }
        stream.pop();
        let rows = take_picture(&mut stream, Framing::Yuv4Mpeg).unwrap();
        assert_eq!(read_counter(&rows), Some(5));
        assert_eq!(take_picture(&mut stream, Framing::Yuv4Mpeg), None);
    }
}
