//! Form of the transaction and of the message (RFC 5321, RFC 5322, RFC 2045): what no mail server does is refused, what is
//! merely wrong adds points. Reads the defects that `tidegate-mail` found while parsing; it never parses anything itself.
//!
//! Mail that is submitted here is not judged by its form, since mail programs leave fields to the server. It is only held to
//! the limits: a message that was not read to its end cannot be vouched for.

use std::future::ready;
use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_mail::{Defect, Defects, Domain, HeaderField, Message, ReversePath};

use crate::check::{Ask, Class, Finding, OnData, OnRcpt, Outcome, RefusalKind, Symbol, SymbolRef};
use crate::checks::Parts;
use crate::headers::forged::{ForeignResults, OwnNames};
use crate::known::Answer;
use crate::session::{Client, Mail, Rcpt};
use crate::settings::ConfigError;

mod symbols;

use symbols::{BY_DEFECT, LIMITS, LINE_ENDS, TEXT_LIMITS};

/// `[checks.rfc]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether NUL, bare CR, bare LF and a smuggled end of data are refused; else they add points.
    pub refuse_line_ends: bool,
    /// Whether a message with several `From`, `To`, `Subject`, `Date` or `Message-ID` is refused; else it gets points.
    pub refuse_repeated: bool,
    /// `Received` fields from which on a message is taken to run in a circle (RFC 5321 section 6.3 asks for at least 100).
    pub hops_max: usize,
    /// Days that `Date` may differ from today.
    pub date_days_max: u32,
    /// Octets of header above which it is remarkable.
    pub header_octets_max: usize,
    /// Fields of header above which it is remarkable.
    pub header_fields_max: usize,
    /// Octets of a line above which it is remarkable; the standard's 998 are exceeded by much good mail.
    pub line_octets_max: usize,
    /// Depth of MIME parts above which it is remarkable.
    pub nesting_max: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            refuse_line_ends: true,
            refuse_repeated: false,
            hops_max: 100,
            date_days_max: 7,
            header_octets_max: 256 << 10,
            header_fields_max: 1000,
            line_octets_max: 2048,
            nesting_max: 20,
        }
    }
}

/// The check.
pub struct Check {
    config: Config,
    /// Symbols whose class the configuration decides, in the order of [`LINE_ENDS`].
    line_ends: Vec<Arc<Symbol>>,
    repeated: Arc<Symbol>,
    /// Our name in Authentication-Results.
    authserv_id: Domain,
}

impl Check {
    /// Builds the check.
    ///
    /// # Errors
    /// None.
    pub fn build(config: &Config, parts: &Parts<'_>) -> Result<Check, ConfigError> {
        let class = |refuse| if refuse { Class::Refusal(RefusalKind::Protocol) } else { Class::Evidence };
        let symbol = |declared: &Symbol, refuse| Arc::new(declared.clone().with_class(class(refuse)));
        Ok(Check {
            line_ends: LINE_ENDS.iter().map(|of| symbol(of.symbol, config.refuse_line_ends)).collect(),
            repeated: symbol(&symbols::REPEATED_FIELD, config.refuse_repeated),
            config: config.clone(),
            authserv_id: parts.identity.hostname.clone(),
        })
    }

    /// Every symbol it can find.
    pub fn symbols(&self) -> Vec<SymbolRef> {
        let loaded = self.line_ends.iter().chain([&self.repeated]).map(|symbol| SymbolRef::Loaded(Arc::clone(symbol)));
        let by_defect = BY_DEFECT.iter().map(|of| of.symbol);
        let declared = by_defect.chain(symbols::OTHERS.iter().copied());
        loaded.chain(declared.map(SymbolRef::Declared)).collect()
    }

