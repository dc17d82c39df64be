//! A request read: words in any order become an [`Ask`].

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use data_encoding::BASE64;

use super::REQUEST_OCTETS_MAX;
use super::Stage;
use super::address::ExactAddress;
use super::ask::{
    Ask, AskError, Content, Defect, DefectKind, DeliveryEvent, Login, Origin, Part, STAGES, TEXT_OCTETS_MAX, Tls,
    Transaction,
};
use super::parts::PARTS_MAX;
use super::words::{self, WORDS_MAX, Word};

impl Ask {
    /// Reads one request, with or without its LF.
    ///
    /// # Errors
    /// [`AskError`] when the stage cannot be read; anything else that is wrong is a [`Defect`].
    pub fn decode(line: &[u8]) -> Result<Ask, AskError> {
        let mut reader = Reader::default();
        let cut = line.get(..REQUEST_OCTETS_MAX);
        if cut.is_some_and(|_| line.len() > REQUEST_OCTETS_MAX) {
            reader.note("", DefectKind::TooLong);
        }
        let mut words = words::split(cut.unwrap_or(line));
        for word in words.by_ref().take(WORDS_MAX) {
            reader.take(word);
        }
        if words.next().is_some() {
            reader.note("", DefectKind::TooManyWords);
        }
        reader.finish()
    }
}

/// The words as they come, until all are there and can be joined into values.
#[derive(Default)]
struct Reader {
    seen: BTreeSet<&'static str>,
    stage: Option<String>,
    session: Option<String>,
    client: Option<String>,
    interface: Option<String>,
    host: Option<String>,
    ident: Option<String>,
    uid: Option<u32>,
    gid: Option<u32>,
    cwd: Option<String>,
    protocol: Option<String>,
    cipher: Option<String>,
    sni: Option<String>,
    helo: Option<String>,
    login: Login,
    sender: Option<String>,
    transaction: Transaction,
    content: Content,
    part: Option<u16>,
    parts: Option<u16>,
    why: Option<String>,
    event: DeliveryEvent,
    mechanism: Option<String>,
    defects: Vec<Defect>,
}

/// Every word of a request. An unknown one is for a newer daemon and no defect.
const KEYS: [&str; 43] = [
    "am", "auth", "authfail", "blen", "cut", "cwd", "ea", "ed", "eh", "eml", "er", "et", "ev", "from", "gid", "hdr",
    "helo", "hlen", "host", "hq", "id", "ident", "if", "ip", "mech", "part", "parts", "proto", "queue", "rc", "rcpt",
    "rcpts", "rd", "rf", "rn", "s", "size", "sni", "spool", "st", "tls", "uid", "why",
];

impl Reader {
    fn take(&mut self, word: Word<'_>) {
        let Some(key) = KEYS.iter().find(|k| **k == word.key).copied() else {
            return;
        };
        if !self.seen.insert(key) {
            return self.note(key, DefectKind::Repeated);
        }
        if !word.is_closed {
            self.note(key, DefectKind::Unclosed);
        }
        let value = word.value;
        match key {
            "st" => self.stage = self.text(key, value),
            "s" => self.session = self.text(key, value),
            "ip" => self.client = Some(self.exact_text(key, value)),
            "if" => self.interface = Some(self.exact_text(key, value)),
            // The first word of `$sender_fullhost`: without a confirmed name, that is the greeting in parentheses or the address.
            "host" => self.host = self.text(key, value).filter(|host| !host.starts_with(['(', '['])),
            "ident" => self.ident = self.text(key, value),
            "uid" => self.uid = self.number(key, &value),
            "gid" => self.gid = self.number(key, &value),
            "cwd" => self.cwd = self.text(key, value),
            "proto" => self.protocol = self.text(key, value),
            "tls" => self.cipher = self.text(key, value),
            "sni" => self.sni = self.text(key, value),
            "helo" => self.helo = self.text(key, value),
            "auth" => self.login.account = self.text(key, value),
            "am" => self.login.mechanism = self.text(key, value),
            "authfail" => self.login.failed_account = self.text(key, value).map(bare_account),
            "from" => self.sender = Some(self.exact_text(key, value)),
            "part" => self.part = self.number(key, &value),
            "parts" => self.parts = self.number(key, &value),
            "why" => self.why = self.text(key, value),
            "mech" => self.mechanism = self.text(key, value),
            _ => self.take_message(key, value),
        }
    }

