//! Rule files as the daemon lives with them: `[rules]` says which, [`Loaded`] is what they came to, and [`Live`] keeps the present set
//! while files change. A broken file never takes a working set away.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidegate_rules::language::conditions::Claims;
use tidegate_rules::pattern::has_machine_code;

mod files;
mod load;

pub use files::Stamps;
pub(crate) use files::would_read;
pub use load::{Cache, Loaded, load};
pub(crate) use load::{every_plugin, included, read, read_named};

/// What is said where patterns are interpreted.
pub(crate) const NO_MACHINE_CODE: &str = "patterns of rules run without machine code, in about twice the time: memory may not be written \
                                          and executed here; see MemoryDenyWriteExecute in the unit";

/// Remarks that `tidegate status` shows.
const REMARKS_SHOWN: usize = 20;

/// `[rules]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether rules are matched at all.
    pub enabled: bool,
    /// Whether the rules that come with Tidegate are read, before all others.
    pub shipped: bool,
    /// Files, folders (their `.pre` and `.cf` files by name) and patterns (`/etc/tidegate/rules/*.cf`), in the order in which they are
    /// read: later lines stand before earlier ones. `.pre` files are read before all others.
    pub files: Vec<String>,
    /// Whether rules may ask DNS; without it, SpamAssassin's scores for local tests apply.
    pub dns: bool,
    /// What `if` and `ifplugin` lines find besides what is built in: plugins (`Mail::SpamAssassin::Plugin::Own`), and functions for
    /// `has()` and `can()` (`Mail::SpamAssassin::Plugin::Own::has_it`).
    pub claims: Vec<String>,
}

impl Default for Config {
    fn default() -> Config {
        let files = vec!["/etc/tidegate/rules/*.cf".to_owned()];
        Config { enabled: true, shipped: true, files, dns: true, claims: Vec::new() }
    }
}

impl Config {
    /// What is claimed, and which entries are no names of plugins or functions.
    pub(crate) fn claimed(&self) -> (Claims, Vec<String>) {
        let mut claims = Claims::default();
        let mut errors = Vec::new();
        for entry in &self.claims {
            let is_word = |word: &str| {
                word.starts_with(|c: char| c.is_ascii_alphabetic())
                    && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            };
            match entry.rsplit_once("::") {
                // Perl's modules begin with capitals, its functions with small letters.
                Some((module, name)) if module.split("::").all(is_word) && is_word(name) => {
                    let list = if name.starts_with(|c: char| c.is_ascii_uppercase()) {
                        &mut claims.plugins
                    } else {
                        &mut claims.can
                    };
                    list.push(entry.clone());
                }
                _ => errors.push(format!(
                    "[rules] claims: `{entry}` is no plugin or function; write it as Mail::SpamAssassin::Plugin::Own or \
                     Mail::SpamAssassin::Plugin::Own::has_it"
                )),
            }
        }
        (claims, errors)
    }
}

/// The present rules, and what became of the last try to read them.
#[derive(Default)]
pub struct Live {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    loaded: Option<Arc<Loaded>>,
    /// The files as they were at the last try, whether it succeeded or not.
    tried: Option<Stamps>,
    /// The files that others included then, also those that were not there.
    included: Vec<PathBuf>,
    trouble: Option<Trouble>,
}

/// Why the files as they are now are not, or not wholly, in use.
#[derive(Clone, Debug, Serialize)]
struct Trouble {
    since: Timestamp,
    /// The files as they were before are in use; else what can be read of them as they are.
    former_in_use: bool,
    /// What is wrong, each with file, line and column.
    causes: Vec<String>,
}

impl Live {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Each change below is one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is in use.
    pub fn loaded(&self) -> Option<Arc<Loaded>> {
        self.state().loaded.clone()
    }

    /// What went away since the present set was read and was hardly meant to: folders, with all files that were read from them.
    pub fn gone(&self, loaded: &Loaded) -> Vec<String> {
        self.loaded().map_or_else(Vec::new, |former| files::folders_gone(&former.names, &loaded.names))
    }

    /// Whether the files are no longer as they were when they were last tried.
    pub fn is_stale(&self, config: &Config) -> bool {
        let (included, tried) = {
            let state = self.state();
            (state.included.clone(), state.tried.clone())
        };
        tried.as_ref() != Some(&Stamps::of(config, &included))
    }

    /// Puts `loaded` into use, broken lines left out.
    pub fn put(&self, loaded: Arc<Loaded>, now: Timestamp) {
        let causes = loaded.errors();
        let mut state = self.state();
        state.tried = Some(loaded.stamps.clone());
        state.included.clone_from(&loaded.included);
        state.trouble = (!causes.is_empty()).then_some(Trouble { since: now, former_in_use: false, causes });
        state.loaded = Some(loaded);
    }

