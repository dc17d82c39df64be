//! Directives that are no rules: networks, lists, domains, and all that only other programs need.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::pattern::Pattern;
use crate::settings::{AddressGlob, NetEntry, Redirector, Settings};

use super::line::words;

/// What became of a directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Taken.
    Taken,
    /// Known, and without effect here; the reason.
    Ignored(&'static str),
    /// Not known.
    Unknown,
}

/// Lists of address patterns, all on one line.
const ADDRESS_LISTS: &[&str] = &[
    "all_spam_to",
    "bayes_ignore_from",
    "bayes_ignore_to",
    "blocklist_from",
    "blocklist_to",
    "def_welcomelist_auth",
    "more_spam_to",
    "welcomelist_allows_relays",
    "welcomelist_auth",
    "welcomelist_from",
    "welcomelist_to",
    "welcomelist_from_spf",
    "def_welcomelist_from_spf",
];

/// Lists of one address pattern and one domain or address a line.
const PAIR_LISTS: &[&str] =
    &["welcomelist_from_rcvd", "def_welcomelist_from_rcvd", "welcomelist_from_dkim", "def_welcomelist_from_dkim"];

/// What an old directive is called now (`whitelist_from` and the like).
#[must_use]
pub fn modern_name(key: &str) -> String {
    key.replace("whitelist", "welcomelist").replace("blacklist", "blocklist")
}

/// Applies `key value` to `settings`.
///
/// # Errors
/// What is wrong with the value.
pub fn apply(settings: &mut Settings, key: &str, value: &[u8]) -> Result<Effect, String> {
    let key = modern_name(key);
    if let Some(done) = apply_addresses(settings, &key, value).or_else(|| apply_domains(settings, &key, value)) {
        return done.map(|()| Effect::Taken);
    }
    if let Some(list) = network_list(settings, &key) {
        return add_networks(list, value).map(|()| Effect::Taken);
    }
    let text = String::from_utf8_lossy(value).into_owned();
    match key.as_str() {
        "clear_trusted_networks" => settings.networks.trusted.clear(),
        "clear_internal_networks" => settings.networks.internal.clear(),
        "clear_msa_networks" => settings.networks.msa.clear(),
        "redirector_pattern" => {
            settings.redirectors.push(Redirector::new(Pattern::parse(value).map_err(|error| error.to_string())?))
        }
        "originating_ip_headers" => {
            settings.originating_ip_headers.extend(words(value).map(|word| word.to_ascii_lowercase()))
        }
        "clear_originating_ip_headers" => settings.originating_ip_headers.clear(),
        _ => return Ok(keep(settings, &key, text)),
    }
    Ok(Effect::Taken)
}

/// Keeps the line of a directive that an eval may read, and says so of one that has no effect.
fn keep(settings: &mut Settings, key: &str, text: String) -> Effect {
    if let Some((_, reason)) = IGNORED.iter().find(|(name, _)| is_listed(name, key)) {
        return Effect::Ignored(reason);
    }
    if let Some(cleared) = key.strip_prefix("clear_").filter(|cleared| READ_BY_EVALS.contains(cleared)) {
        let names: Vec<&str> = text.split_whitespace().collect();
        let lines = settings.others.entry(cleared.to_owned()).or_default();
        lines.retain(|line| !names.is_empty() && !line.split_whitespace().any(|word| names.contains(&word)));
        return Effect::Taken;
    }
    if READ_BY_EVALS.contains(&key) {
        settings.others.entry(key.to_owned()).or_default().push(text);
        return Effect::Taken;
    }
    Effect::Unknown
}

/// A trailing `*` in a table stands for any rest.
fn is_listed(name: &str, key: &str) -> bool {
    name.strip_suffix('*').map_or(name == key, |prefix| key.starts_with(prefix))
}

fn apply_addresses(settings: &mut Settings, key: &str, value: &[u8]) -> Option<Result<(), String>> {
    if let Some(list) =
        key.strip_prefix("un").filter(|list| list.starts_with("welcomelist") || list.starts_with("blocklist"))
    {
        return Some(remove_addresses(settings, list, value));
    }
    if key == "enlist_addrlist" {
        return Some(enlist_addresses(settings, value));
    }
    let is_pair = PAIR_LISTS.contains(&key);
    if !is_pair && !ADDRESS_LISTS.contains(&key) {
        return None;
    }
    let mut names = words(value).map(|word| word.to_lowercase()).peekable();
    if names.peek().is_none() {
        return Some(Err("an address pattern is missing".to_owned()));
    }
    let list = settings.addresses.entry(key.to_owned()).or_default();
    if is_pair {
        let glob = names.next().unwrap_or_default();
        let companion = names.next();
        if companion.is_none() && key.ends_with("_rcvd") {
            return Some(Err("a domain or an address is missing after the address pattern".to_owned()));
        }
        list.push(AddressGlob { glob, companion });
    } else {
        list.extend(names.map(|glob| AddressGlob { glob, companion: None }));
    }
    Some(Ok(()))
}

