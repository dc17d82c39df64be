//! Which header, pseudo-header, and which part of it: `Subject`, `From:addr`, `Received:raw`, `ALL-UNTRUSTED:raw`, `ToCc:first:domain`.

/// A header named by a rule, with its modifiers. The order of modifiers has no meaning.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct FieldRequest {
    /// The name as written, without modifiers. `ALL`, `ALL-TRUSTED`, … and `MESSAGEID` are compared with case, others without.
    pub name: String,
    /// `:raw`: undecoded, folded, with the white space after the colon.
    pub raw: bool,
    /// `:addr`: the addresses.
    pub addr: bool,
    /// `:name`: the display names.
    pub display_name: bool,
    /// `:host` or `:domain`: the first host name.
    pub host: bool,
    /// `:domain`: the registrable domain of that host.
    pub domain: bool,
    /// `:ip` or `:revip`: the first address.
    pub ip: bool,
    /// `:revip`: that address with its octets or nibbles reversed.
    pub revip: bool,
    /// `:first`: only the topmost header of this name.
    pub first: bool,
    /// `:last`: only the last header of this name.
    pub last: bool,
}

impl FieldRequest {
    /// Reads `Name:modifier:modifier`. Unknown modifiers are left out, as SpamAssassin does.
    #[must_use]
    pub fn parse(text: &str) -> FieldRequest {
        let mut pieces = text.split(':');
        let mut request =
            FieldRequest { name: pieces.next().unwrap_or_default().to_owned(), ..FieldRequest::default() };
        for modifier in pieces {
            match modifier {
                "raw" => request.raw = true,
                "addr" => request.addr = true,
                "name" => request.display_name = true,
                "host" => request.host = true,
                "domain" => (request.host, request.domain) = (true, true),
                "ip" => request.ip = true,
                "revip" => (request.ip, request.revip) = (true, true),
                "first" => request.first = true,
                "last" => request.last = true,
                _ => {}
            }
        }
        request
    }
}
