//! The shapes of `Received` headers, in the order in which SpamAssassin tries them: that order decides which name is HELO and which the
//! reverse name, so it is part of what rules see. The notation is explained at [`Form`].

use super::template::Template;

/// One shape. In `text`, `<name>` stands for a word that is kept, `<name*>` for one that may be empty, `<_>` for one that is not kept,
/// `<ip>` for an address, `<..>` for anything (as much as possible), `<.>` for as little as possible, `<0,40:)>` for up to 40 octets
/// without `)`, `<?…>` for a piece that may be missing, `<a|b>` for alternatives; a backquoted piece is a pattern. All else is literal.
#[derive(Debug)]
pub(super) struct Form {
    /// Only tried for headers of this family.
    pub(super) family: Option<Family>,
    pub(super) text: &'static str,
    /// What to make of it.
    pub(super) then: Then,
    /// The host that wrote the header looks up reverse names: a missing one does not exist.
    pub(super) looks_up: bool,
}

/// Hosts whose own shapes are tried before the general ones. The first whose mark is in the header counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Smtpsvc,
    Exchange,
    Xmail,
    Ecelerity,
    Exim,
    Postfix,
    Scalix,
    Domino,
}

/// What to do when a shape fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// Take the names as they are.
    Take,
    /// The header tells of no hand-over between hosts.
    Ignore,
    /// A program fetched the mail from a mailbox: relays before it do not count.
    Fetched,
    /// `<rest>` may hold `helo=` and `ident=`.
    Details,
    /// As `Details`; the HELO name is the reverse name unless told.
    DetailsRdns,
    /// The HELO name is also the reverse name.
    HeloIsRdns,
    /// The reverse name `unknown` is none.
    UnknownIsNone,
    /// The reverse name may have `user@` in front.
    IdentBeforeRdns,
    /// `softdnserr` is no reverse name, and nothing was looked up.
    SoftError,
    /// The reverse name `unknown` is none, any other was looked up; without a HELO name that is the reverse name.
    Qmail,
    /// Queue id and sender are told in `id <…>` and `from <…>`.
    Xmail,
    /// Forget the queue id.
    NoId,
    /// The name is the reverse name unless it is `UNKNOWN`.
    Obtuse,
    /// Keep the sender for the header below: this one only adds a detail to it.
    QmailScanner,
}

const fn form(text: &'static str) -> Form {
    Form { family: None, text, then: Then::Take, looks_up: false }
}

impl Form {
    const fn of(mut self, family: Family) -> Form {
        self.family = Some(family);
        self
    }

    const fn then(mut self, then: Then) -> Form {
        self.then = then;
        self
    }

    const fn looks_up(mut self) -> Form {
        self.looks_up = true;
        self
    }

    const fn ignored(self) -> Form {
        self.then(Then::Ignore)
    }

    pub(super) fn template(&self) -> Template {
        Template::compile(self.text)
    }
}

