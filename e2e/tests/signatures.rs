//! Signed mail through a real Exim: what the daemon reads from the ask and the spool is, octet for octet, what the sender signed.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a lab that breaks is to fail loudly")]

use tidegate_e2e::cast::GOOD;
use tidegate_e2e::{Daemon, Lab, Plan, why_not};

/// How `good.test` signs.
const SIGNS: &str = "
_dmarc.good.test TXT v=DMARC1; p=reject; aspf=s; adkim=s
s._domainkey.good.test TXT v=DKIM1; k=ed25519; p=KEY
";
const KEY: &str = "6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=";

/// Signed twice, relaxed and simple, with folds, blanks before line ends, a dot in front and empty lines at the end.
const SIGNED: &[u8] = include_bytes!("signed.eml");

#[test]
fn signatures_hold_on_the_way_through_the_spool() {
    if let Some(reason) = why_not() {
        println!("skipped: signatures_hold_on_the_way_through_the_spool: {reason}");
        return;
    }
    let lab = Lab::start(&Plan { dns: [GOOD, SIGNS].concat().replace("KEY", KEY), ..Plan::default() }).unwrap();
    let _daemon = Daemon::start(&lab, "").unwrap();
    let text = String::from_utf8(SIGNED.to_vec()).unwrap();
    for (message, result) in [(text.clone(), "dkim=pass"), (text.replace("xxx\n", "xxy\n"), "dkim=fail")] {
        let (mut client, _) = lab.client("203.0.113.10").unwrap();
        client.envelope("mail.good.test", "a@good.test", &["b@exim.test"]).unwrap();
        let reply = client.data(message.as_bytes()).unwrap();
        assert_eq!(reply.code, 250, "{}", reply.text);
        let delivered = lab.exim.wait_delivered(1).unwrap().remove(0);
        lab.exim.empty_mailbox().unwrap();
        let results = delivered.header("Authentication-Results").concat();
        assert_eq!(results.matches(result).count(), 2, "{results}");
    }
}
