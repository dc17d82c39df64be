//! From findings to a verdict. Pure: [`decide`] reads a [`Brief`] and nothing else, so a verdict can be made again from its
//! record, and a new policy can be tried on old findings. The only place that decides.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use tidegate_mail::{Address, Domain, Score};

use crate::check::{Class, Evidence, Finding, Group, RefusalKind};
use crate::known::Service;
use crate::session::{Direction, Recipient, Stage};
use crate::verdict::{Action, RecipientVerdict, Reply, Verdict};

mod lint;
mod thresholds;

pub use lint::{LintError, lint};
pub use thresholds::{Directions, Step, Steps, Thresholds};

/// `[policy]`: what the administrator wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Steps of this server, by direction; they stand before the built-in ones.
    pub server: Directions,
    /// The earliest stage at which a client is refused. At `rcpt`, the default, postmaster@, abuse@ and logged-in users
    /// stay reachable.
    pub refuse_at: Stage,
    /// How far the findings of one group may add up, for good and for bad. A group that is not named keeps its own cap.
    #[serde(deserialize_with = "over_shipped_caps")]
    #[schemars(schema_with = "caps_schema")]
    pub caps: BTreeMap<Group, Score>,
    /// Steps of single domains; they stand before those of the server.
    pub domains: BTreeMap<Domain, Directions>,
    /// Steps of single mailboxes; they stand before those of the domain.
    pub mailboxes: BTreeMap<Address, Directions>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            server: Directions::default(),
            refuse_at: Stage::Rcpt,
            caps: shipped_caps(),
            domains: BTreeMap::new(),
            mailboxes: BTreeMap::new(),
        }
    }
}

fn shipped_caps() -> BTreeMap<Group, Score> {
    let cap = |group, points| (group, Score::points(points));
    BTreeMap::from([
        cap(Group::ClientLists, 6),
        cap(Group::DomainLists, 6),
        cap(Group::Identity, 6),
        cap(Group::ClientNames, 4),
        cap(Group::Form, 4),
        cap(Group::Reputation, 4),
        cap(Group::Rules, 6),
    ])
}

/// Who sets the cap of one group does not mean to take those of the others away.
fn over_shipped_caps<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<Group, Score>, D::Error> {
    let mut caps = shipped_caps();
    caps.extend(BTreeMap::<Group, Score>::deserialize(from)?);
    Ok(caps)
}

/// A cap for each group: the derived schema would allow any word.
fn caps_schema(generator: &mut SchemaGenerator) -> Schema {
    let (group, cap) = (generator.subschema_for::<Group>(), generator.subschema_for::<Score>());
    json_schema!({ "type": "object", "propertyNames": group, "additionalProperties": cap })
}

impl Config {
    /// The thresholds for `recipient`, with the name of the most particular policy that says something: mailbox, domain,
    /// or server.
    pub fn thresholds(&self, recipient: &Recipient) -> (String, Thresholds) {
        let direction = recipient.direction;
        let address = recipient.address.to_lowercase();
        let domain = self.domains.get(address.domain()).and_then(|d| d.of(direction));
        let mailbox = self.mailboxes.get(&address).and_then(|d| d.of(direction));
        let layers = [self.server.of(direction), domain, mailbox];
        let thresholds = layers.into_iter().flatten().fold(Thresholds::built_in(direction), Thresholds::with);
        let name = match (mailbox, domain) {
            (Some(_), _) => format!("mailbox {address} {direction}"),
            (None, Some(_)) => format!("domain {} {direction}", address.domain()),
            (None, None) => format!("server {direction}"),
        };
        (name, thresholds)
    }
}

/// What a check's silence means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnUnavailable {
    /// The message is judged without it; the record says so.
    #[default]
    Ignore,
    /// The client is asked to come again.
    Defer,
}

