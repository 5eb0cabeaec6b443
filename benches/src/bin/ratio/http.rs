//! hyper over the platform's streams against hyper on tokio's current-thread runtime: requests per CPU second.

use clap::Args;
use shardcast_benches::BenchError;
use shardcast_benches::fanout::Cpus;
use shardcast_benches::http::{HttpServer, HttpShape, measure};
use shardcast_benches::summary::Runs;
use shardcast_platform::DriverRequest;

use crate::table::print_side;

/// Small responses over HTTP/1.1.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Drivers of the platform; may be given several times
    #[arg(long, default_values_t = ["io_uring".to_owned(), "epoll".to_owned()])]
    driver: Vec<String>,
    /// Connections at once
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Requests of one run
    #[arg(long, default_value_t = 200_000)]
    requests: usize,
    /// Bytes of a response's body
    #[arg(long, default_value_t = 128)]
    body_bytes: usize,
    /// Turns
    #[arg(long, default_value_t = 7)]
    turns: usize,
    /// Exit with status 1 when the platform serves fewer requests per CPU second than so many times tokio's
    #[arg(long)]
    at_least: Option<f64>,
}

/// Whether the platform is within its bound on every driver.
pub(crate) fn compare(options: &Options) -> Result<bool, BenchError> {
    let shape = HttpShape {
        connections: options.connections,
        requests: options.requests.max(1),
        body_bytes: options.body_bytes,
    };
    println!(
        "{} connections, {} requests, responses of {} bytes, {} turns: CPU time per request, median (smallest-largest)",
        shape.connections, shape.requests, shape.body_bytes, options.turns
    );
    let drivers = options.driver.iter().map(|name| request(name));
    let drivers = drivers.collect::<Result<Vec<_>, _>>()?;
    let (cpus, mut tokio) = (Cpus::choose(), Runs::default());
    let mut ours = vec![Runs::default(); drivers.len()];
    for _ in 0..options.turns {
        tokio.push(measure(cpus, HttpServer::Tokio, shape)?);
        for (runs, &driver) in ours.iter_mut().zip(&drivers) {
            runs.push(measure(cpus, HttpServer::Platform(driver), shape)?);
        }
    }
    print_side("tokio", "ns", &tokio);
    let mut is_within = true;
    for (name, runs) in options.driver.iter().zip(&ours) {
        print_side(&format!("platform, {name}"), "ns", runs);
        is_within &= judge(name, &tokio, runs, options.at_least);
    }
    Ok(is_within)
}

/// Requests per CPU second are the inverse of CPU time per request.
fn judge(name: &str, tokio: &Runs, ours: &Runs, at_least: Option<f64>) -> bool {
    let ratio = tokio.median() / ours.median();
    let bound = at_least.map_or(String::new(), |bound| format!(" (at least {bound})"));
    let what = format!("{name} to tokio, requests");
    println!("  {what:<34} {ratio:.3} x{bound}");
    at_least.is_none_or(|bound| ratio >= bound)
}

fn request(name: &str) -> Result<DriverRequest, BenchError> {
    Ok(match name {
        "auto" => DriverRequest::Auto,
        "io_uring" => DriverRequest::IoUring,
        "epoll" => DriverRequest::Epoll,
        "iocp" => DriverRequest::Iocp,
        "glommio" => DriverRequest::Glommio,
        other => {
            let what = format!("there is no driver '{other}'");
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, what).into());
        }
    })
}
