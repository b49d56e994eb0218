//! A sender's end of a lane.

use super::{Account, Lane, allows};
use crate::lock;
use crate::spares::fill;
use crate::tape::{Depot, LONG, Writer};
use crossbeam_channel::Receiver;
use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Where a sender writes.
#[derive(Debug)]
pub(super) enum Pen {
    Own(Writer),
    Shared(Arc<Mutex<Writer>>),
}

impl Pen {
    #[inline]
    fn write<T>(&mut self, write: impl FnOnce(&mut Writer) -> T) -> T {
        match self {
            Pen::Own(writer) => write(writer),
            Pen::Shared(writer) => write(&mut lock(writer)),
        }
    }
}

/// A sender's end.
#[derive(Debug)]
pub(crate) struct Outbox {
    lane: Arc<Lane>,
    account: Arc<Account>,
    number: u64,
    pen: Pen,
    depot: Arc<Depot>,
    /// Buffers for long messages.
    stash: Vec<Vec<u8>>,
    sent: u64,
    /// What was handed out at the last look, and the limit then: no look is needed before `sent` is
    /// that far ahead.
    taken: u64,
    limit: u64,
    own_limit: u64,
}

/// Why nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Full,
    Closed,
    NoMemory,
}

impl Outbox {
    pub(super) fn new(lane: Arc<Lane>, account: Arc<Account>, mut pen: Pen, mark: usize) -> Self {
        let number = account.number;
        let depot = pen.write(|writer| Arc::clone(writer.depot()));
        let own_limit = allows(mark);
        Outbox {
            lane,
            account,
            number,
            pen,
            depot,
            stash: Vec::new(),
            sent: 0,
            taken: 0,
            limit: 0,
            own_limit,
        }
    }

    /// Sets the sender's mark, where the lane was made by the other side.
    pub(crate) fn set_mark(&mut self, mark: usize) {
        self.own_limit = allows(mark);
        self.limit = 0;
    }

    /// Sends some of the messages, as long as there is room for them, and returns how many.
    #[inline]
    pub(crate) fn push(&mut self, messages: &[&[u8]]) -> Result<usize, Refused> {
        // A peer that is gone will never make room.
        if self.lane.is_closed() {
            return Err(Refused::Closed);
        }
        let room = self.room(messages.len());
        let messages = messages.get(..room).unwrap_or_default();
        let number = self.number;
        let pushed = match messages.first() {
            None => return Err(Refused::Full),
            Some(message) if message.len() >= LONG => {
                // Copied before a lock is taken.
                let message =
                    fill(self.depot.buffer(&mut self.stash), message).map_err(|_| Refused::NoMemory)?;
                self.pen.write(|writer| writer.push_long(message, number).is_ok().into())
            }
            Some(_) => self.pen.write(|writer| {
                let short = messages.iter().take_while(|message| message.len() < LONG);
                short.take_while(|message| writer.push(message, number).is_ok()).count()
            }),
        };
        if pushed == 0 {
            return Err(Refused::NoMemory);
        }
        self.sent += pushed as u64;
        self.lane.wake_receiver();
        Ok(pushed)
    }

    /// Sleeps until there may be room.
    pub(crate) fn sleep(&self, shutdown: &Receiver<Infallible>, limit: Option<Duration>) {
        self.account.credit.announce_wait();
        {
            let mut state = lock(&self.lane.state);
            let taken = self.account.credit.taken();
            if self.lane.is_closed() || self.sent - taken < self.limit_now() {
                return;
            }
            if !state.blocked.iter().any(|account| Arc::ptr_eq(account, &self.account)) {
                state.blocked.push(Arc::clone(&self.account));
            }
        }
        self.account.bell.sleep(shutdown, limit);
    }

    /// How many of `wanted` messages there is room for.
    fn room(&mut self, wanted: usize) -> usize {
        let wanted = wanted as u64;
        let mut room = self.limit.saturating_sub(self.sent - self.taken);
        if room < wanted {
            self.taken = self.account.credit.taken();
            self.limit = self.limit_now();
            room = self.limit.saturating_sub(self.sent - self.taken);
        }
        // At most `wanted`, which was a usize.
        room.min(wanted) as usize
    }

    fn limit_now(&self) -> u64 {
        self.own_limit.saturating_add(self.lane.receiver_allows.load(Ordering::Acquire))
    }
}

/// The receiver learns of it after the last message.
impl Drop for Outbox {
    fn drop(&mut self) {
        let mut state = lock(&self.lane.state);
        state.blocked.retain(|account| !Arc::ptr_eq(account, &self.account));
        if self.sent == 0 {
            state.newcomers.retain(|account| !Arc::ptr_eq(account, &self.account));
        }
        self.account.total.store(self.sent, Ordering::Release);
        state.senders -= 1;
        if state.senders == 0 {
            self.lane.left.store(true, Ordering::Release);
            self.lane.wake_receiver();
        }
    }
}
