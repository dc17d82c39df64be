//! One ask of Exim becomes calls of the engine's session, and the judgement becomes an answer. A session that was lost is made
//! again from the facts that every ask carries; what is judged again is neither recorded nor counted twice.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use tidegate_filter::aside::{aside, in_place};
use tidegate_filter::engine::Engine;
use tidegate_filter::judgement::Judgement;
use tidegate_filter::session::{self, Client, Helo, Local, Login, Remote};
use tidegate_filter::verdict::{self, HeaderEdit};
use tidegate_mail::{Address, Limits, Message, ReversePath};
use tidegate_wire::exim::{
    Action, Answer, Ask, Assembly, ExactAddress, HeaderLine, Mail, Origin, OwnField, PartError, Position, Stage,
};
use tokio::sync::Mutex;
use tokio::time::Instant as Moment;

use super::slot::Slot;
use super::{Answered, spool};
use crate::conclude::{Occasion, Submitted};
use crate::daemon::Daemon;
use crate::log_watch::{Told, script_named};
use crate::quarantine::{Admission, FIELD, Keep};
use crate::sessions::Begun;

/// Whether something is judged at `stage`. The others tell what has happened, whether somebody waits for the answer or not.
pub(super) fn is_judged(stage: Stage) -> bool {
    !matches!(stage, Stage::End | Stage::Lost | Stage::Keep | Stage::Event)
}

/// Answers one ask.
pub(super) async fn answer(daemon: &Arc<Daemon>, ask: Ask) -> Answered {
    if ask.stage != Stage::Event {
        daemon.counters.asks.increment();
    }
    match ask.stage {
        Stage::End | Stage::Lost => {
            if let Some(name) = &ask.session {
                daemon.sessions.remove(name);
            }
            Answered::accept()
        }
        Stage::Keep => Answered::only(keep(daemon, &ask).await),
        Stage::Auth => Answered::accept(),
        Stage::Event => {
            if let Some(told) = Told::of(&ask, daemon.world.clock.now()) {
                daemon.log_watch.tell(told);
            }
            Answered::accept()
        }
        _ if client(daemon, &ask).is_none() => {
            daemon.counters.unreadable_asks.increment();
            Answered::accept()
        }
        _ => in_session(daemon, &ask).await,
    }
}

/// Exim's router is about to take a recipient out of the delivery: the copy we offered must be safe by then.
async fn keep(daemon: &Daemon, ask: &Ask) -> Answer {
    let id = ask.transaction.id.as_deref().filter(|id| spool::is_message_id(id));
    let recipient = ask.transaction.recipient.as_ref();
    let (Some(id), Some(recipient)) = (id, recipient) else { return Answer::new(Action::Gone) };
    match daemon.conclude.keep(id, recipient, &daemon.world).await {
        Ok(Keep::Kept) => Answer::new(Action::Kept),
        Ok(Keep::Gone) => Answer::new(Action::Gone),
        Err(error) => {
            tracing::error!(%error, id, "the quarantine cannot keep a message; Exim will ask again");
            Answer::new(Action::Again)
        }
    }
}

async fn in_session(daemon: &Arc<Daemon>, ask: &Ask) -> Answered {
    let began = Instant::now();
    let engine = daemon.engine.load_full();
    // However much has to be judged again for it, one ask is answered within the time of its own stage.
    let until = Moment::from_std(began) + engine.deadlines().of(stage(ask));
    let known = ask.session.as_deref().and_then(|name| Some((name.to_owned(), daemon.sessions.get(name)?)));
    let (name, slot, opened) = match known {
        Some((name, slot)) => (name, slot, None),
        None => match open(daemon, ask, &engine, until).await {
            Some(Opened { name, slot, begun, judgement }) => (name, slot, Some((begun, judgement))),
            None => return Answered::accept(),
        },
    };
    let (begun, on_connect) = opened.unzip();
    let mut guard = slot.lock().await;
    let answering = Answering { daemon, ask, name: &name, began, until };
    let mut answered = if ask.stage == Stage::Connect {
        match on_connect {
            Some(judgement) => concluded(&answering, &guard, judgement, None).await,
            None => Answered::accept(),
        }
    } else {
        at_stage(&answering, &mut guard).await
    };
    answered.answer.session = Some(name.clone());
    answered.begun = begun;
    if ask.stage == Stage::NotSmtp {
        // A local submission is one message and no connection that ends later.
        daemon.sessions.remove(&name);
    }
    answered
}

/// A session that was begun for an ask, with the judgement of its client.
struct Opened {
    name: String,
    slot: Arc<Mutex<Slot>>,
    begun: Begun<Slot>,
    judgement: Judgement,
}

