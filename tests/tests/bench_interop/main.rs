//! `shardcast bench` beside programs from outside: tshark captures what it measures, and ffmpeg makes files for it.

mod capture;
mod files;
mod wire;
