//! Style declarations, as far as they decide what a reader sees: display, visibility, colours, sizes, clipping.
//! Read from `style` attributes and from simple selectors (`tag`, `.class`, `tag.class`, `#id`) of `style` elements. At-rules are
//! passed over: what a filter takes for hidden must be hidden without conditions.

/// Rules kept of all style sheets of one part.
const RULES_MAX: usize = 1_000;
/// Octets of style sheets read of one part.
pub(super) const SHEET_OCTETS_MAX: usize = 256 << 10;

/// An sRGB colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Colour(pub(super) u8, pub(super) u8, pub(super) u8);

impl Colour {
    pub(super) const BLACK: Colour = Colour(0, 0, 0);
    pub(super) const WHITE: Colour = Colour(255, 255, 255);

    /// Whether a reader can hardly tell the two apart.
    pub(super) fn is_like(self, other: Colour) -> bool {
        /// Steps of 255 in each channel; 0.06 of the full range.
        const STEPS_MAX: u8 = 16;
        let is_near = |a: u8, b: u8| a.abs_diff(b) <= STEPS_MAX;
        is_near(self.0, other.0) && is_near(self.1, other.1) && is_near(self.2, other.2)
    }
}

/// A paint: a colour, nothing, or something that cannot be known (an image, a variable).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paint {
    Colour(Colour),
    Transparent,
    Unknown,
}

/// A length, in what it counts in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Length {
    Px(f32),
    /// Of the size of the parent.
    Share(f32),
}

/// What a set of declarations says; `None` where it says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Style {
    pub(super) is_displayed: Option<bool>,
    pub(super) is_visible: Option<bool>,
    pub(super) colour: Option<Paint>,
    pub(super) background: Option<Paint>,
    pub(super) font_size: Option<Length>,
    pub(super) is_clear: bool,
    pub(super) has_no_extent: bool,
    pub(super) is_clipped: bool,
    pub(super) is_away: bool,
    pub(super) keeps_blanks: Option<bool>,
}

impl Style {
    /// Reads `name: value; ...`, a later declaration over an earlier one.
    pub(super) fn parse(declarations: &str) -> Style {
        let mut style = Style::default();
        for declaration in declarations.split(';') {
            if let Some((name, value)) = declaration.split_once(':') {
                style.declare(name.trim(), value);
            }
        }
        style
    }

    /// `other` over `self`.
    pub(super) fn overlay(&mut self, other: &Style) {
        let Style { is_displayed, is_visible, colour, background, font_size, keeps_blanks, .. } = *other;
        self.is_displayed = is_displayed.or(self.is_displayed);
        self.is_visible = is_visible.or(self.is_visible);
        self.colour = colour.or(self.colour);
        self.background = background.or(self.background);
        self.font_size = font_size.or(self.font_size);
        self.keeps_blanks = keeps_blanks.or(self.keeps_blanks);
        self.is_clear |= other.is_clear;
        self.has_no_extent |= other.has_no_extent;
        self.is_clipped |= other.is_clipped;
        self.is_away |= other.is_away;
    }

    fn declare(&mut self, name: &str, value: &str) {
        let value = value.trim().to_ascii_lowercase();
        let value = value.split('!').next().unwrap_or_default().trim();
        match name.to_ascii_lowercase().as_str() {
            "display" => self.is_displayed = Some(value != "none"),
            "visibility" => self.is_visible = Some(!matches!(value, "hidden" | "collapse")),
            "color" => self.colour = paint(value).or(self.colour),
            "background-color" => self.background = paint(value).or(self.background),
            "background-image" if value != "none" => self.background = Some(Paint::Unknown),
            "background" => self.background = background(value).or(self.background),
            "font-size" => self.font_size = length(value).or(self.font_size),
            "font" => self.font_size = font_size_of(value).or(self.font_size),
            "opacity" => self.is_clear = value.trim_end_matches('%').parse().is_ok_and(|opacity: f32| opacity <= 0.05),
            "max-height" | "height" | "max-width" | "width" => {
                self.has_no_extent |= matches!(length(value), Some(Length::Px(px)) if px <= 1.0);
            }
            "overflow" | "overflow-y" | "overflow-x" => self.is_clipped = matches!(value, "hidden" | "clip"),
            "text-indent" | "left" | "top" | "margin-left" | "margin-top" => {
                self.is_away |= matches!(length(value), Some(Length::Px(px)) if px < -AWAY_PX_MIN);
            }
            "white-space" => self.keeps_blanks = Some(value.starts_with("pre") || value == "break-spaces"),
            _ => {}
        }
    }
}

