//! `if`, `ifplugin`, `else`, `endif`: which lines count, given the loaded plugins and the version of the language.

use std::collections::HashSet;

use super::expression::{self, Expr, ExpressionError, Token};
use super::rule::LOCAL_TESTS_ONLY;

/// The version of SpamAssassin whose language this is: what `version` is in an `if` line.
pub const LANGUAGE_VERSION: f64 = 4.000_001;
/// What `require_version` must name to be satisfied.
pub const LANGUAGE_VERSION_TEXT: &str = "4.000001";
/// What `perl_version` is in an `if` line: the version that Debian 12 runs.
const PERL_VERSION: f64 = 5.036_000;

const LANGUAGE_MODULE: &str = "Mail::SpamAssassin::Conf";
const PLUGIN_PREFIX: &str = "Mail::SpamAssassin::Plugin::";

/// Plugins whose work is built in, as far as there is any. What their evals do is said in [`crate::evals`].
const PLUGINS: &[&str] = &[
    "ASN",
    "AWL",
    "AccessDB",
    "AntiVirus",
    "AskDNS",
    "AuthRes",
    "AutoLearnThreshold",
    "Bayes",
    "BodyEval",
    "Check",
    "DCC",
    "DKIM",
    "DMARC",
    "DNSEval",
    "DecodeShortURLs",
    "ExtractText",
    "FreeMail",
    "FromNameSpoof",
    "HTMLEval",
    "HTTPSMismatch",
    "HashBL",
    "HeaderEval",
    "ImageInfo",
    "MIMEEval",
    "MIMEHeader",
    "OLEVBMacro",
    "PDFInfo",
    "PhishTag",
    "Phishing",
    "Pyzor",
    "Razor2",
    "RelayCountry",
    "RelayEval",
    "ReplaceTags",
    "ResourceLimits",
    "Reuse",
    "Rule2XSBody",
    "SPF",
    "Shortcircuit",
    "SpamCop",
    "TextCat",
    "TxRep",
    "URIDNSBL",
    "URIDetail",
    "URIEval",
    "URILocalBL",
    "VBounce",
    "WLBLEval",
    "WelcomeListSubject",
];

/// What `has()` and `can()` find in the language itself (`Mail::SpamAssassin::Conf::…`).
const LANGUAGE_FEATURES: &[&str] = &[
    "feature_bayes_auto_learn_on_error",
    "feature_bayes_stopwords",
    "feature_blocklist_welcomelist",
    "feature_bug6558_free",
    "feature_capture_rules",
    "feature_compile_regexp",
    "feature_dns_block_rule",
    "feature_dns_local_ports_permit_avoid",
    "feature_dns_query_restriction",
    "feature_edns",
    "feature_geodb",
    "feature_get_host",
    "feature_header_address_parser",
    "feature_header_first_last",
    "feature_header_match_many",
    "feature_local_tests_only",
    "feature_meta_rules_matching",
    "feature_originating_ip_headers",
    "feature_registryboundaries",
    "feature_subjprefix",
    "feature_uri_host_listed",
    "feature_welcomelist_blocklist",
    "feature_yesno_takes_args",
    "has_tflags_nolog",
    "has_tflags_nosubject",
    "perl_min_version_5010000",
];