/// All that the policy reads. Kept in the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brief {
    /// The stage.
    pub stage: Stage,
    /// The earliest stage at which a client is refused.
    pub refuse_at: Stage,
    /// Whether the sender submits here (a login, a local user, a trusted relay).
    pub submits: bool,
    /// How far a group may add up.
    pub caps: BTreeMap<Group, Score>,
    /// Whether there is a quarantine that takes messages now; without one, what would be kept back is tagged.
    pub can_keep: bool,
    /// Whether whoever asks only hears what we think, and does with the message what it likes: what would be refused or kept
    /// back is spam, and nobody is told to wait.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub advises: bool,
    /// Findings that count for every recipient, in the order of the checks.
    pub findings: Vec<Weighed>,
    /// What could not be known.
    pub gaps: Vec<Gap>,
    /// Recipients with what counts for them alone; empty before RCPT.
    pub recipients: Vec<RecipientBrief>,
}

impl Brief {
    /// This brief as it would be if nothing were remembered of the sender; `None` if nothing is.
    #[must_use]
    pub fn without_reputation(&self) -> Option<Brief> {
        let is_own = |finding: &Weighed| finding.group != Group::Reputation;
        let all = self.findings.iter().chain(self.recipients.iter().flat_map(|recipient| &recipient.findings));
        if all.clone().all(is_own) {
            return None;
        }
        let mut brief = self.clone();
        brief.findings.retain(is_own);
        for recipient in &mut brief.recipients {
            recipient.findings.retain(is_own);
        }
        Some(brief)
    }
}

/// A finding as the policy reads it, with the weight that applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weighed {
    /// The check it comes from.
    pub check: String,
    /// The stage at which it was made.
    pub stage: Stage,
    /// The symbol's name.
    pub symbol: String,
    /// Points.
    pub weight: Score,
    /// What the symbol can do.
    pub class: Class,
    /// What it is capped with.
    pub group: Group,
    /// What was seen.
    pub evidence: Evidence,
    /// What the symbol means.
    pub doc: String,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The one recipient it counts for, if not for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_for: Option<Address>,
}

impl Weighed {
    /// `finding` of `check` at `stage` with the weight that applies.
    pub fn new(check: &str, stage: Stage, finding: &Finding, weight: Score) -> Weighed {
        let symbol = finding.symbol();
        Weighed {
            check: check.to_owned(),
            stage,
            symbol: symbol.name.clone().into_owned(),
            weight,
            class: symbol.class,
            group: symbol.group,
            evidence: finding.evidence().clone(),
            doc: symbol.doc.clone().into_owned(),
            until: finding.ends(),
            only_for: finding.recipient().cloned(),
        }
    }
}

/// Something a check could not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The check.
    pub check: String,
    /// The stage.
    pub stage: Stage,
    /// Who did not answer.
    pub service: Service,
    /// What was asked, and what came instead.
    pub cause: String,
    /// What the configuration makes of it.
    pub on_unavailable: OnUnavailable,
}

/// One recipient as the policy reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientBrief {
    /// The recipient.
    pub address: Address,
    /// Which way the message goes for it.
    pub direction: Direction,
    /// The name of the policy that applies.
    pub policy: String,
    /// Its thresholds.
    pub thresholds: Thresholds,
    /// Findings that count for this recipient alone.
    pub findings: Vec<Weighed>,
}

impl RecipientBrief {
    /// postmaster@ and abuse@ must stay reachable for those whom we refuse (RFC 5321 section 4.5.1, RFC 2142).
    fn is_role(&self) -> bool {
        ["postmaster", "abuse"].iter().any(|role| self.address.local().eq_ignore_ascii_case(role))
    }
}

