//! The way of a request: its target is checked and its route found, then it is asked who is behind it and whether a page of
//! another site has sent it, whether they may, and for its body; then the route's handler answers.

use std::net::SocketAddr;
use std::rc::Rc;

use http::request::Parts;
use http::{HeaderValue, Method, Version, header};
use hyper::body::Incoming;
use shardcast_config::HttpConfig;
use shardcast_protocol::http::origins::{self, Sent};
use shardcast_protocol::http::proxies::Asker;
use shardcast_protocol::http::target::{self, TargetError};

use super::authorise::{Proven, authorise};
use super::refused::{Refused, answer_options};
use super::{HttpService, body};
use crate::control::{Answer, Body, Found, Handler, Request, Response};
use crate::shard::{SessionHandle, Shard};

/// What a response says of who has made it.
const SERVER: HeaderValue = HeaderValue::from_static("shardcast");

/// A connection, as its requests see it.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) shard: Rc<Shard>,
    pub(super) session: Rc<SessionHandle>,
    pub(super) service: HttpService,
    pub(super) proven: Proven,
}

/// What the client is given instead, or the refusal that is made into that.
enum Instead {
    Answer(Answer),
    Refused(Refused),
}

impl From<Refused> for Instead {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<Answer> for Instead {
    fn from(answer: Answer) -> Self {
        Self::Answer(answer)
    }
}

impl Connected {
    pub(super) fn new(shard: Rc<Shard>, session: Rc<SessionHandle>, service: HttpService) -> Self {
        Self {
            shard,
            session,
            service,
            proven: Proven::default(),
        }
    }

    /// Answers a request.
    pub(super) async fn answer(&self, request: http::Request<Incoming>) -> Response {
        let (head, body) = request.into_parts();
        let config = self.shard.server.config.load_full();
        let config = self.service.site.kind.config(&config);
        // What is needed of the head when the handler has it.
        let (is_head, version) = (head.method == Method::HEAD, head.version);
        let asked = head.headers.clone();
        // A body of unknown length behind which another request is expected is what smuggling is made of (RFC 9112,
        // section 6.1).
        let mut is_last = head.headers.contains_key(header::TRANSFER_ENCODING);
        let answered = self.handle(head, body, config).await;
        let mut response = answered.unwrap_or_else(|instead| {
            let answer = match instead {
                Instead::Answer(answer) => answer,
                Instead::Refused(refused) => {
                    is_last |= refused.ends_connection();
                    self.shard
                        .note_refused_request(&self.session, refused.reason());
                    refused.answer(&self.service.site)
                }
            };
            answer.map(Body::Whole)
        });
        let headers = response.headers_mut();
        origins::allow(&config.allow_origins, &asked, headers);
        headers.insert(header::SERVER, SERVER);
        if is_last && version < Version::HTTP_2 {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if is_head {
            response = without_body(response);
        }
        response
    }

    async fn handle(
        &self,
        head: Parts,
        body: Incoming,
        config: &HttpConfig,
    ) -> Result<Response, Instead> {
        if head.method == Method::OPTIONS && head.uri.path() == "*" {
            return Err(answer_options(&head.headers, &[]).into());
        }
        target::check(&head).map_err(Refused::from)?;
        let site = self.service.site.clone();
        let found = site.find(head.uri.path());
        let methods = found.as_ref().map(Found::methods).unwrap_or_default();
        if head.method == Method::OPTIONS && found.is_some() {
            return Err(answer_options(&head.headers, &methods).into());
        }
        let peer = (self.session.peer, config.encryption);
        let is_trusted = |ip| {
            config
                .trusted_proxies
                .iter()
                .any(|network| network.contains(ip))
        };
        let asker = Asker::of(peer, &head.headers, &is_trusted);
        let sent = Sent::of(&head, asker.is_secure);
        origins::refuse_foreign(sent, &config.allow_origins).map_err(Refused::from)?;
        if !found.as_ref().is_some_and(|found| found.route.is_open) {
            let (session, action) = (&self.session, site.kind.action());
            authorise(
                &self.shard,
                session,
                &self.proven,
                (action, asker.peer),
                &head.headers,
            )
            .await?;
        }
        let found = found.ok_or(Refused::NotFound)?;
        let handler = found
            .handler(&head.method)
            .ok_or(Refused::MethodNotAllowed(methods))?;
        let request = self.read(head, body, &found, asker.peer).await?;
        self.work_out(handler, request).await
    }

    /// The request as its handler gets it, with its body.
    async fn read(
        &self,
        head: Parts,
        body: Incoming,
        found: &Found<'_>,
        peer: SocketAddr,
    ) -> Result<Request, Instead> {
        let decoded = found.captures.iter().map(|(name, value)| {
            let value = target::decode(value)?;
            Ok((name.clone(), value))
        });
        let captures = decoded
            .collect::<Result<_, TargetError>>()
            .map_err(Refused::from)?;
        let deadline = shardcast_platform::now() + self.shard.server.config.load().read_timeout;
        let bytes_max = found.route.body_bytes_max;
        let body = body::read_whole(&head.headers, body, bytes_max, deadline).await?;
        Ok(Request {
            method: head.method,
            uri: head.uri,
            headers: head.headers,
            body,
            peer,
            captures,
        })
    }

    async fn work_out(&self, handler: Handler, request: Request) -> Result<Response, Instead> {
        let state = self.service.state.clone();
        match handler {
            Handler::Shard(handler) => Ok(handler(self.shard.clone(), state, request).await),
            Handler::Clerk(handler) => {
                let work = move || handler(&state, &request);
                let clerk = &self.service.state.clerk;
                let answer = clerk
                    .work_out(&self.shard, work)
                    .await
                    .ok_or(Refused::Busy)?;
                Ok(answer.map(Body::Whole))
            }
        }
    }
}

/// The same, saying only how long its body would have been (RFC 9110, section 9.3.2).
fn without_body(response: Response) -> Response {
    let (mut head, body) = response.into_parts();
    if let Body::Whole(bytes) = &body {
        head.headers
            .insert(header::CONTENT_LENGTH, bytes.len().into());
    }
    Response::from_parts(head, Body::Whole(bytes::Bytes::new()))
}
