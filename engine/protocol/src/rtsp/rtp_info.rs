//! The `RTP-Info` header of an answer to `PLAY`: where each track starts. `server` writes it,
//! `client` reads it.

use std::fmt;

/// Where a track starts, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpInfo {
    /// The track, as `SETUP` numbered it.
    pub track: usize,
    /// Sequence number of the first packet, when it is known.
    pub seq: Option<u16>,
    /// RTP time of the instant at which play starts: the same instant for all tracks.
    pub rtptime: Option<u32>,
}

/// Where a track starts, as it stands in the header (RFC 2326, section 12.33).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtpInfoEntry {
    /// The track's URL.
    pub url: String,
    /// Sequence number of the first packet.
    pub seq: Option<u16>,
    /// RTP time of the start.
    pub rtptime: Option<u32>,
}

impl RtpInfoEntry {
    /// Reads a header's entries. A URL may hold a comma: an entry begins only where `url=` does.
    /// What cannot be read is left out, because players are told nothing by it, either.
    pub fn parse_all(header: &str) -> Vec<Self> {
        let starts = header.match_indices("url=").map(|(at, _)| at);
        let starts: Vec<usize> = starts
            .filter(|at| {
                let before = header.get(..*at).unwrap_or_default().trim_end();
                before.is_empty() || before.ends_with(',')
            })
            .collect();
        let ends = starts.iter().skip(1).copied().chain([header.len()]);
        starts
            .iter()
            .zip(ends)
            .filter_map(|(start, end)| header.get(*start..end))
            .map(Self::parse)
            .collect()
    }

    fn parse(entry: &str) -> Self {
        let entry = entry.trim_end_matches([' ', '\t', ',']);
        let mut info = Self {
            url: String::new(),
            seq: None,
            rtptime: None,
        };
        for parameter in entry.split(';') {
            match parameter.trim().split_once('=') {
                Some(("url", value)) => info.url = value.trim_matches('"').to_owned(),
                Some(("seq", value)) => info.seq = value.parse().ok(),
                Some(("rtptime", value)) => info.rtptime = value.parse().ok(),
                _ => {}
            }
        }
        info
    }
}

impl fmt::Display for RtpInfoEntry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "url={}", self.url)?;
        if let Some(seq) = self.seq {
            write!(formatter, ";seq={seq}")?;
        }
        if let Some(rtptime) = self.rtptime {
            write!(formatter, ";rtptime={rtptime}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let entries = [
            RtpInfoEntry {
                url: "rtsp://h/a,b/trackID=0".into(),
                seq: Some(9),
                rtptime: Some(1),
            },
            RtpInfoEntry {
                url: "rtsp://h/a?url=x/trackID=1".into(),
                seq: None,
                rtptime: Some(2),
            },
        ];
        let header = entries.each_ref().map(ToString::to_string).join(",");
        assert_eq!(RtpInfoEntry::parse_all(&header), entries);
    }

    #[test]
    fn spaces_and_unknown_parameters_do_not_disturb() {
        let header = "url=rtsp://h/a ; seq=1;x;rtptime=-3, url=rtsp://h/b;seq=70000";
        let entries = RtpInfoEntry::parse_all(header);
        assert_eq!(entries.len(), 2);
        assert_eq!((entries[0].seq, entries[0].rtptime), (Some(1), None));
        assert_eq!(entries[1].seq, None);
    }
}
