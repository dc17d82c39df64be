//! `tidegate rules bench`: what rules cost on this mail, each alone and as part of the set. One thread, its own CPU time, and the least of several
//! runs, because whatever else the machine does only adds. The JSON form is documented in docs/reference/json.md.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::ensure;
use clap::Args;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use tidegate_mail::Score;
use tidegate_rules::language::conditions::Claims;
use tidegate_rules::language::source::SourceFile;
use tidegate_rules::{Analyses, Answers, Context, Cost, Input, RuleSet, Trial};

use super::messages::Unread;
use super::{Ended, Loaded, claims, messages, sources};
use crate::cli::check::progress;
use crate::cli::table::Table;

/// Pairs of readings from which the cost of reading the clock is taken.
const CLOCK_PAIRS: usize = 1001;

#[derive(Args)]
pub(in crate::cli) struct Arguments {
    /// Messages: files, folders (with all below), or `-` for standard input.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Rule files or folders, several times if need be; what the daemon reads if none is named.
    #[arg(long, value_name = "FILE|DIR")]
    rules: Vec<PathBuf>,
    /// How many rules are shown, the costliest first.
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    top: usize,
    /// How often each message is measured; the least counts.
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    repeat: u32,
    /// One JSON object, with all rules.
    #[arg(long)]
    json: bool,
}

/// Runs without DNS and without a classifier: rules that need them do not hit.
pub(super) fn run(config: &Path, arguments: &Arguments) -> anyhow::Result<Ended> {
    let files = messages::named(&arguments.paths)?;
    let (loaded, load) = load(sources(config, &arguments.rules)?, &claims(config));
    let errors = loaded.errors();
    for error in &errors {
        eprintln!("tidegate: {error}; not measured, see `tidegate rules check`");
    }
    let mut bench = Bench::new(&loaded, load);
    let mut unread = Unread::default();
    let bar = progress(files.len());
    for file in &files {
        match messages::read(file) {
            Ok(octets) => bench.add(&octets, arguments.repeat),
            Err(error) => bar.suspend(|| unread.add(&error)),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    unread.tell();
    ensure!(!bench.parse.is_empty(), "no message could be read");
    let report = bench.report();
    if arguments.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{}", report.shown(arguments.top, arguments.repeat));
    }
    // What was not measured cannot be told to be cheap.
    Ok(unread.or(if errors.is_empty() { Ended::Done } else { Ended::BadInput }))
}

/// What was measured so far; times in nanoseconds.
struct Bench<'a> {
    set: &'a RuleSet,
    load: Load,
    clock_cost: u64,
    began: Instant,
    octets: u64,
    parse: Vec<u64>,
    matching: Vec<u64>,
    rules: Vec<Sum>,
}

/// How long the set took to be ready, in milliseconds.
#[derive(Serialize)]
struct Load {
    cold_ms: f64,
    kept_ms: f64,
}

/// One rule over all messages.
#[derive(Clone, Default)]
struct Sum {
    together: u64,
    alone: u64,
    starts: u64,
    hits: u64,
    limits: u64,
}

/// One way of trying one message, several times: for each rule the least.
struct Least(Vec<Cost>);

