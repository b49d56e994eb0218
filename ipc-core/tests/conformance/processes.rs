//! The children of the suite: heard from, or missed; and gone when the rule is over, however it ends.

use crate::broken::failure;
use crate::stream::Stream;
use ipc_core::Receiver;
use ipc_core::conformance::rules::delivery;
use ipc_core::conformance::{Placement, Setup, until};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs, thread};

const PEER: &str = "stream::length::peer";

#[test]
fn a_misspelt_peer_test_is_seen() {
    let setup = Setup::new(Arc::new(Stream("")), Placement::SenderAcross, "stream::length::pear");
    let said = failure(setup, "rule", delivery::recv_vec_gives_a_vector);
    assert!(said.contains("is stream::length::pear the peer test's name?"), "it said: {said}");
}

#[test]
fn a_child_that_is_killed_from_outside_is_seen_and_a_failed_rule_leaves_none() {
    let setup = Setup::new(Arc::new(Stream("")), Placement::ReceiverAcross, PEER);
    let place = setup.place().to_owned();
    let said = failure(setup, "rule", |setup| {
        let (_tx, rx) = setup.open();
        let receiving = setup.background(rx, |rx| rx.recv_vec());
        receiving.until_asleep();
        let children = processes_at(setup.place());
        assert_eq!(children.len(), 1, "{children:?}");
        kill(&children[0]);
        let _ = receiving.join();
    });
    assert!(said.contains("the receiver's process ended during recv_vec: signal: 9"), "it said: {said}");
    assert!(processes_at(&place).is_empty());
}

#[test]
fn a_rule_that_hangs_leaves_no_child() {
    let setup = Setup::new(Arc::new(Stream("")), Placement::ReceiverAcross, PEER);
    let place = setup.place().to_owned();
    let said = failure(setup.with_patience(Duration::from_secs(3)), "rule", |setup| {
        let (_tx, mut rx) = setup.open();
        let _ = rx.recv();
    });
    assert!(
        said.contains("rule, ReceiverAcross: waited more than 3s for the receiver"),
        "it said: {said}"
    );
    assert!(processes_at(&place).is_empty());
}

#[test]
fn a_child_dies_with_its_parent() {
    let mut parent = Command::new(env::current_exe().unwrap())
        .args(["processes::a_parent_to_be_killed", "--exact", "--nocapture"])
        .env(TO_BE_KILLED, "1")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let place = format!("unix://@ipc-conformance-{}-", parent.id());
    until("there is a child", Setup::PATIENCE, || processes_at(&place).len() == 1);
    parent.kill().unwrap();
    parent.wait().unwrap();
    until("the child is gone", Setup::PATIENCE, || processes_at(&place).is_empty());
}

const TO_BE_KILLED: &str = "IPC_CONFORMANCE_TO_BE_KILLED";

/// Does nothing but in the process that [`a_child_dies_with_its_parent`] starts.
#[test]
fn a_parent_to_be_killed() {
    if env::var_os(TO_BE_KILLED).is_none() {
        return;
    }
    let setup = Setup::new(Arc::new(Stream("")), Placement::ReceiverAcross, PEER);
    setup.run("rule", |setup| {
        let (_tx, rx) = setup.open();
        let _receiving = setup.background(rx, |rx| rx.recv_vec());
        thread::park();
    });
}

/// The children that open ends at places which begin so.
fn processes_at(place: &str) -> Vec<String> {
    let wanted = format!("IPC_CONFORMANCE_PLACE={place}");
    let is_at = |process: &String| {
        // A dead process that nobody has collected yet has no environment any more.
        let environment = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(wanted.as_bytes()))
    };
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes.filter_map(|entry| entry.file_name().into_string().ok()).filter(is_at).collect()
}

fn kill(process: &str) {
    let pid = nix::unistd::Pid::from_raw(process.parse().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
}

/// A rule that nobody runs is no rule.
#[test]
fn every_rule_is_in_the_list() {
    let suite = concat!(env!("CARGO_MANIFEST_DIR"), "/src/conformance");
    let list = fs::read_to_string(format!("{suite}/mod.rs")).unwrap();
    let mut count = 0;
    for file in fs::read_dir(format!("{suite}/rules")).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        for line in text.lines().filter_map(|line| line.strip_prefix("pub fn ")) {
            let rule = line.split('(').next().unwrap();
            assert!(list.lines().any(|line| line.trim() == rule), "{rule} is missing");
            count += 1;
        }
    }
    assert!(count > 40, "only {count} rules were found");
}
