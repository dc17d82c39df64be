//! Reads files line by line: blocks of `if`, files that are included, the limits on both, and remarks. What a line says of a rule is read
//! in `lines`.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::conditions::{Blocks, Features, LANGUAGE_VERSION_TEXT};
use super::line::{Line, split_word};
use super::source::{Diagnostic, Place, Severity, SourceFile};
use super::{Include, ParseOptions, Parsed};

/// How deep `include` may nest.
const INCLUDE_DEPTH_MAX: usize = 10;
/// Files that may be included in all, and their octets: each of them may include many.
const INCLUDES_MAX: usize = 1000;
const INCLUDED_OCTETS_MAX: usize = 64 << 20;
/// Remarks of each severity that are kept: what is no rule file has more mistakes than anybody reads.
const REMARKS_MAX: usize = 1000;
/// How a text begins that Windows wrote: as UTF-8, which is taken, and as UTF-16, which is not.
const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";
const UTF16_MARKS: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];
/// Longest line that is read.
const LINE_OCTETS_MAX: usize = 1 << 20;

pub(super) struct Reader<'a> {
    pub(super) parsed: Parsed,
    options: &'a ParseOptions,
    include: &'a Include<'a>,
    /// The files that are being read, the innermost last.
    reading: Vec<Arc<str>>,
    /// Files and octets that were included so far.
    included: (usize, usize),
    /// Octets of definitions so far.
    pub(super) defined: usize,
    /// Remarks of each severity so far.
    remarks: [usize; 3],
    /// Directives and plugins that were remarked on: once is enough.
    pub(super) noted: BTreeSet<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(options: &'a ParseOptions, include: &'a Include<'a>) -> Reader<'a> {
        let features = Features::new(options.local_tests_only, options.claims.clone());
        Reader {
            parsed: Parsed { features, ..Parsed::default() },
            options,
            include,
            reading: Vec::new(),
            included: (0, 0),
            defined: 0,
            remarks: [0; 3],
            noted: BTreeSet::new(),
        }
    }

    pub(super) fn file(&mut self, file: &SourceFile) {
        let name: Arc<str> = file.name.as_str().into();
        if UTF16_MARKS.iter().any(|mark| file.text.starts_with(mark)) {
            let place = Place { file: name, line: 1, column: 1 };
            return self.error(place, "the file is UTF-16 and was left out; save it as UTF-8");
        }
        self.reading.push(name.clone());
        let mut blocks = Blocks::default();
        for (number, line) in (1..=u32::MAX).zip(file.text.split(|b| *b == b'\n')) {
            let text = if number == 1 { line.strip_prefix(UTF8_MARK).unwrap_or(line) } else { line };
            let mark = u32::try_from(line.len() - text.len()).unwrap_or(0);
            let place = |column: u32| Place { file: name.clone(), line: number, column: column.saturating_add(mark) };
            if text.len() > LINE_OCTETS_MAX {
                self.error(place(1), format!("the line is longer than {LINE_OCTETS_MAX} octets and was left out"));
                continue;
            }
            let Some(line) = Line::read(text).and_then(|line| self.unwrap_language(line)) else {
                continue;
            };
            if self.block_line(&line, &mut blocks, &place(line.value_column)) || blocks.is_skipping() {
                continue;
            }
            match line.key.as_str() {
                "include" => self.include_line(&line, &file.name, place(line.value_column)),
                "require_version" => self.require_line(&line, &mut blocks, place(line.value_column)),
                _ => self.line(&line, &place(line.key_column), &place(line.value_column)),
            }
        }
        for opened in blocks.open_lines() {
            let place = Place { file: name.clone(), line: opened, column: 1 };
            self.error(place, "this `if` has no `endif`; it ends with the file");
        }
        self.reading.pop();
    }

    /// `lang de describe …` is `describe …` where German is wanted, and nothing elsewhere.
    fn unwrap_language(&self, line: Line) -> Option<Line> {
        if line.key != "lang" {
            return Some(line);
        }
        let (language, rest) = split_word(&line.value);
        let wanted = self.options.language.to_ascii_lowercase();
        if !wanted.starts_with(&String::from_utf8_lossy(language).to_ascii_lowercase()) {
            return None;
        }
        let offset = u32::try_from(line.value.len() - rest.len()).unwrap_or(0) + line.value_column - 1;
        let mut inner = Line::read(rest)?;
        (inner.key_column, inner.value_column) = (inner.key_column + offset, inner.value_column + offset);
        Some(inner)
    }

    /// Handles `if`, `ifplugin`, `else` and `endif`; the answer is whether the line was one of these.
    fn block_line(&mut self, line: &Line, blocks: &mut Blocks, place: &Place) -> bool {
        let condition = match line.key.as_str() {
            "if" => line.value.clone(),
            "ifplugin" => [b"plugin(", line.value.as_slice(), b")"].concat(),
            "else" | "endif" => {
                if !line.value.is_empty() {
                    self.error(place.clone(), format!("`{}` stands alone", line.key));
                } else if !(if line.key == "else" { blocks.turn() } else { blocks.leave() }) {
                    self.error(place.clone(), format!("`{}` without `if`", line.key));
                }
                return true;
            }
            _ => return false,
        };
        let holds = self.parsed.features.holds(&condition).unwrap_or_else(|error| {
            self.error(place.clone(), format!("the condition cannot be read: {error}"));
            false
        });
        blocks.enter(holds, place.line);
        true
    }

    fn include_line(&mut self, line: &Line, from: &str, place: Place) {
        let name = String::from_utf8_lossy(&line.value).into_owned();
        if name.is_empty() {
            return self.error(place, "`include` needs the name of a file");
        }
        // Before anything is read: what is beyond the limits costs nothing more.
        if self.reading.len() > INCLUDE_DEPTH_MAX {
            return self
                .error(place, format!("`include` nests deeper than {INCLUDE_DEPTH_MAX}; the line was left out"));
        }
        if self.included.0 >= INCLUDES_MAX || self.included.1 >= INCLUDED_OCTETS_MAX {
            let megabytes = INCLUDED_OCTETS_MAX >> 20;
            let message = format!(
                "{INCLUDES_MAX} files or {megabytes} MB were included before, which is the limit; the line was left out"
            );
            return self.error(place, message);
        }
        let file = match (self.include)(&name, from) {
            Ok(file) => file,
            Err(error) => return self.error(place, format!("cannot include {error}")),
        };
        if self.reading.iter().any(|open| **open == *file.name) {
            return self.error(place, format!("{} includes itself in the end; the line was left out", file.name));
        }
        self.included = (self.included.0 + 1, self.included.1.saturating_add(file.text.len()));
        self.file(&file);
    }

    fn require_line(&mut self, line: &Line, blocks: &mut Blocks, place: Place) {
        if line.value != LANGUAGE_VERSION_TEXT.as_bytes() && line.value != b"@@VERSION@@" {
            let wanted = String::from_utf8_lossy(&line.value).into_owned();
            let message =
                format!("the file is for version {wanted}, this is {LANGUAGE_VERSION_TEXT}: the rest is left out");
            self.remark(place, Severity::Warning, message);
            blocks.skip_file();
        }
    }

    pub(super) fn error(&mut self, place: Place, message: impl Into<String>) {
        self.remark(place, Severity::Error, message);
    }

    pub(super) fn remark(&mut self, place: Place, severity: Severity, message: impl Into<String>) {
        let Some(count) = self.remarks.get_mut(severity as usize) else { return };
        *count += 1;
        let message = match *count {
            ..REMARKS_MAX => message.into(),
            REMARKS_MAX => format!("there are more than {REMARKS_MAX} remarks like this one; the others are left out"),
            _ => return,
        };
        self.parsed.diagnostics.push(Diagnostic { place, severity, message });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::lines::RULES_MAX;
    use crate::language::parse;

    /// Files by name; what an administrator wrote in haste.
    fn read(files: &[(&str, &[u8])]) -> Parsed {
        let file = |name: &str, text: &[u8]| SourceFile { name: name.to_owned(), text: text.to_vec() };
        let include = |name: &str, _: &str| {
            let found = files.iter().find(|(known, _)| *known == name);
            found.map(|(name, text)| file(name, text)).ok_or_else(|| format!("{name}: No such file"))
        };
        let first = files.first().map(|(name, text)| file(name, text));
        parse(first.as_slice(), &ParseOptions::default(), &include)
    }

    fn said(parsed: &Parsed) -> Vec<String> {
        parsed.diagnostics.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_include_that_cannot_be_is_told_and_the_rest_is_read() {
        for (files, expected, why) in [
            (
                &[("a", b"include b\nbody A /aaa/".as_slice()), ("b", b"include a\nbody B /bbb/")][..],
                "b:1:9: error: a includes itself in the end; the line was left out",
                "a circle",
            ),
            (
                &[("a", b"include a\nbody A /aaa/\nbody B /bbb/")],
                "a:1:9: error: a includes itself in the end; the line was left out",
                "the smallest circle",
            ),
            (
                &[("a", b"include c\nbody A /aaa/\nbody B /bbb/")],
                "a:1:9: error: cannot include c: No such file",
                "no file",
            ),
            (
                &[("a", b"include\nbody A /aaa/\nbody B /bbb/")],
                "a:1:8: error: `include` needs the name of a file",
                "no name",
            ),
        ] {
            let parsed = read(files);
            assert_eq!(said(&parsed), [expected], "{why}");
            assert_eq!(parsed.rules.len(), 2, "{why}");
        }
        let twice = read(&[("a", b"include b\ninclude b"), ("b", b"body B /bbb/")]);
        assert_eq!(said(&twice), <[&str; 0]>::default(), "twice is no circle");
    }

    /// Eleven files of a hundred lines, each line including the next file: 100^10 files if nobody counted.
    #[test]
    fn includes_that_multiply_come_to_an_end() {
        let asked = std::cell::Cell::new(0);
        let include = |name: &str, _: &str| {
            asked.set(asked.get() + 1);
            let next = name.parse::<u32>().unwrap() + 1;
            Ok(SourceFile { name: name.to_owned(), text: format!("include {next}\n").repeat(100).into_bytes() })
        };
        let first = include("0", "").unwrap();
        let parsed = parse(&[first], &ParseOptions::default(), &include);
        assert_eq!(asked.get(), 1 + INCLUDES_MAX);
        assert!(said(&parsed).iter().any(|line| line.contains("`include` nests deeper than 10")));
        assert_eq!(parsed.diagnostics.len(), REMARKS_MAX);
    }

    #[test]
    fn texts_from_other_systems_are_read_or_told() {
        for (text, expected, why) in [
            (b"\xef\xbb\xbfbody A /aaa/\r\nscore A 2\r\n".as_slice(), &[][..], "UTF-8 with a mark, CRLF"),
            (
                b"\xff\xfeb\0o\0d\0y\0",
                &["a:1:1: error: the file is UTF-16 and was left out; save it as UTF-8"],
                "UTF-16",
            ),
            (b"body A /a\x00aa/\n", &[], "NUL in a pattern"),
            (
                b"bo\x00dy A /aaa/",
                &["a:1:1: error: `bo\0dy` is no directive"],
                "NUL elsewhere; who shows it makes it visible",
            ),
        ] {
            assert_eq!(said(&read(&[("a", text)])), expected, "{why}");
        }
        let long = [b"body A /".as_slice(), &vec![b'a'; LINE_OCTETS_MAX], b"/\nbody B /bbb/"].concat();
        let parsed = read(&[("a", &long)]);
        assert_eq!(said(&parsed), ["a:1:1: error: the line is longer than 1048576 octets and was left out"]);
        assert!(parsed.rules.contains_key("B"));
    }

    /// A list that a program wrote as rules.
    #[test]
    fn rules_without_end_are_told_once() {
        let mut text: String = (0..RULES_MAX).map(|number| format!("reuse R{number}\n")).collect();
        text.push_str("meta MORE 1\nmeta R7 2\nreuse ALSO\nbody MORE /a/\nscore R7 2\n");
        let parsed = read(&[("a", text.as_bytes())]);
        let place = "a:200001:6: error: 200000 rules were read before";
        assert_eq!(said(&parsed), [format!("{place}, which is the limit; MORE and those that follow are left out")]);
        assert_eq!(parsed.rules.len(), RULES_MAX);
        assert_eq!(parsed.rules["R7"].place.line, 200_002, "a known rule is still replaced");
    }

    #[test]
    fn long_rules_without_end_are_told_once() {
        let pattern = "a".repeat(LINE_OCTETS_MAX / 2);
        let text: String = (0..40).map(|number| format!("body R{number} /{pattern}/\n")).collect();
        let parsed = read(&[("a", format!("{text}body SHORT /b/").as_bytes())]);
        let place = "a:32:6: error: rules of 16 MB were read before";
        assert_eq!(said(&parsed), [format!("{place}, which is the limit; R31 and those that follow are left out")]);
        assert_eq!(parsed.rules.len(), 32, "a short one still fits");
    }

    /// A program or picture instead of a rule file.
    #[test]
    fn mistakes_without_end_are_counted_not_kept() {
        let said = said(&read(&[("a", "x\n".repeat(100_000).as_bytes())]));
        assert_eq!(said.len(), REMARKS_MAX);
        assert!(said.last().unwrap().starts_with("a:1000:1: error: there are more than 1000 remarks"), "{said:?}");
    }
}
