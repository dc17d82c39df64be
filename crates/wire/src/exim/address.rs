//! Addresses exactly as Exim holds them, and their keys in a quarantine list.

use data_encoding::BASE64;
use tidegate_mail::{Address, AddressError, ReversePath};

/// An envelope address in the text that Exim gave: quoted where needed, local part in its case, domain as it was sent.
/// Kept beside the parsed form because Exim must recognise it again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ExactAddress(String);

impl ExactAddress {
    /// Takes `text` (`local@domain`, quoted as in SMTP; empty for the null reverse-path) as it is.
    #[must_use]
    pub fn new(text: impl Into<String>) -> ExactAddress {
        ExactAddress(text.into())
    }

    /// The text as Exim gave it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address in comparable form.
    ///
    /// # Errors
    /// As [`Address::parse`]: Exim also takes addresses that no public mail carries, such as one without a domain.
    pub fn address(&self) -> Result<Address, AddressError> {
        Address::parse(&self.0)
    }

    /// The address as an envelope sender; the empty text is the null path.
    ///
    /// # Errors
    /// As [`ReversePath::parse`].
    pub fn reverse_path(&self) -> Result<ReversePath, AddressError> {
        ReversePath::parse(&self.0)
    }

    /// The word for this address in the quarantine list: what `${base64:${lc:$local_part@$domain}}` yields in our
    /// router, where `$local_part` stands without quotes. Holds no character that a list or a quoted string knows.
    #[must_use]
    pub fn key(&self) -> String {
        let (local, domain) = self.0.rsplit_once('@').unwrap_or((&self.0, ""));
        // Exim's `lc` knows ASCII alone.
        BASE64.encode(format!("{}@{domain}", unquote(local)).to_ascii_lowercase().as_bytes())
    }
}

fn unquote(local: &str) -> String {
    let Some(inner) = local.strip_prefix('"').and_then(|l| l.strip_suffix('"')) else {
        return local.to_owned();
    };
    let mut unquoted = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        unquoted.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    unquoted
}

/// Splits `$recipients` (addresses joined by comma and space); a comma inside quotes does not split.
#[must_use]
pub fn split_recipients(list: &[u8]) -> Vec<ExactAddress> {
    let mut addresses = Vec::new();
    let mut address = Vec::new();
    let (mut is_quoted, mut is_escaped) = (false, false);
    for &byte in list {
        match byte {
            b',' if !is_quoted => {
                push_address(&mut addresses, &mut address);
                continue;
            }
            b' ' if !is_quoted && address.is_empty() => continue,
            b'"' if !is_escaped => is_quoted = !is_quoted,
            _ => {}
        }
        is_escaped = is_quoted && byte == b'\\' && !is_escaped;
        address.push(byte);
    }
    push_address(&mut addresses, &mut address);
    addresses
}

fn push_address(addresses: &mut Vec<ExactAddress>, address: &mut Vec<u8>) {
    if !address.is_empty() {
        addresses.push(ExactAddress(String::from_utf8_lossy(address).into_owned()));
        address.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn commas_in_quotes_do_not_split() {
        let list = br#"a@example.org, "b, c"@example.org, "d\", e"@example.org, f@example.org"#;
        let texts: Vec<String> = split_recipients(list).into_iter().map(|a| a.0).collect();
        assert_eq!(texts, ["a@example.org", r#""b, c"@example.org"#, r#""d\", e"@example.org"#, "f@example.org"]);
    }

    #[test]
    fn a_key_is_of_the_unquoted_lower_case_address() {
        let of = |text: &str| ExactAddress::new(text).key();
        assert_eq!(of("\"A b\"@Example.ORG"), BASE64.encode(b"a b@example.org"));
        assert_eq!(of(r#""a\"b"@example.org"#), BASE64.encode(b"a\"b@example.org"));
        assert_eq!(of("root"), BASE64.encode(b"root@"));
    }

    proptest! {
        #[test]
        fn lists_of_plain_addresses_come_back(locals in proptest::collection::vec("[a-z0-9.+]{1,12}", 0..20)) {
            let texts: Vec<String> = locals.iter().map(|l| format!("{l}@example.org")).collect();
            let read: Vec<String> = split_recipients(texts.join(", ").as_bytes()).into_iter().map(|a| a.0).collect();
            prop_assert_eq!(read, texts);
        }

        #[test]
        fn arbitrary_lists_are_split_without_a_panic(list in proptest::collection::vec(any::<u8>(), 0..300)) {
            for address in split_recipients(&list) {
                let _ = (address.key(), address.address().is_ok());
            }
        }
    }
}
