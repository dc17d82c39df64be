//! The proof that no evidence alone refuses: neither one symbol nor a whole group of correlated ones reaches the score at
//! which mail is refused or kept back, in any policy of the configuration.

use tidegate_mail::{Domain, Score};

use super::{Config, Directions, Thresholds};
use crate::check::{Class, Group, Symbol};
use crate::session::Direction;

/// Why a configuration is unsafe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LintError {
    /// One symbol decides alone.
    #[error(
        "symbol {symbol} with weight {weight} alone reaches {threshold} ({step} of policy `{policy}`); evidence must not \
         decide alone: lower the weight or raise the threshold"
    )]
    SymbolDecides {
        /// The symbol.
        symbol: String,
        /// Its weight.
        weight: Score,
        /// The threshold it reaches.
        threshold: Score,
        /// `reject` or `quarantine`.
        step: &'static str,
        /// The policy whose threshold it is.
        policy: String,
    },
    /// A whole group of correlated symbols decides alone.
    #[error(
        "the cap {cap} of group {group} reaches {threshold} ({step} of policy `{policy}`); findings that say the same must \
         not decide alone: lower the cap or raise the threshold"
    )]
    GroupDecides {
        /// The group.
        group: Group,
        /// Its cap; [`Score::MAX`] if it has none.
        cap: Score,
        /// The threshold it reaches.
        threshold: Score,
        /// `reject` or `quarantine`.
        step: &'static str,
        /// The policy whose threshold it is.
        policy: String,
    },
}

/// Every way in which evidence alone could refuse under `config`. `symbols` come with the weights that apply.
pub fn lint<'a>(config: &Config, symbols: impl Iterator<Item = (&'a Symbol, Score)> + Clone) -> Vec<LintError> {
    let mut errors = Vec::new();
    for (policy, thresholds) in policies(config) {
        let steps = [("reject", thresholds.reject), ("quarantine", thresholds.quarantine)];
        for (step, threshold) in steps.into_iter().filter_map(|(step, t)| t.map(|t| (step, t))) {
            errors.extend(deciding_symbols(config, symbols.clone(), &policy, step, threshold));
            errors.extend(deciding_groups(config, symbols.clone(), &policy, step, threshold));
        }
    }
    errors
}

fn policies(config: &Config) -> Vec<(String, Thresholds)> {
    let directions = [Direction::Inbound, Direction::Submission, Direction::Forwarded];
    let mut all = Vec::new();
    for direction in directions {
        let over = |base: Thresholds, own: &Directions| own.of(direction).map(|steps| base.with(steps));
        let server = Thresholds::built_in(direction);
        let server = over(server, &config.server).unwrap_or(server);
        all.push((format!("server {direction}"), server));
        let of_domain = |domain: &Domain| config.domains.get(domain).and_then(|own| over(server, own));
        for (domain, own) in &config.domains {
            all.extend(over(server, own).map(|t| (format!("domain {domain} {direction}"), t)));
        }
        for (mailbox, own) in &config.mailboxes {
            let base = of_domain(mailbox.domain()).unwrap_or(server);
            all.extend(over(base, own).map(|t| (format!("mailbox {mailbox} {direction}"), t)));
        }
    }
    all
}

fn deciding_symbols<'a>(
    config: &Config,
    symbols: impl Iterator<Item = (&'a Symbol, Score)>,
    policy: &str,
    step: &'static str,
    threshold: Score,
) -> Vec<LintError> {
    let evidence = symbols.filter(|(symbol, _)| matches!(symbol.class, Class::Evidence | Class::Waiting));
    // What a cap holds back cannot decide: rule files have single rules with a hundred points.
    let capped = |symbol: &Symbol, weight: Score| config.caps.get(&symbol.group).map_or(weight, |cap| weight.min(*cap));
    evidence
        .map(|(symbol, weight)| (symbol, capped(symbol, weight)))
        .filter(|(_, weight)| *weight >= threshold)
        .map(|(symbol, weight)| LintError::SymbolDecides {
            symbol: symbol.name.clone().into_owned(),
            weight,
            threshold,
            step,
            policy: policy.to_owned(),
        })
        .collect()
}

fn deciding_groups<'a>(
    config: &Config,
    symbols: impl Iterator<Item = (&'a Symbol, Score)> + Clone,
    policy: &str,
    step: &'static str,
    threshold: Score,
) -> Vec<LintError> {
    let groups = [
        Group::ClientLists,
        Group::DomainLists,
        Group::Identity,
        Group::ClientNames,
        Group::Form,
        Group::Reputation,
        Group::Rules,
    ];
    groups
        .into_iter()
        .filter_map(|group| {
            let members =
                symbols.clone().filter(|(symbol, _)| symbol.group == group && symbol.class == Class::Evidence);
            let worst: Score = members.map(|(_, weight)| weight.max(Score::ZERO)).sum();
            let cap = config.caps.get(&group).copied().unwrap_or(Score::MAX);
            (worst.min(cap) >= threshold).then(|| LintError::GroupDecides {
                group,
                cap,
                threshold,
                step,
                policy: policy.to_owned(),
            })
        })
        .collect()
}
