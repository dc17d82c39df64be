//! The shared test material: rule files, corpora, what SpamAssassin said of them. Absent outside the developers' machines.
#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]
#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "tests read files, and a broken archive may panic"
)]

pub mod golden;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

use tidegate_rules::language::source::SourceFile;

/// The folder of the material; `None` after a line that says so.
pub fn folder(test: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("TIDEGATE_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let folder = shared.join("material");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: {test}: shared material is absent");
    None
}

/// The files of a `.tar.gz`, name and content, in the order of the archive.
pub fn archive(path: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let mut tar = Vec::new();
    let file = std::fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    flate2::read::GzDecoder::new(file).read_to_end(&mut tar).expect("the archive is whole");
    let mut files = Vec::new();
    let mut long_name = None;
    let mut at = 0;
    while at + 512 <= tar.len() && tar[at] != 0 {
        let header = &tar[at..at + 512];
        let text = |range: std::ops::Range<usize>| {
            let field = &header[range];
            String::from_utf8_lossy(&field[..field.iter().position(|b| *b == 0).unwrap_or(field.len())]).into_owned()
        };
        let size = usize::from_str_radix(text(124..136).trim(), 8).expect("an octal size");
        let content = tar[at + 512..at + 512 + size].to_vec();
        let prefix = text(345..500);
        let name = if prefix.is_empty() || &header[257..262] != b"ustar" || header[262] == b' ' {
            text(0..100)
        } else {
            format!("{prefix}/{}", text(0..100))
        };
        match header[156] {
            b'L' => long_name = Some(String::from_utf8_lossy(&content).trim_end_matches('\0').to_owned()),
            b'x' => long_name = pax_path(&content).or(long_name),
            b'0' | 0 => files.push((long_name.take().unwrap_or(name), content)),
            _ => long_name = None,
        }
        at += 512 + size.div_ceil(512) * 512;
    }
    files
}

fn pax_path(records: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(records);
    text.lines().find_map(|line| line.split_once(" path=").map(|(_, path)| path.to_owned()))
}

/// The lines of a `.gz`.
pub fn gz_lines(path: &std::path::Path) -> Vec<String> {
    let mut text = Vec::new();
    let file = std::fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    flate2::read::GzDecoder::new(file).read_to_end(&mut text).expect("the file is whole");
    String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
}

/// The stock rules in the order in which SpamAssassin reads them: plugins, rules by name, then the configuration of the golden runs.
pub fn stock_rules(material: &std::path::Path) -> Vec<SourceFile> {
    let mut files = rule_files(&material.join("rules/spamassassin-4.0.1.tar.gz"));
    files.sort_by_key(|file| (!file.name.ends_with(".pre"), file.name.clone()));
    files.push(SourceFile {
        name: "golden.cf".to_owned(),
        text: b"required_score 5\nuse_bayes 0\nskip_rbl_checks 1\ntrusted_networks 127.0.0.1\ninternal_networks 127.0.0.1\nmime_encoding_checks 0\n".to_vec(),
    });
    files
}

/// The KAM rules, by name.
pub fn kam_rules(material: &std::path::Path) -> Vec<SourceFile> {
    let mut files = rule_files(&material.join("rules/kam-2026-08.tar.gz"));
    files.sort_by_key(|file| file.name.clone());
    files
}

fn rule_files(path: &std::path::Path) -> Vec<SourceFile> {
    let wanted = |name: &str| name.ends_with(".cf") || name.ends_with(".pre");
    archive(path).into_iter().filter(|(name, _)| wanted(name)).map(|(name, text)| SourceFile { name, text }).collect()
}

/// A corpus: path to message.
pub fn corpus(material: &std::path::Path, name: &str) -> BTreeMap<String, Vec<u8>> {
    let prefix = format!("{name}/");
    archive(&material.join(format!("corpus/{name}.tar.gz")))
        .into_iter()
        .map(|(path, text)| (path.strip_prefix(&prefix).unwrap_or(&path).to_owned(), text))
        .collect()
}
