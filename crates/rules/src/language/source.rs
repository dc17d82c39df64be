//! Rule texts and what is wrong with them, by file, line and column.

use std::fmt;
use std::sync::Arc;

/// One text of rules or settings, as a `.cf` or `.pre` file holds it.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// How to name it to people; `include` looks files up by it.
    pub name: String,
    /// Its octets; no charset is assumed.
    pub text: Vec<u8>,
}

/// A place in a [`SourceFile`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file's name.
    pub file: Arc<str>,
    /// Line, counted from 1.
    pub line: u32,
    /// Octet in the line, counted from 1.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Works, but has no effect here.
    Note,
    /// Works otherwise than its author may think.
    Warning,
    /// The line was left out.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        })
    }
}

/// One remark on a rule text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Where.
    pub place: Place,
    /// How bad.
    pub severity: Severity,
    /// What, and what to do about it.
    pub message: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.place, self.severity, self.message)
    }
}
