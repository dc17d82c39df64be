//! One SMTP session under judgement: its facts so far and what was found, from connect to the end of a message.

use std::sync::Arc;

use tidegate_mail::{Address, Message, ReversePath};
use tokio::time::Instant;

use super::Engine;
use super::run::{StageOutcome, fact};
use crate::check::{Ask, Remember, When};
use crate::headers;
use crate::identity::{self, Fcrdns, Given, Identity, MessageInput, Spf, SpfInput};
use crate::judgement::Judgement;
use crate::known::Known;
use crate::panel::{Hosting, Mailbox};
use crate::patience::Deadline;
use crate::policy::{self, Brief, Gap, RecipientBrief, Weighed};
use crate::session::{
    Client, Connect, Direction, Envelope, Greeting, Helo, Login, Mail, Rcpt, Recipient, Sender, Stage,
};
use crate::store::Write;
use crate::verdict::{Action, Verdict};
use crate::world::World;

/// A stage's facts may take the first half of its time, so that dead DNS of a client's own takes nothing from the lists that are asked
/// about it.
const FACTS_SHARE: u32 = 2;
/// The identities of a message may take a third: matching its content needs time as well.
const IDENTITY_SHARE: u32 = 3;

/// One SMTP session under judgement. A message follows another in the same session: [`Session::mail`] begins anew.
pub struct Session {
    engine: Arc<Engine>,
    world: World,
    given: Given,
    advises: bool,
    answer_by: Option<Instant>,
    connect: Heard<Arc<Connect>>,
    greeting: Option<Heard<Arc<Greeting>>>,
    transaction: Option<Transaction>,
}

/// The facts of a stage, with all that was found from them.
struct Heard<F> {
    facts: F,
    findings: Vec<Weighed>,
    gaps: Vec<Gap>,
    remember: Vec<Remember>,
}

/// From MAIL FROM to the end of the message.
struct Transaction {
    sender: Heard<Arc<Sender>>,
    recipients: Vec<HeardRecipient>,
    refused: u32,
}

struct HeardRecipient {
    recipient: Recipient,
    findings: Vec<Weighed>,
    gaps: Vec<Gap>,
    remember: Vec<Remember>,
}

impl Session {
    pub(super) async fn open(
        engine: Arc<Engine>,
        client: Client,
        world: World,
        given: Given,
        answer_by: Option<Instant>,
    ) -> (Session, Judgement) {
        let deadline = Deadline::within(engine.deadlines.of(Stage::Connect), answer_by);
        let fcrdns = match (given.fcrdns.clone(), client.ip()) {
            (Some(given), _) => Ok(given),
            (None, Some(ip)) => {
                let patient = deadline.first_of(FACTS_SHARE).world(&world);
                fact(deadline, identity::fcrdns(ip, &*patient.dns)).await
            }
            (None, None) => Ok(Fcrdns::None),
        };
        let facts = Arc::new(Connect { trusted: engine.is_trusted(&client), client, fcrdns });
        let patient = deadline.world(&world);
        let ask = Ask { facts: &*facts, world: &patient, now: world.clock.now() };
        let outcome = engine.run(Stage::Connect, deadline, &engine.checks.connect, |check| check.connect(&ask)).await;
        let connect = Heard::new(&engine, Stage::Connect, Arc::clone(&facts), outcome);
        let session =
            Session { engine, world, given, advises: false, answer_by, connect, greeting: None, transaction: None };
        let judgement = session.judge(Stage::Connect);
        (session, judgement)
    }

    /// From now on whoever asks only hears what we think of a message: see [`Brief::advises`].
    pub fn only_advise(&mut self) {
        self.advises = true;
    }

    /// From now on every stage ends by `until`: whoever asks waits no longer, even if several stages are judged for one ask.
    pub fn answer_by(&mut self, until: Instant) {
        self.answer_by = Some(until);
    }

    /// A stage that begins now ends by then, whatever it has to wait for.
    fn deadline(&self, stage: Stage) -> Deadline {
        Deadline::within(self.engine.deadlines.of(stage), self.answer_by)
    }

