//! The daemon as a service: systemd keeps its socket while it is restarted, is told when it is ready, and a reload drops nothing.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a lab that breaks is to fail loudly; it waits, and has sockets"
)]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::thread;
use std::time::{Duration, Instant};

use tidegate_e2e::cast::{GOOD, HAM};
use tidegate_e2e::smtp::Client;
use tidegate_e2e::{Daemon, Lab, Plan, why_not};

const CONFIG: &str = "[policy.server]\ninbound = { greylist = \"off\" }\n";

fn lab(test: &str) -> Option<Lab> {
    if let Some(reason) = why_not() {
        println!("skipped: {test}: {reason}");
        return None;
    }
    // A busy machine takes its time to start the daemon; how long Exim waits is not what is proven here.
    let exim = "TIDEGATE_WAIT_ENVELOPE = 25s\nTIDEGATE_WAIT_CONTENT = 25s\n".to_owned();
    Some(Lab::start(&Plan { dns: GOOD.to_owned(), exim, ..Plan::default() }).unwrap())
}

/// Sends a message and says whether it was judged.
fn is_judged(lab: &Lab) -> bool {
    lab.exim.empty_mailbox().unwrap();
    let (mut client, _) = lab.client("203.0.113.10").unwrap();
    client.envelope("mail.good.test", "a@good.test", &["b@exim.test"]).unwrap();
    assert_eq!(client.data(HAM).unwrap().code, 250);
    client.expect("QUIT", 221).unwrap();
    lab.exim.wait_delivered(1).unwrap().remove(0).header("X-Tidegate-Status").len() == 1
}

/// Exim's asks wait in the socket that systemd holds: for as long as its patience lasts, a restart goes unseen.
#[test]
fn the_socket_outlives_the_daemon() {
    let Some(lab) = lab("the_socket_outlives_the_daemon") else { return };
    let listener = UnixListener::bind(lab.socket()).unwrap();
    fs::set_permissions(lab.socket(), fs::Permissions::from_mode(0o666)).unwrap();
    let notify = lab.folder().join("notify.sock");
    let told = UnixDatagram::bind(&notify).unwrap();
    told.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    fs::set_permissions(&notify, fs::Permissions::from_mode(0o666)).unwrap();
    let mut daemon = Daemon::prepare(&lab, CONFIG).unwrap();
    let mut word = [0; 256];
    for round in 0..3 {
        thread::scope(|scope| {
            let sending = scope.spawn(|| {
                lab.namespace().enter().unwrap();
                is_judged(&lab)
            });
            // Exim has asked by now, and nobody is there.
            thread::sleep(Duration::from_millis(500));
            daemon.spawn_activated(&lab, &listener, &notify).unwrap();
            let octets = told.recv(&mut word).unwrap();
            assert_eq!(word.get(..octets).unwrap().trim_ascii_end(), b"READY=1", "round {round}");
            assert!(sending.join().unwrap(), "judged in round {round}\n{}\n{}", lab.exim.log(), daemon.log());
        });
        daemon.wait_until_up().unwrap();
        daemon.kill();
        assert!(lab.socket().exists(), "systemd's socket is not the daemon's to remove");
    }
    assert!(!lab.exim.log().contains("no valid answer"), "{}", lab.exim.log());
}

#[test]
fn a_reload_drops_nothing_and_a_broken_one_changes_nothing() {
    let Some(lab) = lab("a_reload_drops_nothing_and_a_broken_one_changes_nothing") else { return };
    let daemon = Daemon::start(&lab, CONFIG).unwrap();
    let open = || -> Client {
        let (mut client, _) = lab.client("203.0.113.10").unwrap();
        client.envelope("mail.good.test", "a@good.test", &["b@exim.test"]).unwrap();
        client
    };
    let mut before = open();
    // From now on every client without a name of its own kind is tagged at once.
    daemon.reconfigure(|text| text.replace("greylist = \"off\"", "greylist = \"off\", tag = 4.5")).unwrap();
    wait_for(&daemon, "reloaded", 1);
    assert_eq!(before.data(HAM).unwrap().code, 250, "a session that was open goes on");
    before.expect("QUIT", 221).unwrap();
    assert!(is_judged(&lab));

    daemon.reconfigure(|text| text.replace("tag = 4.5", "tag = \"perhaps\"")).unwrap();
    wait_for(&daemon, "not reloaded, the former configuration stays", 1);
    assert!(daemon.log().contains("tidegate.toml:"), "where it is wrong: {}", daemon.log());
    assert!(is_judged(&lab));

    // Reload upon reload, while mail flows.
    daemon.reconfigure(|text| text.replace("tag = \"perhaps\"", "tag = 4.5")).unwrap();
    for _ in 0..10 {
        daemon.reconfigure(|text| text).unwrap();
        assert!(is_judged(&lab), "{}", daemon.log());
    }
    assert_eq!(lab.exim.panic_log(), "");
    assert!(!lab.exim.log().contains("no valid answer"), "{}", lab.exim.log());
}

/// More connections than there are threads that hear say nothing, or half of what they have to say.
#[test]
fn silence_is_in_nobodys_way_and_pieces_are_joined() {
    let Some(lab) = lab("silence_is_in_nobodys_way_and_pieces_are_joined") else { return };
    let _daemon = Daemon::start(&lab, CONFIG).unwrap();
    let connect = || UnixStream::connect(lab.socket()).unwrap();
    let _silent: Vec<UnixStream> = (0..20).map(|_| connect()).collect();
    let mut halves: Vec<UnixStream> = (0..20).map(|_| connect()).collect();
    for half in &mut halves {
        half.write_all(b"v=1 st=connect s=\"\" ip=203.0.113.10:4").unwrap();
    }
    assert!(is_judged(&lab));
    for mut half in halves {
        half.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        half.write_all(b"0000 if=192.0.2.25:25\n").unwrap();
        let mut answer = String::new();
        half.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("a=accept sid="), "{answer}");
    }
}

fn wait_for(daemon: &Daemon, line: &str, times: usize) {
    let begun = Instant::now();
    while daemon.log().matches(line).count() < times {
        assert!(begun.elapsed() < Duration::from_secs(20), "`{line}` is not in\n{}", daemon.log());
        thread::sleep(Duration::from_millis(50));
    }
}
