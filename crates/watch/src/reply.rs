//! Replies of other servers within what a log says (RFC 5321 section 4.2, RFC 3463).

use crate::scan;

/// A reply code found in a remote server's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    /// Three digits.
    pub code: u16,
    /// `5.1.1`, if given.
    pub enhanced: Option<(u8, u16, u16)>,
    /// What follows the codes; hostile.
    pub text: &'a str,
}

impl<'a> Reply<'a> {
    /// The code that another server gave, within the words of Exim about it: at their start, or behind what was asked, as in
    /// `SMTP error from remote mail server after RCPT TO:<a@example.org>: 550 5.1.1 no such user`.
    #[must_use]
    pub fn within(words: &'a str) -> Option<Reply<'a>> {
        if let Some(found) = Reply::at_start(words) {
            return Some(found);
        }
        // An address of ours stands in front of the answer and may imitate one, so it is stepped over as a whole. Brackets within
        // the answer are the other side's.
        let command = ["TO:<", "FROM:<"].iter().filter_map(|word| Some(words.find(word)? + word.len() - 1)).min();
        let is_ours = |at: &usize| words.get(..*at).is_some_and(|before| !before.contains(": "));
        let answer = match command.filter(is_ours).and_then(|at| words.get(at..)).and_then(scan::bracketed) {
            Some((_, after)) => after,
            None => words,
        };
        scan::splits(answer, ": ").find_map(|(_, after)| Reply::at_start(after))
    }

    /// A reply code at the start of `text`.
    pub(crate) fn at_start(text: &'a str) -> Option<Reply<'a>> {
        let (code, rest) = text.split_at_checked(3)?;
        if !code.starts_with(['2', '3', '4', '5']) || !code.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        if !rest.is_empty() && !rest.starts_with([' ', '-']) {
            return None;
        }
        let text = rest.trim_start_matches([' ', '-']);
        let (enhanced, text) = match enhanced_code(text) {
            Some((enhanced, rest)) => (Some(enhanced), rest),
            None => (None, text),
        };
        Some(Reply { code: code.parse().ok()?, enhanced, text })
    }
}

/// `5.1.1` at the start of `text` (RFC 3463).
pub(crate) fn enhanced_code(text: &str) -> Option<((u8, u16, u16), &str)> {
    let (class, rest) = scan::number(text)?;
    let (subject, rest) = scan::number(rest.strip_prefix('.')?)?;
    let (detail, rest) = scan::number(rest.strip_prefix('.')?)?;
    if !matches!(class, 2 | 4 | 5) || rest.starts_with('.') {
        return None;
    }
    let code = (u8::try_from(class).ok()?, u16::try_from(subject).ok()?, u16::try_from(detail).ok()?);
    Some((code, rest.trim_start_matches(' ')))
}
