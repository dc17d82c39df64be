//! `tidegate exim print|install|check|uninstall`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::Ended;
use crate::config::Config;
use crate::installer::{self, Layout, PIECES, Plan, Snapshot};

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Prints every piece of configuration with the place it belongs to; changes nothing.
    Print(Where),
    /// Ties Tidegate into Exim: snapshot, files, proof by Exim itself, one restart. Puts everything back if one step fails.
    Install {
        #[command(flatten)]
        place: Where,
        /// Have Exim tell what became of each message (`event_action`), also where no log is read. This adds a setting to each
        /// transport. Once installed, it stays with later installations.
        #[arg(long)]
        events: bool,
        /// Show what would be written, and write nothing.
        #[arg(long)]
        dry_run: bool,
        /// Leave Exim running as it is; the new configuration holds from its next start on.
        #[arg(long)]
        no_restart: bool,
    },
    /// Says whether this version's pieces are in place and Exim reads them.
    Check(Where),
    /// Puts every file back as it was before Tidegate came.
    Uninstall {
        #[command(flatten)]
        place: Where,
        /// Leave Exim running as it is.
        #[arg(long)]
        no_restart: bool,
    },
}

#[derive(Args)]
pub(super) struct Where {
    /// The top of the file system to work in; anything but `/` is a rehearsal.
    #[arg(long, value_name = "FOLDER", default_value = "/")]
    root: PathBuf,
    /// How Exim is configured, where that cannot be found out.
    #[arg(long, value_enum)]
    layout: Option<Layout>,
}

impl Where {
    fn plan(&self, config: &Config) -> anyhow::Result<Plan> {
        Plan::new(&self.root, self.layout, &config.exim.socket)
    }

    fn plan_with(&self, config: &Config, events: bool) -> anyhow::Result<Plan> {
        let plan = self.plan(config)?;
        if events { plan.with_events() } else { Ok(plan) }
    }
}

pub(super) fn run(config_path: &Path, verb: &Verb) -> anyhow::Result<Ended> {
    let config = Config::read(config_path)?;
    let exim = &config.exim.program;
    let snapshots = config.exim_snapshots();
    match verb {
        Verb::Print(place) => print(place, &config)?,
        Verb::Install { place, dry_run: true, events, .. } => {
            let plan = place.plan_with(&config, *events)?;
            println!("layout: {}", plan.layout.name());
            plan.changes.iter().for_each(|change| println!("would write {}", plan.place(&change.path).display()));
            plan.remarks.iter().for_each(|remark| println!("note: {remark}"));
        }
        Verb::Install { place, no_restart, events, .. } => {
            let plan = place.plan_with(&config, *events)?;
            let restart = !no_restart && !plan.is_rehearsal();
            let snapshot = plan.carry_out(&snapshots, exim, restart)?;
            println!("installed; the former files are in {}", snapshot.folder().display());
            println!("`tidegate exim uninstall` puts them back");
            if plan.is_rehearsal() {
                println!("note: a rehearsal; Exim was not asked and not restarted");
            } else {
                warn(&config);
            }
            plan.remarks.iter().for_each(|remark| println!("note: {remark}"));
            if let Some(remark) = plan.layout.remark() {
                println!("note: {remark}");
            }
        }
        Verb::Check(place) => {
            let plan = place.plan(&config)?;
            installer::check(&plan, exim)?;
            if plan.is_rehearsal() {
                println!("in place; what Exim says of it is only known on the server itself");
            } else {
                println!("in place, and Exim reads it");
                warn(&config);
            }
        }
        Verb::Uninstall { place, no_restart } => {
            let plan = place.plan(&config)?;
            Snapshot::restore_all(&snapshots, &plan.root)?;
            installer::settle(&plan, exim, !no_restart && !plan.is_rehearsal())?;
            Snapshot::forget_all(&snapshots, &plan.root)?;
            println!("every file is as it was before");
        }
    }
    Ok(Ended::Done)
}

fn warn(config: &Config) {
    installer::contradictions(&config.exim).iter().for_each(|warning| eprintln!("tidegate: {warning}"));
}

/// For the plan's layout if there is one, else the pieces alone, for a configuration written by hand.
fn print(place: &Where, config: &Config) -> anyhow::Result<()> {
    match place.plan(config) {
        Ok(plan) => {
            for change in &plan.changes {
                println!("#### {}\n{}", change.path.display(), change.text);
            }
        }
        Err(_no_layout) => {
            for (name, text) in PIECES {
                println!("#### {}/{name}\n{text}", installer::PIECES_FOLDER);
            }
            println!("#### in your own configuration\n{}", installer::INCLUDE);
        }
    }
    Ok(())
}
