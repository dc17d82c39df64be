//! HTML as SpamAssassin renders it: the text that remains, and the facts about tags, links, images and colours that rules ask for.
//!
//! `tidegate_mail::html` renders as browsers do, with style sheets and implied ends of elements, which SpamAssassin knows nothing of: it drops or
//! keeps text where a reader sees the contrary. Rules were written against that text, so neither can stand in for the other
//! (docs/decisions/rules-read-mail-as-spamassassin.md).

mod attributes;
mod color;
mod cut_words;
mod elements;
pub(crate) mod entities;
mod inside;
mod links;
mod render;
mod style;
mod text;
mod tokens;

use std::collections::HashMap;

pub(crate) use render::render;

/// What the HTML parts of a message showed, in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HtmlFacts {
    /// One entry for each rendered HTML part.
    pub parts: Vec<HtmlPart>,
}

/// What one HTML part showed. Ratios are `None` where there was nothing to divide by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HtmlPart {
    /// For each tag that was opened or closed: how often it is still open at the end. `!doctype` is there with 0.
    pub inside: HashMap<String, i64>,
    /// Characters of the source.
    pub length: usize,
    /// Characters of the rendered text.
    pub html_length: usize,
    /// Rendered characters that are no white space.
    pub non_space_len: usize,
    /// Share of the source that is not rendered.
    pub ratio: Option<f64>,
    /// Square pixels of images that tell their size.
    pub image_area: f64,
    /// Smallest font size, 1 to 7 as HTML counts; 3 without any.
    pub min_size: i64,
    /// Largest font size.
    pub max_size: i64,
    /// End tags without a start tag, as a share of all tags.
    pub closed_extra_ratio: Option<f64>,
    /// Share of tags that HTML does not have.
    pub bad_tag_ratio: Option<f64>,
    /// The same of different tags.
    pub non_element_ratio: Option<f64>,
    /// Tags in the middle of words, as a share of all tags.
    pub obfuscation_ratio: Option<f64>,
    /// How many different ways a tag cuts a short word.
    pub backhair_count: Option<usize>,
    /// Text of the colour of its background, or nearly so.
    pub font_low_contrast: bool,
    /// Text of a colour that does not exist.
    pub font_invalid_color: bool,
    /// A font name of odd characters.
    pub font_face_bad: bool,
    /// A form that is sent by mail.
    pub form_action_mailto: bool,
    /// Embedded objects.
    pub embeds: bool,
    /// Comments with their delimiters.
    pub comments: Vec<String>,
    /// Contents of `script`.
    pub scripts: Vec<String>,
    /// Contents of `title`.
    pub titles: Vec<String>,
    /// Texts of links.
    pub anchors: Vec<String>,
    /// Links as written, made absolute; in order of appearance.
    pub links: Vec<HtmlLink>,
    /// A link was cut at its limit.
    pub is_uri_truncated: bool,
}

/// One link of an HTML part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HtmlLink {
    /// The link.
    pub uri: String,
    /// Tags that have it. Without any, only the text of the link belongs here: the link itself was made absolute.
    pub tags: Vec<&'static str>,
    /// Texts of the links.
    pub anchor_texts: Vec<String>,
}
