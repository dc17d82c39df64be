//! `tidegate status`: how the daemon is, and what an administrator should look at.

use std::path::Path;

use serde_json::{Value, json};
use tidegate_filter::check::Evidence;

use super::Ended;
use super::logs::shown::counted;
use super::moment::second;
use crate::config::Config;
use crate::control::{self, AskError, Request};
use crate::installer;

pub(super) fn run(config_path: &Path, json: bool) -> anyhow::Result<Ended> {
    let config = Config::read(config_path)?;
    let mut status = match control::ask(&config.state.control_socket(), &Request::Status) {
        Ok(status) => status,
        Err(error @ AskError::Failed(_)) => return Err(error.into()),
        Err(error) => {
            eprintln!("tidegate: {error}");
            return Ok(Ended::Unavailable);
        }
    };
    let mut alarms = alarms(&status);
    alarms.extend(installer::alarm(&config.exim.socket, &config.exim_snapshots()));
    alarms.extend(installer::contradictions(&config.exim));
    alarms.extend(installer::late_deadlines(&config.exim.program, &config.deadlines));
    let missing_in_log = installer::missing_in_log(&config.exim.program);
    if json {
        if let Some(status) = status.as_object_mut() {
            status.insert("alarms".to_owned(), json!(alarms));
            status.insert("log_selector_lacks".to_owned(), json!(missing_in_log));
        }
        println!("{status}");
    } else {
        print(&status);
        missing_in_log.iter().for_each(|missing| println!("note: Exim's log_selector lacks {missing}"));
        alarms.iter().for_each(|alarm| println!("! {alarm}"));
        if alarms.is_empty() {
            println!("nothing to look at");
        }
    }
    Ok(if alarms.is_empty() { Ended::Done } else { Ended::Found })
}

fn print(status: &Value) {
    let text = |key: &str| status.get(key).and_then(Value::as_str).unwrap_or_default();
    let sessions = status.get("sessions").and_then(Value::as_u64).unwrap_or(0);
    let sessions = counted(sessions, "open session");
    println!("tidegate {} since {}, {sessions}", text("version"), to_the_second(text("started")));
    if let Some(counters) = status.get("counters").and_then(Value::as_object) {
        let shown = counters.iter().map(|(name, count)| format!("{name} {count}"));
        println!("{}", shown.collect::<Vec<_>>().join(", "));
    }
    if let Some(waits) = status.get("waits") {
        print_waits(waits);
    }
    if let Some(rules) = status.get("rules") {
        print_rules(rules);
    }
    if let Some(logs) = status.get("logs") {
        print_logs(logs);
    }
}

/// A time as the daemon told it, for people.
fn to_the_second(time: &str) -> String {
    time.parse().map_or_else(|_| time.to_owned(), |time| second(time).to_string())
}

/// Stages in the order of a session.
const STAGES: [&str; 7] = ["connect", "helo", "mail", "rcpt", "data", "not_smtp", "keep"];

/// How long Exim waits for an answer, stage by stage.
fn print_waits(waits: &Value) {
    let stages = STAGES.into_iter().filter_map(|stage| {
        let wait = waits.get(stage)?;
        let ms = |key: &str| wait.get(key).and_then(Value::as_f64).unwrap_or(0.0) / 1000.0;
        Some(format!("{stage} {:.2}/{:.2}", ms("p50_us"), ms("p99_us")))
    });
    let stages: Vec<String> = stages.collect();
    if !stages.is_empty() {
        println!("ms until half and 99 of 100 answers to Exim: {}", stages.join(", "));
    }
}