/// Decides. See decision 0001 for recipients with different policies.
pub fn decide(brief: &Brief) -> Verdict {
    if brief.recipients.is_empty() {
        return decide_without_recipients(brief);
    }
    let ruled = brief.recipients.iter().map(|recipient| (recipient, rule(brief, recipient)));
    let ruled: Vec<Ruling> = if brief.advises {
        ruled.map(|(recipient, ruling)| advice(recipient, ruling)).collect()
    } else {
        ruled.map(|(_, ruling)| ruling).collect()
    };
    let mildest = ruled.iter().min_by_key(|ruling| ruling.action);
    let (action, reply) = match mildest {
        Some(ruling) if ruling.action.is_refusal() => (ruling.action, ruling.reply.clone()),
        Some(ruling) => (ruling.action, Reply::ok()),
        None => (Action::Accept, Reply::ok()),
    };
    let message_is_taken = !action.is_refusal();
    let verdicts = brief.recipients.iter().zip(ruled).map(|(recipient, ruling)| RecipientVerdict {
        address: recipient.address.clone(),
        direction: recipient.direction,
        policy: recipient.policy.clone(),
        score: ruling.score,
        action: if message_is_taken { within_taken(ruling.action, brief.can_keep) } else { ruling.action },
        reason: ruling.reason,
        until: ruling.until,
    });
    Verdict { stage: brief.stage, action, reply, recipients: verdicts.collect() }
}

/// A ruling for a caller that carries out none: spam or not.
fn advice(recipient: &RecipientBrief, ruling: Ruling) -> Ruling {
    let is_spam = match ruling.action {
        Action::Greylist | Action::Defer => recipient.thresholds.tag.is_some_and(|tag| ruling.score >= tag),
        action => action.is_spam(),
    };
    let action = if is_spam { Action::Tag } else { Action::Accept };
    // Nobody is made to wait here, so the points for that explain nothing.
    let reason = match recipient.thresholds.tag.filter(|_| ruling.action == Action::Greylist) {
        Some(tag) if is_spam => reaches(ruling.score, "tag", tag, &recipient.policy),
        Some(tag) => format!("score {} is below {tag} (tag, policy {})", ruling.score, recipient.policy),
        None => ruling.reason,
    };
    Ruling { action, reply: Reply::ok(), until: None, reason, ..ruling }
}

/// What a recipient's action becomes when another recipient's policy takes the message: it can no longer be refused to the
/// client, so it is kept back instead, and a wait is over.
fn within_taken(action: Action, can_keep: bool) -> Action {
    match action {
        Action::Reject | Action::Drop | Action::Quarantine if can_keep => Action::Quarantine,
        Action::Reject | Action::Drop | Action::Quarantine => Action::Tag,
        Action::Greylist | Action::Defer => Action::Tag,
        other => other,
    }
}

/// Before RCPT there is nobody to ask for a policy: only refusals and gaps count, and only if the administrator lets the
/// server refuse so early.
fn decide_without_recipients(brief: &Brief) -> Verdict {
    let accept = || (Action::Accept, Reply::ok());
    let may_refuse = brief.stage >= brief.refuse_at && !brief.advises && !brief.submits && !is_allowed(&brief.findings);
    let (action, reply) = if may_refuse {
        let refusal = brief.findings.iter().find_map(|f| refusal_kind(f).map(|kind| (kind, f)));
        refusal.map_or_else(accept, |(kind, finding)| refuse(kind, finding))
    } else {
        accept()
    };
    Verdict { stage: brief.stage, action, reply, recipients: Vec::new() }
}

/// What the policy makes of one recipient.
struct Ruling {
    score: Score,
    action: Action,
    reply: Reply,
    reason: String,
    until: Option<Timestamp>,
}