/// What `has()` and `can()` find in a loaded plugin.
const PLUGIN_FEATURES: &[(&str, &[&str])] = &[
    ("ASN", &["has_asn_geodb", "has_asn_lookup_ipv6", "has_check_asn", "has_check_asn_tag"]),
    ("AskDNS", &["has_tag_header"]),
    ("BodyEval", &["has_check_body_length", "has_plaintext_body_sig_ratio"]),
    ("DKIM", &["has_arc"]),
    ("DNSEval", &["has_tflags_domains_only", "has_tflags_ips_only"]),
    (
        "DecodeShortURLs",
        &[
            "has_autoclean",
            "has_clear",
            "has_get",
            "has_max_redirections",
            "has_short_url",
            "has_short_url_code",
            "has_short_url_redir",
            "has_timeout",
            "has_user_agent",
        ],
    ),
    (
        "HashBL",
        &[
            "has_hashbl_attachments",
            "has_hashbl_bodyre",
            "has_hashbl_bodyre_num",
            "has_hashbl_email_domain",
            "has_hashbl_email_domain_alias",
            "has_hashbl_email_regex",
            "has_hashbl_email_welcomelist",
            "has_hashbl_email_whitelist",
            "has_hashbl_emails",
            "has_hashbl_ignore",
            "has_hashbl_sha256",
            "has_hashbl_tag",
            "has_hashbl_uris",
        ],
    ),
    ("MIMEEval", &["has_check_abundant_unicode_ratio", "has_check_for_ascii_text_illegal", "has_check_qp_ratio"]),
    (
        "MIMEHeader",
        &["has_all_header", "has_capture_rules", "has_tflags_concat", "has_tflags_multiple", "has_tflags_range"],
    ),
    ("OLEVBMacro", &["has_olemacro_mhtml_uri", "has_olemacro_redirect_uri", "has_olertfobject"]),
    ("Pyzor", &["has_fork", "has_perl"]),
    ("Razor2", &["has_fork"]),
    ("SPF", &["has_check_for_spf_errors", "has_check_spf_skipped_noenvfrom"]),
    (
        "URIDNSBL",
        &[
            "has_subtest_for_ranges",
            "has_tflags_domains_only",
            "has_tflags_notrim",
            "has_uridnsbl_a_ns",
            "has_uridnsbl_for_a",
            "has_uridnsbl_skip_mailto",
        ],
    ),
    ("URIDetail", &["has_host_key"]),
];

/// What rule files are to find besides what is built in: a plugin whose work something else does, a feature of a later version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// Plugins, as `loadplugin` names them. Their eval tests are as unknown as before.
    pub plugins: Vec<String>,
    /// What `can()` finds, and `has()` as well, with its module in front: `Mail::SpamAssassin::Plugin::Own::has_it`. What belongs to a
    /// plugin is found where that is loaded.
    pub can: Vec<String>,
    /// What only `has()` finds: functions that are there and say no.
    pub has: Vec<String>,
}

/// What conditions ask about.
#[derive(Clone, Debug, Default)]
pub struct Features {
    plugins: HashSet<String>,
    compat: HashSet<String>,
    local_tests_only: bool,
    claims: Claims,
}

/// The plugins whose work is built in, as `loadplugin` names them.
pub fn plugins() -> impl Iterator<Item = String> {
    PLUGINS.iter().map(|name| format!("{PLUGIN_PREFIX}{name}"))
}

impl Features {
    /// No plugin loaded; `local_tests_only` is what that word is in an `if` line.
    #[must_use]
    pub fn new(local_tests_only: bool, claims: Claims) -> Features {
        Features { local_tests_only, claims, ..Features::default() }
    }

    /// What `local_tests_only` is in conditions and metas.
    #[must_use]
    pub fn local_tests_only(&self) -> bool {
        self.local_tests_only
    }

    /// Notes a `loadplugin`; the answer is whether the plugin is known here.
    pub fn load(&mut self, class: &str) -> bool {
        if self.claims.plugins.iter().any(|claimed| claimed == class) {
            self.plugins.insert(class.strip_prefix(PLUGIN_PREFIX).unwrap_or(class).to_owned());
            return true;
        }
        let class = class.strip_prefix(PLUGIN_PREFIX).unwrap_or(class);
        let class = modern_name(class);
        let is_known = PLUGINS.contains(&class);
        if is_known {
            self.plugins.insert(class.to_owned());
        }
        is_known
    }

    /// Notes an `enable_compat`.
    pub fn enable_compat(&mut self, name: &str) {
        self.compat.insert(name.to_owned());
    }

    /// Whether a plugin is loaded, by its name without `Mail::SpamAssassin::Plugin::`.
    #[must_use]
    pub fn is_loaded(&self, plugin: &str) -> bool {
        self.plugins.contains(plugin)
    }

    fn has_plugin(&self, class: &str) -> bool {
        match class.strip_prefix(PLUGIN_PREFIX) {
            Some(name) => name == "RaciallyCharged" || self.is_loaded(modern_name(name)),
            // A plugin of somebody else's, under its whole name.
            None => self.is_loaded(class) && self.claims.plugins.iter().any(|claimed| claimed == class),
        }
    }

    /// Whether `can()` finds it.
    fn can(&self, path: &str) -> bool {
        self.has_feature(path) || self.is_claimed(&self.claims.can, path)
    }

