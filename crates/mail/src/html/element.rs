//! What kind each HTML element is, as far as a reader's view depends on it (WHATWG sections 13.1.2, 13.2.4.2, 13.2.6.4).

/// How an element takes part in the tree and in the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Flows with the text.
    Inline,
    /// As above; it is closed across others and opened again in the next block (`b`, `font`, `a`).
    Formatting,
    /// Begins and ends a line.
    Block,
    /// A cell of a table: a block within its row, and a wall for elements that are not closed.
    Cell,
    /// Has no content (`br`, `img`).
    Void,
    /// Never shown.
    Unseen,
}

/// Kind of the element `name` (lower case); unknown ones are inline, as in browsers.
pub(super) fn kind(name: &str) -> Kind {
    match name {
        "a" | "b" | "big" | "code" | "em" | "font" | "i" | "nobr" | "s" | "small" | "strike" | "strong" | "tt"
        | "u" => Kind::Formatting,
        "address" | "article" | "aside" | "blockquote" | "body" | "center" | "dd" | "details" | "dialog" | "dir"
        | "div" | "dl" | "dt" | "fieldset" | "figcaption" | "figure" | "footer" | "form" | "h1" | "h2" | "h3"
        | "h4" | "h5" | "h6" | "header" | "hgroup" | "html" | "legend" | "li" | "listing" | "main" | "menu" | "nav"
        | "ol" | "optgroup" | "option" | "p" | "pre" | "search" | "section" | "summary" | "table" | "tbody"
        | "tfoot" | "thead" | "tr" | "ul" | "xmp" | "plaintext" => Kind::Block,
        "td" | "th" | "caption" => Kind::Cell,
        "area" | "base" | "basefont" | "bgsound" | "br" | "col" | "embed" | "frame" | "hr" | "img" | "image"
        | "input" | "keygen" | "link" | "meta" | "param" | "source" | "track" | "wbr" => Kind::Void,
        "title" | "script" | "style" | "template" | "noframes" | "noembed" | "iframe" | "datalist" | "svg" => {
            Kind::Unseen
        }
        _ => Kind::Inline,
    }
}

/// What an opening tag closes: the elements named first, as far up as none of those named second stands between.
pub(super) fn closes(name: &str) -> Option<(&'static [&'static str], &'static [&'static str])> {
    const LISTS: &[&str] = &["ul", "ol", "menu", "dir", "table", "td", "th"];
    const TABLE: &[&str] = &["table"];
    match name {
        "li" => Some((&["li"], LISTS)),
        "dt" | "dd" => Some((&["dt", "dd"], &["dl", "table", "td", "th"])),
        "option" | "optgroup" => Some((&["option"], &["select"])),
        "td" | "th" => Some((&["td", "th", "caption"], TABLE)),
        "tr" => Some((&["tr", "caption"], TABLE)),
        "tbody" | "thead" | "tfoot" => Some((&["tbody", "thead", "tfoot", "tr", "caption"], TABLE)),
        _ if kind(name) == Kind::Block && !matches!(name, "html" | "tbody") => Some((&["p"], WALLS)),
        _ => None,
    }
}

/// Whether `name` is among those that [`closes`] names, as closed or as a wall.
pub(super) fn is_in_order(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "p", "li", "dt", "dd", "dl", "option", "optgroup", "select", "tr", "tbody", "thead", "tfoot", "ul", "ol",
        "menu", "dir",
    ];
    NAMES.contains(&name) || WALLS.contains(&name)
}

/// Elements that closing tags do not reach through, unless they name one of them.
pub(super) const WALLS: &[&str] = &["td", "th", "caption", "table", "html", "template", "object", "applet"];

/// Whether an element keeps an inline end tag from reaching what stands above it ("special" in the standard).
pub(super) fn is_special(name: &str) -> bool {
    matches!(kind(name), Kind::Block | Kind::Cell | Kind::Unseen) || matches!(name, "select" | "marquee" | "button")
}
