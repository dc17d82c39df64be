//! What a reader sees of a message: the parts that a mail program shows, of alternatives the one that it picks,
//! HTML rendered. What is there but not seen (other alternatives, hidden text) is kept apart.

use crate::html::{Html, count_invisible, render_plain};
use crate::url::cut;
use crate::{Defect, Defects, Message, Part};

/// A text part as it reads.
#[derive(Clone, Debug)]
pub struct View {
    /// Index of the part.
    pub part: usize,
    /// Whether a mail program shows this part: it is neither an attachment nor an alternative that loses.
    pub is_shown: bool,
    /// The text that a reader sees of it.
    pub visible: String,
    /// What the HTML holds; `None` for plain text.
    pub html: Option<Box<Html>>,
    /// Characters without width that were dropped from the text.
    pub invisible_chars: usize,
    /// ... of which those within a word.
    pub invisible_chars_in_words: usize,
}

/// All views of a message, and what was wrong with them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Views {
    pub(crate) views: Vec<View>,
    pub(crate) defects: Defects,
}

pub(crate) fn read(message: &Message) -> Views {
    let shown = shown_parts(message);
    let mut views = Views::default();
    let mut octets_left = message.limits().text_octets_max;
    // What is shown is read first: padding in what is not shown must not use up the limit.
    for is_shown in [true, false] {
        for part in message.parts() {
            if is_text(part) && shown.get(part.index()).copied().unwrap_or_default() == is_shown {
                let text = part.text();
                let kept = cut(text, octets_left);
                octets_left -= kept.len();
                if kept.len() < text.len() {
                    views.defects.add(Defect::TextTooLong, part.index());
                }
                let view = view(message, part, kept, is_shown, &mut views.defects);
                views.views.push(view);
            }
        }
    }
    views.views.sort_by_key(|view| view.part);
    views
}

fn view(message: &Message, part: &Part, text: &str, is_shown: bool, defects: &mut Defects) -> View {
    if !is_html(part) {
        let (invisible_chars, invisible_chars_in_words) = count_invisible(text);
        let visible = render_plain(text);
        return View { part: part.index(), is_shown, visible, html: None, invisible_chars, invisible_chars_in_words };
    }
    let mut html = Html::parse(text, message.limits());
    defects.add_many(Defect::HtmlTooDeep, part.index(), usize::from(html.is_too_deep));
    defects.add_many(Defect::TooManyHtmlItems, part.index(), usize::from(html.has_too_many_items));
    View {
        part: part.index(),
        is_shown,
        visible: std::mem::take(&mut html.visible),
        invisible_chars: html.invisible_chars,
        invisible_chars_in_words: html.invisible_chars_in_words,
        html: Some(Box::new(html)),
    }
}

/// Text that can be read as such: text parts, HTML that is attached under another type, and a multipart without parts,
/// which Outlook shows as text.
fn is_text(part: &Part) -> bool {
    let content_type = part.content_type();
    match content_type.kind() {
        "text" => content_type.subtype() != "rfc822-headers",
        "multipart" => part.is_childless,
        "message" => false,
        _ => is_html(part),
    }
}

/// HTML by its type or, since that is what opens it, by its name.
fn is_html(part: &Part) -> bool {
    const ESSENCES: [&str; 4] = ["text/html", "text/x-amp-html", "text/xhtml", "application/xhtml+xml"];
    const EXTENSIONS: [&str; 6] = [".html", ".htm", ".shtml", ".xhtml", ".xht", ".svg"];
    let name = part.file_name().unwrap_or_default().trim_end().to_ascii_lowercase();
    ESSENCES.contains(&part.content_type().essence()) || EXTENSIONS.iter().any(|extension| name.ends_with(extension))
}

/// Text that a mail program shows in its own way beside another alternative, if at all.
fn is_aside(part: &Part) -> bool {
    let subtype = part.content_type().subtype();
    matches!(subtype, "x-amp-html" | "calendar" | "vcard" | "x-vcard" | "directory")
        || part.content_type().kind() != "text"
}

/// For each part whether a mail program shows it.
fn shown_parts(message: &Message) -> Vec<bool> {
    let parts = message.parts();
    let mut shown = vec![false; parts.len()];
    let picked = picked_alternatives(parts);
    for part in parts {
        let is_parent_shown = part.parent().is_none_or(|parent| shown.get(parent).copied().unwrap_or_default());
        let is_picked = part.parent().is_none_or(|parent| match parts.get(parent) {
            Some(parent) if is_alternative(parent) => picked.get(parent.index()) == Some(&Some(part.index())),
            _ => true,
        });
        if let Some(shown) = shown.get_mut(part.index()) {
            *shown = is_parent_shown && is_picked && !part.is_attachment() && (part.is_multipart() || !is_file(part));
        }
    }
    shown
}

