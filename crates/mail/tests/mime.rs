//! Outside suites of messages: parts, their types and their decoded content as expected there, or explained.
#![allow(missing_docs, clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]

mod material;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tidegate_mail::{Limits, Mailbox, Message, Part, TransferEncoding};

/// `message <TAB> what <TAB> why`: where we read a message otherwise than its suite. `*` stands for everything.
const DIFFERENCES: &str = include_str!("data/mime-differences.tsv");

/// What was compared, and what differed without being explained.
#[derive(Default)]
struct Tally {
    compared: usize,
    /// Text that the suite gave up on: it has replacement characters where the charset was not declared.
    given_up: usize,
    messages: usize,
    differing: BTreeSet<String>,
    unexplained: Vec<String>,
    used: BTreeSet<(String, String)>,
}

impl Tally {
    fn compare<T: PartialEq + std::fmt::Debug>(&mut self, message: &str, what: &str, ours: T, expected: T) {
        self.compared += 1;
        if ours == expected {
            return;
        }
        if format!("{expected:?}").contains('\u{fffd}') && !format!("{ours:?}").contains('\u{fffd}') {
            self.given_up += 1;
            return;
        }
        self.differing.insert(message.to_owned());
        let explained = explanations();
        let key = [what, "*"]
            .into_iter()
            .map(|what| (message.to_owned(), what.to_owned()))
            .find(|key| explained.contains_key(key));
        match key {
            Some(key) => drop(self.used.insert(key)),
            None => {
                let shown: String =
                    format!("{message}\t{what}\tours {ours:?}\n\texpected {expected:?}").chars().take(700).collect();
                self.unexplained.push(shown);
            }
        }
    }

    fn finish(self, suite: &str) {
        let unused: Vec<_> =
            explanations().into_keys().filter(|key| key.0.starts_with(suite) && !self.used.contains(key)).collect();
        println!(
            "{suite}: {} messages, {} comparisons, {} given up by the suite, {} messages differ, as explained",
            self.messages,
            self.compared,
            self.given_up,
            self.differing.len(),
        );
        assert!(self.unexplained.is_empty(), "not explained:\n{}", self.unexplained.join("\n"));
        assert!(unused.is_empty(), "explained, but not seen: {unused:?}");
    }
}

fn explanations() -> BTreeMap<(String, String), String> {
    let fields =
        DIFFERENCES.lines().skip(1).filter(|line| !line.is_empty()).map(|line| line.split('\t').collect::<Vec<_>>());
    fields.map(|fields| ((fields[0].to_owned(), fields[1].to_owned()), fields[2].to_owned())).collect()
}

fn suite(test: &str, name: &str) -> Option<BTreeMap<String, Vec<u8>>> {
    let shared = material::shared(test)?;
    Some(material::unpack(&shared.join("material/suites/mime").join(name)).into_iter().collect())
}

#[test]
fn mail_parser_suite() {
    let Some(files) = suite("mail_parser_suite", "mail-parser.tar.gz") else { return };
    let mut tally = Tally::default();
    for (path, raw) in files.iter().filter(|(path, _)| path.ends_with(".eml")) {
        let stem = path.strip_suffix(".eml").unwrap();
        for (suffix, raw) in [("json", with_lf(raw)), ("crlf.json", with_crlf(raw))] {
            let Some(expected) = files.get(&format!("{stem}.{suffix}")) else { continue };
            let message = Message::parse(raw, &Limits::default());
            let expected: Value = serde_json::from_slice(expected).unwrap();
            tally.messages += 1;
            let name = stem.to_owned();
            compare_parts(&mut tally, &name, &mut message.parts().iter(), &expected);
            compare_header(&mut tally, &name, &message, &expected["parts"][0]["headers"]);
        }
    }
    tally.finish("mail-parser/");
}

fn with_lf(raw: &[u8]) -> Vec<u8> {
    let crlfs: BTreeSet<usize> = memchr::memmem::find_iter(raw, b"\r\n").collect();
    raw.iter().enumerate().filter(|(index, _)| !crlfs.contains(index)).map(|(_, b)| *b).collect()
}

