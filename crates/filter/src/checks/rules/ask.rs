//! The questions of rules to DNS. Silence stays silence: a rule that waits for it neither hits nor misses, and the verdict says so.

use std::net::IpAddr;

use futures_util::StreamExt;
use futures_util::stream;
use tidegate_rules::{Answer, Answers, DnsQuestion, RecordType};

use crate::dns::{Question, Record, RecordKind, Reply, Resolver};
use crate::known::{Service, Unavailable};

/// Questions that the rules may ask about one message. The stock rules ask some 30 about a message with one link.
const QUESTIONS_MAX: usize = 300;
/// Questions under way at once.
const PARALLEL_MAX: usize = 64;

/// What was asked for one message so far.
#[derive(Default)]
pub(super) struct Asked {
    count: usize,
    over_limit: usize,
    unanswered: usize,
    first_cause: Option<String>,
}

impl Asked {
    /// Asks `questions` and adds what came to `answers`.
    pub(super) async fn ask(&mut self, questions: Vec<DnsQuestion>, dns: &dyn Resolver, answers: &mut Answers) {
        let room = QUESTIONS_MAX.saturating_sub(self.count);
        let mut questions = questions.into_iter();
        let within: Vec<DnsQuestion> = questions.by_ref().take(room).collect();
        for question in questions {
            self.over_limit += 1;
            answers.insert(question, Answer::Unavailable);
        }
        self.count += within.len();
        let lookups = within.into_iter().map(|question| async move {
            let asked = Question::new(&question.name, kind(question.record));
            let reply = dns.lookup(&asked).await;
            (question, reply)
        });
        let mut replies = stream::iter(lookups).buffer_unordered(PARALLEL_MAX);
        while let Some((question, reply)) = replies.next().await {
            let answer = match reply {
                Ok(reply) if !is_refusal(&reply) => Answer::Records(reply.records.iter().map(text).collect()),
                Ok(_refused) => self.silent(format!("{}: the list refuses to answer", question.name)),
                Err(unavailable) => self.silent(unavailable.cause),
            };
            answers.insert(question, answer);
        }
    }

    fn silent(&mut self, cause: String) -> Answer {
        self.unanswered += 1;
        // Replies come in any order, and the same answers must give the same record.
        if self.first_cause.as_ref().is_none_or(|first| cause < *first) {
            self.first_cause = Some(cause);
        }
        Answer::Unavailable
    }

    /// What could not be known, as one gap.
    pub(super) fn gap(self) -> Option<Unavailable> {
        let mut causes = Vec::new();
        if let Some(first) = self.first_cause {
            causes.push(format!("{} of {} questions of rules, {first}", self.unanswered, self.count));
        }
        if self.over_limit > 0 {
            causes.push(format!("{} questions of rules are more than are asked", self.over_limit));
        }
        (!causes.is_empty()).then(|| Unavailable::new(Service::Dns, causes.join("; ")))
    }
}

/// 127.255.255.0/24 is how lists say that the asker may not ask.
fn is_refusal(reply: &Reply) -> bool {
    reply.addresses().any(|address| matches!(address, IpAddr::V4(v4) if v4.octets().starts_with(&[127, 255, 255])))
}

fn kind(record: RecordType) -> RecordKind {
    match record {
        RecordType::A => RecordKind::A,
        RecordType::Aaaa => RecordKind::Aaaa,
        RecordType::Mx => RecordKind::Mx,
        RecordType::Ns => RecordKind::Ns,
        RecordType::Ptr => RecordKind::Ptr,
        RecordType::Txt => RecordKind::Txt,
    }
}

fn text(record: &Record) -> String {
    match record {
        Record::A(address) => address.to_string(),
        Record::Aaaa(address) => address.to_string(),
        Record::Mx(preference, host) => format!("{preference} {host}"),
        Record::Ns(name) | Record::Ptr(name) => name.clone(),
        Record::Txt(octets) => String::from_utf8_lossy(octets).into_owned(),
    }
}