async fn open(daemon: &Daemon, ask: &Ask, engine: &Arc<Engine>, until: Moment) -> Option<Opened> {
    let client = client(daemon, ask)?;
    let ip = client.ip();
    let until = if ask.stage == Stage::Connect { until } else { half_way(until) };
    let (session, judgement) = engine.open_by(client, daemon.world.clone(), until).await;
    let slot = Slot { session, helo: None, sender: None, transactions: 0, assembly: Assembly::default() };
    let (name, slot, begun) = daemon.sessions.begin(slot, ip);
    Some(Opened { name, slot, begun, judgement })
}

/// The stage of the judgement that an ask belongs to.
fn stage(ask: &Ask) -> session::Stage {
    match ask.stage {
        Stage::Data | Stage::NotSmtp => session::Stage::Data,
        Stage::Rcpt => session::Stage::Rcpt,
        Stage::Mail => session::Stage::Mail,
        Stage::Helo => session::Stage::Helo,
        _ => session::Stage::Connect,
    }
}

/// What was judged before, and has to be judged again, takes half of the time that is left.
fn half_way(until: Moment) -> Moment {
    let now = Moment::now();
    now + until.saturating_duration_since(now) / 2
}

fn client(daemon: &Daemon, ask: &Ask) -> Option<Client> {
    match &ask.origin {
        Origin::Remote { client, interface, .. } => {
            let ip = unmapped(client.ip());
            let open_sessions = daemon.sessions.open_from(ip);
            Some(Client::Remote(Remote { ip, port: client.port(), interface: *interface, open_sessions }))
        }
        Origin::Local { uid, user, cwd, .. } => Some(Client::Local(Local {
            uid: *uid,
            user: user.clone().unwrap_or_default(),
            cwd: cwd.clone().unwrap_or_default().into(),
        })),
        Origin::Unknown => None,
    }
}

fn unmapped(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(ip, IpAddr::V4),
        IpAddr::V4(_) => ip,
    }
}

/// One ask while it is answered, and until when.
struct Answering<'a> {
    daemon: &'a Arc<Daemon>,
    ask: &'a Ask,
    /// The name of its session.
    name: &'a str,
    began: Instant,
    until: Moment,
}

async fn at_stage(answering: &Answering<'_>, slot: &mut Slot) -> Answered {
    let Answering { daemon, ask, until, .. } = *answering;
    match ask.stage {
        Stage::Helo => {
            slot.session.answer_by(until);
            let judgement = hear_helo(ask, slot).await;
            concluded(answering, slot, judgement, None).await
        }
        Stage::Mail => {
            catch_up_helo(ask, slot, until).await;
            slot.session.answer_by(until);
            let judgement = hear_mail(daemon, ask, slot).await;
            concluded(answering, slot, judgement, None).await
        }
        Stage::Rcpt => {
            catch_up_mail(daemon, ask, slot, until).await;
            slot.session.answer_by(until);
            let recipient = ask.transaction.recipient.as_ref().and_then(|recipient| recipient.address().ok());
            let Some(recipient) = recipient else { return Answered::accept() };
            match slot.session.rcpt(recipient).await {
                Ok(judgement) => concluded(answering, slot, judgement, None).await,
                Err(_out_of_order) => Answered::accept(),
            }
        }
        Stage::Data | Stage::NotSmtp => at_data(answering, slot).await,
        _ => Answered::accept(),
    }
}

async fn hear_helo(ask: &Ask, slot: &mut Slot) -> Judgement {
    slot.helo.clone_from(&ask.helo);
    slot.sender = None;
    let tls = ask.tls.as_ref().map(|tls| tls.cipher.clone());
    slot.session.helo(ask.helo.clone().map(Helo::new), tls).await
}

async fn catch_up_helo(ask: &Ask, slot: &mut Slot, until: Moment) {
    if ask.helo.is_some() && ask.helo != slot.helo {
        slot.session.answer_by(half_way(until));
        let _heard_before = hear_helo(ask, slot).await;
    }
}

/// Judges MAIL. A sender that no public mail carries (Exim takes some that RFC 5321 does not) is judged as the null path.
async fn hear_mail(daemon: &Daemon, ask: &Ask, slot: &mut Slot) -> Judgement {
    let sender = ask.transaction.sender.clone().unwrap_or_else(|| ExactAddress::new(""));
    let path = sender.reverse_path().unwrap_or(ReversePath::Null);
    let login = ask.login.account.clone();
    slot.sender = Some((sender.as_str().to_owned(), login.clone()));
    slot.transactions = slot.transactions.saturating_add(1);
    slot.assembly = Assembly::default();
    let login = login.map(|id| Login {
        account: daemon.world.panel.owner_of_login(&id),
        authenticator: ask.login.mechanism.clone().unwrap_or_default(),
        id,
    });
    slot.session.mail(path, login).await
}

