//! `ImageInfo`: number, size and names of attached images.

use std::collections::HashSet;

use super::{Arg, EvalContext, EvalResult, any, argument_matches, number};
use crate::input::Part;

/// Images of one kind, or of all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kind {
    count: usize,
    pixels: f64,
    /// Height and width.
    sizes: HashSet<(u64, u64)>,
}

/// The images of a message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Images {
    gif: Kind,
    png: Kind,
    jpeg: Kind,
    names: HashSet<Vec<u8>>,
}

impl Images {
    fn kinds(&self, name: &str) -> Vec<&Kind> {
        match name {
            "gif" => vec![&self.gif],
            "png" => vec![&self.png],
            "jpeg" => vec![&self.jpeg],
            "all" => vec![&self.gif, &self.png, &self.jpeg],
            _ => Vec::new(),
        }
    }
}

fn images<'c>(context: &'c EvalContext<'_>) -> &'c Images {
    context.input.memo.images.get_or_init(|| {
        let mut images = Images::default();
        for part in context.input.parts.iter().filter(|part| part.is_leaf && is_base64(part)) {
            let (kind, size) = match part.content_type.as_str() {
                "image/gif" => (&mut images.gif, gif_size(&part.decoded)),
                "image/png" => (&mut images.png, png_size(&part.decoded)),
                "image/jpeg" | "image/jpg" => (&mut images.jpeg, jpeg_size(&part.decoded)),
                _ => continue,
            };
            kind.count += 1;
            let Some((width, height)) = size.filter(|(width, height)| *width > 0 && *height > 0) else { continue };
            #[allow(clippy::cast_precision_loss, reason = "sides of images are below 2 to the 32")]
            let area = width as f64 * height as f64;
            kind.pixels += area;
            kind.sizes.insert((height, width));
            images.names.extend(part.name.clone().filter(|name| !name.is_empty()));
        }
        images
    })
}

fn is_base64(part: &Part<'_>) -> bool {
    let field = part.headers.iter().rfind(|field| field.name.eq_ignore_ascii_case(b"content-transfer-encoding"));
    field.is_some_and(|field| field.decoded.eq_ignore_ascii_case(b"base64"))
}

fn be(octets: Option<&[u8]>) -> Option<u64> {
    octets.map(|octets| octets.iter().fold(0, |value, octet| value << 8 | u64::from(*octet)))
}

fn gif_size(image: &[u8]) -> Option<(u64, u64)> {
    let rest = image.strip_prefix(b"GIF87a").or_else(|| image.strip_prefix(b"GIF89a"))?;
    let side = |at: usize| Some(u64::from(*rest.get(at)?) | u64::from(*rest.get(at + 1)?) << 8);
    Some((side(0)?, side(2)?))
}

/// The header chunk is looked for at every eighth octet, as SpamAssassin does; in whole images it is the first.
fn png_size(image: &[u8]) -> Option<(u64, u64)> {
    let rest = image.strip_prefix(b"\x89PNG\r\n\x1a\n")?;
    let mut at = 0;
    while let Some(head) = rest.get(at..at + 8) {
        at += 8;
        match head {
            [.., b'I', b'E', b'N', b'D'] => return None,
            [0, 0, 0, 13, b'I', b'H', b'D', b'R'] => {
                return Some((be(rest.get(at..at + 4))?, be(rest.get(at + 4..at + 8))?));
            }
            _ => {}
        }
    }
    None
}

fn jpeg_size(image: &[u8]) -> Option<(u64, u64)> {
    let mut rest = image.strip_prefix(b"\xff\xd8")?;
    loop {
        let [0xff, mark, _, _, ..] = rest else { return None };
        let length = usize::try_from(be(rest.get(2..4))?).ok()?;
        if matches!(mark, 0xda | 0xd9) || length < 2 {
            return None;
        }
        let block = rest.get(4..)?;
        if matches!(mark, 0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf) {
            return Some((be(block.get(3..5))?, be(block.get(1..3))?));
        }
        rest = block.get(length - 2..)?;
    }
}

/// Whether `value` is within the bounds that begin at argument `first`.
pub(super) fn is_within(value: f64, args: &[Arg], first: usize) -> bool {
    args.get(first).is_some()
        && value >= number(args, first)
        && args.get(first + 1).is_none_or(|max| value <= max.number())
}

fn kind(args: &[Arg]) -> &str {
    args.first().map_or("", |arg| arg.text.as_str())
}

pub(super) fn image_count(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let kinds = images(context).kinds(kind(args));
    let count: usize = kinds.iter().map(|kind| kind.count).sum();
    #[allow(clippy::cast_precision_loss, reason = "a count of parts is small")]
    EvalResult::of(!kinds.is_empty() && is_within(count as f64, args, 1))
}

fn pixels(context: &EvalContext<'_>, args: &[Arg]) -> Option<f64> {
    let kinds = images(context).kinds(kind(args));
    (!kinds.is_empty()).then(|| kinds.iter().map(|kind| kind.pixels).sum())
}

pub(super) fn pixel_coverage(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    EvalResult::of(pixels(context, args).is_some_and(|pixels| is_within(pixels, args, 1)))
}

#[allow(clippy::cast_precision_loss, reason = "sizes are exact in a double")]
pub(super) fn image_to_text_ratio(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let text: usize = context.text_pieces().iter().map(Vec::len).sum();
    let Some(pixels) = pixels(context, args).filter(|pixels| *pixels > 0.0 && text > 0) else {
        return EvalResult::Miss;
    };
    let ratio = text as f64 / pixels;
    EvalResult::of(args.len() > 2 && is_within(ratio, args, 1) && ratio != number(args, 2))
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a side of an image, cut at zero")]
fn side(args: &[Arg], index: usize) -> u64 {
    number(args, index).max(0.0) as u64
}

pub(super) fn image_size_exact(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let size = (side(args, 1), side(args, 2));
    EvalResult::of(images(context).kinds(kind(args)).iter().any(|kind| kind.sizes.contains(&size)))
}

/// Whether one of the sizes is within the bounds that begin at argument `first`: least height and width, greatest height and width.
pub(super) fn any_size_within(sizes: &HashSet<(u64, u64)>, args: &[Arg], first: usize) -> bool {
    let max = |index: usize| args.get(index).map(|_| side(args, index));
    sizes.iter().any(|(height, width)| {
        *height >= side(args, first)
            && *width >= side(args, first + 1)
            && max(first + 2).is_none_or(|max| *height <= max)
            && max(first + 3).is_none_or(|max| *width <= max)
    })
}

pub(super) fn image_size_range(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    EvalResult::of(images(context).kinds(kind(args)).iter().any(|kind| any_size_within(&kind.sizes, args, 1)))
}

pub(super) fn image_named(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    EvalResult::of(args.first().is_some_and(|name| images(context).names.contains(name.text.as_bytes())))
}

pub(super) fn image_name_regex(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    any(&images(context).names, |name| argument_matches(args, 0, name)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(gif_size(b"GIF89a\x10\x00\x20\x00"), Some((16, 32)));
        assert_eq!(png_size(b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x10\0\0\0\x20"), Some((16, 32)));
        assert_eq!(jpeg_size(b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x0b\x08\x00\x20\x00\x10"), Some((16, 32)));
        assert_eq!(jpeg_size(b"\xff\xd8\xff\xe0\x00\x00"), None);
    }
}
