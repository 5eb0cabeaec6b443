//! Sites: what a listener offers, as a table of routes.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use http::{Method, StatusCode};
use shardcast_config::{Config, HttpConfig};

use super::web::{Answer, Request, Response, error, line};
use super::{ControlState, api, events, health, metrics, profile};
use crate::admit::Action;
use crate::shard::Shard;

/// The longest body of a request that changes something, unless its route says otherwise: as much as the largest
/// configuration file.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// Which sites there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SiteKind {
    /// The Control API.
    Api,
    /// The metrics.
    Metrics,
    /// The profiler.
    Pprof,
}

impl SiteKind {
    /// Its name in the log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Api => "API",
            Self::Metrics => "metrics",
            Self::Pprof => "pprof",
        }
    }

    /// What its users must be allowed to do.
    #[must_use]
    pub fn action(self) -> Action {
        match self {
            Self::Api => Action::Api,
            Self::Metrics => Action::Metrics,
            Self::Pprof => Action::Pprof,
        }
    }

    /// Its part of the configuration.
    #[must_use]
    pub fn config(self, config: &Config) -> &HttpConfig {
        match self {
            Self::Api => &config.api,
            Self::Metrics => &config.metrics,
            Self::Pprof => &config.pprof,
        }
    }

    /// Its routes.
    pub(super) fn routes(self) -> Vec<Route> {
        let mut routes = health::routes();
        match self {
            Self::Api => {
                routes.extend(api::routes());
                routes.extend(events::routes());
            }
            Self::Metrics => routes.extend(metrics::routes()),
            Self::Pprof => routes.extend(profile::routes()),
        }
        routes
    }
}

/// A response on its way.
pub type Answering = Pin<Box<dyn Future<Output = Response>>>;

/// What a route is answered by.
#[derive(Clone, Copy)]
pub enum Handler {
    /// The clerk, on its own thread: whatever looks at all sessions or paths, or at files.
    Clerk(fn(&ControlState, &Request) -> Answer),
    /// The shard whose connection has asked: bodies without end.
    Shard(fn(Rc<Shard>, Arc<ControlState>, Request) -> Answering),
}

impl std::fmt::Debug for Handler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Clerk(_) => "Clerk",
            Self::Shard(_) => "Shard",
        })
    }
}

/// A path of a site, with what it does by method.
#[derive(Clone, Debug)]
pub struct Route {
    /// As `matchit` writes it: `/v3/paths/get/{*name}`.
    pub pattern: &'static str,
    /// Without HEAD, which is GET's, and OPTIONS, which is the site's.
    pub methods: Vec<(Method, Handler)>,
    /// Anybody may ask, whatever the site's action is.
    pub is_open: bool,
    /// The longest body of a request, in bytes.
    pub body_bytes_max: usize,
}

impl Route {
    /// GET of `pattern`, by the clerk.
    #[must_use]
    pub fn get(pattern: &'static str, handler: fn(&ControlState, &Request) -> Answer) -> Self {
        Self::of(Method::GET, pattern, Handler::Clerk(handler))
    }

    /// `method` of `pattern`.
    #[must_use]
    pub fn of(method: Method, pattern: &'static str, handler: Handler) -> Self {
        let takes_body = method != Method::GET && method != Method::DELETE;
        Self {
            pattern,
            methods: vec![(method, handler)],
            is_open: false,
            body_bytes_max: if takes_body { BODY_BYTES_MAX } else { 0 },
        }
    }

    /// The same with bodies of at most so many bytes.
    #[must_use]
    pub fn with_body(self, body_bytes_max: usize) -> Self {
        Self {
            body_bytes_max,
            ..self
        }
    }

    /// The same for anybody.
    #[must_use]
    pub fn open(self) -> Self {
        Self {
            is_open: true,
            ..self
        }
    }
}

/// A site.
#[derive(Debug)]
pub struct Site {
    /// Which.
    pub kind: SiteKind,
    router: matchit::Router<Route>,
}

/// What a request is for.
#[derive(Debug)]
pub struct Found<'a> {
    /// The route.
    pub route: &'a Route,
    /// What its pattern captured.
    pub captures: Vec<(String, String)>,
}

impl Found<'_> {
    /// What the route is asked with, but for HEAD and OPTIONS.
    #[must_use]
    pub fn methods(&self) -> Vec<Method> {
        let methods = self.route.methods.iter();
        methods.map(|(method, _)| method.clone()).collect()
    }

    /// What answers this method; HEAD is GET's.
    #[must_use]
    pub fn handler(&self, method: &Method) -> Option<Handler> {
        let wanted = match *method {
            Method::HEAD => &Method::GET,
            _ => method,
        };
        let mut methods = self.route.methods.iter();
        methods
            .find(|(known, _)| known == wanted)
            .map(|(_, handler)| *handler)
    }
}

impl Site {
    /// The site of this kind.
    ///
    /// # Panics
    /// When two of its routes are one, which is a bug.
    #[must_use]
    pub fn new(kind: SiteKind) -> Self {
        let mut router = matchit::Router::new();
        for route in kind.routes() {
            let inserted = router.insert(route.pattern, route);
            inserted.unwrap_or_else(|error| panic!("{}: {error}", kind.name()));
        }
        Self { kind, router }
    }

    /// The route of this path.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<Found<'_>> {
        let found = self.router.at(path).ok()?;
        let captures = found.params.iter();
        let captures = captures.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Some(Found {
            route: found.value,
            captures: captures.collect(),
        })
    }

    /// A refusal in the site's words: JSON from the API, as MediaMTX writes it, a line of text from all others.
    #[must_use]
    pub fn refusal(&self, status: StatusCode, message: &str) -> Answer {
        match self.kind {
            SiteKind::Api => error(status, message),
            SiteKind::Metrics | SiteKind::Pprof => line(status, message),
        }
    }
}