fn rule(brief: &Brief, recipient: &RecipientBrief) -> Ruling {
    let findings = || brief.findings.iter().chain(&recipient.findings);
    let score = score(brief, findings());
    let ruling = |action, reply, reason: String| Ruling { score, action, reply, reason, until: None };

    let allow = allow_entry(brief, recipient);
    let excused = |kind: RefusalKind, finding: &Weighed| match kind {
        // What the client's network did is not held against a user who logs in from there.
        RefusalKind::Limit if brief.submits && finding.stage < Stage::Mail => true,
        RefusalKind::Malware | RefusalKind::Limit | RefusalKind::UnknownRecipient | RefusalKind::SendAs => false,
        RefusalKind::Protocol => allow.is_some(),
        RefusalKind::DnsBlockList if brief.submits || findings().any(is_known_good) => true,
        _ => allow.is_some() || recipient.is_role(),
    };
    let refusal = findings().find_map(|f| refusal_kind(f).filter(|kind| !excused(*kind, f)).map(|kind| (kind, f)));
    if let Some((kind, finding)) = refusal {
        let (action, reply) = refuse(kind, finding);
        return Ruling { until: finding.until, ..ruling(action, reply, reason_of(finding)) };
    }
    if let Some(gap) = brief.gaps.iter().find(|gap| gap.on_unavailable == OnUnavailable::Defer) {
        let reason = format!("{} could not be asked: {}", gap.check, gap.cause);
        return ruling(Action::Defer, Reply::new(451, "4.4.3", "temporary lookup failure, please try again"), reason);
    }
    if let Some(finding) = allow {
        return ruling(Action::Accept, Reply::ok(), reason_of(finding));
    }
    // A recipient is judged by score only when the message is known: at RCPT its content may still speak for it.
    if brief.stage < Stage::Data && !findings().any(|f| f.class == Class::Waiting) {
        return ruling(Action::Accept, Reply::ok(), "no reason to refuse".into());
    }
    by_score(recipient, score, findings(), brief.stage)
}

/// The allow entry that applies: the recipient's own one, or the server's unless the recipient's own list blocks.
fn allow_entry<'a>(brief: &'a Brief, recipient: &'a RecipientBrief) -> Option<&'a Weighed> {
    let is_allow = |finding: &&Weighed| finding.class == Class::Allow;
    let own_block = recipient.findings.iter().any(|f| f.class == Class::Refusal(RefusalKind::BlockList));
    let shared = brief.findings.iter().find(is_allow).filter(|_| !own_block);
    recipient.findings.iter().find(is_allow).or(shared)
}

/// A list of known senders speaks for the client: no blocklist decides alone against it.
fn is_known_good(finding: &Weighed) -> bool {
    finding.group == Group::ClientLists && finding.weight < Score::ZERO
}

fn by_score<'a>(
    recipient: &RecipientBrief,
    score: Score,
    mut findings: impl Iterator<Item = &'a Weighed>,
    stage: Stage,
) -> Ruling {
    let at = recipient.thresholds;
    let reached = |threshold: Option<Score>| threshold.is_some_and(|t| score >= t);
    let sum =
        |what: &str, threshold: Option<Score>| reaches(score, what, threshold.unwrap_or(Score::MAX), &recipient.policy);
    let waiting = findings.find(|f| f.class == Class::Waiting);
    let (action, reply, reason, until) = if stage == Stage::Data && reached(at.reject) && !recipient.is_role() {
        let reply = Reply::new(550, "5.7.1", "this message looks like spam and was refused");
        (Action::Reject, reply, sum("reject", at.reject), None)
    } else if stage == Stage::Data && reached(at.quarantine) && !recipient.is_role() {
        (Action::Quarantine, Reply::ok(), sum("quarantine", at.quarantine), None)
    } else if let Some(wait) = waiting.filter(|_| reached(at.greylist) && !recipient.is_role()) {
        (Action::Greylist, greylist_reply(wait), sum("greylist", at.greylist), wait.until)
    } else if stage == Stage::Data && reached(at.tag) {
        (Action::Tag, Reply::ok(), sum("tag", at.tag), None)
    } else {
        (Action::Accept, Reply::ok(), format!("score {score} is below every threshold"), None)
    };
    Ruling { score, action, reply, reason, until }
}

fn reaches(score: Score, what: &str, threshold: Score, policy: &str) -> String {
    format!("score {score} reaches {threshold} ({what}, policy {policy})")
}

fn greylist_reply(wait: &Weighed) -> Reply {
    let text = match wait.until {
        Some(until) => format!("greylisted, please try again after {}", second_after(until)),
        None => "greylisted, please try again later".to_owned(),
    };
    Reply::new(451, "4.7.1", &text)
}

