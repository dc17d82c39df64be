//! `tag=value; tag=value`: the lists that DKIM, ARC and DMARC are written in (RFC 6376 section 3.2). Text in, tags out; what a
//! tag means is its reader's business.

/// Tags of one list; more than any of the three protocols knows, with room for unknown ones.
const TAGS_MAX: usize = 64;

/// The tags of a list, in order, with blanks and folds around each value taken away.
pub(super) struct Tags<'a>(Vec<(&'a str, &'a str)>);

/// Why a text is no tag list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TagError {
    #[error("a tag has no `=`")]
    NoValue,
    #[error("a tag has no name, or a name that no tag may have")]
    BadName,
    #[error("a tag stands twice")]
    Repeated,
    #[error("there are more tags than a reader takes")]
    TooMany,
}

impl<'a> Tags<'a> {
    /// Reads the list of a header field. One mistake makes the list invalid, as a tag that stands twice would let two readers
    /// see two different things.
    pub(super) fn parse(text: &'a str) -> Result<Tags<'a>, TagError> {
        let (text, last) = text.rsplit_once(';').unwrap_or((text, ""));
        // Only the last tag may be empty: the list may end in a semicolon.
        let last = Some(last).filter(|last| !last.trim().is_empty());
        Tags::read(text.split(';').chain(last))
    }

    /// Reads the list of a DNS record, in which `;;` is a slip that harms nobody.
    pub(super) fn parse_record(text: &'a str) -> Result<Tags<'a>, TagError> {
        Tags::read(text.split(';').filter(|spec| !spec.trim().is_empty()))
    }

    fn read(specs: impl Iterator<Item = &'a str>) -> Result<Tags<'a>, TagError> {
        let mut tags: Vec<(&str, &str)> = Vec::new();
        for spec in specs {
            let (name, value) = spec.split_once('=').ok_or(TagError::NoValue)?;
            let name = name.trim();
            let is_name = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if !is_name || !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
                return Err(TagError::BadName);
            }
            if tags.iter().any(|(known, _)| *known == name) {
                return Err(TagError::Repeated);
            }
            if tags.len() == TAGS_MAX {
                return Err(TagError::TooMany);
            }
            tags.push((name, value.trim()));
        }
        Ok(Tags(tags))
    }

    /// The value of tag `name`; names are case-sensitive.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// The first tag of the list, which must be the version in some of them.
    pub(super) fn first(&self) -> Option<(&'a str, &'a str)> {
        self.0.first().copied()
    }
}

/// Decodes base64 with blanks and folds anywhere, padded or not.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    let mut packed: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let padding = packed.iter().rev().take_while(|b| **b == b'=').take(2).count();
    packed.truncate(packed.len().saturating_sub(padding));
    data_encoding::BASE64_NOPAD.decode(&packed).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_whole_or_not_at_all() {
        let tags = Tags::parse(" v=1; a = rsa-sha256 ;\r\n\tb=ab\r\n cd; ").unwrap();
        assert_eq!(tags.first(), Some(("v", "1")));
        assert_eq!((tags.get("a"), tags.get("b"), tags.get("A")), (Some("rsa-sha256"), Some("ab\r\n cd"), None));
        for (text, error) in [
            ("v", TagError::NoValue),
            ("", TagError::NoValue),
            ("v=1;;a=1", TagError::NoValue),
            ("=1", TagError::BadName),
            ("1a=1", TagError::BadName),
            ("a b=1", TagError::BadName),
            ("v=1;v=1", TagError::Repeated),
        ] {
            assert_eq!(Tags::parse(text).err(), Some(error), "{text}");
        }
    }

    #[test]
    fn a_record_may_slip() {
        assert_eq!(Tags::parse_record("v=DKIM1;; p=ab;").unwrap().get("p"), Some("ab"));
        assert!(Tags::parse_record("").unwrap().first().is_none());
    }

    #[test]
    fn base64_forgives_folds_and_missing_padding() {
        for text in ["YWI=", "YW\r\n I=", "YWI"] {
            assert_eq!(base64(text).as_deref(), Some(b"ab".as_slice()), "{text}");
        }
        assert_eq!(base64("Y=I="), None);
    }
}
