//! Record, then reply, then effects, for every front-end alike. No message is kept back before its record is on disk, and no reply is
//! given before its record is made; what cannot be recorded is counted, and mail flows.

use std::sync::Arc;
use std::time::Instant;

use tidegate_filter::engine::Session;
use tidegate_filter::judgement::Judgement;
use tidegate_filter::session::{Client, Stage};
use tidegate_filter::store::Write;
use tidegate_filter::verdict::{Action, HeaderEdit};
use tidegate_filter::world::World;
use tidegate_mail::Message;
use tidegate_wire::exim::ExactAddress;

use crate::counters::Counters;
use crate::journal::{Journal, Record};
use crate::quarantine::{Keep, Offer, Quarantine, QuarantineError, Reason};

/// Carries out what was judged.
pub struct Conclude {
    journal: Journal,
    quarantine: Quarantine,
    counters: Arc<Counters>,
}

/// What was judged, when, and in which session.
pub struct Occasion<'a> {
    /// The name by which people find the record: session and transaction.
    pub id: &'a str,
    /// The session, for its facts.
    pub session: &'a Session,
    /// The MTA's id of the message, once it has one.
    pub mta_id: Option<&'a str>,
    /// The message, at DATA.
    pub submitted: Option<Submitted<'a>>,
    /// When the ask arrived.
    pub began: Instant,
}

/// A complete message with its envelope recipients as the MTA gave them.
pub struct Submitted<'a> {
    /// The message.
    pub message: &'a Arc<Message>,
    /// Its recipients.
    pub envelope: &'a [ExactAddress],
}

/// What was concluded, until it is known whether the MTA heard it; then it is handed to [`Conclude::heard`] or [`Conclude::unheard`].
#[must_use]
pub struct Conclusion {
    action: Action,
    /// Whether the message is kept back for somebody.
    is_kept: bool,
    record: Option<Box<Record>>,
    written: Written,
}

/// Whether a record is on disk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    /// It is handed to the journal when it is known whether the MTA heard it.
    Later,
    /// It had to be before the reply, and is.
    Already,
    /// It had to be before the reply, and is not; that has been counted.
    Failed,
}

impl Conclusion {
    /// The id under which people find it, if anything is recorded.
    pub fn id(&self) -> Option<&str> {
        Some(&self.record.as_ref()?.id)
    }
}

impl Conclude {
    /// Records in `journal` and keeps messages back in `quarantine`.
    pub fn new(journal: Journal, quarantine: Quarantine, counters: Arc<Counters>) -> Conclude {
        Conclude { journal, quarantine, counters }
    }

    /// Gives `judgement` as it is to be carried out, with what is to be done right after the reply: a record waits for others before it
    /// is written, so nothing is lost by that, and waking the thread that writes is no wait for the client. The record's id is the one
    /// that a refusal tells: that of an earlier record, if this one will be added to it. The record of a message that is kept back is
    /// on disk by now.
    pub async fn conclude(
        &self,
        occasion: &Occasion<'_>,
        judgement: Judgement,
        world: &World,
    ) -> (Judgement, Conclusion) {
        let mut judgement = self.offer(occasion, judgement, world).await;
        judgement.brief.gaps.iter().for_each(|_| self.counters.gaps.increment());
        if !judgement.edits.is_empty() {
            let value = occasion.id.to_owned();
            judgement.edits.push(HeaderEdit::Add { name: "X-Tidegate-Id".into(), value });
        }
        let conclusion = self.prepare(occasion, &judgement, world).await;
        (judgement, conclusion)
    }

    /// One record a transaction, and one for each refusal before DATA. The record of a message that is kept back is on disk
    /// before the reply; mail is not held up for any other.
    async fn prepare(&self, occasion: &Occasion<'_>, judgement: &Judgement, world: &World) -> Conclusion {
        let verdict = &judgement.verdict;
        let is_kept = verdict.recipients.iter().any(|ruled| ruled.action == Action::Quarantine);
        let mut conclusion = Conclusion { action: verdict.action, is_kept, record: None, written: Written::Later };
        if verdict.stage < Stage::Data && !verdict.action.is_refusal() {
            return conclusion;
        }
        let mut record = Box::new(record(occasion, judgement, world));
        self.journal.name(&mut record);
        if is_kept {
            conclusion.written = Written::Already;
            if let Err(error) = self.journal.record_synced((*record).clone()).await {
                tracing::error!(%error, id = occasion.id, "the record of a message that is kept back is not on disk");
                self.counters.unrecorded.increment();
                conclusion.written = Written::Failed;
            }
        }
        conclusion.record = Some(record);
        conclusion
    }

    /// Records and counts what the MTA has heard.
    pub fn heard(&self, conclusion: Conclusion) {
        self.count(&conclusion);
        if let Some(record) = conclusion.record.filter(|_| conclusion.written == Written::Later) {
            self.recorded(self.journal.record(*record));
        }
    }

