//! Markup that no text can break: what is markup stands in this program's source (`&'static str`), everything else is escaped.

use std::fmt::Write;

use tidegate_filter::check::Evidence;

use crate::cli::logs::shown;

/// A page while it is written.
#[derive(Default)]
pub(super) struct Html(String);

impl Html {
    /// Markup as it stands.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Html {
        self.0.push_str(markup);
        self
    }

    /// Text, hostile as it may be: no markup, no control characters, no change of direction, cut after some hundred octets.
    pub(super) fn text(&mut self, text: &str) -> &mut Html {
        self.with_signs(Evidence::from(text).as_str())
    }

    /// A sentence of ours, in which names from the log may stand: the same, but not cut.
    pub(super) fn sentence(&mut self, sentence: &str) -> &mut Html {
        self.with_signs(&shown::whole(sentence))
    }

    /// A figure and its sign stay on one line.
    fn with_signs(&mut self, text: &str) -> &mut Html {
        self.escaped(&text.replace(" %", "\u{a0}%"))
    }

    /// A command of ours: its names were looked at before (see `advice`), and it must not be cut. No line ends within an option.
    pub(super) fn command(&mut self, command: &str) -> &mut Html {
        /// Characters of a word that may be broken after all.
        const WORD_MAX: usize = 60;
        for (i, word) in command.split(' ').enumerate() {
            self.raw(if i == 0 { "" } else { " " });
            if word.len() > WORD_MAX {
                self.escaped(word);
            } else {
                self.raw("<span class=\"w\">").escaped(word).raw("</span>");
            }
        }
        self
    }

    /// Text in which what stands between backquotes is code.
    pub(super) fn prose(&mut self, text: &str) -> &mut Html {
        for (i, part) in text.split('`').enumerate() {
            if i % 2 == 0 {
                self.sentence(part);
            } else {
                self.element("<code>", part, "</code>");
            }
        }
        self
    }

    fn escaped(&mut self, text: &str) -> &mut Html {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                c => self.0.push(c),
            }
        }
        self
    }

    /// A number of a drawing, or a share in percent.
    pub(super) fn number(&mut self, number: f64) -> &mut Html {
        let _infallible = write!(self.0, "{number:.1}");
        self
    }

    /// An element without attributes that holds text.
    pub(super) fn element(&mut self, open: &'static str, text: &str, close: &'static str) -> &mut Html {
        self.raw(open).text(text).raw(close)
    }

    /// The whole page.
    pub(super) fn finish(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_never_markup() {
        let mut html = Html::default();
        html.prose("a `<b>` c `d");
        assert_eq!(html.finish(), "a <code>&lt;b&gt;</code> c <code>d</code>");
        let mut html = Html::default();
        html.element("<b title=\"", "\"><script>alert('1')</script>\u{1b}[2J\u{202e}&", "\">");
        let page = html.finish();
        assert_eq!(
            page,
            "<b title=\"&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;\\u{1b}[2J\\u{202e}&amp;\">"
        );
    }
}
