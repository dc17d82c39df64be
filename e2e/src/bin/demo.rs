//! `cargo xtask demo`: a real Exim with Tidegate beside it, a few messages from different clients, each with what was said
//! on the wire and what Tidegate made of it. With `--keep` the lab stays up until Enter is pressed.

#![allow(clippy::disallowed_methods, reason = "a demo that is kept up waits")]

use std::io::{BufRead, Write};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use tidegate_e2e::{Daemon, Lab, Plan, why_not};

/// The world of the demo. `exim.test` and `hosted.test` are the domains hosted here.
const DNS: &str = "
good.test MX 10 mail.good.test
good.test TXT v=spf1 ip4:203.0.113.10 -all
mail.good.test A 203.0.113.10
10.113.0.203.in-addr.arpa PTR mail.good.test
dynamic.test MX 10 mail.dynamic.test
mail.dynamic.test A 198.51.100.77
; A blocklist with its test point (RFC 5782 section 5), and one listed client.
2.0.0.127.bl.test A 127.0.0.2
66.113.0.203.bl.test A 127.0.0.2
hosted.test MX 10 mx.exim.test
hosted.test TXT v=spf1 -all
_dmarc.hosted.test TXT v=DMARC1; p=reject
mx.exim.test A 192.0.2.25
exim.test MX 10 mx.exim.test
";
const CONFIG: &str = "
[blocklists.\"bl.test\"]
codes = { \"127.0.0.2\" = { refuse = true } }
";

/// One message of the demo.
struct Scene {
    what: &'static str,
    client: &'static str,
    helo: &'static str,
    sender: &'static str,
    recipients: &'static [&'static str],
    message: &'static str,
}

const SCENES: [Scene; 5] = [
    Scene {
        what: "A sender who is who it says it is",
        client: "203.0.113.10",
        helo: "mail.good.test",
        sender: "ann@good.test",
        recipients: &["bob@exim.test"],
        message: "From: Ann <ann@good.test>\nTo: bob@exim.test\nSubject: lunch\nDate: Wed, 25 Nov 2026 12:00:00 +0000\n\
                  Message-ID: <lunch@good.test>\n\nTomorrow at noon?\n",
    },
    Scene {
        what: "A client on a blocklist whose code may refuse",
        client: "203.0.113.66",
        helo: "friendly.invalid",
        sender: "offer@good.test",
        recipients: &["bob@exim.test"],
        message: "",
    },
    Scene {
        what: "The same client writes to the postmaster, who can always be reached",
        client: "203.0.113.66",
        helo: "friendly.invalid",
        sender: "offer@good.test",
        recipients: &["postmaster@exim.test"],
        message: "From: offer@good.test\nTo: postmaster@exim.test\nSubject: why am I listed?\n\
                  Date: Wed, 25 Nov 2026 12:00:00 +0000\nMessage-ID: <why@good.test>\n\nPlease look.\n",
    },
    Scene {
        what: "A sender whose domain does not exist",
        client: "198.51.100.77",
        helo: "mail.dynamic.test",
        sender: "x@no-such-domain.test",
        recipients: &["bob@exim.test"],
        message: "",
    },
    Scene {
        what: "A stranger in the name of a domain that is hosted here and says p=reject",
        client: "198.51.100.77",
        helo: "mail.dynamic.test",
        sender: "bounce@dynamic.test",
        recipients: &["bob@exim.test"],
        message: "From: The Club <chair@hosted.test>\nTo: bob@exim.test\nSubject: new bank account\n\
                  Date: Wed, 25 Nov 2026 12:00:00 +0000\nMessage-ID: <bank@hosted.test>\n\nPay here from now on.\n",
    },
];

fn main() -> anyhow::Result<()> {
    if let Some(reason) = why_not() {
        bail!("no demo here: {reason}");
    }
    let keeps = std::env::args().nth(1).is_some_and(|argument| argument == "--keep");
    println!("Bringing up Exim, a DNS and Tidegate in a network namespace of their own ...");
    let lab = Lab::start(&Plan { dns: DNS.to_owned(), ..Plan::default() })?;
    let daemon = Daemon::start(&lab, CONFIG)?;
    let mut delivered = 0;
    for (number, scene) in SCENES.iter().enumerate() {
        println!("\n{}. {}: client {}", number + 1, scene.what, scene.client);
        if play(&lab, scene)? {
            delivered += scene.recipients.len();
            let mailbox = lab.exim.wait_delivered(delivered)?;
            let message = mailbox.iter().rfind(|d| d.header("From").iter().any(|from| scene.message.contains(from)));
            let status = message.map(|d| d.header("X-Tidegate-Status").concat()).context("the message is not there")?;
            println!("   delivered; X-Tidegate-Status: {status}");
        }
    }
    if keeps {
        keep(&lab, &daemon);
    }
    Ok(())
}

/// Says one message's dialogue, prints it, and tells whether the message was accepted.
fn play(lab: &Lab, scene: &Scene) -> anyhow::Result<bool> {
    let (mut client, greeting) = lab.client(scene.client)?;
    println!("   < {}", greeting.text);
    let mut commands = vec![format!("EHLO {}", scene.helo), format!("MAIL FROM:<{}>", scene.sender)];
    commands.extend(scene.recipients.iter().map(|recipient| format!("RCPT TO:<{recipient}>")));
    for command in commands {
        let reply = client.say(&command)?;
        if reply.code >= 400 {
            println!("   > {command}\n   < {}", reply.text.replace('\n', "\n   < "));
            return Ok(false);
        }
        println!("   > {command}\n   < {}", reply.text.lines().last().unwrap_or_default());
    }
    let reply = client.data(scene.message.as_bytes())?;
    println!("   > DATA (a message of {} octets)\n   < {}", scene.message.len(), reply.text);
    Ok(reply.code < 400)
}

fn keep(lab: &Lab, daemon: &Daemon) {
    let namespace = lab.namespace().name();
    println!("\nThe lab is up. Everything it writes is in {}.", lab.folder().display());
    println!("Speak to Exim as any address of 203.0.113.0/24 or 198.51.100.0/24, for instance:");
    println!("   ip netns exec {namespace} nc -s 203.0.113.99 192.0.2.25 25");
    println!("Ask Tidegate (see `tidegate help`):");
    println!("   ip netns exec {namespace} {}", daemon.invocation());
    print!("Press Enter to take it down. ");
    let _ = std::io::stdout().flush();
    // Without a terminal there is no Enter: then it stays up until this program is ended.
    if std::io::stdin().lock().lines().next().is_none() {
        loop {
            thread::sleep(Duration::from_secs(3600));
        }
    }
}
