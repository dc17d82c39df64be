//! The language of rule files, read line by line as SpamAssassin 4.0 documents it (`Mail::SpamAssassin::Conf`).
//!
//! Later lines replace earlier ones of the same name, so files are given in the order in which SpamAssassin reads them: `.pre` files,
//! the stock rules by name, then the administrator's own. No file is opened here; an `include` asks the caller for the text.

pub mod conditions;
pub mod directives;
pub mod expression;
pub mod line;
pub mod rule;
pub mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use conditions::{Blocks, Claims, Features, LANGUAGE_VERSION_TEXT};
use directives::Effect;
use line::{Line, split_word, words};
use rule::Test;
use source::{Diagnostic, Place, Severity, SourceFile};

use crate::settings::Settings;
use crate::shortcircuit::{SETTLING_PRIORITY, Shortcircuit};

/// How deep `include` may nest.
const INCLUDE_DEPTH_MAX: usize = 10;
/// Files that may be included in all, and their octets: each of them may include many.
const INCLUDES_MAX: usize = 1000;
const INCLUDED_OCTETS_MAX: usize = 64 << 20;
/// Rules of one set, and octets of their definitions: lists of 100,000 addresses that a program wrote as a rule each are within both, and
/// take 400 MB.
const RULES_MAX: usize = 200_000;
const DEFINITIONS_OCTETS_MAX: usize = 16 << 20;
/// Remarks of each severity that are kept: what is no rule file has more mistakes than anybody reads.
const REMARKS_MAX: usize = 1000;
/// How a text begins that Windows wrote: as UTF-8, which is taken, and as UTF-16, which is not.
const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";
const UTF16_MARKS: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];
/// Longest line that is read.
const LINE_OCTETS_MAX: usize = 1 << 20;

/// How to read.
#[derive(Clone, Debug)]
pub struct ParseOptions {
    /// The language of `lang xx describe …` lines to take, as `de` or `en_US`.
    pub language: String,
    /// What `local_tests_only` is in an `if` line and in metas: true where no DNS is asked.
    pub local_tests_only: bool,
    /// Plugins and features that conditions find besides those that are built in.
    pub claims: Claims,
}

impl Default for ParseOptions {
    fn default() -> ParseOptions {
        ParseOptions { language: "en_US".to_owned(), local_tests_only: false, claims: Claims::default() }
    }
}

/// One rule with all that lines say of it.
#[derive(Clone, Debug)]
pub struct Definition {
    /// What it tests.
    pub test: Test,
    /// Where the test is defined.
    pub place: Place,
}

/// What a line says of the rule it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StatementKind {
    /// What it tests.
    Test,
    /// `score`.
    Score,
    /// `describe`.
    Describe,
    /// `tflags`.
    Flags,
}

/// One line that was taken in and is about one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// What it says.
    pub kind: StatementKind,
    /// The rule's name.
    pub rule: String,
    /// Where.
    pub place: Place,
}

/// Replacement of `<TAG>` in patterns.
#[derive(Clone, Debug, Default)]
pub struct Replacements {
    /// `replace_tag`.
    pub tags: BTreeMap<String, Vec<u8>>,
    /// `replace_pre`.
    pub pre: BTreeMap<String, Vec<u8>>,
    /// `replace_inter`.
    pub inter: BTreeMap<String, Vec<u8>>,
    /// `replace_post`.
    pub post: BTreeMap<String, Vec<u8>>,
    /// `replace_rules`: where each is asked for.
    pub rules: BTreeMap<String, Place>,
}

/// What the texts say.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    /// Rules by name.
    pub rules: BTreeMap<String, Definition>,
    /// `score`: points for the four score sets (local; with DNS; with a classifier; with both).
    pub scores: BTreeMap<String, [f64; 4]>,
    /// `describe`.
    pub descriptions: BTreeMap<String, String>,
    /// `tflags`: the last line of each rule.
    pub flags: BTreeMap<String, String>,
    /// `priority`.
    pub priorities: BTreeMap<String, i32>,
    /// `shortcircuit`.
    pub shortcircuits: BTreeMap<String, Shortcircuit>,
    /// Replacement tags.
    pub replacements: Replacements,
    /// All that is no rule.
    pub settings: Settings,
    /// Loaded plugins and the like.
    pub features: Features,
    /// Each line about one rule, in the order of the texts: also those that later lines replaced.
    pub statements: Vec<Statement>,
    /// Remarks, in the order of the texts.
    pub diagnostics: Vec<Diagnostic>,
}

/// Gives the text of a file that an `include` line names: the name as written, and the name of the file that holds the line. `Err` says
/// which file it is and why it cannot be read.
pub type Include<'a> = dyn Fn(&str, &str) -> Result<SourceFile, String> + 'a;

/// For texts that may include nothing.
///
/// # Errors
/// Always.
pub fn no_includes(name: &str, _from: &str) -> Result<SourceFile, String> {
    Err(format!("{name}: files cannot be included here"))
}

