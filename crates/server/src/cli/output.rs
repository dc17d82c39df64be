//! What verbs print, where standard output or standard error may be closed or full. Whoever reads it may have seen enough (`| head`):
//! that ends the verb and is no error. What cannot be written for another reason is told, with the exit code for bad input: a list
//! that was cut must not look whole.

use std::fmt::Arguments;
use std::io::{Error, ErrorKind, Result, Write, stderr, stdout};
use std::process::exit;

use super::Ended;

/// Writes to standard output; the process ends if that is not possible.
pub(super) fn write(what: Arguments<'_>) {
    end_unless(stdout().lock().write_fmt(what));
}

/// Writes what a line that has no end yet still keeps.
pub(super) fn flush() {
    end_unless(stdout().lock().flush());
}

/// Writes to standard error. Whoever closed it does not want to hear; the exit code still tells.
pub(super) fn tell(what: Arguments<'_>) {
    let _nobody_listens = stderr().lock().write_fmt(what);
}

fn end_unless(written: Result<()>) {
    if let Err(error) = written {
        exit(code(&error));
    }
}

fn code(error: &Error) -> i32 {
    if error.kind() == ErrorKind::BrokenPipe {
        return 0;
    }
    eprintln!("tidegate: cannot write to standard output: {error}");
    i32::from(Ended::BadInput.code())
}