fn remove_addresses(settings: &mut Settings, list: &str, value: &[u8]) -> Result<(), String> {
    let mut names: Vec<String> = words(value).map(|word| word.to_lowercase()).collect();
    let companion = (list.ends_with("_dkim") && names.len() > 1).then(|| names.pop()).flatten();
    for list in [list.to_owned(), format!("def_{list}")] {
        let Some(entries) = settings.addresses.get_mut(&list) else {
            continue;
        };
        entries.retain(|entry| {
            let is_companion = companion.is_none() || entry.companion == companion;
            !(names.contains(&entry.glob) && is_companion)
        });
    }
    Ok(())
}

/// Splits `(LIST) rest`.
fn split_list_name(value: &[u8]) -> Option<(String, &[u8])> {
    let rest = value.strip_prefix(b"(")?;
    let end = memchr::memchr(b')', rest)?;
    let name = String::from_utf8_lossy(rest.get(..end)?).into_owned();
    Some((name, rest.get(end + 1..)?))
}

fn enlist_addresses(settings: &mut Settings, value: &[u8]) -> Result<(), String> {
    let (name, rest) = split_list_name(value).ok_or("write (LISTNAME) address …")?;
    let globs: Vec<AddressGlob> =
        words(rest).map(|word| AddressGlob { glob: word.to_lowercase(), companion: None }).collect();
    if ADDRESS_LISTS.contains(&modern_name(&name).as_str()) {
        settings.addresses.entry(modern_name(&name)).or_default().extend(globs.iter().cloned());
    }
    settings.address_lists.entry(name).or_default().extend(globs);
    Ok(())
}

fn apply_domains(settings: &mut Settings, key: &str, value: &[u8]) -> Option<Result<(), String>> {
    let suffixes = &mut settings.suffixes;
    let lower = || words(value).map(|word| word.to_lowercase());
    match key {
        "util_rb_tld" => suffixes.tld.extend(lower()),
        "util_rb_2tld" => suffixes.two.extend(lower()),
        "util_rb_3tld" => suffixes.three.extend(lower()),
        "util_rb_4tld" => suffixes.four.extend(lower()),
        "clear_util_rb" => *suffixes = Default::default(),
        "freemail_domains" => {
            let (globs, plain): (Vec<String>, Vec<String>) = lower().partition(|word| word.contains(['*', '?']));
            settings.freemail_globs.extend(globs);
            settings.freemail_domains.extend(plain);
        }
        "uridnsbl_skip_domain" => settings.uridnsbl_skip_domains.extend(lower()),
        "clear_uridnsbl_skip_domain" => {
            let names: Vec<String> = lower().collect();
            settings.uridnsbl_skip_domains.retain(|domain| !names.is_empty() && !names.contains(domain));
        }
        "enlist_uri_host" | "delist_uri_host" | "blocklist_uri_host" | "welcomelist_uri_host" => {
            return Some(apply_uri_hosts(settings, key, value));
        }
        _ => return None,
    }
    Some(Ok(()))
}

fn apply_uri_hosts(settings: &mut Settings, key: &str, value: &[u8]) -> Result<(), String> {
    let fixed = match key {
        "blocklist_uri_host" => Some("BLOCK"),
        "welcomelist_uri_host" => Some("WELCOME"),
        _ => None,
    };
    let (name, rest) = match (fixed, split_list_name(value)) {
        (Some(name), _) => (Some(name.to_owned()), value),
        (None, Some((name, rest))) => (Some(name), rest),
        (None, None) => (None, value),
    };
    let hosts = words(rest).map(|word| word.to_lowercase());
    let lists = &mut settings.uri_host_lists;
    if key == "delist_uri_host" {
        let hosts: Vec<String> = hosts.map(|host| host.trim_start_matches('!').to_owned()).collect();
        for (_, list) in lists.iter_mut().filter(|(list, _)| name.as_ref().is_none_or(|name| name == *list)) {
            list.retain(|host, _| !hosts.contains(host));
        }
        return Ok(());
    }
    let list = lists.entry(name.ok_or("write (LISTNAME) host …")?).or_default();
    list.extend(hosts.map(|host| match host.strip_prefix('!') {
        Some(host) => (host.to_owned(), false),
        None => (host, true),
    }));
    Ok(())
}

