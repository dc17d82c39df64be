//! Attachments: the parts that are files. Each with the name that is shown, the type that is declared, and the type that
//! it has. What an archive holds is not looked at.

use std::borrow::Cow;
use std::ops::Range;

use crate::charset::decode_undeclared;
use crate::invisible::is_invisible;
use crate::sniff::{FileClass, FileKind, class_of_extension, class_of_type, is_as_promised};
use crate::transfer::{decode_uuencode, find_uuencoded};
use crate::{Defect, Defects, Message, Part};

/// Blanks in a row that push an extension out of sight.
const BLANKS_MAX: usize = 4;

/// A part that is a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Index of the part.
    pub part: usize,
    /// The name, as [`Part::file_name`] gives it.
    pub name: Option<String>,
    /// What stands after the last dot of the name, in lower case, blanks and dots at the end taken away as Windows does.
    pub extension: Option<String>,
    /// The declared type.
    pub declared: String,
    /// The kind by its content.
    pub kind: Option<FileKind>,
    /// What it does when opened: by its name, else by its content.
    pub class: Option<FileClass>,
    /// Octets, decoded.
    pub octets: usize,
    /// Where a uuencoded file stands in the text of the part ([`Part::decoded`]); `None` where the part is the file.
    pub embedded: Option<Range<usize>>,
    /// Whether the sender wants it shown within the message.
    pub is_inline: bool,
    /// What is wrong with it.
    pub defects: Vec<Defect>,
}

impl Attachment {
    /// The content of the file. `message` is the one that the attachment is of.
    #[must_use]
    pub fn content<'a>(&self, message: &'a Message) -> Cow<'a, [u8]> {
        let decoded = message.parts().get(self.part).map(Part::decoded).unwrap_or_default();
        match &self.embedded {
            None => Cow::Borrowed(decoded),
            Some(place) => Cow::Owned(decode_uuencode(decoded.get(place.clone()).unwrap_or_default())),
        }
    }
}

/// The attachments of a message, in order.
pub(crate) fn read(message: &Message) -> (Vec<Attachment>, Defects) {
    let is_view = |part: &Part| message.views().iter().any(|view| view.part == part.index());
    let is_file = |part: &&Part| {
        !part.is_multipart()
            && (part.is_attachment() || part.file_name().is_some() || (!is_view(part) && !part.is_message()))
    };
    let mut attachments = Vec::new();
    for part in message.parts() {
        attachments.extend(Some(part).filter(is_file).map(attachment));
        if part.content_type().kind() == "text" {
            let left = message.limits().parts_max.saturating_sub(attachments.len());
            attachments.extend(find_uuencoded(part.decoded()).take(left).map(|found| uuencoded(part, found)));
        }
    }
    let mut defects = Defects::default();
    for attachment in &attachments {
        for defect in &attachment.defects {
            defects.add(*defect, attachment.part);
        }
    }
    (attachments, defects)
}

fn uuencoded(part: &Part, (place, name): (Range<usize>, &[u8])) -> Attachment {
    let content = decode_uuencode(part.decoded().get(place.clone()).unwrap_or_default());
    let name = decode_undeclared(name);
    let extension = extension_of(&name);
    let kind = FileKind::sniff(&content);
    let by_name = extension.as_deref().and_then(class_of_extension);
    let is_mismatch = by_name.zip(kind).is_some_and(|(promised, kind)| !is_as_promised(kind, promised));
    Attachment {
        part: part.index(),
        extension,
        declared: "application/octet-stream".to_owned(),
        kind,
        class: by_name.or_else(|| kind.map(FileKind::class)),
        octets: content.len(),
        embedded: Some(place),
        is_inline: true,
        defects: is_mismatch.then_some(Defect::TypeMismatch).into_iter().chain(deceptions(&name)).collect(),
        name: Some(name),
    }
}

fn attachment(part: &Part) -> Attachment {
    let content = part.decoded();
    let name = part.file_name().map(str::to_owned);
    let extension = name.as_deref().and_then(extension_of);
    let declared = part.content_type().essence().to_owned();
    let kind = if part.is_message() { None } else { FileKind::sniff(content) };
    let by_name = extension.as_deref().and_then(class_of_extension);
    let mut defects = Vec::new();
    if kind.is_some_and(|kind| is_mismatch(kind, by_name, part)) {
        defects.push(Defect::TypeMismatch);
    }
    if let Some(name) = &name {
        defects.extend(name_defects(name, part));
    }
    let class = by_name.or_else(|| kind.map(FileKind::class));
    let is_inline = part.disposition().is_some_and(|disposition| disposition.value == "inline");
    Attachment {
        part: part.index(),
        name,
        extension,
        declared,
        kind,
        class,
        octets: content.len(),
        embedded: None,
        is_inline,
        defects,
    }
}