/// Shapes of headers that begin with `from `, which is cut off.
pub(super) static FROM: &[Form] = &[
    // Web mail.
    form("`^(?=.* \\((?:SquirrelMail|NaSMail) authenticated user ).*?`<ip>`\\b(?![.-]).{10,80}`by <by> with HTTP"),
    form("`^(?=.*aol\\.com).*?`<ip> by <by> (<_ip>) with HTTP (WebMailUI)"),
    // Microsoft.
    form("<helo*> ([<ip>]<0,40:)>) by <by> with Microsoft SMTPSVC").of(Family::Smtpsvc),
    form("mail pickup service by <_> with Microsoft SMTPSVC`$`").of(Family::Smtpsvc).ignored(),
    form("<helo> (`\\[?`<ip>`(?:%[A-Z0-9._~-]*)?\\]?`) by <by> ").of(Family::Exchange).then(Then::NoId),
    // XMail, Ecelerity.
    form("<helo> (`(\\[?IP\\]?)(?::\\d+)`) by <by>`(?: \\(\\S+\\))?` with [XMail").of(Family::Xmail).then(Then::Xmail),
    form("([<ip>:`\\d+`] helo=<helo>) by <by> ").of(Family::Ecelerity),
    form("<_> ([<ip>:`\\d+`]) by <by> ").of(Family::Ecelerity),
    // Exim.
    form("`^.*?\\bwith local(?:-\\S+)? `").of(Family::Exim).ignored(),
    form("[<ip>] (<rest.>) by <by> ").of(Family::Exim).then(Then::Details),
    form("<rdns> ([<ip>]<rest.>) by <by> ").of(Family::Exim).then(Then::DetailsRdns),
    form("<rdns> [<ip>]`(?::\\d+)?` by <by> ").of(Family::Exim).then(Then::HeloIsRdns),
    // Postfix, Scalix, Domino.
    form("<helo> (<rdns> [<ip>]) by <by> ").of(Family::Postfix).then(Then::UnknownIsNone).looks_up(),
    form("<helo> (<rdns>[<ip>]) by <by> ").of(Family::Postfix).then(Then::UnknownIsNone).looks_up(),
    form("<helo> (` ?`<ip>) by <by>").of(Family::Scalix),
    form("<helo> ([<ip>]) by <by> (Lotus").of(Family::Domino),
    // Web mail that copies the address to where HELO stands.
    form("`^(?=.*\\bwith HTTP\\b)`<ip> ([<_ip>]) by <by>"),
    // Sendmail, but not the qmail patches that look alike.
    form("`^(?!.* by \\S+ \\(qmail-\\S+\\) with )`<helo> (<rdns> [<ip>]<..>) by <by> (").then(Then::IdentBeforeRdns).looks_up(),
    // Less regular ones.
    form("<helo> (<rdns> [<ip>]) by <by> with <_> (").looks_up(),
    form("<rdns> ([<ip>] helo=<helo>) by <by> with "),
    form("<helo> (`<unknown\\S*>`[<ip>]) by <by> "),
    form("<helo> (`(?<rdns>\\S+\\.\\S+)`[<ip>]) by <by> ").looks_up(),
    form("<helo> (<ident*>@[<ip>]<..>) by <by> (").looks_up(),
    form("`^(?=(?:(IP) )?).*?`by `(?<by>\\S+\\.hotmail\\.msn\\.com)` "),
    form("<rdns> (<HELO|EHLO> <helo*>) (<ip>) by <by> (`qpsmtpd/\\S+`) with <ESMTP|SMTP>"),
    form("<rdns> (LHLO <helo*>) (<ip>) by <by> with LMTP"),
    form("<rdns> (<HELO|EHLO> <helo*>) [<ip>] by <by> (`[^)]+`) with <ESMTP|SMTP>"),
    form("<helo> ([<ip>]) by <by> via smtpd (for <_>) with SMTP("),
    // Qmail: reverse name, HELO in parentheses if it differs, then perhaps the user, then the address.
    form(
        "`(?=\\S+(?: \\((?:HELO|EHLO) \\S*\\))? \\((?:\\S+@)?\\[?IP\\]?\\)(?: \\(envelope-sender <\\S+>\\))? by \\S+(?: \\(.+\\))* with (?:.* )?(?:SMTP|QMQP)(?! id ))`\
         <rdns> (<HELO|EHLO> `(?<helo>[^ \\(\\)]*)`) (<ident*>@`\\[?`<ip>`\\]?`)`(?: \\(envelope-sender <\\S+>\\))?` by <by>",
    )
    .then(Then::Qmail),
    form(
        "`(?=\\S+(?: \\((?:HELO|EHLO) \\S*\\))? \\((?:\\S+@)?\\[?IP\\]?\\)(?: \\(envelope-sender <\\S+>\\))? by \\S+(?: \\(.+\\))* with (?:.* )?(?:SMTP|QMQP)(?! id ))`\
         <rdns> (<HELO|EHLO> `(?<helo>[^ \\(\\)]*)`) (`\\[?`<ip>`\\]?`)`(?: \\(envelope-sender <\\S+>\\))?` by <by>",
    )
    .then(Then::Qmail),
    form(
        "`(?=\\S+(?: \\((?:HELO|EHLO) \\S*\\))? \\((?:\\S+@)?\\[?IP\\]?\\)(?: \\(envelope-sender <\\S+>\\))? by \\S+(?: \\(.+\\))* with (?:.* )?(?:SMTP|QMQP)(?! id ))`\
         <rdns> (<ident*>@`\\[?`<ip>`\\]?`)`(?: \\(envelope-sender <\\S+>\\))?` by <by>",
    )
    .then(Then::Qmail),
    form(
        "`(?=\\S+(?: \\((?:HELO|EHLO) \\S*\\))? \\((?:\\S+@)?\\[?IP\\]?\\)(?: \\(envelope-sender <\\S+>\\))? by \\S+(?: \\(.+\\))* with (?:.* )?(?:SMTP|QMQP)(?! id ))`\
         <rdns> (`\\[?`<ip>`\\]?`)`(?: \\(envelope-sender <\\S+>\\))?` by <by>",
    )
    .then(Then::Qmail),
    // Others that put the address in brackets or parentheses.
    form("[<ip>] by <by> via HTTP`$`"),
    form("<_> ( [<ip>])<.> by <by> "),
    form("(<helo> [<ip>]) by <by> "),
    form("[<ip>] by <by> "),
    form("(`\\[?`<ip>`\\]?`) by <by> "),
    form("<helo> [<ip>] by <by> [<_ip>] with ").looks_up(),
    form("<helo> [(<ip>)] by <by> (<_ip>) "),
    form("<helo> ([<ip>]) by <by> (").looks_up(),
    form("<helo> (<rdns> [<ip>])<.> by <by>`\\b`").then(Then::SoftError).looks_up(),
    form("<helo> ([<ip>`(?:[.:]\\d+)?`])<.> by <by> ").looks_up(),
    form("<helo> (<rdns> [<ip>])`(?: \\(authenticated bits=\\d+\\))?` by <by> (").looks_up(),
    form("`^.*?with (?:POP3|IMAP)`").then(Then::Fetched),
    form("<rdns> (<HELO|EHLO> `(?<helo>[^)]*)`) (`(?:(?<ident>\\S*)@)?\\[?`<ip>`\\]?`)<..> by <by> ").looks_up(),
    form("<rdns> (`(?:(?<ident>\\S*)@)?\\[?`<ip>`\\]?`)<..> by <by> ").then(Then::HeloIsRdns).looks_up(),
    form("[<ip>] by <by> with http for "),
    form("<rdns>(<ip>) by <by> via smap ").looks_up(),
    form("<rdns>(<ip>, <HELO|EHLO> <helo*>) by <by> via smap ").looks_up(),
    form("[<ip>] by <by> (Post"),
    form("[<ip>] by <by> (ArGoSoft"),
    form("<ip> by <by> (`(?:SMTPL|InterScan)\\b`"),
    form("<_> by <_> with BSMTP").ignored(),
    form("<helo> (<rdns> [<ip>]) by <by> with ").looks_up(),
    form("<rdns> (<HELO|EHLO> <helo*>) (`(?:(?<ident>\\S+)@)?`<ip><.>) by <by> with ").looks_up(),
    form("[<ip>] (`(?:account \\S+ )?`<HELO|EHLO> <helo*>) by <by> ("),
    form("`^(?=.* \\(CommuniGate Pro)`<rdns> ([<ip>] verified) by <by> (").then(Then::HeloIsRdns).looks_up(),
    form("([<ip>]) by <by> with "),
    form("`(?<helo>[^\\d]\\S+)` (<ip>) by <by> "),
    form("<_> (<_>) by <_> (Content Technologies ").ignored(),
    form("<helo> ([<ip>] [<_>]) by <by> with "),
    form("<ip> by <by> with "),
    form("<helo> (<rdns>[<ip>]) by <by> ").looks_up(),
    form("[<ip>]<_> (<HELO|EHLO> <helo*>) by <by> "),
    form("<ip> (<HELO|EHLO> <helo*>) by <by> "),
    form("<helo> [<ip>] by <by> "),
    form("<rdns>(<ip>) by <by> "),
    form("[<ip>] by <by> (MailGate "),
    form("<helo> (unverified [<ip>]) by <by> "),
    form("<ip> (`[A-Za-z][^)]+`) by <by> with "),
    form("[<ip>] (`(?<rest>[^)]+)`) by <by> ").then(Then::Details),
    form("<rdns> (`(?:\\S+@)?`<ip>) by <by> with "),
    form("<rdns>(<ip>)`(?:, claiming to be \"(?<helo>\\S+)\")?` via <_> by <by>,").then(Then::Obtuse),
    form("<helo> (<_>@<ip> with login) by `(?<by>\\S+\\.yahoo\\.com)` with SMTP"),
    // Made up from headers like `X-Originating-IP`.
    form("X-Originating-IP: <ip>`$`"),
    // Hand-overs within a host, and those that tell no address.
    form("<_> (`[^\\s@]+`@`LOCALHOST`) by <_> (").ignored(),
    form("<_> <_> by <_> with `local-e?smtp ` ").ignored(),
    form("127.0.0.1 (AVG SMTP <_> [<_>])").ignored(),
    form("<_>@<_> by <_> by uid <_> ").ignored(),
    form("<_>@<_> by <_> ").ignored(),
    form("Unknown/Local (").ignored(),
    form("`LOCALHOST \\((?:\\S+@)?LOCALHOST[)\\[]`").ignored(),
    form("<_> (`(?:\\S+@)?LOCALHOST`) ").ignored(),
    form("<_> (<_>@<_> [`LOCALHOST`]) ").ignored(),
    form("(AUTH: <_>) by <_> with ").ignored(),
    form("localhost (localhost [[UNIX: localhost]]) by ").ignored(),
    form("<_>.amazon.com by <_>.amazon.com with ESMTP (peer crosscheck: ").ignored(),
    form("`[^.]+` by <_> with Novell_GroupWise").ignored(),
    form("no.name.available by <_> via smtpd (for ").ignored(),
    form("<_> by <_> (`.{0,100}`) with qmail-scanner").then(Then::QmailScanner),
    form("<_> by <_> with local").ignored(),
    form("<_> ([unix socket]) by <_> (Cyrus v`[0-9]*?`.`[0-9]*?`.`[0-9]*?`) with LMTPA").ignored(),
    form("<_> by <_> `(?:with|via|for|\\()`").ignored(),
    form("<_> `(?:(?:with|via|for) \\S+|\\(unverified\\)) by\\b`").ignored(),
    form("<_> (unknown) by <_> (SG) with `\\b`").ignored(),
    form("<_> (<_> [local]) by <_> (OpenSMTPD) with `\\b`").ignored(),
    form("`^.*?\\(LSMTP for`").ignored(),
    form("([`LOCALHOST`]) with MailEnable ").ignored(),
    form("facebook.com (`[^)]+`) by facebook.com with Thrift id <_>`$`").ignored(),
    form("<_> named <_> by gmailapi.google.com with HTTPREST`$`").ignored(),
    form("<_> id <_>`$`").ignored(),
    form("[`<.*? `(Jetsend").ignored(),
];

/// Shapes of headers that begin with `FROM `.
pub(super) static UPPER_FROM: &[Form] =
    &[form("<helo> (<rdns> [<ip>]) BY <by> `(?:\\([^)]+\\) WITH SMTP )?`ID `<?(?<id>\\S+?)>?(?: FOR <[^>]+>)?$`")
        .then(Then::UnknownIsNone)
        .looks_up()];

/// Shapes of headers that begin with `(from `.
pub(super) static PARENTHESIS_FROM: &[Form] = &[
    form("<helo*> [<ip>]) by <by> (NAVGW <.>) with "),
    form("<_>@localhost) by <_> ").ignored(),
    form("`[^\\s@]+@[^)]+`) by <_>(jqueuemail) id `[^\\s;]+`").ignored(),
];
