//! retina, a client that shares no code with Shardcast, reads a raw publisher's stream with its default options.
//!
//! It refuses a PLAY whose RTP-Info is not complete, and counts what is lost by itself.

use std::time::Duration;

use futures_util::StreamExt as _;
use retina::codec::CodecItem;
use shardcast_tests::interop::retina_reader::{self, RetinaError};
use shardcast_tests::interop::transport::Transport;
use shardcast_tests::peer::publisher::Publisher;
use shardcast_tests::peer::synthetic::{Shape, Source};
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::rig::Rig;

/// How long retina may take to read what has been published already.
const READ_LIMIT: Duration = Duration::from_secs(20);
const FRAMES: u64 = 90;

/// Plays to the end; the number of frames, all whole, the first a key frame.
async fn frames_to_the_end(url: &str, mut publish: impl FnMut()) -> Result<u64, RetinaError> {
    let mut session = retina_reader::play(url, Transport::Tcp).await?;
    publish();
    let mut frames = 0;
    while let Some(item) = session.next().await {
        if let CodecItem::VideoFrame(frame) = item? {
            assert_eq!(frame.loss(), 0);
            assert!(frames > 0 || frame.is_random_access_point());
            frames += 1;
        }
    }
    Ok(frames)
}

#[test]
fn retina_reads_every_frame_with_its_default_options() {
    let server = Rig::start(House::USUAL, "gatherReaders: 0\n");
    let mut publisher = Publisher::start(server.address(), "camera").unwrap();
    let mut source = Source::new(Shape::default());
    publisher.send_frames(&mut source, 1).unwrap();
    let mut publisher = Some(publisher);
    let url = format!("rtsp://{}/camera", server.address());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let frames = runtime.block_on(async {
        let played = frames_to_the_end(&url, || {
            let mut publisher = publisher.take().unwrap();
            publisher.send_frames(&mut source, FRAMES - 1).unwrap();
            publisher.teardown().unwrap();
        });
        tokio::time::timeout(READ_LIMIT, played)
            .await
            .unwrap()
            .unwrap()
    });
    assert!(
        [FRAMES, FRAMES - 30].contains(&frames),
        "{frames} from a key frame on"
    );
}
