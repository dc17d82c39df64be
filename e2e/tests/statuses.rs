//! One message, several recipients, and a policy for each: what the message says of itself in a mailbox is the verdict for that mailbox.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a lab that breaks is to fail loudly"
)]

use std::fs;
use std::process::Command;

use tidegate_e2e::cast::{GOOD, LISTED, LISTING_WEIGHS, SPAM};
use tidegate_e2e::{Daemon, Lab, Plan};

/// Everything that the listed client sends is marked, but not for one mailbox; another keeps it.
const POLICY: &str = "
[policy.server]
inbound = { greylist = \"off\", reject = \"off\" }
[policy.mailboxes.\"lax@exim.test\"]
inbound = { greylist = \"off\", reject = \"off\", tag = \"off\" }
[policy.mailboxes.\"strict@exim.test\"]
inbound = { greylist = \"off\", reject = \"off\", quarantine = 6.5 }
";

fn lab(test: &str) -> Option<(Lab, Daemon)> {
    let plan = Plan { dns: [GOOD, LISTED].concat(), ..Plan::default() };
    Daemon::with_lab(test, &plan, &[LISTING_WEIGHS, POLICY].concat()).unwrap()
}

/// Sends spam to `recipients`; whom each delivery was for, with the first word of its only status.
fn statuses(lab: &Lab, recipients: &[&str], count: usize) -> Vec<(String, String)> {
    lab.exim.empty_mailbox().unwrap();
    let (mut client, _) = lab.client("203.0.113.66").unwrap();
    client.envelope("mail.bad.test", "a@good.test", recipients).unwrap();
    assert_eq!(client.data(SPAM).unwrap().code, 250);
    client.expect("QUIT", 221).unwrap();
    let delivered = lab.exim.wait_delivered(count).unwrap();
    let status = |values: Vec<String>| {
        assert_eq!(values.len(), 1, "{values:?}");
        values[0].split(' ').next().unwrap().to_owned()
    };
    delivered.into_iter().map(|one| (first(&one.recipient), status(one.header("X-Tidegate-Status")))).collect()
}

/// A delivery for several recipients names all of them.
fn first(recipients: &str) -> String {
    recipients.split(',').next().unwrap().to_owned()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(to, status)| ((*to).to_owned(), (*status).to_owned())).collect()
}

#[test]
fn one_lenient_mailbox_unmarks_nothing_for_others() {
    let Some((lab, daemon)) = lab("one_lenient_mailbox_unmarks_nothing_for_others") else { return };
    for (recipients, expected) in [
        (&["lax@exim.test", "bob@exim.test"][..], &[("bob@exim.test", "tag"), ("lax@exim.test", "accept")][..]),
        (&["bob@exim.test", "lax@exim.test"], &[("bob@exim.test", "tag"), ("lax@exim.test", "accept")]),
        (&["lax@exim.test"], &[("lax@exim.test", "accept")]),
        (&["bob@exim.test", "kim@exim.test"], &[("bob@exim.test", "tag"), ("kim@exim.test", "tag")]),
        // A third keeps it, and is no reason to say anything else.
        (
            &["strict@exim.test", "LAX@Exim.Test", "alias-bob@exim.test"],
            &[("LAX@Exim.Test", "accept"), ("alias-bob@exim.test", "tag")],
        ),
        // The same mailbox by two ways is one delivery.
        (&["lax@exim.test", "alias-lax@exim.test", "alias-alias-lax@exim.test"], &[("lax@exim.test", "tag")]),
    ] {
        assert_eq!(statuses(&lab, recipients, expected.len()), pairs(expected), "{}\n{}", lab.exim.log(), daemon.log());
    }
    assert_eq!(lab.exim.panic_log(), "");
}

/// A delivery that had to wait is made once, with the recipient's own status.
#[test]
fn a_delivery_that_waits_keeps_its_status() {
    let Some((lab, _daemon)) = lab("a_delivery_that_waits_keeps_its_status") else { return };
    let mail = lab.folder().join("mail");
    // Nothing can be delivered where no folder is.
    fs::remove_dir_all(&mail).ok();
    fs::write(&mail, "").unwrap();
    let (mut client, _) = lab.client("203.0.113.66").unwrap();
    client.envelope("mail.bad.test", "a@good.test", &["lax@exim.test", "bob@exim.test"]).unwrap();
    assert_eq!(client.data(SPAM).unwrap().code, 250);
    lab.exim.wait_log("== bob@exim.test").unwrap();
    fs::remove_file(&mail).unwrap();
    fs::create_dir(&mail).unwrap();
    assert!(Command::new("chown").arg("Debian-exim:").arg(&mail).status().unwrap().success());
    lab.exim.once(lab.namespace(), &["-qff"]).unwrap();
    lab.exim.once(lab.namespace(), &["-qff"]).unwrap();
    let delivered = lab.exim.wait_delivered(2).unwrap();
    let found: Vec<_> =
        delivered.iter().map(|one| one.header("X-Tidegate-Status")[0].split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(found, ["tag", "accept"], "{}", lab.exim.log());
}
