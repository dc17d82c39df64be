//! Rules in SpamAssassin's language, from rule files (the crate `rules`). Builds their view of the message from the session's facts, asks
//! DNS for them, and makes each rule that hits a finding. Reads no file: the server loads the set, and a reload makes a new engine.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_mail::Message;
use tidegate_rules::{Answers, Context, DnsQuestion, Input, Matches, RuleSet, Settings, Shortcircuit};

use crate::aside::{aside, in_place};
use crate::check::{Ask, Finding, Group, OnData, Outcome, Symbol, SymbolRef};
use crate::checks::Parts;
use crate::known::{Answer, Service, Unavailable};
use crate::patience::Patience;
use crate::session::{Mail, Stage};
use crate::settings::ConfigError;

mod ask;
mod facts;
mod symbols;

use ask::Asked;
use symbols::Known;

/// Octets of a message that rules see; SpamAssassin's clients hand over 0.5 MB.
const OCTETS_MAX: usize = 8 * 1024 * 1024;
/// Rounds of questions: a domain's servers, their addresses, and what lists say of those.
const ROUNDS_MAX: usize = 4;
/// Rules of one message that become findings; in the corpora no message has a tenth of it.
const FINDINGS_MAX: usize = 400;
/// Names in the evidence of [`RULE_LIMIT`].
const NAMES_SHOWN: usize = 5;

static RULE_LIMIT: Symbol = Symbol::evidence(
    "RULE_LIMIT",
    500,
    Group::Rules,
    "a rule used up its work on this message, so whether it matches is not known",
);

static RULES_SETTLED: Symbol = Symbol::evidence(
    "RULES_SETTLED",
    0,
    Group::Rules,
    "a rule with `shortcircuit` hit, so rules that SpamAssassin would not have come to were left out",
);
static RULES_SETTLED_SPAM: Symbol = Symbol::evidence(
    "RULES_SETTLED_SPAM",
    100_000,
    Group::Rules,
    "a rule with `shortcircuit … spam` hit, so rules that SpamAssassin would not have come to were left out",
);
static RULES_SETTLED_HAM: Symbol = Symbol::evidence(
    "RULES_SETTLED_HAM",
    -100_000,
    Group::Rules,
    "a rule with `shortcircuit … ham` hit, so rules that SpamAssassin would not have come to were left out",
);

/// `[checks.rules]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {}

/// The check.
pub struct Check {
    known: Option<Known>,
    /// How long all questions of one message may take.
    patience: Duration,
}

impl Check {
    /// Builds the check from the rules that were loaded.
    ///
    /// # Errors
    /// None.
    pub fn build(_config: &Config, parts: &Parts<'_>) -> Result<Check, ConfigError> {
        let known = parts.rules.map(|set| Known::new(set, parts.declared, parts.blocklists));
        // Matching needs some of the stage's time as well.
        Ok(Check { known, patience: parts.deadlines.of(Stage::Data) / 3 })
    }

    /// Every symbol it can find.
    pub fn symbols(&self) -> Vec<SymbolRef> {
        let own = [&RULE_LIMIT, &RULES_SETTLED, &RULES_SETTLED_SPAM, &RULES_SETTLED_HAM].map(SymbolRef::Declared);
        own.into_iter().chain(self.known.iter().flat_map(Known::symbols).map(SymbolRef::Loaded)).collect()
    }
}

impl OnData for Check {
    fn data<'a>(&'a self, ask: &'a Ask<'a, Mail>) -> Answer<'a, Outcome> {
        Box::pin(async move {
            let Some(known) = &self.known else { return Outcome::nothing() };
            let dns = Patience::new(Arc::clone(&ask.world.dns), self.patience);
            let message = &ask.facts.message;
            let context = facts::context(ask.facts, ask.now);
            let (matches, asked) = if in_place(message.raw().len()) {
                matched_in_place(known.set(), message, &context, &dns).await
            } else {
                matched_aside(known.set(), message, context, &dns, read).await
            };
            match matches {
                Some(matches) => outcome(known, &matches, asked),
                None => Outcome::unavailable(Unavailable::new(Service::Check, "rules had questions without end")),
            }
        })
    }
}

