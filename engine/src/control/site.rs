//! Sites: what a listener offers, as a table of routes.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use http::Method;

use super::web::{Answer, Request, Response};
use super::{ControlState, api, events, health, metrics, profile};
use crate::admit::Action;
use crate::shard::Shard;

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

    fn routes(self) -> Vec<Route> {
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
        Self {
            pattern,
            methods: vec![(method, handler)],
            is_open: false,
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
}
