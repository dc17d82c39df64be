//! The installer on the servers of hosting panels, from the first installation to the last trace gone: it knows the layout by
//! itself, the panel's own rules still hold (also one that discards), every stage is asked about that the panel leaves a place
//! for, the panel's next update takes nothing away, and what cannot be proved is put back.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a lab that breaks is to fail loudly")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use tidegate_e2e::cast::GOOD;
use tidegate_e2e::stub::{Reaction, Stub};
use tidegate_e2e::{Daemon, Lab, Layout, Plan, roots, why_not};
use tidegate_wire::exim::{Action, Answer, Ask, ExactAddress, HeaderLine, Origin, OwnField, Position, Stage};

const ALL_STAGES: [Stage; 7] =
    [Stage::Connect, Stage::Helo, Stage::Auth, Stage::Mail, Stage::Rcpt, Stage::Data, Stage::End];
/// DirectAdmin leaves no place at connect, AUTH and MAIL.
const DIRECTADMIN_STAGES: [Stage; 4] = [Stage::Helo, Stage::Rcpt, Stage::Data, Stage::End];

struct Server {
    lab: Lab,
    stub: Stub,
    tidegate: Daemon,
}

impl Server {
    fn start(test: &str, layout: Layout) -> Option<Server> {
        let plan = Plan { layout, ..Plan::default() };
        let (lab, stub) = Lab::with_stub(test, &plan).unwrap()?;
        let tidegate = Daemon::prepare(&lab, "").unwrap();
        Some(Server { lab, stub, tidegate })
    }

    fn root(&self) -> PathBuf {
        self.lab.folder().join("root")
    }

