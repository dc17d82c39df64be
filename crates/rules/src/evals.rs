//! `eval:` tests: the table of functions, and what they may see.

mod body;
mod bounce;
mod date;
mod dns;
mod forged;
mod freemail;
mod header;
mod html;
mod identity;
mod image;
mod lists;
mod mime;
mod name_spoof;
mod pdf;
mod relay;
mod uri;
mod virus;

use std::sync::OnceLock;

use crate::dns::{Answers, DnsQuestion};
use crate::input::{Input, received_address_pattern};
use crate::pattern::{Limit, Pattern};
use crate::settings::Settings;

/// One argument of an `eval:` test, without its quotes.
#[derive(Clone, Debug)]
pub struct Arg {
    /// The octets between the quotes, or of the bare number.
    pub text: String,
    /// The argument as a pattern, compiled at load time when [`EvalFn::pattern_args`] names it. `/…/i` and `m{…}` are read with their
    /// delimiters, else the whole text is the source.
    pub pattern: Option<Pattern>,
}

impl Arg {
    /// The argument as a number; what does not read as one is 0, as in Perl.
    #[must_use]
    pub fn number(&self) -> f64 {
        self.text.trim().parse().unwrap_or(0.0)
    }
}

/// The part of a message to which the rule is attached (`header X eval:…`, `body X eval:…`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EvalTarget {
    /// `header`.
    Header,
    /// `body`.
    Body,
    /// `rawbody`.
    RawBody,
    /// `full`.
    Full,
    /// `uri`.
    Uri,
}

/// What an eval function sees.
#[derive(Clone, Copy, Debug)]
pub struct EvalContext<'a> {
    /// The message.
    pub input: &'a Input<'a>,
    /// What the rule files configure.
    pub settings: &'a Settings,
    /// What DNS said so far.
    pub answers: &'a Answers,
    /// The kind of rule that calls.
    pub target: EvalTarget,
    /// The name of the rule that calls.
    pub rule: &'a str,
    /// Its `tflags`.
    pub flags: &'a str,
}

impl<'a> EvalContext<'a> {
    /// The text that a rule of this kind sees, in pieces.
    fn text_pieces(&self) -> &'a [Vec<u8>] {
        if self.target == EvalTarget::RawBody { &self.input.rawbody } else { &self.input.body }
    }
}

/// What several functions ask of one message, each found out once, when it is first asked for. It holds for the settings with which the
/// message was read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memo {
    times: OnceLock<header::Times>,
    recipients: OnceLock<header::Recipients>,
    alternative: OnceLock<body::Alternative>,
    blank_lines: OnceLock<(usize, usize)>,
    stock_info: OnceLock<usize>,
    attachments: OnceLock<mime::Attachments>,
    uppercase: OnceLock<f64>,
    base64_line: OnceLock<usize>,
    freemail: OnceLock<freemail::BodyAddresses>,
    name_facts: OnceLock<name_spoof::NameFacts>,
    images: OnceLock<image::Images>,
    pdfs: OnceLock<pdf::Pdfs>,
    pub(crate) senders: OnceLock<Vec<Vec<u8>>>,
    pub(crate) addressees: OnceLock<Vec<Vec<u8>>>,
}

/// A pattern of ours, with its delimiters.
fn ours(text: &str) -> Pattern {
    Pattern::parse(text.as_bytes()).expect("the patterns of evals are ours")
}

/// A pattern of ours in which `IP` stands for an address.
fn with_addresses(source: &str) -> Pattern {
    let source = source.replace("IP", &received_address_pattern());
    Pattern::compile(source.as_bytes(), crate::pattern::Modifiers::default()).expect("the patterns of evals are ours")
}

/// Whether a pattern of a rule's argument matches; without a pattern it does not.
fn argument_matches(args: &[Arg], index: usize, text: &[u8]) -> Result<bool, Limit> {
    args.get(index).and_then(|arg| arg.pattern.as_ref()).map_or(Ok(false), |pattern| pattern.is_match(text))
}

/// Whether `test` holds for one of `items`. One that holds is enough, whatever is not known of others.
fn any<T>(items: impl IntoIterator<Item = T>, test: impl Fn(T) -> Result<bool, Limit>) -> Result<bool, Limit> {
    let mut answer = Ok(false);
    for item in items {
        match test(item) {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(Limit) => answer = Err(Limit),
        }
    }
    answer
}

