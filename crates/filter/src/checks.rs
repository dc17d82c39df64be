//! THE LIST: every check of the product with the stages at which it runs, in the order of an SMTP session. The only
//! registration: a name here is a module, a page, a case folder and a table of the configuration.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_rules::RuleSet;

use crate::blocklists::Catalogue;
use crate::check::{OnConnect, OnData, OnHelo, OnMail, OnRcpt, SymbolRef};
use crate::session::Stage;
use crate::settings::{ConfigError, Deadlines, ServerIdentity};

/// Declares the modules, their configuration, the registry by stage, and the table of contents.
macro_rules! checks {
    ($($name:ident => [$($stage:ident),+];)+) => {
        $(pub mod $name;)+

        /// The name of a check, as it stands in the configuration.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[allow(non_camel_case_types, reason = "a check has one name, in code as in the configuration")]
        #[allow(missing_docs, reason = "each check has a page")]
        pub enum Name { $($name),+ }

        impl Name {
            /// The name as text.
            pub fn as_str(self) -> &'static str {
                match self { $(Name::$name => stringify!($name)),+ }
            }
        }

        /// `[checks.<name>]`: what each check lets one set.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        #[allow(missing_docs, reason = "each check has a page")]
        pub struct Config {
            /// Checks that do not run.
            pub off: Vec<Name>,
            /// What it means when a check could not know; `ignore` for those not named.
            pub on_unavailable: std::collections::BTreeMap<Name, crate::policy::OnUnavailable>,
            $(pub $name: $name::Config,)+
        }

        /// The table of contents.
        pub static ALL: &[Entry] = &[$(Entry {
            name: Name::$name,
            stages: &[$(Stage::$stage),+],
            page: include_str!(concat!("checks/", stringify!($name), ".md")),
        }),+];

        impl ByStage {
            /// Builds every check that is not switched off.
            ///
            /// # Errors
            /// The first check whose configuration cannot work.
            pub fn build(config: &Config, parts: &Parts<'_>) -> Result<ByStage, ConfigError> {
                let mut built = ByStage::default();
                $({
                    let parts = Parts { declared: &built.symbols, ..*parts };
                    if config.off.contains(&Name::$name) {
                        // What is set for a check that is off need not work.
                        let check = $name::Check::build(&$name::Config::default(), &parts);
                        built.idle.extend(check.map(|check| check.symbols()).unwrap_or_default());
                    } else {
                        let check = Arc::new($name::Check::build(&config.$name, &parts)?);
                        built.symbols.extend(check.symbols().into_iter().map(|symbol| (Name::$name, symbol)));
                        $(list!(built, $stage, Name::$name, check);)+
                    }
                })+
                Ok(built)
            }
        }
    };
}

macro_rules! list {
    ($built:ident, Connect, $name:expr, $check:ident) => {
        $built.connect.push(Listed { name: $name, check: Arc::clone(&$check) as Arc<dyn OnConnect> })
    };
    ($built:ident, Helo, $name:expr, $check:ident) => {
        $built.helo.push(Listed { name: $name, check: Arc::clone(&$check) as Arc<dyn OnHelo> })
    };
    ($built:ident, Mail, $name:expr, $check:ident) => {
        $built.mail.push(Listed { name: $name, check: Arc::clone(&$check) as Arc<dyn OnMail> })
    };
    ($built:ident, Rcpt, $name:expr, $check:ident) => {
        $built.rcpt.push(Listed { name: $name, check: Arc::clone(&$check) as Arc<dyn OnRcpt> })
    };
    ($built:ident, Data, $name:expr, $check:ident) => {
        $built.data.push(Listed { name: $name, check: Arc::clone(&$check) as Arc<dyn OnData> })
    };
}

checks! {
    lists         => [Connect, Helo, Mail, Rcpt, Data]; // own allow and block lists
    rate          => [Connect, Rcpt];                   // connections, sessions and guesses of one network
    fcrdns        => [Connect];                         // forward-confirmed reverse DNS
    dnsbl         => [Connect];                         // blocklists of client addresses
    dnswl         => [Connect];                         // lists of known senders
    helo          => [Mail];                            // only at Mail it is known who has logged in
    spf           => [Mail];                            // of the envelope sender, and of the greeting
    reputation    => [Mail, Data];                      // what we have seen of this sender before
    sender_domain => [Mail, Data];                      // MX, null MX, MX to loopback; no callouts
    recipient     => [Rcpt];                            // unknown here, by the panel's facts
    rfc           => [Rcpt, Data];                      // form of the transaction and of the message
    dkim          => [Data];                            // signatures
    arc           => [Data];                            // what forwarders have sealed
    dmarc         => [Data];                            // forged authors
    reply_to      => [Data];                            // answers that go to a free mailbox elsewhere
    urlbl         => [Data];                            // blocklists of domains in the message
    greylist      => [Rcpt, Data];                      // at Rcpt only if nothing in Data could change the party
    // Last, since it is told which symbols those above declare: a rule that only looks at identity results or at a list that they ask has no
    // points, nor has a stock rule of the table `SAME`. A rule over text that a check looks at too counts beside it.
    rules         => [Data];                            // rule files
}

/// What a check may read of the configuration, besides its own table, when it is built.
pub struct Parts<'a> {
    /// Who we are.
    pub identity: &'a ServerIdentity,
    /// Entries of the own allow and block lists.
    pub lists: &'a [lists::Entry],
    /// The catalogue of DNS lists.
    pub blocklists: &'a Catalogue,
    /// The rules of rule files.
    pub rules: Option<&'a Arc<RuleSet>>,
    /// How long a stage may take.
    pub deadlines: Deadlines,
    /// The symbols of the checks that stand before this one in the list.
    pub declared: &'a [(Name, SymbolRef)],
}

/// One line of the table of contents.
pub struct Entry {
    /// The check.
    pub name: Name,
    /// The stages at which it runs.
    pub stages: &'static [Stage],
    /// Its page, in Markdown.
    pub page: &'static str,
}

/// A check at one stage.
pub struct Listed<C: ?Sized> {
    /// The check's name.
    pub name: Name,
    /// The check.
    pub check: Arc<C>,
}

/// All checks that run, by stage, in registry order.
#[derive(Default)]
pub struct ByStage {
    /// At connect.
    pub connect: Vec<Listed<dyn OnConnect>>,
    /// At EHLO or HELO.
    pub helo: Vec<Listed<dyn OnHelo>>,
    /// At MAIL FROM.
    pub mail: Vec<Listed<dyn OnMail>>,
    /// At each RCPT TO.
    pub rcpt: Vec<Listed<dyn OnRcpt>>,
    /// When the message is complete.
    pub data: Vec<Listed<dyn OnData>>,
    /// Every symbol that can be found, with the check it belongs to.
    pub symbols: Vec<(Name, SymbolRef)>,
    /// Symbols of the checks that are switched off.
    pub idle: Vec<SymbolRef>,
}