/// The name decides what happens on a click, so it is asked first; the declared type counts where the name says nothing.
fn is_mismatch(kind: FileKind, by_name: Option<FileClass>, part: &Part) -> bool {
    let declared = part.content_type().essence();
    let promised = by_name.or_else(|| class_of_type(declared).filter(|_| part.has_content_type()));
    let is_declared_harmless =
        matches!(class_of_type(declared), Some(FileClass::Image | FileClass::Media | FileClass::Text));
    promised.is_some_and(|promised| !is_as_promised(kind, promised))
        || (is_declared_harmless && kind.class() == FileClass::Executable)
}

fn extension_of(name: &str) -> Option<String> {
    let name: String = name.chars().filter(|c| !is_invisible(*c)).collect();
    let name = name.trim_end_matches(|c: char| c.is_whitespace() || c == '.');
    let (_, extension) = name.rsplit_once('.')?;
    (!extension.is_empty() && !extension.contains(['/', '\\'])).then(|| extension.to_lowercase())
}

fn name_defects(name: &str, part: &Part) -> Vec<Defect> {
    let mut defects = Vec::new();
    let of_disposition = part.disposition().and_then(|disposition| disposition.parameter("filename"));
    if let (Some(one), Some(other)) = (of_disposition, part.content_type().parameter("name"))
        && one.trim() != other.trim()
        && !one.is_empty()
        && !other.is_empty()
    {
        defects.push(Defect::FileNameMismatch);
    }
    defects.extend(deceptions(name));
    defects
}

/// What is wrong with a name by itself.
fn deceptions(name: &str) -> Vec<Defect> {
    let mut defects = Vec::new();
    let mut extensions = name.rsplit('.').map(|extension| extension.trim().to_lowercase());
    let (last, before) = (extensions.next(), extensions.next());
    let is_harmful = last.as_deref().and_then(class_of_extension) == Some(FileClass::Executable);
    let looks_harmless = before.as_deref().and_then(class_of_extension).is_some_and(|c| c != FileClass::Executable);
    if is_harmful && looks_harmless && name.matches('.').count() > 1 {
        defects.push(Defect::DoubleExtension);
    }
    let blanks = name.split(|c: char| !c.is_whitespace()).map(|run| run.chars().count()).max().unwrap_or_default();
    if blanks > BLANKS_MAX || name.chars().any(|c| c.is_control() || is_invisible(c)) {
        defects.push(Defect::DeceptiveFileName);
    }
    defects
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    fn of(head: &str, body: &str) -> Attachment {
        let raw = format!("From: a@b.example\r\n{head}\r\n\r\n{body}");
        let message = Message::parse(raw.into_bytes(), &Limits::default());
        message.attachments().first().cloned().unwrap()
    }

    #[test]
    fn names_and_contents_are_compared() {
        let pdf = of("Content-Type: application/pdf; name=a.pdf", "%PDF-1.4 x");
        assert_eq!((pdf.extension.as_deref(), pdf.kind, pdf.defects.len()), (Some("pdf"), Some(FileKind::Pdf), 0));
        for (head, body, defect, why) in [
            ("Content-Type: application/pdf; name=a.pdf", "<html>", Defect::TypeMismatch, "HTML called PDF"),
            ("Content-Type: image/png", "#!/bin/sh", Defect::TypeMismatch, "a script declared as picture"),
            (
                "Content-Type: image/png; name=a.sh",
                "#!/bin/sh",
                Defect::TypeMismatch,
                "name and content agree, the type lies",
            ),
            ("Content-Disposition: attachment; filename=a.pdf.exe", "x", Defect::DoubleExtension, "two extensions"),
            ("Content-Disposition: attachment; filename=\"a.pdf      .exe\"", "x", Defect::DeceptiveFileName, "blanks"),
            (
                "Content-Disposition: attachment; filename*=utf-8''a%E2%80%AEfdp.exe",
                "x",
                Defect::DeceptiveFileName,
                "right-to-left override",
            ),
            (
                "Content-Type: text/plain; name=a.txt\r\nContent-Disposition: attachment; filename=b.exe",
                "x",
                Defect::FileNameMismatch,
                "two names",
            ),
        ] {
            assert!(of(head, body).defects.contains(&defect), "{why}");
        }
    }

    #[test]
    fn a_uuencoded_file_within_text_is_one() {
        let raw = b"From: a@b.example\n\nHere it is:\nbegin 644 cat.exe\n#0V%T\n`\nend\n";
        let message = Message::parse(raw.to_vec(), &Limits::default());
        let [file] = message.attachments() else { panic!("one file") };
        assert_eq!((file.name.as_deref(), file.class, file.octets), (Some("cat.exe"), Some(FileClass::Executable), 3));
        assert_eq!(&*file.content(&message), b"Cat");
    }

    #[test]
    fn text_without_a_name_is_no_attachment() {
        let message = Message::parse(b"From: a@b.example\n\nHello".to_vec(), &Limits::default());
        assert!(message.attachments().is_empty());
    }
}