/// How far text must be moved to be off the screen for certain.
const AWAY_PX_MIN: f32 = 500.0;

/// `font: italic bold 12px/30px Georgia`: the length before the slash.
fn font_size_of(value: &str) -> Option<Length> {
    let sizes = value.split_whitespace().map(|word| word.split('/').next().unwrap_or(word));
    sizes.filter(|word| word.starts_with(|c: char| c.is_ascii_digit() || c == '.')).find_map(|word| {
        // A bare number is a weight.
        word.ends_with(|c: char| c.is_ascii_alphabetic() || c == '%').then(|| length(word)).flatten()
    })
}

fn background(value: &str) -> Option<Paint> {
    if value.contains("url(") || value.contains("gradient(") {
        return Some(Paint::Unknown);
    }
    // A function such as `rgb(1, 2, 3)` holds blanks; else the first word that is a colour.
    paint(value).or_else(|| value.split_whitespace().find_map(paint))
}

/// A length in CSS units, HTML pixels without unit, or a size by name.
pub(super) fn length(value: &str) -> Option<Length> {
    let value = value.trim();
    let end = value.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '-' | '+')).unwrap_or(value.len());
    let (number, unit) = value.split_at_checked(end)?;
    let Ok(number) = number.parse::<f32>() else {
        return match value {
            "xx-small" => Some(Length::Px(9.0)),
            "x-small" => Some(Length::Px(10.0)),
            "small" => Some(Length::Px(13.0)),
            "medium" => Some(Length::Px(16.0)),
            "large" => Some(Length::Px(18.0)),
            "x-large" => Some(Length::Px(24.0)),
            "xx-large" => Some(Length::Px(32.0)),
            "smaller" => Some(Length::Share(0.83)),
            "larger" => Some(Length::Share(1.2)),
            _ => None,
        };
    };
    match unit.trim() {
        "px" | "" => Some(Length::Px(number)),
        "pt" => Some(Length::Px(number * 4.0 / 3.0)),
        "pc" => Some(Length::Px(number * 16.0)),
        "in" => Some(Length::Px(number * 96.0)),
        "cm" => Some(Length::Px(number * 37.8)),
        "mm" => Some(Length::Px(number * 3.78)),
        "em" | "ex" | "ch" => Some(Length::Share(number)),
        "%" => Some(Length::Share(number / 100.0)),
        "rem" => Some(Length::Px(number * 16.0)),
        "vw" | "vh" | "vmin" | "vmax" => Some(Length::Px(number * 8.0)),
        _ => None,
    }
}

/// A colour in any notation that mail uses.
pub(super) fn paint(value: &str) -> Option<Paint> {
    let value = value.trim();
    if let Some(digits) = value.strip_prefix('#') {
        return hex_colour(digits);
    }
    for function in ["rgba(", "rgb("] {
        if let Some(arguments) = value.strip_prefix(function) {
            return rgb(arguments.trim_end_matches(')'));
        }
    }
    match value {
        "transparent" => Some(Paint::Transparent),
        "inherit" | "initial" | "unset" | "currentcolor" | "auto" | "none" | "" => None,
        _ if value.contains('(') => Some(Paint::Unknown),
        _ => NAMES.iter().find(|(name, _)| *name == value).map(|(_, colour)| Paint::Colour(*colour)),
    }
}

/// The value of a `color` or `bgcolor` attribute: as in CSS, or hexadecimal digits without `#`.
pub(super) fn legacy_paint(value: &str) -> Option<Paint> {
    let value = value.trim().to_ascii_lowercase();
    paint(&value).or_else(|| hex_colour(&value))
}

fn hex_colour(digits: &str) -> Option<Paint> {
    let values: Vec<u8> =
        digits.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect::<Option<_>>()?;
    match *values.as_slice() {
        [r, g, b] => Some(Paint::Colour(Colour(r * 17, g * 17, b * 17))),
        [_, _, _, 0] => Some(Paint::Transparent),
        [r, g, b, _] => Some(Paint::Colour(Colour(r * 17, g * 17, b * 17))),
        [_, _, _, _, _, _, 0, 0] => Some(Paint::Transparent),
        [r, rr, g, gg, b, bb] | [r, rr, g, gg, b, bb, _, _] => {
            Some(Paint::Colour(Colour(r * 16 + rr, g * 16 + gg, b * 16 + bb)))
        }
        _ => None,
    }
}

