//! One message to a server, and how long until its answer: spamd's protocol (SYMBOLS) and rspamd's (HTTP).

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, ensure};

const ANSWER_WAIT: Duration = Duration::from_secs(120);

/// How a server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Spamd,
    Rspamd,
}

/// Asks for one message. The answer must be one of a message that was judged.
pub(crate) fn ask(protocol: Protocol, address: &str, message: &[u8]) -> anyhow::Result<()> {
    let request = match protocol {
        Protocol::Spamd => format!("SYMBOLS SPAMC/1.5\r\nContent-length: {}\r\n\r\n", message.len()),
        Protocol::Rspamd => format!(
            "POST /checkv2 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            message.len()
        ),
    };
    let answer = exchange(address, request.as_bytes(), message, protocol == Protocol::Spamd)
        .with_context(|| format!("asking {address}"))?;
    let text = String::from_utf8_lossy(&answer);
    let sign = if protocol == Protocol::Spamd { "Spam: " } else { "\"symbols\"" };
    ensure!(text.contains(sign), "{address} answers {:?}", text.lines().next().unwrap_or_default());
    Ok(())
}

fn exchange(address: &str, request: &[u8], message: &[u8], is_closing: bool) -> io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    if address.starts_with('/') {
        let mut stream = UnixStream::connect(address)?;
        stream.set_read_timeout(Some(ANSWER_WAIT))?;
        stream.write_all(&[request, message].concat())?;
        if is_closing {
            stream.shutdown(Shutdown::Write)?;
        }
        stream.read_to_end(&mut answer)?;
    } else {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(ANSWER_WAIT))?;
        stream.set_nodelay(true)?;
        stream.write_all(&[request, message].concat())?;
        if is_closing {
            stream.shutdown(Shutdown::Write)?;
        }
        stream.read_to_end(&mut answer)?;
    }
    Ok(answer)
}
