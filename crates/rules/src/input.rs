//! One message as SpamAssassin sees it: plain data that rules and evals read.
//! `Input::from_message(&Message, &Context, &Settings)` builds it (in the files below this one); nothing here decides.

mod body;
mod charset;
mod content_type;
pub(crate) mod domain;
mod fields;
pub(crate) mod header;
pub(crate) mod html;
pub(crate) mod ip;
pub(crate) mod mailbox;
mod mime;
pub(crate) mod octets;
mod received;
mod relays;
mod transfer;
pub(crate) mod uri;

use std::borrow::Cow;
use std::net::IpAddr;

use tidegate_mail::Message;

pub(crate) use crate::input::body::short_chunks;
pub(crate) use crate::input::content_type::ContentType;
pub use crate::input::html::{HtmlFacts, HtmlLink, HtmlPart};
pub use crate::input::mime::ParseFlags;
pub(crate) use crate::input::received::received_address_pattern;
use crate::settings::Settings;

/// A content type as it is read everywhere; `None` stands for an absent header.
pub(crate) fn content_kind(value: Option<&[u8]>) -> ContentType {
    ContentType::read(value)
}

/// What is known of a message besides its bytes.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Envelope sender without angle brackets (empty: the null path); `None` when unknown, then headers tell.
    pub envelope_from: Option<String>,
    /// Envelope recipients.
    pub recipients: Vec<String>,
    /// The client that handed the message over, as the session knows it; it stands before all that headers tell, unless they begin with it.
    pub client: Option<Relay>,
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
    /// In running text, without a scheme.
    Schemeless,
    /// In running text, as a bare host name that no mail program makes clickable.
    Unlinked,
    /// `d=` of a DKIM signature.
    Dkim,
    /// An attribute of this HTML element.
    Tag(&'static str),
}

impl UriSource {
    /// The name under which `uri_detail` rules know it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            UriSource::Parsed => "parsed",
            UriSource::Schemeless => "schemeless",
            UriSource::Unlinked => "unlinked",
            UriSource::Dkim => "domainkeys",
            UriSource::Tag(name) => name,
        }
    }
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

/// One node of the MIME tree; the first is the message itself.
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
    /// The text that people see; `None` for what is neither plain text nor HTML.
    pub rendered: Option<RenderedText>,
}

/// Text of one part as people see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RenderedText {
    /// The text, not yet cut into paragraphs.
    pub text: String,
    /// Whether it was rendered from HTML.
    pub is_html: bool,
    /// Whether that HTML has an image.
    pub has_image: bool,
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
    pub envfrom: Option<String>,
    /// Queue id.
    pub id: String,
    /// How the client proved itself.
    pub auth: String,
    /// Whether the address is private (RFC 1918 and the like).
    pub is_private: bool,
    /// Whether it is the host of a message submission agent.
    pub is_msa: bool,
    /// Whether it belongs to the internal networks.
    pub is_internal: bool,
    /// Whether the host that wrote the header looked for a reverse name and found none.
    pub has_no_reverse_name: bool,
}

impl Relay {
    /// A client as a session knows it: its address, confirmed reverse name (empty without one), HELO name, the host that received from
    /// it, and how it proved itself (`esmtpsa`; empty if it did not).
    #[must_use]
    pub fn client(address: IpAddr, rdns: &str, helo: &str, by: &str, auth: &str) -> Relay {
        let ip_text = address.to_string();
        Relay {
            ip: Some(address),
            is_private: ip::is_private(ip_text.as_bytes()),
            ip_text,
            rdns: rdns.to_ascii_lowercase(),
            // White space and brackets would break the text form of the relays.
            helo: helo.chars().filter(|c| c.is_ascii_graphic() && !matches!(c, '[' | ']')).collect(),
            by: by.to_owned(),
            auth: auth.to_owned(),
            has_no_reverse_name: rdns.is_empty(),
            ..Relay::default()
        }
    }
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
    /// Oddities of the message as a whole.
    pub flags: ParseFlags,
    /// A link was cut at its limit, or left out.
    pub is_uri_truncated: bool,
    /// What eval functions found out.
    pub(crate) memo: crate::evals::Memo,
}

/// Characters of a part that `body` rules see, and octets that `rawbody` rules see, unless configured.
const BODY_PART_CHARS_MAX: usize = 50_000;
const RAWBODY_PART_OCTETS_MAX: usize = 500_000;
/// Octets of all header fields together, decoded; more counts as cut.
const HEADER_OCTETS_MAX: usize = 65_536;

impl Field<'_> {
    fn into_owned(self) -> Field<'static> {
        Field { name: owned(self.name), raw: owned(self.raw), decoded: self.decoded }
    }
}

impl Part<'_> {
    fn into_owned(self) -> Part<'static> {
        Part {
            headers: self.headers.into_iter().map(Field::into_owned).collect(),
            raw: owned(self.raw),
            decoded: owned(self.decoded),
            ..self
        }
    }
}