    /// Whether `has()` finds it.
    fn has(&self, path: &str) -> bool {
        self.can(path) || self.is_claimed(&self.claims.has, path)
    }

    fn is_claimed(&self, list: &[String], path: &str) -> bool {
        let module = path.rsplit_once("::").map_or("", |(module, _)| module);
        list.iter().any(|claimed| claimed == path) && (module == LANGUAGE_MODULE || self.has_plugin(module))
    }

    fn has_feature(&self, path: &str) -> bool {
        let Some((module, feature)) = path.rsplit_once("::") else {
            return false;
        };
        if module == LANGUAGE_MODULE {
            let compat = feature.strip_prefix("compat_").is_some_and(|name| self.compat.contains(name));
            return compat || LANGUAGE_FEATURES.contains(&feature);
        }
        let Some(plugin) = module.strip_prefix(PLUGIN_PREFIX).filter(|plugin| self.is_loaded(plugin)) else {
            return false;
        };
        PLUGIN_FEATURES.iter().any(|(name, features)| *name == plugin && features.contains(&feature))
    }

    /// Whether the condition of an `if` line holds.
    ///
    /// # Errors
    /// Where and why the condition cannot be read.
    pub fn holds(&self, condition: &[u8]) -> Result<bool, ExpressionError> {
        let tokens = self.answer_calls(expression::tokens(condition)?);
        let expression: Expr<String> = expression::parse(&tokens)?;
        let mut unknown = None;
        let value = expression.eval(&mut |name| match name.as_str() {
            "version" => LANGUAGE_VERSION,
            "perl_version" => PERL_VERSION,
            LOCAL_TESTS_ONLY => f64::from(u8::from(self.local_tests_only)),
            _ => {
                unknown.get_or_insert_with(|| name.clone());
                0.0
            }
        });
        match unknown {
            Some(name) => Err(ExpressionError { at: 0, message: format!("`{name}` means nothing in a condition") }),
            None => Ok(value != 0.0),
        }
    }

    /// Replaces `plugin(A::B)`, `has(A::B::c)` and `can(A::B::c)` by 1 or 0.
    fn answer_calls(&self, tokens: Vec<(usize, Token)>) -> Vec<(usize, Token)> {
        let mut answered = Vec::with_capacity(tokens.len());
        let mut rest = tokens.as_slice();
        while let Some((first, tail)) = rest.split_first() {
            if let [
                (at, Token::Name(call)),
                (_, Token::Mark(b'(')),
                (_, Token::Name(name)),
                (_, Token::Mark(b')')),
                after @ ..,
            ] = rest
            {
                let answer = match call.as_str() {
                    "plugin" => Some(self.has_plugin(name)),
                    "has" => Some(self.has(name)),
                    "can" => Some(self.can(name)),
                    _ => None,
                };
                if let Some(answer) = answer {
                    answered.push((*at, Token::Number(f64::from(u8::from(answer)))));
                    rest = after;
                    continue;
                }
            }
            answered.push(first.clone());
            rest = tail;
        }
        answered
    }
}

/// The present name of a plugin that was renamed.
fn modern_name(class: &str) -> &str {
    match class {
        "Dmarc" => "DMARC",
        "WhiteListSubject" => "WelcomeListSubject",
        other => other,
    }
}

/// The open `if` blocks of a file.
#[derive(Clone, Debug, Default)]
pub struct Blocks {
    /// For each open block, whether lines before it were skipped, and the line that opened it.
    open: Vec<(bool, u32)>,
    is_skipping: bool,
}

impl Blocks {
    /// Whether lines are left out here.
    #[must_use]
    pub fn is_skipping(&self) -> bool {
        self.is_skipping
    }

    /// Enters a block.
    pub fn enter(&mut self, holds: bool, line: u32) {
        self.open.push((self.is_skipping, line));
        self.is_skipping |= !holds;
    }

    /// `else`; the answer is whether a block was open.
    pub fn turn(&mut self) -> bool {
        let is_blocked = self.open.iter().any(|(was_skipping, _)| *was_skipping);
        self.is_skipping = is_blocked || !self.is_skipping;
        !self.open.is_empty()
    }