/// An argument as a number; a missing one is 0.
fn number(args: &[Arg], index: usize) -> f64 {
    args.get(index).map_or(0.0, Arg::number)
}

/// What an eval function found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EvalResult {
    /// Not so.
    Miss,
    /// So, with what was seen (empty when there is nothing to show).
    Hit {
        /// How often; 1 for nearly all.
        count: u32,
        /// The text or fact that decided, for people.
        evidence: String,
    },
    /// The answers to these questions are needed first. Questions whose answers are known are left out.
    Ask(Vec<DnsQuestion>),
    /// Could not know, and why: no classifier, no identity result, DNS failed.
    Unavailable(&'static str),
    /// A pattern of the rule's arguments reached its limit, and nothing else made the rule hit.
    Limit,
}

impl From<Result<bool, Limit>> for EvalResult {
    fn from(answer: Result<bool, Limit>) -> EvalResult {
        answer.map_or(EvalResult::Limit, EvalResult::of)
    }
}

impl EvalResult {
    /// A hit without evidence when `is_hit`, else a miss.
    #[must_use]
    pub fn of(is_hit: bool) -> EvalResult {
        if is_hit { EvalResult::Hit { count: 1, evidence: String::new() } } else { EvalResult::Miss }
    }
}

/// How far an eval function is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvalState {
    /// As SpamAssassin does it.
    Full,
    /// Known, but without its service (Razor, Pyzor, DCC, …): never hits.
    NoService,
}