    fn about_form(&self, message: &Message, now: Timestamp) -> Vec<Finding> {
        let mut found: Vec<Finding> = Vec::new();
        for (of, symbol) in LINE_ENDS.iter().zip(&self.line_ends) {
            found.extend(seen(message.defects(), of.defects).map(|what| Finding::loaded(symbol, what)));
        }
        found.extend(seen(message.defects(), symbols::REPEATED).map(|what| Finding::loaded(&self.repeated, what)));
        for of in BY_DEFECT {
            found.extend(seen(message.defects(), of.defects).map(|what| Finding::of(of.symbol, what)));
        }
        found.extend(about_eight_bit(message));
        found.extend(about_correspondents(message));
        found.extend(self.about_date(message, now));
        found.extend(self.about_size(message));
        found.extend(self.about_our_name(message));
        found.extend(seen(message.defects(), LIMITS).map(|what| Finding::of(&symbols::OVER_LIMIT, what)));
        let text = seen(&message.text_defects(), TEXT_LIMITS);
        found.extend(text.map(|what| Finding::of(&symbols::TEXT_OVER_LIMIT, what)));
        found
    }

    fn about_hops(&self, message: &Message) -> Option<Finding> {
        let hops = message.headers_named("Received").count();
        let is_circle = hops > self.config.hops_max;
        is_circle.then(|| Finding::of(&symbols::TOO_MANY_HOPS, format!("{hops} Received fields")))
    }

    fn about_date(&self, message: &Message, now: Timestamp) -> Option<Finding> {
        let written = message.date()?;
        let days = written.saturating_sub(now.as_second()) / SECONDS_A_DAY;
        let symbol = match days {
            days if days > i64::from(self.config.date_days_max) => &symbols::DATE_IN_FUTURE,
            days if days < -i64::from(self.config.date_days_max) => &symbols::DATE_IN_PAST,
            _ => return None,
        };
        Some(Finding::of(symbol, format!("{} days", days.unsigned_abs())))
    }

    /// What the message says in our name is removed; here is what cannot be.
    fn about_our_name(&self, message: &Message) -> Vec<Finding> {
        let left = OwnNames::of(message).left;
        let dropped = ForeignResults::of(message, &self.authserv_id).map_or(0, |foreign| foreign.dropped);
        let found = [
            (left > 0).then(|| Finding::of(&symbols::FORGED_FIELDS, format!("{left} too many"))),
            (dropped > 0).then(|| Finding::of(&symbols::TOO_MANY_RESULTS, format!("{dropped} left out"))),
        ];
        found.into_iter().flatten().collect()
    }

    fn about_size(&self, message: &Message) -> Vec<Finding> {
        let (octets, fields) = (message.header_bytes().len(), message.headers().len());
        let depth = message.parts().iter().map(tidegate_mail::Part::depth).max().unwrap_or_default();
        let line = message.survey().line_octets_max;
        let large = octets > self.config.header_octets_max || fields > self.config.header_fields_max;
        let found = [
            large.then(|| Finding::of(&symbols::LARGE_HEADER, format!("{octets} octets in {fields} fields"))),
            (line > self.config.line_octets_max).then(|| Finding::of(&symbols::LONG_LINE, format!("{line} octets"))),
            (depth > self.config.nesting_max).then(|| Finding::of(&symbols::DEEP_NESTING, format!("{depth} levels"))),
        ];
        found.into_iter().flatten().collect()
    }
}

const SECONDS_A_DAY: i64 = 86_400;

impl OnRcpt for Check {
    fn rcpt<'a>(&'a self, ask: &'a Ask<'a, Rcpt>) -> Answer<'a, Outcome> {
        let Rcpt { sender, count, .. } = ask.facts;
        // A bounce goes to the one who wrote the message (RFC 5321 section 6.1), and that is one address.
        let several = sender.path == ReversePath::Null && *count > 1 && !sender.submits();
        let finding = several.then(|| Finding::of(&symbols::NULL_SENDER_SEVERAL, format!("recipient {count}")));
        Box::pin(ready(finding.into_iter().collect()))
    }
}

