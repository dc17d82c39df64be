//! One message as SpamAssassin sees it: plain data that rules and evals read.
//! `Input::from_message(&Message, &Context, &Settings)` builds it (in the files below this one); nothing here decides.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::field::FieldRequest;
use crate::settings::Settings;

/// What is known of a message besides its bytes.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Envelope sender without angle brackets (empty: the null path); `None` when unknown, then headers tell.
    pub envelope_from: Option<String>,
    /// Envelope recipients.
    pub recipients: Vec<String>,
    /// Identity results, as verified by the receiving system.
    pub identity: Identity,
    /// Probability of spam by the trained classifier, 0 to 1; `None` without one.
    pub spam_probability: Option<f64>,
    /// Seconds since 1970 at which the message was received; `None` when unknown.
    pub received_at: Option<i64>,
}

/// One header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name as written, without white space before the colon.
    pub name: Cow<'a, [u8]>,
    /// All after the colon: white space, folding and final line end included; CRLF is LF.
    pub raw: Cow<'a, [u8]>,
    /// Unfolded, trimmed, with encoded words decoded to UTF-8; without a final line end.
    pub decoded: Vec<u8>,
}

/// Where a link was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UriSource {
    /// In running text, with or without a scheme.
    Parsed,
    /// `a href`.
    A,
    /// `area href`.
    Area,
    /// `img src`.
    Img,
    /// `form action`.
    Form,
    /// `link href`.
    Link,
    /// `iframe src`.
    Iframe,
    /// `base href`.
    Base,
    /// `d=` of a DKIM signature.
    Dkim,
    /// Another attribute of HTML (`script src`, `background`, …).
    Other,
}

/// One link with all that rules ask about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uri {
    /// As it was written.
    pub raw: Vec<u8>,
    /// Canonical forms, redirect targets included; what `uri` rules see, in order.
    pub cleaned: Vec<Vec<u8>>,
    /// Registrable domains of the cleaned forms, lower case, without repeats.
    pub domains: Vec<String>,
    /// Host names of the cleaned forms, lower case, without repeats.
    pub hosts: Vec<String>,
    /// Texts of the links that led here.
    pub anchor_texts: Vec<Vec<u8>>,
    /// Where it was found.
    pub sources: Vec<UriSource>,
}

/// One MIME part, the message itself included when it is no multipart.
#[derive(Clone, Debug, Default)]
pub struct Part<'a> {
    /// Its own header fields.
    pub headers: Vec<Field<'a>>,
    /// Content type in lower case, `text/plain` when absent.
    pub content_type: String,
    /// Charset parameter as written.
    pub charset: Option<String>,
    /// File name of `Content-Disposition` or `Content-Type`, decoded.
    pub name: Option<Vec<u8>>,
    /// Content before transfer decoding.
    pub raw: Cow<'a, [u8]>,
    /// Content after transfer decoding.
    pub decoded: Cow<'a, [u8]>,
    /// Depth in the tree: 0 for the message.
    pub depth: usize,
    /// Whether the part has no parts of its own.
    pub is_leaf: bool,
}

/// One relay, as one `Received` header tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relay {
    /// The address of the client.
    pub ip: Option<IpAddr>,
    /// The address as written.
    pub ip_text: String,
    /// Reverse name.
    pub rdns: String,
    /// HELO name.
    pub helo: String,
    /// The host that received it.
    pub by: String,
    /// Identification by the client's own host.
    pub ident: String,
    /// Envelope sender, if the header says so.
    pub envfrom: String,
    /// Queue id.
    pub id: String,
    /// How the client proved itself.
    pub auth: String,
    /// Whether the address is private (RFC 1918 and the like).
    pub is_private: bool,
    /// Whether it is the host of a message submission agent.
    pub is_msa: bool,
}

/// The relays, nearest first, cut at the two boundaries, and their text forms for `X-Spam-Relays-*`.
#[derive(Clone, Debug, Default)]
pub struct Relays {
    /// Relays of trusted networks.
    pub trusted: Vec<Relay>,
    /// The others.
    pub untrusted: Vec<Relay>,
    /// Relays of internal networks.
    pub internal: Vec<Relay>,
    /// The others.
    pub external: Vec<Relay>,
    /// `X-Spam-Relays-Trusted`.
    pub trusted_text: Vec<u8>,
    /// `X-Spam-Relays-Untrusted`.
    pub untrusted_text: Vec<u8>,
    /// `X-Spam-Relays-Internal`.
    pub internal_text: Vec<u8>,
    /// `X-Spam-Relays-External`.
    pub external_text: Vec<u8>,
    /// How many `Received` headers could not be read.
    pub unparseable: usize,
    /// Index of the last `Received` header of a trusted relay.
    pub last_trusted: Option<usize>,
    /// Index of the last `Received` header of an internal relay.
    pub last_internal: Option<usize>,
}

