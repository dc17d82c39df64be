//! One case: read, judged stage by stage, compared. The only place of the tests that touches the engine's API.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidegate_filter::blocklists::Catalogue;
use tidegate_filter::checks;
use tidegate_filter::engine::{Config, Engine};
use tidegate_filter::identity::{DkimResult, DkimSignature, Given, Spf, SpfResult};
use tidegate_filter::judgement::Judgement;
use tidegate_filter::policy;
use tidegate_filter::session::{Client, Helo, Local, Login, Remote, Stage};
use tidegate_filter::settings::{Deadlines, ServerIdentity};
use tidegate_filter::verdict::HeaderEdit;
use tidegate_mail::{Address, Domain, Limits, Message, ReversePath, Score};
use tidegate_rules::language::source::SourceFile;
use tidegate_rules::language::{ParseOptions, conditions, no_includes, parse};
use tidegate_rules::{CompileOptions, RuleSet, compile};

use crate::world::{Panel, TestWorld};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// What the case shows, as a sentence.
    why: String,
    #[serde(default)]
    client: ClientFacts,
    #[serde(default)]
    envelope: EnvelopeFacts,
    now: Timestamp,
    /// Checks that run besides the one the case's folder is named after. All run if the folder names none.
    #[serde(default)]
    also: Vec<checks::Name>,
    #[serde(default)]
    config: CaseConfig,
    #[serde(default)]
    dns: BTreeMap<String, toml::Value>,
    #[serde(default)]
    panel: Panel,
    /// Domains that vouch for the message, in place of looking it up.
    vouched: Option<Vouched>,
    /// Whoever asks only hears what we think of the message.
    #[serde(default)]
    only_advises: bool,
    /// Messages from the same client before this one, each so many seconds earlier; their verdicts are not compared.
    #[serde(default)]
    before: Vec<Before>,
    expect: Expect,
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Vouched {
    /// The domain for which SPF passes; it has no record if absent.
    spf: Option<Domain>,
    /// Domains with a valid signature.
    dkim: Vec<Domain>,
}