impl OnData for Check {
    fn data<'a>(&'a self, ask: &'a Ask<'a, Mail>) -> Answer<'a, Outcome> {
        let Mail { envelope, message, .. } = ask.facts;
        let sender = &envelope.sender;
        let mut found: Vec<Finding> = self.about_hops(message).into_iter().collect();
        if !sender.submits() {
            found.extend(self.about_form(message, ask.now));
        } else if sender.login.is_some() || matches!(sender.greeting.connect.client, Client::Local(_)) {
            let unread =
                seen(message.defects(), LIMITS).or_else(|| seen(&message.text_defects(), &[Defect::TextTooLong]));
            found.extend(unread.map(|what| Finding::of(&symbols::SUBMISSION_OVER_LIMIT, what)));
        }
        Box::pin(ready(found.into_iter().collect()))
    }
}

/// Those of `defects` that are among `all`, with how often if more than once; `None` if none is. Where there is but one it can
/// be, the symbol says it already.
fn seen(all: &Defects, defects: &[Defect]) -> Option<String> {
    let sightings = all.iter().filter(|sighting| defects.contains(&sighting.defect));
    let names: Vec<String> = sightings
        .map(|sighting| match (defects, sighting.count) {
            ([_], 1) => String::new(),
            ([_], count) => format!("x{count}"),
            (_, 1) => sighting.defect.to_string(),
            (_, count) => format!("{} x{count}", sighting.defect),
        })
        .collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// Raw octets above 127 in the header: UTF-8 is what SMTPUTF8 (RFC 6532) allows, other charsets are never right. The topmost
/// Received is none of the sender's: the server that asks wrote it, with a recipient that may be such an address.
fn about_eight_bit(message: &Message) -> Option<Finding> {
    let defects = message.defects();
    if !defects.has(Defect::EightBitHeader) && !defects.has(Defect::EightBitHeaderNotUtf8) {
        return None;
    }
    let is_raw = |field: &&HeaderField| !field.raw_value().is_ascii();
    let own = message.headers().first().filter(|field| field.is("Received"));
    let theirs = message.headers().get(usize::from(own.is_some())..).unwrap_or_default();
    let raw: Vec<&HeaderField> = theirs.iter().filter(is_raw).collect();
    if raw.is_empty() && own.as_ref().is_some_and(is_raw) {
        return None;
    }
    let is_broken = |field: &&&HeaderField| std::str::from_utf8(field.raw_value()).is_err();
    let broken = raw.iter().find(is_broken);
    let symbol = match (broken, own.as_ref().is_some_and(is_raw)) {
        (Some(_), _) => &symbols::EIGHT_BIT_HEADER_NOT_UTF8,
        // Lines that are no fields may hold them as well.
        (None, false) if defects.has(Defect::EightBitHeaderNotUtf8) => &symbols::EIGHT_BIT_HEADER_NOT_UTF8,
        _ => &symbols::EIGHT_BIT_HEADER,
    };
    Some(Finding::of(symbol, broken.or(raw.first()).map_or("", |field| field.name())))
}

/// Authors and recipients as the header names them.
fn about_correspondents(message: &Message) -> Vec<Finding> {
    let has = |name: &str| message.header(name).is_some();
    let authors = message.from().iter().filter(|mailbox| mailbox.address.is_some()).count();
    let several = authors > 1 && !has("Sender");
    let found = [
        (has("From") && authors == 0).then(|| Finding::of(&symbols::FROM_WITHOUT_ADDRESS, "")),
        several.then(|| Finding::of(&symbols::SEVERAL_AUTHORS, format!("{authors} authors"))),
        (!has("To") && !has("Cc") && !has("Bcc")).then(|| Finding::of(&symbols::MISSING_TO, "")),
        (!has("Subject")).then(|| Finding::of(&symbols::MISSING_SUBJECT, "")),
    ];
    found.into_iter().flatten().collect()
}