fn with_crlf(raw: &[u8]) -> Vec<u8> {
    let mut crlf = Vec::with_capacity(raw.len());
    for &b in raw {
        if b == b'\n' && crlf.last() != Some(&b'\r') {
            crlf.push(b'\r');
        }
        crlf.push(b);
    }
    crlf
}

fn compare_parts<'a>(tally: &mut Tally, name: &str, ours: &mut impl Iterator<Item = &'a Part>, expected: &Value) {
    // Their list has the children of a multipart behind one another; ours is in the order of the message, as is theirs.
    for (index, expected) in expected["parts"].as_array().unwrap().iter().enumerate() {
        let what = format!("part {index}");
        let Some(part) = ours.next() else {
            tally.compare(name, &what, "no part", "a part");
            continue;
        };
        compare_part(tally, name, &what, part, expected);
        let nested = &expected["body"]["Message"];
        if !nested.is_null() {
            compare_parts(tally, name, ours, nested);
        }
    }
}

fn compare_part(tally: &mut Tally, name: &str, what: &str, part: &Part, expected: &Value) {
    let body = &expected["body"];
    if part.encoding() == TransferEncoding::Uuencode {
        // The library does not decode it.
        assert!(!part.decoded().is_empty(), "{name} {what}");
    } else if let Some(text) = body["Text"].as_str().or(body["Html"].as_str()) {
        tally.compare(name, &format!("{what} text"), part.text(), text);
    } else if let Some(octets) = body["Binary"].as_array().or(body["InlineBinary"].as_array()) {
        let octets: Vec<u8> = octets.iter().map(|octet| u8::try_from(octet.as_u64().unwrap()).unwrap()).collect();
        tally.compare(name, &format!("{what} octets"), part.decoded(), &octets);
    } else if body["Multipart"].is_array() {
        tally.compare(name, &format!("{what} multipart"), part.is_multipart(), true);
    } else if !body["Message"].is_null() {
        tally.compare(name, &format!("{what} message"), part.is_message(), true);
    }
    let headers = expected["headers"].as_array().unwrap();
    let of = |key: &str| {
        headers.iter().rev().find(|header| header["name"] == key).map(|header| &header["value"]["ContentType"])
    };
    if let Some(declared) = of("content_type").filter(|declared| declared["c_subtype"].is_string()) {
        let essence = format!("{}/{}", declared["c_type"].as_str().unwrap(), declared["c_subtype"].as_str().unwrap());
        tally.compare(name, &format!("{what} type"), part.content_type().essence(), &essence.to_lowercase());
    }
    let expected_name =
        [("content_disposition", "filename"), ("content_type", "name")].into_iter().find_map(|(field, key)| {
            let attributes = of(field)?["attributes"].as_array()?;
            attributes.iter().find(|attribute| attribute["name"] == key)?["value"].as_str()
        });
    tally.compare(name, &format!("{what} name"), part.file_name(), expected_name);
}

fn compare_header(tally: &mut Tally, name: &str, message: &Message, headers: &Value) {
    let headers = headers.as_array().unwrap();
    let of = |key: &str| headers.iter().find(|header| header["name"] == key).map(|header| &header["value"]);
    if let Some(subject) = of("subject").and_then(|value| value["Text"].as_str()) {
        tally.compare(name, "subject", message.subject(), Some(subject));
    }
    for (key, ours) in [("from", message.from()), ("to", message.to()), ("cc", message.cc())] {
        if let Some(expected) = of(key) {
            tally.compare(name, key, shown(ours), mailboxes(&expected["Address"]));
        }
    }
    if let Some(date) = of("date").map(|value| &value["DateTime"]).filter(|date| date.is_object()) {
        let number = |key: &str| date[key].as_i64().unwrap();
        let zone = number("tz_hour") * 60 + number("tz_minute");
        let zone = if date["tz_before_gmt"] == true { -zone } else { zone };
        let ours = message.date().map(|seconds| (seconds + zone * 60).rem_euclid(86_400));
        let expected = number("hour") * 3600 + number("minute") * 60 + number("second");
        tally.compare(name, "date", ours, Some(expected));
    }
}

