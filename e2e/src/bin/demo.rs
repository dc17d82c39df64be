//! `cargo xtask demo`: a real Exim with Tidegate beside it, a few messages from different clients, each with what was said
//! on the wire and what Tidegate made of it. With `--keep` the lab stays up until Enter is pressed, or the
//! process is ended. Nothing stays behind, however it ends.

#![allow(clippy::disallowed_methods, reason = "a demo that is kept up waits, and another process clears up")]

use std::io::{BufRead, IsTerminal, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tidegate_e2e::{Daemon, Lab, Plan, remove_leftovers, why_not};

/// The world of the demo. `exim.test` and `hosted.test` are the domains hosted here.
const DNS: &str = "
good.test MX 10 mail.good.test
good.test TXT v=spf1 ip4:203.0.113.10 -all
mail.good.test A 203.0.113.10
10.113.0.203.in-addr.arpa PTR mail.good.test
dynamic.test MX 10 mail.dynamic.test
mail.dynamic.test A 198.51.100.77
; Two blocklists with their test points (RFC 5782 section 5), and a listed client each.
2.0.0.127.bl.test A 127.0.0.2
66.113.0.203.bl.test A 127.0.0.2
2.0.0.127.lines.test A 127.0.0.2
77.100.51.198.lines.test A 127.0.0.2
hosted.test MX 10 mx.exim.test
hosted.test TXT v=spf1 -all
_dmarc.hosted.test TXT v=DMARC1; p=reject
mx.exim.test A 192.0.2.25
exim.test MX 10 mx.exim.test
";
/// One list may refuse, the other only adds points; unknown senders wait two seconds, and one domain keeps what others
/// would only mark.
const CONFIG: &str = "
[blocklists.\"bl.test\"]
codes = { \"127.0.0.2\" = { refuse = true } }

[blocklists.\"lines.test\"]
weight = 5.0
codes = { \"127.0.0.2\" = {} }

[checks.greylist]
delay_s = 2

[policy.domains.\"hosted.test\"]
inbound = { quarantine = 6.5 }
";

/// One message of the demo.
struct Scene {
    what: &'static str,
    client: &'static str,
    helo: &'static str,
    sender: &'static str,
    recipients: &'static [&'static str],
    message: &'static str,
    /// Seconds to wait before.
    after_s: u64,
}

const SCENES: [Scene; 8] = [
    Scene {
        what: "A sender who is who it says it is",
        client: "203.0.113.10",
        helo: "mail.good.test",
        sender: "ann@good.test",
        recipients: &["bob@exim.test"],
        message: "From: Ann <ann@good.test>\nTo: bob@exim.test\nSubject: lunch\nDate: Wed, 25 Nov 2026 12:00:00 +0000\n\
                  Message-ID: <lunch@good.test>\n\nTomorrow at noon?\n",
        after_s: 0,
    },
    Scene {
        what: "A client on a blocklist whose code may refuse",
        client: "203.0.113.66",
        helo: "friendly.invalid",
        sender: "offer@good.test",
        recipients: &["bob@exim.test"],
        message: "",
        after_s: 0,
    },
    Scene {
        what: "The same client writes to the postmaster, who can always be reached",
        client: "203.0.113.66",
        helo: "friendly.invalid",
        sender: "offer@good.test",
        recipients: &["postmaster@exim.test"],
        message: "From: offer@good.test\nTo: postmaster@exim.test\nSubject: why am I listed?\n\
                  Date: Wed, 25 Nov 2026 12:00:00 +0000\nMessage-ID: <why@good.test>\n\nPlease look.\n",
        after_s: 0,
    },
    Scene {
        what: "A sender whose domain does not exist",
        client: "198.51.100.77",
        helo: "mail.dynamic.test",
        sender: "x@no-such-domain.test",
        recipients: &["bob@exim.test"],
        message: "",
        after_s: 0,
    },
    Scene {
        what: "An unknown sender on a list that only adds points has to come again",
        client: "198.51.100.77",
        helo: "mail.dynamic.test",
        sender: "news@dynamic.test",
        recipients: &["bob@exim.test"],
        message: NEWS,
        after_s: 0,
    },
    Scene {
        what: "It does, as mail servers do",
        client: "198.51.100.77",
        helo: "mail.dynamic.test",
        sender: "news@dynamic.test",
        recipients: &["bob@exim.test"],
        message: NEWS,
        after_s: 3,
    },
    Scene {
        what: "One message, two recipients: one domain keeps back what the other only marks",
        client: "198.51.100.77",
        helo: "mail.dynamic.test",
        sender: "news@dynamic.test",
        recipients: &["bob@exim.test", "carol@hosted.test"],
        message: "Subject: a better offer\n\nBuy now.\n",
        after_s: 0,
    },
    Scene {
        what: "A stranger in the name of a domain that is hosted here and says p=reject",
        client: "198.51.100.77",
        helo: "mail.dynamic.test",
        sender: "bounce@dynamic.test",
        recipients: &["bob@exim.test"],
        message: "From: The Club <chair@hosted.test>\nTo: bob@exim.test\nSubject: new bank account\n\
                  Date: Wed, 25 Nov 2026 12:00:00 +0000\nMessage-ID: <bank@hosted.test>\n\nPay here from now on.\n",
        after_s: 0,
    },
];

const NEWS: &str = "From: news@dynamic.test\nTo: bob@exim.test\nSubject: an offer\n\
                    Date: Wed, 25 Nov 2026 12:00:00 +0000\nMessage-ID: <offer@dynamic.test>\n\nBuy.\n";

fn main() -> anyhow::Result<()> {
    if let Some(reason) = why_not() {
        bail!("no demo here: {reason}");
    }
    if std::env::args().nth(1).is_some_and(|argument| argument == SWEEP) {
        return sweep();
    }
    // Held until this process ends, in whatever way.
    let _sweeper = start_sweeper()?;
    let keeps = std::env::args().nth(1).is_some_and(|argument| argument == "--keep");
    println!("Bringing up Exim, a DNS and Tidegate in a network namespace of their own ...");
    let lab = Lab::start(&Plan { dns: DNS.to_owned(), ..Plan::default() })?;
    let daemon = Daemon::start(&lab, CONFIG)?;
    let mut explained = String::new();
    for (number, scene) in SCENES.iter().enumerate() {
        thread::sleep(Duration::from_secs(scene.after_s));
        println!("\n{}. {}: client {}", number + 1, scene.what, scene.client);
        if let Some(id) = play(&lab, scene)? {
            outcome(&lab, &daemon, &id)?;
        }
        explained = explain(&lab, &daemon, scene.client, &explained)?;
    }
    if keeps {
        keep(&lab, &daemon);
    }
    Ok(())
}

/// The argument of the process that clears up after this one.
const SWEEP: &str = "--sweep";
/// How long an ended process may still be listed.
const GONE_MAX: Duration = Duration::from_secs(60);

/// A process that clears up when this one ends, also by a signal or by Ctrl-C, which goes to all processes of a terminal: so it is in a
/// group of its own.
fn start_sweeper() -> anyhow::Result<Child> {
    let mut sweeper = Command::new(std::env::current_exe()?);
    sweeper.args([SWEEP, &std::process::id().to_string()]).process_group(0);
    let sweeper = sweeper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    sweeper.spawn().context("starting the process that clears up")
}

/// Waits until the process that has the other end of standard input is gone, and takes away what it left.
fn sweep() -> anyhow::Result<()> {
    std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink())?;
    let process = format!("/proc/{}", std::env::args().nth(2).context("a process")?);
    let begun = Instant::now();
    while std::fs::exists(&process)? && begun.elapsed() < GONE_MAX {
        thread::sleep(Duration::from_millis(50));
    }
    remove_leftovers();
    Ok(())
}

/// Says one message's dialogue and prints it; gives Exim's id of the message if it was accepted.
fn play(lab: &Lab, scene: &Scene) -> anyhow::Result<Option<String>> {
    let (mut client, greeting) = lab.client(scene.client)?;
    println!("   < {}", greeting.text);
    let mut commands = vec![format!("EHLO {}", scene.helo), format!("MAIL FROM:<{}>", scene.sender)];
    commands.extend(scene.recipients.iter().map(|recipient| format!("RCPT TO:<{recipient}>")));
    for command in commands {
        let reply = client.say(&command)?;
        if reply.code >= 400 {
            println!("   > {command}\n   < {}", reply.text.replace('\n', "\n   < "));
            return Ok(None);
        }
        println!("   > {command}\n   < {}", reply.text.lines().last().unwrap_or_default());
    }
    let reply = client.data(scene.message.as_bytes())?;
    println!("   > DATA (a message of {} octets)\n   < {}", scene.message.len(), reply.text.replace('\n', "\n   < "));
    Ok(reply.text.strip_prefix("250 OK id=").map(str::to_owned))
}

/// Waits until Exim is done with the message, and prints what became of it for each recipient.
fn outcome(lab: &Lab, daemon: &Daemon, id: &str) -> anyhow::Result<()> {
    lab.exim.wait_log(&format!("{id} Completed"))?;
    let received = format!("id {id}");
    for message in lab.exim.delivered()? {
        if message.header("Received").iter().any(|field| field.contains(&received)) {
            println!("   delivered to {}: {}", message.recipient, message.header("X-Tidegate-Status").concat());
        }
    }
    let listed = daemon.command(lab, &["quarantine", "list"])?;
    for line in String::from_utf8_lossy(&listed.stdout).lines().filter(|line| line.contains(id)) {
        println!("   kept in quarantine: {line}");
    }
    Ok(())
}

/// Prints what `tidegate why` says of the newest record about `client`; `former` is what it said last time, since a record
/// is written a moment after the reply.
fn explain(lab: &Lab, daemon: &Daemon, client: &str, former: &str) -> anyhow::Result<String> {
    println!("   $ tidegate why --verify --limit 1 {client}");
    for _ in 0..50 {
        let output = daemon.command(lab, &["why", "--verify", "--limit", "1", client])?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !text.is_empty() && text != former {
            text.lines().for_each(|line| println!("   | {line}"));
            return Ok(text);
        }
        thread::sleep(Duration::from_millis(100));
    }
    bail!("there is no record about {client}")
}

fn keep(lab: &Lab, daemon: &Daemon) {
    let namespace = lab.namespace().name();
    println!("\nThe lab is up. Everything it writes is in {}.", lab.folder().display());
    println!("Speak to Exim as any address of 203.0.113.0/24 or 198.51.100.0/24, for instance:");
    println!("   ip netns exec {namespace} nc -s 203.0.113.99 192.0.2.25 25");
    println!("Ask Tidegate (see `tidegate help`):");
    println!("   ip netns exec {namespace} {}", daemon.invocation());
    if std::io::stdin().is_terminal() {
        print!("Press Enter to take it down. ");
    } else {
        println!("To take it down: kill {}", std::process::id());
    }
    let _ = std::io::stdout().flush();
    // Without a terminal there is no Enter: then it stays up until this program is ended.
    if std::io::stdin().lock().lines().next().is_none() {
        loop {
            thread::sleep(Duration::from_secs(3600));
        }
    }
}