    /// Every file of the server with what is in it.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let files = roots::files_below(&self.root()).unwrap();
        files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
    }

    /// Runs `tidegate exim` with `arguments`; what it says, and whether all was well.
    fn exim(&self, arguments: &[&str]) -> (String, bool) {
        let output = self.tidegate.command_as_root(&self.lab, &[&["exim"], arguments].concat()).unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (said, output.status.success())
    }

    /// Edits a file of the server.
    fn edit(&self, path: &str, change: impl Fn(String) -> String) {
        let path = self.root().join(path);
        fs::write(&path, change(fs::read_to_string(&path).unwrap_or_default())).unwrap();
    }

    /// One message each from a client and from a local program, in which the panel's rules and ours both have their say.
    fn prove_that_both_are_heard(&self, stages: &[Stage]) {
        self.stub.forget();
        let quarantine = vec![ExactAddress::new("anna@shop.test")];
        self.stub.play(move |seen| match &seen.ask {
            ask if ask.stage == Stage::Rcpt
                && ask.transaction.recipient == Some(ExactAddress::new("info@shop.test")) =>
            {
                Reaction::Answer(Answer {
                    reply: Some("550 5.7.1 not to info".to_owned()),
                    ..Answer::new(Action::Reject)
                })
            }
            ask if ask.stage == Stage::Data => {
                Reaction::Answer(Answer { quarantine: quarantine.clone(), ..Answer::new(Action::Quarantine) })
            }
            ask if ask.stage == Stage::Keep => Action::Kept.into(),
            _ => Action::Accept.into(),
        });
        let (mut refused, _) = self.lab.client("203.0.113.66").unwrap();
        if let Ok(reply) = refused.say("EHLO ylmf-pc")
            && reply.code == 250
        {
            assert!(refused.say("MAIL FROM:<a@bad.test>").unwrap().code >= 500, "the panel's own rule");
        }
        let (mut client, _) = self.lab.client("203.0.113.10").unwrap();
        client.expect("EHLO client.test", 250).unwrap();
        client.expect("AUTH PLAIN AHUxAHNlY3JldA==", 235).unwrap();
        client.expect("MAIL FROM:<a@good.test>", 250).unwrap();
        client.expect("RCPT TO:<anna@shop.test>", 250).unwrap();
        assert_eq!(client.say("RCPT TO:<info@shop.test>").unwrap().text, "550 5.7.1 not to info");
        assert_eq!(client.data(b"From: a@good.test\nSubject: s\n\nbody\n").unwrap().code, 250);
        client.expect("QUIT", 221).unwrap();
        stages.iter().for_each(|stage| drop(self.stub.wait_for(*stage).unwrap()));
        self.stub.wait_for(Stage::Keep).unwrap();

        let (mut stranger, _) = self.lab.client("203.0.113.66").unwrap();
        stranger.expect("EHLO client.test", 250).unwrap();
        stranger.expect("MAIL FROM:<a@bad.test>", 250).unwrap();
        self.stub.forget();
        assert!(stranger.say("RCPT TO:<u@away.test>").unwrap().code >= 500, "no open relay");
        assert!(stranger.say("RCPT TO:<nobody@shop.test>").unwrap().code >= 500, "unknown to the panel");
        stranger.expect("QUIT", 221).unwrap();
        let asked = self.stub.seen().iter().filter(|seen| seen.ask.stage == Stage::Rcpt).count();
        assert_eq!(asked, 0, "what the panel refuses is not asked about");

        self.stub.forget();
        let output = self.lab.sendmail("www-data", &["anna@shop.test"], b"Subject: s\n\nx\n").unwrap();
        assert!(output.status.success(), "{output:?}");
        self.stub.wait_for(Stage::NotSmtp).unwrap();
        assert_eq!(self.lab.exim.panic_log(), "");
    }

    /// A message that is marked for one recipient and not for another, who is named by a forwarder; and one that reaches a mailbox by two
    /// ways, which is one delivery as without us.
    fn prove_that_each_gets_its_own_status(&self) {
        let status = |value: &str| HeaderLine::folded("X-Tidegate-Status", value, Position::Start).unwrap();
        let own = OwnField {
            recipients: vec![ExactAddress::new("info@shop.test"), ExactAddress::new("anna@shop.test")],
            line: status("accept score=7"),
        };
        self.stub.play(move |seen| match seen.ask.stage {
            Stage::Data => Reaction::Answer(Answer {
                add: vec![status("tag score=7")],
                own_field: Some(own.clone()),
                ..Answer::new(Action::Tag)
            }),
            _ => Action::Accept.into(),
        });
        for (number, recipients) in
            [["info@shop.test", "kim@shop.test"], ["anna@shop.test", "info@shop.test"]].into_iter().enumerate()
        {
            let subject = format!("status {number}");
            let (mut client, _) = self.lab.client("203.0.113.10").unwrap();
            client.envelope("client.test", "a@good.test", &recipients).unwrap();
            assert_eq!(
                client.data(format!("From: a@good.test\nSubject: {subject}\n\nbody\n").as_bytes()).unwrap().code,
                250
            );
            client.expect("QUIT", 221).unwrap();
            let log = self.lab.exim.wait_log(&format!("T=\"{subject}\"")).unwrap();
            let received = log.lines().find(|line| line.contains(&format!("T=\"{subject}\""))).unwrap();
            let id = received.split(' ').find(|word| word.len() == 16 && word.matches('-').count() == 2).unwrap();
            self.lab.exim.wait_log(&format!("{id} Completed")).unwrap();
            let expected = if recipients[1] == "kim@shop.test" {
                vec![("info@shop.test", "accept score=7"), ("kim@shop.test", "tag score=7")]
            } else {
                vec![("anna@shop.test", "accept score=7")]
            };
            let all = self.lab.exim.delivered().unwrap();
            let delivered: Vec<_> = all.iter().filter(|one| one.header("Subject") == [subject.as_str()]).collect();
            let found: Vec<_> =
                delivered.iter().map(|one| (one.recipient.clone(), one.header("X-Tidegate-Status"))).collect();
            let is_as_expected = found.iter().zip(&expected).all(|((recipient, status), (to, value))| {
                recipient.starts_with(to) && status == &[(*value).to_owned()]
            });
            assert!(is_as_expected && found.len() == expected.len(), "{found:?}\n{}", self.lab.exim.log());
        }
        assert_eq!(self.lab.exim.panic_log(), "");
    }

    /// What a local program hands over as a user whom the panel has stopped.
    fn mail_of_a_stopped_user(&self) -> bool {
        self.stub.forget();
        let output = self.lab.sendmail("games", &["anna@shop.test"], b"Subject: s\n\nx\n").unwrap();
        // The bounce that tells the user is a message of its own.
        let is_theirs = |ask: &Ask| {
            matches!(&ask.origin, Origin::Local { user: Some(user), .. } if user == "games")
                && ask.stage == Stage::NotSmtp
        };
        assert!(!self.stub.seen().iter().any(|seen| is_theirs(&seen.ask)), "the panel has the first word");
        output.status.success()
    }

    fn is_asked_at_all(&self) -> bool {
        self.stub.forget();
        let (mut client, _) = self.lab.client("203.0.113.10").unwrap();
        client.envelope("client.test", "a@good.test", &["anna@shop.test"]).unwrap();
        client.expect("QUIT", 221).unwrap();
        // A connection from before may end only now.
        self.stub.seen().iter().any(|seen| !matches!(seen.ask.stage, Stage::End | Stage::Lost))
    }
}