    /// Records what the MTA never heard, because it had given up waiting: it went on as it does without a verdict, and with a message
    /// that was to be kept back as well. None of it counts as done.
    pub async fn unheard(&self, conclusion: Conclusion, world: &World) {
        let Some(mut record) = conclusion.record else { return };
        record.unheard = true;
        if conclusion.is_kept
            && let Some(mta_id) = &record.mta_id
            && let Err(error) = self.quarantine.unheard(mta_id, world.clock.now()).await
        {
            tracing::error!(%error, id = record.id, "the quarantine cannot note that Exim never heard of a message in it");
        }
        match conclusion.written {
            Written::Later => self.recorded(self.journal.record(*record)),
            Written::Already => self.recorded(self.journal.replace(*record)),
            Written::Failed => {}
        }
    }

    fn recorded(&self, is_recorded: bool) {
        if !is_recorded {
            self.counters.unrecorded.increment();
        }
    }

    /// Makes a durable copy for the recipients that do not get the message. Without a copy it is not kept back: it goes to
    /// them tagged, since neither losing nor refusing it was what the policy said.
    async fn offer(&self, occasion: &Occasion<'_>, judgement: Judgement, world: &World) -> Judgement {
        let Some(submitted) = &occasion.submitted else { return judgement };
        let reasons = reasons(&judgement, submitted.envelope);
        if reasons.is_empty() {
            return judgement;
        }
        let connect = occasion.session.connect();
        let sender = occasion.session.sender().and_then(|sender| sender.path.address());
        let offer = Offer {
            mta_id: occasion.mta_id.unwrap_or_default().to_owned(),
            record: occasion.id.to_owned(),
            received: world.clock.now(),
            client: connect.client.ip(),
            sender: ExactAddress::new(sender.map(ToString::to_string).unwrap_or_default()),
            recipients: reasons,
            subject: submitted.message.subject().map(str::to_owned),
            message: Arc::clone(submitted.message.raw()),
        };
        match self.quarantine.offer(offer).await {
            Ok(()) => judgement,
            Err(error) => {
                tracing::error!(%error, id = occasion.id, "a message cannot be kept back; it is delivered as spam");
                self.counters.not_kept.increment();
                judgement.without_quarantine()
            }
        }
    }

    /// Writes to the store what the reply, which has been given, made true.
    pub async fn remember(&self, writes: &[Write], world: &World) {
        if let Err(error) = world.store.write(writes, world.clock.now()).await {
            tracing::warn!(%error, "what was learned from a session could not be stored");
            self.counters.unwritten.increment();
        }
    }

    /// Makes the copy of message `mta_id` for `recipient` one that is kept.
    ///
    /// # Errors
    /// The quarantine cannot answer now; the MTA has to ask again.
    pub async fn keep(&self, mta_id: &str, recipient: &ExactAddress, world: &World) -> Result<Keep, QuarantineError> {
        self.quarantine.keep(mta_id, recipient, world.clock.now()).await
    }

    /// The journal, for its health and for the end.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The quarantine, for upkeep and for messages that come back from it.
    pub fn quarantine(&self) -> &Quarantine {
        &self.quarantine
    }

    fn count(&self, conclusion: &Conclusion) {
        let counters = &self.counters;
        let counter = match conclusion.action {
            // Whoever looks for it in the quarantine counts it there, even if others got it.
            Action::Accept | Action::Tag if conclusion.is_kept => &counters.quarantined,
            Action::Accept => &counters.accepted,
            Action::Tag => &counters.tagged,
            Action::Greylist => &counters.greylisted,
            Action::Defer => &counters.deferred,
            Action::Quarantine => &counters.quarantined,
            Action::Reject | Action::Drop => &counters.rejected,
        };
        counter.increment();
    }
}

/// The recipients that are kept back, as the MTA wrote them.
fn reasons(judgement: &Judgement, envelope: &[ExactAddress]) -> Vec<Reason> {
    let kept = judgement.verdict.recipients.iter().filter(|ruled| ruled.action == Action::Quarantine);
    kept.filter_map(|ruled| {
        let exact = envelope.iter().find(|exact| exact.address().is_ok_and(|address| address == ruled.address))?;
        Some(Reason { address: exact.clone(), score: ruled.score, reason: ruled.reason.clone() })
    })
    .collect()
}

fn record(occasion: &Occasion<'_>, judgement: &Judgement, world: &World) -> Record {
    let session = occasion.session;
    let message = occasion.submitted.as_ref().map(|submitted| submitted.message);
    let sender = session.sender();
    let octets = |message: &Arc<Message>| u64::try_from(message.raw().len()).unwrap_or(u64::MAX);
    Record {
        id: occasion.id.to_owned(),
        at: world.clock.now(),
        client: session.connect().client.ip(),
        helo: session.greeting().and_then(|greeting| Some(greeting.helo.as_ref()?.as_str().to_owned())),
        login: sender.and_then(|sender| Some(sender.login.as_ref()?.id.clone())),
        uid: match &session.connect().client {
            Client::Local(local) => local.uid,
            Client::Remote(_) => None,
        },
        sender: sender.map(|sender| sender.path.clone()),
        mta_id: occasion.mta_id.map(str::to_owned),
        message_id: message.and_then(|message| message.message_id()),
        subject: message.and_then(|message| message.subject().map(str::to_owned)),
        size: message.map(octets),
        brief: judgement.brief.clone(),
        verdict: judgement.verdict.clone(),
        edits: judgement.edits.clone(),
        engine: session.engine().fingerprint().to_owned(),
        duration_us: u64::try_from(occasion.began.elapsed().as_micros()).unwrap_or(u64::MAX),
        unheard: false,
    }
}
