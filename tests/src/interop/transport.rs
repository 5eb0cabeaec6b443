//! How media goes between the daemon and a program.

/// A lower transport of RTSP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Interleaved with the requests.
    Tcp,
    /// Datagrams to and from ports of its own.
    Udp,
    /// Datagrams to a group; for readers alone.
    Multicast,
}

impl Transport {
    /// Those that publishers have too.
    pub const UNICAST: [Self; 2] = [Self::Tcp, Self::Udp];

    /// Short name, fit for a path and a file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Multicast => "multicast",
        }
    }

    /// ffmpeg's `-rtsp_transport`.
    pub fn of_ffmpeg(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Multicast => "udp_multicast",
        }
    }

    /// GStreamer's `protocols`.
    pub fn of_gstreamer(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Multicast => "udp-mcast",
        }
    }

    /// VLC's option, if it needs one.
    pub fn of_vlc(self) -> Option<&'static str> {
        match self {
            Self::Tcp => Some("--rtsp-tcp"),
            Self::Udp => None,
            Self::Multicast => Some("--rtsp-mcast"),
        }
    }
}
