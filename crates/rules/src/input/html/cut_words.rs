//! Words that tags cut in two (`V<b>i</b>agra`): what counts as a letter there, and how long the pieces are.

use super::text::is_perl_space;

/// Characters of a piece that are counted.
const CUT_WORD_CHARS_MAX: usize = 7;

/// Neither white space nor ASCII punctuation.
pub(super) fn is_letter_like(char: char, is_wide: bool) -> bool {
    let is_space =
        if is_wide { is_perl_space(char) } else { matches!(char, ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}') };
    !is_space && !char.is_ascii_punctuation()
}

/// Perl's `\w`: besides letters and digits, marks and joiners are part of words, but numbers like `½` are not.
fn is_word_char(char: char, is_wide: bool) -> bool {
    if char.is_ascii() || !is_wide {
        return char == '_' || char.is_ascii_alphanumeric();
    }
    let is_mark = matches!(char, '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{591}'..='\u{5bd}' | '\u{610}'..='\u{61a}' | '\u{64b}'..='\u{65f}')
        || matches!(char, '\u{200c}' | '\u{200d}' | '\u{203f}' | '\u{2040}' | '\u{20d0}'..='\u{20f0}' | '\u{fe00}'..='\u{fe0f}' | '\u{fe20}'..='\u{fe2f}');
    let is_other_number = matches!(char, '²' | '³' | '¹' | '¼'..='¾' | '\u{2070}'..='\u{2089}' | '\u{2150}'..='\u{215f}' | '\u{2460}'..='\u{249b}' | '\u{24ea}'..='\u{24ff}' | '\u{2776}'..='\u{2793}');
    is_mark || (char.is_alphanumeric() && !is_other_number)
}

/// The length of the longest word of at most seven characters at the end of `text`, if it begins at a word boundary.
pub(super) fn word_tail(text: &str, is_wide: bool) -> Option<usize> {
    let mut chars: Vec<char> = text.chars().rev().take(CUT_WORD_CHARS_MAX + 1).collect();
    chars.reverse();
    let has_more = chars.len() > CUT_WORD_CHARS_MAX;
    let letters = chars.iter().rev().take_while(|char| is_letter_like(**char, is_wide)).count().min(CUT_WORD_CHARS_MAX);
    let first = chars.len() - letters;
    (first..chars.len()).find(|at| is_boundary(&chars, *at, is_wide, !has_more)).map(|at| chars.len() - at)
}

/// The length of the longest word of at most seven characters at the start of `text`, if it ends at a word boundary.
pub(super) fn word_head(text: &str, is_wide: bool) -> Option<usize> {
    let chars: Vec<char> = text.chars().take(CUT_WORD_CHARS_MAX + 1).collect();
    let letters = chars.iter().take(CUT_WORD_CHARS_MAX).take_while(|char| is_letter_like(**char, is_wide)).count();
    (1..=letters).rev().find(|at| is_boundary(&chars, *at, is_wide, true))
}

/// Whether a word begins or ends before the character at `at`.
fn is_boundary(chars: &[char], at: usize, is_wide: bool, is_whole: bool) -> bool {
    let is_word = |index: Option<usize>| {
        index.and_then(|index| chars.get(index)).is_some_and(|char| is_word_char(*char, is_wide))
    };
    if at == 0 && !is_whole {
        return false;
    }
    is_word(at.checked_sub(1)) != is_word(Some(at))
}