impl<'a> Bench<'a> {
    fn new(loaded: &'a Loaded, load: Load) -> Bench<'a> {
        let began = Instant::now();
        Bench {
            set: &loaded.set,
            load,
            clock_cost: clock_cost(began),
            began,
            octets: 0,
            parse: Vec::new(),
            matching: Vec::new(),
            rules: vec![Sum::default(); loaded.set.rules().len()],
        }
    }

    fn add(&mut self, octets: &[u8], repeat: u32) {
        let (set, began) = (self.set, self.began);
        let clock = || nanos(began);
        let answers = Answers::default();
        // Each time read anew: an input keeps what evals found out.
        let read = || Input::from_octets(octets, &Context::default(), set.settings());
        let (mut parse, mut matching) = (u64::MAX, u64::MAX);
        let (mut together, mut alone) = (Least(Vec::new()), Least(Vec::new()));
        for _ in 0..repeat {
            let begin = cpu();
            let input = read();
            let parsed = cpu();
            let matches = set.hits(&input, &answers);
            let matched = cpu();
            parse = parse.min(parsed.saturating_sub(begin));
            matching = matching.min(matched.saturating_sub(parsed));
            drop(matches);
            together.take(&set.measured(&read(), &answers, Trial::Together, &clock).1);
            alone.take(&set.measured(&read(), &answers, Trial::Alone, &clock).1);
        }
        self.octets += u64::try_from(octets.len()).unwrap_or(u64::MAX);
        self.parse.push(parse);
        self.matching.push(matching);
        let clock_cost = self.clock_cost;
        let own = |cost: &Cost| cost.time.saturating_sub(clock_cost.saturating_mul(u64::from(cost.readings)));
        for ((sum, together), alone) in self.rules.iter_mut().zip(&together.0).zip(&alone.0) {
            sum.together += own(together);
            sum.alone += own(alone);
            sum.starts += u64::from(together.starts);
        }
        let matches = set.matches(&read(), &answers);
        for hit in matches.hits.iter().chain(&matches.subtests) {
            self.rules.get_mut(hit.rule.index()).into_iter().for_each(|sum| sum.hits += 1);
        }
        for rule in &set.hits(&read(), &answers).limits {
            self.rules.get_mut(rule.index()).into_iter().for_each(|sum| sum.limits += 1);
        }
    }

    fn report(mut self) -> Report {
        let messages = self.parse.len();
        let per_message = |nanos: u64| micros(nanos) / count(messages);
        let mut rules: Vec<Line> = Vec::new();
        for (rule, sum) in self.set.rules().iter().zip(&self.rules) {
            if rule.can_hit() {
                rules.push(Line {
                    rule: rule.name.to_string(),
                    score: if rule.is_subtest() { Score::ZERO } else { rule.score },
                    us: per_message(sum.together),
                    alone_us: per_message(sum.alone),
                    starts: sum.starts,
                    hits: sum.hits,
                    limits: sum.limits,
                });
            }
        }
        rules.sort_by(|a, b| b.us.total_cmp(&a.us).then(b.alone_us.total_cmp(&a.alone_us)).then(a.rule.cmp(&b.rule)));
        Report {
            messages,
            octets: self.octets,
            load: self.load,
            parse_us: Spread::of(&mut self.parse),
            match_us: Spread::of(&mut self.matching),
            patterns_us: rules.iter().map(|line| line.us).sum(),
            limits: rules.iter().map(|line| line.limits).sum(),
            rules,
        }
    }
}

impl Least {
    fn take(&mut self, costs: &[Cost]) {
        if self.0.is_empty() {
            self.0 = costs.to_vec();
        }
        for (least, cost) in self.0.iter_mut().zip(costs) {
            least.time = least.time.min(cost.time);
        }
    }
}

/// Reads and compiles all anew, then again with what was found out the first time, as the daemon keeps it in `rules.cache`.
fn load(sources: Vec<SourceFile>, claims: &Claims) -> (Loaded, Load) {
    let mut analyses = Analyses::default();
    let mut once = |sources| {
        let begin = cpu();
        let loaded = Loaded::with(sources, claims.clone(), &mut analyses);
        (loaded, micros(cpu().saturating_sub(begin)) / 1000.0)
    };
    let (_, cold_ms) = once(sources.clone());
    let (loaded, kept_ms) = once(sources);
    (loaded, Load { cold_ms, kept_ms })
}

/// CPU time of this thread.
fn cpu() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let part = |part: i64| u64::try_from(part).unwrap_or_default();
    part(time.tv_sec).saturating_mul(1_000_000_000).saturating_add(part(time.tv_nsec))
}