/// One eval function.
#[derive(Debug)]
pub struct EvalFn {
    /// Its name in rules.
    pub name: &'static str,
    /// The plugin that has it, without `Mail::SpamAssassin::Plugin::`.
    pub plugin: &'static str,
    /// How far it is built.
    pub state: EvalState,
    /// Arguments, counted from 0, that are patterns.
    pub pattern_args: &'static [usize],
    /// The function. It must be pure: the same context and arguments give the same result.
    pub run: fn(&EvalContext<'_>, &[Arg]) -> EvalResult,
}

type Run = fn(&EvalContext<'_>, &[Arg]) -> EvalResult;

const fn full(name: &'static str, plugin: &'static str, pattern_args: &'static [usize], run: Run) -> EvalFn {
    EvalFn { name, plugin, state: EvalState::Full, pattern_args, run }
}

const fn no_service(name: &'static str, plugin: &'static str) -> EvalFn {
    EvalFn { name, plugin, state: EvalState::NoService, pattern_args: &[], run: header::never }
}

/// All functions, sorted by name.
static TABLE: &[EvalFn] = &[
    full("check_abundant_unicode_ratio", "MIMEEval", &[], mime::check_abundant_unicode_ratio),
    no_service("check_access_database", "AccessDB"),
    full("check_all_trusted", "RelayEval", &[], relay::check_all_trusted),
    full("check_arc_signed", "DKIM", &[], identity::check_arc_signed),
    full("check_arc_valid", "DKIM", &[], identity::check_arc_valid),
    no_service("check_asn", "ASN"),
    full("check_base64_length", "MIMEEval", &[], mime::check_base64_length),
    full("check_bayes", "Bayes", &[], identity::check_bayes),
    full("check_blank_line_ratio", "BodyEval", &[], body::check_blank_line_ratio),
    no_service("check_body_8bits", "TextCat"),
    full("check_body_length", "BodyEval", &[], body::check_body_length),
    no_service("check_dcc", "DCC"),
    no_service("check_dcc_reputation_range", "DCC"),
    full("check_dkim_adsp", "DKIM", &[], identity::check_dkim_adsp),
    full("check_dkim_dependable", "DKIM", &[], identity::check_dkim_dependable),
    full("check_dkim_signall", "DKIM", &[], identity::check_dkim_signall),
    full("check_dkim_signed", "DKIM", &[], identity::check_dkim_signed),
    full("check_dkim_signsome", "DKIM", &[], header::never),
    full("check_dkim_testing", "DKIM", &[], identity::check_dkim_testing),
    full("check_dkim_valid", "DKIM", &[], identity::check_dkim_valid),
    full("check_dkim_valid_author_sig", "DKIM", &[], identity::check_dkim_valid_author_sig),
    full("check_dkim_valid_envelopefrom", "DKIM", &[], identity::check_dkim_valid_envelopefrom),
    full("check_dkim_verified", "DKIM", &[], identity::check_dkim_valid),
    full("check_dmarc_missing", "DMARC", &[], identity::check_dmarc_missing),
    full("check_dmarc_none", "DMARC", &[], identity::check_dmarc_none),
    full("check_dmarc_pass", "DMARC", &[], identity::check_dmarc_pass),
    full("check_dmarc_quarantine", "DMARC", &[], identity::check_dmarc_quarantine),
    full("check_dmarc_reject", "DMARC", &[], identity::check_dmarc_reject),
    full("check_dns_sender", "DNSEval", &[], dns::check_dns_sender),
    full("check_equal_from_domains", "HeaderEval", &[], header::check_equal_from_domains),
    full("check_for_ascii_text_illegal", "MIMEEval", &[], mime::check_for_ascii_text_illegal),
    full("check_for_def_dkim_welcomelist_from", "DKIM", &[], identity::check_for_def_dkim_welcomelist_from),
    full("check_for_def_dkim_whitelist_from", "DKIM", &[], identity::check_for_def_dkim_welcomelist_from),
    full("check_for_def_spf_welcomelist_from", "SPF", &[], identity::check_for_def_spf_welcomelist_from),
    full("check_for_def_spf_whitelist_from", "SPF", &[], identity::check_for_def_spf_welcomelist_from),
    full("check_for_dkim_welcomelist_from", "DKIM", &[], identity::check_for_dkim_welcomelist_from),
    full("check_for_dkim_whitelist_from", "DKIM", &[], identity::check_for_dkim_welcomelist_from),
    full("check_for_fake_aol_relay_in_rcvd", "HeaderEval", &[], header::check_for_fake_aol_relay_in_rcvd),
    full("check_for_faraway_charset", "MIMEEval", &[], mime::check_for_faraway_charset),
    full("check_for_faraway_charset_in_headers", "HeaderEval", &[], header::check_for_faraway_charset_in_headers),
    full(
        "check_for_forged_eudoramail_received_headers",
        "HeaderEval",
        &[],
        forged::check_for_forged_eudoramail_received_headers,
    ),
    full("check_for_forged_gmail_received_headers", "HeaderEval", &[], forged::check_for_forged_gmail_received_headers),
    full("check_for_forged_gw05_received_headers", "HeaderEval", &[], forged::check_for_forged_gw05_received_headers),
    full(
        "check_for_forged_hotmail_received_headers",
        "HeaderEval",
        &[],
        forged::check_for_forged_hotmail_received_headers,
    ),
    full("check_for_forged_juno_received_headers", "HeaderEval", &[], forged::check_for_forged_juno_received_headers),
    full("check_for_forged_received_ip_helo", "RelayEval", &[], relay::check_for_forged_received_ip_helo),
    full("check_for_forged_received_trail", "RelayEval", &[], relay::check_for_forged_received_trail),
    full("check_for_forged_yahoo_received_headers", "HeaderEval", &[], forged::check_for_forged_yahoo_received_headers),
    full(
        "check_for_from_domain_in_received_headers",
        "RelayEval",
        &[],
        relay::check_for_from_domain_in_received_headers,
    ),
    full("check_for_http_redirector", "URIEval", &[], uri::check_for_http_redirector),
    full("check_for_illegal_ip", "RelayEval", &[], header::never),
    full("check_for_matching_env_and_hdr_from", "HeaderEval", &[], header::check_for_matching_env_and_hdr_from),
    full("check_for_mime", "MIMEEval", &[], mime::check_for_mime),
    full("check_for_mime_html", "MIMEEval", &[], mime::check_for_mime_html),
    full("check_for_mime_html_only", "MIMEEval", &[], mime::check_for_mime_html_only),
    full("check_for_missing_to_header", "HeaderEval", &[], header::check_for_missing_to_header),
    full("check_for_msn_groups_headers", "HeaderEval", &[], forged::check_for_msn_groups_headers),
    full("check_for_no_hotmail_received_headers", "HeaderEval", &[], forged::check_for_no_hotmail_received_headers),
    full("check_for_no_rdns_dotcom_helo", "RelayEval", &[], relay::check_for_no_rdns_dotcom_helo),
    full("check_for_numeric_helo", "RelayEval", &[], relay::check_for_numeric_helo),
    full("check_for_sender_no_reverse", "RelayEval", &[], relay::check_for_sender_no_reverse),
    full("check_for_shifted_date", "HeaderEval", &[], header::check_for_shifted_date),
    full("check_for_spf_fail", "SPF", &[], identity::check_for_spf_fail),
    full("check_for_spf_helo_fail", "SPF", &[], identity::check_for_spf_helo_fail),
    full("check_for_spf_helo_neutral", "SPF", &[], identity::check_for_spf_helo_neutral),
    full("check_for_spf_helo_none", "SPF", &[], identity::check_for_spf_helo_none),
    full("check_for_spf_helo_pass", "SPF", &[], identity::check_for_spf_helo_pass),
    full("check_for_spf_helo_permerror", "SPF", &[], identity::check_for_spf_helo_permerror),
    full("check_for_spf_helo_softfail", "SPF", &[], identity::check_for_spf_helo_softfail),
    full("check_for_spf_helo_temperror", "SPF", &[], identity::check_for_spf_helo_temperror),
    full("check_for_spf_neutral", "SPF", &[], identity::check_for_spf_neutral),
    full("check_for_spf_none", "SPF", &[], identity::check_for_spf_none),
    full("check_for_spf_pass", "SPF", &[], identity::check_for_spf_pass),
    full("check_for_spf_permerror", "SPF", &[], identity::check_for_spf_permerror),
    full("check_for_spf_softfail", "SPF", &[], identity::check_for_spf_softfail),
    full("check_for_spf_temperror", "SPF", &[], identity::check_for_spf_temperror),
    full("check_for_spf_welcomelist_from", "SPF", &[], identity::check_for_spf_welcomelist_from),
    full("check_for_spf_whitelist_from", "SPF", &[], identity::check_for_spf_welcomelist_from),
    full("check_for_to_in_subject", "HeaderEval", &[], header::check_for_to_in_subject),
    full("check_for_unique_subject_id", "HeaderEval", &[], header::never),
    full("check_for_uppercase", "MIMEEval", &[], mime::check_for_uppercase),
    full("check_forged_in_default_welcomelist", "WLBLEval", &[], lists::check_forged_in_default_welcomelist),
    full("check_forged_in_default_whitelist", "WLBLEval", &[], lists::check_forged_in_default_welcomelist),
    full("check_forged_in_welcomelist", "WLBLEval", &[], lists::check_forged_in_welcomelist),
    full("check_forged_in_whitelist", "WLBLEval", &[], lists::check_forged_in_welcomelist),
    full("check_freemail_body", "FreeMail", &[0], freemail::check_freemail_body),
    full("check_freemail_from", "FreeMail", &[0], freemail::check_freemail_from),
    full("check_freemail_header", "FreeMail", &[1], freemail::check_freemail_header),
    full("check_freemail_replyto", "FreeMail", &[], freemail::check_freemail_replyto),
    no_service("check_from_in_auto_welcomelist", "AWL"),
    no_service("check_from_in_auto_whitelist", "AWL"),
    full("check_from_in_blacklist", "WLBLEval", &[], lists::check_from_in_blocklist),
    full("check_from_in_blocklist", "WLBLEval", &[], lists::check_from_in_blocklist),
    full("check_from_in_default_welcomelist", "WLBLEval", &[], lists::check_from_in_default_welcomelist),
    full("check_from_in_default_whitelist", "WLBLEval", &[], lists::check_from_in_default_welcomelist),
    full("check_from_in_list", "WLBLEval", &[], lists::check_from_in_list),
    full("check_from_in_welcomelist", "WLBLEval", &[], lists::check_from_in_welcomelist),
    full("check_from_in_whitelist", "WLBLEval", &[], lists::check_from_in_welcomelist),
    full("check_fromname_contains_email", "FromNameSpoof", &[], name_spoof::check_fromname_contains_email),
    full("check_fromname_different", "FromNameSpoof", &[], name_spoof::check_fromname_different),
    full("check_fromname_domain_differ", "FromNameSpoof", &[], name_spoof::check_fromname_domain_differ),
    full("check_fromname_equals_replyto", "FromNameSpoof", &[], name_spoof::check_fromname_equals_replyto),
    full("check_fromname_equals_to", "FromNameSpoof", &[], name_spoof::check_fromname_equals_to),
    full("check_fromname_owners_differ", "FromNameSpoof", &[], name_spoof::check_fromname_owners_differ),
    full("check_fromname_spoof", "FromNameSpoof", &[], name_spoof::check_fromname_spoof),
    no_service("check_hashbl_attachments", "HashBL"),
    no_service("check_hashbl_bodyfuzzy", "HashBL"),
    no_service("check_hashbl_bodyre", "HashBL"),
    no_service("check_hashbl_bodyre_phone", "HashBL"),
    no_service("check_hashbl_emails", "HashBL"),
    no_service("check_hashbl_tag", "HashBL"),
    no_service("check_hashbl_uris", "HashBL"),
    full("check_header_count_range", "HeaderEval", &[], header::check_header_count_range),
    full("check_https_http_mismatch", "HTTPSMismatch", &[], html::check_https_http_mismatch),
    full("check_https_ip_mismatch", "URIEval", &[], uri::check_https_ip_mismatch),
    full("check_iframe_src", "HTMLEval", &[], html::check_iframe_src),
    full("check_illegal_chars", "HeaderEval", &[], header::check_illegal_chars),
    no_service("check_language", "TextCat"),
    full("check_ma_non_text", "MIMEEval", &[], mime::check_ma_non_text),
    full("check_mailfrom_matches_rcvd", "WLBLEval", &[], lists::check_mailfrom_matches_rcvd),
    full("check_messageid_not_usable", "HeaderEval", &[], header::check_messageid_not_usable),
    full("check_microsoft_executable", "AntiVirus", &[], virus::check_microsoft_executable),
    full("check_mime_multipart_ratio", "MIMEEval", &[], mime::check_mime_multipart_ratio),
    full("check_msg_parse_flags", "MIMEEval", &[], mime::check_msg_parse_flags),
    full("check_no_relays", "RelayEval", &[], relay::check_no_relays),
    full("check_olemacro", "OLEVBMacro", &[], virus::check_olemacro),
    no_service("check_olemacro_csv", "OLEVBMacro"),
    no_service("check_olemacro_download_exe", "OLEVBMacro"),
    no_service("check_olemacro_encrypted", "OLEVBMacro"),
    full("check_olemacro_malice", "OLEVBMacro", &[], virus::check_olemacro_malice),
    no_service("check_olemacro_mhtml_uri", "OLEVBMacro"),
    no_service("check_olemacro_redirect_uri", "OLEVBMacro"),
    no_service("check_olemacro_renamed", "OLEVBMacro"),
    no_service("check_olemacro_zip_password", "OLEVBMacro"),
    full("check_olertfobject", "OLEVBMacro", &[], virus::check_olertfobject),
    full("check_outlook_message_id", "HeaderEval", &[], header::check_outlook_message_id),
    no_service("check_phishing", "Phishing"),
    no_service("check_pyzor", "Pyzor"),
    full("check_qp_ratio", "MIMEEval", &[], mime::check_qp_ratio),
    full("check_ratware_envelope_from", "HeaderEval", &[], header::check_ratware_envelope_from),
    full("check_ratware_name_id", "HeaderEval", &[], header::check_ratware_name_id),
    no_service("check_razor2", "Razor2"),
    no_service("check_razor2_range", "Razor2"),
    full("check_rbl", "DNSEval", &[2], dns::check_rbl),
    no_service("check_rbl_accreditor", "DNSEval"),
    full("check_rbl_envfrom", "DNSEval", &[2], dns::check_rbl_envfrom),
    full("check_rbl_from_domain", "DNSEval", &[2], dns::check_rbl_from_domain),
    full("check_rbl_from_host", "DNSEval", &[2], dns::check_rbl_from_host),
    full("check_rbl_headers", "DNSEval", &[2], dns::check_rbl_headers),
    no_service("check_rbl_ns_from", "DNSEval"),
    full("check_rbl_rcvd", "DNSEval", &[2], dns::check_rbl_rcvd),
    full("check_rbl_sub", "DNSEval", &[1], dns::check_rbl_sub),
    full("check_rbl_txt", "DNSEval", &[2], dns::check_rbl_txt),
    no_service("check_relay_country", "RelayCountry"),
    full("check_relays_unparseable", "RelayEval", &[], relay::check_relays_unparseable),
    full("check_replyto_in_list", "WLBLEval", &[], lists::check_replyto_in_list),
    no_service("check_senders_reputation", "TxRep"),
    // The rule hits by itself, once another one has settled the matter.
    full("check_shortcircuit", "Shortcircuit", &[], |_, _| EvalResult::Miss),
    full("check_spf_skipped_noenvfrom", "SPF", &[], identity::check_spf_skipped_noenvfrom),
    full("check_stock_info", "BodyEval", &[], body::check_stock_info),
    full("check_subject_in_blacklist", "WelcomeListSubject", &[], lists::check_subject_in_blocklist),
    full("check_subject_in_blocklist", "WelcomeListSubject", &[], lists::check_subject_in_blocklist),
    full("check_subject_in_welcomelist", "WelcomeListSubject", &[], lists::check_subject_in_welcomelist),
    full("check_subject_in_whitelist", "WelcomeListSubject", &[], lists::check_subject_in_welcomelist),
    full("check_suspect_name", "AntiVirus", &[], virus::check_suspect_name),
    full("check_to_in_all_spam", "WLBLEval", &[], lists::check_to_in_all_spam),
    full("check_to_in_blacklist", "WLBLEval", &[], lists::check_to_in_blocklist),
    full("check_to_in_blocklist", "WLBLEval", &[], lists::check_to_in_blocklist),
    full("check_to_in_list", "WLBLEval", &[], lists::check_to_in_list),
    full("check_to_in_more_spam", "WLBLEval", &[], lists::check_to_in_more_spam),
    full("check_to_in_welcomelist", "WLBLEval", &[], lists::check_to_in_welcomelist),
    full("check_to_in_whitelist", "WLBLEval", &[], lists::check_to_in_welcomelist),
    full("check_unresolved_template", "HeaderEval", &[], header::check_unresolved_template),
    full("check_uri_host_in_blacklist", "WLBLEval", &[], lists::check_uri_host_in_blocklist),
    full("check_uri_host_in_blocklist", "WLBLEval", &[], lists::check_uri_host_in_blocklist),
    full("check_uri_host_in_welcomelist", "WLBLEval", &[], lists::check_uri_host_in_welcomelist),
    full("check_uri_host_in_whitelist", "WLBLEval", &[], lists::check_uri_host_in_welcomelist),
    full("check_uri_host_listed", "WLBLEval", &[], lists::check_uri_host_listed),
    no_service("check_uri_local_bl", "URILocalBL"),
    full("check_uri_truncated", "URIEval", &[], uri::check_uri_truncated),
    full("check_uridnsbl", "URIDNSBL", &[], dns::check_uridnsbl),
    full("check_welcomelist_bounce_relays", "VBounce", &[], bounce::check_welcomelist_bounce_relays),
    full("check_whitelist_bounce_relays", "VBounce", &[], bounce::check_welcomelist_bounce_relays),
    full("gated_through_received_hdr_remover", "HeaderEval", &[], header::gated_through_received_hdr_remover),
    full("have_any_bounce_relays", "VBounce", &[], bounce::have_any_bounce_relays),
    full("helo_ip_mismatch", "RelayEval", &[], relay::helo_ip_mismatch),
    full("html_charset_faraway", "HTMLEval", &[], header::never),
    full("html_eval", "HTMLEval", &[], html::html_eval),
    full("html_image_only", "HTMLEval", &[], html::html_image_only),
    full("html_image_ratio", "HTMLEval", &[], html::html_image_ratio),
    full("html_range", "HTMLEval", &[], html::html_range),
    full("html_tag_balance", "HTMLEval", &[], html::html_tag_balance),
    full("html_tag_exists", "HTMLEval", &[], html::html_tag_exists),
    full("html_test", "HTMLEval", &[], html::html_test),
    full("html_text_match", "HTMLEval", &[1], html::html_text_match),
    full("html_text_not_match", "HTMLEval", &[1], html::html_text_not_match),
    full("html_title_subject_ratio", "HTMLEval", &[], html::html_title_subject_ratio),
    full("image_count", "ImageInfo", &[], image::image_count),
    full("image_name_regex", "ImageInfo", &[0], image::image_name_regex),
    full("image_named", "ImageInfo", &[], image::image_named),
    full("image_size_exact", "ImageInfo", &[], image::image_size_exact),
    full("image_size_range", "ImageInfo", &[], image::image_size_range),
    full("image_to_text_ratio", "ImageInfo", &[], image::image_to_text_ratio),
    full("multipart_alternative_difference", "BodyEval", &[], body::multipart_alternative_difference),
    full("multipart_alternative_difference_count", "BodyEval", &[], body::multipart_alternative_difference_count),
    full("pdf_count", "PDFInfo", &[], pdf::pdf_count),
    full("pdf_image_count", "PDFInfo", &[], pdf::pdf_image_count),
    full("pdf_image_size_exact", "PDFInfo", &[], pdf::pdf_image_size_exact),
    full("pdf_image_size_range", "PDFInfo", &[], pdf::pdf_image_size_range),
    full("pdf_image_to_text_ratio", "PDFInfo", &[], pdf::pdf_image_to_text_ratio),
    full("pdf_is_empty_body", "PDFInfo", &[], pdf::pdf_is_empty_body),
    full("pdf_is_encrypted", "PDFInfo", &[], pdf::pdf_is_encrypted),
    full("pdf_match_details", "PDFInfo", &[1], pdf::pdf_match_details),
    no_service("pdf_match_fuzzy_md5", "PDFInfo"),
    no_service("pdf_match_md5", "PDFInfo"),
    full("pdf_name_regex", "PDFInfo", &[0], pdf::pdf_name_regex),
    full("pdf_named", "PDFInfo", &[], pdf::pdf_named),
    full("pdf_pixel_coverage", "PDFInfo", &[], pdf::pdf_pixel_coverage),
    no_service("pdf_uri_regex", "PDFInfo"),
    full("pixel_coverage", "ImageInfo", &[], image::pixel_coverage),
    full("plaintext_body_length", "BodyEval", &[], body::plaintext_body_length),
    full("plaintext_body_sig_ratio", "BodyEval", &[], body::plaintext_body_sig_ratio),
    full("plaintext_sig_length", "BodyEval", &[], body::plaintext_sig_length),
    full("received_within_months", "HeaderEval", &[], header::received_within_months),
    no_service("redir_url", "Redirectors"),
    no_service("redir_url_404", "Redirectors"),
    no_service("redir_url_chained", "Redirectors"),
    no_service("redir_url_code", "Redirectors"),
    no_service("redir_url_loop", "Redirectors"),
    no_service("redir_url_maxchain", "Redirectors"),
    no_service("short_url", "DecodeShortURLs"),
    no_service("short_url_404", "DecodeShortURLs"),
    no_service("short_url_chained", "DecodeShortURLs"),
    no_service("short_url_code", "DecodeShortURLs"),
    no_service("short_url_loop", "DecodeShortURLs"),
    no_service("short_url_maxchain", "DecodeShortURLs"),
    no_service("short_url_redir", "DecodeShortURLs"),
    full("similar_recipients", "HeaderEval", &[], header::similar_recipients),
    full("sorted_recipients", "HeaderEval", &[], header::sorted_recipients),
    full("subject_is_all_caps", "HeaderEval", &[], header::subject_is_all_caps),
    full("tvd_vertical_words", "BodyEval", &[], body::tvd_vertical_words),
];

/// All functions, sorted by name.
#[must_use]
pub fn all() -> &'static [EvalFn] {
    TABLE
}

/// The function of this name; `None` when there is none.
#[must_use]
pub fn lookup(name: &str) -> Option<&'static EvalFn> {
    TABLE.binary_search_by(|entry| entry.name.cmp(name)).ok().and_then(|index| TABLE.get(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(TABLE.windows(2).all(|pair| pair[0].name < pair[1].name));
        assert!(TABLE.iter().all(|entry| lookup(entry.name).is_some()));
    }
}
