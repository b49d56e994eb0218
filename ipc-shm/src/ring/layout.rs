//! What lies where in a segment with a ring, so that a program in another language can join.
//!
//! All fields are words of 64 bits in the machine's byte order, aligned, and changed by single atomic
//! stores; what no line below names is zero. Offsets are in bytes.
//!
//! ```text
//!      0  header     who made it writes it once; the magic number last
//!         +0  magic      "ipc-ring" in memory
//!         +8  version    1
//!         +16 kind       1: one way, a ring from side A to side B
//!                        2: a pair, and another ring from side B to side A
//!         +24 capacity   of each ring, in bytes: a power of two, from 4 KiB to 256 GiB
//!    128  side A     in a pair, who made the segment
//!    256  side B
//!         +0  claim      who has this side: process id | start time << 22, see below; 0: nobody yet
//!         +8  namespace  the inode number of that process's pid namespace; 0: not known
//!         +16 state      0: not here yet, 1: here, 2: has left
//!         +24 fences     1: before sleeping it makes the fence for everybody, see below
//!         +32 lock       1: it holds the lock of those who have the segment open, see below
//!   1024  ring A to B
//!   2048  ring B to A (in a pair)
//!         +0  head       the consumer's: how many bytes it has given back
//!         +128 consumer waits    0: awake, 1: wants something early, 2: asleep
//!         +136 producer waits    the same
//!         +144 producer closed   1: it will send no more
//!         +152 consumer closed   1: it will read no more
//!   4096  the records of ring A to B, `capacity` bytes
//!         then those of ring B to A
//! ```
//!
//! The segment may be longer than that. Each block that one side writes all the time has two cache lines
//! of its own, because processors fetch lines in pairs.
//!
//! # A record
//!
//! ```text
//!    63        35   34     33     32    31          0
//!   |     0     | here | skip | more |    length    |   the head, at a multiple of 8
//!   | payload: `length` bytes, then up to 7 of padding ...
//! ```
//!
//! `here` is always 1, so a head is never zero. `more`: the message goes on in the next record. `skip`: no
//! message, go on behind it. A record never reaches beyond the end of the ring, and its payload has at
//! most half of the capacity less 8 bytes (but for one to be skipped, which fills the end).
//!
//! * To write: have `8 + length`, rounded up to 8, and 8 more bytes free (between the producer's counter
//!   and `head` plus capacity). If the record does not fit before the end of the ring, write one to be
//!   skipped first. Write the payload; store 0 where the next head will be; store the head with release
//!   order. Make a full fence. If `consumer waits` is 2, exchange it for 0; if it still was 2, wake one
//!   waiter of that word.
//! * To read: load the word at the consumer's place with acquire order. If it is zero, nothing is there.
//!   Else check it, read the payload, and go on behind it. From time to time, and always before sleeping
//!   and when `producer waits` is not 0: store the consumer's counter into `head` with release order, make
//!   a full fence, and treat `producer waits` as above.
//! * To sleep: exchange the own word for 2, make a full fence, look once more, and call futex(2) with
//!   `FUTEX_WAIT` (not private) on the lower half of the word, with 2 as the expected value, for at most 50
//!   milliseconds; then store 0, see whether the other side still lives, and begin again.
//!
//! # Who is there
//!
//! A side is taken by exchanging its `claim` from 0 for one's own; then the other words are written, at once,
//! `state` last with release order: until then, the others are not to be believed. A process is named by its id
//! and its start time, field 22 of `/proc/self/stat`, so that another process which has got the same id later is
//! not taken for it. Who leaves sets `closed` in its rings and `state` to 2, and wakes the other side.
//!
//! Who has a named segment open is also told by a lock: a shared one of `F_OFD_SETLK` (see fcntl(2)) on the
//! byte 2^62 + 1, on a descriptor that is close-on-exec and stays open as long as the segment is used. Across pid
//! namespaces, where ids mean nothing, that is all there is: a program that does not hold it is taken for dead
//! there. Elsewhere, who says 1 in `lock` is gone when nobody else holds it: its process lives, but has become
//! another program (see execve(2)).
//!
//! A segment serves one conversation: when a side has left or died, the other reads what is there, and
//! who made the segment makes a new one for the next peer.
//!
//! # Fences
//!
//! A full fence for each message would cost more than the message. So who can (see membarrier(2)) makes
//! one for all processes on its way to sleep, and says so in `fences`; its peer, if it has registered for
//! that, then makes none when it publishes. A program that leaves the word 0 makes its own, and is right.

use super::memory::Word;
use crate::segment::Segment;
use ipc_core::{Error, ErrorKind, Result};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

const MAGIC: u64 = u64::from_ne_bytes(*b"ipc-ring");
const VERSION: u64 = 1;

const MAGIC_AT: usize = 0;
const VERSION_AT: usize = 8;
const KIND_AT: usize = 16;
const CAPACITY_AT: usize = 24;

const SIDES: usize = 128;
const SIDE_SIZE: usize = 128;
/// Words of a side, from its beginning.
pub(super) const CLAIM: usize = 0;
pub(super) const NAMESPACE: usize = 8;
pub(super) const STATE: usize = 16;
pub(super) const FENCES: usize = 24;
pub(super) const LOCK: usize = 32;