    /// Notes that `loaded` is not taken into use because of `causes`.
    pub fn keep_old(&self, loaded: &Loaded, causes: Vec<String>, now: Timestamp) {
        let mut state = self.state();
        state.tried = Some(loaded.stamps.clone());
        state.included.clone_from(&loaded.included);
        state.trouble = Some(Trouble { since: now, former_in_use: true, causes });
    }

    /// For `tidegate status`.
    pub fn status(&self) -> Value {
        let state = self.state();
        let trouble = serde_json::to_value(&state.trouble).unwrap_or_default();
        let Some(loaded) = &state.loaded else { return json!({"live": 0, "trouble": trouble}) };
        let remarks = loaded.warnings();
        json!({
            "live": loaded.live(),
            "files": loaded.names,
            "since": loaded.at.to_string(),
            "load_ms": loaded.load_ms,
            "machine_code": has_machine_code(),
            "warnings": remarks.len(),
            "remarks": remarks.into_iter().take(REMARKS_SHOWN).collect::<Vec<_>>(),
            "trouble": trouble,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::sync::Weak;

    use arc_swap::ArcSwapOption;
    use tidegate_filter::engine::Engine;
    use tidegate_rules::{Answers, Context, Input, RuleSet};

    #[test]
    fn files_that_did_not_change_are_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let config = Config { files: vec![folder.path().join("*.cf").display().to_string()], ..Config::default() };
        let load = |config: &Config| load(config, &[], Cache::Kept(&folder.path().join("rules.cache")));
        let live = Live::default();
        assert!(live.is_stale(&config));
        put("a.cf", "body GOOD /x/");
        live.put(Arc::new(load(&config)), Timestamp::UNIX_EPOCH);
        assert!(!live.is_stale(&config));
        put("b.cf", "include c.inc\nbody BROKEN /(/");
        assert!(live.is_stale(&config));
        let broken = load(&config);
        let errors = broken.errors();
        assert!(errors.len() == 2 && errors.iter().all(|error| error.contains("b.cf:")), "{errors:?}");
        live.keep_old(&broken, errors, Timestamp::UNIX_EPOCH);
        assert!(!live.is_stale(&config), "a broken file is not tried again until it changes");
        assert!(live.loaded().unwrap().set.rule("GOOD").is_some());
        put("c.inc", "body INCLUDED /y/");
        assert!(live.is_stale(&config), "a file that was missed is there now");
        put("b.cf", "include c.inc");
        let whole = load(&config);
        assert!(whole.errors().is_empty() && whole.set.rule("INCLUDED").is_some());
        assert_ne!(whole.hash, live.loaded().unwrap().hash);
        put("rules.cache", "damaged");
        assert_eq!(load(&config).hash, whole.hash, "a file that cannot be used is as good as none, and is replaced");
        assert_ne!(std::fs::read(folder.path().join("rules.cache")).unwrap(), b"damaged");
    }

    /// A thousand remarks on one file say no more than ten, and hide those on others.
    #[test]
    fn of_a_file_that_is_none_of_rules_a_few_lines_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let octets: Vec<u8> =
            (0..300_000_u32).map(|n| u8::try_from(n.wrapping_mul(2_654_435_761) >> 24).unwrap()).collect();
        std::fs::write(folder.path().join("a.cf"), octets).unwrap();
        std::fs::write(folder.path().join("b.cf"), "body BROKEN /(/").unwrap();
        let config = Config { files: vec![folder.path().display().to_string()], ..Config::default() };
        let loaded = load(&config, &[], Cache::Read(Path::new("/nonexistent")));
        let errors = loaded.errors();
        assert!(errors.len() == 12 && errors.last().unwrap().contains("a.cf: and "), "{errors:#?}");
        assert!(errors.iter().any(|error| error.contains("b.cf:1:")), "{errors:#?}");

        let live = Live::default();
        live.put(Arc::new(loaded), Timestamp::UNIX_EPOCH);
        assert_eq!(live.status()["trouble"]["former_in_use"], false, "there is no former set");
    }

    #[test]
    fn what_is_claimed_is_found_by_conditions() {
        let folder = tempfile::tempdir().unwrap();
        let text = "loadplugin Mail::SpamAssassin::Plugin::Own\nifplugin Mail::SpamAssassin::Plugin::Own\nbody A /aaa/\nendif\n\
                    if can(Mail::SpamAssassin::Plugin::Own::has_it)\nbody B /bbb/\nendif\n";
        std::fs::write(folder.path().join("a.cf"), text).unwrap();
        let load = |claims: &[&str]| {
            let files = vec![folder.path().display().to_string()];
            let claims = claims.iter().map(|name| (*name).to_owned()).collect();
            let config = Config { files, claims, ..Config::default() };
            load(&config, &[], Cache::Read(Path::new("/nonexistent")))
        };
        let has = |loaded: &Loaded, name: &str| loaded.set.rule(name).is_some();
        let without = load(&[]);
        assert!(
            !has(&without, "A") && !has(&without, "B") && without.warnings().len() == 1,
            "{:?}",
            without.warnings()
        );
        let own = "Mail::SpamAssassin::Plugin::Own";
        let plugin = load(&[own]);
        assert!(has(&plugin, "A") && !has(&plugin, "B") && plugin.warnings().is_empty());
        let all = load(&[own, "Mail::SpamAssassin::Plugin::Own::has_it"]);
        assert!(has(&all, "A") && has(&all, "B") && all.hash != plugin.hash);
        for wrong in ["Own", "", "::", "Mail::SpamAssassin::Plugin::", "Mail::Spam Assassin::x", "Mail::*"] {
            let errors = load(&[wrong]).errors();
            assert!(errors.len() == 1 && errors[0].contains(wrong), "{wrong}: {errors:?}");
        }
    }

    /// Stock rules know links that are shortened by their text, where nothing follows these.
    #[test]
    fn without_plugin_files_no_plugin_counts_that_cannot_work() {
        let folder = tempfile::tempdir().unwrap();
        let plugin = "Mail::SpamAssassin::Plugin::DecodeShortURLs";
        let text = format!(
            "ifplugin {plugin}\nbody SHORT eval:short_url()\nendif\nif !plugin({plugin})\nuri SHORT m{{^https://bit\\.ly/}}\nendif\n"
        );
        std::fs::write(folder.path().join("a.cf"), text).unwrap();
        let config = Config { files: vec![folder.path().display().to_string()], ..Config::default() };
        let loaded = load(&config, &[], Cache::Read(Path::new("/nonexistent")));
        assert!(loaded.errors().is_empty() && loaded.warnings().is_empty(), "{:?}", loaded.warnings());
        assert!(loaded.set.rule("SHORT").unwrap().can_hit());
    }

    #[test]
    fn a_named_file_must_be_there_and_switched_off_rules_are_none() {
        let config = Config { files: vec!["/nonexistent/local.cf".into()], ..Config::default() };
        assert_eq!(load(&config, &[], Cache::Kept(Path::new("/nonexistent/rules.cache"))).errors().len(), 1);
        let off = load(&Config { enabled: false, ..config }, &[], Cache::Kept(Path::new("/nonexistent/rules.cache")));
        assert!(off.errors().is_empty() && off.live() == 0);
    }

    /// Whatever of a replaced set stayed would add up: rules change each day, and a set takes tens of megabytes.
    #[test]
    fn nothing_is_left_of_sets_that_were_replaced() {
        const RELOADS: usize = 200;
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "[server]\nhostname = \"mx.example\"\n[state]\nfolder = {:?}\n[rules]\nshipped = false\nfiles = [{:?}]\n",
            folder.path().join("state"),
            folder.path().join("a.cf"),
        );
        let config = crate::config::Config::parse(&text, Path::new("t.toml")).unwrap();
        let (live, in_use) = (Live::default(), ArcSwapOption::<Engine>::empty());
        let (mut sets, mut engines) = (Vec::<Weak<RuleSet>>::new(), Vec::<Weak<Engine>>::new());
        for number in 0..RELOADS {
            let rules = format!("body A /word{number} of \\w+/\nheader B Subject =~ /t{number}/\nmeta C A && B\n");
            std::fs::write(folder.path().join("a.cf"), rules).unwrap();
            let loaded = Arc::new(config.load_rules());
            assert_eq!(loaded.errors(), Vec::<String>::new());
            let message = format!("Subject: t{number}\n\nword{number} of honour\n");
            let input = Input::from_octets(message.as_bytes(), &Context::default(), loaded.set.settings());
            assert_eq!(loaded.set.hits(&input, &Answers::default()).hits.len(), 3);
            let engine = Arc::new(config.engine(Path::new("t.toml"), Some(&loaded)).unwrap());
            sets.push(Arc::downgrade(&loaded.set));
            engines.push(Arc::downgrade(&engine));
            in_use.store(Some(engine));
            live.put(loaded, Timestamp::UNIX_EPOCH);
        }
        assert_eq!(sets.iter().filter(|set| set.strong_count() > 0).count(), 1);
        assert_eq!(engines.iter().filter(|engine| engine.strong_count() > 0).count(), 1);
    }
}
