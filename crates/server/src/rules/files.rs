//! Which files `[rules] files` means now, and whether they changed.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Config;

/// Files that one entry may stand for.
const FILES_MAX: usize = 2000;

/// When each file was changed last and what it is: another file, another text or none gives other stamps. Of the folder of a pattern only
/// whether it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamps(Vec<(PathBuf, Option<Stamp>)>);

/// Change time in seconds and nanoseconds, inode and length.
type Stamp = (i64, i64, u64, u64);

impl Stamps {
    /// The files that `config` means now, and those that they included.
    pub fn of(config: &Config, included: &[PathBuf]) -> Stamps {
        let found = if config.enabled { found(config).0 } else { Vec::new() };
        let files = found.into_iter().chain(included.iter().cloned()).map(|path| (path.clone(), stamp(&path)));
        let folders = config
            .files
            .iter()
            .filter_map(|entry| pattern(entry))
            .map(|(folder, ..)| (folder.to_owned(), folder.is_dir().then_some(Stamp::default())));
        Stamps(files.chain(folders).collect())
    }
}

/// Folders that are gone with all that was read from them: files that somebody deletes one by one are meant to go, but a folder may be a
/// mount or a release that is being replaced.
pub(super) fn folders_gone(former: &[String], present: &[String]) -> Vec<String> {
    let mut gone: BTreeMap<&Path, usize> = BTreeMap::new();
    for name in former.iter().filter(|name| !present.contains(name)) {
        // Names of built-in files are no paths.
        if let Some(folder) = Path::new(name).parent().filter(|folder| folder.is_absolute() && !folder.is_dir()) {
            *gone.entry(folder).or_default() += 1;
        }
    }
    let told = |(folder, files): (&Path, usize)| {
        format!(
            "{}: the folder is gone, with {files} rule files; if that is meant, make an empty one or take it out of [rules] files",
            folder.display()
        )
    };
    gone.into_iter().map(told).collect()
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.ctime(), metadata.ctime_nsec(), metadata.ino(), metadata.len()))
}

/// Whether a file at `path` is read, or would be if it were there.
pub(crate) fn would_read(config: &Config, path: &Path) -> bool {
    let whole = |path: &Path| path.canonicalize().ok();
    let folder = |path: &Path| match path.parent() {
        Some(parent) if parent != Path::new("") => whole(parent),
        _ => whole(Path::new(".")),
    };
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
    config.files.iter().map(Path::new).any(|entry| {
        let entry_name = entry.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_beside = folder(entry).is_some() && folder(entry) == folder(path);
        match entry_name.split_once('*') {
            Some((front, back)) => is_beside && fits(name, front, back),
            None if entry.is_dir() => whole(entry) == folder(path) && is_rule_file(name),
            None => is_beside && entry_name == name,
        }
    })
}

/// Hidden files are meant only by who says so, as in a shell: editors leave links such as `.#local.cf`, which lead nowhere.
fn fits(name: &str, front: &str, back: &str) -> bool {
    let is_hidden = name.starts_with('.') && !front.starts_with('.');
    !is_hidden && name.len() >= front.len() + back.len() && name.starts_with(front) && name.ends_with(back)
}

fn is_rule_file(name: &str) -> bool {
    !name.starts_with('.') && [".cf", ".pre"].iter().any(|ending| name.ends_with(ending))
}

/// The files in the order in which they are read, and entries that lead to none.
pub(super) fn found(config: &Config) -> (Vec<PathBuf>, Vec<String>) {
    let (mut files, mut missing) = (Vec::new(), Vec::new());
    for entry in &config.files {
        match of_entry(entry) {
            Ok(found) => files.extend(found.into_iter().take(FILES_MAX)),
            Err(error) => missing.push(format!("{entry}: {error}")),
        }
    }
    (plugins_first(files), missing)
}

/// `.pre` files before all others, since they say what is loaded.
pub(super) fn plugins_first(files: Vec<PathBuf>) -> Vec<PathBuf> {
    let (first, then): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| has_ending(file, "pre"));
    [first, then].concat()
}

fn of_entry(entry: &str) -> std::io::Result<Vec<PathBuf>> {
    if let Some((folder, front, back)) = pattern(entry) {
        // A folder of one's own rules need not be there.
        return match in_folder(folder, |name| fits(name, front, back)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            listed => listed,
        };
    }
    of_path(Path::new(entry))
}

/// The folder of a pattern, and what stands before and behind its `*`; `None` for what is no pattern.
fn pattern(entry: &str) -> Option<(&Path, &str, &str)> {
    let path = Path::new(entry);
    let (front, back) = path.file_name()?.to_str()?.split_once('*')?;
    Some((path.parent().unwrap_or(Path::new(".")), front, back))
}

/// A file as it is; of a folder its `.pre` and `.cf` files by name.
pub(super) fn of_path(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if std::fs::metadata(path)?.is_dir() {
        return in_folder(path, is_rule_file);
    }
    Ok(vec![path.to_owned()])
}

