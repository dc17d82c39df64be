//! One message, judged as if it came in now: the session is what the flags say, else what the table says, else what the
//! message itself tells.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use tidegate_filter::dns::Resolver;
use tidegate_filter::engine::Engine;
use tidegate_filter::identity::{DkimResult, DkimSignature, Dmarc, DmarcPolicy, Fcrdns, Given, Spf, SpfResult};
use tidegate_filter::session::{Client, Helo, Remote};
use tidegate_mail::{Address, Domain, Limits, Message, ReversePath};

use super::labels::{Labels, Row};
use super::report::Report;
use super::{Arguments, world};
use crate::config::Config;
use crate::panels::Snapshot;
use crate::traces;

pub(super) struct Judge<'a> {
    pub(super) arguments: &'a Arguments,
    pub(super) config: &'a Config,
    pub(super) engine: &'a Arc<Engine>,
    pub(super) labels: Option<&'a Labels>,
    pub(super) dns: &'a Arc<dyn Resolver>,
}

impl Judge<'_> {
    pub(super) async fn judge(&self, file: &Path) -> anyhow::Result<Report> {
        let raw = read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let began = cpu_ms();
        let message = Arc::new(Message::parse(traces::with_one_line_end(raw), &Limits::default()));
        let row = self.labels.and_then(|labels| labels.of(file)).cloned().unwrap_or_default();
        let recipients = self.recipients(&message);
        let world = world(self.dns, self.panel(&recipients)?, row.date);
        let (mut session, _) =
            self.engine.open_given(self.client(&message, &row), world, self.given(&row, &message)).await;
        let told = || traces::first_hop(&message).and_then(|hop| hop.helo.clone());
        // What the client called itself may not be known; that it said nothing is not known either.
        let unknown = session.connect().client.ip().map(traces::address_literal);
        let helo = self.arguments.helo.clone().or(row.helo.clone()).or_else(told).or(unknown);
        session.helo(helo.map(Helo::new), None).await;
        session.mail(self.sender(&message, &row), None).await;
        for recipient in recipients {
            // The last verdict is made from the findings of all stages, so a refusal at RCPT is in it.
            session.readmit(recipient).await?;
        }
        let judgement = session.data(message).await?;
        let label = row.label.clone();
        Ok(Report { file: file.display().to_string(), label, judgement, cpu_ms: cpu_ms() - began })
    }

    fn client(&self, message: &Message, row: &Row) -> Client {
        let recorded = row.client_ip.as_deref().and_then(|ip| ip.parse().ok());
        let ip = self.arguments.ip.or(recorded).or_else(|| traces::first_hop(message).and_then(|hop| hop.ip));
        // A message without a trace of its client still came from outside: the unspecified address is on no list.
        let ip = ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        Client::Remote(Remote { ip, port: 0, interface: None, open_sessions: 1 })
    }

    fn sender(&self, message: &Message, row: &Row) -> ReversePath {
        let told = self.arguments.from.as_ref().or(row.mail_from.as_ref());
        let sender = match told {
            Some(sender) => ReversePath::parse(sender).ok(),
            None => traces::return_path(message),
        };
        sender.unwrap_or(ReversePath::Null)
    }

    fn recipients(&self, message: &Message) -> Vec<Address> {
        if !self.arguments.rcpt.is_empty() {
            return self.arguments.rcpt.clone();
        }
        traces::recipient(message, &self.config.server.hostname).into_iter().collect()
    }

    /// What the panel knows; the recipients' domains count as hosted here when it knows none.
    fn panel(&self, recipients: &[Address]) -> anyhow::Result<Snapshot> {
        let mut snapshot = self.config.panel.read().unwrap_or_default();
        if snapshot.local.is_empty() && snapshot.relayed.is_empty() {
            for recipient in recipients {
                snapshot.local.insert(recipient.domain().clone(), None);
                snapshot.unlisted.insert(recipient.domain().clone());
            }
        }
        Ok(snapshot)
    }

    fn given(&self, row: &Row, message: &Message) -> Given {
        // Reverse DNS has no result "none" that says nothing: without DNS it is not known.
        let offline = || Given { fcrdns: None, ..Given::none() };
        let mut given = if self.arguments.offline { offline() } else { Given::default() };
        let rdns = self.arguments.rdns.as_deref().or(row.rdns.as_deref());
        if let Some(name) = rdns.and_then(|name| Domain::parse(name).ok()) {
            given.fcrdns = Some(Fcrdns::Confirmed(vec![name]));
        }
        let author = message.author().and_then(|author| author.address.as_ref()).map(|a| a.domain().clone());
        if let Some(result) = row.spf.as_deref().and_then(spf_result) {
            let domain = self.sender(message, row).domain().cloned();
            given.spf = Some(Spf { result, domain, ..Spf::none() });
        }
        if let Some(result) = row.dkim.as_deref().and_then(dkim_result) {
            given.dkim = Some(recorded_signatures(message, &result));
        }
        if let Some(dmarc) = row.dmarc.as_deref() {
            given.dmarc = Some(Dmarc {
                record_domain: author.clone().filter(|_| dmarc != "none"),
                author,
                pass: match dmarc {
                    "pass" | "bestguesspass" => Some(true),
                    "fail" => Some(false),
                    _ => None,
                },
                aligned: Vec::new(),
                policy: DmarcPolicy::None,
                testing: false,
            });
        }
        given
    }
}

fn spf_result(text: &str) -> Option<SpfResult> {
    match text {
        "pass" => Some(SpfResult::Pass),
        "fail" | "hardfail" => Some(SpfResult::Fail),
        "softfail" => Some(SpfResult::SoftFail),
        "neutral" => Some(SpfResult::Neutral),
        "none" => Some(SpfResult::None),
        "permerror" => Some(SpfResult::PermError),
        _ => None,
    }
}

fn dkim_result(text: &str) -> Option<DkimResult> {
    match text {
        "pass" => Some(DkimResult::Pass),
        "fail" => Some(DkimResult::Fail("as recorded".into())),
        "permerror" => Some(DkimResult::PermError("as recorded".into())),
        "none" => Some(DkimResult::PermError("not signed".into())),
        _ => None,
    }
}

/// The recorded result stands for every signature the message carries.
fn recorded_signatures(message: &Message, result: &DkimResult) -> Vec<DkimSignature> {
    let tag = |value: &str, name: &str| {
        let tags = value.split(';').filter_map(|tag| tag.split_once('='));
        tags.into_iter().find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
    };
    let signature = |value: &str| DkimSignature {
        domain: tag(value, "d").and_then(|domain| Domain::parse(&domain).ok()),
        selector: tag(value, "s").unwrap_or_default(),
        algorithm: tag(value, "a").unwrap_or_default(),
        testing: false,
        left_out: 0,
        result: result.clone(),
    };
    message.headers_named("DKIM-Signature").map(|field| signature(field.decoded())).collect()
}

fn read(file: &Path) -> std::io::Result<Vec<u8>> {
    if file == Path::new("-") {
        let mut raw = Vec::new();
        std::io::stdin().lock().read_to_end(&mut raw)?;
        return Ok(raw);
    }
    std::fs::read(file)
}

/// CPU time of this thread so far, in milliseconds.
fn cpu_ms() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds =
        std::time::Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0));
    seconds.as_secs_f64() * 1000.0
}
