//! Made-up months: of each kind of compromise the report names the right culprit first, and clean months accuse nobody.

mod generator;

use generator::{Compromise, Plan};
use tidegate_watch::report::{Collector, Settings};
use tidegate_watch::{Place, Reader};

/// The report over a plan's log; `change` may alter or leave out lines.
fn report_of(plan: &Plan, change: fn(&str) -> Option<String>) -> tidegate_watch::api::report::Report {
    let mut reader = Reader::new();
    let mut collector = Collector::new(Settings::default());
    let mut line = 0;
    generator::write(plan, |text| {
        line += 1;
        if let Some(text) = change(text) {
            collector.feed(&reader.read(&text), Place { file: 0, line });
        }
    });
    collector.report()
}

fn report(plan: &Plan) -> tidegate_watch::api::report::Report {
    let mut reader = Reader::new();
    let mut collector = Collector::new(Settings::default());
    let mut line = 0;
    generator::write(plan, |text| {
        line += 1;
        collector.feed(&reader.read(text), Place { file: 0, line });
    });
    collector.report()
}

/// Small enough for a test, large enough that newsletters, shops and journeys occur.
fn plan(seed: u64, compromise: Option<Compromise>) -> Plan {
    Plan { seed, accounts: 20, days: 10, volume: 0.15, compromise }
}

#[test]
fn each_compromise_is_named_first() {
    let mut wrong = Vec::new();
    for (kind, seed) in Compromise::ALL.into_iter().zip(100..) {
        let plan = plan(seed, Some(kind));
        let culprit = generator::culprit(&plan);
        let report = report(&plan);
        let named: Vec<String> =
            report.suspects.iter().map(|s| format!("{} {} {:?}", s.name, s.score, s.signals)).collect();
        if report.suspects.first().is_none_or(|first| first.name != culprit) {
            wrong.push(format!("{kind:?}: {culprit} is not first of {named:#?}"));
        } else if report.suspects.len() > 1 {
            wrong.push(format!("{kind:?}: more than {culprit} accused: {named:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn clean_months_accuse_nobody() {
    for seed in 200..203 {
        let report = report(&plan(seed, None));
        assert!(report.suspects.is_empty(), "seed {seed}: {:#?}", report.suspects);
        assert!(report.totals.messages > 500, "{:?}", report.totals);
        assert_eq!(report.totals.unknown_lines, 0);
    }
}

/// A log as Exim writes it without any `log_selector`: no recipients, no subject, no commands, no process ids.
#[test]
fn a_poor_log_tells_as_well() {
    let poor = |line: &str| {
        if line.contains(" cwd=") {
            return None;
        }
        let (time, rest) = line.split_at_checked(20)?;
        let rest = rest.split_once("] ").filter(|_| rest.starts_with('[')).map_or(rest, |(_, rest)| rest);
        let end = if rest.contains(" <= ") { rest.find(" T=\"").unwrap_or(rest.len()) } else { rest.len() };
        Some(format!("{time}{}", rest.get(..end)?))
    };
    for (kind, seed) in
        [(Compromise::StolenBurst, 500), (Compromise::UploadedMailer, 501), (Compromise::ForwarderLeak, 502)]
    {
        let plan = plan(seed, Some(kind));
        let culprit = generator::culprit(&plan);
        let report = report_of(&plan, poor);
        // Without the command the script is not known, but whose it is.
        let user = culprit.split('/').nth(2).unwrap_or(&culprit).to_owned();
        let named: Vec<&str> = report.suspects.iter().map(|suspect| suspect.name.as_str()).collect();
        assert_eq!(named, [user.as_str()], "{kind:?}");
    }
}
