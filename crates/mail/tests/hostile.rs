//! Octets that nobody meant well with: arbitrary ones, messages put together from pieces that parsers stumble over, and
//! real messages with octets changed, taken away and doubled. The checks are those of the fuzz target.
#![allow(missing_docs, unreachable_pub, clippy::indexing_slicing, reason = "tests")]

mod material;
#[path = "../../../fuzz/entries/message.rs"]
mod message;

use std::sync::LazyLock;

use proptest::prelude::*;

/// Pieces of messages that change what a parser does next.
const PIECES: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    "\0",
    " ",
    "\t",
    "\r\n\r\n",
    "\n\n",
    "--",
    "--b",
    "--b\r\n",
    "--b--\r\n",
    "--c\n",
    "--bb\n",
    ":",
    ";",
    "=",
    "=\r\n",
    "From: a@b.example\r\n",
    "From ",
    "From: =?utf-8?Q?a=40b?= <c@d.example>, \"x\" <y@z.example>\r\n",
    "To: g:a@b.example;,(c)\r\n",
    "Subject: =?utf-8?B?4oKs",
    "?=",
    "=?",
    "Date: Mon, 2 Mar 2026 10:11:12 +0100\r\n",
    "MIME-Version: 1.0\r\n",
    "Content-Type: multipart/mixed; boundary=b\r\n\r\n",
    "Content-Type: multipart/alternative; boundary=\"c\"\r\n\r\n",
    "Content-Type: multipart/mixed\r\n\r\n",
    "Content-Type: message/rfc822\r\n\r\n",
    "Content-Type: text/html; charset=utf-8\r\n\r\n",
    "Content-Type: multipart/digest; boundary=bb\n\n",
    "Content-Type: text/plain; charset=utf-7; name*0*=x''%41; name*1=b\r\n",
    "Content-Transfer-Encoding: base64\r\n",
    "Content-Transfer-Encoding: quoted-printable\r\n",
    "Content-Transfer-Encoding: x-uuencode\r\n",
    "Content-Disposition: attachment; filename=\"a.pdf.exe\"\r\n",
    "RnJvbTogYQoKaGk=",
    "begin 644 x\n#0V%T\n`\nend\n",
    "=3D=C3=A9",
    "Received: from a (b [192.0.2.1]) by c with ESMTPS id d; Mon, 2 Mar 2026 10:11:12 +0100\r\n",
    "\u{e9}",
    "\u{202e}",
    "<a href=\"http://a.example/?x=http://b.example\">www.c.example</a>",
    "<div style=\"display:none\">",
    "</div>",
    "<!--[if mso]>",
    "<style>.x{color:#fff}</style>",
    "<p class=x>",
    "http://1.2.3.4:80/",
    "a@b.example",
    "<img src=//x.example/y width=1 height=1>",
    "<",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_octets(octets in prop::collection::vec(any::<u8>(), 0..600)) {
        message::check(&octets);
    }

    #[test]
    fn pieces_of_messages(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..60)) {
        message::check(pieces.concat().as_bytes());
    }

    #[test]
    fn real_messages_with_changes(choice in any::<prop::sample::Index>(), changes in prop::collection::vec(change(), 1..12)) {
        let messages = &*MESSAGES;
        if !messages.is_empty() {
            let mut octets = messages[choice.index(messages.len())].clone();
            for change in &changes {
                apply(&mut octets, change);
            }
            message::check(&octets);
        }
    }
}

#[derive(Clone, Debug)]
enum Change {
    Set(prop::sample::Index, u8),
    Remove(prop::sample::Index, usize),
    Double(prop::sample::Index, usize),
    Insert(prop::sample::Index, &'static str),
    Cut(prop::sample::Index),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        8 => (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, octet)| Change::Set(at, octet)),
        4 => (any::<prop::sample::Index>(), 1..200usize).prop_map(|(at, length)| Change::Remove(at, length)),
        4 => (any::<prop::sample::Index>(), 1..400usize).prop_map(|(at, length)| Change::Double(at, length)),
        8 => (any::<prop::sample::Index>(), prop::sample::select(PIECES)).prop_map(|(at, piece)| Change::Insert(at, piece)),
        1 => any::<prop::sample::Index>().prop_map(Change::Cut),
    ]
}

fn apply(octets: &mut Vec<u8>, change: &Change) {
    let length = octets.len();
    let place = |at: &prop::sample::Index| at.index(length + 1);
    match change {
        Change::Set(at, octet) => {
            if let Some(old) = octets.get_mut(place(at)) {
                *old = *octet;
            }
        }
        Change::Remove(at, count) => drop(octets.drain(place(at)..(place(at) + count).min(length))),
        Change::Double(at, count) => {
            let copy = octets[place(at)..(place(at) + count).min(length)].to_vec();
            octets.splice(place(at)..place(at), copy);
        }
        Change::Insert(at, piece) => drop(octets.splice(place(at)..place(at), piece.bytes())),
        Change::Cut(at) => octets.truncate(place(at)),
    }
}

/// Small messages of the suites, with all their oddities.
static MESSAGES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let Some(shared) = material::shared("real_messages_with_changes") else { return Vec::new() };
    let suites = shared.join("material/suites");
    ["mime/mail-parser.tar.gz", "mime/python-email.tar.gz", "rspamd-messages.tar.gz"]
        .iter()
        .flat_map(|name| material::unpack(&suites.join(name)))
        .filter(|(path, raw)| !path.ends_with(".json") && raw.len() < 20_000)
        .map(|(_, raw)| raw)
        .collect()
});
