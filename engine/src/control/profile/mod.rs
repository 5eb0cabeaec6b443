//! Profiles of the running server, under the routes that Go's programs have them under: `go tool pprof
//! http://localhost:9999/debug/pprof/profile?seconds=30`.
//!
//! What a profile is made of is taken by `platform`'s sampler; it is put together on a thread of its own, so that neither
//! shards nor the clerk wait. One profile is taken at a time.
//!
//! Deliberately absent: profiles of the heap, of goroutines, locks and the scheduler, of which there are none here.

mod format;

use std::rc::Rc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, SystemTime};

use http::{HeaderValue, Method, StatusCode, header};
use shardcast_platform::{CpuSampler, SamplerError};

use super::web::{Answer, Body, Request, line};
use super::{Answering, ControlState, Handler, Route};
use crate::shard::Shard;

/// How long a profile is taken unless the request says; Go's default.
const SECONDS_DEFAULT: u64 = 30;

/// The longest profile: what it holds is bounded, and so is the wait for its end.
const SECONDS_MAX: u64 = 60;

/// What it takes to put a profile together, at most: the debug information of the whole program is read.
const PUT_TOGETHER_WITHIN: Duration = Duration::from_secs(60);

/// Go's profiles that there are not.
const ABSENT: [&str; 8] = [
    "/debug/pprof/allocs",
    "/debug/pprof/block",
    "/debug/pprof/goroutine",
    "/debug/pprof/heap",
    "/debug/pprof/mutex",
    "/debug/pprof/symbol",
    "/debug/pprof/threadcreate",
    "/debug/pprof/trace",
];

const INDEX: &str = "/debug/pprof/profile?seconds=30  a CPU profile (on Linux; 1 to 60 seconds)\n\
    /debug/pprof/cmdline             the command line";

/// The routes.
pub(super) fn routes() -> Vec<Route> {
    let mut routes = vec![
        Route::get("/debug/pprof", |_, _| line(StatusCode::OK, INDEX)),
        Route::get("/debug/pprof/", |_, _| line(StatusCode::OK, INDEX)),
        Route::get("/debug/pprof/cmdline", cmdline),
        Route::of(
            Method::GET,
            "/debug/pprof/profile",
            Handler::Shard(|shard, _, request| profile(shard, request)),
        ),
    ];
    let absent = |pattern| Route::get(pattern, |_, _| line(StatusCode::NOT_IMPLEMENTED, NO_SUCH));
    routes.extend(ABSENT.map(absent));
    routes
}

const NO_SUCH: &str = "there is no such profile here: only the CPU's, /debug/pprof/profile";

/// Arguments, with a NUL between them.
fn cmdline(_: &ControlState, _: &Request) -> Answer {
    let arguments = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
    let arguments: Vec<String> = arguments.collect();
    let mut answer = line(StatusCode::OK, "");
    *answer.body_mut() = arguments.join("\0").into();
    answer
}

fn profile(shard: Rc<Shard>, request: Request) -> Answering {
    Box::pin(async move {
        let answer = match seconds_of(&request) {
            Some(duration) => take(&shard, duration).await,
            None => line(
                StatusCode::BAD_REQUEST,
                "seconds has to be a number from 1 to 60",
            ),
        };
        answer.map(Body::Whole)
    })
}

fn seconds_of(request: &Request) -> Option<Duration> {
    let given = request.query().find(|(key, _)| key == "seconds");
    let seconds = match given {
        Some((_, value)) => value.parse().ok()?,
        None => SECONDS_DEFAULT,
    };
    let is_possible = (1..=SECONDS_MAX).contains(&seconds);
    is_possible.then(|| Duration::from_secs(seconds))
}

/// Whoever has asked may go: then the profile ends at once.
async fn take(shard: &Rc<Shard>, duration: Duration) -> Answer {
    let (still_there, gone) = channel::<()>();
    let hand_over = |reply: crate::shard::Reply| {
        let builder = std::thread::Builder::new().name("profile".into());
        let work = move || reply.send(take_now(duration, &gone));
        builder.spawn(work).is_ok()
    };
    let patience = duration + PUT_TOGETHER_WITHIN;
    let taken = shard.ask_outside_for(patience, hand_over).await;
    drop(still_there);
    match taken {
        Some(Ok(profile)) => respond(profile),
        Some(Err(error)) => refuse(&error),
        None => line(
            StatusCode::SERVICE_UNAVAILABLE,
            "the profile has taken too long",
        ),
    }
}

/// On a thread of its own.
fn take_now(duration: Duration, gone: &Receiver<()>) -> Result<Vec<u8>, SamplerError> {
    let begun = SystemTime::now();
    let sampler = CpuSampler::start(duration)?;
    let _time_is_over_or_nobody_waits = gone.recv_timeout(duration);
    let samples = sampler.stop();
    let _as_any_other_thread = shardcast_platform::lower_current_thread();
    Ok(format::compressed(&format::encode(
        &samples, begun, duration,
    )))
}

fn respond(profile: Vec<u8>) -> Answer {
    let mut answer = Answer::new(profile.into());
    let headers = answer.headers_mut();
    let kind = HeaderValue::from_static("application/octet-stream");
    headers.insert(header::CONTENT_TYPE, kind);
    let file = HeaderValue::from_static("attachment; filename=\"profile.pb.gz\"");
    headers.insert(header::CONTENT_DISPOSITION, file);
    answer
}

fn refuse(error: &SamplerError) -> Answer {
    let status = match error {
        SamplerError::Unsupported => StatusCode::NOT_IMPLEMENTED,
        SamplerError::Busy => StatusCode::CONFLICT,
        SamplerError::System(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    line(status, &error.to_string())
}
