//! From tokens to what a reader sees. Each open element carries what its children inherit; text goes to the visible
//! or to the hidden side by the style in force where it stands.

use super::attributes::Attributes;
use super::css::{Sheet, Style};
use super::element::{Kind, WALLS, closes, is_in_order, is_special, kind};
use super::inherited::{Inherited, ROOT};
use super::token::{Tag, Token, Tokens};
use super::writer::{Writer, count_invisible, push_anchor};
use super::{Form, HiddenText, Hiding, Html, Image, Link, entity};
use crate::Limits;

impl Html {
    /// Renders `html`. Time is linear in its length.
    #[must_use]
    pub fn parse(html: &str, limits: &Limits) -> Html {
        let mut renderer = Renderer::new(limits);
        renderer.run(html);
        renderer.finish()
    }
}

struct Open {
    name: String,
    /// Whether another opening tag may close it, or it is a wall to that: asked for every tag of hostile depth.
    is_in_order: bool,
    kind: Kind,
    style: Style,
    inherited: Inherited,
    /// Index of the link that this element is.
    link: Option<usize>,
}

struct Renderer<'a> {
    limits: &'a Limits,
    html: Html,
    sheet: Sheet,
    open: Vec<Open>,
    /// Opening tags beyond the depth limit that were not closed yet.
    beyond: usize,
    in_title: bool,
    in_style: bool,
    form: Option<usize>,
    writer: Writer,
    hidden: Option<(Hiding, Writer)>,
}

impl<'a> Renderer<'a> {
    fn new(limits: &'a Limits) -> Renderer<'a> {
        Renderer {
            limits,
            html: Html::default(),
            sheet: Sheet::default(),
            open: Vec::new(),
            beyond: 0,
            in_title: false,
            in_style: false,
            form: None,
            writer: Writer::default(),
            hidden: None,
        }
    }

    fn run(&mut self, html: &str) {
        for token in Tokens::new(html) {
            match token {
                Token::Text(text) => self.text(&entity::decode(text, false)),
                Token::Raw(text) => self.raw(text),
                Token::Start(tag) => self.start(tag),
                Token::End(name) => self.end(&name.to_ascii_lowercase()),
                Token::Comment(text) => self.comment(text),
            }
        }
    }

    fn finish(mut self) -> Html {
        self.flush_hidden();
        self.html.visible = self.writer.finish();
        for link in &mut self.html.links {
            link.text = link.text.trim().to_owned();
        }
        self.html
    }

    /// Links within `<!--[if mso]> ... <![endif]-->` work in Outlook. Their text is not what others see.
    fn comment(&mut self, text: &str) {
        self.html.comment_octets += text.len();
        let condition = text.trim_start();
        if !condition.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("[if")) {
            return;
        }
        let Some((_, inner)) = condition.split_once(']') else { return };
        for token in Tokens::new(inner) {
            let Token::Start(tag) = token else { continue };
            let link = tag.attributes().find(|(name, value)| name.eq_ignore_ascii_case("href") && !value.is_empty());
            // The namespaces of Office look like links.
            if let Some((_, href)) = link.filter(|_| !tag.name.eq_ignore_ascii_case("xml")) {
                let href = href.trim().to_owned();
                self.add(
                    |html| &mut html.links,
                    Link { href, is_conditional: true, is_hidden: true, ..Link::default() },
                );
            }
        }
    }

    fn raw(&mut self, text: &str) {
        if self.in_style {
            self.sheet.add(text);
        } else if self.open.last().is_some_and(|element| matches!(element.name.as_str(), "xmp" | "plaintext")) {
            self.text(text);
        }
    }

    fn text(&mut self, text: &str) {
        if self.in_title {
            self.html.title.push_str(text.trim());
            return;
        }
        let inherited = self.inherited();
        if inherited.is_unseen {
            return;
        }
        match inherited.how_hidden() {
            None => self.visible_text(text, inherited.keeps_blanks),
            Some(how) => self.hidden_text(text, how),
        }
    }

