//! One answer to an Exim ACL, in the form that the ACL's own check lets through.

use data_encoding::BASE64;

use super::address::ExactAddress;
use super::words;

/// Longest reply text in octets; a longer one is cut. An SMTP reply line is 512 octets (RFC 5321 section 4.5.3.1.5).
const REPLY_OCTETS_MAX: usize = 480;

/// What the ACL is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Go on with the panel's own rules.
    Accept,
    /// As accept, with header fields changed.
    Tag,
    /// Refuse for now (4xx).
    Defer,
    /// Refuse for now because nobody knows this sender yet; for Exim the same as defer.
    Greylist,
    /// Refuse for good (5xx).
    Reject,
    /// Refuse for good and close the connection.
    Drop,
    /// Accept; the recipients named go to the quarantine instead of the mailbox.
    Quarantine,
    /// Answer to a part that is not the last.
    More,
    /// Parts are missing: send all of them once more.
    Again,
    /// Answer to keep: the message is safe in the quarantine for this recipient.
    Kept,
    /// Answer to keep: there is no such message in the quarantine; deliver it.
    Gone,
}

/// Each action and its word.
const ACTIONS: [(&str, Action); 11] = [
    ("accept", Action::Accept),
    ("tag", Action::Tag),
    ("defer", Action::Defer),
    ("greylist", Action::Greylist),
    ("reject", Action::Reject),
    ("drop", Action::Drop),
    ("quarantine", Action::Quarantine),
    ("more", Action::More),
    ("again", Action::Again),
    ("kept", Action::Kept),
    ("gone", Action::Gone),
];

impl Action {
    /// The word of the protocol.
    #[must_use]
    pub fn word(self) -> &'static str {
        ACTIONS.iter().find(|(_, action)| *action == self).map_or("", |(word, _)| word)
    }

    /// The reply that Exim gives when the answer has none or one of the wrong class.
    fn default_reply(self) -> Option<&'static str> {
        match self {
            Action::Defer => Some("451 4.7.1 Try again later"),
            Action::Greylist => Some("451 4.7.1 Greylisted, try again later"),
            Action::Reject | Action::Drop => Some("550 5.7.1 Rejected by policy"),
            _ => None,
        }
    }
}

/// Where an added header field goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Above everything, as trace fields want it (RFC 8601 section 2).
    Start,
    /// Right below the topmost block of `Received` fields, and above those that were put there before.
    AfterReceived,
    /// After the last field.
    End,
}

/// What Exim puts before a field to know its place; without a word it goes to the end.
const PLACES: [(&str, Position); 3] =
    [(":at_start:", Position::Start), (":after_received:", Position::AfterReceived), ("", Position::End)];
/// Longest line of a field, in octets. RFC 5322 section 2.1.1 allows 998.
const LINE_OCTETS_MAX: usize = 900;

/// A header field to add: name, colon, value, folded lines joined by LF and white space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderLine {
    line: Vec<u8>,
    position: Position,
}

/// Why a text is no header field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderLineError {
    /// The name is empty or holds something else than visible ASCII.
    #[error("the name of a header field must be visible ASCII without a colon")]
    BadName,
    /// The value holds NUL or CR, or a line that does not begin with white space.
    #[error("the value of a header field holds NUL, CR or an unfolded line end")]
    BadValue,
}

