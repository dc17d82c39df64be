//! HTML as a reader sees it: the visible text, the hidden text and how it was hidden, links with their anchors,
//! images and forms. Builds no tree: a bounded stack of open elements carries what children inherit.
//! Does not know style sheets beyond simple selectors, and no layout: `position`, floats and media queries do not count.

mod attributes;
mod css;
mod element;
mod entity;
mod inherited;
#[cfg(test)]
mod oracle;
mod render;
mod token;
mod writer;

pub(crate) use writer::{count_invisible, render_plain};

/// How text was kept from the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Hiding {
    /// `display: none`, or the attribute `hidden`.
    Display,
    /// `visibility: hidden`.
    Visibility,
    /// A font of less than two pixels.
    TinyFont,
    /// The colour of the background.
    Colour,
    /// `opacity: 0`, or a transparent colour.
    Transparent,
    /// No height or width, and what flows over is cut.
    Clipped,
    /// Moved off the screen.
    Away,
}

impl Hiding {
    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Hiding::Display => "display",
            Hiding::Visibility => "visibility",
            Hiding::TinyFont => "tiny_font",
            Hiding::Colour => "colour",
            Hiding::Transparent => "transparent",
            Hiding::Clipped => "clipped",
            Hiding::Away => "away",
        }
    }
}

/// A run of hidden text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HiddenText {
    /// How it was hidden; of several ways the outermost.
    pub how: Hiding,
    /// The text, blanks squeezed.
    pub text: String,
}

/// A link: `a`, `area`, or one within a conditional comment that only Outlook reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// The target as written, references decoded and blanks around it taken away.
    pub href: String,
    /// The visible text of the anchor.
    pub text: String,
    /// Whether the anchor holds an image.
    pub has_image: bool,
    /// Whether the anchor itself is hidden.
    pub is_hidden: bool,
    /// Whether the link stands in a conditional comment.
    pub is_conditional: bool,
}

/// An image, or a background picture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// The source as written.
    pub src: String,
    /// The text shown instead of the picture.
    pub alt: String,
    /// The width in pixels, as declared.
    pub width: Option<u32>,
    /// The height in pixels, as declared.
    pub height: Option<u32>,
    /// Index of the link around it, in [`Html::links`].
    pub link: Option<usize>,
}

impl Image {
    /// Whether the picture is loaded from the network when the message is shown.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        let start: String =
            self.src.chars().filter(|c| !c.is_whitespace()).take(8).collect::<String>().to_ascii_lowercase();
        start.starts_with("http:")
            || start.starts_with("https:")
            || start.starts_with("//")
            || start.starts_with("ftp:")
    }

    /// Whether the picture is too small to be seen.
    #[must_use]
    pub fn is_pixel(&self) -> bool {
        self.width.is_some_and(|width| width <= 1) && self.height.is_some_and(|height| height <= 1)
    }
}

/// A form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// Where it is sent, as written; empty when nothing is said.
    pub action: String,
    /// Fields that can be filled in.
    pub fields: usize,
    /// Whether one of them asks for a password.
    pub has_password: bool,
}

/// What was read from one HTML text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Html {
    /// The text that a reader sees. Blocks stand on lines of their own.
    pub visible: String,
    /// The text that a reader does not see, in order.
    pub hidden: Vec<HiddenText>,
    /// The content of `title`.
    pub title: String,
    /// Links in order.
    pub links: Vec<Link>,
    /// Images in order.
    pub images: Vec<Image>,
    /// Forms in order.
    pub forms: Vec<Form>,
    /// Other addresses that the text refers to: frames, objects, style sheets, refresh, in order.
    pub others: Vec<String>,
    /// `href` of the first `base`: what relative targets are relative to.
    pub base: Option<String>,
    /// Scripts, and attributes that run one (`onload`).
    pub scripts: usize,
    /// Target of `<meta http-equiv=refresh>`.
    pub refresh: Option<String>,
    /// Tags, opening ones.
    pub tags: usize,
    /// Octets of comments.
    pub comment_octets: usize,
    /// Characters without width that were dropped from the text.
    pub invisible_chars: usize,
    /// ... of which those within a word: they split it for a filter, not for the reader.
    pub invisible_chars_in_words: usize,
    /// Whether elements were nested deeper than the limit.
    pub is_too_deep: bool,
    /// Whether there were more links, images or forms than the limit.
    pub has_too_many_items: bool,
}