    fn visible_text(&mut self, text: &str, keeps_blanks: bool) {
        if text.chars().any(|c| !c.is_whitespace()) {
            self.flush_hidden();
        }
        self.writer.text(text, keeps_blanks);
        if let Some(link) = self.inherited().link.and_then(|link| self.html.links.get_mut(link)) {
            push_anchor(&mut link.text, text);
        }
        let (invisible, in_words) = count_invisible(text);
        self.html.invisible_chars += invisible;
        self.html.invisible_chars_in_words += in_words;
    }

    fn hidden_text(&mut self, text: &str, how: Hiding) {
        if self.hidden.as_ref().is_some_and(|(current, _)| *current != how) {
            self.flush_hidden();
        }
        self.hidden.get_or_insert_with(|| (how, Writer::default())).1.text(text, false);
    }

    fn flush_hidden(&mut self) {
        if let Some((how, writer)) = self.hidden.take() {
            let text = writer.finish();
            if !text.is_empty() {
                self.html.hidden.push(HiddenText { how, text });
            }
        }
    }

    fn inherited(&self) -> Inherited {
        self.open.last().map_or(ROOT, |element| element.inherited)
    }

    fn break_line(&mut self) {
        self.writer.break_line();
        if let Some((_, writer)) = &mut self.hidden {
            writer.break_line();
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        self.html.tags += 1;
        let name = tag.name.to_ascii_lowercase();
        let attributes = Attributes(tag.attributes().collect());
        self.html.scripts += usize::from(name == "script") + attributes.handlers();
        if name == "a" {
            self.end_formatting("a");
        }
        if let Some((closed, walls)) = closes(&name) {
            self.close_implied(closed, walls);
        }
        let kind = kind(&name);
        let mut style = attributes.legacy_style(&name);
        let (class, id) = (attributes.get("class").unwrap_or_default(), attributes.get("id").unwrap_or_default());
        style.overlay(&self.sheet.style_of(&name, class, id));
        style.overlay(&Style::parse(attributes.get("style").unwrap_or_default()));
        let inherited = self.inherited().with(&style, kind == Kind::Unseen);
        match kind {
            Kind::Block => self.break_line(),
            Kind::Cell => self.writer.break_cell(),
            _ => {}
        }
        let link = self.note(&name, &attributes, &inherited);
        // What an open head holds is hidden by itself; text that follows is shown.
        if kind == Kind::Void || name == "head" {
            return;
        }
        match name.as_str() {
            "title" => self.in_title = true,
            "style" => self.in_style = true,
            _ => {}
        }
        if self.open.len() >= self.limits.html_depth_max {
            self.html.is_too_deep = true;
            self.beyond += 1;
            return;
        }
        let inherited = Inherited { link: link.or(inherited.link), ..inherited };
        let is_in_order = is_in_order(&name);
        self.open.push(Open { name, is_in_order, kind, style, inherited, link });
    }

    /// Records what a tag refers to. The index of the link that it opens.
    fn note(&mut self, name: &str, attributes: &Attributes<'_>, inherited: &Inherited) -> Option<usize> {
        match name {
            "a" | "area" => return self.link(name, attributes, inherited),
            "img" | "image" => self.image(attributes, inherited),
            "input" | "textarea" | "select" => self.field(attributes),
            "br" | "hr" => self.break_br(),
            "base" if self.html.base.is_none() => self.html.base = attributes.get("href").map(str::to_owned),
            "form" => self.form(attributes),
            "meta" => self.meta(attributes),
            "iframe" | "frame" | "embed" | "object" | "source" | "audio" | "video" | "script" | "link" => {
                self.other(["src", "data", "href"].iter().find_map(|name| attributes.get(name)));
            }
            _ => {}
        }
        if let Some(src) = attributes.get("background") {
            self.add(|html| &mut html.images, Image { src: src.to_owned(), ..Image::default() });
        }
        None
    }

    fn link(&mut self, name: &str, attributes: &Attributes<'_>, inherited: &Inherited) -> Option<usize> {
        let href = attributes.get("href")?.to_owned();
        // An anchor around a picture may well have no text to be seen.
        let is_hidden = inherited.is_unseen
            || matches!(
                inherited.how_hidden(),
                Some(Hiding::Display | Hiding::Visibility | Hiding::Clipped | Hiding::Away)
            );
        let link = self.add(|html| &mut html.links, Link { href, is_hidden, ..Link::default() });
        link.filter(|_| name == "a")
    }

    fn break_br(&mut self) {
        self.writer.line_end();
        if let Some((_, writer)) = &mut self.hidden {
            writer.line_end();
        }
    }

    fn image(&mut self, attributes: &Attributes<'_>, inherited: &Inherited) {
        if let Some(link) = inherited.link.and_then(|link| self.html.links.get_mut(link)) {
            link.has_image = true;
        }
        let is_gone = inherited.hiding == Some(Hiding::Display);
        let pixels = |name: &str| if is_gone { Some(0) } else { attributes.pixels(name) };
        self.add(
            |html| &mut html.images,
            Image {
                src: attributes.owned("src"),
                alt: attributes.owned("alt"),
                width: pixels("width"),
                height: pixels("height"),
                link: inherited.link,
            },
        );
    }

    /// Adds to a list of what the page holds; where it stands there, unless the list is full.
    fn add<T>(&mut self, list: impl Fn(&mut Html) -> &mut Vec<T>, item: T) -> Option<usize> {
        let list = list(&mut self.html);
        if list.len() >= self.limits.html_items_max {
            self.html.has_too_many_items = true;
            return None;
        }
        list.push(item);
        Some(list.len() - 1)
    }

    fn form(&mut self, attributes: &Attributes<'_>) {
        let form = Form { action: attributes.owned("action"), ..Form::default() };
        // Fields behind a form that is not kept still count for the former one.
        self.form = self.add(|html| &mut html.forms, form).or(self.form);
    }

    fn field(&mut self, attributes: &Attributes<'_>) {
        let kind = attributes.owned("type").to_ascii_lowercase();
        let can_be_filled = !matches!(kind.as_str(), "hidden" | "submit" | "button" | "image" | "reset");
        if let Some(form) = self.form.and_then(|form| self.html.forms.get_mut(form)) {
            form.fields += usize::from(can_be_filled);
            form.has_password |= kind == "password";
        }
    }

    fn meta(&mut self, attributes: &Attributes<'_>) {
        let is_refresh = attributes.get("http-equiv").is_some_and(|name| name.eq_ignore_ascii_case("refresh"));
        let content = attributes.get("content").unwrap_or_default();
        let at = content.to_ascii_lowercase().find("url");
        if let Some(target) = at.filter(|_| is_refresh).and_then(|at| content.get(at + 3..)) {
            let target = target.trim_start().trim_start_matches('=').trim().trim_matches(['"', '\'']);
            self.html.refresh.get_or_insert_with(|| target.to_owned());
        }
    }

    fn other(&mut self, target: Option<&str>) {
        if let Some(target) = target {
            self.add(|html| &mut html.others, target.to_owned());
        }
    }

    fn end(&mut self, name: &str) {
        match name {
            "title" => self.in_title = false,
            "style" => self.in_style = false,
            // An end tag in browsers too.
            "br" => return self.break_br(),
            // What follows is still of the body.
            "body" | "html" | "head" => return,
            _ => {}
        }
        if self.beyond > 0 && kind(name) != Kind::Void {
            self.beyond -= 1;
            return;
        }
        match kind(name) {
            Kind::Formatting => self.end_formatting(name),
            Kind::Block | Kind::Cell | Kind::Unseen => self.end_special(name),
            Kind::Inline => self.end_inline(name),
            Kind::Void => {}
        }
    }

    /// Takes one element out of the stack; those above it stay and inherit anew.
    fn end_formatting(&mut self, name: &str) {
        let at = self.open.iter().rposition(|element| element.name == name);
        let wall = self.open.iter().rposition(|element| WALLS.contains(&element.name.as_str()));
        let Some(at) = at.filter(|at| wall.is_none_or(|wall| wall < *at)) else { return };
        self.open.remove(at);
        self.inherit_from(at);
    }

    fn end_inline(&mut self, name: &str) {
        for at in (0..self.open.len()).rev() {
            let Some(element) = self.open.get(at) else { return };
            if element.name == name {
                self.open.truncate(at);
                return;
            }
            if is_special(&element.name) {
                return;
            }
        }
    }

    fn end_special(&mut self, name: &str) {
        let is_wall = WALLS.contains(&name);
        for at in (0..self.open.len()).rev() {
            let Some(element) = self.open.get(at) else { return };
            if element.name == name {
                return self.close_at(at);
            }
            let is_stop = element.name == "table" || (!is_wall && WALLS.contains(&element.name.as_str()));
            if is_stop {
                return;
            }
        }
    }

    /// Closes the innermost of `names` that no `wall` hides, again until there is none.
    fn close_implied(&mut self, names: &[&str], walls: &[&str]) {
        let mut at = self.open.len();
        while at > 0 {
            at -= 1;
            let Some(element) = self.open.get(at) else { return };
            if !element.is_in_order {
                continue;
            }
            if names.contains(&element.name.as_str()) {
                self.close_at(at);
                at = at.min(self.open.len());
                if names.len() == 1 {
                    return;
                }
                continue;
            }
            if walls.contains(&element.name.as_str()) {
                return;
            }
        }
    }

    /// Closes the element at `at` and all above it. Formatting is opened again behind a block, not behind a cell.
    fn close_at(&mut self, at: usize) {
        let closed = self.open.split_off(at.min(self.open.len()));
        let is_cell = closed.first().is_some_and(|element| element.kind == Kind::Cell || element.name == "table");
        for element in closed {
            if element.name == "form" {
                self.form = None;
            }
            if element.kind == Kind::Block {
                self.break_line();
            }
            if element.kind == Kind::Formatting && !is_cell {
                self.open.push(element);
            }
        }
        self.inherit_from(at);
    }

    fn inherit_from(&mut self, at: usize) {
        let mut inherited =
            at.checked_sub(1).and_then(|below| self.open.get(below)).map_or(ROOT, |element| element.inherited);
        for element in self.open.iter_mut().skip(at) {
            element.inherited = inherited.with(&element.style, element.kind == Kind::Unseen);
            element.inherited.link = element.link.or(inherited.link);
            inherited = element.inherited;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(html: &str) -> Html {
        Html::parse(html, &Limits::default())
    }

    /// Visible text, then each hidden text with its name.
    fn seen(html: &str) -> String {
        let html = rendered(html);
        let hidden = html.hidden.iter().map(|hidden| format!("|{}:{}", hidden.how.name(), hidden.text));
        html.visible.clone() + &hidden.collect::<String>()
    }

    #[test]
    fn blocks_stand_on_lines_of_their_own() {
        for (html, text, why) in [
            ("<p>a<p>b</p>c", "a\nb\nc", "paragraphs close each other"),
            ("a<br>b<br><br>c", "a\nb\n\nc", "line breaks"),
            ("<b>a</b> <i>b</i>c", "a bc", "inline elements"),
            ("<table><tr><td>a<td>b<tr><td>c</table>d", "a b\nc\nd", "cells and rows"),
            ("<pre>a\n  b</pre>", "a\nb", "preformatted text keeps its lines"),
            ("a &amp;&nbsp; b&lt;c", "a & b<c", "references; blanks are squeezed"),
            ("<ul><li>a<li>b</ul>", "a\nb", "list items close each other"),
            ("<head><title>t</title><p>a", "a", "an open head ends with the first thing to show"),
            ("<script>a</script>b<style>c</style><textarea>d</textarea>", "bd", "script and style are not shown"),
            ("a\u{200b}b\u{ad}c", "abc", "characters without width vanish"),
            ("</body>a</html>b", "ab", "text after the end"),
            ("a<!-- b --><!doctype x><?y?></>c", "ac", "comments of all kinds"),
        ] {
            assert_eq!(seen(html), text, "{why}");
        }
    }

    #[test]
    fn hidden_text_is_kept_apart() {
        for (html, text, why) in [
            ("<div style='display:none'>a</div>b", "b|display:a", "display"),
            (
                "<span style='display:none'><div></span>a</div>b",
                "|display:a\nb",
                "an inline end tag does not reach over a block",
            ),
            ("<p style='display:none'>a<p>b", "b|display:a", "a paragraph ends with the next"),
            ("<font style='display:none'>a<div></font>b</div>", "b|display:a", "formatting is closed across blocks"),
            ("<b style='display:none'><p>a</p>b</b>c", "c|display:a\nb", "formatting goes on behind a block"),
            (
                "<table><tr><td><b style='display:none'>a</td><td>b</table>",
                "b|display:a",
                "formatting ends with its cell",
            ),
            (
                "<div style='visibility:hidden'>a<b style='visibility:visible'>b</b></div>",
                "b|visibility:a",
                "visibility can be taken back",
            ),
            ("<span style='font-size:0'>a</span><span style='font-size:1px'>b</span>c", "c|tiny_font:ab", "tiny fonts"),
            ("<div style='font-size:0'><b style='font-size:20em'>a</b></div>", "|tiny_font:a", "twenty times nothing"),
            ("<font color=white>a</font><b style='color:#fefefe'>b</b>c", "c|colour:ab", "white on white"),
            (
                "<table bgcolor=#000000><tr><td><font color=#ffffff>a</font>b</table>",
                "a|colour:b",
                "white on black is seen, black is not",
            ),
            ("<td style='background:url(x)'><font color=white>a</font></td>", "a", "a picture may be dark"),
            ("<div style='max-height:0;overflow:hidden'>a</div>", "|clipped:a", "clipped"),
            ("<div style='text-indent:-9999px'>a</div>", "|away:a", "moved away"),
            ("<div style='opacity:0'>a</div><i style='color:transparent'>b</i>", "|transparent:a\nb", "clear"),
            ("<p hidden>a</p>b", "b|display:a", "the attribute"),
            ("<style>.x{display:none}</style><p class='y x'>a</p>b", "b|display:a", "by class"),
            ("<a href=x style='color:#fff'>a</a>", "|colour:a", "a link in white"),
        ] {
            assert_eq!(seen(html), text, "{why}");
        }
    }

    #[test]
    fn links_come_with_their_anchors() {
        let html = rendered(
            "<base href='https://b.example/'><a href=' https://a.example/?x=1&amp;y=2 '>Your <b>bank</b><img src=//i.example/p.gif width=1 height=1></a>\
             <a href=/c>d<a href=e>f</a>g<!--[if mso]><v:rect href='https://m.example/'><![endif]-->\
             <form action=https://f.example/><input type=password><input type=hidden></form>\
             <meta http-equiv=refresh content='0; URL=https://r.example/'><body background=bg.png onload=x()>",
        );
        let links: Vec<_> = html.links.iter().map(|l| (l.href.as_str(), l.text.as_str(), l.is_hidden)).collect();
        assert_eq!(
            links,
            [
                ("https://a.example/?x=1&y=2", "Your bank", false),
                ("/c", "d", false),
                ("e", "f", false),
                ("https://m.example/", "", true),
            ]
        );
        assert!(html.links[0].has_image && html.images[0].is_pixel() && html.images[0].is_remote());
        assert_eq!(html.images[0].link, Some(0));
        assert_eq!(html.forms, [Form { action: "https://f.example/".into(), fields: 1, has_password: true }]);
        assert_eq!(
            (html.refresh.as_deref(), html.base.as_deref()),
            (Some("https://r.example/"), Some("https://b.example/"))
        );
        assert_eq!((html.scripts, html.images[1].src.as_str()), (1, "bg.png"));
    }

    #[test]
    fn what_is_deep_or_long_takes_linear_time() {
        for html in [
            "<div>".repeat(100_000),
            "<b><i><font color=red>".repeat(50_000),
            format!("<a {}>", "x=y ".repeat(200_000)),
            "</div>".repeat(100_000),
            "<p><table>".repeat(50_000),
            "</>".repeat(200_000),
            "<a href=x>".repeat(50_000),
            "<script><!--".repeat(50_000),
            "<!--".repeat(200_000),
            "&".repeat(500_000),
            "<style>".to_owned() + &".a{color:red}".repeat(20_000) + "</style>" + &"<p class=a>".repeat(2_000),
        ] {
            let _ = rendered(&html);
        }
        assert!(rendered(&"<div>".repeat(1_000)).is_too_deep);
    }
}
