//! `AntiVirus` and a simple look for macros (`OLEVBMacro`): attachments by their names and first octets.

use std::sync::LazyLock;

use super::header::matches;
use super::{Arg, EvalContext, EvalResult, ours};
use crate::input::{Part, octets};
use crate::pattern::Pattern;

fn header(part: &Part<'_>, name: &[u8]) -> Vec<u8> {
    let field = part.headers.iter().rfind(|field| field.name.eq_ignore_ascii_case(name));
    field.map(|field| field.decoded.to_ascii_lowercase()).unwrap_or_default()
}

/// The file name that the content type tells, in lower case.
fn file_name(part: &Part<'_>) -> Vec<u8> {
    let value = header(part, b"content-type");
    crate::input::content_kind(Some(&value)).name.unwrap_or_default().to_ascii_lowercase()
}

fn extension(name: &[u8]) -> &[u8] {
    memchr::memrchr(b'.', name).and_then(|dot| name.get(dot + 1..)).unwrap_or(name)
}

pub(super) fn check_microsoft_executable(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    const EXTENSIONS: &str = " ade adp asx bas bat chm cmd com cpl crt dll exe hlp hta inf ins isp js jse lnk mda mdb mde mdt mdw mdz msc msi \
        msp mst nws ops pcd pif prf reg scf scr scr? sct shb shs shm swf url vb vbe vbs vbx vxd wsc wsf wsh ";
    static BASE64: LazyLock<Pattern> = LazyLock::new(|| ours(r"/^TV[opqr].A..[AB].[AQgw][A-H].A/"));
    static UUENCODED: LazyLock<Pattern> = LazyLock::new(|| ours(r"/^M35[GHIJK].`..`..*````/m"));
    let is_program = |part: &Part<'_>| {
        let name = file_name(part);
        let extension = octets::lossy(extension(&name));
        let has_extension =
            name.contains(&b'.') && !extension.contains(' ') && EXTENSIONS.contains(&format!(" {extension} "));
        has_extension
            || (octets::contains(&header(part, b"content-transfer-encoding"), b"base64") && matches(&BASE64, &part.raw))
            || (part.content_type.starts_with("text") && matches(&UUENCODED, &part.raw))
    };
    EvalResult::of(context.input.parts.iter().any(|part| part.is_leaf && is_program(part)))
}

/// A file name that does not go with the content type.
pub(super) fn check_suspect_name(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    let is_suspect = |part: &Part<'_>| {
        let name = file_name(part);
        let value = header(part, b"content-type");
        let kind = crate::input::content_kind(Some(&value)).kind;
        if name.is_empty() || kind == "application/octet-stream" {
            return false;
        }
        let kind = kind.replace("/x-", "/").replace("/vnd.", "/");
        let is_application = kind.starts_with("application/");
        match extension(&name) {
            b"txt" | b"html" | b"htm" | b"phtml" | b"xhtml" | b"phtm" | b"xhtm" | b"xml" => {
                !kind.starts_with("text/") && !kind.starts_with("message/external-body")
            }
            b"jpg" | b"jpeg" | b"tif" | b"tiff" | b"gif" | b"png" => {
                !kind.starts_with("image/") && !kind.starts_with("application/mac-binhex")
            }
            b"vcf" => kind != "text/vcard",
            b"bat" | b"com" | b"exe" | b"pif" | b"scr" | b"swf" | b"vbs" => !is_application,
            b"doc" => !(is_application && kind.ends_with("word")),
            b"ppt" => !(is_application && (kind.ends_with("powerpoint") || kind.ends_with("ppt"))),
            b"xls" => !(is_application && kind.ends_with("excel")),
            _ => false,
        }
    };
    EvalResult::of(context.input.parts.iter().any(|part| part.is_leaf && is_suspect(part)))
}

/// Compound files (the older Office formats) hold macros where this stands, in one or two octets a character.
const OLE_MAGIC: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";
const MACRO_MARKS: [&[u8]; 3] = [b"_VBA_PROJECT", b"_\0V\0B\0A\0_\0P\0R\0O\0J\0E\0C\0T\0", b"\0Attribut\0e "];
const OPENING_MARKS: [&[u8]; 5] = [b"autoopen", b"auto_open", b"autoexec", b"document_open", b"workbook_open"];
const RUNNING_MARKS: [&[u8]; 5] =
    [b"wscript.shell", b"powershell", b"cmd.exe", b"urldownloadtofile", b"msxml2.xmlhttp"];

fn macro_files<'c>(context: &'c EvalContext<'_>) -> impl Iterator<Item = &'c Part<'c>> {
    context.input.parts.iter().filter(|part| {
        part.is_leaf
            && part.decoded.starts_with(OLE_MAGIC)
            && MACRO_MARKS.iter().any(|mark| octets::contains(&part.decoded, mark))
    })
}

pub(super) fn check_olemacro(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    EvalResult::of(macro_files(context).next().is_some())
}

/// Macros that run when the file is opened and that start other programs, as far as uncompressed text tells.
pub(super) fn check_olemacro_malice(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    let holds = |data: &[u8], marks: &[&[u8]]| marks.iter().any(|mark| octets::contains(data, mark));
    let is_malicious = |part: &Part<'_>| {
        let data = part.decoded.to_ascii_lowercase();
        holds(&data, &OPENING_MARKS) && holds(&data, &RUNNING_MARKS)
    };
    EvalResult::of(macro_files(context).any(is_malicious))
}

/// An embedded object in a rich text file.
pub(super) fn check_olertfobject(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    let is_rtf = |part: &&Part<'_>| part.is_leaf && part.decoded.starts_with(b"{\\rt");
    let mut files = context.input.parts.iter().filter(is_rtf);
    EvalResult::of(files.any(|part| {
        [&b"\\objdata"[..], b"\\objupdate", b"\\objclass"].iter().any(|mark| octets::contains(&part.decoded, mark))
    }))
}