fn rgb(arguments: &str) -> Option<Paint> {
    let mut numbers = arguments.split([',', ' ', '/']).filter(|text| !text.is_empty()).map(|text| {
        let is_share = text.ends_with('%');
        let number: f32 = text.trim_end_matches('%').parse().ok()?;
        Some(if is_share { number / 100.0 } else { number })
    });
    let mut channel = || {
        let number = numbers.next()??;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what an octet holds")]
        Some(number.clamp(0.0, 255.0) as u8)
    };
    let colour = Colour(channel()?, channel()?, channel()?);
    let alpha = numbers.next().flatten().unwrap_or(1.0);
    Some(if alpha <= 0.05 { Paint::Transparent } else { Paint::Colour(colour) })
}

/// Colour names seen in mail; the others of CSS never served to hide text.
const NAMES: &[(&str, Colour)] = &[
    ("white", Colour::WHITE),
    ("black", Colour::BLACK),
    ("red", Colour(255, 0, 0)),
    ("green", Colour(0, 128, 0)),
    ("blue", Colour(0, 0, 255)),
    ("yellow", Colour(255, 255, 0)),
    ("gray", Colour(128, 128, 128)),
    ("grey", Colour(128, 128, 128)),
    ("silver", Colour(192, 192, 192)),
    ("maroon", Colour(128, 0, 0)),
    ("navy", Colour(0, 0, 128)),
    ("orange", Colour(255, 165, 0)),
    ("purple", Colour(128, 0, 128)),
    ("teal", Colour(0, 128, 128)),
    ("lime", Colour(0, 255, 0)),
    ("aqua", Colour(0, 255, 255)),
    ("fuchsia", Colour(255, 0, 255)),
    ("olive", Colour(128, 128, 0)),
    ("lightgray", Colour(211, 211, 211)),
    ("lightgrey", Colour(211, 211, 211)),
    ("darkgray", Colour(169, 169, 169)),
    ("dimgray", Colour(105, 105, 105)),
    ("gainsboro", Colour(220, 220, 220)),
    ("whitesmoke", Colour(245, 245, 245)),
    ("snow", Colour(255, 250, 250)),
    ("ivory", Colour(255, 255, 240)),
    ("azure", Colour(240, 255, 255)),
    ("ghostwhite", Colour(248, 248, 255)),
    ("aliceblue", Colour(240, 248, 255)),
    ("lightblue", Colour(173, 216, 230)),
    ("lightyellow", Colour(255, 255, 224)),
    ("darkblue", Colour(0, 0, 139)),
    ("darkgreen", Colour(0, 100, 0)),
    ("darkred", Colour(139, 0, 0)),
    ("crimson", Colour(220, 20, 60)),
    ("pink", Colour(255, 192, 203)),
    ("tomato", Colour(255, 99, 71)),
    ("brown", Colour(165, 42, 42)),
    ("beige", Colour(245, 245, 220)),
    ("gold", Colour(255, 215, 0)),
];

/// The rules of the style sheets of one part.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    /// By what the selector names at its most special: a tag, a class, an id. The later ones count over the earlier.
    tags: Vec<Rule>,
    classes: Vec<Rule>,
    ids: Vec<Rule>,
    octets: usize,
}

#[derive(Debug)]
struct Rule {
    tag: String,
    class: String,
    id: String,
    style: Style,
}

impl Sheet {
    /// Adds the rules of one `style` element.
    pub(super) fn add(&mut self, text: &str) {
        self.octets = self.octets.saturating_add(text.len());
        if self.octets > SHEET_OCTETS_MAX {
            return;
        }
        let text = without_comments(text);
        let mut rest = text.as_str();
        while let Some((selectors, after)) = rest.split_once('{') {
            let selectors = selectors.rsplit([';', '}']).next().unwrap_or(selectors).trim();
            if selectors.starts_with('@') {
                rest = after_block(after);
                continue;
            }
            let (declarations, after) = after.split_once('}').unwrap_or((after, ""));
            rest = after;
            let style = Style::parse(declarations);
            if style != Style::default() {
                self.add_rule(selectors, &style);
            }
        }
    }

