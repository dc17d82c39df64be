//! What a file is by its first octets, and what its name and declared type promise. A table, no parsing of contents.

use memchr::memmem;

/// Octets at the beginning that are looked at for text that may stand later than at the very beginning.
const HEAD_OCTETS: usize = 1_024;

/// What files of a kind can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FileClass {
    /// Runs when opened: programs, scripts, shortcuts, installers.
    Executable,
    /// Holds other files.
    Archive,
    /// Office documents, PDF, help files.
    Document,
    /// Pictures.
    Image,
    /// Sound and film.
    Media,
    /// HTML, XML, SVG: opens in a browser.
    Markup,
    /// Plain text, also calendars and contacts.
    Text,
    /// Mail: `winmail.dat`, messages.
    Mail,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident => $name:literal, $class:ident;)+) => {
        /// The kind of a file, by its content.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum FileKind { $($(#[$doc])* $variant,)+ }

        impl FileKind {
            /// The stable name: lower case.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(FileKind::$variant => $name,)+ }
            }

            /// What files of this kind can do.
            #[must_use]
            pub const fn class(self) -> FileClass {
                match self { $(FileKind::$variant => FileClass::$class,)+ }
            }
        }
    };
}

kinds! {
    /// A program for DOS or Windows.
    Exe => "exe", Executable;
    /// A program for Linux and the like.
    Elf => "elf", Executable;
    /// A program for macOS.
    MachO => "mach-o", Executable;
    /// Java byte code, or a macOS program for several processors.
    Class => "class", Executable;
    /// Java archive.
    Jar => "jar", Executable;
    /// Android package.
    Apk => "apk", Executable;
    /// Windows shortcut.
    Lnk => "lnk", Executable;
    /// A script that names its interpreter.
    Script => "script", Executable;
    /// Zip.
    Zip => "zip", Archive;
    /// RAR.
    Rar => "rar", Archive;
    /// 7-Zip.
    SevenZip => "7z", Archive;
    /// gzip.
    Gzip => "gzip", Archive;
    /// bzip2.
    Bzip2 => "bzip2", Archive;
    /// xz.
    Xz => "xz", Archive;
    /// Zstandard.
    Zstd => "zstd", Archive;
    /// compress.
    Compress => "compress", Archive;
    /// Microsoft cabinet.
    Cab => "cab", Archive;
    /// tar.
    Tar => "tar", Archive;
    /// ACE.
    Ace => "ace", Archive;
    /// ARJ.
    Arj => "arj", Archive;
    /// LHA.
    Lha => "lha", Archive;
    /// Image of a disc.
    Iso => "iso", Archive;
    /// Virtual disk of Windows.
    Vhd => "vhd", Archive;
    /// Windows image.
    Wim => "wim", Archive;
    /// PDF.
    Pdf => "pdf", Document;
    /// Compound file of old Office, Outlook and installers.
    Ole => "ole", Document;
    /// Office Open XML.
    Ooxml => "ooxml", Document;
    /// OpenDocument.
    Odf => "odf", Document;
    /// Rich text.
    Rtf => "rtf", Document;
    /// OneNote.
    OneNote => "onenote", Document;
    /// Compiled help, which runs scripts.
    Chm => "chm", Executable;
    /// PostScript.
    PostScript => "postscript", Document;
    /// Flash.
    Flash => "flash", Executable;
    /// PNG.
    Png => "png", Image;
    /// JPEG.
    Jpeg => "jpeg", Image;
    /// GIF.
    Gif => "gif", Image;
    /// Windows bitmap.
    Bmp => "bmp", Image;
    /// WebP.
    Webp => "webp", Image;
    /// TIFF.
    Tiff => "tiff", Image;
    /// Icon.
    Ico => "ico", Image;
    /// Photoshop.
    Psd => "psd", Image;
    /// HEIC or AVIF.
    Heic => "heic", Image;
    /// MP3.
    Mp3 => "mp3", Media;
    /// MP4 and its relatives.
    Mp4 => "mp4", Media;
    /// Ogg.
    Ogg => "ogg", Media;
    /// WAV or AVI.
    Riff => "riff", Media;
    /// FLAC.
    Flac => "flac", Media;
    /// Matroska or WebM.
    Matroska => "matroska", Media;
    /// HTML.
    Html => "html", Markup;
    /// SVG.
    Svg => "svg", Markup;
    /// XML.
    Xml => "xml", Markup;
    /// iCalendar.
    Calendar => "calendar", Text;
    /// vCard.
    Vcard => "vcard", Text;
    /// OpenPGP, armoured.
    Pgp => "pgp", Text;
    /// TNEF, `winmail.dat`.
    Tnef => "tnef", Mail;
}