/// One line a log, and the newest alerts. What a log says is hostile, so it is shown as evidence.
fn print_logs(logs: &Value) {
    if let Some(note) = logs.get("note").and_then(Value::as_str) {
        println!("{note}");
    }
    if let Some(limits) = logs.get("limits").and_then(Value::as_u64).filter(|limits| *limits > 0) {
        println!(
            "{limits} limits are compared with what the logs tell; who goes beyond is an alert, and nothing is held"
        );
    }
    for file in logs.get("files").and_then(Value::as_array).into_iter().flatten() {
        let number = |key: &str| file.get(key).and_then(Value::as_u64).unwrap_or(0);
        let path = file.get("path").and_then(Value::as_str).unwrap_or_default();
        println!(
            "log {}: read to {}, {} octets to go, {} lines, {} unknown, {} old",
            Evidence::from(path),
            number("position"),
            number("lag_octets"),
            number("lines"),
            number("unknown_lines"),
            number("old_lines"),
        );
    }
    for alert in logs.get("alerts").and_then(Value::as_array).into_iter().flatten().take(ALERTS_MAX) {
        let text = |key: &str| alert.get(key).and_then(Value::as_str).unwrap_or_default();
        let time = alert.get("time").and_then(Value::as_i64).unwrap_or(0);
        let time = jiff::Timestamp::from_millisecond(time).map(|time| second(time).to_string()).unwrap_or_default();
        let subject = alert.get("subject").map(subject).unwrap_or_default();
        let old = if alert.get("is_fresh") == Some(&Value::Bool(false)) { " (while nobody looked)" } else { "" };
        let line = format!("{}, {subject}: {}", text("kind"), text("evidence"));
        println!("alert {time}{old}: {}", Evidence::from(line.as_str()));
    }
}

/// `ip 192.0.2.7`, `script shop /home/shop/public_html`, `server`.
fn subject(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(fields) => {
            let parts = fields.iter().map(|(name, value)| match value {
                Value::Object(inner) => {
                    let field = |key: &str| inner.get(key).map(subject).unwrap_or_default();
                    format!("{name} {} {}", field("user"), field("script"))
                }
                value => format!("{name} {}", subject(value)),
            });
            parts.collect::<Vec<_>>().join(" ")
        }
        value => value.to_string(),
    }
}

/// Alerts that are shown; `--json` has more.
const ALERTS_MAX: usize = 10;

/// One line on the rule files in use, and what their authors may not have meant.
fn print_rules(rules: &Value) {
    let number = |key: &str| rules.get(key).and_then(Value::as_u64).unwrap_or(0);
    let files = rules.get("files").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let since = rules.get("since").and_then(Value::as_str).unwrap_or("the start");
    let since = to_the_second(since);
    println!("{} rules of {} files, read {since} in {} ms", number("live"), files.len(), number("load_ms"));
    if rules.get("machine_code") == Some(&Value::Bool(false)) {
        println!("note: {}", crate::rules::NO_MACHINE_CODE);
    }
    for remark in rules.get("remarks").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        println!("  {}", Evidence::from(remark));
    }
    let shown = rules.get("remarks").and_then(Value::as_array).map_or(0, Vec::len);
    if let Some(more) =
        usize::try_from(number("warnings")).ok().and_then(|all| all.checked_sub(shown)).filter(|n| *n > 0)
    {
        println!("  and {more} more remarks");
    }
}

/// What is wrong, each with the place to look at.
fn alarms(status: &Value) -> Vec<String> {
    let mut alarms = Vec::new();
    if let Some(trouble) = status.pointer("/store/trouble").and_then(Value::as_str) {
        alarms.push(format!("the store cannot be written: {trouble}"));
    }
    if let Some(trouble) = status.pointer("/journal/trouble").and_then(Value::as_str) {
        alarms.push(format!("the journal cannot be written: {trouble}"));
    }
    for alarm in status.pointer("/logs/alarms").and_then(Value::as_array).into_iter().flatten() {
        alarms.push(alarm.as_str().unwrap_or_default().to_owned());
    }
    for aside in status.pointer("/store/set_aside").and_then(Value::as_array).into_iter().flatten() {
        alarms.push(format!("a damaged store was set aside: {aside}"));
    }
    for aside in status.pointer("/journal/set_aside").and_then(Value::as_array).into_iter().flatten() {
        alarms.push(format!("a damaged day of the journal was set aside: {aside}"));
    }
    alarms.extend(quarantine_alarms(status));
    alarms.extend(dns_alarms(status));
    for section in status.get("restart_for").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        alarms.push(format!("[{section}] was changed and is not in use yet: restart the daemon"));
    }
    let is_former = status.pointer("/rules/trouble/former_in_use") != Some(&Value::Bool(false));
    let in_use = if is_former { "what was read before stays in use" } else { "all that can be read of them is in use" };
    for cause in status.pointer("/rules/trouble/causes").and_then(Value::as_array).into_iter().flatten() {
        let cause = Evidence::from(cause.as_str().unwrap_or_default());
        alarms.push(format!("the rule files are broken, and {in_use}: {cause}"));
    }
    for (place, trouble) in status.pointer("/spamd/trouble").and_then(Value::as_object).into_iter().flatten() {
        let cause = trouble.get("cause").and_then(Value::as_str).unwrap_or_default();
        alarms.push(format!("spamd's clients are not heard on {place} ([spamd] listen), which is tried on: {cause}"));
    }
    let count = |place: &str| status.pointer(place).and_then(Value::as_u64).unwrap_or(0);
    let dropped = count("/journal/dropped");
    if dropped > 0 {
        alarms.push(format!("{dropped} records did not get into the journal since the start"));
    }
    for (counter, meaning) in [
        ("unreadable_asks", "asks that could not be read and were accepted"),
        ("failed_asks", "asks that failed and were accepted"),
        ("late_asks", "asks that were heard when Exim had given up waiting: it went on without a verdict"),
        ("late_answers", "answers that came when Exim had given up waiting: it went on without a verdict"),
        ("refused_peers", "connections of users that may not ask"),
        ("not_kept", "messages that could not be kept back and were delivered as spam"),
        ("unrecorded", "verdicts that could not be recorded"),
        ("unwritten", "changes of state that could not be stored"),
    ] {
        let count = count(&format!("/counters/{counter}"));
        if count > 0 {
            alarms.push(format!("{meaning}, since the start: {count}"));
        }
    }
    alarms
}