    /// `endif`; the answer is whether a block was open.
    pub fn leave(&mut self) -> bool {
        let left = self.open.pop();
        self.is_skipping = left.map_or(self.is_skipping, |(was_skipping, _)| was_skipping);
        left.is_some()
    }

    /// Leaves out the rest of the file.
    pub fn skip_file(&mut self) {
        self.is_skipping = true;
        for (was_skipping, _) in &mut self.open {
            *was_skipping = true;
        }
    }

    /// Lines of the blocks that are still open.
    pub fn open_lines(&self) -> impl Iterator<Item = u32> + '_ {
        self.open.iter().map(|(_, line)| *line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_of_the_stock_rules() {
        let mut features = Features::new(true, Claims::default());
        assert!(features.load("Mail::SpamAssassin::Plugin::BodyEval"));
        assert!(!features.load("My::Own"));
        features.enable_compat("welcomelist_blocklist");
        for (condition, expected) in [
            ("(version >= 3.004002)", true),
            ("(version < 4.000000)", false),
            ("plugin(Mail::SpamAssassin::Plugin::BodyEval)", true),
            ("!plugin(Mail::SpamAssassin::Plugin::DKIM)", true),
            ("can(Mail::SpamAssassin::Conf::feature_bug6558_free)", true),
            ("can(Mail::SpamAssassin::Conf::compat_welcomelist_blocklist)", true),
            ("has(Mail::SpamAssassin::Plugin::BodyEval::has_check_body_length)", true),
            ("has(Mail::SpamAssassin::Plugin::DKIM::has_arc)", false),
            ("!(can(Mail::SpamAssassin::Plugin::ASN::has_check_asn)) && local_tests_only", true),
            ("perl_version >= 5.010000", true),
        ] {
            assert_eq!(features.holds(condition.as_bytes()), Ok(expected), "{condition}");
        }
        assert!(features.holds(b"frobnicate").is_err());
    }

    #[test]
    fn what_is_claimed_is_found_where_its_plugin_is_loaded() {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut features = Features::new(
            false,
            Claims {
                plugins: list(&["Mail::SpamAssassin::Plugin::Own", "Our::Plugin"]),
                can: list(&[
                    "Mail::SpamAssassin::Plugin::Own::yes",
                    "Mail::SpamAssassin::Plugin::DKIM::later",
                    "Mail::SpamAssassin::Conf::feature_later",
                ]),
                has: list(&["Mail::SpamAssassin::Plugin::Own::no"]),
            },
        );
        let holds = |features: &Features, text: &str| features.holds(text.as_bytes()).unwrap();
        assert!(!holds(&features, "plugin(Mail::SpamAssassin::Plugin::Own)"), "claimed, not loaded");
        assert!(!holds(&features, "can(Mail::SpamAssassin::Plugin::Own::yes)"));
        assert!(features.load("Mail::SpamAssassin::Plugin::Own") && features.load("Our::Plugin"));
        for (condition, expected) in [
            ("plugin(Mail::SpamAssassin::Plugin::Own) && plugin(Our::Plugin)", true),
            ("plugin(Own) || plugin(Plugin)", false),
            ("has(Mail::SpamAssassin::Plugin::Own::yes) && can(Mail::SpamAssassin::Plugin::Own::yes)", true),
            ("has(Mail::SpamAssassin::Plugin::Own::no) && !can(Mail::SpamAssassin::Plugin::Own::no)", true),
            ("has(Mail::SpamAssassin::Plugin::Own::neither)", false),
            ("can(Mail::SpamAssassin::Conf::feature_later)", true),
            ("can(Mail::SpamAssassin::Plugin::DKIM::later)", false),
            ("can(feature_later) || has(yes) || can()", false),
        ] {
            assert_eq!(features.holds(condition.as_bytes()).unwrap_or(false), expected, "{condition}");
        }
    }

    #[test]
    fn else_inside_a_skipped_block_stays_skipped() {
        let mut blocks = Blocks::default();
        blocks.enter(false, 1);
        blocks.enter(true, 2);
        assert!(blocks.turn() && blocks.is_skipping());
        assert!(blocks.leave() && blocks.turn() && !blocks.is_skipping());
        assert!(blocks.leave() && !blocks.is_skipping());
        assert!(!blocks.leave() && !blocks.turn());
    }
}
