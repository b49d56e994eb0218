//! How a receiver that reads many messages at once keeps doing so.
//!
//! A receiver reads as much as is there and hands out message after message, so a stream of short messages
//! should cost it few calls. But a receiver that is as fast as its sender finds each message alone, and the
//! two spend their time on the lock that guards the stream in the kernel: 64 bytes through a pipe cost more
//! than twice what they cost when the receiver lags behind. So it lags on purpose: as long as each read
//! brings several messages, and not much besides, it lets a moment pass before the next.
//!
//! One message a read, as when question and answer alternate, is read without any delay: then the gap is
//! zero.
//!
//! A read of a long message that finds nothing takes that lock, too, and what it looks for is microseconds
//! away: so after a read that brought much, the looks of a receiver that spins are spaced.

use crate::Wait;
use crate::wait::one_processor;
use std::time::{Duration, Instant};

/// Decides when a receiver that found several messages in one read reads again.
///
/// ```
/// use ipc_core::{Pace, Wait};
///
/// let mut pace = Pace::new();
/// pace.before_read(Wait::Forever); // returns at once
/// pace.has_read(136); // 136 bytes, in which there were …
/// pace.hands_out(); // … one message,
/// pace.hands_out(); // and another
/// pace.before_read(Wait::Forever); // lets a quarter of a microsecond pass
/// ```
#[derive(Clone, Debug)]
pub struct Pace {
    gap: Duration,
    /// What the last read has brought.
    bytes: usize,
    messages: usize,
    /// The last read has brought much.
    much: bool,
    /// There is another processor, on which the sender can run meanwhile.
    apart: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Pace::new()
    }
}

impl Pace {
    /// The longest gap. It is short beside the 50 microseconds of a wake-up, and long enough for a handful of
    /// messages to come, over TCP, too.
    pub const MAX_GAP: Duration = Duration::from_micros(8);

    /// So many messages a read are enough: the gap grows no more.
    const HANDFUL: usize = 8;

    const MIN_GAP: Duration = Duration::from_nanos(250);

    /// A read of as much costs little beside what it brings, so nothing is gained by waiting for more.
    const ENOUGH: usize = 4096;

    /// After a read of as much, looks are spaced: those for shorter messages are not made to wait.
    const MUCH: usize = 16 << 10;

    /// How far apart looks are then. It is little beside the time that as many bytes take. (The clock is read
    /// every eighth look, so a spin may then last a few microseconds longer.)
    const LOOK_GAP: Duration = Duration::from_micros(1);

    /// Without a gap; there never will be one where this thread may run on one processor only.
    pub fn new() -> Self {
        Pace { gap: Duration::ZERO, bytes: 0, messages: 0, much: false, apart: !one_processor() }
    }

    /// Lets the gap pass, if there is one and the call may wait.
    pub fn before_read(&mut self, wait: Wait) {
        // Once for each read that has brought something: a look that finds nothing is repeated at once.
        if self.bytes == 0 || !self.apart {
            return;
        }
        self.adapt();
        if self.gap.is_zero() || wait == Wait::Never {
            return;
        }
        spin_for(self.gap);
    }

    /// Lets a moment pass after a look that found nothing and before the next, if the last read has brought
    /// much.
    pub fn between_looks(&self) {
        if self.much && self.apart {
            spin_for(Pace::LOOK_GAP);
        }
    }

    /// Says that a read has brought so many bytes.
    pub fn has_read(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.much = bytes >= Pace::MUCH;
    }

    /// Says that a message has been handed out.
    pub fn hands_out(&mut self) {
        self.messages = self.messages.saturating_add(1);
    }

    /// Learns from the last read.
    fn adapt(&mut self) {
        if self.messages < 2 || self.bytes >= Pace::ENOUGH {
            self.gap /= 2;
            if self.gap < Pace::MIN_GAP {
                self.gap = Duration::ZERO;
            }
        } else if self.messages < Pace::HANDFUL {
            self.gap = self.gap.saturating_mul(2).clamp(Pace::MIN_GAP, Pace::MAX_GAP);
        }
        self.bytes = 0;
        self.messages = 0;
    }
}

fn spin_for(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pace: &mut Pace, messages: usize, bytes: usize) {
        pace.has_read(bytes);
        (0..messages).for_each(|_| pace.hands_out());
        pace.adapt();
    }

    #[test]
    fn several_short_messages_a_read_make_a_gap_and_single_ones_end_it() {
        let mut pace = Pace::new();
        for _ in 0..9 {
            read(&mut pace, 3, 300);
        }
        assert_eq!(pace.gap, Pace::MAX_GAP);
        for _ in 0..9 {
            read(&mut pace, 1, 100);
        }
        assert_eq!(pace.gap, Duration::ZERO);
    }

    #[test]
    fn a_handful_of_messages_a_read_leaves_the_gap_as_it_is() {
        let mut pace = Pace::new();
        read(&mut pace, 3, 300);
        let gap = pace.gap;
        read(&mut pace, Pace::HANDFUL, 800);
        assert_eq!(pace.gap, gap);
    }

    #[test]
    fn looks_are_spaced_after_a_long_read_only() {
        let mut pace = Pace { apart: true, ..Pace::new() };
        pace.has_read(1 << 20);
        let start = Instant::now();
        pace.between_looks();
        assert!(start.elapsed() >= Pace::LOOK_GAP);
        pace.has_read(100);
        assert!(!pace.much);
    }

    #[test]
    fn reads_that_bring_much_make_no_gap() {
        let mut pace = Pace::new();
        read(&mut pace, 100, 60_000);
        assert_eq!(pace.gap, Duration::ZERO);
    }
}