/// HTML under a type that no mail program shows within the message.
fn is_file(part: &Part) -> bool {
    !matches!(part.content_type().kind(), "text" | "message" | "multipart")
}

fn is_alternative(part: &Part) -> bool {
    part.content_type().essence() == "multipart/alternative"
}

/// For each `multipart/alternative` the child that is shown: the last one that can be (RFC 2046 section 5.1.4).
fn picked_alternatives(parts: &[Part]) -> Vec<Option<usize>> {
    let mut can_be_shown = vec![false; parts.len()];
    // Children stand behind their parents: from the back, a composite knows what it holds.
    for part in parts.iter().rev() {
        if is_text(part)
            && (!is_aside(part) || part.is_childless)
            && let Some(can) = can_be_shown.get_mut(part.index())
        {
            *can = true;
        }
        let can = can_be_shown.get(part.index()).copied().unwrap_or_default();
        if let Some(parent) = part.parent().and_then(|parent| can_be_shown.get_mut(parent)) {
            *parent |= can;
        }
    }
    let mut picked = vec![None; parts.len()];
    for part in parts {
        let Some(parent) = part.parent().filter(|parent| parts.get(*parent).is_some_and(is_alternative)) else {
            continue;
        };
        let can = can_be_shown.get(part.index()).copied().unwrap_or_default();
        if let Some(picked) = picked.get_mut(parent)
            && (can || picked.is_none())
        {
            *picked = Some(part.index());
        }
    }
    picked
}

#[cfg(test)]
mod tests {
    use crate::{Limits, Message};

    /// The parts that are shown and those that are only read, as `index:text`.
    fn views(body: &str) -> (String, String) {
        let raw = format!("From: a@b.example\nMIME-Version: 1.0\n{body}");
        let message = Message::parse(raw.into_bytes(), &Limits::default());
        let listed = |is_shown: bool| {
            let views = message.views().iter().filter(|view| view.is_shown == is_shown);
            views.map(|view| format!("{}:{}", view.part, view.visible)).collect::<Vec<_>>().join(" ")
        };
        (listed(true), listed(false))
    }

    fn multipart(subtype: &str, parts: &[(&str, &str)]) -> String {
        let parts = parts.iter().map(|(fields, body)| format!("--b\nContent-Type: {fields}\n\n{body}\n"));
        format!("Content-Type: multipart/{subtype}; boundary=b\n\n{}--b--\n", parts.collect::<String>())
    }

    #[test]
    fn what_a_mail_program_shows() {
        for (body, shown, read, why) in [
            ("\nplain", "0:plain", "", "no MIME at all"),
            (
                &*multipart("alternative", &[("text/plain", "p"), ("text/html", "<p>h")]),
                "2:h",
                "1:p",
                "the last alternative",
            ),
            (&*multipart("alternative", &[("text/html", "<p>h"), ("text/plain", "p")]), "2:p", "1:h", "whatever it is"),
            (
                &*multipart("alternative", &[("text/html", "<p>h"), ("image/png", "x"), ("text/calendar", "c")]),
                "1:h",
                "3:c",
                "what cannot be shown is passed over",
            ),
            (&*multipart("mixed", &[("text/plain", "p"), ("text/html", "<p>h")]), "1:p 2:h", "", "one after another"),
            (
                &*multipart("mixed", &[("text/plain", "p"), ("text/plain\nContent-Disposition: attachment", "a")]),
                "1:p",
                "2:a",
                "an attachment",
            ),
            (
                &*multipart("mixed", &[("text/plain", "p"), ("application/octet-stream; name=a.html", "<p>h")]),
                "1:p",
                "2:h",
                "HTML that opens in a browser",
            ),
            (&*multipart("mixed", &[("message/rfc822", "\nm")]), "2:m", "", "an embedded message"),
            ("Content-Type: multipart/mixed; boundary=b\n\nno parts", "0:no parts", "", "a multipart without parts"),
        ] {
            assert_eq!(views(body), (shown.to_owned(), read.to_owned()), "{why}");
        }
    }
}