#[test]
fn cpanel() {
    let Some(mut server) = Server::start("cpanel", Layout::CPanel) else { return };
    let before = server.files();
    assert!(!server.is_asked_at_all());
    let (said, good) = server.exim(&["install", "--dry-run"]);
    assert!(good && said.contains("layout: cpanel"), "{said}");
    assert_eq!(server.files(), before, "a dry run writes nothing");
    // A rehearsal in a copy has nothing to do with the server itself.
    let copy = server.lab.folder().join("copy");
    let copied = std::process::Command::new("cp").arg("-a").args([&server.root(), &copy]).status().unwrap();
    assert!(copied.success());
    let (said, good) = server.exim(&["install", "--root", &copy.to_string_lossy()]);
    assert!(good && said.contains("a rehearsal"), "{said}");
    assert_eq!(server.files(), before, "a rehearsal leaves the server alone");

    server.tidegate.edit(|text| text.replace("/spool\"", "/other\"")).unwrap();
    let (said, good) = server.exim(&["install"]);
    assert!(good && said.contains("but [exim] spool is"), "{said}");
    server.tidegate.edit(|text| text.replace("/other\"", "/spool\"")).unwrap();
    let (said, good) = server.exim(&["check"]);
    assert!(good && !said.contains("but [exim]"), "{said}");
    let restarts = server.root().join("usr/local/cpanel/restarts");
    assert_eq!(fs::read_to_string(&restarts).unwrap(), "restarted\n", "one restart");
    server.lab.restart_exim().unwrap();
    server.prove_that_both_are_heard(&ALL_STAGES);
    server.prove_that_each_gets_its_own_status();
    assert!(!server.mail_of_a_stopped_user());
    let (mut client, _) = server.lab.client("203.0.113.10").unwrap();
    client.envelope("client.test", "a@good.test", &["trash@shop.test"]).unwrap();
    client.expect("QUIT", 221).unwrap();
    assert!(!server.stub.seen().iter().any(|seen| seen.ask.stage == Stage::Rcpt), "discarded by the panel: not asked");
    assert_eq!(server.lab.exim.panic_log(), "", "a panel's `discard` is passed on");

    // The panel's update brings a new template and builds anew; the panel's editor writes the file without comments.
    server.edit("usr/local/cpanel/etc/exim.conf.template", |text| {
        text.replace("message_size", "timeout_frozen_after = 5d\nmessage_size")
    });
    server.edit("etc/exim.conf.local", |text| {
        text.lines().filter(|line| !line.starts_with('#')).map(|l| format!("{l}\n")).collect()
    });
    let built = server.lab.namespace().command("/usr/local/cpanel/scripts/buildeximconf").output().unwrap();
    assert!(built.status.success(), "{built:?}");
    let (said, good) = server.exim(&["check"]);
    assert!(good, "{said}");
    server.lab.restart_exim().unwrap();
    server.prove_that_both_are_heard(&ALL_STAGES);

    let (said, good) = server.exim(&["install"]);
    assert!(good, "installing again repairs: {said}");
    server.lab.restart_exim().unwrap();
    server.prove_that_both_are_heard(&ALL_STAGES);

    server.edit("usr/local/cpanel/etc/exim.conf.template", |text| text.replace("timeout_frozen_after = 5d\n", ""));
    let (said, good) = server.exim(&["uninstall"]);
    assert!(good, "{said}");
    fs::remove_file(restarts).unwrap();
    server.lab.restart_exim().unwrap();
    assert!(!server.is_asked_at_all());
    let local = server.root().join("etc/exim.conf.local");
    assert_eq!(different(&before, &server.files()), vec![local.clone()], "the rest is byte for byte as before");
    let text = String::from_utf8(before[&local].clone()).unwrap();
    let without_comments: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let present = fs::read_to_string(local).unwrap();
    assert_eq!(present.lines().collect::<Vec<_>>(), without_comments, "and this as the panel's editor left it");
}

