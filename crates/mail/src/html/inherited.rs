//! What an element hands down to its children, and how that hides text.

use super::Hiding;
use super::css::{Colour, Length, Paint, Style};

/// Size of text where nothing is said, in CSS pixels.
const FONT_PX: f32 = 16.0;
/// A font below this cannot be read.
const FONT_PX_MIN: f32 = 2.0;

/// What children inherit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inherited {
    pub(super) hiding: Option<Hiding>,
    pub(super) is_visible: bool,
    pub(super) colour: Paint,
    pub(super) background: Paint,
    pub(super) font_px: f32,
    pub(super) keeps_blanks: bool,
    pub(super) is_unseen: bool,
    /// Index of the link around.
    pub(super) link: Option<usize>,
}

/// What stands outside all elements.
pub(super) const ROOT: Inherited = Inherited {
    hiding: None,
    is_visible: true,
    colour: Paint::Colour(Colour::BLACK),
    background: Paint::Colour(Colour::WHITE),
    font_px: FONT_PX,
    keeps_blanks: false,
    is_unseen: false,
    link: None,
};

impl Inherited {
    pub(super) fn with(self, style: &Style, is_unseen: bool) -> Inherited {
        let font_px = match style.font_size {
            Some(Length::Px(px)) => px,
            Some(Length::Share(share)) => self.font_px * share,
            None => self.font_px,
        };
        let hides = |is: bool, how: Hiding| is.then_some(how);
        let hiding = self
            .hiding
            .or(hides(style.is_displayed == Some(false), Hiding::Display))
            .or(hides(style.is_clear, Hiding::Transparent))
            .or(hides(style.has_no_extent && style.is_clipped, Hiding::Clipped))
            .or(hides(style.is_away, Hiding::Away));
        let background = match style.background {
            Some(Paint::Transparent) | None => self.background,
            Some(paint) => paint,
        };
        Inherited {
            hiding,
            is_visible: style.is_visible.unwrap_or(self.is_visible),
            colour: style.colour.unwrap_or(self.colour),
            background,
            font_px,
            keeps_blanks: style.keeps_blanks.unwrap_or(self.keeps_blanks),
            is_unseen: self.is_unseen || is_unseen,
            link: self.link,
        }
    }

    /// How text that stands here is hidden, if it is.
    pub(super) fn how_hidden(&self) -> Option<Hiding> {
        if self.hiding.is_some() {
            return self.hiding;
        }
        if !self.is_visible {
            return Some(Hiding::Visibility);
        }
        if self.font_px < FONT_PX_MIN {
            return Some(Hiding::TinyFont);
        }
        match (self.colour, self.background) {
            (Paint::Transparent, _) => Some(Hiding::Transparent),
            (Paint::Colour(text), Paint::Colour(ground)) if text.is_like(ground) => Some(Hiding::Colour),
            _ => None,
        }
    }
}
