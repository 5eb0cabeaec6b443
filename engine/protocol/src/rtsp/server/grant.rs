//! The caller's decisions: each grant changes the state, and makes the response that says so.

use bytes::Bytes;

use super::{Announced, Ask, Mode, Pending, ServerSession, ServerState, TRACKS_MAX};
use crate::rtsp::{
    Headers, Lower, Response, RtpInfo, RtpInfoEntry, SetupAnswer, StatusCode, TransportSpec,
};

impl ServerSession {
    /// Grants [`Question::Describe`](super::Question::Describe): `sdp` describes the stream, whose
    /// tracks have the controls `trackID=0` up to `trackID=`(`tracks` − 1).
    ///
    /// Every grant answers 500 and changes nothing when its question is not the open one: a fault of
    /// the caller.
    pub fn grant_describe(&mut self, sdp: Bytes, tracks: usize) -> Response {
        let Some(Pending {
            cseq,
            ask: Ask::Describe { url, target },
        }) = self.take_pending()
        else {
            return self.fault();
        };
        self.described = Some((target, tracks));
        let mut response = self.response(StatusCode::OK, Some(cseq));
        response.headers.put("Content-Base", url.to_base());
        response.headers.put("Content-Type", "application/sdp");
        response.body = sdp;
        response
    }

    /// Grants [`Question::Announce`](super::Question::Announce): the description has these
    /// `control` attributes, one per track and in order. No track at all, or more than
    /// [`TRACKS_MAX`], is refused with 400 by this very call.
    pub fn grant_announce(&mut self, controls: Vec<Option<String>>) -> Response {
        let Some(Pending {
            cseq,
            ask: Ask::Announce { url, target },
        }) = self.take_pending()
        else {
            return self.fault();
        };
        if controls.is_empty() || controls.len() > TRACKS_MAX {
            return self.response(StatusCode::BAD_REQUEST, Some(cseq));
        }
        self.announced = Some(Box::new(Announced { url, controls }));
        self.target = Some(target);
        self.state = ServerState::Ready(Mode::Record);
        self.response(StatusCode::OK, Some(cseq))
    }

    /// Grants [`Question::Setup`](super::Question::Setup). A group without an address is a fault of
    /// the caller, as a grant without its question is.
    pub fn grant_setup(&mut self, answer: SetupAnswer) -> Response {
        let Some(Pending {
            cseq,
            ask:
                Ask::Setup {
                    setup,
                    target,
                    mode,
                },
        }) = self.take_pending()
        else {
            return self.fault();
        };
        let Some(transport) = self.answered(setup.transport, mode, answer) else {
            return self.response(StatusCode::INTERNAL_SERVER_ERROR, Some(cseq));
        };
        // Most sessions have one or two, and room for four is more than these need.
        self.setups.reserve_exact(1);
        self.setups.push(setup);
        self.target.get_or_insert(target);
        self.state = ServerState::Ready(mode);
        let mut response = self.response(StatusCode::OK, Some(cseq));
        response.headers.put("Transport", transport);
        response
    }

    /// What the answer says about a transport; nothing when its group is not known.
    fn answered(&self, transport: Lower, mode: Mode, answer: SetupAnswer) -> Option<TransportSpec> {
        let told = TransportSpec {
            mode: (mode == Mode::Record).then_some(mode),
            ssrc: answer.ssrc,
            ..TransportSpec::of_kind(transport.kind())
        };
        match transport {
            Lower::Tcp(channels) => Some(TransportSpec {
                interleaved: Some(channels),
                ..told
            }),
            Lower::Udp(ports) => Some(TransportSpec {
                client_port: Some(ports),
                server_port: self.config.transports.udp,
                ..told
            }),
            Lower::Multicast => answer.group.map(|group| TransportSpec {
                destination: Some(group.address.to_string()),
                port: Some(group.ports),
                ttl: Some(group.ttl),
                ..told
            }),
        }
    }

    /// Grants [`Question::Play`](super::Question::Play). `starts` says where each track starts;
    /// give the `rtptime` of the same instant for all of them, for some players insist on it.
    /// Tracks that were not set up are left out.
    pub fn grant_play(&mut self, starts: &[RtpInfo]) -> Response {
        let Some(Pending {
            cseq,
            ask: Ask::Play,
        }) = self.take_pending()
        else {
            return self.fault();
        };
        self.state = ServerState::Playing;
        let mut response = self.response(StatusCode::OK, Some(cseq));
        // The start is zero for players that count from `rtptime`, whatever they have asked for:
        // a live stream has only its present.
        response.headers.put("Range", "npt=0-");
        let info = self.rtp_info(starts);
        if !info.is_empty() {
            response.headers.put("RTP-Info", info);
        }
        response
    }

    /// Grants [`Question::Record`](super::Question::Record).
    pub fn grant_record(&mut self) -> Response {
        let Some(Pending {
            cseq,
            ask: Ask::Record,
        }) = self.take_pending()
        else {
            return self.fault();
        };
        self.state = ServerState::Recording;
        self.response(StatusCode::OK, Some(cseq))
    }

    /// Grants [`Question::Pause`](super::Question::Pause): packets stop, the session stays.
    pub fn grant_pause(&mut self) -> Response {
        let Some(Pending {
            cseq,
            ask: Ask::Pause,
        }) = self.take_pending()
        else {
            return self.fault();
        };
        self.state = match self.state {
            ServerState::Playing => ServerState::Ready(Mode::Play),
            ServerState::Recording => ServerState::Ready(Mode::Record),
            state => state,
        };
        self.response(StatusCode::OK, Some(cseq))
    }

    /// Grants [`Question::Teardown`](super::Question::Teardown): there is no session any more. The
    /// connection may begin another one.
    pub fn grant_teardown(&mut self) -> Response {
        let Some(Pending {
            cseq,
            ask: Ask::Teardown,
        }) = self.take_pending()
        else {
            return self.fault();
        };
        self.state = ServerState::Init;
        self.target = None;
        self.announced = None;
        self.described = None;
        self.setups.clear();
        self.response(StatusCode::OK, Some(cseq))
    }

    /// Refuses the open question. The state is as it was.
    pub fn refuse(&mut self, status: StatusCode) -> Response {
        self.refuse_with(status, Headers::new())
    }

    /// Refuses the open question and tells people why, by a text of one line.
    pub fn refuse_because(&mut self, status: StatusCode, why: &str) -> Response {
        let mut response = self.refuse(status);
        response.why = Some(why.into());
        response
    }

    /// Refuses the open question and says more about it, as `WWW-Authenticate` does.
    pub fn refuse_with(&mut self, status: StatusCode, headers: Headers) -> Response {
        let cseq = self.take_pending().map(|pending| pending.cseq);
        let mut response = self.response(status, cseq);
        response.headers.append(headers);
        response
    }

    fn take_pending(&mut self) -> Option<Pending> {
        self.pending.take().map(|pending| *pending)
    }

    fn rtp_info(&self, starts: &[RtpInfo]) -> String {
        let entries = self.setups.iter().filter_map(|setup| {
            let start = starts.iter().find(|start| start.track == setup.track)?;
            let RtpInfo { seq, rtptime, .. } = *start;
            let url = setup.url.clone();
            Some(RtpInfoEntry { url, seq, rtptime }.to_string())
        });
        entries.collect::<Vec<_>>().join(",")
    }

    fn fault(&mut self) -> Response {
        self.refuse(StatusCode::INTERNAL_SERVER_ERROR)
    }
}
