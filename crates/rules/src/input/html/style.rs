//! Which style applies to text: the stack of open elements that change it, as SpamAssassin keeps it.

use super::attributes::Attributes;
use super::color::{BLACK, Color, WHITE};

/// Elements that change the style of text; a `th` is a `td`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    A,
    Basefont,
    Big,
    Body,
    Div,
    Font,
    Marquee,
    P,
    Small,
    Span,
    Table,
    Td,
    Tr,
}

const ELEMENTS: usize = 13;
const DEFAULT_SIZE: i64 = 3;
/// Elements open at once; deeper ones do not change the style.
const DEPTH_MAX: usize = 10_000;

impl Element {
    pub(crate) fn of(tag: &str) -> Option<Element> {
        let element = match tag {
            "a" => Element::A,
            "basefont" => Element::Basefont,
            "big" => Element::Big,
            "body" => Element::Body,
            "div" => Element::Div,
            "font" => Element::Font,
            "marquee" => Element::Marquee,
            "p" => Element::P,
            "small" => Element::Small,
            "span" => Element::Span,
            "table" => Element::Table,
            "td" | "th" => Element::Td,
            "tr" => Element::Tr,
            _ => return None,
        };
        Some(element)
    }

    /// Whether the element may have this attribute of style.
    fn has(self, attribute: &str) -> bool {
        match self {
            Element::Basefont | Element::Font => matches!(attribute, "color" | "size" | "face"),
            Element::Body => matches!(attribute, "text" | "bgcolor" | "link" | "alink" | "vlink" | "background"),
            Element::Marquee => matches!(attribute, "bgcolor" | "background"),
            Element::Table | Element::Td | Element::Tr => matches!(attribute, "bgcolor" | "style"),
            Element::Span | Element::P | Element::Div | Element::A => attribute == "style",
            Element::Big | Element::Small => false,
        }
    }
}

/// The style of some text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    element: Option<Element>,
    pub(crate) text: Color,
    pub(crate) ground: Color,
    size: i64,
    is_undisplayed: bool,
    is_hidden: bool,
}

/// How text is to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visibility {
    Visible,
    LowContrast,
    InvalidColor,
    Hidden,
}

impl Style {
    pub(crate) fn visibility(&self) -> Visibility {
        if self.text.is_lost_on(self.ground) {
            Visibility::LowContrast
        } else if self.text == Color::Invalid || self.ground == Color::Invalid {
            Visibility::InvalidColor
        } else if self.size <= 1 || self.is_undisplayed || self.is_hidden {
            Visibility::Hidden
        } else {
            Visibility::Visible
        }
    }
}

/// The open elements.
#[derive(Clone, Debug)]
pub(crate) struct Stack {
    styles: Vec<Style>,
    open: [usize; ELEMENTS],
    base_size: i64,
    pub(crate) size_min: i64,
    pub(crate) size_max: i64,
}

const DEFAULT: Style =
    Style { element: None, text: BLACK, ground: WHITE, size: DEFAULT_SIZE, is_undisplayed: false, is_hidden: false };

impl Stack {
    pub(crate) fn new() -> Stack {
        Stack {
            styles: Vec::new(),
            open: [0; ELEMENTS],
            base_size: DEFAULT_SIZE,
            size_min: DEFAULT_SIZE,
            size_max: DEFAULT_SIZE,
        }
    }

    pub(crate) fn top(&self) -> Style {
        self.styles.last().copied().unwrap_or(DEFAULT)
    }

    /// Opens an element with its attributes.
    pub(super) fn open(&mut self, element: Element, attributes: &Attributes<'_>) {
        if element == Element::Basefont
            && let Some(size) = attributes.get("size").and_then(|size| absolute(&size))
        {
            self.base_size = size;
            return;
        }
        if element == Element::Td || element == Element::Tr {
            self.close_cells(element);
        }
        let parent = self.top();
        let mut style = Style { element: Some(element), ..parent };
        match element {
            Element::Big => style.size = style.size.saturating_add(1),
            Element::Small => style.size = style.size.saturating_sub(1),
            _ => {
                for (name, value) in attributes.wanted(|name| element.has(name)) {
                    self.apply(&mut style, parent, name, &value);
                }
            }
        }
        self.push(style, element);
    }

