//! Which tags came, and how often each is still open.

use std::collections::HashMap;

use super::elements;

/// Different names that are counted.
const TAG_NAMES_MAX: usize = 20_000;

/// How often each tag is open.
pub(super) struct Inside {
    /// Of the known elements, by number; `None` for one that did not come.
    known: Vec<Option<i64>>,
    unknown: HashMap<String, i64>,
    pub(super) has_doctype: bool,
    /// Different names so far.
    names: usize,
    /// The numbers of the elements that decide what becomes of a text.
    pub(super) script: usize,
    pub(super) style: usize,
    pub(super) anchor: usize,
    pub(super) title: usize,
}

/// What a tag did to the count of its name.
pub(super) struct Counted {
    pub(super) is_new: bool,
    /// It was an end tag, and nothing was open.
    pub(super) is_extra: bool,
}

impl Inside {
    pub(super) fn new() -> Inside {
        let number = |name: &str| elements::find(name.as_bytes()).map_or(usize::MAX, |(index, _)| index);
        Inside {
            known: vec![None; elements::count()],
            unknown: HashMap::new(),
            has_doctype: false,
            names: 0,
            script: number("script"),
            style: number("style"),
            anchor: number("a"),
            title: number("title"),
        }
    }

    pub(super) fn is_open(&self, known: usize) -> bool {
        self.known.get(known).copied().flatten().is_some_and(|count| count > 0)
    }

    pub(super) fn count(&mut self, known: usize, is_start: bool) -> Counted {
        let has_room = self.names + usize::from(self.has_doctype) < TAG_NAMES_MAX;
        let Some(count) = self.known.get_mut(known) else { return Counted { is_new: false, is_extra: false } };
        let is_new = count.is_none();
        if is_new && !has_room {
            return Counted { is_new, is_extra: false };
        }
        self.names += usize::from(is_new);
        Counted { is_new, is_extra: step(count.get_or_insert(0), is_start) }
    }

    pub(super) fn count_unknown(&mut self, name: String, is_start: bool) -> Counted {
        if let Some(count) = self.unknown.get_mut(&name) {
            return Counted { is_new: false, is_extra: step(count, is_start) };
        }
        if self.names + usize::from(self.has_doctype) >= TAG_NAMES_MAX {
            return Counted { is_new: true, is_extra: false };
        }
        self.names += 1;
        Counted { is_new: true, is_extra: step(self.unknown.entry(name).or_insert(0), is_start) }
    }

    pub(super) fn into_counts(self) -> HashMap<String, i64> {
        let mut counts = self.unknown;
        let known = elements::names().zip(self.known).filter_map(|(name, count)| Some((name.to_owned(), count?)));
        counts.extend(known);
        if self.has_doctype {
            counts.insert("!doctype".to_owned(), 0);
        }
        counts
    }
}

/// Counts a start or an end. True for an end without a start.
fn step(count: &mut i64, is_start: bool) -> bool {
    if is_start {
        *count += 1;
    } else if *count > 0 {
        *count -= 1;
    } else {
        return true;
    }
    false
}
