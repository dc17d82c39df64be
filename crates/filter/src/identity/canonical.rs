//! The forms in which DKIM and ARC hash a message (RFC 6376 section 3.4): header fields and bodies, simple or relaxed. A lone LF
//! counts as a line end, since an MTA's spool holds LF and the sender signed CRLF.

use memchr::memchr;
use ring::digest;

/// How a header or a body is brought into one form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Simple,
    Relaxed,
}

impl Form {
    /// A header field with its line end as it is hashed.
    pub(super) fn field(self, raw: &[u8], into: &mut Vec<u8>) {
        match self {
            Form::Simple => {
                let lines = raw.strip_suffix(b"\n").unwrap_or(raw);
                for line in lines.split(|b| *b == b'\n') {
                    into.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
                    into.extend_from_slice(b"\r\n");
                }
            }
            Form::Relaxed => relaxed_field(raw, into),
        }
    }
}

fn relaxed_field(raw: &[u8], into: &mut Vec<u8>) {
    let colon = memchr(b':', raw).unwrap_or(raw.len());
    let (name, value) = raw.split_at_checked(colon).unwrap_or((raw, &[]));
    into.extend(name.trim_ascii_end().to_ascii_lowercase());
    into.push(b':');
    let mut is_blank = false;
    let mut is_empty = true;
    for &b in value.iter().skip(1) {
        match b {
            b'\r' | b'\n' => {}
            b' ' | b'\t' => is_blank = true,
            _ => {
                if is_blank && !is_empty {
                    into.push(b' ');
                }
                into.push(b);
                (is_blank, is_empty) = (false, false);
            }
        }
    }
    into.extend_from_slice(b"\r\n");
}

/// A body as it is hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BodyHash {
    /// The digest.
    pub(super) digest: Vec<u8>,
    /// Octets of the canonical body that are not part of the digest because of a length limit.
    pub(super) left_out: u64,
}

/// Hashes `body` in `form`, at most `limit` octets of it (`l=`, which counts the canonical form).
pub(super) fn hash_body(
    body: &[u8],
    form: Form,
    limit: Option<u64>,
    algorithm: &'static digest::Algorithm,
) -> BodyHash {
    let mut sink = Sink { context: digest::Context::new(algorithm), left: limit.unwrap_or(u64::MAX), left_out: 0 };
    // Empty lines at the end do not count, so they wait until another line follows.
    let mut empty_lines = 0u64;
    let mut is_empty = true;
    let mut rest = body;
    let mut line_buffer = Vec::new();
    while !rest.is_empty() {
        let end = memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let (line, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        rest = after;
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = match form {
            Form::Simple => line,
            Form::Relaxed => {
                relax_line(line, &mut line_buffer);
                &line_buffer
            }
        };
        if line.is_empty() {
            empty_lines += 1;
            continue;
        }
        for _ in 0..std::mem::take(&mut empty_lines) {
            sink.write(b"\r\n");
        }
        sink.write(line);
        sink.write(b"\r\n");
        is_empty = false;
    }
    if is_empty && form == Form::Simple {
        sink.write(b"\r\n");
    }
    BodyHash { digest: sink.context.finish().as_ref().to_vec(), left_out: sink.left_out }
}

/// Runs of blanks become one space, blanks at the end go.
fn relax_line(line: &[u8], into: &mut Vec<u8>) {
    into.clear();
    let mut is_blank = false;
    for &b in line {
        if b == b' ' || b == b'\t' {
            is_blank = true;
            continue;
        }
        if std::mem::take(&mut is_blank) {
            into.push(b' ');
        }
        into.push(b);
    }
}

struct Sink {
    context: digest::Context,
    left: u64,
    left_out: u64,
}

impl Sink {
    fn write(&mut self, octets: &[u8]) {
        let fits = usize::try_from(self.left).unwrap_or(usize::MAX).min(octets.len());
        let (hashed, skipped) = octets.split_at_checked(fits).unwrap_or((octets, &[]));
        self.context.update(hashed);
        self.left -= hashed.len() as u64;
        self.left_out = self.left_out.saturating_add(skipped.len() as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(form: Form, fields: &[&str]) -> String {
        let mut out = Vec::new();
        fields.iter().for_each(|field| form.field(field.as_bytes(), &mut out));
        String::from_utf8(out).unwrap()
    }

    /// The example of RFC 6376 section 3.4.5.
    #[test]
    fn fields_of_the_rfc() {
        let raw = ["A: X\r\n", "B : Y\t\r\n\tZ  \r\n"];
        assert_eq!(fields(Form::Relaxed, &raw), "a:X\r\nb:Y Z\r\n");
        assert_eq!(fields(Form::Simple, &raw), "A: X\r\nB : Y\t\r\n\tZ  \r\n");
        assert_eq!(fields(Form::Simple, &["B : Y\t\n\tZ  \n"]), "B : Y\t\r\n\tZ  \r\n");
    }

    #[test]
    fn bodies_of_the_rfc() {
        let sha = |text: &str| digest::digest(&digest::SHA256, text.as_bytes()).as_ref().to_vec();
        let body = |text: &str, form, limit| hash_body(text.as_bytes(), form, limit, &digest::SHA256);
        for raw in [" C \r\nD \t E\r\n\r\n\r\n", " C \nD \t E\n\n\n", " C \r\nD \t E"] {
            assert_eq!(body(raw, Form::Relaxed, None).digest, sha(" C\r\nD E\r\n"), "{raw:?}");
            assert_eq!(body(raw, Form::Simple, None).digest, sha(" C \r\nD \t E\r\n"), "{raw:?}");
        }
        assert_eq!(body("", Form::Simple, None).digest, sha("\r\n"));
        assert_eq!(body("\r\n\r\n", Form::Relaxed, None).digest, sha(""));
        assert_eq!(body("a\r\n\r\nb", Form::Simple, None).digest, sha("a\r\n\r\nb\r\n"));
        let limited = body("a  b\r\nc\r\n", Form::Relaxed, Some(4));
        assert_eq!((limited.digest, limited.left_out), (sha("a b\r"), 4));
    }
}
