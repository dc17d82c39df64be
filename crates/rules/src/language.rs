//! The language of rule files, read line by line as SpamAssassin 4.0 documents it (`Mail::SpamAssassin::Conf`).
//!
//! Later lines replace earlier ones of the same name, so files are given in the order in which SpamAssassin reads them: `.pre` files,
//! the stock rules by name, then the administrator's own. No file is opened here; an `include` asks the caller for the text.

pub mod conditions;
pub mod directives;
pub mod expression;
pub mod line;
mod lines;
mod reader;
pub mod rule;
pub mod shortcircuit;
pub mod source;

use std::collections::BTreeMap;

use conditions::{Claims, Features};
use reader::Reader;
use rule::Test;
use shortcircuit::Shortcircuit;
use source::{Diagnostic, Place, SourceFile};

use crate::settings::Settings;

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
    let mut reader = Reader::new(options, include);
    for file in files {
        reader.file(file);
    }
    reader.parsed
}
