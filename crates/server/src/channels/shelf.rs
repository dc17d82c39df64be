//! The versions of one channel on disk. `current` is a link to the enabled one, `previous` to the one before: a link is changed at once or not
//! at all, so that whoever reads `current` sees one whole version.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::Error;

const CURRENT: &str = "current";
const PREVIOUS: &str = "previous";
/// The version that a person went back from.
const REVERTED: &str = "reverted";
/// Where an archive lies while it is checked.
const INCOMING: &str = "incoming";

/// How often the lock is tried. Whoever goes back a version holds it for a moment, and so does a program that is just being started
/// elsewhere in this process, until it has closed the files that are not its own.
const LOCK_TRIES: u32 = 40;
/// How long is waited between two tries.
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// The folder of one channel.
#[derive(Clone, Debug)]
pub struct Shelf {
    folder: PathBuf,
}

impl Shelf {
    /// The shelf in `folder`, which is made when something is put there.
    #[must_use]
    pub fn new(folder: PathBuf) -> Shelf {
        Shelf { folder }
    }

    /// The folder whose rules are enabled; to be named in `[rules] files`.
    #[must_use]
    pub fn current(&self) -> PathBuf {
        self.folder.join(CURRENT)
    }

    /// The enabled version.
    ///
    /// # Errors
    /// The link cannot be read.
    pub fn enabled(&self) -> Result<Option<u64>, Error> {
        self.version(CURRENT)
    }

    /// Goes back to the version before; the one that was enabled is not enabled again by an update.
    ///
    /// # Errors
    /// There is none, or the disk does not do it.
    pub fn revert(&self) -> Result<(u64, u64), Error> {
        let _lock = self.lock()?;
        let (from, to) = match (self.enabled()?, self.version(PREVIOUS)?) {
            (Some(from), Some(to)) if from != to => (from, to),
            _ => return Err(Error::Local(format!("{} keeps no version before this one", self.folder.display()))),
        };
        self.write(REVERTED, from.to_string().as_bytes())?;
        self.point(CURRENT, to)?;
        Ok((from, to))
    }

    /// Keeps others out until the answer is dropped.
    pub(super) fn lock(&self) -> Result<File, Error> {
        fs::create_dir_all(&self.folder).map_err(|error| self.trouble("cannot be made", &error))?;
        let file = File::create(self.folder.join("lock")).map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied => {
                self.trouble("cannot be locked; it must belong to the daemon's user", &error)
            }
            _ => self.trouble("cannot be locked", &error),
        })?;
        for _ in 0..LOCK_TRIES {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(file),
                Err(Errno::WOULDBLOCK) => thread::sleep(LOCK_PAUSE),
                Err(error) => return Err(self.trouble("cannot be locked", &error.into())),
            }
        }
        let held = "is being updated by somebody else; try again when that has ended";
        Err(Error::Local(format!("{} {held}", self.folder.display())))
    }

    pub(super) fn is_reverted(&self, version: u64) -> Result<bool, Error> {
        match fs::read_to_string(self.folder.join(REVERTED)) {
            Ok(text) => Ok(text.trim() == version.to_string()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.trouble("cannot be read", &error)),
        }
    }

    /// An empty folder for files that are not trusted yet.
    pub(super) fn workplace(&self) -> Result<PathBuf, Error> {
        let folder = self.folder.join(INCOMING);
        self.remove(&folder)?;
        fs::create_dir_all(&folder).map_err(|error| self.trouble("cannot be written", &error))?;
        fs::canonicalize(&folder).map_err(|error| self.trouble("cannot be read", &error))
    }

    /// Writes the files of `version`, then enables it, then removes what is neither enabled nor the one before.
    pub(super) fn enable(&self, version: u64, files: &[(String, Vec<u8>)]) -> Result<(), Error> {
        let fresh = self.folder.join(format!("{version}.new"));
        let target = self.folder.join(version.to_string());
        self.remove(&fresh)?;
        fs::create_dir_all(&fresh).map_err(|error| self.trouble("cannot be written", &error))?;
        for (name, content) in files {
            write_synced(&fresh.join(name), content).map_err(|error| self.trouble("cannot be written", &error))?;
        }
        sync_folder(&fresh).map_err(|error| self.trouble("cannot be written", &error))?;
        self.remove(&target)?;
        fs::rename(&fresh, &target).map_err(|error| self.trouble("cannot be written", &error))?;
        let former = self.enabled()?;
        if let Some(former) = former {
            self.point(PREVIOUS, former)?;
        }
        self.point(CURRENT, version)?;
        self.remove(&self.folder.join(INCOMING))?;
        self.tidy_up(version, former)
    }

    fn version(&self, link: &str) -> Result<Option<u64>, Error> {
        match fs::read_link(self.folder.join(link)) {
            Ok(target) => Ok(target.to_str().and_then(|name| name.parse().ok())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.trouble("cannot be read", &error)),
        }
    }

    /// Makes `link` lead to `version`, in one step.
    fn point(&self, link: &str, version: u64) -> Result<(), Error> {
        let fresh = self.folder.join(format!("{link}.new"));
        let changed = match fs::remove_file(&fresh) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => symlink(version.to_string(), &fresh)
                .and_then(|()| fs::rename(&fresh, self.folder.join(link)))
                .and_then(|()| sync_folder(&self.folder)),
        };
        changed.map_err(|error| self.trouble("cannot be changed", &error))
    }

    fn tidy_up(&self, enabled: u64, former: Option<u64>) -> Result<(), Error> {
        let entries = fs::read_dir(&self.folder).map_err(|error| self.trouble("cannot be read", &error))?;
        for entry in entries.flatten() {
            let version = entry.file_name().to_str().and_then(|name| name.parse::<u64>().ok());
            if version.is_some_and(|version| version != enabled && Some(version) != former) {
                self.remove(&entry.path())?;
            }
        }
        Ok(())
    }

    fn remove(&self, folder: &Path) -> Result<(), Error> {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(self.trouble("cannot be cleared", &error)),
            _ => Ok(()),
        }
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<(), Error> {
        write_synced(&self.folder.join(name), content).map_err(|error| self.trouble("cannot be written", &error))
    }

    fn trouble(&self, what: &str, error: &std::io::Error) -> Error {
        Error::Local(format!("{} {what}: {error}", self.folder.display()))
    }
}

fn write_synced(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_while_another_is_at_it_waits_for_a_moment_and_then_says_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let shelf = Shelf::new(folder.path().to_owned());
        let held = shelf.lock().expect("nobody else is there");
        let other = shelf.clone();
        let waiting = thread::spawn(move || other.lock().is_ok());
        thread::sleep(LOCK_PAUSE * 2);
        drop(held);
        assert!(waiting.join().expect("no panic"), "the lock came free in time");

        let _held = shelf.lock().expect("nobody else is there");
        let refused = shelf.lock().expect_err("the lock is held").to_string();
        assert!(refused.contains("is being updated by somebody else"), "{refused}");
    }
}