async fn catch_up_mail(daemon: &Daemon, ask: &Ask, slot: &mut Slot, until: Moment) {
    catch_up_helo(ask, slot, until).await;
    let sender = ask.transaction.sender.as_ref().map(|s| s.as_str().to_owned()).unwrap_or_default();
    let heard = slot.sender.as_ref().is_some_and(|(path, login)| *path == sender && *login == ask.login.account);
    if !heard || !slot.session.has_sender() {
        slot.session.answer_by(half_way(until));
        let _heard_before = hear_mail(daemon, ask, slot).await;
    }
}

async fn at_data(answering: &Answering<'_>, slot: &mut Slot) -> Answered {
    let Answering { daemon, ask, until, .. } = *answering;
    if ask.part.number > 1 {
        return match slot.assembly.add(ask) {
            Ok(()) | Err(PartError::Missing) => Answered::only(Answer::new(Action::More)),
            Err(PartError::TooLong) => too_long(daemon, ask),
        };
    }
    let mail = match std::mem::take(&mut slot.assembly).finish(ask) {
        Ok(mail) => Arc::new(mail),
        Err(PartError::Missing) => return Answered::only(Answer::new(Action::Again)),
        Err(PartError::TooLong) => return too_long(daemon, ask),
    };
    if ask.content.is_cut {
        return too_long(daemon, ask);
    }
    let octets = octets_of(ask, &mail);
    // Who gives up waiting has no answer, and does what is configured for that.
    let _turn = if in_place(octets) { None } else { daemon.rooms.exim.take(octets).await };
    let message = match read(daemon, ask.clone(), Arc::clone(&mail)).await {
        Ok(message) => message,
        Err(error) => {
            tracing::error!(%error, "a message cannot be read from the spool; the mail goes on");
            daemon.counters.failed_asks.increment();
            return Answered::accept();
        }
    };
    if let Some(answer) = from_quarantine(daemon, ask, &message).await {
        return Answered::only(answer);
    }
    if ask.stage == Stage::NotSmtp
        && let (Some(id), Some(script)) = (&ask.transaction.id, script_named(&message))
    {
        daemon.log_watch.script_is(id.clone(), script);
    }
    catch_up_mail(daemon, ask, slot, until).await;
    slot.session.answer_by(half_way(until));
    hear_recipients(slot, &mail).await;
    slot.session.answer_by(until);
    let Ok(judgement) = slot.session.data(Arc::clone(&message)).await else {
        return Answered::accept();
    };
    let submitted = Submitted { message: &message, envelope: &mail.recipients };
    concluded(answering, slot, judgement, Some(submitted)).await
}

/// How large the message is; one of which that is not known counts as large.
fn octets_of(ask: &Ask, mail: &Mail) -> usize {
    let body = ask.content.body_octets.and_then(|octets| usize::try_from(octets).ok()).unwrap_or(usize::MAX);
    body.saturating_add(mail.headers.len())
}

/// The message, read from the spool and taken apart where that holds up nobody.
async fn read(daemon: &Arc<Daemon>, ask: Ask, mail: Arc<Mail>) -> Result<Arc<Message>, spool::SpoolError> {
    let daemon = Arc::clone(daemon);
    aside(octets_of(&ask, &mail), move || {
        let raw = spool::read_message(&daemon.spool, &ask, &mail)?;
        Ok(Arc::new(Message::parse(raw, &Limits::default())))
    })
    .await
}

/// A message that a person released comes back as a local submission of root and is let through once, whatever it scores.
async fn from_quarantine(daemon: &Daemon, ask: &Ask, message: &Message) -> Option<Answer> {
    if !matches!(ask.origin, Origin::Local { uid: Some(0), .. }) {
        return None;
    }
    let token = message.header(FIELD)?.decoded().trim().to_owned();
    match daemon.conclude.quarantine().admit(&token).await {
        Ok(Admission::First { .. }) => {
            let mut answer = Answer::new(Action::Tag);
            carry_edits(&mut answer, &daemon.engine.load().without_forgeries(message), None);
            // It is removed with those that came from outside.
            answer.add.extend(HeaderLine::new(FIELD, token.as_bytes(), Position::Start).ok());
            Some(answer)
        }
        Ok(Admission::Again) => {
            let mut answer = Answer::new(Action::Reject);
            answer.reply = Some("550 5.7.1 this message was released before".into());
            Some(answer)
        }
        Ok(Admission::Unknown) => None,
        Err(error) => {
            tracing::error!(%error, "the quarantine cannot say whether a message was released");
            let mut answer = Answer::new(Action::Reject);
            answer.reply = Some("550 5.3.0 the quarantine does not answer; the message is still kept".into());
            Some(answer)
        }
    }
}

