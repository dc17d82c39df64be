//! Ties Tidegate into an Exim that is there already: plans the changes for the layout it finds, takes a snapshot, proves the result
//! with Exim itself, restarts once, and puts every file back byte for byte when something is wrong.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tidegate_filter::settings::Deadlines;

use crate::frontends::exim;

mod blocks;
mod events;
mod layout;
mod options;
mod proof;
mod snapshot;

pub use layout::Layout;
pub use snapshot::Snapshot;

/// The pieces of configuration, with the names by which they include each other.
pub const PIECES: [(&str, &str); 12] = [
    ("main.conf", include_str!("../../../packaging/exim/main.conf")),
    ("acls.conf", include_str!("../../../packaging/exim/acls.conf")),
    ("connect.conf", include_str!("../../../packaging/exim/connect.conf")),
    ("helo.conf", include_str!("../../../packaging/exim/helo.conf")),
    ("auth.conf", include_str!("../../../packaging/exim/auth.conf")),
    ("mail.conf", include_str!("../../../packaging/exim/mail.conf")),
    ("rcpt.conf", include_str!("../../../packaging/exim/rcpt.conf")),
    ("data.conf", include_str!("../../../packaging/exim/data.conf")),
    ("not_smtp.conf", include_str!("../../../packaging/exim/not_smtp.conf")),
    ("quit.conf", include_str!("../../../packaging/exim/quit.conf")),
    ("notquit.conf", include_str!("../../../packaging/exim/notquit.conf")),
    ("router.conf", include_str!("../../../packaging/exim/router.conf")),
];

/// Where the pieces lie on a server.
pub const PIECES_FOLDER: &str = "/etc/tidegate/exim";

/// A file as it shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The file, as Exim names it (below `root` in a rehearsal).
    pub path: PathBuf,
    /// What shall stand in it.
    pub text: String,
}

/// What is to be done, where.
pub struct Plan {
    /// The top of the file system; `/` on a real server.
    pub root: PathBuf,
    /// The layout found or chosen.
    pub layout: Layout,
    /// Every file that is made or changed.
    pub changes: Vec<Change>,
    /// What is left as an administrator set it, and what follows from that.
    pub remarks: Vec<String>,
}

impl Plan {
    /// Plans for the layout found below `root`, or for `chosen`.
    ///
    /// # Errors
    /// No known layout is there, or one of its files is not as expected.
    pub fn new(root: &Path, chosen: Option<Layout>, socket: &Path) -> anyhow::Result<Plan> {
        let layout = match chosen {
            Some(layout) => layout,
            None => Layout::find(root).context(
                "no Exim configuration of a known layout is here; name one with --layout, or use `tidegate exim print`",
            )?,
        };
        let pieces = PIECES
            .iter()
            .map(|(name, text)| Change { path: Path::new(PIECES_FOLDER).join(name), text: (*text).to_owned() });
        let mut changes: Vec<Change> = pieces.collect();
        changes.extend(layout.changes(root, socket)?);
        let mut plan = Plan { root: root.to_owned(), layout, changes, remarks: Vec::new() };
        if events::are_in(root, layout) {
            events::add(&mut plan)?;
        }
        Ok(plan)
    }

    /// The same plan, with Exim's own events: Exim tells what became of each message.
    ///
    /// # Errors
    /// This layout has no place for them.
    pub fn with_events(mut self) -> anyhow::Result<Plan> {
        if !events::are_in(&self.root, self.layout) {
            events::add(&mut self)?;
        }
        Ok(self)
    }

    /// Whether it is carried out elsewhere than on this server, where its Exim cannot be asked.
    pub fn is_rehearsal(&self) -> bool {
        self.root != Path::new("/")
    }

    /// `path` below the plan's root.
    pub fn place(&self, path: &Path) -> PathBuf {
        below(&self.root, path)
    }

    /// Carries the plan out: snapshot, files, proof, restart. Whatever fails, every file is put back.
    ///
    /// # Errors
    /// What failed, in Exim's own words; the former state is in place again.
    pub fn carry_out(&self, snapshots: &Path, exim: &Path, restart: bool) -> anyhow::Result<Snapshot> {
        let snapshot = Snapshot::take(self, snapshots)?;
        let done = self.write().and_then(|()| proof::prove(self, exim)).and_then(|()| match restart {
            true => proof::restart(self.layout),
            false => Ok(()),
        });
        let Err(error) = done else { return Ok(snapshot) };
        snapshot.restore().context("the former files could not be put back; they are in the snapshot")?;
        // Where the configuration was broken before we came, it still is; that is not to hide our own error.
        let rebuilt = proof::rebuild(self).err().map(|error| format!("\n(without Tidegate, too: {error:#})"));
        bail!("{error:#}{}\nnothing was changed: every file is as it was before", rebuilt.unwrap_or_default())
    }

    fn write(&self) -> anyhow::Result<()> {
        for change in &self.changes {
            let path = self.place(&change.path);
            snapshot::write_file(&path, change.text.as_bytes())?;
        }
        Ok(())
    }

