//! Characters that a reader does not see. They split words for a filter and turn text around, so whoever matches text leaves them out, and
//! whoever shows text to an administrator escapes them.

/// Whether `c` takes no room on the screen: zero-width spaces and joiners, direction marks, soft hyphens, variation selectors, tags. Those of
/// Unicode's format characters (general category Cf) that leave a mark, such as the Arabic number sign, are not among them.
///
/// ```
/// use tidegate_mail::is_invisible;
/// assert!(is_invisible('\u{200b}') && is_invisible('\u{202e}'));
/// assert!(!is_invisible(' ') && !is_invisible('\n'));
/// ```
pub fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Whether `c` has to be spelt out where text is shown to an administrator: a terminal obeys it, it ends a line, or nobody sees it.
pub fn needs_spelling(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') || is_invisible(c)
}

/// `text`, with all that [`needs_spelling`] as `\u{..}`; as long as it has to be.
///
/// ```
/// assert_eq!(tidegate_mail::spelt_out("Pay\u{200b}Pal\n"), r"Pay\u{200b}Pal\u{a}");
/// ```
pub fn spelt_out(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if needs_spelling(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    #[test]
    fn every_format_character_without_a_mark() {
        let format = Regex::new(r"^\p{Cf}$").unwrap();
        // These stand before a number or a word and are drawn.
        let is_drawn = |c: char| {
            matches!(
                c,
                '\u{600}'
                    ..='\u{605}'
                        | '\u{6dd}'
                        | '\u{70f}'
                        | '\u{890}'
                        | '\u{891}'
                        | '\u{8e2}'
                        | '\u{110bd}'
                        | '\u{110cd}'
            )
        };
        let missed: Vec<char> = ('\0'..=char::MAX)
            .filter(|c| format.is_match(c.encode_utf8(&mut [0; 4])) && is_invisible(*c) == is_drawn(*c))
            .collect();
        assert!(missed.is_empty(), "{missed:x?}");
    }

    #[test]
    fn what_is_seen() {
        for c in [' ', '\t', '\n', '\u{a0}', 'a', 'é', '\u{301}', '\u{3000}', '\u{1f469}', '\u{600}', '\u{2800}'] {
            assert!(!is_invisible(c), "{c:?}");
        }
    }
}