    fn take_message(&mut self, key: &'static str, value: Vec<u8>) {
        match key {
            "id" => self.transaction.id = self.text(key, value),
            // Exim says -1 when MAIL announced no size.
            "size" if value == b"-1" => {}
            "size" => self.transaction.size = self.number(key, &value),
            "rcpt" => self.transaction.recipient = self.text(key, value).map(ExactAddress::new),
            "rc" => self.transaction.counts.asked = self.number(key, &value).unwrap_or(0),
            "rn" => self.transaction.counts.accepted = self.number(key, &value).unwrap_or(0),
            "rf" => self.transaction.counts.refused = self.number(key, &value).unwrap_or(0),
            "rd" => self.transaction.counts.deferred = self.number(key, &value).unwrap_or(0),
            "spool" => self.content.spool = self.text(key, value),
            "queue" => self.content.queue = self.text(key, value),
            "blen" => self.content.body_octets = self.number(key, &value),
            "hlen" => self.content.headers_octets = self.number(key, &value),
            "eml" => self.content.is_in_scan_file = value == b"1",
            "cut" => self.content.is_cut = value == b"1",
            "hq" => self.content.takes_quoted = value == b"1",
            "ev" => self.event.name = self.exact_text(key, value),
            "ed" => self.event.text = self.text(key, value),
            "er" => self.event.router = self.text(key, value),
            "et" => self.event.transport = self.text(key, value),
            "eh" => self.event.host = self.text(key, value),
            "ea" => self.event.host_ip = self.text(key, value),
            "hdr" => self.content.headers = self.base64(key, &value),
            "rcpts" => self.content.recipients = self.base64(key, &value),
            _ => {}
        }
    }

    /// A text; an empty one is how Exim says that it has none.
    fn text(&mut self, key: &'static str, value: Vec<u8>) -> Option<String> {
        Some(self.exact_text(key, value)).filter(|text| !text.is_empty())
    }

    fn exact_text(&mut self, key: &'static str, mut value: Vec<u8>) -> String {
        if value.len() > TEXT_OCTETS_MAX {
            value.truncate(TEXT_OCTETS_MAX);
            self.note(key, DefectKind::TooLong);
        }
        String::from_utf8(value).unwrap_or_else(|error| {
            self.note(key, DefectKind::NotUtf8);
            String::from_utf8_lossy(error.as_bytes()).into_owned()
        })
    }

    /// A number; an empty value is how Exim says that it has none.
    fn number<N: std::str::FromStr>(&mut self, key: &'static str, value: &[u8]) -> Option<N> {
        if value.is_empty() {
            return None;
        }
        let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
        if number.is_none() {
            self.note(key, DefectKind::Unreadable);
        }
        number
    }

    fn base64(&mut self, key: &'static str, value: &[u8]) -> Vec<u8> {
        BASE64.decode(value).unwrap_or_else(|_| {
            self.note(key, DefectKind::BadBase64);
            Vec::new()
        })
    }

    fn note(&mut self, word: &'static str, kind: DefectKind) {
        self.defects.push(Defect { word, kind });
    }

    fn finish(mut self) -> Result<Ask, AskError> {
        let word = self.stage.take().ok_or(AskError::NoStage)?;
        let stage = STAGES.iter().find(|(name, _)| *name == word).map(|(_, stage)| *stage);
        let stage = stage.ok_or(AskError::UnknownStage(word))?;
        let part = self.finish_part();
        let origin = self.finish_origin();
        self.transaction.sender = self.sender.filter(|_| stage.has_sender()).map(ExactAddress::new);
        let sni = self.sni;
        // At stage auth nobody is logged in by this mechanism yet, so Exim's own word for it is empty.
        self.login.mechanism = self.login.mechanism.or(self.mechanism);
        Ok(Ask {
            stage,
            part,
            session: self.session,
            origin,
            protocol: self.protocol,
            tls: self.cipher.map(|cipher| Tls { cipher, sni }),
            helo: self.helo,
            login: self.login,
            transaction: self.transaction,
            content: self.content,
            why: self.why,
            event: Some(self.event).filter(|_| stage == Stage::Event),
            defects: self.defects,
        })
    }

    fn finish_part(&mut self) -> Part {
        match (self.part, self.parts) {
            (None, None) => Part::WHOLE,
            (Some(number), Some(of)) if (1..=of).contains(&number) && of <= PARTS_MAX => Part { number, of },
            _ => {
                self.note("part", DefectKind::Unreadable);
                self.content.is_cut = true;
                Part::WHOLE
            }
        }
    }

    fn finish_origin(&mut self) -> Origin {
        let Some(client) = self.client.take() else {
            return Origin::Unknown;
        };
        if client.is_empty() || client.starts_with(':') && !client.starts_with("::") {
            let (user, cwd) = (self.ident.take(), self.cwd.take());
            return Origin::Local { uid: self.uid, gid: self.gid, user, cwd };
        }
        let Some(client) = socket_address(&client) else {
            self.note("ip", DefectKind::Unreadable);
            return Origin::Unknown;
        };
        let interface = self.interface.take().and_then(|text| socket_address(&text));
        Origin::Remote { client, interface, host: self.host.take(), ident: self.ident.take() }
    }
}

/// Exim 4.96 keeps a failed account as it will stand in the log: ` (set_id=ACCOUNT)`.
fn bare_account(text: String) -> String {
    let bare = text.strip_prefix(" (set_id=").and_then(|t| t.strip_suffix(')'));
    bare.map_or_else(|| text.clone(), str::to_owned)
}

/// Reads `address:port` as Exim joins them; IPv6 comes without brackets, so the last colon splits.
fn socket_address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.rsplit_once(':')?;
    let address: IpAddr = address.parse().ok()?;
    // Exim says -1 for a port that it does not know.
    Some(SocketAddr::new(address.to_canonical(), port.parse().unwrap_or(0)))
}
