//! Other libraries, each used as its own documentation shows. One that could not be built here says so.

#[cfg(any(feature = "crossbeam-channel", feature = "flume", feature = "kanal"))]
mod channels;
#[cfg(feature = "iceoryx2")]
mod iceoryx;
#[cfg(feature = "iceoryx2")]
mod iceoryx_in_place;
#[cfg(feature = "ipc-channel")]
mod ipc_channel;
#[cfg(feature = "zmq")]
mod zeromq;

use super::{Family, Subject};

/// All there are.
const NAMES: [&str; 9] = [
    "libzmq ipc",
    "libzmq tcp",
    "libzmq inproc",
    "iceoryx2",
    "iceoryx2 in place",
    "ipc-channel",
    "crossbeam-channel",
    "kanal",
    "flume",
];

pub(super) fn all() -> Vec<Subject> {
    let mut all = built();
    let missing = |name: &&str| all.iter().all(|subject| subject.name != *name);
    let missing: Vec<_> = NAMES.into_iter().filter(missing).collect();
    all.extend(missing.into_iter().map(|name| Subject::missing(Family::Peer, name)));
    all
}

/// Removes what they have left behind.
pub(super) fn clean_up() {
    #[cfg(feature = "iceoryx2")]
    iceoryx::clean_up();
}

fn built() -> Vec<Subject> {
    vec![
        #[cfg(feature = "zmq")]
        Subject::processes(Family::Peer, "libzmq ipc", zeromq::ipc),
        #[cfg(feature = "zmq")]
        Subject::processes(Family::Peer, "libzmq tcp", zeromq::tcp),
        #[cfg(feature = "zmq")]
        Subject::threads(Family::Peer, "libzmq inproc", zeromq::inproc),
        #[cfg(feature = "iceoryx2")]
        Subject::processes(Family::Peer, "iceoryx2", iceoryx::copied),
        #[cfg(feature = "iceoryx2")]
        Subject::processes(Family::Peer, "iceoryx2 in place", iceoryx_in_place::in_place),
        #[cfg(feature = "ipc-channel")]
        Subject::processes(Family::Peer, "ipc-channel", ipc_channel::bytes),
        #[cfg(feature = "crossbeam-channel")]
        Subject::threads(Family::Peer, "crossbeam-channel", channels::crossbeam),
        #[cfg(feature = "kanal")]
        Subject::threads(Family::Peer, "kanal", channels::kanal),
        #[cfg(feature = "flume")]
        Subject::threads(Family::Peer, "flume", channels::flume),
    ]
}
