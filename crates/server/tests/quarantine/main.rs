//! The quarantine under kill -9: whatever a process was doing when it was killed, every message is in exactly one state,
//! nothing that was acknowledged is lost, and nothing is released twice.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that breaks is to fail loudly; it has its own files"
)]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use tidegate::quarantine::{Admission, Config, Keep, Offer, Quarantine, Reason, State};
use tidegate_mail::Score;
use tidegate_wire::exim::ExactAddress;

const FOLDER: &str = "TIDEGATE_TEST_QUARANTINE";
const FIRST: &str = "TIDEGATE_TEST_FIRST";
const ROUNDS: u64 = 25;

fn now() -> Timestamp {
    Timestamp::from_second(1_760_000_000).unwrap()
}

fn recipient() -> ExactAddress {
    ExactAddress::new("b@here.test")
}

/// What a message is to go through: some stay offered, some stay kept, some are released, some deleted.
fn is_kept(number: u64) -> bool {
    !number.is_multiple_of(5)
}
fn is_released(number: u64) -> bool {
    is_kept(number) && number.is_multiple_of(3)
}
fn is_deleted(number: u64) -> bool {
    is_kept(number) && number % 7 == 1 && !is_released(number)
}

/// The process to be killed. Says what is done; asks the parent, which plays the MTA, to take a released message.
#[test]
#[ignore = "runs as a child of `every_message_is_in_one_state`"]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let first: u64 = std::env::var(FIRST).unwrap().parse().unwrap();
    let quarantine = Quarantine::open(Path::new(&folder), Config::default()).unwrap();
    let say = |line: String| {
        println!("\n{line}");
        std::io::stdout().flush().unwrap();
    };
    for number in first.. {
        let id = format!("m{number}");
        say(format!("begin {number}"));
        let reason = Reason { address: recipient(), score: Score::points(7), reason: "score".into() };
        let offer = Offer {
            mta_id: id.clone(),
            record: "r.1".into(),
            received: now(),
            client: None,
            sender: ExactAddress::new(""),
            recipients: vec![reason],
            subject: None,
            message: vec![b'x'; 3000].into(),
        };
        quarantine.offer_now(&offer).unwrap();
        say(format!("offered {number}"));
        if is_kept(number) {
            assert_eq!(quarantine.keep_now(&id, &recipient(), now()).unwrap(), Keep::Kept);
            say(format!("kept {number}"));
        }
        if is_released(number) {
            let inject = |handed: tidegate::quarantine::Handed| -> std::io::Result<()> {
                say(format!("inject {}", handed.header.split_once(": ").unwrap().1));
                let mut reply = String::new();
                std::io::stdin().read_line(&mut reply).map(|_| ())
            };
            quarantine.release(&id, &recipient(), State::Kept, now(), inject).unwrap().unwrap();
            say(format!("released {number}"));
        }
        if is_deleted(number) {
            assert_eq!(quarantine.delete(&id, None, now()).unwrap(), 1);
            say(format!("deleted {number}"));
        }
    }
}

fn start(folder: &Path, first: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .env(FIRST, first.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[derive(Default)]
struct Seen {
    /// The last state that was acknowledged.
    states: HashMap<u64, State>,
    /// Tokens of messages that the MTA took.
    taken: Vec<String>,
    next: u64,
}

impl Seen {
    /// Plays the MTA and notes what is acknowledged; kills the child after `lines` lines.
    fn watch(&mut self, mut child: Child, daemon: &Quarantine, lines: u64) {
        let mut stdin = child.stdin.take().unwrap();
        let mut count = 0;
        for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
            let Some((word, rest)) = line.split_once(' ') else { continue };
            let state = match word {
                "begin" => {
                    self.next = rest.parse::<u64>().unwrap() + 1;
                    None
                }
                "offered" => Some(State::Offered),
                "kept" => Some(State::Kept),
                "released" => Some(State::Released),
                "deleted" => Some(State::Deleted),
                "inject" => {
                    if matches!(daemon.admit_now(rest).unwrap(), Admission::First { .. }) {
                        self.taken.push(rest.split('.').next().unwrap().to_owned());
                    }
                    // The child may be dead already.
                    let _ = stdin.write_all(b"ok\n");
                    None
                }
                _ => continue,
            };
            if let Some(state) = state {
                self.states.insert(rest.parse().unwrap(), state);
            }
            count += 1;
            if count == lines {
                // A little later, so that it is in the middle of the next step.
                std::thread::sleep(Duration::from_micros(lines * 37 % 1500));
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
    }
}

#[test]
fn every_message_is_in_one_state() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Quarantine::open(folder.path(), Config::default()).unwrap();
    let mut seen = Seen::default();
    for round in 0..ROUNDS {
        let child = start(folder.path(), seen.next);
        seen.watch(child, &daemon, 3 + round * 7 % 40);
    }
    assert!(seen.states.len() > 50, "only {} messages", seen.states.len());
    let later = now() + tidegate::quarantine::RELEASE_MAX;
    let settled = daemon.expire(later).unwrap().settled;
    for number in 0..seen.next {
        let id = format!("m{number}");
        let acknowledged = seen.states.get(&number).copied();
        let Some(item) = daemon.show(&id).unwrap() else {
            assert_eq!(acknowledged, None, "{id} is lost");
            continue;
        };
        let [held] = item.recipients.as_slice() else { panic!("{item:?}") };
        let taken = seen.taken.iter().filter(|taken| **taken == id).count();
        let at_least = |state: State| match acknowledged {
            None | Some(State::Offered) => is_kept(number) || state == State::Offered,
            Some(State::Kept) => state != State::Offered,
            Some(other) => state == other,
        };
        assert!(at_least(held.state), "{id}: {:?} was acknowledged, {:?} is found", acknowledged, held.state);
        assert_eq!(
            taken,
            usize::from(held.state == State::Released),
            "{id} is {:?}, the MTA took it {taken} times",
            held.state
        );
        assert_eq!(daemon.message(&id).unwrap().is_some(), held.state.is_open(), "{id} is {:?}", held.state);
    }
    println!("{} messages, {} releases cut off", seen.next, settled);
}
