//! How the command line speaks to the running daemon: one JSON request and one JSON answer a connection, on a Unix socket
//! that only root and the daemon's own user may use.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as Blocking;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader as AsyncBufReader};
use tokio::net::{UnixListener, UnixStream};

/// Longest request.
const REQUEST_OCTETS_MAX: u64 = 64 * 1024;
/// How long either side waits for the other; the daemon may have to read large rule files before it answers.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long the command line waits for what the daemon only has to look up.
const STATUS_TIMEOUT: Duration = Duration::from_secs(5);

/// What the command line asks of the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verb")]
pub enum Request {
    /// How the daemon is.
    Status,
    /// Read the configuration and the own lists again.
    Reload,
    /// Block entries that the reputation of senders speaks for, as lines of the own lists.
    Proposals,
}

/// The daemon's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// Done; what was asked for.
    Done(Value),
    /// Not done; why, in words for an administrator.
    Failed(String),
}

/// Answers requests on `listener`, each by `answer`, until the task is dropped.
pub async fn serve<F, A>(listener: UnixListener, answer: Arc<F>)
where
    F: Fn(Request) -> A + Send + Sync + 'static,
    A: Future<Output = Response> + Send + 'static,
{
    let own = rustix::process::geteuid().as_raw();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let allowed = stream.peer_cred().is_ok_and(|peer| peer.uid() == 0 || peer.uid() == own);
        if allowed {
            let answer = Arc::clone(&answer);
            tokio::spawn(tokio::time::timeout(TIMEOUT, async move { one(stream, &*answer).await }));
        }
    }
}

async fn one<F, A>(stream: UnixStream, answer: &F) -> std::io::Result<()>
where
    F: Fn(Request) -> A,
    A: Future<Output = Response>,
{
    let (read, mut write) = stream.into_split();
    let mut line = Vec::new();
    AsyncBufReader::new(read.take(REQUEST_OCTETS_MAX)).read_until(b'\n', &mut line).await?;
    let response = match serde_json::from_slice(&line) {
        Ok(request) => answer(request).await,
        Err(error) => Response::Failed(format!("the request does not read: {error}")),
    };
    let mut text = serde_json::to_vec(&response)?;
    text.push(b'\n');
    write.write_all(&text).await?;
    write.shutdown().await
}

impl Request {
    fn timeout(&self) -> Duration {
        match self {
            Request::Status => STATUS_TIMEOUT,
            Request::Reload | Request::Proposals => TIMEOUT,
        }
    }
}

/// Why the daemon gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens on the socket, or who does speaks another language.
    #[error("no daemon answers on {socket}: {cause}")]
    NotRunning {
        /// The socket.
        socket: String,
        /// Why.
        cause: std::io::Error,
    },
    /// Somebody listens and says nothing.
    #[error("the daemon hangs, or has too much to do: nothing came from {socket} in {seconds} seconds")]
    Hangs {
        /// The socket.
        socket: String,
        /// How long was waited.
        seconds: u64,
    },
    /// Only root and the daemon's own user may ask.
    #[error("only root may ask the daemon ({socket}: permission denied); use sudo")]
    Denied {
        /// The socket.
        socket: String,
    },
    /// The daemon answered that it could not do it.
    #[error("{0}")]
    Failed(String),
}

/// Asks the daemon that listens on `socket`, from the command line.
///
/// # Errors
/// [`AskError::Failed`] with the daemon's own words, any other when nobody answers.
pub fn ask(socket: &Path, request: &Request) -> Result<Value, AskError> {
    let timeout = request.timeout();
    let no_answer = |cause: std::io::Error| {
        let socket = socket.display().to_string();
        match cause.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => AskError::Hangs { socket, seconds: timeout.as_secs() },
            ErrorKind::PermissionDenied => AskError::Denied { socket },
            _ => AskError::NotRunning { socket, cause },
        }
    };
    let exchange = || -> std::io::Result<Response> {
        let mut stream = Blocking::connect(socket)?;
        stream.set_read_timeout(Some(timeout))?;
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        stream.write_all(&line)?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer)?;
        Ok(serde_json::from_str(&answer)?)
    };
    match exchange().map_err(no_answer)? {
        Response::Done(value) => Ok(value),
        Response::Failed(why) => Err(AskError::Failed(why)),
    }
}

/// A listener at `path` that replaces a socket file left over from before; nobody but the owner and root may connect.
///
/// # Errors
/// The socket cannot be made, or another daemon answers on it.
pub fn listen(path: &Path) -> std::io::Result<UnixListener> {
    if Blocking::connect(path).is_ok() {
        let message = format!("another daemon already answers on {}", path.display());
        return Err(std::io::Error::new(ErrorKind::AddrInUse, message));
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// Who waits for a daemon that hangs is told so, and soon.
    #[test]
    fn a_daemon_that_hangs_is_told_from_one_that_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("control.sock");
        let gone = ask(&socket, &Request::Status).unwrap_err();
        assert!(matches!(gone, AskError::NotRunning { .. }), "{gone}");
        let listens = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let begun = Instant::now();
        let hangs = ask(&socket, &Request::Status).unwrap_err();
        assert!(hangs.to_string().contains("the daemon hangs"), "{hangs}");
        assert!(begun.elapsed() < STATUS_TIMEOUT + Duration::from_secs(5));
        drop(listens);
    }
}
