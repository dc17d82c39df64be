//! Every message at hand parses, and what comes out of it holds together.
#![allow(missing_docs, clippy::indexing_slicing, reason = "tests")]

mod material;

use tidegate_mail::{Defect, Limits, Message};

#[test]
fn every_spam_message_parses() {
    let archives = ["corpus/phishing-pot-to-2024", "corpus/redacted-spam-2026", "corpus/newsletters-2023"];
    check_archives("every_spam_message_parses", &archives, 2_000);
}

#[test]
fn every_other_message_parses() {
    let archives = [
        "corpus/kernel-lists-a",
        "corpus/spamassassin-public",
        "corpus/transactional-ham",
        "corpus/transactional-ham-measure",
        "suites/rspamd-messages",
        "suites/mime/mail-parser",
        "suites/mime/mime-tools",
        "suites/mime/nodemailer",
        "suites/mime/python-email",
        "suites/sa-rules/messages",
        "suites/sa-rules/per-rule",
        "bounces/sisimai",
    ];
    check_archives("every_other_message_parses", &archives, 10_000);
}

fn check_archives(test: &str, archives: &[&str], messages_min: usize) {
    let Some(shared) = material::shared(test) else { return };
    let mut messages = 0;
    for name in archives {
        for (path, raw) in material::unpack(&shared.join(format!("material/{name}.tar.gz"))) {
            check_invariants(&path, raw);
            messages += 1;
        }
    }
    println!("{messages} messages");
    assert!(messages >= messages_min, "only {messages} messages were found");
}

fn check_invariants(path: &str, raw: Vec<u8>) {
    let message = Message::parse(raw.clone(), &Limits::default());
    assert_eq!(&**message.raw(), &raw[..], "{path}");
    check_root(path, &message);
    for (index, part) in message.parts().iter().enumerate() {
        assert_eq!(part.index(), index, "{path}");
        let parent = part.parent().map(|parent| &message.parts()[parent]);
        assert_eq!(parent.is_none(), index == 0, "{path}");
        assert_eq!(part.depth(), parent.map_or(0, |parent| parent.depth() + 1), "{path}");
        let body = part.body_range();
        assert!(body.start <= body.end && body.end <= part.buffer().len(), "{path}: body of part {index}");
        if let Some(parent) = parent.filter(|parent| parent.encoding().is_identity()) {
            let outer = parent.body_range();
            assert!(outer.start <= body.start && body.end <= outer.end, "{path}: part {index} within its parent");
        }
        assert!(part.decoded().len() <= part.raw_body().len(), "{path}: decoding does not grow");
        let _ = (part.text(), part.file_name(), part.preamble(), part.epilogue(), part.disposition());
    }
    let _ = (message.all_defects(), message.from(), message.to(), message.subject(), message.date());
    let _ = (message.message_id(), message.list_id(), message.list_unsubscribe(), message.received());
    check_views(path, &message);
}

/// What is seen has no characters that take no room, and at most one empty line; URLs point at parts that exist.
fn check_views(path: &str, message: &Message) {
    for view in message.views() {
        assert!(!view.visible.contains('\u{200b}') && !view.visible.contains("\n\n\n"), "{path}");
        assert_eq!(view.visible.trim(), view.visible, "{path}");
    }
    for url in message.urls() {
        assert!(url.part < message.parts().len() && !url.written.is_empty(), "{path}: {url:?}");
        let _ = (url.label_domain(), url.is_label_foreign());
    }
}

/// The fields put together are the header, and header, empty line and body are the message.
fn check_root(path: &str, message: &Message) {
    let defects = message.defects();
    let fields: Vec<u8> = message.headers().iter().flat_map(|field| field.raw().to_vec()).collect();
    if !defects.has(Defect::FoldWithoutField) {
        assert_eq!(fields, message.header_bytes(), "{path}");
    }
    for field in message.headers() {
        assert_eq!(&message.raw()[field.range()], field.raw(), "{path}");
        assert!(!field.decoded().contains('\n'), "{path}: {}", field.name());
    }
    let between = message.raw().len() - message.header_bytes().len() - message.body_bytes().len();
    let is_odd = [Defect::MboxLine, Defect::NoBody, Defect::HeaderWithoutColon, Defect::FoldWithoutField];
    if !is_odd.iter().any(|defect| defects.has(*defect)) {
        let is_separated = between == 1 || between == 2;
        // The line end before an outer delimiter does not exist here: the root has no outer delimiter.
        assert!(is_separated, "{path}: {between} octets between header and body");
    }
}