/// What of a message the rules see.
fn seen(message: &Message) -> &[u8] {
    let raw = message.raw();
    raw.get(..OCTETS_MAX).unwrap_or(raw)
}

/// A small message, which waits for DNS together with its questions.
async fn matched_in_place(
    set: &RuleSet,
    message: &Message,
    context: &Context,
    dns: &Patience,
) -> (Option<Matches>, Asked) {
    let mut asked = Asked::default();
    let mut answers = Answers::default();
    let input = Input::from_octets(seen(message), context, set.settings());
    for round in 1..=ROUNDS_MAX {
        match step(set, &input, &answers, round) {
            Step::Wanted(questions) => asked.ask(questions, dns, &mut answers).await,
            Step::Done(matches) => return (Some(matches), asked),
        }
    }
    (None, asked)
}

/// How a message is read; a test counts how often.
type Read = for<'m> fn(&'m [u8], &Context, &Settings) -> Input<'m>;

fn read<'m>(octets: &'m [u8], context: &Context, settings: &Settings) -> Input<'m> {
    Input::from_octets(octets, context, settings)
}

/// A large message, on a thread for work that blocks. Between rounds it waits beside the questions, as a copy of its own: a view of the
/// message cannot go from thread to thread without the message that it looks at.
async fn matched_aside(
    set: &Arc<RuleSet>,
    message: &Arc<Message>,
    context: Context,
    dns: &Patience,
    read: Read,
) -> (Option<Matches>, Asked) {
    let octets = message.raw().len();
    let mut asked = Asked::default();
    let (first, whole) = (Arc::clone(set), Arc::clone(message));
    let begin = move || {
        let input = read(seen(&whole), &context, first.settings());
        match step(&first, &input, &Answers::default(), 1) {
            Step::Done(matches) => Begun::Done(matches),
            Step::Wanted(questions) => Begun::Wanted(questions, Box::new(input.into_owned())),
        }
    };
    let (mut questions, mut input) = match aside(octets, begin).await {
        Begun::Done(matches) => return (Some(matches), asked),
        Begun::Wanted(questions, input) => (questions, input),
    };
    let mut answers = Answers::default();
    for round in 2..=ROUNDS_MAX {
        asked.ask(questions, dns, &mut answers).await;
        let set = Arc::clone(set);
        let next = move || (step(&set, &input, &answers, round), input, answers);
        let (step, kept, given) = aside(octets, next).await;
        (input, answers) = (kept, given);
        match step {
            Step::Wanted(wanted) => questions = wanted,
            Step::Done(matches) => return (Some(matches), asked),
        }
    }
    (None, asked)
}