/// Dead DNS is one alarm: that lists give no answer then says nothing about them.
fn dns_alarms(status: &Value) -> Vec<String> {
    let dead_since = status.pointer("/dns/dead_since").and_then(Value::as_str);
    let is_silent = |health: &Value| health.get("silent") == Some(&Value::Bool(true));
    let lists = status.get("lists").and_then(Value::as_object).into_iter().flatten();
    let (silent, others): (Vec<_>, Vec<_>) = lists.partition(|(_, health)| dead_since.is_some() && is_silent(health));
    let mut alarms = Vec::new();
    if let Some(since) = dead_since {
        let lists = match silent.len() {
            0 => String::new(),
            count => format!("; {} switched off because of it", are(count, "DNS list")),
        };
        alarms.push(format!(
            "DNS does not answer since {since}{lists}; mail is judged by what is known without it (see [dns] servers)"
        ));
    }
    for (zone, health) in others {
        if let Some(cause) = health.get("cause").and_then(Value::as_str) {
            alarms.push(format!("DNS list {zone} is switched off: {cause}"));
        }
    }
    alarms
}

/// `1 DNS list is`, `20 DNS lists are`.
fn are(count: usize, what: &str) -> String {
    format!("{} {}", counted(u64::try_from(count).unwrap_or(u64::MAX), what), if count == 1 { "is" } else { "are" })
}

fn quarantine_alarms(status: &Value) -> Vec<String> {
    let mut alarms = Vec::new();
    if let Some(trouble) = status.pointer("/quarantine/trouble").and_then(Value::as_str) {
        alarms.push(trouble.to_owned());
    }
    let expiring = status.pointer("/quarantine/expiring").and_then(Value::as_u64).unwrap_or(0);
    if expiring > 0 {
        let first = status.pointer("/quarantine/first_expires").and_then(Value::as_str).unwrap_or_default();
        alarms.push(format!(
            "{expiring} messages in the quarantine will be deleted soon, the first at {first}; see `tidegate quarantine list --expiring`"
        ));
    }
    alarms
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twenty lists that a dead resolver silences are one thing to look at; a list that answers wrongly is another.
    #[test]
    fn dead_dns_is_one_alarm() {
        let silent = json!({"good": false, "at": "t", "cause": "gave no answer 5 times in a row", "silent": true});
        let failing = json!({"good": false, "at": "t", "cause": "answered 127.255.255.254", "silent": false});
        let good = json!({"good": true, "at": "t"});
        let lists = json!({"a.test": silent, "b.test": silent, "c.test": failing, "d.test": good, "e.test": null});
        let told = |dns: Value| dns_alarms(&json!({"dns": {"dead_since": dns}, "lists": lists}));
        let dead = told(json!("2026-01-02T03:04:05Z"));
        assert_eq!(dead.len(), 2, "{dead:?}");
        assert!(
            dead[0].contains("does not answer since 2026-01-02T03:04:05Z; 2 DNS lists are switched off because of it;")
        );
        assert!(dead[1].contains("c.test is switched off: answered"), "{dead:?}");
        assert_eq!(told(Value::Null).len(), 3);
    }
}
