//! retina, a client in Rust that shares no code with Shardcast and is strict where others guess: it takes RTP-Info at
//! its word and counts lost packets by itself. Its default options are used throughout, but for the transport and for who
//! asks, which its URLs do not say.
//!
//! It knows no Opus and no LATM, so those tracks stay away. Video goes to a file for ffmpeg to decode; AAC is not
//! decoded, but its timestamps have to be consecutive.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt as _;
use retina::client::{
    Credentials, Demuxed, PlayOptions, Session, SessionOptions, SetupOptions, TcpTransportOptions,
    Transport as Lower, UdpTransportOptions,
};
use retina::codec::{AudioFrame, CodecItem, VideoFrame};
use url::Url;

use super::process::ProgramError;
use super::transport::Transport;

/// The encodings that retina reads here.
const ENCODINGS: [&str; 3] = ["h264", "h265", "mpeg4-generic"];
/// Begins a NAL unit in a plain byte stream (H.264 and H.265, annex B).
const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// What retina finds wrong.
#[derive(Debug, thiserror::Error)]
pub enum RetinaError {
    /// It refuses an answer, a packet or a frame.
    #[error(transparent)]
    Refused(#[from] retina::Error),
    /// Not a URL.
    #[error("{0}")]
    Url(#[from] url::ParseError),
    /// It does not join groups.
    #[error("retina knows no multicast")]
    Multicast,
    /// It missed packets.
    #[error("{packets} packets lost")]
    Loss {
        /// Their number.
        packets: u16,
    },
    /// The audio's timestamps are not consecutive.
    #[error("audio frame at {found} where {due} was due")]
    AudioJump {
        /// Where the frame before ends.
        due: i64,
        /// Where this one begins.
        found: i64,
    },
    /// A NAL unit's length does not fit its frame.
    #[error("a NAL unit longer than its frame")]
    NalLength,
    /// The stream did not end in time.
    #[error("no end within {0:?}")]
    Endless(Duration),
    /// The file could not be written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Plays `url` to its end and keeps the video in `file` as a plain byte stream.
///
/// # Errors
/// When retina refuses something or finds a gap, or the stream does not end within `limit`.
pub fn keep_video(
    url: &str,
    transport: Transport,
    file: &Path,
    limit: Duration,
) -> Result<(), ProgramError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let played = runtime.map_err(RetinaError::Io).and_then(|runtime| {
        runtime.block_on(async {
            let played = tokio::time::timeout(limit, play_to_file(url, transport, file));
            played.await.unwrap_or(Err(RetinaError::Endless(limit)))
        })
    });
    played.map_err(|error| ProgramError::io("retina")(io::Error::other(error)))
}

async fn play_to_file(url: &str, transport: Transport, file: &Path) -> Result<(), RetinaError> {
    let mut session = play(url, transport).await?;
    let mut output = io::BufWriter::new(File::create(file)?);
    let mut audio_due = None;
    while let Some(item) = session.next().await {
        match item? {
            CodecItem::VideoFrame(frame) => write_video(&frame, &mut output)?,
            CodecItem::AudioFrame(frame) => check_audio(&frame, &mut audio_due)?,
            _ => {}
        }
    }
    Ok(output.flush()?)
}

/// Describes, sets up every track that retina can read, and plays.
///
/// # Errors
/// When retina refuses an answer of the server.
pub async fn play(url: &str, transport: Transport) -> Result<Demuxed, RetinaError> {
    let (url, credentials) = split_credentials(url)?;
    let options = SessionOptions::default().creds(credentials);
    let transport = match transport {
        Transport::Tcp => Lower::Tcp(TcpTransportOptions::default()),
        Transport::Udp => Lower::Udp(UdpTransportOptions::default()),
        Transport::Multicast => return Err(RetinaError::Multicast),
    };
    let mut session = Session::describe(url, options).await?;
    for index in 0..session.streams().len() {
        let encoding = session
            .streams()
            .get(index)
            .map(|stream| stream.encoding_name().to_owned());
        if encoding.is_some_and(|name| ENCODINGS.contains(&name.as_str())) {
            let options = SetupOptions::default().transport(transport.clone());
            session.setup(index, options).await?;
        }
    }
    Ok(session.play(PlayOptions::default()).await?.demuxed()?)
}

/// Takes who asks out of a URL.
fn split_credentials(url: &str) -> Result<(Url, Option<Credentials>), RetinaError> {
    let mut url: Url = url.parse()?;
    let username = url.username().to_owned();
    let password = url.password().map(str::to_owned);
    // Both succeed for every URL that has a host.
    let _ = (url.set_username(""), url.set_password(None));
    let credentials = password.map(|password| Credentials { username, password });
    Ok((url, credentials))
}

fn write_video(frame: &VideoFrame, output: &mut impl Write) -> Result<(), RetinaError> {
    if frame.loss() > 0 {
        return Err(RetinaError::Loss {
            packets: frame.loss(),
        });
    }
    let mut rest = frame.data();
    while let Some((length, after)) = rest.split_first_chunk() {
        let length =
            usize::try_from(u32::from_be_bytes(*length)).map_err(|_| RetinaError::NalLength)?;
        let (unit, after) = after
            .split_at_checked(length)
            .ok_or(RetinaError::NalLength)?;
        output.write_all(&START_CODE)?;
        output.write_all(unit)?;
        rest = after;
    }
    Ok(())
}

fn check_audio(frame: &AudioFrame, due: &mut Option<i64>) -> Result<(), RetinaError> {
    if frame.loss() > 0 {
        return Err(RetinaError::Loss {
            packets: frame.loss(),
        });
    }
    let found = frame.timestamp().elapsed();
    let end = found + i64::from(frame.frame_length().get());
    match due.replace(end) {
        Some(due) if due != found => Err(RetinaError::AudioJump { due, found }),
        _ => Ok(()),
    }
}