#[test]
fn cpanel_puts_back_what_does_not_work() {
    let Some(server) = Server::start("cpanel_puts_back_what_does_not_work", Layout::CPanel) else { return };
    let mode = |path: &str| {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(server.root().join(path)).unwrap().permissions().mode() & 0o777
    };
    // A router of the administrator's that Exim does not know, so that nothing can be built.
    server.edit("etc/exim.conf.local", |text| text.replace("manualroute", "nowhere"));
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(server.root().join("etc/exim.conf.local"), private).unwrap();
    let before = server.files();
    let (said, good) = server.exim(&["install"]);
    assert!(!good && said.contains("nowhere") && said.contains("every file is as it was"), "{said}");
    assert_eq!(different(&before, &server.files()), Vec::<PathBuf>::new(), "byte for byte as before");
    assert!(!server.root().join("usr/local/cpanel/restarts").exists(), "no restart");
    server.edit("etc/exim.conf.local", |text| text.replace("nowhere", "manualroute"));
    let (said, good) = server.exim(&["install"]);
    assert!(good, "{said}");
    assert_eq!(mode("etc/exim.conf.local"), 0o600, "there may be passwords in it");
    let (said, good) = server.exim(&["uninstall"]);
    assert!(good, "{said}");
    assert_eq!(mode("etc/exim.conf.local"), 0o600);
    server.edit("etc/exim.conf.local", |text| text.replace("manualroute", "nowhere"));
    fs::remove_file(server.root().join("usr/local/cpanel/restarts")).unwrap();
    assert_eq!(different(&before, &server.files()), Vec::<PathBuf>::new(), "byte for byte as before");
}

#[test]
fn directadmin() {
    let Some(mut server) = Server::start("directadmin", Layout::DirectAdmin) else { return };
    let before = server.files();
    assert!(!server.is_asked_at_all());
    let (said, good) = server.exim(&["install", "--no-restart"]);
    assert!(good && said.contains("note: DirectAdmin"), "{said}");
    server.lab.restart_exim().unwrap();
    server.prove_that_both_are_heard(&DIRECTADMIN_STAGES);
    server.prove_that_each_gets_its_own_status();
    server.mail_of_a_stopped_user();
    let log = server.lab.exim.wait_log("blackhole (non-SMTP ACL discarded recipients)").unwrap();
    assert!(log.contains("user is on the block list for scripts"), "{log}");
    let (mut client, _) = server.lab.client("203.0.113.10").unwrap();
    client.expect("EHLO client.test", 250).unwrap();
    client.expect("MAIL FROM:<never@bad.test>", 250).unwrap();
    assert_eq!(
        client.say("RCPT TO:<anna@shop.test>").unwrap().text,
        "550 not from you",
        "the administrator's own rule"
    );

    // `da build exim_conf` writes exim.conf anew; the files it includes stay.
    server.edit("etc/exim.conf", |text| {
        text.replace("helo_allow_chars = _\n", "helo_allow_chars = _\ntimeout_frozen_after = 5d\n")
    });
    let (said, good) = server.exim(&["check"]);
    assert!(good, "{said}");
    server.lab.restart_exim().unwrap();
    server.prove_that_both_are_heard(&DIRECTADMIN_STAGES);

    server.edit("etc/exim.conf", |text| text.replace("timeout_frozen_after = 5d\n", ""));
    let (said, good) = server.exim(&["uninstall", "--no-restart"]);
    assert!(good, "{said}");
    server.lab.restart_exim().unwrap();
    assert!(!server.is_asked_at_all());
    assert_eq!(different(&before, &server.files()), Vec::<PathBuf>::new(), "byte for byte as before");
}

#[test]
fn hestia() {
    let Some(mut server) = Server::start("hestia", Layout::Hestia) else { return };
    let before = server.files();
    assert!(!server.is_asked_at_all());
    let (said, good) = server.exim(&["install", "--layout", "debian-whole", "--no-restart"]);
    assert!(!good && said.contains("is not Debian's"), "a wrong name does no harm: {said}");
    let (said, good) = server.exim(&["install", "--no-restart"]);
    assert!(good && said.contains("note: an upgrade of HestiaCP"), "{said}");
    server.lab.restart_exim().unwrap();
    server.prove_that_both_are_heard(&ALL_STAGES);
    server.prove_that_each_gets_its_own_status();
    assert!(!server.mail_of_a_stopped_user());

    // An upgrade writes the template anew.
    let template = server.root().join("etc/exim4/exim4.conf.template");
    fs::write(&template, &before[&template]).unwrap();
    let (said, good) = server.exim(&["check"]);
    assert!(!good && said.contains("run `tidegate exim install`"), "{said}");
    let (said, good) = server.exim(&["install", "--no-restart"]);
    assert!(good, "{said}");

    let (said, good) = server.exim(&["uninstall", "--no-restart"]);
    assert!(good, "{said}");
    server.lab.restart_exim().unwrap();
    assert!(!server.is_asked_at_all());
    assert_eq!(different(&before, &server.files()), Vec::<PathBuf>::new(), "byte for byte as before");
}