/// Values of a side's state.
pub(super) const ABSENT: u64 = 0;
pub(super) const HERE: u64 = 1;
pub(super) const LEFT: u64 = 2;

const RINGS: usize = 1024;
const RING_SIZE: usize = 1024;
/// Words of a ring, from its beginning.
pub(super) const HEAD: usize = 0;
pub(super) const CONSUMER_WAITS: usize = 128;
pub(super) const PRODUCER_WAITS: usize = 136;
pub(super) const PRODUCER_CLOSED: usize = 144;
pub(super) const CONSUMER_CLOSED: usize = 152;

const DATA: usize = 4096;
const MIN_CAPACITY: usize = 4096;
const MAX_CAPACITY: usize = 1 << 38;

/// One way, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    OneWay = 1,
    Pair = 2,
}

/// One of the two who talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    A = 0,
    B = 1,
}

impl Side {
    pub(super) fn other(self) -> Side {
        match self {
            Side::A => Side::B,
            Side::B => Side::A,
        }
    }

    /// Where a word of this side lies.
    pub(super) fn at(self, word: usize) -> usize {
        SIDES + self as usize * SIDE_SIZE + word
    }
}

/// What the header says: read once, checked, and kept in private.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) kind: Kind,
    pub(super) capacity: usize,
}

impl Layout {
    /// A layout for rings of at least `capacity` bytes.
    pub(super) fn new(kind: Kind, capacity: usize) -> Result<Layout> {
        if capacity > MAX_CAPACITY {
            let error = Error::new(ErrorKind::LimitExceeded, "bind");
            return Err(error.with_limit("capacity", MAX_CAPACITY as u64, "choose a smaller ring"));
        }
        let capacity = capacity.max(MIN_CAPACITY).next_power_of_two();
        Ok(Layout { kind, capacity })
    }

    /// How many bytes a segment with it has at least.
    pub(super) fn size(&self) -> usize {
        DATA + self.rings() * self.capacity
    }

    fn rings(&self) -> usize {
        self.kind as usize
    }

    /// Where the word of the ring out of `from` lies.
    pub(super) fn ring_at(&self, from: Side, word: usize) -> usize {
        RINGS + from as usize * RING_SIZE + word
    }

    /// Where the records of the ring out of `from` lie.
    pub(super) fn data_at(&self, from: Side) -> usize {
        DATA + from as usize * self.capacity
    }

    /// Writes the header into a fresh segment; everything else must be written before.
    pub(super) fn write(&self, segment: &Segment) {
        for (at, value) in
            [(VERSION_AT, VERSION), (KIND_AT, self.kind as u64), (CAPACITY_AT, self.capacity as u64)]
        {
            store(segment, at, value);
        }
        if let Some(magic) = segment.atomic_u64(MAGIC_AT) {
            magic.store(MAGIC, Release);
        }
    }

    /// Reads the header, once, and believes nothing of it that would lead out of the segment. `None` if
    /// it is not there yet, as may be in a System V segment.
    pub(super) fn read(segment: &Segment) -> Result<Option<Layout>> {
        let corrupted =
            |detail: String| Err(Error::new(ErrorKind::Corrupted, "connect").with_detail(detail));
        if segment.len() < DATA {
            return corrupted(format!("it has {} bytes, too few for a ring", segment.len()));
        }
        match segment.atomic_u64(MAGIC_AT).map_or(0, |magic| magic.load(Acquire)) {
            MAGIC => {}
            0 => return Ok(None),
            _ => return corrupted("it does not begin as a ring does".to_owned()),
        }
        let version = load(segment, VERSION_AT);
        if version != VERSION {
            return corrupted(format!("its layout has version {version}; this program knows {VERSION}"));
        }
        let kind = match load(segment, KIND_AT) {
            1 => Kind::OneWay,
            2 => Kind::Pair,
            other => return corrupted(format!("it is of kind {other}; there are 1 and 2")),
        };
        let capacity = load(segment, CAPACITY_AT);
        let layout = usize::try_from(capacity)
            .ok()
            .filter(|capacity| capacity.is_power_of_two())
            .filter(|capacity| (MIN_CAPACITY..=MAX_CAPACITY).contains(capacity))
            .map(|capacity| Layout { kind, capacity })
            .filter(|layout| layout.size() <= segment.len());
        match layout {
            Some(layout) => Ok(Some(layout)),
            None => corrupted(format!("its rings cannot have {capacity} bytes")),
        }
    }
}

/// A word of the segment, or a zero if the segment is too short for it.
pub(super) fn word(segment: &Segment, at: usize) -> &AtomicU64 {
    static OUTSIDE: AtomicU64 = AtomicU64::new(0);
    segment.atomic_u64(at).unwrap_or(&OUTSIDE)
}

fn load(segment: &Segment, at: usize) -> u64 {
    Word::load(word(segment, at), Relaxed)
}

fn store(segment: &Segment, at: usize, value: u64) {
    Word::store(word(segment, at), value, Relaxed);
}