/// A message whose header cannot be handed over whole is not judged on half of it: a login's mail waits, other mail goes on.
fn too_long(daemon: &Daemon, ask: &Ask) -> Answered {
    daemon.counters.over_limit.increment();
    if ask.login.account.is_none() {
        return Answered::accept();
    }
    let mut answer = Answer::new(Action::Defer);
    answer.reply = Some("451 4.3.4 the header of this message is too long to be checked".into());
    Answered::only(answer)
}

/// The recipients that Exim really has: those it refused after our answer are forgotten, those we never heard of (after a
/// restart) are judged now.
async fn hear_recipients(slot: &mut Slot, mail: &Mail) {
    let envelope: Vec<Address> = mail.recipients.iter().filter_map(|recipient| recipient.address().ok()).collect();
    slot.session.keep_only(&envelope);
    for recipient in envelope {
        if !slot.session.has_recipient(&recipient) {
            // MAIL was heard just before, so this is in order.
            let _in_order = slot.session.readmit(recipient).await;
        }
    }
}

/// Records, and translates the judgement into what Exim understands.
async fn concluded(
    answering: &Answering<'_>,
    slot: &Slot,
    judgement: Judgement,
    submitted: Option<Submitted<'_>>,
) -> Answered {
    let Answering { daemon, ask, name, began, .. } = *answering;
    let id = format!("{name}.{}", slot.transactions);
    let occasion =
        Occasion { id: &id, session: &slot.session, mta_id: ask.transaction.id.as_deref(), submitted, began };
    let (judgement, conclusion) = daemon.conclude.conclude(&occasion, judgement, &daemon.world).await;
    let told = conclusion.id().unwrap_or(&id);
    let answer = translated(&judgement, told, occasion.submitted.as_ref());
    Answered { answer, conclusion: Some(conclusion), writes: judgement.writes, begun: None }
}

/// A field that cannot be written safely is left out; what it says is in the record.
fn carry_edits(answer: &mut Answer, edits: &[HeaderEdit], submitted: Option<&Submitted<'_>>) {
    let mut back = Vec::new();
    for edit in edits {
        match edit {
            HeaderEdit::RemoveAll { name } => answer.remove.push(name.clone()),
            HeaderEdit::Add { name, value } => answer.add.extend(HeaderLine::folded(name, value, Position::Start).ok()),
            HeaderEdit::AddFor { name, value, recipients } => {
                let exact = submitted.map_or_else(Vec::new, |submitted| exactly(recipients, submitted));
                let line = HeaderLine::folded(name, value, Position::Start).ok();
                answer.own_field = line.filter(|_| !exact.is_empty()).map(|line| OwnField { recipients: exact, line });
            }
            HeaderEdit::PutBack { name, value } => {
                back.extend(HeaderLine::folded(name, value, Position::AfterReceived).ok())
            }
        }
    }
    // The lowest first: Exim puts each above those before.
    answer.add.extend(back.into_iter().rev());
}

fn translated(judgement: &Judgement, id: &str, submitted: Option<&Submitted<'_>>) -> Answer {
    let verdict = &judgement.verdict;
    let mut answer = Answer::new(match verdict.action {
        verdict::Action::Accept if judgement.edits.is_empty() => Action::Accept,
        verdict::Action::Accept | verdict::Action::Tag => Action::Tag,
        verdict::Action::Greylist => Action::Greylist,
        verdict::Action::Defer => Action::Defer,
        verdict::Action::Quarantine => Action::Quarantine,
        verdict::Action::Reject => Action::Reject,
        verdict::Action::Drop => Action::Drop,
    });
    if verdict.action.is_refusal() {
        answer.reply = Some(format!("{} [{id}]", verdict.reply));
        return answer;
    }
    carry_edits(&mut answer, &judgement.edits, submitted);
    let Some(submitted) = submitted else { return answer };
    let kept = verdict.recipients.iter().filter(|r| r.action == verdict::Action::Quarantine);
    let kept: Vec<Address> = kept.map(|r| r.address.clone()).collect();
    answer.quarantine = exactly(&kept, submitted);
    if !answer.quarantine.is_empty() {
        answer.action = Action::Quarantine;
    }
    answer
}

/// Those of `addresses` as the MTA wrote them.
fn exactly(addresses: &[Address], submitted: &Submitted<'_>) -> Vec<ExactAddress> {
    let addresses: HashSet<&Address> = addresses.iter().collect();
    let is_meant = |exact: &&ExactAddress| exact.address().is_ok_and(|address| addresses.contains(&address));
    submitted.envelope.iter().filter(is_meant).cloned().collect()
}
