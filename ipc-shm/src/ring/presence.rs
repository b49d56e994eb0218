//! Who has the two sides of a segment, and whether the other one still lives.
//!
//! A claim names a process by its id and its start time. To see whether it lives, a descriptor of that
//! process is opened (pidfd_open(2)), and only then it is checked that the process behind it started at that
//! time: so an id that was given to another process meanwhile is found out, and one that is given away
//! later does not matter, as the descriptor goes on meaning the process that it was opened for. The kernel
//! marks it when the process ends, however it ends: a killed process that nobody has waited for (a zombie)
//! has ended, a stopped one has not, and a forked child that still has the memory is another process. A process
//! that becomes another program (execve(2)) does not end, but loses the lock of who has the segment open: where
//! there is such a lock, as with a name, it is asked as well.
//!
//! Where /proc does not show a start time, as it is not mounted, or hides the processes of other users
//! (`hidepid`), the process that has the id at the first look is taken for the one that claimed the side.
//!
//! Ids mean nothing in another pid namespace, so a claim also says in which it was made. Where that is not
//! ours, and the segment has a name, the locks of all who have it open are asked instead. What cannot be
//! asked is never taken for dead.

use super::kernel;
use super::layout::{ABSENT, CLAIM, FENCES, HERE, LEFT, LOCK, NAMESPACE, STATE, Side, word};
use crate::segment::Segment;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// What is known of the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// Nobody has come yet.
    NotYet,
    /// It is there.
    Here,
    /// It has left, or its process has ended.
    Gone,
}

/// A side of a segment that is ours until this is dropped.
#[derive(Debug)]
pub(super) struct Presence {
    segment: Arc<Segment>,
    side: Side,
    me: Claimed,
    sight: Sight,
}

/// What this process has said of itself; kept, as the peer can change what stands in the segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claimed {
    identity: Identity,
    /// It makes fences for all on its way to sleep.
    fences_all: bool,
}

/// How the other side is watched.
#[derive(Debug, Default)]
struct Sight {
    /// When its claim was seen, and nothing else of it yet.
    coming: OnceLock<Instant>,
    /// What tells when it ends; set once it has come.
    watch: OnceLock<Watch>,
    /// How often it was looked at since.
    looks: AtomicU32,
}

impl Sight {
    /// So many looks ask for the lock once: it is for what is rare, and would make half of what looks cost.
    const LOOKS_A_LOCK: u32 = 5;

    /// How long who has claimed a side may take to say the rest, which is a few stores. Later, it is taken
    /// for one that was killed between them.
    const COMING: Duration = Duration::from_millis(100);

    fn is_coming(&self) -> bool {
        self.coming.get_or_init(Instant::now).elapsed() < Sight::COMING
    }

    /// Whether this look is to ask for the lock: the first, and then some.
    fn asks_for_lock(&self) -> bool {
        self.looks.fetch_add(1, Relaxed).is_multiple_of(Sight::LOOKS_A_LOCK)
    }
}

impl Presence {
    /// Takes a side; `None` if somebody has it, or has had it.
    pub(super) fn take(segment: &Arc<Segment>, side: Side) -> Option<Presence> {
        Some(Presence::claimed(segment, side, claim(segment, side)?))
    }

    /// Holds a side that [`claim`] has taken.
    pub(super) fn claimed(segment: &Arc<Segment>, side: Side, me: Claimed) -> Presence {
        Presence { segment: Arc::clone(segment), side, me, sight: Sight::default() }
    }

    pub(super) fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    pub(super) fn fences_all(&self) -> bool {
        self.me.fences_all
    }

    /// Whether the peer makes fences for all; see the [layout](super::layout).
    pub(super) fn peer_fences_all(&self) -> bool {
        let other = self.side.other();
        word(&self.segment, other.at(STATE)).load(Acquire) == HERE
            && word(&self.segment, other.at(FENCES)).load(Relaxed) == 1
    }

    /// Whether the peer is there: a few system calls.
    pub(super) fn peer(&self) -> Peer {
        peer(&self.segment, self.side.other(), &self.sight)
    }

    /// The peer's process id, once it has come; in its own pid namespace.
    pub(super) fn peer_pid(&self) -> Option<u32> {
        let claim = word(&self.segment, self.side.other().at(CLAIM)).load(Relaxed);
        (claim != 0).then(|| Identity(claim).pid())
    }

    /// Whether this is still the process that took the side, and not a child of it.
    pub(super) fn is_mine(&self) -> bool {
        self.me.identity.pid() == std::process::id()
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        if self.is_mine() {
            word(&self.segment, self.side.at(STATE)).store(LEFT, Release);
        }
    }
}