/// Result of SPF (RFC 7208 section 2.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SpfResult {
    /// Not checked.
    #[default]
    Unknown,
    /// The domain publishes nothing.
    None,
    /// The domain does not say.
    Neutral,
    /// Authorized.
    Pass,
    /// Not authorized.
    Fail,
    /// Probably not authorized.
    SoftFail,
    /// DNS failed.
    TempError,
    /// The record is broken.
    PermError,
}

/// One DKIM or ARC signature (RFC 6376).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signature {
    /// `d=`.
    pub domain: String,
    /// `s=`.
    pub selector: String,
    /// `i=`.
    pub identity: String,
    /// Whether it verified.
    pub is_valid: bool,
    /// Whether the key says `t=y`.
    pub is_testing: bool,
}

/// Result of DMARC (RFC 7489 section 11.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DmarcResult {
    /// Not checked, or no answer.
    #[default]
    Unknown,
    /// The domain publishes nothing.
    Missing,
    /// Aligned.
    Pass,
    /// Not aligned, policy `none`.
    None,
    /// Not aligned, policy `quarantine`.
    Quarantine,
    /// Not aligned, policy `reject`.
    Reject,
}

/// Identity results of the receiving system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// SPF of the envelope sender.
    pub spf: SpfResult,
    /// SPF of the HELO name.
    pub spf_helo: SpfResult,
    /// `None` when signatures were not verified; they then count as present, not as valid.
    pub dkim: Option<Vec<Signature>>,
    /// DMARC of the author's domain.
    pub dmarc: DmarcResult,
    /// Whether an ARC set is valid; `None` when not verified.
    pub arc_valid: Option<bool>,
}

/// What HTML parts showed.
#[derive(Clone, Debug, Default)]
pub struct HtmlFacts {
    /// Whether there was HTML at all.
    pub is_present: bool,
}

/// One message as rules see it.
#[derive(Clone, Debug, Default)]
pub struct Input<'a> {
    /// Header fields of the message in order.
    pub headers: Vec<Field<'a>>,
    /// The header block with the empty line that ends it, as it came; CRLF is kept.
    pub pristine_headers: Cow<'a, [u8]>,
    /// All after the header block, as it came.
    pub pristine_body: Cow<'a, [u8]>,
    /// The whole message, as `full` rules see it.
    pub pristine: Cow<'a, [u8]>,
    /// Rendered paragraphs, the subject first: what `body` rules see.
    pub body: Vec<Vec<u8>>,
    /// Decoded text parts, cut into chunks of lines: what `rawbody` rules see.
    pub rawbody: Vec<Vec<u8>>,
    /// Links.
    pub uris: Vec<Uri>,
    /// MIME parts in order of appearance.
    pub parts: Vec<Part<'a>>,
    /// Relays.
    pub relays: Relays,
    /// Envelope sender: given, or as headers tell; `None` when unknown.
    pub envelope_from: Option<Vec<u8>>,
    /// Envelope recipients.
    pub recipients: Vec<String>,
    /// Identity results.
    pub identity: Identity,
    /// Probability of spam by the trained classifier.
    pub spam_probability: Option<f64>,
    /// Seconds since 1970 at which the message was received.
    pub received_at: Option<i64>,
    /// What HTML parts showed.
    pub html: HtmlFacts,
}

impl<'a> Input<'a> {
    /// The values of a header or pseudo-header, in order. A conventional header's value is without its name; raw values and members of
    /// `ALL` end with a line end, decoded values too (SpamAssassin keeps one).
    #[must_use]
    pub fn get(&self, request: &FieldRequest, settings: &Settings) -> Vec<Vec<u8>> {
        let _ = settings;
        let named = self.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(request.name.as_bytes()));
        named.map(|field| if request.raw { field.raw.to_vec() } else { field.decoded.clone() }).collect()
    }

    /// The values of a template tag (`_SENDERDOMAIN_`, `_AUTHORDOMAIN_`, …) as `askdns` uses them; empty when it has none.
    #[must_use]
    pub fn tag(&self, name: &str, settings: &Settings) -> Vec<String> {
        let _ = (name, settings);
        Vec::new()
    }
}
