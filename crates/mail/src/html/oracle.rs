//! Our tokens against those of html5ever: the HTML of corpora, and text made of what tokenizers stumble over.

use std::borrow::Cow;
use std::cell::RefCell;

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token as Theirs, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};
use proptest::prelude::*;

use super::entity;
use super::token::{Token, Tokens};
use crate::{Limits, Message};

#[path = "../../tests/material/mod.rs"]
mod material;

/// A token of either tokenizer, with what is written in several ways made one.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Shape {
    Text(String),
    Start(String, Vec<(String, String)>),
    End(String),
    Comment(String),
}

fn push(shapes: &mut Vec<Shape>, shape: Shape) {
    match (shapes.last_mut(), shape) {
        // Doctypes are comments to us; empty comments (`</>`) say nothing.
        (_, Shape::Comment(text))
            if text.is_empty() || text.get(..7).is_some_and(|t| t.eq_ignore_ascii_case("doctype")) => {}
        (Some(Shape::Text(before)), Shape::Text(text)) => before.push_str(&text),
        (_, Shape::Text(text)) if text.is_empty() => {}
        (_, shape) => shapes.push(shape),
    }
}

fn ours(html: &str) -> Vec<Shape> {
    let mut shapes = Vec::new();
    for token in Tokens::new(html) {
        let shape = match token {
            Token::Text(text) => Shape::Text(entity::decode(text, false).into_owned()),
            Token::Raw(text) => Shape::Text(text.to_owned()),
            Token::Start(tag) => {
                let mut attributes: Vec<(String, String)> = Vec::new();
                for (name, value) in tag.attributes() {
                    let name = name.to_ascii_lowercase();
                    if !attributes.iter().any(|(known, _)| *known == name) {
                        attributes.push((name, value.into_owned()));
                    }
                }
                Shape::Start(tag.name.to_ascii_lowercase(), attributes)
            }
            Token::End(name) => Shape::End(name.to_ascii_lowercase()),
            Token::Comment(text) => Shape::Comment(text.to_owned()),
        };
        push(&mut shapes, shape);
    }
    shapes
}

#[derive(Default)]
struct Sink(RefCell<Vec<Shape>>);

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Theirs, _line: u64) -> TokenSinkResult<()> {
        let mut shapes = self.0.borrow_mut();
        match token {
            Theirs::CharacterTokens(text) => push(&mut shapes, Shape::Text(text.to_string())),
            Theirs::CommentToken(text) => push(&mut shapes, Shape::Comment(text.to_string())),
            Theirs::TagToken(tag) => {
                push(&mut shapes, of_tag(&tag));
                if tag.kind == TagKind::StartTag {
                    return state_after(&tag.name);
                }
            }
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

fn of_tag(tag: &Tag) -> Shape {
    let attributes = tag.attrs.iter().map(|attribute| (attribute.name.local.to_string(), attribute.value.to_string()));
    match tag.kind {
        TagKind::StartTag => Shape::Start(tag.name.to_string(), attributes.collect()),
        TagKind::EndTag => Shape::End(tag.name.to_string()),
    }
}

fn state_after(name: &str) -> TokenSinkResult<()> {
    match name {
        "title" | "textarea" => TokenSinkResult::RawData(RawKind::Rcdata),
        "style" | "xmp" | "iframe" | "noembed" | "noframes" => TokenSinkResult::RawData(RawKind::Rawtext),
        "script" => TokenSinkResult::RawData(RawKind::ScriptData),
        "plaintext" => TokenSinkResult::Plaintext,
        _ => TokenSinkResult::Continue,
    }
}

fn theirs(html: &str) -> Vec<Shape> {
    let tokenizer = Tokenizer::new(Sink::default(), TokenizerOpts { discard_bom: false, ..TokenizerOpts::default() });
    let input = BufferQueue::default();
    input.push_back(StrTendril::from_slice(html));
    while !input.is_empty() {
        let _ = tokenizer.feed(&input);
    }
    tokenizer.end();
    tokenizer.sink.0.take()
}

/// Line ends as the standard's input stream has them; NULs have rules of their own that we do not follow.
fn prepared(html: &str) -> Cow<'_, str> {
    if html.contains(['\r', '\0']) {
        return html.replace("\r\n", "\n").replace('\r', "\n").replace('\0', "x").into();
    }
    html.into()
}

#[test]
fn the_html_of_corpora() {
    let Some(shared) = material::shared("the_html_of_corpora") else { return };
    let mut texts = 0;
    // Every so many messages: all of them agree, and take a minute without optimisation.
    for (name, step) in [("phishing-pot-to-2024", 5), ("redacted-spam-2026", 5), ("newsletters-2023", 1)] {
        for (path, raw) in
            material::unpack(&shared.join(format!("material/corpus/{name}.tar.gz"))).into_iter().step_by(step)
        {
            let message = Message::parse(raw, &Limits::default());
            for part in message.parts().iter().filter(|part| part.content_type().essence() == "text/html") {
                let html = prepared(part.text());
                let first = ours(&html).into_iter().zip(theirs(&html)).find(|(ours, theirs)| ours != theirs);
                assert_eq!(first, None, "{path}: part {}", part.index());
                assert_eq!(ours(&html).len(), theirs(&html).len(), "{path}: part {}", part.index());
                texts += 1;
            }
        }
    }
    assert!(texts > 300, "only {texts} texts were found");
}

/// Pieces that change the state of a tokenizer.
const PIECES: &[&str] = &[
    "<",
    ">",
    "/",
    "</",
    "<!",
    "<!--",
    "-->",
    "--!>",
    "<!-->",
    "<!--->",
    "-",
    "--",
    "!",
    "?",
    "<?",
    "=",
    "\"",
    "'",
    " ",
    "\n",
    "\t",
    "a",
    "B",
    "\u{e9}",
    "&",
    "&amp;",
    "&amp",
    "&lt",
    "&notit;",
    "&#",
    "&#x",
    "&#65;",
    "&#x41",
    ";",
    "<a",
    "<a ",
    "href",
    "=x",
    "='y'",
    "<b/>",
    "</b>",
    "<script>",
    "</script>",
    "</SCRIPT >",
    "<script",
    "<style>",
    "</style>",
    "<title>",
    "</title>",
    "<textarea>",
    "</textarea",
    "<xmp>",
    "</xmp>",
    "<plaintext>",
    "<!doctype html>",
    "<![CDATA[",
    "]]>",
    "\u{c}",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn text_that_tokenizers_stumble_over(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..40)) {
        let html = pieces.concat();
        prop_assert_eq!(ours(&html), theirs(&html), "{:?}", html);
    }
}
