//! Copies of every file that an installation touches, with checksums, so that all of it can be put back byte for byte.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::layout::without_ours;
use super::{Plan, blocks};

const MANIFEST: &str = "manifest.json";

/// What was there before an installation.
#[derive(Debug, Serialize, Deserialize)]
pub struct Snapshot {
    #[serde(skip)]
    folder: PathBuf,
    root: PathBuf,
    files: Vec<Kept>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    path: PathBuf,
    /// Name of the copy; `None` if there was no such file.
    copy: Option<String>,
    mode: u32,
    uid: u32,
    gid: u32,
    /// What the installation wrote, so that later edits by others are noticed.
    written: String,
}

impl Snapshot {
    /// Copies what `plan` will touch into a new folder below `snapshots`.
    ///
    /// # Errors
    /// A file cannot be read, or the copy cannot be written.
    pub fn take(plan: &Plan, snapshots: &Path) -> anyhow::Result<Snapshot> {
        let folder = snapshots.join(jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%.fZ").to_string());
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        let mut files = Vec::new();
        for (number, change) in plan.changes.iter().enumerate() {
            let path = plan.place(&change.path);
            let kept = match fs::metadata(&path) {
                Ok(metadata) => {
                    let copy = format!("{number:03}");
                    write_file(&folder.join(&copy), &fs::read(&path)?)?;
                    let (mode, uid, gid) = (metadata.mode(), metadata.uid(), metadata.gid());
                    Kept { path, copy: Some(copy), mode, uid, gid, written: change.text.clone() }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    Kept { path, copy: None, mode: 0, uid: 0, gid: 0, written: change.text.clone() }
                }
                Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
            };
            files.push(kept);
        }
        let snapshot = Snapshot { folder, root: plan.root.clone(), files };
        write_file(&snapshot.folder.join(MANIFEST), &serde_json::to_vec_pretty(&snapshot)?)?;
        Ok(snapshot)
    }

    /// The oldest snapshot below `snapshots` of an installation in `root`: what was there before Tidegate came.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn first(snapshots: &Path, root: &Path) -> anyhow::Result<Snapshot> {
        let first = Snapshot::all(snapshots, root)?.into_iter().next();
        first.with_context(|| format!("no snapshot of {} in {}", root.display(), snapshots.display()))
    }

    /// All snapshots of installations in `root`, oldest first. Those of a rehearsal elsewhere are another matter.
    fn all(snapshots: &Path, root: &Path) -> anyhow::Result<Vec<Snapshot>> {
        let entries = fs::read_dir(snapshots).with_context(|| format!("no snapshot in {}", snapshots.display()))?;
        let mut folders: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        folders.retain(|folder| folder.join(MANIFEST).exists());
        folders.sort();
        let mut all = Vec::new();
        for folder in folders {
            let mut snapshot: Snapshot = serde_json::from_slice(&fs::read(folder.join(MANIFEST))?)?;
            snapshot.folder = folder;
            if snapshot.root == root {
                all.push(snapshot);
            }
        }
        Ok(all)
    }

    /// Puts every file back as it was before the first installation in `root` that touched it: later ones may touch more.
    ///
    /// # Errors
    /// There is no snapshot, or a file cannot be written.
    pub fn restore_all(snapshots: &Path, root: &Path) -> anyhow::Result<()> {
        let mut first = Snapshot::first(snapshots, root)?;
        first.restore()?;
        for mut later in Snapshot::all(snapshots, root)?.into_iter().skip(1) {
            later.files.retain(|kept| !first.files.iter().any(|earlier| earlier.path == kept.path));
            later.restore()?;
            first.files.append(&mut later.files);
        }
        Ok(())
    }

    /// Where the copies lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Puts every file back: byte for byte where nobody else changed it since, and otherwise without our blocks.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn restore(&self) -> anyhow::Result<()> {
        for kept in &self.files {
            let present = match fs::read_to_string(&kept.path) {
                Ok(present) => present,
                Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
                Err(error) => return Err(error).with_context(|| format!("cannot read {}", kept.path.display())),
            };
            match &kept.copy {
                None => {
                    remove(&kept.path)?;
                    remove_empty_folders(&kept.path);
                }
                Some(copy) if present == kept.written || !present.contains("tidegate") => {
                    write_file(&kept.path, &fs::read(self.folder.join(copy))?)?;
                    fs::set_permissions(&kept.path, fs::Permissions::from_mode(kept.mode & 0o7777))?;
                    std::os::unix::fs::chown(&kept.path, Some(kept.uid), Some(kept.gid))?;
                }
                Some(copy) => {
                    let former = fs::read_to_string(self.folder.join(copy))?;
                    let others = without_ours(&kept.path, &present);
                    write_file(&kept.path, blocks::without_settings(&others, &kept.written, &former).as_bytes())?;
                }
            }
        }
        Ok(())
    }

    /// Forgets all snapshots of installations in `root`, after the files were put back.
    ///
    /// # Errors
    /// A folder cannot be removed.
    pub fn forget_all(snapshots: &Path, root: &Path) -> anyhow::Result<()> {
        for snapshot in Snapshot::all(snapshots, root)? {
            fs::remove_dir_all(&snapshot.folder)?;
        }
        // Only if nothing is left in it.
        let _ = fs::remove_dir(snapshots);
        Ok(())
    }
}

fn remove(path: &Path) -> anyhow::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Removes the folders of ours that `path` was the last file of.
fn remove_empty_folders(path: &Path) {
    let ours =
        path.ancestors().skip(1).take_while(|folder| folder.components().any(|part| part.as_os_str() == "tidegate"));
    for folder in ours {
        // Fails while something is left in it, as it should.
        let _ = fs::remove_dir(folder);
    }
}

/// Writes a file as one step, durably. A file that is there keeps its owner and mode; a new one is readable by all, as
/// Exim's configuration is.
pub(super) fn write_file(path: &Path, text: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().context("a file lies in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    // A link stays one: what it points to is written.
    let path = fs::canonicalize(path).unwrap_or_else(|_new| path.to_owned());
    let mut name = path.file_name().context("a file has a name")?.to_owned();
    name.push(".tidegate-new");
    let fresh = path.with_file_name(name);
    let mut file = File::create(&fresh).with_context(|| format!("cannot write {}; are you root?", fresh.display()))?;
    if let Ok(former) = fs::metadata(&path) {
        // There may be passwords in it, so first who may read it, then what is in it.
        file.set_permissions(fs::Permissions::from_mode(former.mode() & 0o7777))?;
        std::os::unix::fs::fchown(&file, Some(former.uid()), Some(former.gid()))?;
    }
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&fresh, &path)?;
    Ok(())
}
