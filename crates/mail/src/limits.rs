//! How much of a message is read. Every count, depth and size that a sender controls has its limit here.
//! Reaching one is a [`crate::Defect`], never silence.

/// The limits of one parse. Each holds for a whole message, embedded messages included, unless it says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Octets of header fields read from one entity. Exim's `header_maxsize` is 1 MiB as well.
    pub header_octets_max: usize,
    /// Header fields kept, over all parts together.
    pub header_fields_max: usize,
    /// Parts kept; what follows the last one stays part of its text.
    pub parts_max: usize,
    /// Depth of multiparts and embedded messages; what is deeper stays an opaque leaf.
    pub depth_max: usize,
    /// Octets of embedded messages that had to be decoded before they could be read.
    pub embedded_octets_max: usize,
    /// Mailboxes read from one kind of header field.
    pub mailboxes_max: usize,
    /// `Received` fields read.
    pub received_max: usize,
    /// Octets of text read for the reader's view, over all its parts together.
    pub text_octets_max: usize,
    /// Open HTML elements remembered at once; deeper ones inherit from the last remembered.
    pub html_depth_max: usize,
    /// Links, images and forms kept of one HTML part, each.
    pub html_items_max: usize,
    /// URLs kept.
    pub urls_max: usize,
    /// Octets of one URL; a longer one is cut.
    pub url_octets_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            header_octets_max: 1 << 20,
            header_fields_max: 20_000,
            parts_max: 1_000,
            depth_max: 30,
            embedded_octets_max: 64 << 20,
            mailboxes_max: 10_000,
            received_max: 200,
            text_octets_max: 4 << 20,
            html_depth_max: 256,
            html_items_max: 2_000,
            urls_max: 2_000,
            url_octets_max: 4 << 10,
        }
    }
}