#[test]
fn the_daemon_knows_cpanel() {
    check_daemon("the_daemon_knows_cpanel", Layout::CPanel, "cpanel", "etc/valiases/shop.test", "sales@shop.test");
}

#[test]
fn the_daemon_knows_directadmin() {
    let aliases = "etc/virtual/shop.test/aliases";
    check_daemon("the_daemon_knows_directadmin", Layout::DirectAdmin, "directadmin", aliases, "sales");
}

/// The real daemon on such a server: it knows its domains and mailboxes, hears of a new forwarder while it runs, and judges a
/// client all the same where the panel leaves no place to ask about its connection.
fn check_daemon(test: &str, layout: Layout, kind: &str, aliases: &str, alias: &str) {
    if let Some(reason) = why_not() {
        println!("skipped: {test}: {reason}");
        return;
    }
    let mut lab = Lab::start(&Plan { layout, dns: GOOD.to_owned(), ..Plan::default() }).unwrap();
    let mut daemon = Daemon::prepare(&lab, "[policy.server]\ninbound = { greylist = \"off\" }\n").unwrap();
    let root = lab.folder().join("root");
    daemon
        .edit(|text| {
            let (before, rest) = text.split_once("[panel]").unwrap();
            let (_, after) = rest.split_once("# The lab's DNS").unwrap();
            format!("{before}[panel]\nkind = \"{kind}\"\nroot = \"{}\"\n\n#{after}", root.display())
        })
        .unwrap();
    let installed = daemon.command_as_root(&lab, &["exim", "install", "--no-restart"]).unwrap();
    assert!(installed.status.success(), "{installed:?}");
    lab.restart_exim().unwrap();
    daemon.spawn(&lab).unwrap();

    let to = |client: &str, recipient: &str| {
        let (mut client, _) = lab.client(client).unwrap();
        client.envelope("mail.good.test", "a@good.test", &[]).unwrap();
        let reply = client.say(&format!("RCPT TO:<{recipient}>")).unwrap();
        let code = if reply.code == 250 {
            client.data(b"From: a@good.test\nSubject: s\n\nbody\n").unwrap().code
        } else {
            reply.code
        };
        client.expect("QUIT", 221).unwrap();
        (code, reply.text)
    };
    assert_eq!(to("203.0.113.10", "info@shop.test").0, 250);
    let delivered = lab.exim.wait_delivered(1).unwrap().remove(0);
    assert_eq!(delivered.header("X-Tidegate-Status").len(), 1, "judged: {}", daemon.log());
    let results = delivered.header("Authentication-Results").join(" ");
    assert!(results.contains("spf=pass"), "the facts of MAIL are known, too: {results}");

    let blocked = daemon.command_as_root(&lab, &["list", "add", "block", "203.0.113.66"]).unwrap();
    assert!(blocked.status.success(), "{blocked:?}");
    let (code, text) = to("203.0.113.66", "anna@shop.test");
    assert!(code == 550 && text.contains("5.7.1"), "{code} {text}");

    assert_eq!(to("203.0.113.10", "sales@shop.test").0, 550);
    let path = root.join(aliases);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{alias}: anna@shop.test\n{text}")).unwrap();
    let begun = Instant::now();
    while to("203.0.113.10", "sales@shop.test").0 != 250 {
        assert!(begun.elapsed() < Duration::from_secs(20), "the new forwarder is not known\n{}", daemon.log());
        thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(lab.exim.panic_log(), "");
}

/// The files that are not the same, or are in one only.
fn different(one: &BTreeMap<PathBuf, Vec<u8>>, other: &BTreeMap<PathBuf, Vec<u8>>) -> Vec<PathBuf> {
    let is_same = |path: &&PathBuf| one.get(*path) == other.get(*path);
    let all: BTreeSet<&PathBuf> = one.keys().chain(other.keys()).collect();
    all.into_iter().filter(|path| !is_same(path)).cloned().collect()
}
