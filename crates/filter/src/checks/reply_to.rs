//! Answers that go to a free mailbox elsewhere. Who writes in the name of a firm but cannot read its mail needs a mailbox of his own
//! for the answer, and a free one costs nothing.

use std::collections::BTreeSet;
use std::future::ready;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_mail::{Domain, Message};

use crate::check::{Ask, Finding, Group, OnData, Outcome, Symbol, SymbolRef};
use crate::checks::Parts;
use crate::known::Answer;
use crate::session::Mail;
use crate::settings::ConfigError;

static ELSEWHERE: Symbol = Symbol::evidence(
    "REPLY_TO_ELSEWHERE",
    1200,
    Group::Alone,
    "answers go to a free mailbox that is not in the author's domain",
);

/// Providers that give a mailbox to anyone, unless the configuration names others.
const FREE_PROVIDERS: [&str; 16] = [
    "gmail.com",
    "googlemail.com",
    "outlook.com",
    "hotmail.com",
    "live.com",
    "yahoo.com",
    "ymail.com",
    "aol.com",
    "icloud.com",
    "proton.me",
    "protonmail.com",
    "gmx.com",
    "gmx.net",
    "mail.com",
    "mail.ru",
    "yandex.com",
];

/// `[checks.reply_to]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Domains in which anyone can have a mailbox for nothing. Compared whole: a name below one of them is another domain.
    pub free_providers: Vec<Domain>,
}

impl Default for Config {
    fn default() -> Config {
        Config { free_providers: FREE_PROVIDERS.iter().filter_map(|name| Domain::parse(name).ok()).collect() }
    }
}

/// The check.
pub struct Check {
    free_providers: BTreeSet<Domain>,
}

impl Check {
    /// Builds the check.
    ///
    /// # Errors
    /// None.
    pub fn build(config: &Config, _parts: &Parts<'_>) -> Result<Check, ConfigError> {
        Ok(Check { free_providers: config.free_providers.iter().cloned().collect() })
    }

    /// Every symbol it can find.
    pub fn symbols(&self) -> Vec<SymbolRef> {
        vec![SymbolRef::Declared(&ELSEWHERE)]
    }

    /// Any mailbox of Reply-To counts, since a genuine one beside it would otherwise hide the free one.
    fn elsewhere(&self, message: &Message) -> Option<Finding> {
        let author = message.author()?.address.as_ref()?.domain();
        let mut answers = message.reply_to().iter().filter_map(|mailbox| mailbox.address.as_ref());
        let answer = answers.find(|answer| {
            let domain = answer.domain();
            self.free_providers.contains(domain) && !domain.is_same_organization(author)
        })?;
        Some(Finding::of(&ELSEWHERE, format!("{answer}, author in {author}")))
    }
}

impl OnData for Check {
    fn data<'a>(&'a self, ask: &'a Ask<'a, Mail>) -> Answer<'a, Outcome> {
        let mail = ask.facts;
        // Lists set Reply-To for their own reasons.
        let is_exempt = mail.envelope.sender.submits() || mail.message.list_id().is_some();
        let outcome = self.elsewhere(&mail.message).filter(|_| !is_exempt).into_iter().collect::<Outcome>();
        Box::pin(ready(outcome))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_free_provider_is_a_domain() {
        assert_eq!(Config::default().free_providers.len(), FREE_PROVIDERS.len());
    }
}
