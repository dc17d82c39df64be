//! One message of a spamd client, judged in the session that it tells of: what Exim puts before it, else its own header.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use tidegate_filter::aside::aside;
use tidegate_filter::check::Class;
use tidegate_filter::judgement::Judgement;
use tidegate_filter::policy::{Brief, HeldBack, Weighed, held_back};
use tidegate_filter::session::{Client, Helo, Remote};
use tidegate_mail::{Address, Limits, Message, ReversePath, Score};
use tidegate_wire::spamd::{Fault, Summary};

use crate::conclude::{Occasion, Submitted};
use crate::daemon::Daemon;
use crate::{sessions, traces};

/// From how many points on a message is spam where the policy has no threshold, as in SpamAssassin.
const REQUIRED: Score = Score::points(5);
/// One digit after the dot is all that clients hear.
const TENTH: Score = Score::milli(100);
/// Recipients that are taken from what Exim puts before a message.
const RECIPIENTS_MAX: usize = 1_000;

/// A message with what was made of it.
pub(super) struct Judged {
    pub(super) summary: Summary,
    /// The name of its record.
    pub(super) id: String,
    pub(super) message: Arc<Message>,
    /// What stood before the message: the line that begins one in a mailbox file.
    pub(super) preamble: Vec<u8>,
    /// The name of this server.
    pub(super) hostname: String,
    brief: Brief,
}

impl Judged {
    /// Everything that bears on the verdict, in the order of its checks; each symbol once, as SpamAssassin has it.
    pub(super) fn findings(&self) -> Vec<&Weighed> {
        let own = self.brief.recipients.iter().flat_map(|recipient| &recipient.findings);
        let mut findings: Vec<&Weighed> = Vec::new();
        for finding in self.brief.findings.iter().chain(own) {
            let counts = finding.weight != Score::ZERO || finding.class != Class::Evidence;
            if counts && !findings.iter().any(|known| known.symbol == finding.symbol) {
                findings.push(finding);
            }
        }
        findings
    }