/// What the first round came to.
enum Begun {
    Wanted(Vec<DnsQuestion>, Box<Input<'static>>),
    Done(Matches),
}

enum Step {
    Wanted(Vec<DnsQuestion>),
    Done(Matches),
}

/// What is to be asked, and in the last round, or when there is nothing to ask, what hits.
fn step(set: &RuleSet, input: &Input<'_>, answers: &Answers, round: usize) -> Step {
    if round < ROUNDS_MAX {
        let wanted = set.wanted_after(input, answers);
        if !wanted.is_empty() {
            return Step::Wanted(wanted);
        }
    }
    Step::Done(set.hits(input, answers))
}

fn outcome(known: &Known, matches: &Matches, asked: Asked) -> Outcome {
    let mut outcome: Outcome = known.findings(matches).take(FINDINGS_MAX).collect();
    let unfinished: Vec<&str> = matches.limits.iter().filter_map(|id| known.name(*id)).collect();
    if !unfinished.is_empty() {
        let shown = unfinished.get(..NAMES_SHOWN).unwrap_or(&unfinished).join(", ");
        let more = if unfinished.len() > NAMES_SHOWN { ", …" } else { "" };
        outcome.findings.push(Finding::of(&RULE_LIMIT, format!("{shown}{more}")));
    }
    if let Some(settled) = matches.settled {
        let symbol = match settled.how {
            Shortcircuit::Stop => &RULES_SETTLED,
            Shortcircuit::Spam => &RULES_SETTLED_SPAM,
            Shortcircuit::Ham => &RULES_SETTLED_HAM,
        };
        outcome.findings.push(Finding::of(symbol, known.name(settled.rule).unwrap_or_default()));
    }
    let refused: Vec<String> = known.refused(matches).take(NAMES_SHOWN).collect();
    if !refused.is_empty() {
        outcome
            .unavailable
            .push(Unavailable::new(Service::Dns, format!("lists refuse to answer: {}", refused.join(", "))));
    }
    outcome.unavailable.extend(asked.gap());
    outcome
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tidegate_rules::language::{ParseOptions, no_includes, parse, source::SourceFile};
    use tidegate_rules::{CompileOptions, compile};

    use super::*;
    use crate::dns::{Question, Record, RecordKind, Reply, Resolver};
    use crate::known::Known;

    /// Three rounds: who serves a domain, the server's address, and what a list says of it.
    const RULES: &str = "loadplugin Mail::SpamAssassin::Plugin::URIDNSBL\nuridnsbl BAD_SERVER list.example. A\n\
                         body BAD_SERVER eval:check_uridnsbl('BAD_SERVER')\ntflags BAD_SERVER net\nscore BAD_SERVER 1\n";

    static TIMES_READ: AtomicUsize = AtomicUsize::new(0);

    fn counted<'m>(octets: &'m [u8], context: &Context, settings: &Settings) -> Input<'m> {
        TIMES_READ.fetch_add(1, Ordering::Relaxed);
        Input::from_octets(octets, context, settings)
    }

    #[derive(Default)]
    struct Names(Mutex<Vec<String>>);

    impl Resolver for Names {
        fn lookup<'a>(&'a self, question: &'a Question) -> Answer<'a, Known<Reply>> {
            self.0.lock().unwrap().push(question.to_string());
            let record = match question.kind() {
                RecordKind::Ns => Record::Ns("ns.bad.example".to_owned()),
                _ if question.name().ends_with("list.example") => Record::A("127.0.0.2".parse().unwrap()),
                _ => Record::A("192.0.2.7".parse().unwrap()),
            };
            Box::pin(std::future::ready(Ok(Reply::found(vec![record], Duration::from_secs(60)))))
        }
    }

    /// Reading a message of some megabytes takes longer than all answers.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_large_message_is_read_once_however_often_dns_is_asked() {
        let file = SourceFile { name: "t.cf".to_owned(), text: RULES.as_bytes().to_vec() };
        let parsed = parse(&[file], &ParseOptions::default(), &no_includes);
        assert_eq!(parsed.diagnostics, []);
        let (set, _) = compile(parsed, CompileOptions { network: true, classifier: false });
        let text = format!("Subject: t\n\nhttp://www.bad.com/\n{}", "long line of text\n".repeat(8000));
        let message = Arc::new(Message::parse(text.into_bytes(), &tidegate_mail::Limits::default()));
        assert!(!in_place(message.raw().len()), "it is worked on aside");
        let names = Arc::new(Names::default());
        let dns = Patience::new(Arc::clone(&names) as Arc<dyn Resolver>, Duration::from_secs(60));
        let (matches, _) = matched_aside(&Arc::new(set), &message, Context::default(), &dns, counted).await;
        assert_eq!(names.0.lock().unwrap().len(), 3, "{:?}", names.0.lock().unwrap());
        assert_eq!(matches.unwrap().hits.len(), 1);
        assert_eq!(TIMES_READ.load(Ordering::Relaxed), 1);
    }
}
