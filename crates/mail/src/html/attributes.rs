//! The attributes of one tag, and what those of old HTML say that CSS says otherwise today.

use std::borrow::Cow;

use super::css::{Colour, Length, Paint, Style, legacy_paint, length};

/// The colour of links where nothing is said.
const LINK: Colour = Colour(0, 0, 238);

/// The attributes of a tag, references decoded.
pub(super) struct Attributes<'a>(pub(super) Vec<(&'a str, Cow<'a, str>)>);

impl Attributes<'_> {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    pub(super) fn owned(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }

    /// Attributes that hold a script: `onclick` and the like.
    pub(super) fn handlers(&self) -> usize {
        let is_handler = |name: &str| name.len() > 4 && name.get(..2).is_some_and(|on| on.eq_ignore_ascii_case("on"));
        self.0.iter().filter(|(name, value)| is_handler(name) && !value.is_empty()).count()
    }

    pub(super) fn pixels(&self, name: &str) -> Option<u32> {
        match length(self.get(name)?)? {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
            Length::Px(px) => Some(px.clamp(0.0, 1e6) as u32),
            Length::Share(_) => None,
        }
    }

    /// What attributes say that CSS says otherwise today.
    pub(super) fn legacy_style(&self, name: &str) -> Style {
        let mut style = Style::default();
        if self.get("hidden").is_some() {
            style.is_displayed = Some(false);
        }
        let colour = match name {
            "body" => self.get("text"),
            "font" | "basefont" => self.get("color"),
            _ => None,
        };
        style.colour = colour.and_then(legacy_paint);
        if name == "a" && self.get("href").is_some() {
            style.colour = Some(Paint::Colour(LINK));
        }
        style.background = self.get("bgcolor").and_then(legacy_paint);
        if self.get("background").is_some_and(|picture| !picture.is_empty()) {
            style.background = Some(Paint::Unknown);
        }
        if matches!(name, "pre" | "textarea" | "xmp" | "plaintext" | "listing") {
            style.keeps_blanks = Some(true);
        }
        style
    }
}
