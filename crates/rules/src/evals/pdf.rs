//! `PDFInfo`: number, images, encryption and properties of attached PDF files. Digests of whole files are not compared.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use super::header::{group, matches};
use super::image::{any_size_within, is_within};
use super::{Arg, EvalContext, EvalResult, any, argument_matches, number, ours};
use crate::input::octets;
use crate::pattern::Pattern;

const TEXT_OCTETS_MAX: usize = 256;
/// Octets of one file looked at.
const FILE_OCTETS_MAX: usize = 4 * 1024 * 1024;

/// What the PDF files of a message show.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pdfs {
    count: usize,
    images: usize,
    pixels: Option<f64>,
    sizes: HashSet<(u64, u64)>,
    is_encrypted: bool,
    names: HashSet<Vec<u8>>,
    details: HashMap<&'static str, Vec<Vec<u8>>>,
}

fn pdfs<'c>(context: &'c EvalContext<'_>) -> &'c Pdfs {
    context.input.memo.pdfs.get_or_init(|| {
        let mut found = Pdfs::default();
        for part in context.input.parts.iter().filter(|part| part.is_leaf) {
            let is_kind = matches!(
                part.content_type.as_str(),
                "application/pdf" | "image/pdf" | "application/octet-stream" | "image/octet-stream"
            );
            let name = part.name.as_deref().unwrap_or_default().to_ascii_lowercase();
            let is_pdf = part.content_type.ends_with("/pdf") || name.ends_with(b".pdf") || name.ends_with(b".fdf");
            if is_kind && is_pdf {
                read(&part.decoded, part.name.as_deref().unwrap_or_default(), &mut found);
                found.count += 1;
            }
        }
        found
    })
}

fn read(data: &[u8], name: &[u8], found: &mut Pdfs) {
    static MAGIC: LazyLock<Pattern> = LazyLock::new(|| ours(r"/^.{0,1024}%PDF-\d\.\d/s"));
    let data = data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data);
    let data = data.get(..FILE_OCTETS_MAX).unwrap_or(data);
    if !matches(&MAGIC, data) {
        return;
    }
    if !name.is_empty() {
        found.names.insert(name.to_vec());
    }
    let (mut height_sum, mut width_sum, mut area_sum) = (0, 0, 0.0);
    let mut is_image = false;
    for line in data.split(|&octet| octet == b'\n').filter(|line| !line.is_empty()) {
        is_image |= octets::contains(line, b"/Image");
        found.is_encrypted |= line.starts_with(b"/Encrypt");
        if is_image && let Some((width, height)) = image_size(line) {
            #[allow(clippy::cast_precision_loss, reason = "sides of images are small")]
            let area = width as f64 * height as f64;
            (height_sum, width_sum, area_sum) = (height_sum + height, width_sum + width, area_sum + area);
            found.sizes.insert((height, width));
            found.images += 1;
            is_image = false;
        }
        if line.contains(&b'/') {
            read_details(line, found);
        }
    }
    if height_sum > 0 && width_sum > 0 {
        found.sizes.insert((height_sum, width_sum));
    }
    if area_sum > 0.0 {
        found.pixels = Some(area_sum);
    }
}

/// Width and height on one line: of a transformation, or of both properties.
fn image_size(line: &[u8]) -> Option<(u64, u64)> {
    static MATRIX: LazyLock<Pattern> = LazyLock::new(|| ours(r"/^(\d+)\s+\d+\s+\d+\s+(\d+)\s+\d+\s+\d+\s+cm$/"));
    static BOTH: LazyLock<Pattern> = LazyLock::new(|| ours(r"m{/Width\s(\d+)/Height\s(\d+)}"));
    // One property alone says nothing: SpamAssassin forgets it at the next line.
    if !octets::contains(line, b"cm") && !octets::contains(line, b"/Width") {
        return None;
    }
    [&MATRIX, &BOTH].into_iter().find_map(|pattern| {
        let groups = pattern.captures(line).ok()??;
        let value = |index: usize| {
            octets::lossy(groups.get(index).copied().flatten()?)
                .parse::<u64>()
                .ok()
                .filter(|value| *value > 0 && *value < 1 << 32)
        };
        Some((value(1)?, value(2)?))
    })
}

fn read_details(line: &[u8], found: &mut Pdfs) {
    static TEXTS: LazyLock<[(&str, &[u8], Pattern); 4]> = LazyLock::new(|| {
        let text = |name: &str| ours(&format!(r"/\/{name}\s{{0,2}}(\(.*?(?<!\\)\)|<[^>]*>)/"));
        [
            ("author", b"/Author", text("Author")),
            ("creator", b"/Creator", text("Creator")),
            ("producer", b"/Producer", text("Producer")),
            ("title", b"/Title", text("Title")),
        ]
    });
    static DATES: LazyLock<[(&str, &[u8], Pattern); 2]> = LazyLock::new(|| {
        let date = |name: &str| ours(&format!(r"/\/{name}\s{{0,2}}\(D:(\d+)/"));
        [("created", b"/CreationDate", date("CreationDate")), ("modified", b"/ModDate", date("ModDate"))]
    });
    for (name, mark, pattern) in TEXTS.iter().chain(DATES.iter()) {
        if octets::contains(line, mark)
            && let Some(text) = group(pattern, line)
        {
            let values = found.details.entry(name).or_default();
            let value = text_value(text);
            if !values.contains(&value) {
                values.push(value);
            }
        }
    }
}