/// Octets at an offset. The first line that fits counts.
const MAGIC: &[(usize, &[u8], FileKind)] = &[
    (0, b"\x7fELF", FileKind::Elf),
    (0, b"\xfe\xed\xfa\xce", FileKind::MachO),
    (0, b"\xfe\xed\xfa\xcf", FileKind::MachO),
    (0, b"\xce\xfa\xed\xfe", FileKind::MachO),
    (0, b"\xcf\xfa\xed\xfe", FileKind::MachO),
    (0, b"\xca\xfe\xba\xbe", FileKind::Class),
    (0, b"\x4c\0\0\0\x01\x14\x02\0", FileKind::Lnk),
    (0, b"#!/", FileKind::Script),
    (0, b"#! /", FileKind::Script),
    (0, b"Rar!\x1a\x07", FileKind::Rar),
    (0, b"7z\xbc\xaf\x27\x1c", FileKind::SevenZip),
    (0, b"\x1f\x8b\x08", FileKind::Gzip),
    (0, b"BZh", FileKind::Bzip2),
    (0, b"\xfd7zXZ\0", FileKind::Xz),
    (0, b"\x28\xb5\x2f\xfd", FileKind::Zstd),
    (0, b"\x1f\x9d", FileKind::Compress),
    (0, b"MSCF\0\0\0\0", FileKind::Cab),
    (0, b"\x60\xea", FileKind::Arj),
    (0, b"conectix", FileKind::Vhd),
    (0, b"vhdxfile", FileKind::Vhd),
    (0, b"MSWIM\0\0\0", FileKind::Wim),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", FileKind::Ole),
    // `{\rt` alone is enough for Word.
    (0, b"{\\rt", FileKind::Rtf),
    (0, b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d", FileKind::OneNote),
    (0, b"ITSF\x03", FileKind::Chm),
    (0, b"%!PS", FileKind::PostScript),
    (0, b"FWS", FileKind::Flash),
    (0, b"CWS", FileKind::Flash),
    (0, b"ZWS", FileKind::Flash),
    (0, b"\x89PNG\r\n\x1a\n", FileKind::Png),
    (0, b"\xff\xd8\xff", FileKind::Jpeg),
    (0, b"GIF87a", FileKind::Gif),
    (0, b"GIF89a", FileKind::Gif),
    (8, b"WEBPVP8", FileKind::Webp),
    (0, b"II*\0", FileKind::Tiff),
    (0, b"MM\0*", FileKind::Tiff),
    (0, b"\0\0\x01\0", FileKind::Ico),
    (0, b"8BPS", FileKind::Psd),
    (4, b"ftyphei", FileKind::Heic),
    (4, b"ftypmif1", FileKind::Heic),
    (4, b"ftypavif", FileKind::Heic),
    (4, b"ftyp", FileKind::Mp4),
    (0, b"ID3", FileKind::Mp3),
    (0, b"OggS", FileKind::Ogg),
    (0, b"fLaC", FileKind::Flac),
    (8, b"WAVE", FileKind::Riff),
    (8, b"AVI ", FileKind::Riff),
    (0, b"\x1a\x45\xdf\xa3", FileKind::Matroska),
    (0, b"\x78\x9f\x3e\x22", FileKind::Tnef),
    (7, b"**ACE**", FileKind::Ace),
    (257, b"ustar", FileKind::Tar),
    (2, b"-lh", FileKind::Lha),
    (2, b"-lz", FileKind::Lha),
    (0x8001, b"CD001", FileKind::Iso),
    (0x8801, b"CD001", FileKind::Iso),
];

/// What begins text of a kind, in lower case, blanks and a byte order mark before it not counted.
const TEXT_MAGIC: &[(&str, FileKind)] = &[
    ("<!doctype html", FileKind::Html),
    ("<html", FileKind::Html),
    ("<head", FileKind::Html),
    ("<body", FileKind::Html),
    ("<script", FileKind::Html),
    ("<iframe", FileKind::Html),
    ("<hta:", FileKind::Html),
    ("<svg", FileKind::Svg),
    ("<!doctype svg", FileKind::Svg),
    ("begin:vcalendar", FileKind::Calendar),
    ("begin:vcard", FileKind::Vcard),
    ("-----begin pgp ", FileKind::Pgp),
];

impl FileKind {
    /// The kind of a file by its beginning. `None` for plain text and for what is not known.
    #[must_use]
    pub fn sniff(content: &[u8]) -> Option<FileKind> {
        if content.starts_with(b"PK\x03\x04")
            || content.starts_with(b"PK\x05\x06")
            || content.starts_with(b"PK00PK\x03\x04")
        {
            return Some(zip_kind(content));
        }
        if is_exe(content) {
            return Some(FileKind::Exe);
        }
        let head = content.get(..HEAD_OCTETS.min(content.len())).unwrap_or_default();
        // PDF readers look for the mark in the first kilobyte.
        if memmem::find(head, b"%PDF-").is_some() {
            return Some(FileKind::Pdf);
        }
        let fits = |(offset, magic, _): &&(usize, &[u8], FileKind)| {
            content.get(*offset..).is_some_and(|content| content.starts_with(magic))
        };
        if let Some((_, _, kind)) = MAGIC.iter().find(fits) {
            return Some(*kind);
        }
        // A bitmap: two letters alone would take in text.
        if content.starts_with(b"BM") && content.get(6..10) == Some(&[0; 4]) && content.len() > 26 {
            return Some(FileKind::Bmp);
        }
        text_kind(head)
    }
}

/// `MZ`, and either the header that it points at or the octets of a header where text would stand.
fn is_exe(content: &[u8]) -> bool {
    if !content.starts_with(b"MZ") && !content.starts_with(b"ZM") {
        return false;
    }
    content.get(..64).is_some_and(|head| head.contains(&0)) || content.len() < 64
}

/// Zip is the container of many: the names of the first members tell which.
fn zip_kind(content: &[u8]) -> FileKind {
    let head = content.get(..(8 * HEAD_OCTETS).min(content.len())).unwrap_or_default();
    let holds = |name: &[u8]| memmem::find(head, name).is_some();
    if holds(b"[Content_Types].xml") || holds(b"_rels/.rels") {
        return FileKind::Ooxml;
    }
    if holds(b"mimetypeapplication/vnd.oasis.opendocument") {
        return FileKind::Odf;
    }
    if holds(b"AndroidManifest.xml") {
        return FileKind::Apk;
    }
    let first = content.get(30..39).unwrap_or_default();
    if first == b"META-INF/" { FileKind::Jar } else { FileKind::Zip }
}

fn text_kind(head: &[u8]) -> Option<FileKind> {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let begins = |text: &str| head.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text.as_bytes()));
    if let Some((_, kind)) = TEXT_MAGIC.iter().find(|(text, _)| begins(text)) {
        return Some(*kind);
    }
    let holds = |text: &[u8]| memmem::find(&head.to_ascii_lowercase(), text).is_some();
    if begins("<?xml") || begins("<!--") {
        return match (holds(b"<svg"), holds(b"<html")) {
            (true, _) => Some(FileKind::Svg),
            (_, true) => Some(FileKind::Html),
            _ => begins("<?xml").then_some(FileKind::Xml),
        };
    }
    None
}

