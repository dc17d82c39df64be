//! Text as it stands on the screen: blanks squeezed, lines kept apart, nothing that has no width.

use crate::invisible::is_invisible;

/// Text of one anchor that is kept.
const ANCHOR_OCTETS_MAX: usize = 1_000;

/// `text` as a reader sees it: blanks squeezed within lines, at most one empty line, nothing that has no width.
pub(crate) fn render_plain(text: &str) -> String {
    let mut writer = Writer::default();
    writer.text(text, true);
    writer.finish()
}

/// Text that grows with its blanks squeezed and its lines kept apart.
#[derive(Debug, Default)]
pub(super) struct Writer {
    text: String,
    gap: Gap,
}

/// What stands between the last word and the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    #[default]
    None,
    Blank,
    Line,
    EmptyLine,
}

impl Writer {
    pub(super) fn text(&mut self, text: &str, keeps_blanks: bool) {
        let mut rest = text;
        while !rest.is_empty() {
            let plain = rest.bytes().take_while(u8::is_ascii_graphic).count();
            if plain > 0 {
                let (word, after) = rest.split_at_checked(plain).unwrap_or((rest, ""));
                self.push(word);
                rest = after;
                continue;
            }
            let Some(c) = rest.chars().next() else { return };
            let (one, after) = rest.split_at_checked(c.len_utf8()).unwrap_or((rest, ""));
            match c {
                '\n' if keeps_blanks => self.line_end(),
                _ if c.is_whitespace() => self.gap = self.gap.max(Gap::Blank),
                _ if is_invisible(c) || c == '\0' => {}
                _ => self.push(one),
            }
            rest = after;
        }
    }

    pub(super) fn push(&mut self, word: &str) {
        if !self.text.is_empty() {
            self.text.push_str(match self.gap {
                Gap::None => "",
                Gap::Blank => " ",
                Gap::Line => "\n",
                Gap::EmptyLine => "\n\n",
            });
        }
        self.gap = Gap::None;
        self.text.push_str(word);
    }

    /// The end or beginning of a block.
    pub(super) fn break_line(&mut self) {
        self.gap = self.gap.max(Gap::Line);
    }

    /// The next cell of a row.
    pub(super) fn break_cell(&mut self) {
        self.gap = self.gap.max(Gap::Blank);
    }

    /// A line break: two of them leave an empty line.
    pub(super) fn line_end(&mut self) {
        self.gap = if self.gap >= Gap::Line { Gap::EmptyLine } else { Gap::Line };
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}

/// Appends `text` to an anchor, blanks squeezed, up to the limit.
pub(super) fn push_anchor(anchor: &mut String, text: &str) {
    for c in text.chars() {
        if anchor.len() >= ANCHOR_OCTETS_MAX {
            return;
        }
        match c {
            _ if c.is_whitespace() => {
                if !anchor.is_empty() && !anchor.ends_with(' ') {
                    anchor.push(' ');
                }
            }
            _ if is_invisible(c) => {}
            _ => anchor.push(c),
        }
    }
}

/// Characters without width, and those of them that stand between two letters or digits.
pub(crate) fn count_invisible(text: &str) -> (usize, usize) {
    if text.is_ascii() {
        return (0, 0);
    }
    let (mut all, mut in_words) = (0, 0);
    // Those since the last visible character, if that was of a word.
    let mut held = None;
    for c in text.chars() {
        if is_invisible(c) {
            all += 1;
            held = held.map(|count: usize| count + 1);
        } else if c.is_alphanumeric() {
            in_words += held.unwrap_or_default();
            held = Some(0);
        } else {
            held = None;
        }
    }
    (all, in_words)
}