/// A string of PDF in plain octets: hexadecimal or with octal escapes, UTF-16 stripped of its zeros.
fn text_value(text: &[u8]) -> Vec<u8> {
    let mut value = Vec::new();
    if text.starts_with(b"<") {
        let digits: Vec<u8> = text
            .iter()
            .filter_map(|octet| char::from(*octet).to_digit(16))
            .filter_map(|digit| u8::try_from(digit).ok())
            .collect();
        value.extend(digits.chunks_exact(2).filter_map(|pair| Some(pair.first()? << 4 | pair.get(1)?)));
    } else {
        let inner = text.strip_prefix(b"(").unwrap_or(text);
        let mut rest = inner.strip_suffix(b")").unwrap_or(inner);
        while let Some((&octet, tail)) = rest.split_first() {
            match rest {
                [b'\\', high @ b'0'..=b'3', middle @ b'0'..=b'7', low @ b'0'..=b'7', after @ ..] => {
                    value.push((high - b'0') << 6 | (middle - b'0') << 3 | (low - b'0'));
                    rest = after;
                }
                [b'\\', escaped @ (b'(' | b')' | b'\\'), after @ ..] => {
                    value.push(*escaped);
                    rest = after;
                }
                _ => {
                    value.push(octet);
                    rest = tail;
                }
            }
        }
    }
    if let Some(wide) = value.strip_prefix(b"\xfe\xff").or_else(|| value.strip_prefix(b"\xff\xfe")) {
        value = wide.iter().copied().filter(|&octet| octet != 0).collect();
    }
    value.truncate(TEXT_OCTETS_MAX);
    value
}

pub(super) fn pdf_named(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    EvalResult::of(args.first().is_some_and(|name| pdfs(context).names.contains(name.text.as_bytes())))
}

pub(super) fn pdf_name_regex(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    any(&pdfs(context).names, |name| argument_matches(args, 0, name)).into()
}

pub(super) fn pdf_is_encrypted(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    EvalResult::of(pdfs(context).is_encrypted)
}

#[allow(clippy::cast_precision_loss, reason = "a count of parts is small")]
pub(super) fn pdf_count(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    EvalResult::of(is_within(pdfs(context).count as f64, args, 0))
}

#[allow(clippy::cast_precision_loss, reason = "a count of images is small")]
pub(super) fn pdf_image_count(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    EvalResult::of(is_within(pdfs(context).images as f64, args, 0))
}

pub(super) fn pdf_pixel_coverage(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    EvalResult::of(pdfs(context).pixels.is_some_and(|pixels| is_within(pixels, args, 0)))
}

#[allow(clippy::cast_precision_loss, reason = "sizes are exact in a double")]
pub(super) fn pdf_image_to_text_ratio(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let text: usize = context.text_pieces().iter().map(Vec::len).sum();
    let Some(pixels) = pdfs(context).pixels.filter(|_| text > 0 && args.len() > 1) else { return EvalResult::Miss };
    let ratio = text as f64 / pixels;
    EvalResult::of(is_within(ratio, args, 0) && ratio != number(args, 1))
}

#[allow(clippy::cast_precision_loss, reason = "sizes are exact in a double")]
pub(super) fn pdf_is_empty_body(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let is_text = |line: &&Vec<u8>| line.iter().any(|&octet| !octets::is_space(octet));
    let text: usize = context.text_pieces().iter().skip(1).filter(is_text).map(Vec::len).sum();
    EvalResult::of(pdfs(context).count > 0 && text as f64 <= number(args, 0))
}

pub(super) fn pdf_image_size_exact(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let sizes = &pdfs(context).sizes;
    let is_hit = args.len() > 1
        && sizes.iter().any(|(height, width)| {
            args.first().is_some_and(|arg| arg.text == height.to_string())
                && args.get(1).is_some_and(|arg| arg.text == width.to_string())
        });
    EvalResult::of(is_hit)
}

pub(super) fn pdf_image_size_range(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    EvalResult::of(args.len() > 1 && any_size_within(&pdfs(context).sizes, args, 0))
}

pub(super) fn pdf_match_details(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let name = args.first().map_or("", |arg| arg.text.as_str());
    let values = pdfs(context).details.get(name).map_or(&[][..], Vec::as_slice);
    any(values, |value| argument_matches(args, 1, value)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties() {
        let mut found = Pdfs::default();
        read(
            b"%PDF-1.4\n<</Author(J \\(x\\))/Title<FEFF00410042>/CreationDate(D:2026)>>\n/Image\n10 0 0 20 0 0 cm\n",
            b"a.pdf",
            &mut found,
        );
        assert_eq!(found.details.get("author").unwrap(), &vec![b"J (x)".to_vec()]);
        assert_eq!(found.details.get("title").unwrap(), &vec![b"AB".to_vec()]);
        assert_eq!(found.details.get("created").unwrap(), &vec![b"2026".to_vec()]);
        assert!(found.sizes.contains(&(20, 10)) && found.images == 1 && found.pixels == Some(200.0));
    }
}
