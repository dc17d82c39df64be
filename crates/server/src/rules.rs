//! Rule files as the daemon lives with them: `[rules]` says which, [`Loaded`] is what they came to, and [`Live`] keeps the present set
//! while files change. A broken file never takes a working set away.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

mod files;
mod load;

pub use files::Stamps;
pub use load::{Loaded, load};

/// Remarks that `tidegate status` shows.
const REMARKS_SHOWN: usize = 20;

/// `[rules]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
}

impl Default for Config {
    fn default() -> Config {
        Config { enabled: true, shipped: true, files: vec!["/etc/tidegate/rules/*.cf".to_owned()], dns: true }
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
    trouble: Option<Trouble>,
}

/// Why the files as they are now are not in use.
#[derive(Clone, Debug, Serialize)]
struct Trouble {
    since: Timestamp,
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

    /// Whether the files are no longer as they were when they were last tried.
    pub fn is_stale(&self, config: &Config) -> bool {
        let (included, tried) = {
            let state = self.state();
            (state.loaded.as_ref().map(|loaded| loaded.included.clone()).unwrap_or_default(), state.tried.clone())
        };
        tried.as_ref() != Some(&Stamps::of(config, &included))
    }

    /// Puts `loaded` into use, broken lines left out.
    pub fn put(&self, loaded: Arc<Loaded>, now: Timestamp) {
        let causes = loaded.errors();
        let mut state = self.state();
        state.tried = Some(loaded.stamps.clone());
        state.trouble = (!causes.is_empty()).then_some(Trouble { since: now, causes });
        state.loaded = Some(loaded);
    }

    /// Notes that `loaded` is not taken into use because of `causes`.
    pub fn keep_old(&self, loaded: &Loaded, causes: Vec<String>, now: Timestamp) {
        let mut state = self.state();
        state.tried = Some(loaded.stamps.clone());
        state.trouble = Some(Trouble { since: now, causes });
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
            "warnings": remarks.len(),
            "remarks": remarks.into_iter().take(REMARKS_SHOWN).collect::<Vec<_>>(),
            "trouble": trouble,
        })
    }
}
