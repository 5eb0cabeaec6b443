//! Where the server is and how it is spoken to, from the command line and the environment.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use clap::Args;
use ureq::Agent;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use crate::ClientError;

/// Where the Control API listens unless it is told otherwise.
const DEFAULT_API: &str = "http://127.0.0.1:9997";

/// How long the server may take to accept a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// How long the server may keep silent: longer than its own wait for an answer, and than the heartbeat of events.
const SILENCE_MAX: Duration = Duration::from_secs(40);

/// Where the server is.
#[derive(Args, Clone, Debug, Default)]
pub struct Connect {
    /// The server's Control API: http://, https:// or unix:// [env: SHARDCAST_API] [default: http://127.0.0.1:9997]
    #[arg(long, value_name = "URL")]
    pub api: Option<String>,
    /// User of the API [env: SHARDCAST_USER]
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Its password [env: SHARDCAST_PASS]
    #[arg(long, value_name = "PASSWORD")]
    pub pass: Option<String>,
    /// Certificates, in PEM, of those whom the server's certificate is believed from
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Believe any certificate
    #[arg(long, conflicts_with = "ca")]
    pub insecure: bool,
}

/// The way to the server.
pub(crate) struct Way {
    pub(crate) agent: Agent,
    /// What requests begin with.
    pub(crate) base: String,
    /// As the operator has named it.
    pub(crate) api: String,
    /// `Authorization` (RFC 7617).
    pub(crate) authorization: Option<String>,
}

impl Connect {
    pub(crate) fn way(&self) -> Result<Way, ClientError> {
        let api = given_or(self.api.as_ref(), "SHARDCAST_API");
        let api = api.unwrap_or_else(|| DEFAULT_API.to_owned());
        let (agent, base) = self.agent(&api)?;
        Ok(Way {
            agent,
            base,
            api,
            authorization: self.authorization(),
        })
    }

    fn agent(&self, api: &str) -> Result<(Agent, String), ClientError> {
        if let Some(socket) = api.strip_prefix("unix://") {
            return unix_agent(socket);
        }
        let is_secure = api.starts_with("https://");
        if !is_secure && !api.starts_with("http://") {
            let message = format!("{api} is no http://, https:// or unix:// URL");
            return Err(ClientError::Usage(message));
        }
        let mut config = settings();
        if is_secure {
            config = config.tls_config(self.tls()?);
        }
        let base = api.trim_end_matches('/').to_owned();
        Ok((Agent::new_with_config(config.build()), base))
    }

    fn tls(&self) -> Result<TlsConfig, ClientError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = TlsConfig::builder().unversioned_rustls_crypto_provider(provider);
        if self.insecure {
            return Ok(tls.disable_verification(true).build());
        }
        let Some(file) = &self.ca else {
            let message =
                "https:// needs --ca FILE or --insecure: a server's certificate is often its own";
            return Err(ClientError::Usage(message.to_owned()));
        };
        let failed = |error| ClientError::File {
            file: file.display().to_string(),
            error,
        };
        let pem = std::fs::read(file).map_err(failed)?;
        let items = parse_pem(&pem).filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        });
        let certificates: Vec<_> = items.collect();
        if certificates.is_empty() {
            let message = format!("{}: no certificate in it", file.display());
            return Err(ClientError::Usage(message));
        }
        let roots = RootCerts::new_with_certs(&certificates);
        Ok(tls.root_certs(roots).build())
    }

    fn authorization(&self) -> Option<String> {
        let user = given_or(self.user.as_ref(), "SHARDCAST_USER");
        let pass = given_or(self.pass.as_ref(), "SHARDCAST_PASS");
        if user.is_none() && pass.is_none() {
            return None;
        }
        let pair = format!("{}:{}", user.unwrap_or_default(), pass.unwrap_or_default());
        let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
        Some(format!("Basic {encoded}"))
    }
}

fn given_or(given: Option<&String>, variable: &str) -> Option<String> {
    let from_environment = || {
        std::env::var(variable)
            .ok()
            .filter(|value| !value.is_empty())
    };
    given.cloned().or_else(from_environment)
}

/// The API is asked itself, never by a proxy that the environment names; and it redirects nobody.
fn settings() -> ureq::config::ConfigBuilder<ureq::typestate::AgentScope> {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .timeout_connect(Some(CONNECT_WITHIN))
        .timeout_recv_response(Some(SILENCE_MAX))
        .timeout_per_read(Some(SILENCE_MAX))
}

#[cfg(unix)]
fn unix_agent(socket: &str) -> Result<(Agent, String), ClientError> {
    let agent = crate::unix::agent(settings().build(), socket);
    Ok((agent, "http://localhost".to_owned()))
}

#[cfg(not(unix))]
fn unix_agent(_: &str) -> Result<(Agent, String), ClientError> {
    let message = "unix:// is not to be had on this system";
    Err(ClientError::Usage(message.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(connect: &Connect) -> String {
        connect.way().map(|way| way.api).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_address_of_an_api_is_wrong_usage() {
        let at = |api: &str| Connect {
            api: Some(api.to_owned()),
            ..Connect::default()
        };
        assert!(wrong(&at("ftp://localhost")).contains("ftp://localhost is no http://"));
        assert!(wrong(&at("https://localhost")).contains("--ca FILE or --insecure"));
        assert!(at("http://localhost:1/").way().is_ok());
    }

    #[test]
    fn user_and_password_go_as_one() {
        let connect = Connect {
            user: Some("Aladdin".into()),
            pass: Some("open sesame".into()),
            ..Connect::default()
        };
        // The example of RFC 7617, section 2.
        let due = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
        assert_eq!(connect.authorization().as_deref(), Some(due));
    }
}
