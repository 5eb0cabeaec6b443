//! Connections that stay: a leak made to order, by which a soak shows that it finds one.

use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::BenchError;

/// A server ends a connection that says nothing for seconds.
const WORD_INTERVAL: Duration = Duration::from_millis(500);
const WORD: &[u8] = b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n";
/// Each gets an answer that nobody reads: so many fit into any receive buffer.
const WORDS_MAX: usize = 400;

/// They end with this.
pub(super) struct Companions {
    thread: Option<JoinHandle<()>>,
    is_over: Arc<AtomicBool>,
}

impl Companions {
    /// Opens so many.
    ///
    /// # Errors
    /// When the server does not let them in.
    pub(super) fn open(address: SocketAddr, count: usize) -> Result<Self, BenchError> {
        let streams = (0..count).map(|_| TcpStream::connect(address));
        let streams: io::Result<Vec<_>> = streams.collect();
        let streams = streams.map_err(BenchError::io("cannot connect to the server"))?;
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let thread = (count > 0).then(|| {
            std::thread::spawn(move || {
                for _ in 0..WORDS_MAX {
                    for mut stream in &streams {
                        // One that the server has ended is missing in its figures.
                        let _ = stream.write_all(WORD);
                    }
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                    std::thread::sleep(WORD_INTERVAL);
                }
            })
        });
        Ok(Self { thread, is_over })
    }
}

impl Drop for Companions {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has nothing to tell.
            let _ended = thread.join();
        }
    }
}