    fn apply(&mut self, style: &mut Style, parent: Style, name: &str, value: &str) {
        match name {
            "text" | "color" => style.text = Color::named(value),
            "size" => {
                if let Some(offset) = relative(value) {
                    style.size = self.base_size.saturating_add(offset);
                } else if let Some(size) = absolute(value) {
                    style.size = size;
                }
            }
            "style" => declare(style, parent, value),
            // SpamAssassin reads `bgcolor`, but does not use it.
            _ => {}
        }
        if style.size > self.size_max {
            self.size_max = style.size;
        } else if style.size < self.size_min {
            self.size_min = style.size;
        }
    }

    fn push(&mut self, style: Style, element: Element) {
        if self.styles.len() < DEPTH_MAX {
            self.styles.push(style);
            if let Some(count) = self.open.get_mut(element as usize) {
                *count += 1;
            }
        }
    }

    fn pop(&mut self) -> Option<Element> {
        let element = self.styles.pop()?.element?;
        if let Some(count) = self.open.get_mut(element as usize) {
            *count -= 1;
        }
        Some(element)
    }

    fn is_open(&self, element: Element) -> bool {
        self.open.get(element as usize).is_some_and(|count| *count > 0)
    }

    /// A cell ends the cell before it, a row the row before it, with the fonts left open in them.
    fn close_cells(&mut self, element: Element) {
        if !self.is_open(element) {
            return;
        }
        let is_ended = |top: Option<Element>| match top {
            Some(Element::Font | Element::Td) => true,
            Some(Element::Tr) => element == Element::Tr,
            _ => false,
        };
        while is_ended(self.top().element) {
            self.pop();
        }
    }

    /// Closes an element and all that was left open in it. A body is never closed: browsers show text after it.
    pub(crate) fn close(&mut self, element: Element) {
        if element == Element::Body || !self.is_open(element) {
            return;
        }
        while let Some(top) = self.pop() {
            if top == element {
                break;
            }
        }
    }
}

/// `+1` or `-2`.
fn relative(value: &str) -> Option<i64> {
    let value = value.trim_start();
    let (sign, digits) =
        if let Some(digits) = value.strip_prefix('+') { (1, digits) } else { (-1, value.strip_prefix('-')?) };
    absolute_digits(digits).map(|size| size.saturating_mul(sign))
}

fn absolute(value: &str) -> Option<i64> {
    absolute_digits(value.trim_start())
}

fn absolute_digits(text: &str) -> Option<i64> {
    let length = text.bytes().take_while(u8::is_ascii_digit).count();
    let digits = text.get(..length).filter(|digits| !digits.is_empty())?;
    Some(digits.parse().unwrap_or(i64::MAX))
}

/// Applies the declarations of a `style` attribute.
fn declare(style: &mut Style, parent: Style, value: &str) {
    for declaration in pieces(value, b';') {
        // Most declarations are about sizes and places.
        let property = declaration.trim_start();
        if !matches!(property.as_bytes().first(), Some(b'b' | b'B' | b'c' | b'C' | b'd' | b'v')) {
            continue;
        }
        let Some((property, value)) = split_at_colon(property) else { continue };
        let is_read = matches!(property.trim_end(), "background" | "display" | "visibility")
            || property.eq_ignore_ascii_case("color")
            || property.eq_ignore_ascii_case("background-color");
        if !is_read {
            continue;
        }
        // White space alone is a value, though no colour.
        let value = if value.trim().is_empty() { value.trim_matches('\n') } else { value.trim() };
        if value.is_empty() || value.contains('\n') {
            continue;
        }
        match property {
            _ if property.eq_ignore_ascii_case("color") => declare_color(&mut style.text, value),
            _ if property.eq_ignore_ascii_case("background-color") => declare_color(&mut style.ground, value),
            "background" => {
                if let Some(color) = background_color(&value.to_lowercase()) {
                    style.ground = color;
                }
            }
            _ => match property.trim_end() {
                "display" => style.is_undisplayed = value.eq_ignore_ascii_case("none"),
                "visibility" => style.is_hidden = value.eq_ignore_ascii_case("hidden"),
                _ => {}
            },
        }
    }
    if style.ground == Color::Transparent {
        style.ground = parent.ground;
    }
    if style.text == Color::Transparent {
        style.text = style.ground;
    }
}