/// Single rules take too short a time for the clock of the CPU time, which is a call of the kernel.
fn nanos(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// What one reading of the clock adds to the time of a rule: the middle of many.
fn clock_cost(began: Instant) -> u64 {
    let pair = |_| {
        let first = nanos(began);
        nanos(began).saturating_sub(first)
    };
    let mut pairs: Vec<u64> = (0..CLOCK_PAIRS).map(pair).collect();
    pairs.sort_unstable();
    pairs.get(CLOCK_PAIRS / 2).copied().unwrap_or_default()
}

/// Times are microseconds of CPU a message.
#[derive(Serialize)]
struct Report {
    messages: usize,
    octets: u64,
    load: Load,
    parse_us: Spread,
    match_us: Spread,
    /// What the rules below took of it together.
    patterns_us: f64,
    limits: u64,
    rules: Vec<Line>,
}

#[derive(Serialize)]
struct Spread {
    mean: f64,
    p50: f64,
    p99: f64,
    most: f64,
}

#[derive(Serialize)]
struct Line {
    rule: String,
    score: Score,
    us: f64,
    alone_us: f64,
    starts: u64,
    hits: u64,
    limits: u64,
}

impl Spread {
    fn of(nanos: &mut [u64]) -> Spread {
        nanos.sort_unstable();
        let at = |hundredths: usize| {
            let rank = (nanos.len() * hundredths).div_ceil(100);
            micros(nanos.get(rank.saturating_sub(1)).copied().unwrap_or_default())
        };
        let sum = nanos.iter().copied().fold(0, u64::saturating_add);
        Spread { mean: micros(sum) / count(nanos.len()), p50: at(50), p99: at(99), most: at(100) }
    }

    fn shown(&self) -> String {
        let Spread { mean, p50, p99, most } = self;
        format!("{mean:>9.1} µs a message (half take at most {p50:.1}, 99 of 100 at most {p99:.1}, one {most:.1})")
    }
}

impl Report {
    fn shown(&self, top: usize, repeat: u32) -> String {
        let Load { cold_ms, kept_ms } = &self.load;
        let mut table = Table::new(["rule", "#score", "#µs in the set", "#µs alone", "#starts", "#hits", "#limits"]);
        for Line { rule, score, us, alone_us, starts, hits, limits } in self.rules.iter().take(top) {
            table.row([rule, score, &format!("{us:.2}"), &format!("{alone_us:.2}"), starts, hits, limits]);
        }
        let started = self.rules.iter().filter(|line| line.starts > 0).count();
        format!(
            "{} messages, {} octets; CPU time, the least of {repeat} runs\n\
             reading   {}\n\
             matching  {}\n\
             of which the rules themselves take {:.1} µs, the search for their literals, metas and what they share the rest\n\
             loading   {cold_ms:>9.1} ms, with what the daemon keeps in rules.cache {kept_ms:.1} ms\n\
             {} rules can hit, {started} were started; limits were reached {} times\n\n{table}",
            self.messages,
            self.octets,
            self.parse_us.shown(),
            self.match_us.shown(),
            self.patterns_us,
            self.rules.len(),
            self.limits,
        )
    }
}

#[allow(clippy::cast_precision_loss, reason = "times and counts are far below 2^52")]
fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1000.0
}

#[allow(clippy::cast_precision_loss, reason = "times and counts are far below 2^52")]
fn count(messages: usize) -> f64 {
    messages.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DEFAULT_PATH;

    /// Seven rules over the body, so that they are tried together.
    #[test]
    fn what_is_started_and_hit_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let words = ["apple", "banana", "cherry", "damson", "elder", "figs", "grape"];
        let rules: Vec<String> =
            words.iter().map(|word| format!("body R_{} /{word} (?:is|are) ripe/\n", word.to_uppercase())).collect();
        let path = folder.path().join("own.cf");
        std::fs::write(&path, rules.concat()).unwrap();
        let (loaded, load) = load(sources(Path::new(DEFAULT_PATH), &[path]).unwrap(), &Claims::default());
        let mut bench = Bench::new(&loaded, load);
        bench.add(b"Subject: t\n\nfigs are ripe, says the grape\n", 2);
        bench.add(b"Subject: t\n\nnothing\n", 2);
        let report = bench.report();
        let line = |name: &str| report.rules.iter().find(|line| line.rule == name).unwrap();
        assert_eq!((line("R_FIGS").starts, line("R_FIGS").hits), (1, 1));
        assert_eq!((line("R_GRAPE").hits, line("R_APPLE").starts, line("R_APPLE").us), (0, 0, 0.0));
        assert!(line("R_APPLE").alone_us > 0.0 && report.match_us.mean > 0.0 && report.load.cold_ms > 0.0);
        let shown = report.shown(2, 2);
        assert!(shown.starts_with("2 messages, 62 octets; CPU time, the least of 2 runs\n"), "{shown}");
        assert_eq!(shown.lines().count(), 6 + 1 + 3, "{shown}");
    }
}
