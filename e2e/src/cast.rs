//! Who plays in many tests: a domain in good order, and a client on a blocklist. Each part is for [`Plan::dns`](crate::Plan::dns) or for a
//! configuration, and can be put together with others; what one test needs alone stands in that test.

/// `good.test`, whose mail server is 203.0.113.10 by SPF and reverse name.
pub const GOOD: &str = "
good.test MX 10 mail.good.test
good.test TXT v=spf1 ip4:203.0.113.10 -all
mail.good.test A 203.0.113.10
10.113.0.203.in-addr.arpa PTR mail.good.test
";

/// `bad.test`, without SPF and reverse name, and a blocklist `bl.test` with its test point (RFC 5782 section 5), which lists 203.0.113.66, the
/// client of `bad.test`.
pub const LISTED: &str = "
bad.test MX 10 mail.bad.test
mail.bad.test A 203.0.113.66
2.0.0.127.bl.test A 127.0.0.2
66.113.0.203.bl.test A 127.0.0.2
";

/// Configuration: a listing weighs 5 points. With [`SPAM`] in the name of another domain that makes 6.5 at least, also while the list is not
/// yet known to work.
pub const LISTING_WEIGHS: &str = "
[checks]
off = [\"rate\"]

[blocklists.\"bl.test\"]
weight = 5.0
codes = { \"127.0.0.2\" = {} }
";

/// A message without author and date.
pub const SPAM: &[u8] = b"Subject: offer\n\nBuy now.\n";

/// A message of `good.test` in good order.
pub const HAM: &[u8] = b"From: a@good.test\nTo: b@exim.test\nSubject: t\nDate: Wed, 25 Nov 2026 12:00:00 +0000\nMessage-ID: <1@good.test>\n\nx\n";