/// What files called so do when they are opened. Lower case, without dot.
pub(crate) fn class_of_extension(extension: &str) -> Option<FileClass> {
    const CLASSES: &[(FileClass, &str)] = &[
        (
            FileClass::Executable,
            " exe scr pif com bat cmd cpl msi msp mst msc dll ocx sys drv jar js jse vbs vbe vb wsf wsh wsc sct hta ps1 psm1 \
             ps1xml psc1 lnk url scf inf reg chm hlp jnlp apk app dmg pkg deb rpm run sh bash ksh csh bin elf py pl php xll wll \
             application appref-ms gadget msix appx msixbundle library-ms search-ms settingcontent-ms diagcab theme themepack \
             vbscript action ade adp mde class swf desktop website webloc ",
        ),
        (
            FileClass::Archive,
            " zip rar 7z gz tgz bz2 tbz2 xz txz zst z cab tar ace arj lha lzh iso img udf vhd vhdx wim daa uue r00 r01 001 \
             lz lzma cpio ",
        ),
        (
            FileClass::Document,
            " pdf doc docx docm dot dotx dotm xls xlsx xlsm xlsb xlt xltx xltm xlam ppt pptx pptm pps ppsx ppsm pot potx potm \
             rtf odt ods odp odg one onepkg pub vsd vsdx mdb accdb ps eps xps wps msg epub pages numbers key ",
        ),
        (FileClass::Image, " jpg jpeg jpe jfif png gif bmp webp tif tiff ico psd heic heif avif "),
        (FileClass::Media, " mp3 mp4 m4a m4v mov avi wav ogg oga ogv flac mkv webm wma wmv mpg mpeg aac amr 3gp "),
        (FileClass::Markup, " html htm shtml xhtml xht mht mhtml svg svgz xml xsl "),
        (FileClass::Text, " txt csv tsv log ics vcf md json ini asc diff patch "),
        (FileClass::Mail, " eml dat "),
    ];
    if extension.is_empty() || extension.contains(' ') {
        return None;
    }
    let padded = format!(" {extension} ");
    CLASSES.iter().find(|(_, extensions)| extensions.contains(&padded)).map(|(class, _)| *class)
}

