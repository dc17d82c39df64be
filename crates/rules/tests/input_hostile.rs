//! Hostile messages: reading them never panics, gives the same twice, and stays within its limits.

use proptest::prelude::*;
use tidegate_rules::evals::{self, EvalContext, EvalTarget};
use tidegate_rules::input::{Context, Input};
use tidegate_rules::settings::Suffixes;
use tidegate_rules::{Answers, Arg, FieldRequest, Settings};

const BODY_LINE_OCTETS_MAX: usize = 2048;
const LARGE: usize = 1_000_000;

fn settings() -> Settings {
    let tld = ["com", "net", "uk"].map(str::to_owned).into_iter().collect();
    let two = std::iter::once("co.uk".to_owned()).collect();
    Settings {
        suffixes: Suffixes { tld, two, ..Suffixes::default() },
        freemail_domains: std::iter::once("free.com".to_owned()).collect(),
        ..Settings::default()
    }
}

/// Reads a message and asks all that rules could ask of it.
fn read(message: &[u8]) -> usize {
    let settings = settings();
    let input = Input::from_octets(message, &Context::default(), &settings);
    assert!(input.body.iter().all(|line| line.len() <= BODY_LINE_OCTETS_MAX), "a paragraph is too long");
    let requests = [
        "ALL",
        "ALL:raw",
        "ALL-UNTRUSTED:raw",
        "From:addr",
        "From:name",
        "ToCc:addr:domain",
        "Received:ip",
        "MESSAGEID:host",
    ];
    let fields: usize = requests.iter().map(|request| input.get(&FieldRequest::parse(request), &settings).len()).sum();
    let answers = Answers::default();
    let context = EvalContext {
        input: &input,
        settings: &settings,
        answers: &answers,
        target: EvalTarget::Body,
        rule: "R",
        flags: "",
    };
    for function in evals::all() {
        for argument in ["", "1", "undef", "From", "all", "title"] {
            let args: Vec<Arg> =
                std::iter::repeat_n(argument, 3).map(|text| Arg { text: text.to_owned(), pattern: None }).collect();
            let first = (function.run)(&context, &args);
            assert_eq!(first, (function.run)(&context, &args), "{} is not pure", function.name);
        }
    }
    fields + input.body.len() + input.rawbody.len() + input.uris.len() + input.parts.len()
}

/// Pieces of which broken mail is made.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<&'static [u8]> = vec![
        b"\n",
        b"\r\n",
        b"\n\n",
        b" ",
        b"\t",
        b":",
        b"From: ",
        b"From ",
        b"Subject: =?utf-8?q?",
        b"?=",
        b"=?x?b?",
        b"To: a@free.com, ",
        b"Received: from a (b [192.0.2.1]) by c with SMTP id d; Mon, 1 Jan 2024 00:00:00 +0000\n",
        b"Received: from ",
        b"by ",
        b"Content-Type: multipart/mixed; boundary=x\n",
        b"Content-Type: text/html; charset=",
        b"utf-16",
        b"gb2312",
        b"iso-2022-jp",
        b"Content-Type: message/rfc822\n",
        b"Content-Transfer-Encoding: base64\n",
        b"Content-Transfer-Encoding: quoted-printable\n",
        b"\n--x\n",
        b"\n--x--\n",
        b"<a href=\"",
        b"http://www.a.com/",
        b"\">",
        b"</a>",
        b"<style>",
        b"<!--",
        b"-->",
        b"<![CDATA[",
        b"]]>",
        b"<td style=color:",
        b"#fff;background:url(",
        b"&#x",
        b"&nbsp;",
        b"mailto:a@b.co.uk?",
        b"%40",
        b"=3D",
        b"=\n",
        b"\x00",
        b"\xff",
        b"\xc2\xa0",
        b"\x1b$B",
        b"%PDF-1.4\n/Image\n",
        b"(",
        b")",
        b"\"",
        b"<",
        b">",
        b"@",
        b"www.",
        b"'",
    ];
    prop_oneof![
        4 => prop::sample::select(known).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..12),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn any_octets(message in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert_eq!(read(&message), read(&message));
    }

    #[test]
    fn broken_mail(pieces in prop::collection::vec(piece(), 0..60)) {
        let message = pieces.concat();
        prop_assert_eq!(read(&message), read(&message));
    }
}

/// Large messages of one repeated piece, each chosen to make a careless reader slow: time beyond that of a pass or two would show as a
/// test that does not end.
#[test]
fn large_repetitions() {
    let html = b"Content-Type: text/html; charset=utf-8\n\n";
    let text = b"Content-Type: text/plain; charset=utf-8\n\n";
    let mixed = b"Content-Type: multipart/mixed; boundary=x\n\n";
    let cases: [(&[u8], &[u8]); 22] = [
        (html, b"<"),
        (html, b"<a "),
        (html, b"<a href=\"x"),
        (html, b"<!--"),
        (html, b"<font color=red>"),
        (html, b"</p>"),
        (html, b"<p><td><tr>"),
        (html, b"<a href=//www.a.com/><img>"),
        (html, b"&lt"),
        (html, b"&#x41;"),
        (html, b"<![CDATA["),
        (html, b"<b style='background:a(b,c'>"),
        (text, b"a@"),
        (text, b"a.com "),
        (text, b"www.a.com/ "),
        (text, b"a."),
        (text, b"\n"),
        (text, b" \n"),
        (mixed, b"--x\n"),
        (mixed, b"--x\nContent-Type: multipart/mixed; boundary=x\n\n"),
        (b"", b"Received: from a (b [192.0.2.1]) by c with SMTP\n"),
        (b"To: ", b"a <a@b.com>, \"x\" (y) "),
    ];
    for (head, piece) in cases {
        let message: Vec<u8> = head.iter().copied().chain(piece.iter().copied().cycle().take(LARGE)).collect();
        let settings = settings();
        let input = Input::from_octets(&message, &Context::default(), &settings);
        assert!(input.parts.len() <= 4002 && input.uris.len() <= 20_000, "{}", String::from_utf8_lossy(piece));
        let _ = input.get(&FieldRequest::parse("To:addr"), &settings);
    }
}
