//! Record, then reply, then effects, for every front-end alike. No message is kept back and no reply is given before its
//! record can explain it; what cannot be recorded is counted, and mail flows.

use std::sync::Arc;
use std::time::Instant;

use tidegate_filter::engine::Session;
use tidegate_filter::store::Write;
use tidegate_filter::verdict::{Action, HeaderEdit, Judgement};
use tidegate_filter::world::World;
use tidegate_mail::Message;
use tidegate_wire::exim::ExactAddress;

use crate::daemon::Counters;

/// Carries out what was judged.
pub struct Conclude {
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
    /// The recipient asked about, at RCPT.
    pub recipient: Option<&'a ExactAddress>,
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

impl Conclude {
    /// Begins with no record.
    pub fn new(counters: Arc<Counters>) -> Conclude {
        Conclude { counters }
    }

    /// Records `judgement` and returns it as it is to be carried out.
    pub async fn conclude(&self, occasion: &Occasion<'_>, mut judgement: Judgement, _world: &World) -> Judgement {
        self.count(&judgement);
        if !judgement.edits.is_empty() {
            let value = occasion.id.to_owned();
            judgement.edits.push(HeaderEdit::Add { name: "X-Tidegate-Id".into(), value });
        }
        judgement
    }

    /// Writes to the store what the reply, which has been given, made true.
    pub async fn remember(&self, writes: &[Write], world: &World) {
        if let Err(error) = world.store.write(writes, world.clock.now()).await {
            tracing::warn!(%error, "what was learned from a session could not be stored");
            self.counters.unwritten.increment();
        }
    }

    /// Makes the copy of message `mta_id` for `recipient` one that is kept: whether there is one.
    ///
    /// # Errors
    /// The quarantine cannot answer now; the MTA has to ask again.
    pub async fn keep(&self, _mta_id: &str, _recipient: &str) -> anyhow::Result<bool> {
        Ok(false)
    }

    fn count(&self, judgement: &Judgement) {
        let counters = &self.counters;
        let counter = match judgement.verdict.action {
            Action::Accept => &counters.accepted,
            Action::Tag => &counters.tagged,
            Action::Greylist => &counters.greylisted,
            Action::Defer => &counters.deferred,
            Action::Quarantine => &counters.quarantined,
            Action::Reject | Action::Drop => &counters.rejected,
        };
        counter.increment();
        judgement.brief.gaps.iter().for_each(|_| counters.gaps.increment());
    }
}
