//! The goals, as data.

use crate::plan::Pattern::{self, Batched, Idle, OneWay, Paced, RoundTrip};

/// Goals for one kind of rows.
pub(super) struct Group {
    pub(super) what: &'static str,
    pub(super) pattern: Pattern,
    pub(super) sizes: &'static [usize],
    pub(super) one_processor: bool,
    pub(super) goals: &'static [Goal],
}

/// One goal.
pub(super) struct Goal {
    pub(super) ours: &'static str,
    /// Nothing where what is wanted is a part of a processor.
    pub(super) theirs: &'static str,
    /// The ratio that is wanted at most.
    pub(super) wanted: f64,
    pub(super) because: Because,
}

/// Why a goal is not reached, if it is not.
pub(super) enum Because {
    /// Nothing to be said for it.
    Open,
    /// Nobody who calls the kernel can hear of a message sooner than this one, which does nothing else.
    Floor(&'static str),
    /// What was found with a profiler, and what was tried.
    Found(&'static str),
}

const fn goal(ours: &'static str, theirs: &'static str, wanted: f64) -> Goal {
    Goal { ours, theirs, wanted, because: Because::Open }
}

const fn receiver(ours: &'static str, wanted: f64) -> Goal {
    goal(ours, "", wanted)
}

impl Goal {
    const fn floor(self, floor: &'static str) -> Goal {
        Goal { because: Because::Floor(floor), ..self }
    }

    const fn because(self, text: &'static str) -> Goal {
        Goal { because: Because::Found(text), ..self }
    }
}

const B64: &[usize] = &[64];
const LONG: &[usize] = &[64 << 10, 1 << 20];

/// Of long messages through pipes.
const COPIES: &str = "writing and reading a pipe exclude each other by a lock, so that the two copies add up (43 % \
                      of the time is waiting for it, says perf); vmsplice(2) spares one, but shows what is \
                      changed after it was sent, and of memory that is given away afterwards it was 1/2.3 at \
                      best, in bare calls: the reader's copy is what remains";

/// Of short messages through a Unix stream.
const HEAD: &str = "both sides are in the kernel all the time, and ours moves four bytes more a message";

/// Of long messages through TCP.
const LOOKS: &str = "a receiver that spins reads each part as it comes, and every read takes the lock that the \
                     sender needs; with waiting=block it is level; looks by poll(2), which takes no lock, changed \
                     nothing";

/// Of long messages beside ipc-channel.
const PACKETS: &str = "it sends packets, as unixpacket does, which is level with it";

/// Where one run reaches a goal and another does not.
const SCATTER: &str = "within what runs scatter by";

/// Of System V queues.
const ONE_QUEUE: &str =
    "who asks here holds up who answers, for one key is one queue for both directions";

pub(super) const GROUPS: &[Group] = &[
    Group {
        what: "there and back, adaptive, against raw blocking calls",
        pattern: RoundTrip,
        sizes: B64,
        one_processor: false,
        goals: &[
            goal("pipe", "raw pipe", 1.0 / 15.0).floor("raw pipe polled"),
            goal("fifo", "raw pipe", 1.0 / 15.0).floor("raw pipe polled"),
            goal("unix", "raw unix", 1.0 / 8.0).floor("raw unix polled"),
            goal("tcp", "raw tcp", 1.0 / 5.0).floor("raw tcp polled"),
            goal("mq", "raw mq", 1.0 / 12.0).floor("raw mq polled"),
            goal("sysvmsg", "raw sysvmsg", 1.0 / 12.0).floor("raw sysvmsg polled"),
        ],
    },
    Group {
        what: "there and back, adaptive, against a busy loop of raw calls",
        pattern: RoundTrip,
        sizes: B64,
        one_processor: false,
        goals: &[
            goal("pipe", "raw pipe polled", 1.1),
            goal("fifo", "raw pipe polled", 1.1),
            goal("unix", "raw unix polled", 1.1),
            goal("tcp", "raw tcp polled", 1.1),
            goal("mq", "raw mq polled", 1.1),
            goal("sysvmsg", "raw sysvmsg polled", 1.1).because(ONE_QUEUE),
            goal("sysvmsg", "raw sysvmsg polled, one queue", 1.1),
        ],
    },
    Group {
        what: "there and back, against the libraries",
        pattern: RoundTrip,
        sizes: B64,
        one_processor: false,
        goals: &[
            goal("shm", "iceoryx2", 1.0),
            goal("shm", "iceoryx2 in place", 1.0),
            goal("inproc", "crossbeam-channel", 1.0),
            goal("unix", "libzmq ipc", 1.0 / 5.0).floor("raw unix polled"),
            goal("tcp", "libzmq tcp", 1.0 / 5.0).floor("raw tcp polled"),
            goal("inproc", "libzmq inproc", 1.0 / 5.0),
            goal("unix", "ipc-channel", 1.0 / 5.0).floor("raw unix polled"),
            goal("unixpacket", "ipc-channel", 1.0 / 5.0).floor("raw unix polled"),
        ],
    },
    Group {
        what: "there and back, waiting=block",
        pattern: RoundTrip,
        sizes: B64,
        one_processor: false,
        goals: &[
            goal("pipe waiting=block", "raw pipe", 1.1),
            goal("fifo waiting=block", "raw fifo", 1.1),
            goal("unix waiting=block", "raw unix", 1.1),
            goal("tcp waiting=block", "raw tcp", 1.1),
            goal("mq waiting=block", "raw mq", 1.1),
            goal("sysvmsg waiting=block", "raw sysvmsg", 1.1),
        ],
    },
    Group {
        what: "there and back, on one processor",
        pattern: RoundTrip,
        sizes: B64,
        one_processor: true,
        goals: &[
            goal("pipe", "raw pipe", 1.1),
            goal("fifo", "raw fifo", 1.1),
            goal("unix", "raw unix", 1.1),
            goal("tcp", "raw tcp", 1.1),
            goal("mq", "raw mq", 1.1),
            goal("sysvmsg", "raw sysvmsg", 1.1),
        ],
    },
    Group {
        what: "one way, plain send",
        pattern: OneWay,
        sizes: B64,
        one_processor: false,
        goals: &[
            goal("pipe", "raw pipe", 1.0),
            goal("unix", "raw unix", 1.0).because(HEAD),
            goal("shm", "iceoryx2", 1.0 / 10.0),
            goal("shm", "iceoryx2 in place", 1.0 / 10.0),
            goal("inproc", "crossbeam-channel", 1.0 / 1.5),
            goal("inproc", "libzmq inproc", 1.0 / 4.0),
            goal("mq", "posixmq", 1.05).because(SCATTER),
            goal("mq", "raw mq", 1.05).because(SCATTER),
            goal("sysvmsg", "raw sysvmsg", 1.05).because(SCATTER),
        ],
    },
    Group {
        what: "one way, batched, against plain",
        pattern: Batched,
        sizes: B64,
        one_processor: false,
        goals: &[goal("pipe", "libzmq ipc", 0.6), goal("unix", "libzmq ipc", 0.6)],
    },
    Group {
        what: "one way",
        pattern: OneWay,
        sizes: &[4 << 10],
        one_processor: false,
        goals: &[
            goal("shm", "iceoryx2 in place", 1.0 / 2.0),
            goal("mq", "posixmq", 1.05).because(SCATTER),
            goal("mq", "raw mq", 1.05).because(SCATTER),
            goal("sysvmsg", "raw sysvmsg", 1.05).because(SCATTER),
        ],
    },
    Group {
        what: "one way, long messages",
        pattern: OneWay,
        sizes: LONG,
        one_processor: false,
        goals: &[
            goal("pipe", "raw pipe", 1.0 / 3.0).because(COPIES),
            goal("pipe capacity=1M", "raw pipe", 1.0 / 3.0).because(COPIES),
            goal("unix", "raw unix", 1.0).because(SCATTER),
            goal("tcp", "raw tcp", 1.0).because(LOOKS),
            goal("pipe", "ipc-channel", 1.0).because(COPIES),
            goal("unix", "ipc-channel", 1.0).because(PACKETS),
            goal("tcp", "ipc-channel", 1.0).because(PACKETS),
            goal("pipe", "libzmq ipc", 1.0).because(COPIES),
            goal("unix", "libzmq ipc", 1.0),
            goal("tcp", "libzmq tcp", 1.0),
        ],
    },
    Group {
        what: "one way, copied on both sides",
        pattern: OneWay,
        sizes: &[64 << 10],
        one_processor: false,
        goals: &[goal("shm", "iceoryx2", 1.0)],
    },
    Group {
        what: "one way, in place",
        pattern: OneWay,
        sizes: &[1 << 20],
        one_processor: false,
        goals: &[goal("shm in place", "iceoryx2 in place", 1.0)],
    },
    Group {
        what: "an idle receiver",
        pattern: Idle,
        sizes: B64,
        one_processor: false,
        goals: &[
            receiver("inproc", 0.002),
            receiver("pipe", 0.002),
            receiver("fifo", 0.002),
            receiver("unix", 0.002),
            receiver("unixpacket", 0.002),
            receiver("unixgram", 0.002),
            receiver("tcp", 0.002),
            receiver("udp", 0.002),
            receiver("mq", 0.002),
            receiver("sysvmsg", 0.002),
            receiver("shm", 0.002),
        ],
    },
    Group {
        what: "a receiver of 1,000 messages a second",
        pattern: Paced,
        sizes: B64,
        one_processor: false,
        goals: &[
            receiver("inproc", 0.1),
            receiver("pipe", 0.1),
            receiver("fifo", 0.1),
            receiver("unix", 0.1),
            receiver("unixpacket", 0.1),
            receiver("unixgram", 0.1),
            receiver("tcp", 0.1),
            receiver("udp", 0.1),
            receiver("mq", 0.1),
            receiver("sysvmsg", 0.1),
            receiver("shm", 0.1),
        ],
    },
];