impl HeaderLine {
    /// The field `name: value`. `value` may be folded by LF and white space, and may hold eight-bit octets.
    ///
    /// # Errors
    /// [`HeaderLineError`]: nothing is repaired, so that no hostile text becomes a field of its own.
    pub fn new(name: &str, value: &[u8], position: Position) -> Result<HeaderLine, HeaderLineError> {
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic() && b != b':') {
            return Err(HeaderLineError::BadName);
        }
        // A folded line of white space alone ends the header for some readers.
        let is_blank = |line: &[u8]| line.iter().all(|b| matches!(b, b' ' | b'\t'));
        let mut folds = value.split(|b| *b == b'\n').skip(1);
        let is_folded = folds.all(|line| matches!(line, [b' ' | b'\t', ..]) && !is_blank(line));
        if !is_folded || value.iter().any(|b| matches!(b, 0 | b'\r')) {
            return Err(HeaderLineError::BadValue);
        }
        let mut line = name.as_bytes().to_vec();
        line.extend_from_slice(b": ");
        line.extend_from_slice(value);
        Ok(HeaderLine { line, position })
    }

    /// The field `name: value`, its value on one line folded before blanks where it is too long.
    ///
    /// # Errors
    /// As [`HeaderLine::new`].
    pub fn folded(name: &str, value: &str, position: Position) -> Result<HeaderLine, HeaderLineError> {
        let mut text = String::with_capacity(value.len());
        let mut line = name.len() + 2;
        for word in value.split_inclusive(' ') {
            let fits = line + word.len() <= LINE_OCTETS_MAX;
            if !fits && text.ends_with(' ') && !word.trim().is_empty() {
                // The blank itself begins the next line.
                text.insert(text.len() - 1, '\n');
                line = 1;
            }
            text.push_str(word);
            line += word.len();
        }
        HeaderLine::new(name, text.as_bytes(), position)
    }

    /// The field as it will stand in the message, without its last line end.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.line
    }

    /// Where it goes.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What to do.
    pub action: Action,
    /// The name of this connection for later asks: letters and digits.
    pub session: Option<String>,
    /// The SMTP reply, code and enhanced code first: `550 5.7.1 text`. For defer, greylist, reject and drop.
    pub reply: Option<String>,
    /// Fields to remove: every field of each name goes, so foreign ones must be added back by `add`.
    pub remove: Vec<String>,
    /// Fields to add, in order; Exim removes first.
    pub add: Vec<HeaderLine>,
    /// The recipients for which the message goes to the quarantine, as the ask gave them.
    pub quarantine: Vec<ExactAddress>,
    /// A field that some recipients get in the place of the one that `add` gives the message.
    pub own_field: Option<OwnField>,
    /// Seconds to wait before the reply; the ACL caps it.
    pub delay_s: u16,
}

/// A field for some recipients. The router gives it to those whose address it can write down safely; the others keep that of the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnField {
    /// Those recipients, as the ask gave them.
    pub recipients: Vec<ExactAddress>,
    /// The field; where it stands is the router's affair. It knows one name: `X-Tidegate-Status`.
    pub line: HeaderLine,
}

/// Why a line is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer does not begin with a known action")]
pub struct AnswerError;

impl Answer {
    /// An answer that says `action` alone.
    #[must_use]
    pub fn new(action: Action) -> Answer {
        Answer {
            action,
            session: None,
            reply: None,
            remove: Vec::new(),
            add: Vec::new(),
            quarantine: Vec::new(),
            own_field: None,
            delay_s: 0,
        }
    }

    /// Writes the one line, without LF, which Exim would keep: the end of the connection ends it. Hostile text in the reply is made
    /// harmless; names of fields that no header can have are left out. Fields travel in base64, which every ACL of ours reads.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.encode_with(|line, key, value| push(line, &format!("{key}b"), &BASE64.encode(value)))
    }

    /// As [`Answer::encode`], with fields as quoted text: for an ACL that says `hq=1`. Exim cannot fail to read such text, so it needs no
    /// proof. The last word tells that the line is whole: within quotes, no `"` stands without a backslash before it.
    #[must_use]
    pub fn encode_quoted(&self) -> Vec<u8> {
        let mut line = self.encode_with(words::push_always_quoted);
        if !self.remove.is_empty() || !self.add.is_empty() {
            push(&mut line, "e", ".");
        }
        line
    }

    fn encode_with(&self, push_fields: impl Fn(&mut Vec<u8>, &str, &[u8])) -> Vec<u8> {
        let mut line = format!("a={}", self.action.word()).into_bytes();
        if let Some(session) = self.session.as_deref().filter(|s| is_session_name(s)) {
            push(&mut line, "sid", session);
        }
        if let Some(fallback) = self.action.default_reply() {
            push(&mut line, "m", &harmless_reply(self.reply.as_deref().unwrap_or(fallback), fallback));
        }
        let names: Vec<&str> = self.remove.iter().map(String::as_str).filter(|n| is_removable(n)).collect();
        if !names.is_empty() {
            push_fields(&mut line, "r", names.join(":").as_bytes());
        }
        if !self.add.is_empty() {
            push_fields(&mut line, "h", &self.added_block());
        }
        if !self.quarantine.is_empty() {
            push(&mut line, "q", &keys(&self.quarantine));
        }
        if let Some(own) = &self.own_field {
            push(&mut line, "p", &keys(&own.recipients));
            words::push_always_quoted(&mut line, "ph", &own.line.line);
        }
        if self.delay_s > 0 {
            push(&mut line, "t", &self.delay_s.to_string());
        }
        line
    }

    fn added_block(&self) -> Vec<u8> {
        let mut block = Vec::new();
        for field in &self.add {
            if !block.is_empty() {
                block.push(b'\n');
            }
            let place = PLACES.iter().find(|(_, position)| *position == field.position).map_or("", |(place, _)| place);
            block.extend_from_slice(place.as_bytes());
            block.extend_from_slice(&field.line);
        }
        block
    }

    /// Reads an answer as the ACL does: for tests, the bench and anything else that plays Exim. Quarantined recipients
    /// come back as their keys read: without quotes and in lower case.
    ///
    /// # Errors
    /// [`AnswerError`] when the first word is no known action.
    pub fn decode(line: &[u8]) -> Result<Answer, AnswerError> {
        let mut words = words::split(line);
        let first = words.next().filter(|word| word.key == "a").ok_or(AnswerError)?;
        let action = ACTIONS.iter().find(|(name, _)| name.as_bytes() == first.value).ok_or(AnswerError)?.1;
        let mut answer = Answer::new(action);
        let (mut own_recipients, mut own_line) = (Vec::new(), None);
        for word in words {
            let text = String::from_utf8_lossy(&word.value).into_owned();
            match word.key {
                "sid" => answer.session = Some(text),
                "m" => answer.reply = Some(text),
                "r" => answer.remove = text.split(':').map(str::to_owned).collect(),
                "h" => answer.add = read_added(&word.value),
                "rb" => answer.remove = decoded(&text).split(':').map(str::to_owned).collect(),
                "hb" => answer.add = read_added(&BASE64.decode(&word.value).unwrap_or_default()),
                "q" => answer.quarantine = read_keys(&text),
                "p" => own_recipients = read_keys(&text),
                "ph" => own_line = Some(HeaderLine { line: word.value.to_vec(), position: Position::Start }),
                "t" => answer.delay_s = text.parse().unwrap_or(0),
                _ => {}
            }
        }
        answer.own_field = own_line.map(|line| OwnField { recipients: own_recipients, line });
        Ok(answer)
    }
}