fn shown(mailboxes: &[Mailbox]) -> Vec<(String, String)> {
    mailboxes.iter().map(|mailbox| (mailbox.name.clone(), mailbox.written.clone())).collect()
}

fn mailboxes(expected: &Value) -> Vec<(String, String)> {
    let groups = expected["Group"].as_array();
    let lists = match groups {
        Some(groups) => groups.iter().map(|group| &group["addresses"]).collect(),
        None => vec![&expected["List"]],
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mailboxes = lists.into_iter().filter_map(Value::as_array).flatten();
    mailboxes.map(|mailbox| (text(&mailbox["name"]), text(&mailbox["address"]))).collect()
}

#[test]
fn mime_tools_suite() {
    let Some(files) = suite("mime_tools_suite", "mime-tools.tar.gz") else { return };
    let mut tally = Tally::default();
    for (path, reference) in files.iter().filter(|(path, _)| path.ends_with(".ref")) {
        let reference = read_reference(&String::from_utf8_lossy(reference));
        let parser = &reference["Parser"];
        // `REPLACE` puts the embedded message in the place of the part; uuencode in text is no MIME.
        if parser.get("ExtractNested").is_some_and(|how| how == "REPLACE") || parser.contains_key("ExtractUuencode") {
            continue;
        }
        let name = path.strip_suffix(".ref").unwrap();
        let raw = files.get(&parser["Message"].replace("testmsgs/", "mime-tools/")).unwrap();
        let message = Message::parse(raw.clone(), &Limits::default());
        tally.messages += 1;
        for (key, expected) in reference.iter().filter(|(key, _)| *key != "Parser") {
            let part = find_part(&message, key);
            compare_reference(&mut tally, name, key, part, expected);
        }
    }
    tally.finish("mime-tools/");
}

type Reference = BTreeMap<String, BTreeMap<String, String>>;

/// A dump of a Perl hash of hashes, one pair a line.
fn read_reference(text: &str) -> Reference {
    let mut reference = Reference::new();
    let mut section = String::new();
    let unquoted = |text: &str| {
        let text = text.trim().trim_end_matches(',');
        let text = text.strip_prefix(['"', '\'']).and_then(|text| text.strip_suffix(['"', '\''])).unwrap_or(text);
        text.replace("\\@", "@").replace("\\\"", "\"")
    };
    for line in text.lines() {
        let Some((key, value)) = line.split_once("=>") else { continue };
        if value.trim() == "{" {
            section = unquoted(key);
            reference.insert(section.clone(), BTreeMap::new());
        } else if let Some(fields) = reference.get_mut(&section) {
            fields.insert(unquoted(key), unquoted(value));
        }
    }
    reference
}

/// `Msg`, or `Part_2_1`: the first part within the second one. An embedded message is left out of the count: its parts
/// are those of its root.
fn find_part<'a>(message: &'a Message, key: &str) -> Option<&'a Part> {
    let mut part = message.parts().first()?;
    for number in key.split('_').skip(1) {
        let number: usize = number.parse().unwrap();
        part = message.children(part.index()).nth(number - 1)?;
    }
    Some(part)
}

fn compare_reference(
    tally: &mut Tally,
    name: &str,
    key: &str,
    part: Option<&Part>,
    expected: &BTreeMap<String, String>,
) {
    let Some(part) = part else {
        return tally.compare(name, key, "no part", "a part");
    };
    for (field, expected) in expected {
        let what = format!("{key} {field}");
        let header = |name: &str| part.header(name).map(|field| field.decoded().to_owned()).unwrap_or_default();
        let ours = match field.as_str() {
            "Type" => part.content_type().essence().to_owned(),
            "Charset" => part.charset().unwrap_or_default().to_owned(),
            "Filename" => part.file_name().unwrap_or_default().to_owned(),
            "Disposition" => part.disposition().map(|disposition| disposition.value.clone()).unwrap_or_default(),
            "Boundary" => part.content_type().parameter("boundary").unwrap_or_default().to_owned(),
            "Size" => part.decoded().len().to_string(),
            "Subject" | "From" | "To" => header(field),
            _ => continue,
        };
        tally.compare(name, &what, &ours, expected);
    }
}
