//! The queue: messages go in at [`Outbox`]es, and come out, in order, at one [`Inbox`].
//!
//! Senders append to a batch under a short lock. The receiver swaps the whole batch with the one it has
//! read to its end: one lock for all that has come since. Then it lends messages out of what is now its
//! own memory, with no lock and no copy. A long message is copied before the lock is taken, into a buffer of
//! its own that is handed through, and comes back through [`Spares`].
//!
//! Who sleeps, and who wakes it:
//!
//! * The receiver sleeps when the batch is empty. It says so in `asleep`, under the lock, having looked
//!   once more. A sender appends under the same lock, so it either comes first, and is seen by that look,
//!   or later, and sees `asleep`. Only then does it ring.
//! * A sender sleeps when it is at its limit. The receiver hands messages out without the lock, so here
//!   atomics decide: see [`credit`](crate::credit). What may also set a sender free (the receiver came with
//!   its own mark, or went) happens under the lock, and so does the sender's last look before it sleeps,
//!   when it enters itself in `blocked`.

use crate::batch::{Batch, Cursor, LONG, Place, Retention};
use crate::bell::Bell;
use crate::credit::Credit;
use crate::lock;
use crate::patience::{Patience, pause};
use crate::spares::{Spares, fill};
use crossbeam_channel::Receiver;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the ends share.
#[derive(Debug)]
pub(crate) struct Lane {
    state: Mutex<State>,
    /// What the receiver's mark adds to each sender's limit: nothing as long as there is no receiver.
    receiver_allows: AtomicU64,
    /// Nobody will read any more. Set under the lock.
    closed: AtomicBool,
    news: News,
    spares: Mutex<Spares>,
    /// Wakes the receiver.
    bell: Bell,
}

/// There is a reason to lock and look: a receiver that spins does so on this, on a cache line of its own,
/// and leaves the lock to the senders. Changes under the lock.
#[derive(Debug)]
#[repr(align(128))]
struct News(AtomicBool);

#[derive(Debug, Default)]
struct State {
    batch: Batch,
    senders: usize,
    /// There has been a sender: when there is none now, that is the end.
    joined: bool,
    /// The receiver sleeps, or is about to.
    asleep: bool,
    /// The senders that sleep, or did.
    blocked: Vec<Arc<Account>>,
}

/// What one sender and the receiver share: the count of messages, and the sender's bell.
#[derive(Debug)]
pub(crate) struct Account {
    credit: Credit,
    bell: Bell,
}

impl Account {
    pub(crate) fn new() -> Self {
        Account { credit: Credit::new(), bell: Bell::new() }
    }
}

/// What a high-water mark adds to a limit: 0 is no limit at all.
fn allows(mark: usize) -> u64 {
    if mark == 0 { u64::MAX } else { mark as u64 }
}

impl Lane {
    /// A lane with a receiver's end and no sender yet. The receiver's mark counts from
    /// [`Inbox::open_up`] on.
    pub(crate) fn new() -> (Arc<Lane>, Inbox) {
        let lane = Arc::new(Lane {
            state: Mutex::default(),
            receiver_allows: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            news: News(AtomicBool::new(false)),
            spares: Mutex::default(),
            bell: Bell::new(),
        });
        let inbox = Inbox {
            lane: Arc::clone(&lane),
            batch: Batch::default(),
            cursor: Cursor::default(),
            lent: Vec::new(),
            retention: Retention::new(),
            patience: Patience::default(),
            ended: false,
        };
        (lane, inbox)
    }

    /// A lane with one sender.
    pub(crate) fn with_sender(mark: usize) -> (Outbox, Inbox) {
        let (lane, inbox) = Lane::new();
        {
            let mut state = lock(&lane.state);
            state.senders = 1;
            state.joined = true;
        }
        (Outbox::new(lane, mark), inbox)
    }

    /// One more sender, with its high-water mark; `None` if nobody will read any more.
    pub(crate) fn join(self: &Arc<Self>, mark: usize) -> Option<Outbox> {
        let mut state = lock(&self.state);
        if self.is_closed() {
            return None;
        }
        state.senders += 1;
        state.joined = true;
        drop(state);
        Some(Outbox::new(Arc::clone(self), mark))
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Something has happened that the receiver has to look at.
    fn tell_receiver(&self, state: &mut State) {
        self.news.0.store(true, Ordering::Release);
        if std::mem::take(&mut state.asleep) {
            self.bell.ring();
        }
    }
}

/// A sender's end.
#[derive(Debug)]
pub(crate) struct Outbox {
    lane: Arc<Lane>,
    account: Arc<Account>,
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
    fn new(lane: Arc<Lane>, mark: usize) -> Self {
        let account = Arc::new(Account::new());
        Outbox { lane, account, sent: 0, taken: 0, limit: 0, own_limit: allows(mark) }
    }

    /// Sets the sender's mark, where the lane was made by the other side.
    pub(crate) fn set_mark(&mut self, mark: usize) {
        self.own_limit = allows(mark);
        self.limit = 0;
    }

