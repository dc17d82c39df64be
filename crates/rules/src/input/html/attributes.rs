//! The attributes of one tag. Few of them are asked for, so a value is decoded only then.

use std::borrow::Cow;

use super::entities;
use super::text::text_of;
use super::tokens::Attribute;

/// The attributes of a tag; of several of one name the first.
#[derive(Debug, Default)]
pub(super) struct Attributes<'t> {
    list: Vec<Read<'t>>,
    is_source_wide: bool,
}

#[derive(Debug)]
struct Read<'t> {
    /// In lower case.
    name: Cow<'t, str>,
    value: Cow<'t, [u8]>,
    /// The value is to be taken as it is: that of an attribute without one is its name.
    is_literal: bool,
}

impl<'t> Attributes<'t> {
    pub(super) fn read(attributes: &[Attribute<'t>], is_source_wide: bool) -> Attributes<'t> {
        let mut list: Vec<Read<'t>> = Vec::with_capacity(attributes.len());
        for attribute in attributes {
            let name = lower(attribute.name);
            if list.iter().any(|known| known.name == name) {
                continue;
            }
            let (value, is_literal) = match (attribute.value, &name) {
                (Some(value), _) => (Cow::Borrowed(value), false),
                (None, Cow::Borrowed(name)) => (Cow::Borrowed(name.as_bytes()), true),
                (None, Cow::Owned(name)) => (Cow::Owned(name.clone().into_bytes()), true),
            };
            list.push(Read { name, value, is_literal });
        }
        Attributes { list, is_source_wide }
    }

    /// The value of the attribute `name`, which is in lower case.
    pub(super) fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        self.list.iter().find(|read| read.name == name).map(|read| self.value(read))
    }

    /// Those whose names are wanted, in their order.
    pub(super) fn wanted(&self, is_wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        self.list.iter().filter(move |read| is_wanted(&read.name)).map(|read| (&*read.name, self.value(read)))
    }

    /// `class/href=…` is read as `href=…`.
    pub(super) fn take_glued(&mut self, name: &str) {
        let is_glued = |known: &str| {
            known.contains('/')
                && known.match_indices(&format!("/{name}")).any(|(at, _)| {
                    let before = known.get(..at).and_then(|before| before.chars().next_back());
                    before.is_some_and(|char| char.is_alphanumeric() || char == '_')
                })
        };
        if let Some(index) = self.list.iter().position(|read| is_glued(&read.name)) {
            let glued = self.list.remove(index);
            self.list.retain(|read| read.name != name);
            self.list.push(Read { name: Cow::Owned(name.to_owned()), ..glued });
        }
    }

    fn value(&self, read: &'t Read<'_>) -> Cow<'t, str> {
        match (&read.value, read.is_literal) {
            (value, true) => text_of(value),
            (value, false) => match text_of(value) {
                Cow::Borrowed(value) => entities::decode(value, self.is_source_wide, false).text,
                Cow::Owned(value) => Cow::Owned(entities::decode(&value, self.is_source_wide, false).text.into_owned()),
            },
        }
    }
}

fn lower(name: &[u8]) -> Cow<'_, str> {
    let text = text_of(name);
    if name.iter().any(u8::is_ascii_uppercase) { Cow::Owned(text.to_ascii_lowercase()) } else { text }
}
