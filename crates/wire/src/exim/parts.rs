//! Messages whose headers or recipients do not fit into one request.

use std::collections::BTreeMap;

use super::ask::{Ask, Content, Part, Stage};
use super::{ExactAddress, split_recipients};

/// Most requests for one message.
pub const PARTS_MAX: u16 = 64;
/// Longest header block that is put together, in octets: Exim's own `header_maxsize`.
pub const HEADERS_OCTETS_MAX: usize = 1024 * 1024;
/// Longest list of recipients that is put together, in octets: 1,000 recipients of the greatest length three times over.
pub const RECIPIENTS_OCTETS_MAX: usize = 1024 * 1024;

/// The parts of one message that have come so far. They precede the ask itself, which is part 1 and the last to come.
#[derive(Clone, Debug, Default)]
pub struct Assembly {
    /// Exim's id of the message: parts of different messages must not mix on a reused connection.
    id: Option<String>,
    parts: BTreeMap<u16, Pieces>,
    headers_octets: usize,
    recipients_octets: usize,
}

#[derive(Clone, Debug, Default)]
struct Pieces {
    headers: Vec<u8>,
    recipients: Vec<u8>,
}

/// Header block and recipients, complete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mail {
    /// The header block, raw, lines ended by LF. Empty if it is to be read from the scan file.
    pub headers: Vec<u8>,
    /// All recipients, in the order in which they were given.
    pub recipients: Vec<ExactAddress>,
}

/// Why a message cannot be put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartError {
    /// Some parts never came, because the daemon was started in between. Answer [`super::Action::Again`]: the ACL sends all parts
    /// once more.
    #[error("parts of the message are missing")]
    Missing,
    /// Headers or recipients are longer than their limit.
    #[error("the headers or the recipients exceed their limit")]
    TooLong,
}

impl Assembly {
    /// Takes a part that is not the last. A part that comes again replaces the former one; a part of another message
    /// begins anew.
    ///
    /// # Errors
    /// [`PartError::TooLong`]; what came before stays.
    pub fn add(&mut self, ask: &Ask) -> Result<(), PartError> {
        if self.id != ask.transaction.id {
            *self = Assembly { id: ask.transaction.id.clone(), ..Assembly::default() };
        }
        let pieces = Pieces { headers: ask.content.headers.clone(), recipients: ask.content.recipients.clone() };
        let former = self.parts.get(&ask.part.number).map_or((0, 0), |p| (p.headers.len(), p.recipients.len()));
        let headers_octets = (self.headers_octets + pieces.headers.len()).saturating_sub(former.0);
        let recipients_octets = (self.recipients_octets + pieces.recipients.len()).saturating_sub(former.1);
        if headers_octets > HEADERS_OCTETS_MAX || recipients_octets > RECIPIENTS_OCTETS_MAX {
            return Err(PartError::TooLong);
        }
        self.headers_octets = headers_octets;
        self.recipients_octets = recipients_octets;
        self.parts.insert(ask.part.number, pieces);
        Ok(())
    }

    /// Joins all parts with `last`, the ask itself.
    ///
    /// # Errors
    /// [`PartError::Missing`] when a part is not there.
    pub fn finish(mut self, last: &Ask) -> Result<Mail, PartError> {
        if last.part.of > 1 && self.id != last.transaction.id {
            return Err(PartError::Missing);
        }
        let mut headers = last.content.headers.clone();
        let mut recipients = last.content.recipients.clone();
        for number in 2..=last.part.of {
            let pieces = self.parts.remove(&number).ok_or(PartError::Missing)?;
            headers.extend(pieces.headers);
            recipients.extend(pieces.recipients);
        }
        Ok(Mail { headers, recipients: split_recipients(&recipients) })
    }
}

/// Cuts `mail` into requests as our ACL does: `facts` with its share of the content, parts 2 and following first.
/// For tests, the bench and anything else that plays Exim. `piece_octets` bounds each piece.
impl Mail {
    /// The requests that hand over this mail, in the order in which they are sent. `facts` gives stage and all else.
    #[must_use]
    pub fn asks(&self, facts: &Ask, piece_octets: usize) -> Vec<Ask> {
        let list = self.recipients.iter().map(ExactAddress::as_str).collect::<Vec<_>>().join(", ");
        let headers: Vec<&[u8]> = self.headers.chunks(piece_octets.max(1)).collect();
        let recipients: Vec<&[u8]> = list.as_bytes().chunks(piece_octets.max(1)).collect();
        let of = u16::try_from(headers.len().max(recipients.len()).max(1)).unwrap_or(u16::MAX);
        let piece =
            |pieces: &[&[u8]], number: u16| pieces.get(usize::from(number) - 1).map(|p| p.to_vec()).unwrap_or_default();
        (2..=of)
            .chain([1])
            .map(|number| {
                let (headers, recipients) = (piece(&headers, number), piece(&recipients, number));
                let content = if number == 1 { facts.content.clone() } else { Content::default() };
                let content = Content { headers, recipients, ..content };
                let ask = if number == 1 { facts.clone() } else { part_of(facts) };
                Ask { part: Part { number, of }, content, ..ask }
            })
            .collect()
    }
}

/// A part carries what finds its session and its message, and no more.
fn part_of(facts: &Ask) -> Ask {
    let mut part = Ask::new(facts.stage);
    part.session.clone_from(&facts.session);
    part.origin = facts.origin.clone();
    part.transaction.id.clone_from(&facts.transaction.id);
    // At these stages an absent sender would read as unknown; parts say the null path, which nobody looks at.
    part.transaction.sender = matches!(facts.stage, Stage::Data | Stage::NotSmtp).then(|| ExactAddress::new(""));
    part
}