    /// Judges EHLO or HELO. It may come again; a transaction under way is forgotten (RFC 5321 section 4.1.4).
    pub async fn helo(&mut self, helo: Option<Helo>, tls: Option<String>) -> Judgement {
        self.transaction = None;
        let deadline = self.deadline(Stage::Helo);
        let spf_helo = match (self.connect.facts.client.ip(), &helo) {
            _ if self.given.spf_helo.is_some() => Ok(self.given.spf_helo.clone().unwrap_or_else(Spf::none)),
            (Some(ip), Some(_)) => {
                let input = SpfInput { ip, helo: helo.as_ref() };
                let patient = deadline.first_of(FACTS_SHARE).world(&self.world);
                fact(deadline, identity::spf_helo(&input, &patient)).await
            }
            _ => Ok(Spf::none()),
        };
        let facts = Arc::new(Greeting { connect: Arc::clone(&self.connect.facts), helo, tls, spf_helo });
        let patient = deadline.world(&self.world);
        let ask = Ask { facts: &*facts, world: &patient, now: self.world.clock.now() };
        let outcome = self.engine.run(Stage::Helo, deadline, &self.engine.checks.helo, |check| check.helo(&ask)).await;
        self.greeting = Some(Heard::new(&self.engine, Stage::Helo, Arc::clone(&facts), outcome));
        self.judge(Stage::Helo)
    }

    /// Judges MAIL FROM; a transaction under way is forgotten.
    pub async fn mail(&mut self, path: ReversePath, login: Option<Login>) -> Judgement {
        let greeting = match &self.greeting {
            Some(heard) => Arc::clone(&heard.facts),
            None => Arc::new(Greeting {
                connect: Arc::clone(&self.connect.facts),
                helo: None,
                tls: None,
                spf_helo: Ok(Spf::none()),
            }),
        };
        let deadline = self.deadline(Stage::Mail);
        let spf = self.spf_mail_from(&greeting, &path, deadline).await;
        let facts = Arc::new(Sender { greeting, path, login, spf });
        let patient = deadline.world(&self.world);
        let ask = Ask { facts: &*facts, world: &patient, now: self.world.clock.now() };
        let outcome = self.engine.run(Stage::Mail, deadline, &self.engine.checks.mail, |check| check.mail(&ask)).await;
        let sender = Heard::new(&self.engine, Stage::Mail, Arc::clone(&facts), outcome);
        self.transaction = Some(Transaction { sender, recipients: Vec::new(), refused: 0 });
        self.judge(Stage::Mail)
    }

    async fn spf_mail_from(&self, greeting: &Greeting, path: &ReversePath, deadline: Deadline) -> Known<Spf> {
        if let Some(given) = &self.given.spf {
            return Ok(given.clone());
        }
        let Some(ip) = greeting.connect.client.ip() else { return Ok(Spf::none()) };
        let input = SpfInput { ip, helo: greeting.helo.as_ref() };
        let patient = deadline.first_of(FACTS_SHARE).world(&self.world);
        fact(deadline, identity::spf_mail_from(&input, path, &patient)).await
    }

    /// Judges one RCPT TO.
    ///
    /// # Errors
    /// [`OutOfOrder`] when no MAIL FROM came before.
    pub async fn rcpt(&mut self, address: Address) -> Result<Judgement, OutOfOrder> {
        let recipient = self.hear_recipient(address).await?;
        let judgement = self.judge_recipient(&recipient);
        if let Some(transaction) = &mut self.transaction {
            if judgement.verdict.action.is_refusal() {
                transaction.refused = transaction.refused.saturating_add(1);
            } else {
                transaction.recipients.push(recipient);
            }
        }
        Ok(judgement)
    }

    /// Takes in a recipient that the MTA has accepted already, without a verdict of its own: after a restart, or from a
    /// program on this server, which gives all recipients at once. What is found counts at [`Session::data`].
    ///
    /// # Errors
    /// [`OutOfOrder`] when no MAIL FROM came before.
    pub async fn readmit(&mut self, address: Address) -> Result<(), OutOfOrder> {
        let recipient = self.hear_recipient(address).await?;
        let transaction = self.transaction.as_mut().ok_or(OutOfOrder)?;
        transaction.recipients.push(recipient);
        Ok(())
    }

