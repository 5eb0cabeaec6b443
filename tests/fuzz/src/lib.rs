//! What must hold for whatever bytes a peer sends, target by target.
//!
//! libFuzzer's inputs come in through `fuzz_targets/`, the committed seeds through the test that replays them on the
//! stable toolchain; a function returns when all holds, and panics when something does not. Each input is what really
//! travels: a conversation, a description, an image of frames. So seeds are recorded, and a crash can be read.
//!
//! Not caught here: what takes more than one connection, time, or a body above libFuzzer's `-max_len`.

pub mod auth;
pub mod codec;
pub mod configuration;
mod fragments;
pub mod framing;
pub mod http;
mod nal_units;
pub mod parameters;
pub mod payload;
pub mod reorder;
pub mod rtcp;
pub mod rtp;
pub mod rtsp;
pub mod sdp;
pub mod session;

use std::path::PathBuf;
use std::{fs, io};

/// One fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: that of its program and of its folder of seeds.
    pub name: &'static str,
    /// What it does with an input.
    pub check: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    target("rtsp", rtsp::check),
    target("session", session::check),
    target("framing", framing::check),
    target("sdp", sdp::check),
    target("rtp", rtp::check),
    target("auth", auth::check),
    target("rtcp", rtcp::check),
    target("reorder", reorder::check),
    target("codec", codec::check),
    target("parameters", parameters::check),
    target("payload", payload::check),
    target("http", http::check),
    target("configuration", configuration::check),
];

const fn target(name: &'static str, check: fn(&[u8])) -> Target {
    Target { name, check }
}

impl Target {
    /// The committed seeds, by name.
    ///
    /// # Errors
    /// When the folder or one of its files cannot be read.
    pub fn seeds(&self) -> io::Result<Vec<(String, Vec<u8>)>> {
        let folder = [env!("CARGO_MANIFEST_DIR"), "seeds", self.name];
        let mut seeds = Vec::new();
        for entry in fs::read_dir(folder.iter().collect::<PathBuf>())? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            seeds.push((name, fs::read(entry.path())?));
        }
        seeds.sort();
        Ok(seeds)
    }
}