/// The first whole second at which `time` has come, as replies and explanations write it: who comes at that second does not come too early.
pub fn second_after(time: Timestamp) -> impl Display {
    let whole = time.round(TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Ceil));
    whole.unwrap_or(time).strftime("%Y-%m-%d %H:%M:%S UTC")
}

/// The sum of all weights, each group held within its cap. What is said of the client does not count for those who submit here: the
/// line of a user at home is on every list and has no name.
fn score<'a>(brief: &Brief, findings: impl Iterator<Item = &'a Weighed>) -> Score {
    sums(brief, findings).into_iter().map(|(group, sum)| within_cap(brief, group, sum)).sum()
}

/// What the findings of each group that counts add up to.
fn sums<'a>(brief: &Brief, findings: impl Iterator<Item = &'a Weighed>) -> BTreeMap<Group, Score> {
    let mut sums: BTreeMap<Group, Score> = BTreeMap::new();
    for finding in findings {
        match finding.group {
            Group::ClientLists | Group::ClientNames if brief.submits => {}
            group => *sums.entry(group).or_default() += finding.weight,
        }
    }
    sums
}

fn within_cap(brief: &Brief, group: Group, sum: Score) -> Score {
    match brief.caps.get(&group).filter(|_| group != Group::Alone) {
        Some(&cap) => sum.min(cap).max(-cap),
        None => sum,
    }
}

/// A group of findings whose sum its cap held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldBack {
    /// The group.
    pub group: Group,
    /// What its findings add up to.
    pub sum: Score,
    /// What counts of it.
    pub counts: Score,
}

impl fmt::Display for HeldBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HeldBack { group, sum, counts } = self;
        write!(f, "the findings of group `{group}` add up to {sum}, of which {counts} counts ([policy.caps])")
    }
}

/// Where the score of `recipient` is not the sum of the findings.
pub fn held_back(brief: &Brief, recipient: &RecipientBrief) -> Vec<HeldBack> {
    let sums = sums(brief, brief.findings.iter().chain(&recipient.findings)).into_iter();
    let held = sums.map(|(group, sum)| HeldBack { group, sum, counts: within_cap(brief, group, sum) });
    held.filter(|held| held.sum != held.counts).collect()
}

fn is_allowed(findings: &[Weighed]) -> bool {
    findings.iter().any(|f| f.class == Class::Allow)
}

fn refusal_kind(finding: &Weighed) -> Option<RefusalKind> {
    match finding.class {
        Class::Refusal(kind) => Some(kind),
        Class::Evidence | Class::Waiting | Class::Allow => None,
    }
}

fn refuse(kind: RefusalKind, finding: &Weighed) -> (Action, Reply) {
    let (action, code, enhanced) = match kind {
        RefusalKind::BlockList | RefusalKind::DnsBlockList => (Action::Reject, 550, "5.7.1"),
        RefusalKind::Forgery => (Action::Reject, 550, "5.7.26"),
        RefusalKind::Protocol => (Action::Reject, 550, "5.5.0"),
        RefusalKind::UnknownRecipient => (Action::Reject, 550, "5.1.1"),
        RefusalKind::ImpossibleSender => (Action::Reject, 550, "5.1.8"),
        RefusalKind::Malware => (Action::Reject, 550, "5.7.1"),
        RefusalKind::Limit => (Action::Defer, 451, "4.7.1"),
        RefusalKind::SendAs => (Action::Reject, 550, "5.7.1"),
    };
    // Who made an entry of the own lists, and why, is nobody's business outside.
    let text = if kind == RefusalKind::BlockList { finding.doc.clone() } else { reason_of(finding) };
    (action, Reply::new(code, enhanced, &text))
}

fn reason_of(finding: &Weighed) -> String {
    match finding.evidence.as_str() {
        "" => finding.doc.clone(),
        evidence => format!("{} ({evidence})", finding.doc),
    }
}
