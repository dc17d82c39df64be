//! The command line: one file a verb. Exit codes: 0 done, 1 found what was asked for, 2 bad usage or input, 3 a service was
//! unavailable.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::config::DEFAULT_PATH;

// The verbs print with these in place of the standard library's, which panic when nobody reads any more (`| head`) or the disk is full.
macro_rules! print {
    ($($what:tt)*) => { $crate::cli::output::write(format_args!($($what)*)) };
}
macro_rules! println {
    () => { print!("\n") };
    ($($what:tt)*) => { $crate::cli::output::write(format_args!("{}\n", format_args!($($what)*))) };
}
macro_rules! eprintln {
    ($($what:tt)*) => { $crate::cli::output::tell(format_args!("{}\n", format_args!($($what)*))) };
}

mod check;
mod config;
mod exim;
mod explain;
mod limits;
mod list;
mod logs;
mod moment;
mod output;
mod quarantine;
mod reference;
mod rules;
mod serve;
mod status;
mod table;
mod who;
mod why;

/// How a verb ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Done.
    Done,
    /// Found what was asked for: spam, a failing rule.
    Found,
    /// Bad usage or input.
    BadInput,
    /// A service was unavailable.
    Unavailable,
}

impl Ended {
    fn code(self) -> u8 {
        match self {
            Ended::Done => 0,
            Ended::Found => 1,
            Ended::BadInput => 2,
            Ended::Unavailable => 3,
        }
    }
}

impl From<Ended> for ExitCode {
    fn from(ended: Ended) -> ExitCode {
        ExitCode::from(ended.code())
    }
}

/// A spam firewall for mail-hosting servers, for both tides.
#[derive(Parser)]
#[command(name = "tidegate", version, max_term_width = 100)]
pub struct Cli {
    /// The configuration file.
    #[arg(long, short, global = true, value_name = "FILE", default_value = DEFAULT_PATH)]
    config: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Runs the daemon that Exim asks.
    Serve,
    /// Shows how the daemon is; exit code 1 if there is something to look at.
    Status {
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Explains verdicts: who, when, what was found, and what it came to.
    Why(why::Why),
    /// Shows recent verdicts.
    Log(why::Log),
    /// Reads mail logs, also rotated ones, and says who is probably compromised, who sends most, who attacks, and what other servers
    /// hold against this one. Exit code 1 if somebody is probably compromised.
    Logs(logs::Arguments),
    /// Says who sent something, how, how much, and since when, from logs and journal.
    Who(who::Arguments),
    /// Limits for accounts, mailboxes and scripts.
    #[command(subcommand)]
    Limits(limits::Verb),
    /// Changes or shows the own allow and block lists.
    #[command(subcommand)]
    List(list::Verb),
    /// Shows, releases and deletes messages that are kept back.
    #[command(subcommand)]
    Quarantine(quarantine::Verb),
    /// Ties Tidegate into Exim, and takes it out again.
    #[command(subcommand)]
    Exim(exim::Verb),
    /// Judges messages that lie in files. Exit code 1 if one of them is spam, 2 if one cannot be read, 3 if a service did not answer.
    Check(check::Arguments),
    /// Checks, explains and tries SpamAssassin rule files.
    #[command(subcommand)]
    Rules(rules::Verb),
    /// Writes what a shell needs to complete the command line.
    Completion {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Writes the reference pages.
    #[command(hide = true)]
    Reference {
        /// Where to.
        folder: PathBuf,
    },
    /// Checks the configuration, or shows it.
    #[command(subcommand)]
    Config(config::Verb),
}

/// What writing to standard output came to. Whoever reads it may have seen enough (`| head`): that is no error.
fn printed(result: std::io::Result<()>) -> std::io::Result<()> {
    match result {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Runs the command line.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let ended = match cli.verb {
        Verb::Serve => serve::run(&cli.config),
        Verb::Status { json } => status::run(&cli.config, json),
        Verb::Why(arguments) => why::why(&cli.config, &arguments),
        Verb::Log(arguments) => why::log(&cli.config, &arguments),
        Verb::Logs(arguments) => logs::run(&cli.config, &arguments),
        Verb::Who(arguments) => who::run(&cli.config, &arguments),
        Verb::Limits(limits::Verb::Suggest(arguments)) => limits::suggest(&cli.config, &arguments),
        Verb::List(verb) => list::run(&cli.config, &verb),
        Verb::Quarantine(verb) => quarantine::run(&cli.config, &verb),
        Verb::Exim(verb) => exim::run(&cli.config, &verb),
        Verb::Rules(verb) => rules::run(&cli.config, &verb),
        Verb::Check(arguments) => check::run(&cli.config, &arguments),
        Verb::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "tidegate", &mut script);
            print!("{}", String::from_utf8_lossy(&script));
            Ok(Ended::Done)
        }
        Verb::Reference { folder } => reference::run(&folder),
        Verb::Config(verb) => config::run(&cli.config, &verb),
    };
    output::flush();
    match ended {
        Ok(ended) => ended.into(),
        Err(error) => {
            eprintln!("tidegate: {error:#}");
            Ended::BadInput.into()
        }
    }
}