/// All that has such a name. What is no file, or a link to nothing, is told of when it is to be read: its rules must not just vanish.
fn in_folder(folder: &Path, fits: impl Fn(&str) -> bool) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_name().and_then(|name| name.to_str()).is_some_and(&fits) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|extension| extension == ending)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_come_first_then_entries_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a/20_b.cf", "a/10_a.cf", "b/v.pre", "b/note.txt", "b/local.cf"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, name).unwrap();
        }
        let entry = |name: &str| folder.path().join(name).display().to_string();
        let files = vec![entry("a/*.cf"), entry("b"), entry("none/*.cf"), entry("none.cf")];
        let (found, missing) = found(&Config { files, ..Config::default() });
        let names: Vec<_> =
            found.iter().map(|path| path.strip_prefix(folder.path()).unwrap().display().to_string()).collect();
        assert_eq!(names, ["b/v.pre", "a/10_a.cf", "a/20_b.cf", "b/local.cf"]);
        assert_eq!(missing.len(), 1, "{missing:?}");
    }

    /// Who names a folder by hand and finds nothing in it has named the wrong one.
    #[test]
    fn a_folder_named_by_hand_must_hold_rules() {
        let folder = tempfile::tempdir().unwrap();
        let named = || crate::rules::read_named(&[folder.path().to_owned()]);
        assert!(named().unwrap_err().to_string().ends_with("holds no .cf or .pre file"));
        std::fs::write(folder.path().join("a.cf"), "").unwrap();
        assert_eq!(named().unwrap().len(), 1);
        let from = folder.path().join("b.cf").display().to_string();
        assert!(crate::rules::included("a.cf", &from).1.is_ok() && crate::rules::included("c.cf", &from).1.is_err());
    }

    #[test]
    fn what_would_be_read_is_known_before_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("whole")).unwrap();
        let at = |name: &str| folder.path().join(name);
        let files = ["own_*.cf", "whole", "local.cf"].map(|name| at(name).display().to_string()).to_vec();
        let config = Config { files, ..Config::default() };
        for (name, is_read) in [
            ("own_new.cf", true),
            ("own.cf", false),
            ("whole/new.cf", true),
            ("whole/../whole/new.cf", true),
            ("whole/new.txt", false),
            ("local.cf", true),
            ("other.cf", false),
        ] {
            assert_eq!(would_read(&config, &at(name)), is_read, "{name}");
        }
    }

    /// A link whose target is gone for a moment must not take its rules along without a word.
    #[test]
    fn what_has_the_name_of_a_rule_file_and_is_none_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let link = |to: &str, name: &str| std::os::unix::fs::symlink(at(to), at(name)).unwrap();
        std::fs::write(at("a.cf"), "body A /aaa/").unwrap();
        std::fs::write(at(".hidden.cf"), "body HIDDEN /(/").unwrap();
        link("nowhere", "gone.cf");
        link("user@host.4711", ".#a.cf");
        std::fs::create_dir(at("folder.cf")).unwrap();
        for entry in ["*.cf", ""] {
            let config = Config { files: vec![at(entry).display().to_string()], ..Config::default() };
            let (sources, errors) = crate::rules::read(&config);
            assert_eq!(sources.iter().filter(|source| source.name.starts_with('/')).count(), 1, "{entry}");
            assert_eq!(errors.len(), 2, "{errors:?}");
            assert!(errors[0].contains("folder.cf: it is a folder") && errors[1].contains("gone.cf: No such file"));
        }
    }

    /// A mount that is away for a moment, or a release that is being replaced, takes no rule along.
    #[test]
    fn a_folder_that_is_gone_is_told_but_not_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("rules")).unwrap();
        ["a.cf", "b.cf"].iter().for_each(|name| std::fs::write(at("rules").join(name), "").unwrap());
        let config = Config { files: vec![at("rules/*.cf").display().to_string()], ..Config::default() };
        let names = || crate::rules::read(&config).0.into_iter().map(|source| source.name).collect::<Vec<_>>();
        let former = names();
        std::fs::remove_file(at("rules/a.cf")).unwrap();
        assert_eq!(folders_gone(&former, &names()), Vec::<String>::new());
        let with_folder = Stamps::of(&config, &[]);
        std::fs::remove_dir_all(at("rules")).unwrap();
        let gone = folders_gone(&former, &names());
        assert!(gone.len() == 1 && gone[0].contains("/rules: the folder is gone, with 2 rule files"), "{gone:?}");
        let without = Stamps::of(&config, &[]);
        std::fs::create_dir(at("rules")).unwrap();
        assert!(without != with_folder && without != Stamps::of(&config, &[]), "an empty folder is a change");
        assert_eq!(folders_gone(&former, &names()), Vec::<String>::new());
    }

    #[test]
    fn a_file_of_the_same_length_in_the_same_place_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("local.cf");
        let config = Config { files: vec![folder.path().display().to_string()], ..Config::default() };
        std::fs::write(&path, "a").unwrap();
        let before = Stamps::of(&config, &[]);
        assert_eq!(before, Stamps::of(&config, &[]));
        std::fs::write(folder.path().join("new"), "b").unwrap();
        std::fs::rename(folder.path().join("new"), &path).unwrap();
        assert_ne!(before, Stamps::of(&config, &[]));
    }
}