    async fn hear_recipient(&mut self, address: Address) -> Result<HeardRecipient, OutOfOrder> {
        let transaction = self.transaction.as_ref().ok_or(OutOfOrder)?;
        let sender = Arc::clone(&transaction.sender.facts);
        let recipient = recipient(address, &sender, &self.world);
        let heard = u32::try_from(transaction.recipients.len()).unwrap_or(u32::MAX);
        let count = heard.saturating_add(transaction.refused).saturating_add(1);
        let facts = Rcpt { sender, recipient, count, refused: transaction.refused };
        let deadline = self.deadline(Stage::Rcpt);
        let patient = deadline.world(&self.world);
        let ask = Ask { facts: &facts, world: &patient, now: self.world.clock.now() };
        let outcome = self.engine.run(Stage::Rcpt, deadline, &self.engine.checks.rcpt, |check| check.rcpt(&ask)).await;
        let heard = Heard::new(&self.engine, Stage::Rcpt, (), outcome);
        Ok(HeardRecipient {
            recipient: facts.recipient,
            findings: heard.findings,
            gaps: heard.gaps,
            remember: heard.remember,
        })
    }

    /// Judges the complete message for all recipients that were accepted.
    ///
    /// # Errors
    /// [`OutOfOrder`] when no MAIL FROM came before.
    pub async fn data(&mut self, message: Arc<Message>) -> Result<Judgement, OutOfOrder> {
        let transaction = self.transaction.as_ref().ok_or(OutOfOrder)?;
        let sender = Arc::clone(&transaction.sender.facts);
        let recipients = transaction.recipients.iter().map(|heard| heard.recipient.clone()).collect();
        let envelope = Arc::new(Envelope { sender: Arc::clone(&sender), recipients });
        let spf_domain = sender.spf_domain();
        // The checks that follow need the rest of the stage's time.
        let deadline = self.deadline(Stage::Data);
        let patience = deadline.first_of(IDENTITY_SHARE).left();
        let input = MessageInput { message: &message, spf: &sender.spf, spf_domain: spf_domain.as_ref(), patience };
        let identity = self.identify(&input).await;
        let facts = Mail { envelope, message, identity };
        let patient = deadline.world(&self.world);
        let ask = Ask { facts: &facts, world: &patient, now: self.world.clock.now() };
        let outcome = self.engine.run(Stage::Data, deadline, &self.engine.checks.data, |check| check.data(&ask)).await;
        let mut judgement = self.judge_message(outcome);
        judgement.edits = headers::edits(&facts, &judgement.brief, &judgement.verdict, &self.engine.identity);
        Ok(judgement)
    }

    /// What is given stands; only what is not is looked up.
    async fn identify(&self, input: &MessageInput<'_>) -> Identity {
        if let (Some(dkim), Some(dmarc), Some(arc)) = (&self.given.dkim, &self.given.dmarc, &self.given.arc) {
            return Identity { dkim: dkim.clone(), dmarc: Ok(dmarc.clone()), arc: Ok(arc.clone()) };
        }
        let mut identity = identity::identify(input, &self.world).await;
        if let Some(dkim) = &self.given.dkim {
            identity.dkim.clone_from(dkim);
        }
        if let Some(dmarc) = &self.given.dmarc {
            identity.dmarc = Ok(dmarc.clone());
        }
        if let Some(arc) = &self.given.arc {
            identity.arc = Ok(arc.clone());
        }
        identity
    }

    /// Forgets recipients that are not in `envelope`: the MTA refused them after our answer, for reasons of its own.
    pub fn keep_only(&mut self, envelope: &[Address]) {
        if let Some(transaction) = &mut self.transaction {
            transaction.recipients.retain(|heard| envelope.contains(&heard.recipient.address));
        }
    }

    /// Whether `address` was heard and accepted in the present transaction.
    pub fn has_recipient(&self, address: &Address) -> bool {
        let among = |t: &Transaction| t.recipients.iter().any(|heard| heard.recipient.address == *address);
        self.transaction.as_ref().is_some_and(among)
    }

    /// Whether a MAIL FROM was heard, so that RCPT may follow.
    pub fn has_sender(&self) -> bool {
        self.transaction.is_some()
    }

    /// How many recipients of the present transaction were accepted.
    pub fn accepted(&self) -> usize {
        self.transaction.as_ref().map_or(0, |transaction| transaction.recipients.len())
    }

    /// The engine that judges this session, whatever was loaded since.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The facts of the connection.
    pub fn connect(&self) -> &Connect {
        &self.connect.facts
    }

    /// The facts of the greeting, once heard.
    pub fn greeting(&self) -> Option<&Greeting> {
        self.greeting.as_ref().map(|heard| &*heard.facts)
    }