/// The pieces of `text` between the marks, which are ASCII.
fn pieces(text: &str, mark: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (piece, tail) = match memchr::memchr(mark, text.as_bytes()) {
            Some(at) => (text.get(..at)?, text.get(at + 1..)),
            None => (text, None),
        };
        rest = tail;
        Some(piece)
    })
}

fn split_at_colon(text: &str) -> Option<(&str, &str)> {
    let at = memchr::memchr(b':', text.as_bytes())?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

fn declare_color(color: &mut Color, value: &str) {
    let value = value.to_lowercase();
    let value = match value.strip_suffix("important").and_then(|rest| rest.trim_end().strip_suffix('!')) {
        Some(rest) => rest.trim_end(),
        None => &value,
    };
    if value != "inherit" {
        *color = Color::declared(value);
    }
}

/// The first value of the bottom layer of a `background` that is a colour.
fn background_color(background: &str) -> Option<Color> {
    let mut layers: Vec<Vec<String>> = Vec::new();
    let mut values: Vec<String> = Vec::new();
    let mut value = String::new();
    // What is open: `(`, or a quote; quotes may stand within parentheses.
    let mut open: Vec<char> = Vec::new();
    for char in background.chars() {
        match (char, open.last()) {
            (' ' | ',', None) => {
                if !value.is_empty() {
                    values.push(std::mem::take(&mut value));
                }
                if char == ',' {
                    layers.push(std::mem::take(&mut values));
                }
                continue;
            }
            ('(', None) | ('"' | '\'', None | Some('(')) => open.push(char),
            (')', Some('(')) => {
                open.pop();
                value.push(char);
                values.push(std::mem::take(&mut value));
                continue;
            }
            (_, Some(&quote)) if char == quote && quote != '(' => {
                open.pop();
            }
            _ => {}
        }
        value.push(char);
    }
    if !value.is_empty() {
        values.push(value);
    }
    if !values.is_empty() {
        layers.push(values);
    }
    let colors = layers.last()?.iter().map(|value| Color::named(value));
    colors.into_iter().find(|color| *color != Color::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::html::tokens::Attribute;

    fn attributes<'t>(name: &'t str, value: &'t str) -> Attributes<'t> {
        let attribute = Attribute { name: name.as_bytes(), value: Some(value.as_bytes()) };
        Attributes::read(&[attribute], true)
    }

    fn visibility(style: &str) -> Visibility {
        let mut stack = Stack::new();
        stack.open(Element::Span, &attributes("style", style));
        stack.top().visibility()
    }

    #[test]
    fn styles_hide_text() {
        for (style, expected) in [
            ("color: #fff", Visibility::LowContrast),
            ("color:white !important", Visibility::LowContrast),
            ("COLOR: rgb(255,255,255)", Visibility::LowContrast),
            ("background: url(x.png) black, navy; color:navy", Visibility::LowContrast),
            ("color: nonsense", Visibility::InvalidColor),
            ("color: inherit", Visibility::Visible),
            ("display: none", Visibility::Hidden),
            ("Display: none", Visibility::Visible),
            ("visibility:hidden", Visibility::Hidden),
            ("background-color: transparent; color: transparent", Visibility::LowContrast),
        ] {
            assert_eq!(visibility(style), expected, "{style}");
        }
    }

    #[test]
    fn elements_close_what_is_in_them() {
        let mut stack = Stack::new();
        let none = Attributes::default();
        let white = attributes("color", "white");
        stack.open(Element::Table, &none);
        stack.open(Element::Td, &none);
        stack.open(Element::Font, &white);
        stack.open(Element::Td, &none);
        assert_eq!(stack.top().visibility(), Visibility::Visible, "a cell ends the font of the cell before it");
        stack.open(Element::Font, &white);
        stack.close(Element::P);
        assert_eq!(stack.top().visibility(), Visibility::LowContrast, "what was never opened closes nothing");
        stack.close(Element::Table);
        assert_eq!(stack.top().visibility(), Visibility::Visible);
    }
}
