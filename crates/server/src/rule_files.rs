//! Rule files on disk, in the order in which SpamAssassin reads them, and what `include` lines name.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use tidegate_rules::language::source::SourceFile;

/// Largest file that is read as rules.
const FILE_OCTETS_MAX: u64 = 64 << 20;

/// The texts of all files named and of the `.pre` and `.cf` files in all folders named: `.pre` files first, since they say what is loaded,
/// then `.cf` files; those of one folder by name, folders in the order given.
///
/// # Errors
/// A path cannot be read, or a folder holds no rules.
pub fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<SourceFile>> {
    let (mut first, mut then) = (Vec::new(), Vec::new());
    for path in paths {
        for file in files(path)? {
            let into = if has_ending(&file, "pre") { &mut first } else { &mut then };
            into.push(read_file(&file)?);
        }
    }
    first.append(&mut then);
    Ok(first)
}

/// The text that an `include` line in the file `from` names; relative names begin in that file's folder.
#[must_use]
pub fn include(name: &str, from: &str) -> Option<SourceFile> {
    let folder = Path::new(from).parent().unwrap_or(Path::new(""));
    read_file(&folder.join(name)).ok()
}

fn files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let unreadable = || format!("cannot read the folder {}", path.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).with_context(unreadable)? {
        let file = entry.with_context(unreadable)?.path();
        if file.is_file() && (has_ending(&file, "cf") || has_ending(&file, "pre")) {
            files.push(file);
        }
    }
    ensure!(!files.is_empty(), "{} holds no .cf or .pre file", path.display());
    files.sort();
    Ok(files)
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|extension| extension == ending)
}

fn read_file(path: &Path) -> anyhow::Result<SourceFile> {
    let unreadable = || format!("cannot read {}", path.display());
    let octets = std::fs::metadata(path).with_context(unreadable)?.len();
    ensure!(octets <= FILE_OCTETS_MAX, "{} is larger than {FILE_OCTETS_MAX} octets", path.display());
    let text = std::fs::read(path).with_context(unreadable)?;
    Ok(SourceFile { name: path.display().to_string(), text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_come_first_then_rules_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a/20_b.cf", "a/10_a.cf", "b/v.pre", "b/note.txt", "b/local.cf"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, name).unwrap();
        }
        let paths = [folder.path().join("a"), folder.path().join("b")];
        let texts: Vec<String> =
            read(&paths).unwrap().into_iter().map(|file| String::from_utf8(file.text).unwrap()).collect();
        assert_eq!(texts, ["b/v.pre", "a/10_a.cf", "a/20_b.cf", "b/local.cf"]);
        let from = folder.path().join("a/10_a.cf").display().to_string();
        assert_eq!(include("../b/local.cf", &from).unwrap().text, b"b/local.cf");
        assert!(include("missing.cf", &from).is_none());
        std::fs::create_dir(folder.path().join("empty")).unwrap();
        assert!(read(&[folder.path().join("empty")]).is_err());
    }
}
