//! A daemon that answers as it is told: for proving the ACLs alone, and for what a real daemon never does on purpose.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::net::sockopt::socket_peercred;
use tidegate_wire::exim::{Action, Answer, Ask, Assembly, Mail, REQUEST_OCTETS_MAX, Stage};

/// What the stub does with one ask.
#[derive(Debug)]
pub enum Reaction {
    /// Sends an answer.
    Answer(Answer),
    /// Sends these octets.
    Raw(Vec<u8>),
    /// Waits, then closes without a word.
    Silence(Duration),
}

impl From<Action> for Reaction {
    fn from(action: Action) -> Reaction {
        Reaction::Answer(Answer::new(action))
    }
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The ask. Headers and recipients are those of this request alone.
    pub ask: Ask,
    /// Its length on the wire.
    pub octets: usize,
    /// The user that the kernel says is asking.
    pub uid: u32,
    /// Of an ask about a message: headers and recipients of all its parts.
    pub mail: Option<Mail>,
    /// Of an ask about a message: the first line of its spool file, and the length of what follows it.
    pub spool_file: Option<(String, usize)>,
    /// Of an ask about a message whose headers lie in Exim's scan file: that file.
    pub scan_file: Option<Vec<u8>>,
}

type Script = Box<dyn FnMut(&Seen) -> Reaction + Send>;

/// A running stub. Its threads end with the process; stopping it only takes its socket away.
#[derive(Clone)]
pub struct Stub {
    state: Arc<Mutex<State>>,
}

struct State {
    script: Script,
    seen: Vec<Seen>,
    assembly: Assembly,
}

impl Stub {
    /// Listens at `socket` and accepts everything.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn serve(socket: &Path) -> anyhow::Result<Stub> {
        let _ = fs::remove_file(socket);
        let listener = UnixListener::bind(socket).with_context(|| format!("binding {}", socket.display()))?;
        fs::set_permissions(socket, fs::Permissions::from_mode(0o666))?;
        let script: Script = Box::new(|_| Action::Accept.into());
        let stub =
            Stub { state: Arc::new(Mutex::new(State { script, seen: Vec::new(), assembly: Assembly::default() })) };
        let server = stub.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = server.clone();
                thread::spawn(move || server.serve_one(stream));
            }
        });
        Ok(stub)
    }

    /// Reacts by `script` from now on, and forgets what was seen.
    pub fn play(&self, script: impl FnMut(&Seen) -> Reaction + Send + 'static) {
        let mut state = self.state();
        state.script = Box::new(script);
        state.seen.clear();
    }

    /// Forgets what was seen.
    pub fn forget(&self) {
        self.state().seen.clear();
    }

    /// All asks since the script began, parts included.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    /// The last ask of a stage, once there is one; waits up to fifteen seconds, since Exim asks after it has answered its
    /// client.
    ///
    /// # Errors
    /// When none comes.
    pub fn wait_for(&self, stage: Stage) -> anyhow::Result<Seen> {
        let begun = Instant::now();
        loop {
            if let Some(seen) =
                self.seen().into_iter().rfind(|seen| seen.ask.stage == stage && seen.ask.part.number == 1)
            {
                return Ok(seen);
            }
            anyhow::ensure!(begun.elapsed() < Duration::from_secs(15), "no ask of stage {stage:?} came");
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve_one(&self, mut stream: UnixStream) {
        let uid = socket_peercred(&stream).map_or(u32::MAX, |peer| peer.uid.as_raw());
        let request = read_line(&mut stream);
        let ask = Ask::decode(&request);
        let takes_quoted = ask.as_ref().is_ok_and(|ask| ask.content.takes_quoted);
        let reaction = match ask {
            Ok(ask) => self.react(ask, request.len(), uid),
            Err(_) => Action::Accept.into(),
        };
        match reaction {
            Reaction::Answer(answer) if takes_quoted => _ = stream.write_all(&answer.encode_quoted()),
            Reaction::Answer(answer) => _ = stream.write_all(&answer.encode()),
            Reaction::Raw(bytes) => _ = stream.write_all(&bytes),
            Reaction::Silence(wait) => thread::sleep(wait),
        }
    }

    fn react(&self, ask: Ask, octets: usize, uid: u32) -> Reaction {
        let mut state = self.state();
        let is_part = ask.part.number > 1;
        if is_part {
            let _ = state.assembly.add(&ask);
        }
        let is_message = !is_part && matches!(ask.stage, Stage::Data | Stage::NotSmtp);
        let mail = is_message.then(|| std::mem::take(&mut state.assembly).finish(&ask).ok()).flatten();
        let spool_file = if is_message { read_spool_file(&ask) } else { None };
        let scan_file = if ask.content.is_in_scan_file { read_scan_file(&ask) } else { None };
        let seen = Seen { ask, octets, uid, mail, spool_file, scan_file };
        state.seen.push(seen.clone());
        let reaction = (state.script)(&seen);
        match reaction {
            // A script speaks of whole messages; their parts are taken in silence.
            Reaction::Answer(answer) if is_part && answer.action == Action::Accept => {
                Reaction::Answer(Answer { session: Some("c1".to_owned()), ..Answer::new(Action::More) })
            }
            other => other,
        }
    }
}

fn read_line(stream: &mut UnixStream) -> Vec<u8> {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let mut request = Vec::new();
    let mut chunk = [0; 16 * 1024];
    while !request.ends_with(b"\n") && request.len() <= 2 * REQUEST_OCTETS_MAX {
        match stream.read(&mut chunk) {
            Ok(length) if length > 0 => request.extend_from_slice(chunk.get(..length).unwrap_or_default()),
            _ => break,
        }
    }
    request
}

fn read_spool_file(ask: &Ask) -> Option<(String, usize)> {
    let (spool, id) = (ask.content.spool.as_ref()?, ask.transaction.id.as_ref()?);
    let bytes = fs::read(format!("{spool}/input/{id}-D")).ok()?;
    let end = bytes.iter().position(|b| *b == b'\n')?;
    let first = String::from_utf8_lossy(bytes.get(..end)?).into_owned();
    Some((first, bytes.len() - end - 1))
}

fn read_scan_file(ask: &Ask) -> Option<Vec<u8>> {
    let (spool, id) = (ask.content.spool.as_ref()?, ask.transaction.id.as_ref()?);
    fs::read(format!("{spool}/scan/{id}/{id}.eml")).ok()
}
