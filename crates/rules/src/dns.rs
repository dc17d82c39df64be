//! What rules want to know of DNS, and what DNS said. Nothing here asks: the engine does.

use std::collections::HashMap;

/// The record types that rules ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordType {
    /// IPv4 address.
    A,
    /// IPv6 address.
    Aaaa,
    /// Mail exchanger.
    Mx,
    /// Name server.
    Ns,
    /// Reverse name.
    Ptr,
    /// Text.
    Txt,
}

/// One look-up that some rule needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DnsQuestion {
    /// The name in lower case, without a final dot.
    pub name: String,
    /// The record type.
    pub record: RecordType,
}

/// What DNS said to one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The records as text: addresses in dotted or colon form, names without a final dot, TXT strings joined. Empty when the name has
    /// no record of this type or does not exist.
    Records(Vec<String>),
    /// No answer in time, or an error of the server. Not knowing is not no.
    Unavailable,
}

/// The answers to the questions of one message. What was not asked is absent.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    answers: HashMap<DnsQuestion, Answer>,
}

impl Answers {
    /// Notes the answer to `question`; a later answer to the same question replaces the former one.
    pub fn insert(&mut self, question: DnsQuestion, answer: Answer) {
        self.answers.insert(question, answer);
    }

    /// The answer to `question`; `None` when it was not asked.
    #[must_use]
    pub fn get(&self, question: &DnsQuestion) -> Option<&Answer> {
        self.answers.get(question)
    }
}