    /// Their names, sorted.
    pub(super) fn symbols(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.findings().iter().map(|finding| finding.symbol.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// Where the score is not the sum of the points; each group once.
    pub(super) fn held_back(&self) -> Vec<HeldBack> {
        let mut held: Vec<HeldBack> = Vec::new();
        for one in self.brief.recipients.iter().flat_map(|recipient| held_back(&self.brief, recipient)) {
            if !held.iter().any(|known| known.group == one.group) {
                held.push(one);
            }
        }
        held
    }
}

/// Judges the message in `octets`. `user` is the one for whom the client says that it asks: an address names the recipient.
pub(super) async fn judge(daemon: &Daemon, octets: Vec<u8>, user: Option<&str>) -> Result<Judged, Fault> {
    let began = Instant::now();
    let read = aside(octets.len(), move || {
        let Wrapped { preamble, envelope, message } = Wrapped::of(octets);
        let message = Message::parse(traces::with_one_line_end(message), &Limits::default());
        (preamble, envelope, Arc::new(message))
    });
    let (preamble, envelope, message) = read.await;
    let engine = daemon.engine.load_full();
    let hostname = engine.hostname().clone();
    let hop = traces::first_hop(&message);
    // A message without a trace of its client still came from outside: the unspecified address is on no list.
    let ip = hop.and_then(|hop| hop.ip).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let client = Client::Remote(Remote { ip, port: 0, interface: None, open_sessions: 1 });
    let (mut session, _) = engine.open(client, daemon.world.clone()).await;
    session.only_advise();
    // What the client called itself may not be known; that it said nothing is not known either.
    let helo = hop.and_then(|hop| hop.helo.clone()).unwrap_or_else(|| traces::address_literal(ip));
    session.helo(Some(Helo::new(helo)), None).await;
    let sender = envelope.sender.or_else(|| traces::return_path(&message)).unwrap_or(ReversePath::Null);
    session.mail(sender, None).await;
    let mut recipients = envelope.recipients;
    if recipients.is_empty() {
        // The client is one of ours, so its word stands before what a sender wrote into the message.
        recipients.extend(user.and_then(|user| Address::parse(user.trim()).ok()));
    }
    if recipients.is_empty() {
        recipients.extend(traces::recipient(&message, &hostname));
    }
    for recipient in recipients {
        // A sender has been heard, so this is in order.
        let _in_order = session.readmit(recipient).await;
    }
    let judgement = session.data(Arc::clone(&message)).await;
    let judgement = judgement.map_err(|error| Fault::Unavailable(error.to_string()))?;
    let id = format!("{}.1", sessions::fresh_name());
    // Nobody is to be kept back, so no recipient is named.
    let submitted = Some(Submitted { message: &message, envelope: &[] });
    let occasion = Occasion { id: &id, session: &session, mta_id: None, submitted, began };
    let (judgement, conclusion) = daemon.conclude.conclude(&occasion, judgement, &daemon.world).await;
    // It is advice; who asked may do with it what it likes.
    daemon.conclude.heard(conclusion);
    let summary = summary(&judgement);
    Ok(Judged { summary, id, message, preamble, hostname: hostname.to_string(), brief: judgement.brief })
}

/// The verdict in the two numbers that a client understands: it compares them itself, so they must say what was decided, also
/// where an entry of a list decided and not the sum.
fn summary(judgement: &Judgement) -> Summary {
    let verdict = &judgement.verdict;
    let recipients = || judgement.brief.recipients.iter().zip(&verdict.recipients);
    let required = recipients().filter_map(|(brief, _)| brief.thresholds.tag).min().unwrap_or(REQUIRED);
    // One answer stands for all recipients: the mildest, as in a reply to a client.
    let is_spam = !verdict.recipients.is_empty() && verdict.recipients.iter().all(|ruled| ruled.action.is_spam());
    let score = verdict.recipients.iter().map(|ruled| ruled.score).min().unwrap_or_default();
    let score = if is_spam { score.max(required) } else { score.min(required - TENTH) };
    Summary { is_spam, score: score.as_milli(), required: required.as_milli() }
}

/// What a client sends: Exim and those who read mailbox files put lines before the message.
struct Wrapped {
    preamble: Vec<u8>,
    envelope: Envelope,
    message: Vec<u8>,
}

#[derive(Default)]
struct Envelope {
    sender: Option<ReversePath>,
    recipients: Vec<Address>,
}

impl Wrapped {
    /// Exim's envelope fields count only right below the line that begins a message in a mailbox file: a sender could write them
    /// anywhere else.
    fn of(mut octets: Vec<u8>) -> Wrapped {
        let mut envelope = Envelope::default();
        let Some(after_from) = octets.starts_with(b"From ").then(|| line_end(&octets)).flatten() else {
            return Wrapped { preamble: Vec::new(), envelope, message: octets };
        };
        let mut at = after_from;
        while let Some(rest) = octets.get(at..) {
            let Some(end) = line_end(rest) else { break };
            let line = String::from_utf8_lossy(rest.get(..end).unwrap_or_default()).into_owned();
            if let Some(sender) = line.strip_prefix("X-Envelope-From:") {
                envelope.sender = traces::path(sender);
            } else if let Some(recipients) = line.strip_prefix("X-Envelope-To:") {
                let addresses = recipients.split(',').filter_map(|text| Address::parse(text.trim()).ok());
                envelope.recipients = addresses.take(RECIPIENTS_MAX).collect();
            } else {
                break;
            }
            at += end;
        }
        let message = octets.split_off(at);
        octets.truncate(after_from);
        Wrapped { preamble: octets, envelope, message }
    }
}

/// Where the first line ends, its LF included.
fn line_end(octets: &[u8]) -> Option<usize> {
    memchr::memchr(b'\n', octets).map(|at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exim_tells_the_envelope() {
        let wrapped = Wrapped::of(
            b"From MAILER-DAEMON Mon Nov 23 23:48:03 2026\nX-Envelope-From: <a@bad.test>\nX-Envelope-To: b@x.test, c@x.test\nSubject: t\n\nx\n"
                .to_vec(),
        );
        assert_eq!(wrapped.envelope.sender.map(|path| path.to_string()).as_deref(), Some("a@bad.test"));
        let recipients: Vec<String> = wrapped.envelope.recipients.iter().map(ToString::to_string).collect();
        assert_eq!(recipients, ["b@x.test", "c@x.test"]);
        assert_eq!(wrapped.message, b"Subject: t\n\nx\n");
        assert_eq!(wrapped.preamble, b"From MAILER-DAEMON Mon Nov 23 23:48:03 2026\n");
    }

    /// A sender who writes such fields into the message tells nothing.
    #[test]
    fn a_sender_cannot_tell_the_envelope() {
        let forged = b"X-Envelope-From: <boss@here.test>\nX-Envelope-To: a@here.test\n\nx\n".to_vec();
        let wrapped = Wrapped::of(forged.clone());
        assert!(wrapped.envelope.sender.is_none() && wrapped.envelope.recipients.is_empty());
        assert_eq!(wrapped.message, forged);
        let later = b"From a Mon Nov 23 23:48:03 2026\nSubject: t\nX-Envelope-From: <boss@here.test>\n\nx\n".to_vec();
        assert!(Wrapped::of(later).envelope.sender.is_none());
    }
}
