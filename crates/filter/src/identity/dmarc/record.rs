//! DMARC records (RFC 9989 section 4.7): text to what a receiver needs. Report addresses are only noticed.

use crate::identity::DmarcPolicy;
use crate::identity::tags::Tags;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// `p=`; `None` where it is missing, or where `p`, `sp` or `np` is no policy (RFC 9989 section 4.10.1).
    pub(super) policy: Option<DmarcPolicy>,
    /// `sp=`
    pub(super) subdomains: Option<DmarcPolicy>,
    /// `np=`
    pub(super) missing_subdomains: Option<DmarcPolicy>,
    /// `adkim=`
    pub(super) dkim_alignment: Alignment,
    /// `aspf=`
    pub(super) spf_alignment: Alignment,
    /// `psd=`
    pub(super) public_suffix: PublicSuffix,
    /// `t=y`
    pub(super) testing: bool,
    /// Whether `rua=` names at least one address.
    pub(super) wants_reports: bool,
}

/// How near a name must be to the author's domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alignment {
    /// Of the same organizational domain.
    Relaxed,
    /// The same name.
    Strict,
}

/// `psd=`: whether the record's domain is a public suffix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PublicSuffix {
    Yes,
    No,
    Unknown,
}

impl Record {
    /// Reads a record; `None` if it is none. Mistakes after the version leave the default of their tag.
    pub(super) fn parse(text: &[u8]) -> Option<Record> {
        let text = String::from_utf8_lossy(text);
        let rest = after_version(&text)?;
        // What is no tag at all is ignored tag by tag: one slip must not switch off a domain's protection.
        let tags = rest.split(';').filter_map(|tag| Tags::parse(tag).ok());
        let tags: Vec<(String, String)> =
            tags.filter_map(|tags| tags.first().map(|(name, value)| (name.to_owned(), value.to_owned()))).collect();
        let get =
            |name: &str| tags.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| &**value);
        let (policy, is_policy_wrong) = policy(get("p"));
        let (subdomains, is_sub_wrong) = self::policy(get("sp"));
        let (missing_subdomains, is_missing_wrong) = self::policy(get("np"));
        let is_wrong = is_policy_wrong || is_sub_wrong || is_missing_wrong;
        let alignment = |name: &str| match get(name) {
            Some(value) if value.eq_ignore_ascii_case("s") => Alignment::Strict,
            _ => Alignment::Relaxed,
        };
        Some(Record {
            policy: policy.filter(|_| !is_wrong),
            subdomains,
            missing_subdomains,
            dkim_alignment: alignment("adkim"),
            spf_alignment: alignment("aspf"),
            public_suffix: match get("psd") {
                Some(value) if value.eq_ignore_ascii_case("y") => PublicSuffix::Yes,
                Some(value) if value.eq_ignore_ascii_case("n") => PublicSuffix::No,
                _ => PublicSuffix::Unknown,
            },
            testing: get("t").is_some_and(|value| value.eq_ignore_ascii_case("y")),
            wants_reports: get("rua").is_some_and(names_an_address),
        })
    }
}

/// What follows `v=DMARC1`, which must come first and is case-sensitive.
fn after_version(text: &str) -> Option<&str> {
    let (version, rest) = text.split_once(';').unwrap_or((text, ""));
    let (name, value) = version.split_once('=')?;
    (name.trim().eq_ignore_ascii_case("v") && value.trim() == "DMARC1").then_some(rest)
}

/// The policy in a tag, and whether the tag is there and holds none.
fn policy(value: Option<&str>) -> (Option<DmarcPolicy>, bool) {
    let policy = match value.map(str::to_ascii_lowercase).as_deref() {
        Some("none") => Some(DmarcPolicy::None),
        Some("quarantine") => Some(DmarcPolicy::Quarantine),
        Some("reject") => Some(DmarcPolicy::Reject),
        _ => None,
    };
    (policy, value.is_some() && policy.is_none())
}

fn names_an_address(list: &str) -> bool {
    list.split(',')
        .any(|uri| uri.trim().split_once(':').is_some_and(|(scheme, rest)| !scheme.is_empty() && !rest.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_leave_the_rest_standing() {
        let record = Record::parse(b"v=DMARC1 ; p=Reject; sp = none; x; adkim=s; psd=Y; t=y; np=;").unwrap();
        assert_eq!(record.policy, None, "an empty np is no policy");
        let record = Record::parse(b"v=DMARC1;p=reject;adkim=s;foo;psd=y;t=y").unwrap();
        assert_eq!((record.policy, record.dkim_alignment), (Some(DmarcPolicy::Reject), Alignment::Strict));
        assert_eq!((record.public_suffix, record.testing), (PublicSuffix::Yes, true));
    }

    #[test]
    fn the_version_comes_first_and_is_exact() {
        for text in ["v=dmarc1; p=none", "p=none; v=DMARC1", "v=DMARC10; p=none", "v=spf1 -all", ""] {
            assert_eq!(Record::parse(text.as_bytes()), None, "{text}");
        }
        assert!(Record::parse(b"v=DMARC1").is_some());
    }
}