    /// The facts of the present transaction's sender, once heard.
    pub fn sender(&self) -> Option<&Sender> {
        self.transaction.as_ref().map(|transaction| &*transaction.sender.facts)
    }

    /// A verdict before RCPT: no recipients yet.
    fn judge(&self, stage: Stage) -> Judgement {
        let brief = self.brief(stage, Vec::new(), Vec::new(), Vec::new());
        let verdict = policy::decide(&brief);
        let remember = match stage {
            Stage::Connect => &self.connect.remember,
            Stage::Helo => self.greeting.as_ref().map_or(&self.connect.remember, |heard| &heard.remember),
            _ => self.transaction.as_ref().map_or(&self.connect.remember, |t| &t.sender.remember),
        };
        let writes = due(remember, &[When::Always]);
        Judgement { brief, verdict, edits: Vec::new(), writes }
    }

    fn judge_recipient(&self, heard: &HeardRecipient) -> Judgement {
        let brief = self.brief(Stage::Rcpt, vec![self.recipient_brief(heard)], Vec::new(), heard.gaps.clone());
        let verdict = policy::decide(&brief);
        let mut writes = due(&heard.remember, &[When::Always]);
        match verdict.action {
            Action::Greylist => writes.extend(due(&heard.remember, &[When::Greylisted])),
            Action::Reject | Action::Drop => {
                writes.extend(due(&heard.remember, &[When::Spam]));
                // The session's own lessons are drawn once a transaction, from its first refused recipient. Who mistypes
                // an address is no spammer.
                let is_first = self.transaction.as_ref().is_some_and(|t| t.refused == 0 && t.recipients.is_empty());
                if is_first && heard.recipient.mailbox != Mailbox::Unknown {
                    writes.extend(self.session_memory().flat_map(|r| due(r, &[When::Spam])));
                }
            }
            _ => {}
        }
        Judgement { brief, verdict, edits: Vec::new(), writes }
    }

    fn judge_message(&self, outcome: StageOutcome) -> Judgement {
        let heard = Heard::new(&self.engine, Stage::Data, (), outcome);
        let Some(transaction) = &self.transaction else {
            return self.judge(Stage::Data);
        };
        let recipients = transaction.recipients.iter().map(|recipient| {
            let mut brief = self.recipient_brief(recipient);
            brief.findings.extend(heard.own_of(&brief.address));
            brief
        });
        let gaps = transaction.recipients.iter().flat_map(|r| r.gaps.clone()).chain(heard.gaps.clone()).collect();
        let brief = self.brief(Stage::Data, recipients.collect(), heard.shared(), gaps);
        let verdict = policy::decide(&brief);
        // What only the sender's record brought about teaches nothing: a record must not feed on itself.
        let sober = brief.without_reputation().map(|brief| policy::decide(&brief));
        let ends = taught(ends(&verdict), sober.as_ref().map(ends));
        let mut writes = due(&heard.remember, &[When::Always]);
        writes.extend(due(&heard.remember, &ends));
        writes.extend(self.session_memory().flat_map(|remember| due(remember, &ends)));
        for (index, (recipient, ruled)) in transaction.recipients.iter().zip(&verdict.recipients).enumerate() {
            let sober = sober.as_ref().and_then(|sober| Some((sober.recipients.get(index)?, sober)));
            let sober = sober.map(|(ruled, sober)| ends_of(ruled.action, sober.action));
            let ends = taught(ends_of(ruled.action, verdict.action), sober);
            writes.extend(due(&recipient.remember, &ends));
        }
        Judgement { brief, verdict, edits: Vec::new(), writes }
    }

    /// What the session's stages want remembered, besides single recipients.
    fn session_memory(&self) -> impl Iterator<Item = &[Remember]> {
        let greeting = self.greeting.as_ref().map(|heard| heard.remember.as_slice());
        let sender = self.transaction.as_ref().map(|t| t.sender.remember.as_slice());
        [Some(self.connect.remember.as_slice()), greeting, sender].into_iter().flatten()
    }

