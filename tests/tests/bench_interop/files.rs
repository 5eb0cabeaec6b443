//! Files that ffmpeg has made are published over and over, and every reader gets all of them.

use std::path::Path;
use std::process::Command;

use shardcast_tests::bench::Bench;
use shardcast_tests::interop::clip::Clip;
use tempfile::TempDir;

/// Publishes the file for longer than it lasts, so that it begins again.
fn assert_is_published_whole(file: &Path, options: &str) {
    let bench = format!("--json --readers 4 --warm-up 300ms --duration 3s {options}");
    let run = Bench::with(&bench).with_file(file).run().good();
    for place in ["lost", "skipped", "duplicates", "reordered", "broken"] {
        let count = run.number(&format!("/run/readers/sampled/{place}"));
        assert_eq!(count, 0.0, "{place}: {:#}", run.at("/run/readers"));
    }
    assert!(run.number("/run/readers/sampled/packets") > 0.0);
    assert!(
        run.number("/run/latency/count") > 0.0,
        "the stream carries moments"
    );
}

/// The first two seconds of the clip, with these options of ffmpeg.
fn shortened(directory: &Path, name: &str, options: &[&str]) -> std::path::PathBuf {
    let made = directory.join(name);
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-hide_banner", "-loglevel", "error", "-y", "-i"]);
    ffmpeg.arg(Clip::H264Aac.file(directory));
    ffmpeg.args(["-t", "2"]).args(options).arg(&made);
    assert!(ffmpeg.status().expect("ffmpeg").success());
    made
}

#[test]
fn an_mp4_file_is_published_over_and_over() {
    let directory = TempDir::new().unwrap();
    Clip::H264Aac.make(directory.path()).unwrap();
    let file = shortened(directory.path(), "short.mp4", &["-c", "copy"]);
    assert_is_published_whole(&file, "");
    assert_is_published_whole(&file, "--transport udp --paths 2");
}

#[test]
fn an_h264_byte_stream_is_published_over_and_over() {
    let directory = TempDir::new().unwrap();
    Clip::H264Aac.make(directory.path()).unwrap();
    let options = ["-an", "-c:v", "copy", "-bsf:v", "h264_mp4toannexb"];
    let file = shortened(directory.path(), "short.h264", &options);
    assert_is_published_whole(&file, "");
}