    fn add_rule(&mut self, selectors: &str, style: &Style) {
        for selector in selectors.split(',').map(str::trim) {
            let is_simple = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '#');
            let rules = self.tags.len() + self.classes.len() + self.ids.len();
            if rules >= RULES_MAX || selector.is_empty() || !selector.chars().all(is_simple) {
                continue;
            }
            let (rest, id) = selector.split_once('#').unwrap_or((selector, ""));
            let (tag, class) = rest.split_once('.').unwrap_or((rest, ""));
            let is_one_of_each = !class.contains('.') && !id.contains(['.', '#']);
            if is_one_of_each {
                let rule = Rule { tag: tag.to_ascii_lowercase(), class: class.into(), id: id.into(), style: *style };
                match (class, id) {
                    ("", "") => self.tags.push(rule),
                    (_, "") => self.classes.push(rule),
                    _ => self.ids.push(rule),
                }
            }
        }
    }

    /// What the rules say of an element. `tag` is lower case, `classes` are separated by blanks.
    pub(super) fn style_of(&self, tag: &str, classes: &str, id: &str) -> Style {
        let has_class = |class: &str| classes.split_ascii_whitespace().any(|known| known == class);
        let mut style = Style::default();
        for rules in [&self.tags, &self.classes, &self.ids] {
            for rule in rules {
                let is_meant = (rule.tag.is_empty() || rule.tag == tag)
                    && (rule.class.is_empty() || has_class(&rule.class))
                    && (rule.id.is_empty() || rule.id == id);
                if is_meant {
                    style.overlay(&rule.style);
                }
            }
        }
        style
    }
}

fn without_comments(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, comment)) = rest.split_once("/*") {
        kept.push_str(before);
        rest = comment.split_once("*/").map_or("", |(_, after)| after);
    }
    kept.push_str(rest);
    kept
}

/// What follows the block that was just opened, blocks within it included.
fn after_block(text: &str) -> &str {
    let mut depth = 1usize;
    for (index, b) in text.bytes().enumerate() {
        match b {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return text.get(index + 1..).unwrap_or_default();
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_in_all_notations() {
        for (value, expected) in [
            ("#fff", Some(Paint::Colour(Colour::WHITE))),
            ("#FEFEFE", None),
            ("#fefefe", Some(Paint::Colour(Colour(254, 254, 254)))),
            ("rgb(255, 255, 255)", Some(Paint::Colour(Colour::WHITE))),
            ("rgba(0,0,0,0)", Some(Paint::Transparent)),
            ("rgb(0 0 0 / 0%)", Some(Paint::Transparent)),
            ("transparent", Some(Paint::Transparent)),
            ("inherit", None),
            ("var(--x)", Some(Paint::Unknown)),
        ] {
            assert_eq!(paint(value), expected.or_else(|| paint(&value.to_ascii_lowercase())), "{value}");
        }
        assert_eq!(legacy_paint("FFFFFF"), Some(Paint::Colour(Colour::WHITE)));
        assert!(Colour::WHITE.is_like(Colour(250, 250, 245)) && !Colour::WHITE.is_like(Colour(230, 230, 230)));
    }

    #[test]
    fn declarations_that_hide() {
        assert_eq!(Style::parse("DISPLAY : NONE !important").is_displayed, Some(false));
        assert_eq!(Style::parse("font:0px/0px a").font_size, Some(Length::Px(0.0)));
        assert_eq!(Style::parse("font: bold 12pt Arial").font_size, Some(Length::Px(16.0)));
        assert_eq!(Style::parse("background:#fff url(x.png)").background, Some(Paint::Unknown));
        assert_eq!(Style::parse("background: no-repeat #000").background, Some(Paint::Colour(Colour::BLACK)));
        let clipped = Style::parse("max-height:0;overflow:hidden");
        assert!(clipped.has_no_extent && clipped.is_clipped);
        assert!(Style::parse("text-indent:-9999px").is_away);
    }

    #[test]
    fn sheets_hold_simple_selectors_only() {
        let mut sheet = Sheet::default();
        sheet.add(
            "/* x */ .a, p.b { display:none } @media print { .c { display:none } } #d{color:#fff} .e .f{display:none}",
        );
        let is_hidden = |tag: &str, class: &str| sheet.style_of(tag, class, "").is_displayed == Some(false);
        assert!(is_hidden("div", "x a") && is_hidden("p", "b"));
        assert!(!is_hidden("div", "b") && !is_hidden("p", "c") && !is_hidden("p", "f"));
        assert_eq!(sheet.style_of("p", "", "d").colour, Some(Paint::Colour(Colour::WHITE)));
    }
}