fn network_list<'s>(settings: &'s mut Settings, key: &str) -> Option<&'s mut Vec<NetEntry>> {
    match key {
        "trusted_networks" => Some(&mut settings.networks.trusted),
        "internal_networks" => Some(&mut settings.networks.internal),
        "msa_networks" => Some(&mut settings.networks.msa),
        _ => None,
    }
}

fn add_networks(list: &mut Vec<NetEntry>, value: &[u8]) -> Result<(), String> {
    for word in words(value) {
        let (text, is_excluded) = word.strip_prefix('!').map_or((word.as_str(), false), |text| (text, true));
        let net =
            read_network(text).ok_or_else(|| format!("`{word}` is no network; write 192.0.2.0/24 or 2001:db8::/32"))?;
        list.push(NetEntry { net, is_excluded });
    }
    Ok(())
}

/// `192.0.2.1`, `192.0.2.0/24`, `192.0.2.`, `10/8`, `10.`, and IPv6 with or without brackets.
fn read_network(text: &str) -> Option<IpNet> {
    let text = text.trim_start_matches('[').replace(']', "");
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length.parse::<u8>().ok()?)),
        None => (text.as_str(), None),
    };
    if address.contains(':') {
        let address: IpAddr = address.parse().ok()?;
        return IpNet::new(address, length.unwrap_or(128)).ok().map(|net| net.trunc());
    }
    let octets: Vec<&str> = address.trim_end_matches('.').split('.').collect();
    let given = u8::try_from(octets.len()).ok().filter(|given| *given <= 4)?;
    let mut whole = octets.join(".");
    (given..4).for_each(|_| whole.push_str(".0"));
    let address: IpAddr = whole.parse().ok()?;
    IpNet::new(address, length.unwrap_or(given * 8)).ok().map(|net| net.trunc())
}

/// Directives whose lines an eval or the engine reads.
const READ_BY_EVALS: &[&str] = &[
    "adsp_override",
    "asn_lookup",
    "asn_lookup_ipv6",
    "asn_prefix",
    "bayes_ignore_header",
    "blocklist_subject",
    "body_part_scan_size",
    "descriptions",
    "dkim_minimum_key_bits",
    "dns_block_rule",
    "dns_query_restriction",
    "envelope_sender_header",
    "always_trust_envelope_sender",
    "fns_add_addrlist",
    "fns_check",
    "fns_extrachars",
    "fns_ignore_dkim",
    "fns_ignore_headers",
    "fns_remove_addrlist",
    "freemail_add_describe_email",
    "freemail_import_def_welcomelist_auth",
    "freemail_import_welcomelist_auth",
    "freemail_max_body_emails",
    "freemail_max_body_freemails",
    "freemail_skip_bulk_envfrom",
    "freemail_skip_when_over_max",
    "freemail_welcomelist",
    "hashbl_acl_freemail",
    "hashbl_email_domain_alias",
    "hashbl_email_regex",
    "hashbl_email_welcomelist",
    "hashbl_ignore",
    "inactive_languages",
    "ignore_received_spf_header",
    "max_short_url_redirections",
    "max_short_urls",
    "mime_encoding_checks",
    "normalize_charset",
    "num_check_received",
    "ok_languages",
    "ok_locales",
    "olemacro_download_marker",
    "olemacro_extended_scan",
    "olemacro_exts",
    "olemacro_macro_exts",
    "olemacro_max_file",
    "olemacro_num_mime",
    "olemacro_num_zip",
    "olemacro_prefer_contentdisposition",
    "olemacro_skip_ctypes",
    "olemacro_skip_exts",
    "olemacro_zip_depth",
    "olemacro_zips",
    "parse_dkim_uris",
    "rawbody_part_scan_size",
    "rbl_headers",
    "required_score",
    "shortcircuit_ham_score",
    "shortcircuit_max_spam_score",
    "shortcircuit_min_ham_score",
    "shortcircuit_spam_score",
    "skip_rbl_checks",
    "skip_uribl_checks",
    "textcat_acceptable_score",
    "textcat_max_languages",
    "textcat_max_ngrams",
    "textcat_optimal_ngrams",
    "uri_block_cc",
    "uri_block_cidr",
    "uri_block_cont",
    "uri_block_exclude",
    "uri_block_isp",
    "uridnsbl",
    "uridnsbl_max_domains",
    "uridnsbl_skip_mailto",
    "uridnssub",
    "urifullnsrhsbl",
    "urifullnsrhssub",
    "urinsrhsbl",
    "urinsrhssub",
    "urirhsbl",
    "urirhssub",
    "url_redirector",
    "url_redirector_get",
    "url_redirector_params",
    "url_shortener",
    "url_shortener_get",
    "use_newest_received_spf_header",
    "welcomelist_bounce_relays",
    "welcomelist_subject",
];