impl Vouched {
    fn given(&self) -> Given {
        let spf = self.spf.clone().map(|domain| Spf { result: SpfResult::Pass, domain: Some(domain), ..Spf::none() });
        let signed = self.dkim.iter().map(|domain| DkimSignature {
            domain: Some(domain.clone()),
            selector: "s".into(),
            algorithm: "rsa-sha256".into(),
            testing: false,
            left_out: 0,
            result: DkimResult::Pass,
        });
        Given { fcrdns: None, spf: spf.or(Some(Spf::none())), dkim: Some(signed.collect()), ..Given::none() }
    }
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct Before {
    seconds: i64,
    #[serde(default = "once")]
    times: u32,
    /// Another client, sender, recipients or message (the name of a file beside the case) than those of the case.
    ip: Option<std::net::IpAddr>,
    from: Option<String>,
    to: Option<Vec<Address>>,
    eml: Option<String>,
}

fn once() -> u32 {
    1
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientFacts {
    ip: Option<std::net::IpAddr>,
    helo: Option<String>,
    login: Option<String>,
    uid: Option<u32>,
    #[serde(default)]
    open_sessions: Option<u32>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvelopeFacts {
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: Vec<Address>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CaseConfig {
    lists: Vec<String>,
    blocklists: Catalogue,
    checks: checks::Config,
    policy: policy::Config,
    weights: BTreeMap<String, Score>,
    /// The text of a rule file.
    rules: Option<String>,
    trusted_relays: Vec<ipnet::IpNet>,
}

#[derive(Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    stage: Stage,
    action: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reply: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    score: Option<Score>,
    /// The whole set: a finding too many fails as well.
    #[serde(default)]
    symbols: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unavailable: Vec<String>,
    /// Action per recipient, where they differ or matter.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    recipients: BTreeMap<String, String>,
    /// Lines that the header gets (`Name: value`) or loses (`-Name`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<String>,
}

impl Case {
    /// Switches off all checks but the one called `folder` and those in `also`, so that a new check leaves the cases of the
    /// others alone.
    fn run_only_those_of(&mut self, folder: &str) {
        let others = checks::ALL.iter().map(|entry| entry.name).filter(|name| !self.also.contains(name));
        let off = others.filter(|name| name.as_str() != folder).collect::<Vec<_>>();
        if off.len() < checks::ALL.len() {
            self.config.checks.off.extend(off);
        }
    }
}

/// Folders whose cases give every record that SPF, DKIM and DMARC ask for. These facts are computed in every session; elsewhere
/// a TXT record that is not given does not exist, and the case need not say so.
const ABOUT_IDENTITY: [&str; 4] = ["spf", "dkim", "dmarc", "arc"];

/// Judges the case at `path` and compares; `Err` is what to show.
pub(crate) fn check_case(path: &Path) -> Result<(), String> {
    let shown = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(path).display().to_string();
    let text = std::fs::read_to_string(path).map_err(|e| format!("{shown}: {e}"))?;
    let mut case: Case = toml::from_str(&text).map_err(|e| format!("{shown}: {e}"))?;
    let folder = folder_of(path);
    case.run_only_those_of(folder);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let engine = Arc::new(engine(&case).map_err(|e| format!("{shown}: {e}"))?);
    let (judgement, mut unasked) =
        runtime.block_on(judge(&case, &engine, path)).map_err(|e| format!("{shown}: {e}"))?;
    if !ABOUT_IDENTITY.contains(&folder) {
        unasked.retain(|question| !question.ends_with(" TXT"));
    }
    if !unasked.is_empty() {
        return Err(format!("{shown}: asked DNS for names that the case does not give:\n  {}", unasked.join("\n  ")));
    }
    if let Some(fault) = not_named(&engine, &judgement) {
        return Err(format!("{shown}: {fault}"));
    }
    let found = found(&case.expect, &judgement);
    let again = policy::decide(&judgement.brief);
    assert_eq!(again, judgement.verdict, "{shown}: the verdict must follow from its brief");
    if found == case.expect {
        return Ok(());
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        let kept = text.split_once("[expect]").map_or(text.as_str(), |(kept, _)| kept);
        let table = BTreeMap::from([("expect", &found)]);
        let written = format!("{kept}{}", toml::to_string(&table).unwrap());
        std::fs::write(path, written).unwrap();
        return Ok(());
    }
    Err(format!("{shown}\n  why: {}\n  expected: {:?}\n  found:    {found:?}", case.why, case.expect))
}

/// The check that a case is about.
pub(crate) fn folder_of(path: &Path) -> &str {
    path.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default()
}

/// A symbol that is found but not named beforehand could be given no points, and nobody proves that it does not refuse.
fn not_named(engine: &Engine, judgement: &Judgement) -> Option<String> {
    let brief = &judgement.brief;
    let mut found = brief.findings.iter().chain(brief.recipients.iter().flat_map(|recipient| &recipient.findings));
    let is_named = |check: &str, name: &str| {
        engine.symbols().any(|(owner, symbol)| owner.as_str() == check && symbol.name == name)
    };
    let unnamed = found.find(|finding| !is_named(&finding.check, &finding.symbol))?;
    let (check, symbol) = (&unnamed.check, &unnamed.symbol);
    Some(format!("the check `{check}` finds {symbol}, but `symbols()` in its code does not name it"))
}

async fn judge(case: &Case, engine: &Arc<Engine>, path: &Path) -> Result<(Judgement, Vec<String>), String> {
    let outside = TestWorld::new(case.now, &case.dns, case.panel.clone())?;
    let own = Transaction {
        client: case.client.clone(),
        vouched: case.vouched.clone(),
        only_advises: case.only_advises,
        envelope: case.envelope.clone(),
        message: std::fs::read(path.with_extension("eml")).ok(),
        stage: case.expect.stage,
    };
    for before in &case.before {
        let earlier = own.but(before, path)?;
        for _ in 0..before.times {
            outside.set_clock(case.now - jiff::SignedDuration::from_secs(before.seconds));
            let judgement = earlier.judge(engine, &outside).await?;
            let now = outside.world.clock.now();
            outside.world.store.write(&judgement.writes, now).await.map_err(|e| e.to_string())?;
        }
    }
    outside.set_clock(case.now);
    let judgement = own.judge(engine, &outside).await?;
    Ok((judgement, outside.unknown_names()))
}

/// One client with one message.
#[derive(Clone)]
struct Transaction {
    client: ClientFacts,
    vouched: Option<Vouched>,
    only_advises: bool,
    envelope: EnvelopeFacts,
    message: Option<Vec<u8>>,
    /// How far it goes, unless it is refused before.
    stage: Stage,
}

impl Transaction {
    /// This transaction with what `before` says over it.
    fn but(&self, before: &Before, path: &Path) -> Result<Transaction, String> {
        let mut earlier = self.clone();
        earlier.client.ip = before.ip.or(earlier.client.ip);
        earlier.envelope.from = before.from.clone().unwrap_or(earlier.envelope.from);
        earlier.envelope.to = before.to.clone().unwrap_or(earlier.envelope.to);
        if let Some(name) = &before.eml {
            earlier.message = Some(std::fs::read(path.with_file_name(name)).map_err(|e| format!("{name}: {e}"))?);
        }
        Ok(earlier)
    }

    /// The last judgement, with the writes of all stages.
    async fn judge(&self, engine: &Arc<Engine>, outside: &TestWorld) -> Result<Judgement, String> {
        let mut writes = Vec::new();
        let last = |mut judgement: Judgement, writes: Vec<_>| {
            judgement.writes = writes;
            Ok(judgement)
        };
        let given = self.vouched.as_ref().map(Vouched::given).unwrap_or_default();
        let (mut session, judgement) = engine.open_given(client(&self.client), outside.world.clone(), given).await;
        if self.only_advises {
            session.only_advise();
        }
        writes.extend(judgement.writes.clone());
        if self.stage == Stage::Connect || judgement.verdict.action.is_refusal() {
            return last(judgement, writes);
        }
        if let Some(helo) = &self.client.helo {
            let judgement = session.helo(Some(Helo::new(helo.clone())), None).await;
            writes.extend(judgement.writes.clone());
            if self.stage == Stage::Helo || judgement.verdict.action.is_refusal() {
                return last(judgement, writes);
            }
        }
        let path = ReversePath::parse(&self.envelope.from).map_err(|e| e.to_string())?;
        let login = self.client.login.clone().map(|id| Login { id, authenticator: "plain".into(), account: None });
        let judgement = session.mail(path, login).await;
        writes.extend(judgement.writes.clone());
        if self.stage == Stage::Mail || judgement.verdict.action.is_refusal() {
            return last(judgement, writes);
        }
        let mut of_rcpt = None;
        for recipient in &self.envelope.to {
            let judgement = session.rcpt(recipient.clone()).await.map_err(|e| e.to_string())?;
            writes.extend(judgement.writes.clone());
            of_rcpt = Some(judgement);
        }
        let of_rcpt = of_rcpt.ok_or("a case beyond MAIL needs a recipient")?;
        if self.stage == Stage::Rcpt || session.accepted() == 0 {
            return last(of_rcpt, writes);
        }
        let raw = self.message.clone().ok_or("a case at DATA needs an .eml")?;
        let message = Arc::new(Message::parse(raw, &Limits::default()));
        let judgement = session.data(message).await.map_err(|e| e.to_string())?;
        writes.extend(judgement.writes.clone());
        last(judgement, writes)
    }
}

fn engine(case: &Case) -> Result<Engine, String> {
    let mut lists = Vec::new();
    for line in &case.config.lists {
        lists.push(line.parse().map_err(|e| format!("{line}: {e}"))?);
    }
    let config = Config {
        fingerprint: "test".into(),
        identity: ServerIdentity {
            hostname: "mx.test".parse().unwrap(),
            trusted_relays: case.config.trusted_relays.clone(),
        },
        deadlines: Deadlines::default(),
        policy: case.config.policy.clone(),
        checks: case.config.checks.clone(),
        weights: case.config.weights.clone(),
        lists,
        blocklists: case.config.blocklists.clone(),
        rules: case.config.rules.as_deref().map(rules).transpose()?,
    };
    Engine::new(config).map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

/// Compiles rules, with every plugin; a remark on them fails the case.
pub(crate) fn rules(text: &str) -> Result<Arc<RuleSet>, String> {
    let plugins: String = conditions::plugins().map(|plugin| format!("loadplugin {plugin}\n")).collect();
    let file = |name: &str, text: &str| SourceFile { name: name.to_owned(), text: text.as_bytes().to_vec() };
    let parsed = parse(&[file("all.pre", &plugins), file("case.cf", text)], &ParseOptions::default(), &no_includes);
    let mut remarks = parsed.diagnostics.clone();
    let (set, more) = compile(parsed, CompileOptions { network: true, classifier: false });
    remarks.extend(more);
    match remarks.first() {
        Some(remark) => Err(format!("{}: {}", remark.place, remark.message)),
        None => Ok(Arc::new(set)),
    }
}

fn client(facts: &ClientFacts) -> Client {
    match facts.ip {
        Some(ip) => Client::Remote(Remote {
            ip,
            port: 40_000,
            interface: None,
            open_sessions: facts.open_sessions.unwrap_or(1),
        }),
        None => Client::Local(Local { uid: facts.uid, user: "user".into(), cwd: "/home/user".into() }),
    }
}

/// What the judgement gave, in the form of `[expect]`, with the optional parts that `expect` names.
fn found(expect: &Expect, judgement: &Judgement) -> Expect {
    let verdict = &judgement.verdict;
    let brief = &judgement.brief;
    let all = brief.findings.iter().chain(brief.recipients.iter().flat_map(|r| &r.findings));
    let mut symbols: BTreeMap<String, String> = BTreeMap::new();
    for finding in all {
        let evidence = symbols.entry(finding.symbol.clone()).or_default();
        if !evidence.is_empty() && evidence != finding.evidence.as_str() {
            evidence.push_str("; ");
        }
        if evidence != finding.evidence.as_str() {
            evidence.push_str(finding.evidence.as_str());
        }
    }
    let by_recipient = verdict.recipients.iter().map(|r| (r.address.to_string(), r.action.to_string()));
    let edits = judgement.edits.iter().map(|edit| match edit {
        HeaderEdit::Add { name, value } => format!("{name}: {value}"),
        HeaderEdit::RemoveAll { name } => format!("-{name}"),
        HeaderEdit::AddFor { name, value, recipients } => {
            let recipients: Vec<String> = recipients.iter().map(ToString::to_string).collect();
            format!("{name}: {value} (for {})", recipients.join(", "))
        }
        HeaderEdit::PutBack { name, value } => format!("+{name}: {value}"),
    });
    Expect {
        stage: verdict.stage,
        action: verdict.action.to_string(),
        reply: expect.reply.as_ref().map(|_| verdict.reply.to_string()),
        score: expect.score.map(|_| verdict.recipients.iter().map(|r| r.score).max().unwrap_or_default()),
        symbols,
        unavailable: brief.gaps.iter().map(|gap| format!("{}: {}", gap.check, gap.cause)).collect(),
        recipients: if expect.recipients.is_empty() { BTreeMap::new() } else { by_recipient.collect() },
        headers: if expect.headers.is_empty() { Vec::new() } else { edits.collect() },
    }
}
