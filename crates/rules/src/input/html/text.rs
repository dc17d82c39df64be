//! Pieces of the source as text, and characters as Perl sees them.

use std::borrow::Cow;

/// The text of a piece of the source. All pieces are cut at ASCII characters, so they are text.
pub(super) fn text_of(octets: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(octets).map_or_else(|_| String::from_utf8_lossy(octets), Cow::Borrowed)
}

/// Perl's `\s` on characters.
pub(super) fn is_perl_space(char: char) -> bool {
    char.is_whitespace()
}