/// Takes a side in the name of this process; `None` if it has been taken before.
pub(super) fn claim(segment: &Segment, side: Side) -> Option<Claimed> {
    let identity = Identity::mine();
    // Found out before, so that there are stores only between the claim and the state.
    let (namespace, fences_all) = (namespace(), kernel::join_fences());
    let locks = segment.is_held_by_others().is_some();
    word(segment, side.at(CLAIM)).compare_exchange(0, identity.0, AcqRel, Relaxed).ok()?;
    word(segment, side.at(NAMESPACE)).store(namespace, Relaxed);
    word(segment, side.at(FENCES)).store(u64::from(fences_all), Relaxed);
    word(segment, side.at(LOCK)).store(u64::from(locks), Relaxed);
    word(segment, side.at(STATE)).store(HERE, Release);
    Some(Claimed { identity, fences_all })
}

/// Whether somebody is at a side.
pub(super) fn look(segment: &Segment, side: Side) -> Peer {
    peer(segment, side, &Sight::default())
}

fn peer(segment: &Segment, side: Side, sight: &Sight) -> Peer {
    let claim = word(segment, side.at(CLAIM)).load(Acquire);
    let state = word(segment, side.at(STATE)).load(Acquire);
    match state {
        ABSENT if claim == 0 => return Peer::NotYet,
        ABSENT if sight.is_coming() => return Peer::Here,
        LEFT => return Peer::Gone,
        _ => {}
    }
    let watch = sight.watch.get_or_init(|| Watch::new(segment, side, Identity(claim), state == ABSENT));
    // If it cannot be asked, it is not said to be dead.
    let is_alone = || segment.is_held_by_others() == Some(false);
    let has_ended = match watch {
        Watch::Process(process) => {
            let says_that_it_locks = word(segment, side.at(LOCK)).load(Relaxed) == 1;
            is_readable(process) || says_that_it_locks && sight.asks_for_lock() && is_alone()
        }
        Watch::Locks => is_alone(),
        Watch::Ended => true,
    };
    if has_ended { Peer::Gone } else { Peer::Here }
}

/// What tells when a peer ends.
#[derive(Debug)]
enum Watch {
    /// Its process.
    Process(OwnedFd),
    /// Whether anybody else has the segment open: it is in another pid namespace, or may be.
    Locks,
    /// It has.
    Ended,
}

impl Watch {
    /// Watches who has claimed a side, and has said no more if `silent`.
    fn new(segment: &Segment, side: Side, peer: Identity, silent: bool) -> Watch {
        // Zero where it is not known.
        let (theirs, ours) = (word(segment, side.at(NAMESPACE)).load(Relaxed), namespace());
        if theirs != 0 && ours != 0 && theirs != ours {
            return Watch::Locks;
        }
        // If it may be in another namespace, that nobody here has its id says nothing.
        let nobody = if silent || theirs == ours && ours != 0 { Watch::Ended } else { Watch::Locks };
        match kernel::pidfd_open(peer.pid()) {
            Ok(process) => match pid_of(&process).and_then(start_time) {
                Some(started) if peer.started() != 0 && started != peer.started() => nobody,
                _ => Watch::Process(process),
            },
            // ENOENT: the id is a thread's by now.
            Err(Errno::ESRCH | Errno::EINVAL | Errno::ENOENT) => nobody,
            Err(_) => Watch::Locks,
        }
    }
}

fn is_readable(process: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
    matches!(poll(&mut fds, PollTimeout::ZERO), Ok(1..))
}

/// A process: 22 bits of its id (see pid_max in proc_sys_kernel(5)), and above them when it started, in
/// ticks since the system did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity(u64);

impl Identity {
    const PID_BITS: u32 = 22;

    fn mine() -> Identity {
        let started = start_time_in("/proc/self/stat").unwrap_or(0);
        Identity(started << Identity::PID_BITS | u64::from(std::process::id()))
    }

    fn pid(self) -> u32 {
        // Its bits are the lowest 22.
        (self.0 & ((1 << Identity::PID_BITS) - 1)) as u32
    }

    fn started(self) -> u64 {
        self.0 >> Identity::PID_BITS
    }
}

/// The process behind a descriptor, as /proc numbers it, which may be mounted from another pid namespace.
fn pid_of(process: &OwnedFd) -> Option<u32> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", process.as_raw_fd())).ok()?;
    info.lines().find_map(|line| line.strip_prefix("Pid:"))?.trim().parse().ok()
}

fn start_time(pid: u32) -> Option<u64> {
    start_time_in(&format!("/proc/{pid}/stat"))
}

/// Field 22 of proc_pid_stat(5). The second is a name in parentheses, which may hold anything.
fn start_time_in(path: &str) -> Option<u64> {
    let stat = fs::read_to_string(path).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19)?.parse().ok()
}

/// The number of this process's pid namespace; 0 if it is not known. Not to be kept: a forked child may be in
/// another one.
fn namespace() -> u64 {
    fs::metadata("/proc/self/ns/pid").map_or(0, |meta| meta.ino())
}
