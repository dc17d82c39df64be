//! Reads octets as a message, asks for everything that can be asked, and checks what must hold for any octets.

use tidegate_mail::{Defect, Limits, Message, Received, find_urls, parse_date, parse_mailboxes};

/// Panics when something does not hold.
pub fn check(octets: &[u8]) {
    check_with(octets, &Limits::default());
    check_with(octets, &tight());
    let text = String::from_utf8_lossy(octets);
    let _ = (Received::parse(&text), parse_date(&text), parse_mailboxes(octets, 10));
    assert!(find_urls(&text, &tight()).len() <= tight().urls_max);
}

/// Limits that small input reaches.
fn tight() -> Limits {
    Limits {
        header_octets_max: 200,
        header_fields_max: 8,
        parts_max: 4,
        depth_max: 2,
        embedded_octets_max: 200,
        mailboxes_max: 2,
        received_max: 2,
        text_octets_max: 200,
        html_depth_max: 3,
        html_items_max: 2,
        urls_max: 3,
        url_octets_max: 20,
    }
}

fn check_with(octets: &[u8], limits: &Limits) {
    let message = Message::parse(octets, limits);
    assert_eq!(&**message.raw(), octets);
    check_parts(&message, limits);
    check_header(&message);
    check_contents(&message, limits);
    let again = Message::parse(octets, limits);
    assert_eq!(message.all_defects(), again.all_defects(), "the same octets read the same");
}

fn check_parts(message: &Message, limits: &Limits) {
    let parts = message.parts();
    assert!(!parts.is_empty() && parts.len() <= limits.parts_max);
    let fields: usize = parts.iter().map(|part| part.headers().len()).sum();
    assert!(fields <= limits.header_fields_max);
    for (index, part) in parts.iter().enumerate() {
        assert_eq!(part.index(), index);
        assert!(part.parent().is_none_or(|parent| parent < index));
        assert!(part.depth() <= limits.depth_max + 1);
        let body = part.body_range();
        assert!(body.start <= body.end && body.end <= part.buffer().len());
        assert!(part.decoded().len() <= part.raw_body().len());
        let _ = (part.text(), part.file_name(), part.preamble(), part.epilogue(), part.body_defects());
    }
}

fn check_header(message: &Message) {
    for field in message.headers() {
        assert!(field.raw().starts_with(field.name().as_bytes()));
        assert!(!field.decoded().contains(['\n', '\r', '\0']));
    }
    let is_whole = ![Defect::FoldWithoutField, Defect::TooManyHeaders, Defect::HeaderTooLarge]
        .iter()
        .any(|defect| message.defects().has(*defect));
    if is_whole {
        let fields: usize = message.headers().iter().map(|field| field.raw().len()).sum();
        assert_eq!(fields, message.header_bytes().len());
    }
}

fn check_contents(message: &Message, limits: &Limits) {
    assert!(message.received().len() <= limits.received_max && message.to().len() <= limits.mailboxes_max);
    assert!(message.urls().len() <= limits.urls_max);
    for url in message.urls() {
        assert!(url.written.len() <= limits.url_octets_max.max(512) && url.part < message.parts().len());
        let _ = url.is_label_foreign();
    }
    for view in message.views() {
        assert!(view.html.as_ref().is_none_or(|html| html.links.len() <= limits.html_items_max));
    }
    for attachment in message.attachments() {
        assert!(attachment.part < message.parts().len());
        assert_eq!(attachment.content(message).len(), attachment.octets);
    }
    for sighting in message.all_defects().iter() {
        assert!(sighting.part < message.parts().len() && sighting.count > 0);
    }
    let _ =
        (message.visible_text(), message.subject(), message.message_id(), message.date(), message.list_unsubscribe());
}
