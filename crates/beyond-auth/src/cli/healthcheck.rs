//! `healthcheck`: asks a service on this machine, for container images that hold nothing else.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Failure;
use crate::platform::config::args::DEFAULT_ADDRESS;
use crate::platform::config::{ConfigError, Setting, parse_address, reachable_locally};

/// Longest wait for an answer; container runtimes give a probe a few seconds.
const TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Args, Debug)]
pub(super) struct HealthcheckArgs {
    /// Address the service is bound to; 0.0.0.0 is asked over loopback
    #[arg(long, env = "ADDRESS", value_name = "IP:PORT", default_value = DEFAULT_ADDRESS)]
    address: String,

    /// Ask whether it can do its work (database reached, schema current), not only whether it is alive
    #[arg(long)]
    ready: bool,
}

pub(super) async fn run(args: &HealthcheckArgs) -> Result<(), Failure> {
    let text = if args.address.trim().is_empty() { DEFAULT_ADDRESS } else { args.address.trim() };
    let address = parse_address(text)
        .map_err(|message| ConfigError::of(Setting::ADDRESS, message))
        .map(reachable_locally)?;
    let path = if args.ready { "/readyz" } else { "/healthz" };
    let failed = |what: String| Err(Failure::Runtime(format!("http://{address}{path} {what}")));
    match tokio::time::timeout(TIMEOUT, status(address, path)).await {
        Ok(Ok(200..=299)) => Ok(()),
        Ok(Ok(status)) => failed(format!("answered with status {status}")),
        Ok(Err(error)) => failed(format!("cannot be reached: {error}; is the service running there?")),
        Err(_) => failed(format!("gave no answer within {} s", TIMEOUT.as_secs())),
    }
}

/// The status of a GET, read from the first twelve bytes of the answer (`HTTP/1.1 200`): nothing else of a
/// client is needed here.
async fn status(address: SocketAddr, path: &str) -> io::Result<u16> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut start = [0; 12];
    stream.read_exact(&mut start).await?;
    let status = start.strip_prefix(b"HTTP/1.1 ").and_then(|code| str::from_utf8(code).ok()?.parse().ok());
    status.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP"))
}
