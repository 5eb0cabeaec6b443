//! Real programs against the daemon: ffmpeg and GStreamer publish, ffmpeg, GStreamer, VLC and retina read, and every
//! decoded frame says which one it is.
//!
//! A clip's frames carry their number as a row of blocks ([`counter`]), its audio is one tone ([`tone`]). What a reader
//! has decoded is checked against both, so a lost, repeated or broken access unit anywhere between the publisher's file
//! and the reader's decoder is found.

pub mod capture;
pub mod clip;
pub mod counter;
pub mod matrix;
pub mod network;
pub mod process;
pub mod publish;
pub mod read;
pub mod retina_reader;
pub mod run;
pub mod tone;
pub mod transport;