/// What a declared type promises; `None` where it promises nothing (`application/octet-stream`).
pub(crate) fn class_of_type(essence: &str) -> Option<FileClass> {
    match essence {
        "image/svg+xml" | "text/html" | "text/xml" | "application/xml" | "application/xhtml+xml" => {
            Some(FileClass::Markup)
        }
        "application/pdf" | "application/rtf" | "text/rtf" | "application/msword" | "application/postscript" => {
            Some(FileClass::Document)
        }
        "application/zip"
        | "application/x-zip-compressed"
        | "application/gzip"
        | "application/x-gzip"
        | "application/x-tar"
        | "application/x-rar-compressed"
        | "application/vnd.rar"
        | "application/x-7z-compressed" => Some(FileClass::Archive),
        "application/x-msdownload"
        | "application/x-msdos-program"
        | "application/x-executable"
        | "application/java-archive"
        | "application/javascript"
        | "text/javascript"
        | "application/x-sh" => Some(FileClass::Executable),
        "application/ms-tnef" | "application/vnd.ms-tnef" => Some(FileClass::Mail),
        _ if essence.starts_with("application/vnd.openxmlformats-officedocument") => Some(FileClass::Document),
        _ if essence.starts_with("application/vnd.oasis.opendocument") => Some(FileClass::Document),
        _ if essence.starts_with("application/vnd.ms-") => Some(FileClass::Document),
        _ => match essence.split_once('/')?.0 {
            "image" => Some(FileClass::Image),
            "audio" | "video" => Some(FileClass::Media),
            "text" => Some(FileClass::Text),
            "message" => Some(FileClass::Mail),
            _ => None,
        },
    }
}

/// Whether a file of `kind` may come with a name or type that promises `promised`.
pub(crate) fn is_as_promised(kind: FileKind, promised: FileClass) -> bool {
    let is_zip = matches!(kind, FileKind::Zip | FileKind::Ooxml | FileKind::Odf | FileKind::Jar | FileKind::Apk);
    match (kind.class(), promised) {
        (class, promised) if class == promised => true,
        // Packed office files are archives; which kind cannot always be told from the beginning.
        (FileClass::Archive | FileClass::Document, FileClass::Archive | FileClass::Document) => is_zip,
        // Programs and installers are archives as well, and `.msi` is a compound file. The extension says enough.
        (FileClass::Archive | FileClass::Document | FileClass::Markup | FileClass::Text, FileClass::Executable) => true,
        (FileClass::Markup, FileClass::Text) => kind != FileKind::Html,
        (FileClass::Text, FileClass::Markup | FileClass::Mail) => true,
        // `.dat` may be anything.
        (_, FileClass::Mail) => true,
        (FileClass::Document, FileClass::Text) => kind == FileKind::Rtf,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_by_their_beginning() {
        for (content, kind) in [
            (&b"%PDF-1.7"[..], Some(FileKind::Pdf)),
            (b"\xef\xbb\xbf  <!DOCTYPE HTML>", Some(FileKind::Html)),
            (b"<?xml version='1.0'?><svg>", Some(FileKind::Svg)),
            (b"MZ\x90\0\x03\0\0\0", Some(FileKind::Exe)),
            (b"MZ is how this text of more than sixty-four letters begins, and it is nothing but text.", None),
            (
                b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x13\0\0\0[Content_Types].xml",
                Some(FileKind::Ooxml),
            ),
            (b"PK\x03\x04", Some(FileKind::Zip)),
            (b"Hello", None),
            (b"", None),
        ] {
            assert_eq!(FileKind::sniff(content), kind, "{:?}", String::from_utf8_lossy(content));
        }
    }

    #[test]
    fn promises_are_kept_or_not() {
        assert!(!is_as_promised(FileKind::Exe, FileClass::Image));
        assert!(!is_as_promised(FileKind::Html, FileClass::Document));
        assert!(is_as_promised(FileKind::Zip, FileClass::Document));
        assert!(!is_as_promised(FileKind::Rar, FileClass::Document));
        assert!(is_as_promised(FileKind::Png, FileClass::Image));
        assert_eq!(class_of_extension("exe"), Some(FileClass::Executable));
        assert_eq!(class_of_extension("ex"), None);
    }
}