fn keys(addresses: &[ExactAddress]) -> String {
    let keys: Vec<String> = addresses.iter().map(ExactAddress::key).collect();
    keys.join(":")
}

fn read_keys(text: &str) -> Vec<ExactAddress> {
    text.split(':').map(|key| ExactAddress::new(decoded(key))).collect()
}

fn decoded(text: &str) -> String {
    String::from_utf8_lossy(&BASE64.decode(text.as_bytes()).unwrap_or_default()).into_owned()
}

fn read_added(block: &[u8]) -> Vec<HeaderLine> {
    let mut fields: Vec<HeaderLine> = Vec::new();
    for line in block.split(|b| *b == b'\n') {
        match fields.last_mut() {
            Some(field) if line.first().is_some_and(|b| matches!(b, b' ' | b'\t')) => {
                field.line.push(b'\n');
                field.line.extend_from_slice(line);
            }
            _ => fields.extend(PLACES.iter().find_map(|(place, position)| {
                let line = line.strip_prefix(place.as_bytes())?.to_vec();
                Some(HeaderLine { line, position: *position })
            })),
        }
    }
    fields
}

fn push(line: &mut Vec<u8>, key: &str, value: &str) {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    line.extend_from_slice(format!(" {key}=\"{value}\"").as_bytes());
}

fn is_session_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Exim takes the list apart at colons, and `*` at the end of a name as any ending.
fn is_removable(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b':' | b'*' | b'"' | b'\\'))
}

/// A reply of printable ASCII in one line, of the class of `fallback`.
fn harmless_reply(reply: &str, fallback: &str) -> String {
    let reply: String = reply.chars().map(|c| if c.is_ascii_graphic() { c } else { ' ' }).collect();
    let reply = reply.trim();
    let mut text = if is_of_class(reply, fallback) { reply.to_owned() } else { format!("{} {reply}", codes(fallback)) };
    text.truncate(REPLY_OCTETS_MAX);
    text.trim_end().to_owned()
}

/// Whether `reply` begins with a reply code of the same first digit as `fallback` (Exim refuses any other).
fn is_of_class(reply: &str, fallback: &str) -> bool {
    let code = reply.split(' ').next().unwrap_or_default();
    code.len() == 3 && code.bytes().all(|b| b.is_ascii_digit()) && code.bytes().next() == fallback.bytes().next()
}

/// The two codes with which a default reply begins.
fn codes(reply: &str) -> String {
    reply.splitn(3, ' ').take(2).collect::<Vec<_>>().join(" ")
}