/// Reads `files` in order.
#[must_use]
pub fn parse(files: &[SourceFile], options: &ParseOptions, include: &Include<'_>) -> Parsed {
    let parsed =
        Parsed { features: Features::new(options.local_tests_only, options.claims.clone()), ..Parsed::default() };
    let mut reader = Reader {
        parsed,
        options,
        include,
        reading: Vec::new(),
        included: (0, 0),
        defined: 0,
        remarks: [0; 3],
        noted: BTreeSet::new(),
    };
    for file in files {
        reader.file(file);
    }
    reader.parsed
}

struct Reader<'a> {
    parsed: Parsed,
    options: &'a ParseOptions,
    include: &'a Include<'a>,
    /// The files that are being read, the innermost last.
    reading: Vec<Arc<str>>,
    /// Files and octets that were included so far.
    included: (usize, usize),
    /// Octets of definitions so far.
    defined: usize,
    /// Remarks of each severity so far.
    remarks: [usize; 3],
    /// Directives and plugins that were remarked on: once is enough.
    noted: BTreeSet<String>,
}

impl Reader<'_> {
    fn file(&mut self, file: &SourceFile) {
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

    fn line(&mut self, line: &Line, key_place: &Place, place: &Place) {
        let done = match line.key.as_str() {
            "header" | "body" | "rawbody" | "full" | "uri" | "uri_detail" | "mimeheader" | "meta" | "askdns" => {
                self.rule_line(line, place)
            }
            "score" => self.score_line(&line.value),
            "reuse" => self.reuse_line(&line.value, place),
            "describe" | "tflags" | "priority" => self.property_line(&line.key, &line.value),
            "shortcircuit" => self.shortcircuit_line(&line.value),
            "replace_tag" | "replace_pre" | "replace_inter" | "replace_post" | "replace_rules" => {
                self.replace_line(&line.key, &line.value, place)
            }
            "replace_start" | "replace_end" => Err("tags in patterns are always written as <TAG>".to_owned()),
            "loadplugin" | "tryplugin" => {
                self.plugin_line(line, place);
                Ok(())
            }
            "enable_compat" => {
                words(&line.value).for_each(|name| self.parsed.features.enable_compat(&name));
                Ok(())
            }
            _ => self.directive_line(line, key_place),
        };
        match done {
            Ok(()) => self.keep_statement(line, place),
            Err(message) => self.error(place.clone(), message),
        }
    }

    fn keep_statement(&mut self, line: &Line, place: &Place) {
        let kind = match line.key.as_str() {
            "header" | "body" | "rawbody" | "full" | "uri" | "uri_detail" | "mimeheader" | "meta" | "askdns" => {
                StatementKind::Test
            }
            "score" => StatementKind::Score,
            "describe" => StatementKind::Describe,
            "tflags" => StatementKind::Flags,
            _ => return,
        };
        let rule = String::from_utf8_lossy(split_word(&line.value).0).into_owned();
        self.parsed.statements.push(Statement { kind, rule, place: place.clone() });
    }

    fn rule_line(&mut self, line: &Line, place: &Place) -> Result<(), String> {
        let (name, definition) = split_word(&line.value);
        let name = rule_name(name)?;
        if !self.has_room(&name, definition.len(), place) {
            return Ok(());
        }
        let mut test = Test::read(&line.key, definition).map_err(|error| format!("rule {name}: {error}"))?;
        if let (Test::UriDetail(clauses), Some(former)) = (&mut test, self.parsed.rules.get(&name)) {
            // Clauses of a rule that stands on several lines add up.
            if let Test::UriDetail(former) = &former.test {
                let kept: Vec<_> =
                    former.iter().filter(|old| clauses.iter().all(|new| new.key != old.key)).cloned().collect();
                clauses.extend(kept);
            }
        }
        self.parsed.rules.insert(name, Definition { test, place: place.clone() });
        Ok(())
    }

    /// Whether one more definition is within the limits. The first that is not is an error; so would be each one that follows.
    fn has_room(&mut self, name: &str, octets: usize, place: &Place) -> bool {
        let is_new = !self.parsed.rules.contains_key(name);
        let limit = if is_new && self.parsed.rules.len() >= RULES_MAX {
            format!("{RULES_MAX} rules")
        } else if self.defined.saturating_add(octets) > DEFINITIONS_OCTETS_MAX {
            format!("rules of {} MB", DEFINITIONS_OCTETS_MAX >> 20)
        } else {
            self.defined += octets;
            return true;
        };
        if self.noted.insert(limit.clone()) {
            let message =
                format!("{limit} were read before, which is the limit; {name} and those that follow are left out");
            self.error(place.clone(), message);
        }
        false
    }

    fn score_line(&mut self, value: &[u8]) -> Result<(), String> {
        let mut fields = words(value);
        let name = fields.next().ok_or("a rule name is missing")?;
        let mut is_relative = false;
        let mut points = Vec::new();
        for field in fields {
            let inner = field.strip_prefix('(').and_then(|field| field.strip_suffix(')'));
            is_relative |= inner.is_some();
            points.push(read_points(inner.unwrap_or(&field)).ok_or_else(|| format!("`{field}` is no score"))?);
        }
        let points = match points.as_slice() {
            [one] => [*one; 4],
            [a, b, c, d] => [*a, *b, *c, *d],
            _ => return Err("write one score or four".to_owned()),
        };
        let points = if is_relative {
            let former = self.parsed.scores.get(&name).ok_or("a relative score needs a score before it")?;
            std::array::from_fn(|set| former.get(set).unwrap_or(&0.0) + points.get(set).unwrap_or(&0.0))
        } else {
            points
        };
        self.parsed.scores.insert(name, points);
        Ok(())
    }

    fn reuse_line(&mut self, value: &[u8], place: &Place) -> Result<(), String> {
        let name = rule_name(split_word(value).0)?;
        if !self.has_room(&name, 0, place) {
            return Ok(());
        }
        let definition = || Definition { test: Test::Empty, place: place.clone() };
        self.parsed.rules.entry(name).or_insert_with(definition);
        Ok(())
    }

    fn property_line(&mut self, key: &str, value: &[u8]) -> Result<(), String> {
        let (name, value) = split_word(value);
        let name = String::from_utf8_lossy(name).into_owned();
        let value = String::from_utf8_lossy(value).into_owned();
        if name.is_empty() || value.is_empty() {
            return Err(format!("`{key}` needs a rule name and a value"));
        }
        match key {
            "describe" => self.parsed.descriptions.insert(name, value),
            "tflags" => self.parsed.flags.insert(name, value),
            _ => {
                let priority = value.parse().map_err(|_| format!("`{value}` is no priority"))?;
                self.parsed.priorities.insert(name, priority);
                None
            }
        };
        Ok(())
    }

    /// `spam` and `ham` say more than that the rule settles the matter: they replace a priority of 0, and add flags.
    fn shortcircuit_line(&mut self, value: &[u8]) -> Result<(), String> {
        let fields: Vec<String> = words(value).collect();
        let [name, how] = fields.as_slice() else {
            return Err("`shortcircuit` needs a rule name and one of on, off, spam and ham".to_owned());
        };
        let parsed = &mut self.parsed;
        if how == "off" {
            parsed.shortcircuits.remove(name);
            return Ok(());
        }
        let how = Shortcircuit::read(how).ok_or_else(|| format!("`{how}` is none of on, off, spam and ham"))?;
        parsed.shortcircuits.insert(name.clone(), how);
        if let Some(flags) = how.flags().filter(|_| parsed.features.is_loaded("Shortcircuit")) {
            let priority = parsed.priorities.entry(name.clone()).or_insert(0);
            if *priority == 0 {
                *priority = SETTLING_PRIORITY;
            }
            let text = parsed.flags.entry(name.clone()).or_default();
            *text = format!("{text} {flags}").trim_start().to_owned();
        }
        Ok(())
    }

    fn replace_line(&mut self, key: &str, value: &[u8], place: &Place) -> Result<(), String> {
        let replacements = &mut self.parsed.replacements;
        if key == "replace_rules" {
            replacements.rules.extend(words(value).map(|name| (name, place.clone())));
            return Ok(());
        }
        let (name, text) = split_word(value);
        if text.is_empty() {
            return Err(format!("`{key}` needs a name and a pattern"));
        }
        let name = String::from_utf8_lossy(name).into_owned();
        let table = match key {
            "replace_tag" => &mut replacements.tags,
            "replace_pre" => &mut replacements.pre,
            "replace_inter" => &mut replacements.inter,
            _ => &mut replacements.post,
        };
        table.insert(name, text.to_vec());
        Ok(())
    }

    fn plugin_line(&mut self, line: &Line, place: &Place) {
        let class = words(&line.value).next().unwrap_or_default();
        if !self.parsed.features.load(&class) && self.noted.insert(class.clone()) && line.key == "loadplugin" {
            let message = format!("the plugin {class} is not known; its directives and eval tests are left out");
            self.remark(place.clone(), Severity::Warning, message);
        }
    }

    fn directive_line(&mut self, line: &Line, place: &Place) -> Result<(), String> {
        match directives::apply(&mut self.parsed.settings, &line.key, &line.value)? {
            Effect::Taken => Ok(()),
            Effect::Ignored(reason) => {
                if self.noted.insert(line.key.clone()) {
                    let message = format!("`{}` has no effect here: {reason}", line.key);
                    self.remark(place.clone(), Severity::Note, message);
                }
                Ok(())
            }
            Effect::Unknown => {
                self.error(place.clone(), format!("`{}` is no directive", line.key));
                Ok(())
            }
        }
    }

    fn error(&mut self, place: Place, message: impl Into<String>) {
        self.remark(place, Severity::Error, message);
    }

    fn remark(&mut self, place: Place, severity: Severity, message: impl Into<String>) {
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

fn rule_name(name: &[u8]) -> Result<String, String> {
    let name = String::from_utf8_lossy(name).into_owned();
    if rule::is_rule_name(&name) {
        Ok(name)
    } else {
        Err(format!("`{name}` is no rule name; use letters, digits and `_`"))
    }
}

/// `-1.5`, `2`: no exponents, no signs but minus.
fn read_points(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit())
        && !digits.ends_with('.')
        && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if is_number { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

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