/// Directives that are known and have no effect, by reason.
const IGNORED: &[(&str, &str)] = &[
    ("add_header", REPORT),
    ("remove_header", REPORT),
    ("rewrite_header", REPORT),
    ("clear_headers", REPORT),
    ("clear_report_template", REPORT),
    ("clear_unsafe_report_template", REPORT),
    ("fold_headers", REPORT),
    ("report*", REPORT),
    ("unsafe_report*", REPORT),
    ("version_tag", REPORT),
    ("spamtrap*", REPORT),
    ("subjprefix", REPORT),
    ("auto_welcomelist*", LEARNING),
    ("autolearn*", LEARNING),
    ("bayes_*", LEARNING),
    ("learn_*", LEARNING),
    ("txrep_*", LEARNING),
    ("use_auto_welcomelist", LEARNING),
    ("use_bayes*", LEARNING),
    ("use_learner", LEARNING),
    ("use_txrep", LEARNING),
    ("user_awl_*", LEARNING),
    ("dcc_*", SERVICE),
    ("dccifd_*", SERVICE),
    ("extracttext_*", SERVICE),
    ("phishing_*", SERVICE),
    ("pyzor_*", SERVICE),
    ("razor_*", SERVICE),
    ("spamcop_*", SERVICE),
    ("use_dcc*", SERVICE),
    ("use_pyzor", SERVICE),
    ("use_razor2", SERVICE),
    ("url_redirector_*", SERVICE),
    ("url_shortener_*", SERVICE),
    ("dns_*", DNS),
    ("clear_dns_servers", DNS),
    ("dkim_timeout", DNS),
    ("do_not_use_mail_spf*", DNS),
    ("rbl_timeout", DNS),
    ("spf_timeout", DNS),
    ("uridnsbl_timeout", DNS),
    ("asn_*", DNS),
    ("authres_*", DNS),
    ("country_db_*", DNS),
    ("dmarc_save_reports", DNS),
    ("geodb_*", DNS),
    ("uri_country_db_*", DNS),
    ("allow_user_rules", PROCESS),
    ("lock_method", PROCESS),
    ("mbox_format_from_regex", PROCESS),
    ("resource_limit_*", PROCESS),
    ("run_reuse_tests_only", PROCESS),
    ("time_limit", PROCESS),
    ("trigger_*", PROCESS),
    ("user_scores_*", PROCESS),
    ("test", PROCESS),
];

const REPORT: &str = "reports and headers are the server's business";
const LEARNING: &str = "the classifier has settings of its own";
const SERVICE: &str = "the service that it configures is not asked";
const DNS: &str = "look-ups are the engine's business";
const PROCESS: &str = "it configures a program that does not run here";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_as_administrators_write_them() {
        for (text, expected) in [
            ("192.168/16", "192.168.0.0/16"),
            ("10.", "10.0.0.0/8"),
            ("192.0.2.7", "192.0.2.7/32"),
            ("[2001:db8::1]", "2001:db8::1/128"),
            ("2001:db8::/32", "2001:db8::/32"),
        ] {
            assert_eq!(read_network(text).map(|net| net.to_string()).as_deref(), Some(expected), "{text}");
        }
        for bad in ["", "1.2.3.4.5", "10/33", "example.org", "::1/129"] {
            assert_eq!(read_network(bad), None, "{bad}");
        }
    }

    #[test]
    fn old_and_new_names_fill_one_list() {
        let mut settings = Settings::default();
        for (key, value) in [
            ("whitelist_from", "*@Example.org a@example.net"),
            ("welcomelist_from_dkim", "*@example.org Signer.example"),
            ("enlist_addrlist", "(welcomelist_from) c@example.com"),
            ("unwhitelist_from", "a@example.net"),
            ("enlist_uri_host", "(L) !a.example example"),
            ("blacklist_uri_host", "bad.example"),
        ] {
            assert_eq!(apply(&mut settings, key, value.as_bytes()), Ok(Effect::Taken), "{key}");
        }
        let globs: Vec<&str> = settings.addresses["welcomelist_from"].iter().map(|entry| entry.glob.as_str()).collect();
        assert_eq!(globs, ["*@example.org", "c@example.com"]);
        assert_eq!(settings.addresses["welcomelist_from_dkim"][0].companion.as_deref(), Some("signer.example"));
        assert!(!settings.uri_host_lists["L"]["a.example"]);
        assert!(settings.uri_host_lists["BLOCK"]["bad.example"]);
        assert_eq!(apply(&mut settings, "report_safe", b"1"), Ok(Effect::Ignored(REPORT)));
        assert_eq!(apply(&mut settings, "frobnicate", b"1"), Ok(Effect::Unknown));
        assert!(apply(&mut settings, "trusted_networks", b"nowhere").is_err());
    }
}