    /// Whether all that is ours is where this version puts it, and in the file that the panel builds from it.
    ///
    /// # Errors
    /// What is not as it should be.
    pub fn is_in_place(&self) -> anyhow::Result<()> {
        for change in &self.changes {
            let path = self.place(&change.path);
            let present = std::fs::read_to_string(&path).unwrap_or_default();
            let is_whole_ours = layout::without_ours(&change.path, &change.text) == change.text;
            let is_good = present == change.text || !is_whole_ours && blocks::holds(&present, &change.text);
            ensure!(is_good, "{} is not as this version writes it; run `tidegate exim install`", path.display());
        }
        let Some(built) = self.layout.built() else { return Ok(()) };
        let text = std::fs::read_to_string(self.place(built)).unwrap_or_default();
        let is_asked = text.lines().any(|line| options::setting(line, "acl_smtp_rcpt") == Some("tidegate_check_rcpt"));
        ensure!(is_asked, "{} was built without Tidegate; run `tidegate exim install`", built.display());
        Ok(())
    }
}

pub(crate) fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// Whether the pieces of this version are in place and Exim reads them.
///
/// # Errors
/// What differs, or what Exim says.
pub fn check(plan: &Plan, exim: &Path) -> anyhow::Result<()> {
    plan.is_in_place()?;
    proof::prove(plan, exim)
}

/// Whether a Tidegate that was installed is still tied in, as far as this user can tell: what is wrong, in words.
pub fn alarm(socket: &Path, snapshots: &Path) -> Option<String> {
    Snapshot::first(snapshots, Path::new("/")).ok()?;
    let plan = Plan::new(Path::new("/"), None, socket);
    let error = plan.and_then(|plan| plan.is_in_place()).err()?;
    Some(format!("Exim does not ask Tidegate as it should: {error:#}"))
}

/// Where `[exim]` in the configuration does not say what Exim itself says: then its asks are not answered, or its messages not
/// found. Nothing when Exim does not tell.
pub fn contradictions(config: &exim::config::Config) -> Vec<String> {
    let spool = config.spool.to_string_lossy();
    let pairs = [("spool_directory", "spool", spool.as_ref()), ("exim_user", "user", config.user.as_str())];
    let differs = pairs.into_iter().filter_map(|(option, key, ours)| {
        let theirs = proof::setting(&config.program, option)?;
        // A user may be written as a number; which one that is, Exim does not say.
        (theirs != ours && !theirs.is_empty() && ours.parse::<u32>().is_err())
            .then(|| format!("Exim has {option} = {theirs}, but [exim] {key} is {ours:?} in the configuration"))
    });
    differs.collect()
}

/// How long Exim waits for an answer unless its configuration says otherwise: macro, seconds, and the deadline that must end before.
const WAITS: [(&str, u64, &str); 2] =
    [("TIDEGATE_WAIT_ENVELOPE", 3, "envelope_ms"), ("TIDEGATE_WAIT_CONTENT", 20, "data_ms")];
/// What an answer takes besides what it waits for.
const ANSWERING: Duration = Duration::from_millis(250);

/// Deadlines that end when Exim has stopped waiting: all mail that meets one would go on without a verdict.
pub fn late_deadlines(exim: &Path, deadlines: &Deadlines) -> Vec<String> {
    let ours = [deadlines.envelope_ms, deadlines.data_ms];
    let late = WAITS.into_iter().zip(ours).filter_map(|((name, seconds, key), ms)| {
        let waits = proof::wait(exim, name).unwrap_or(Duration::from_secs(seconds));
        (Duration::from_millis(ms) + ANSWERING > waits).then(|| {
            format!(
                "[deadlines] {key} = {ms} is too long: Exim waits {} ms ({name}), and what is answered later goes on without a verdict",
                waits.as_millis()
            )
        })
    });
    late.collect()
}

/// What Exim's log selector lacks of what `tidegate logs` needs; `None` also when Exim does not tell.
pub fn missing_in_log(exim: &Path) -> Option<String> {
    proof::missing_in_log(exim)
}

/// How the pieces are included by a configuration of one's own.
pub const INCLUDE: &str = include_str!("../../../packaging/exim/layouts/include/main.conf");

/// Has Exim use the files as they are now, after they were put back.
///
/// # Errors
/// What Exim says.
pub fn settle(plan: &Plan, exim: &Path, restart: bool) -> anyhow::Result<()> {
    proof::prove(plan, exim)?;
    if restart { proof::restart(plan.layout) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_ends_before_exim_stops_waiting() {
        let late = |envelope_ms, data_ms| late_deadlines(Path::new("/nowhere"), &Deadlines { envelope_ms, data_ms });
        assert_eq!(late_deadlines(Path::new("/nowhere"), &Deadlines::default()), [""; 0]);
        for (envelope_ms, data_ms, named) in [(2800, 15_000, "envelope_ms = 2800"), (1500, 20_000, "data_ms = 20000")] {
            let late = late(envelope_ms, data_ms);
            assert!(late.len() == 1 && late.iter().all(|late| late.contains(named)), "{late:?}");
        }
    }

    #[test]
    fn exim_waits_as_long_as_the_pieces_say() {
        let pieces = include_str!("../../../packaging/exim/main.conf");
        for (name, seconds, _) in WAITS {
            assert!(pieces.contains(&format!("{name} = {seconds}s")), "{name}");
        }
    }
}