    fn brief(
        &self,
        stage: Stage,
        recipients: Vec<RecipientBrief>,
        own_findings: Vec<Weighed>,
        own_gaps: Vec<Gap>,
    ) -> Brief {
        let mut findings = self.connect.findings.clone();
        let mut gaps = self.connect.gaps.clone();
        if let Some(greeting) = &self.greeting {
            findings.extend_from_slice(&greeting.findings);
            gaps.extend_from_slice(&greeting.gaps);
        }
        if let Some(transaction) = &self.transaction {
            findings.extend_from_slice(&transaction.sender.findings);
            gaps.extend_from_slice(&transaction.sender.gaps);
        }
        findings.extend(own_findings);
        gaps.extend(own_gaps);
        let connect = &self.connect.facts;
        let born_or_trusted = connect.trusted || matches!(connect.client, Client::Local(_));
        Brief {
            stage,
            refuse_at: self.engine.policy.refuse_at,
            submits: self.sender().map_or(born_or_trusted, Sender::submits),
            caps: self.engine.policy.caps.clone(),
            can_keep: true,
            advises: self.advises,
            findings,
            gaps,
            recipients,
        }
    }

    fn recipient_brief(&self, heard: &HeardRecipient) -> RecipientBrief {
        let (policy, thresholds) = self.engine.policy.thresholds(&heard.recipient);
        RecipientBrief {
            address: heard.recipient.address.clone(),
            direction: heard.recipient.direction,
            policy,
            thresholds,
            findings: heard.findings.clone(),
        }
    }
}

impl<F> Heard<F> {
    fn new(engine: &Engine, stage: Stage, facts: F, outcome: StageOutcome) -> Heard<F> {
        let weighed = outcome.findings.iter().map(|(check, finding)| engine.weigh(*check, stage, finding));
        Heard { facts, findings: weighed.collect(), gaps: outcome.gaps, remember: outcome.remember }
    }
}

impl Heard<()> {
    /// Findings that count for every recipient.
    fn shared(&self) -> Vec<Weighed> {
        self.findings.iter().filter(|f| f.only_for.is_none()).cloned().collect()
    }

    /// Findings about the whole message that count for `address` alone.
    fn own_of(&self, address: &Address) -> Vec<Weighed> {
        self.findings.iter().filter(|f| f.only_for.as_ref() == Some(address)).cloned().collect()
    }
}

/// The caller went on without what has to come before (RFC 5321 section 4.1.4); its own mistake, not the client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no MAIL FROM was heard in this session")]
pub struct OutOfOrder;

fn recipient(address: Address, sender: &Sender, world: &World) -> Recipient {
    let hosting = world.panel.hosting(address.domain());
    let mailbox = match hosting {
        Hosting::Local(_) => world.panel.recipient(&address),
        Hosting::Relayed(_) | Hosting::Foreign => Mailbox::NotListed,
    };
    let leaves_again =
        !matches!(hosting, Hosting::Local(_)) || matches!(&mailbox, Mailbox::Forwards { keeps_copy: false, .. });
    let direction = match (sender.submits(), leaves_again) {
        (true, _) => Direction::Submission,
        (false, true) => Direction::Forwarded,
        (false, false) => Direction::Inbound,
    };
    Recipient { address, direction, hosting, mailbox }
}

fn due(remember: &[Remember], when: &[When]) -> Vec<Write> {
    remember.iter().filter(|r| when.contains(&r.when)).map(|r| r.write.clone()).collect()
}

/// What became of the whole message.
fn ends(verdict: &Verdict) -> Vec<When> {
    let spam = verdict.recipients.iter().any(|r| r.action.is_spam());
    let mut ends = ends_of(verdict.action, verdict.action);
    if spam && !ends.contains(&When::Spam) {
        ends.retain(|when| *when != When::Ham);
        ends.push(When::Spam);
    }
    ends
}

/// Of `ends`, spam and ham only if the message would have ended so without its sender's record too.
fn taught(mut ends: Vec<When>, sober: Option<Vec<When>>) -> Vec<When> {
    if let Some(sober) = sober {
        ends.retain(|when| !matches!(when, When::Spam | When::Ham) || sober.contains(when));
    }
    ends
}

fn ends_of(action: Action, reply: Action) -> Vec<When> {
    let mut ends = Vec::new();
    if !reply.is_refusal() {
        ends.push(When::Accepted);
    }
    match action {
        Action::Accept => ends.push(When::Ham),
        Action::Greylist => ends.push(When::Greylisted),
        Action::Defer => {}
        Action::Tag | Action::Quarantine | Action::Reject | Action::Drop => ends.push(When::Spam),
    }
    ends
}
