//! One file over HTTP or HTTPS, with a limit on its size and on the time it may take.

use std::io::Read;
use std::time::Duration;

use ureq::tls::{RootCerts, TlsConfig};

/// Longest time that one file may take.
const FILE_TIME_MAX: Duration = Duration::from_secs(120);
/// Longest wait for a connection.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// Redirections that are followed.
const REDIRECTS_MAX: u32 = 3;

/// Fetches files. Servers with TLS are proven by `roots`.
pub(super) fn agent(roots: RootCerts) -> ureq::Agent {
    ureq::Agent::config_builder()
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .timeout_global(Some(FILE_TIME_MAX))
        .timeout_connect(Some(CONNECT_TIME_MAX))
        .max_redirects(REDIRECTS_MAX)
        .user_agent(concat!("tidegate/", env!("CARGO_PKG_VERSION")))
        .build()
        .into()
}

/// The file at `url`; the error says what is wrong with it, for people.
pub(super) fn get(agent: &ureq::Agent, url: &str, octets_max: u64) -> Result<Vec<u8>, String> {
    let shown = url.escape_debug();
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(format!("{shown} is no address of a file on the web"));
    }
    let mut response = agent.get(url).call().map_err(|error| format!("{shown}: {error}"))?;
    let mut octets = Vec::new();
    let mut body = response.body_mut().as_reader().take(octets_max + 1);
    body.read_to_end(&mut octets).map_err(|error| format!("{shown}: {error}"))?;
    if u64::try_from(octets.len()).unwrap_or(u64::MAX) > octets_max {
        return Err(format!("{shown} is larger than {octets_max} octets"));
    }
    Ok(octets)
}