fn owned(octets: Cow<'_, [u8]>) -> Cow<'static, [u8]> {
    Cow::Owned(octets.into_owned())
}

impl<'a> Input<'a> {
    /// Reads a message. See [`Input::from_octets`].
    #[must_use]
    pub fn from_message(message: &'a Message, context: &Context, settings: &Settings) -> Input<'a> {
        Input::from_octets(message.raw(), context, settings)
    }

    /// Reads a message as it came, with LF or CRLF lines. Nothing is too broken to be read.
    #[must_use]
    pub fn from_octets(message: &'a [u8], context: &Context, settings: &Settings) -> Input<'a> {
        let message = mime::without_mbox_line(message);
        let block = header::read_block(message);
        let pristine_body = message.get(block.body_start..).unwrap_or_default();
        let tree = mime::parse(&block, pristine_body);
        let pristine = match &block.pristine {
            Cow::Borrowed(_) => Cow::Borrowed(message),
            Cow::Owned(headers) => Cow::Owned([headers.as_slice(), pristine_body].concat()),
        };
        let relays = relays::read(&block.fields, context.client.as_ref(), settings);
        let mut flags = tree.flags;
        let header_octets: usize = block.fields.iter().map(|field| field.name.len() + field.decoded.len() + 3).sum();
        flags.truncated_header |= header_octets > HEADER_OCTETS_MAX;
        let mut input = Input {
            headers: block.fields,
            pristine_headers: block.pristine,
            pristine_body: Cow::Borrowed(pristine_body),
            pristine,
            relays,
            recipients: context.recipients.clone(),
            identity: context.identity.clone(),
            spam_probability: context.spam_probability,
            received_at: context.received_at,
            flags,
            ..Input::default()
        };
        input.read_parts(tree, settings);
        input.envelope_from =
            context.envelope_from.clone().map(String::into_bytes).or_else(|| fields::envelope_from(&input, settings));
        let signers = input.signers();
        let signers: Vec<&[u8]> = signers.iter().map(Vec::as_slice).collect();
        let (uris, is_truncated) = uri::collect(&input.body, &input.html, &signers, settings);
        (input.uris, input.is_uri_truncated) = (uris, is_truncated);
        input
    }

    /// The same without the message that it was read from, so that it can go from thread to thread. Copies the message, which takes
    /// far less than reading it again.
    #[must_use]
    pub fn into_owned(self) -> Input<'static> {
        Input {
            headers: self.headers.into_iter().map(Field::into_owned).collect(),
            pristine_headers: owned(self.pristine_headers),
            pristine_body: owned(self.pristine_body),
            pristine: owned(self.pristine),
            parts: self.parts.into_iter().map(Part::into_owned).collect(),
            ..self
        }
    }

    /// Renders the parts in order of appearance.
    fn read_parts(&mut self, tree: mime::Tree, settings: &Settings) {
        let size = |name: &str, default: usize| {
            settings.last(name).and_then(|value| value.trim().parse().ok()).unwrap_or(default)
        };
        let rawbody_max = size("rawbody_part_scan_size", RAWBODY_PART_OCTETS_MAX);
        let mut rendered = Vec::new();
        for (index, node) in tree.into_order() {
            let mut text = None;
            if node.is_leaf {
                let part = body::render(&node, &mut self.html);
                text = part.as_ref().map(|part| self.rendered_text(part));
                rendered.push(part);
                self.rawbody.extend(body::chunks(&node, rawbody_max).into_iter().flatten());
            }
            self.parts.push(Part {
                headers: if index == 0 { self.headers.clone() } else { node.fields },
                content_type: node.kind,
                charset: node.charset.as_deref().map(octets::lossy),
                name: node.name,
                raw: Cow::Owned(node.raw),
                decoded: Cow::Owned(node.decoded),
                depth: node.depth,
                is_leaf: node.is_leaf,
                rendered: text,
            });
        }
        let subject = self.headers.iter().rfind(|field| field.name.eq_ignore_ascii_case(b"subject"));
        let subject = subject.map_or_else(|| b"\n".to_vec(), |field| [field.decoded.as_slice(), b"\n"].concat());
        self.body = body::paragraphs(&subject, &rendered, size("body_part_scan_size", BODY_PART_CHARS_MAX));
    }

    fn rendered_text(&self, part: &body::Rendered) -> RenderedText {
        let has_image = part.is_html && self.html.parts.last().is_some_and(|html| html.inside.contains_key("img"));
        RenderedText { text: part.text.clone(), is_html: part.is_html, has_image }
    }

    /// The signing domains that signatures claim.
    fn signers(&self) -> Vec<Vec<u8>> {
        let is_signature = |field: &&Field<'_>| {
            field.name.eq_ignore_ascii_case(b"dkim-signature")
                || field.name.eq_ignore_ascii_case(b"domainkey-signature")
        };
        let domain = |field: &Field<'_>| {
            let tag =
                field.decoded.split(|&octet| octet == b';').find_map(|tag| octets::trim(tag).strip_prefix(b"d"))?;
            let value = octets::trim_start(tag).strip_prefix(b"=")?;
            Some(value.iter().copied().filter(|&octet| !octets::is_space(octet)).collect())
        };
        self.headers.iter().filter(is_signature).filter_map(domain).collect()
    }
}