    /// Sends some of the messages, as long as there is room for them, and returns how many.
    pub(crate) fn push(&mut self, messages: &[&[u8]]) -> Result<usize, Refused> {
        let room = self.room(messages.len());
        let Some(messages) = messages.get(..room).filter(|some| !some.is_empty()) else {
            // A peer that is gone will never make room.
            return Err(if self.lane.is_closed() { Refused::Closed } else { Refused::Full });
        };
        match messages.first() {
            Some(message) if message.len() >= LONG => self.push_long(message),
            _ => self.append(|batch, account| {
                let short = messages.iter().take_while(|message| message.len() < LONG);
                short.take_while(|message| batch.push(message, account).is_ok()).count()
            }),
        }
    }

    /// Sends one long message: the copy is made before the lock is taken.
    fn push_long(&mut self, message: &[u8]) -> Result<usize, Refused> {
        let spare = lock(&self.lane.spares).take();
        let message = fill(spare, message).map_err(|_| Refused::NoMemory)?;
        self.append(|batch, account| batch.push_long(message, account).is_ok().into())
    }

    /// Lets `push` append to the batch, and return how many messages that were.
    fn append(
        &mut self,
        push: impl FnOnce(&mut Batch, &Arc<Account>) -> usize,
    ) -> Result<usize, Refused> {
        let mut state = lock(&self.lane.state);
        if self.lane.is_closed() {
            return Err(Refused::Closed);
        }
        let was_empty = state.batch.is_empty();
        let pushed = push(&mut state.batch, &self.account);
        if pushed == 0 {
            return Err(Refused::NoMemory);
        }
        self.sent += pushed as u64;
        let wake = std::mem::take(&mut state.asleep);
        if was_empty {
            self.lane.news.0.store(true, Ordering::Release);
        }
        drop(state);
        if wake {
            self.lane.bell.ring();
        }
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
        state.senders -= 1;
        if state.senders == 0 {
            self.lane.tell_receiver(&mut state);
        }
    }
}

/// The receiver's end.
#[derive(Debug)]
pub(crate) struct Inbox {
    lane: Arc<Lane>,
    /// Taken out of the lane whole, and being read.
    batch: Batch,
    cursor: Cursor,
    /// The message that was handed out last, if it was a long one.
    lent: Vec<u8>,
    retention: Retention,
    patience: Patience,
    /// All senders are gone, and everything has been read.
    ended: bool,
}

/// What a look found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// A message, which [`Inbox::bytes`] returns.
    Message(Place),
    Nothing,
    Ended,
}

impl Inbox {
    pub(crate) fn lane(&self) -> &Arc<Lane> {
        &self.lane
    }

    /// Adds the receiver's mark to the limit of every sender, from now on.
    pub(crate) fn open_up(&self, mark: usize) {
        let mut state = lock(&self.lane.state);
        self.lane.receiver_allows.store(allows(mark), Ordering::Release);
        state.blocked.drain(..).for_each(|account| account.bell.ring());
    }

    /// There is no sender, and nothing to read.
    pub(crate) fn is_spent(&self) -> bool {
        let state = lock(&self.lane.state);
        state.senders == 0 && state.batch.is_empty()
    }

    pub(crate) fn look(&mut self) -> Look {
        if !self.lent.is_empty() {
            lock(&self.lane.spares).put(std::mem::take(&mut self.lent));
        }
        loop {
            if let Some((place, sender)) = self.cursor.next(&self.batch) {
                if sender.credit.take_one() {
                    sender.bell.ring();
                }
                if place == Place::Buffer {
                    self.lent = self.batch.take_long();
                }
                return Look::Message(place);
            }
            if self.ended {
                return Look::Ended;
            }
            if !self.lane.news.0.load(Ordering::Acquire) {
                self.patience.looked_in_vain();
                return Look::Nothing;
            }
            let patient = self.patience.advises_pause();
            if patient {
                pause();
            }
            self.swap();
            if patient && !self.batch.holds_several() {
                self.patience.paused_in_vain();
            }
        }
    }

    pub(crate) fn bytes(&self, place: Place) -> &[u8] {
        match place {
            Place::Bytes(range) => self.batch.bytes(range),
            Place::Buffer => &self.lent,
        }
    }

    /// Sleeps until there may be something.
    pub(crate) fn sleep(&self, shutdown: &Receiver<Infallible>, limit: Option<Duration>) {
        {
            let mut state = lock(&self.lane.state);
            if self.lane.news.0.load(Ordering::Relaxed) {
                return;
            }
            state.asleep = true;
        }
        self.lane.bell.sleep(shutdown, limit);
    }

    /// Takes what has come, in exchange for the batch that has been read.
    fn swap(&mut self) {
        if self.retention.recycle(&mut self.batch) {
            lock(&self.lane.spares).review();
        }
        self.cursor = Cursor::default();
        let mut state = lock(&self.lane.state);
        std::mem::swap(&mut state.batch, &mut self.batch);
        state.asleep = false;
        let over = state.senders == 0 && state.joined;
        self.ended = over && self.batch.is_empty();
        if self.ended {
            self.lane.closed.store(true, Ordering::Release);
        }
        // After the last messages there is the end to be seen.
        self.lane.news.0.store(over, Ordering::Release);
    }
}

/// The senders learn of it at once.
impl Drop for Inbox {
    fn drop(&mut self) {
        let mut state = lock(&self.lane.state);
        self.lane.closed.store(true, Ordering::Release);
        state.batch = Batch::default();
        state.blocked.drain(..).for_each(|account| account.bell.ring());
    }
}
