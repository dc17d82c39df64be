//! An SMTP client that says what it is told to, from the address that it is told to.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

/// Longest wait for a reply: longer than any stage's own limit in Exim's configuration.
const REPLY_WAIT: Duration = Duration::from_secs(60);

/// One reply, of one or several lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The three digits; 0 when the server closed the connection without a reply.
    pub code: u16,
    /// All lines, codes included, joined by LF.
    pub text: String,
}

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects from `source` to `server` and reads the greeting.
    ///
    /// # Errors
    /// When there is no connection; a refusal by the server is a [`Reply`].
    pub fn connect(source: IpAddr, server: SocketAddr) -> anyhow::Result<(Client, Reply)> {
        let family = if source.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = socket(family, SocketType::STREAM, None)?;
        bind(&socket, &SocketAddr::new(source, 0)).with_context(|| format!("binding {source}"))?;
        connect(&socket, &server).with_context(|| format!("connecting to {server}"))?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(REPLY_WAIT))?;
        stream.set_write_timeout(Some(REPLY_WAIT))?;
        let mut client = Client { stream: BufReader::new(stream) };
        let greeting = client.read_reply()?;
        Ok((client, greeting))
    }

    /// Sends one line and reads the reply.
    ///
    /// # Errors
    /// When the connection breaks in the middle of a reply, or no reply comes for a minute.
    pub fn say(&mut self, line: &str) -> anyhow::Result<Reply> {
        self.say_bytes(format!("{line}\r\n").as_bytes())
    }

    /// Sends octets as they are and reads one reply.
    ///
    /// # Errors
    /// As [`Client::say`].
    pub fn say_bytes(&mut self, bytes: &[u8]) -> anyhow::Result<Reply> {
        // A server that has closed the connection may still have left a reply to read.
        let _ = self.stream.get_mut().write_all(bytes);
        self.read_reply()
    }

    /// Sends EHLO, MAIL and RCPT; each must be accepted.
    ///
    /// # Errors
    /// When one is not.
    pub fn envelope(&mut self, helo: &str, sender: &str, recipients: &[&str]) -> anyhow::Result<()> {
        self.expect(&format!("EHLO {helo}"), 250)?;
        self.transaction(sender, recipients)
    }

    /// Sends MAIL and RCPT; each must be accepted.
    ///
    /// # Errors
    /// When one is not.
    pub fn transaction(&mut self, sender: &str, recipients: &[&str]) -> anyhow::Result<()> {
        self.expect(&format!("MAIL FROM:<{sender}>"), 250)?;
        for recipient in recipients {
            self.expect(&format!("RCPT TO:<{recipient}>"), 250)?;
        }
        Ok(())
    }

    /// Sends DATA and a message, with line ends and leading dots made right, and gives the last reply.
    ///
    /// # Errors
    /// When DATA is not accepted.
    pub fn data(&mut self, message: &[u8]) -> anyhow::Result<Reply> {
        self.expect("DATA", 354)?;
        self.say_bytes(&framed(message))
    }

    /// Sends one line, which must be answered by `code`.
    ///
    /// # Errors
    /// When it is answered otherwise.
    pub fn expect(&mut self, line: &str, code: u16) -> anyhow::Result<Reply> {
        let reply = self.say(line)?;
        ensure!(reply.code == code, "`{line}` was answered by `{}` and not {code}", reply.text);
        Ok(reply)
    }

    /// Closes the connection without QUIT.
    pub fn hang_up(self) {
        let _ = self.stream.get_ref().shutdown(Shutdown::Both);
    }

    fn read_reply(&mut self) -> anyhow::Result<Reply> {
        let mut text = String::new();
        loop {
            let mut line = Vec::new();
            match self.stream.read_until(b'\n', &mut line) {
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
                read => _ = read.context("reading a reply")?,
            }
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if line.is_empty() {
                return Ok(Reply { code: 0, text });
            }
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&line);
            if line.as_bytes().get(3) != Some(&b'-') {
                let code = line.get(..3).and_then(|code| code.parse().ok()).unwrap_or(0);
                return Ok(Reply { code, text });
            }
        }
    }
}

/// A message as it travels after DATA: lines ended by CRLF, leading dots doubled, the final dot.
#[must_use]
pub fn framed(message: &[u8]) -> Vec<u8> {
    let mut framed = Vec::with_capacity(message.len() + message.len() / 32);
    let message = message.strip_suffix(b"\n").unwrap_or(message);
    for line in message.split(|b| *b == b'\n') {
        if line.starts_with(b".") {
            framed.push(b'.');
        }
        framed.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        framed.extend_from_slice(b"\r\n");
    }
    framed.extend_from_slice(b".\r\n");
    framed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_framed_by_dots_and_line_ends() {
        assert_eq!(framed(b"a: b\n\n.x\r\n..\n"), b"a: b\r\n\r\n..x\r\n...\r\n.\r\n");
    }
}
