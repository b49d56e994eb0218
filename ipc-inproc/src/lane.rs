//! The queue: messages go in at [`Outbox`]es, and come out, in order, at one [`Inbox`].
//!
//! They travel on a [tape](crate::tape). A pair's one sender writes it without a lock; several senders share
//! the writer, and its lock, which the receiver never takes.
//!
//! Who sleeps, and who wakes it:
//!
//! * The receiver says in `asleep` that it is about to sleep, and looks again before it does. A sender
//!   publishes its message, and then looks at `asleep`. There is no fence between the two, as that would make
//!   each message wait until the one before it has reached the other processor, which takes longer than all
//!   else. So a processor may hold a message back for some ten nanoseconds, and look at `asleep` before the
//!   receiver sees the message. That is why the receiver does not look only once, but for [longer](LOOKS) than
//!   a processor holds anything back. That is how processors are, and no promise: if it should ever not be
//!   enough, the receiver has missed the bell, and finds the message when its [nap](NAP) is over.
//! * A sender sleeps when it is at its limit. The receiver hands messages out without a lock, so here
//!   atomics decide: see [`credit`](crate::credit). What may also set a sender free (the receiver came with
//!   its own mark, or went) happens under the lock, and so does the sender's last look before it sleeps,
//!   when it enters itself in `blocked`.

use crate::bell::Bell;
use crate::credit::Credit;
use crate::lock;
use crate::spares::fill;
use crate::tape::{self, Depot, LONG, Reader, Writer};
use crossbeam_channel::Receiver;
use std::convert::Infallible;
use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How often the receiver looks between saying that it sleeps and doing so, with the processor's own pause
/// in between.
const LOOKS: u32 = 8;

/// How long the receiver sleeps at most, before it looks again.
const NAP: Duration = Duration::from_millis(100);

/// What the ends share. Both look at the first four with every message, or nearly, and write them seldom.
#[derive(Debug)]
pub(crate) struct Lane {
    /// Nobody will read any more. Set under the lock.
    closed: AtomicBool,
    /// There have been senders, and there is none now. Set under the lock.
    left: AtomicBool,
    /// The receiver sleeps, or is about to.
    asleep: AtomicBool,
    /// What the receiver's mark adds to each sender's limit: nothing as long as there is no receiver.
    receiver_allows: AtomicU64,
    /// Wakes the receiver.
    bell: Bell,
    /// Shared by the senders, if there can be several.
    writer: Option<Arc<Mutex<Writer>>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    senders: usize,
    /// How many there have ever been: the number of the next.
    joined: u64,
    /// Those the receiver has not been told of.
    newcomers: Vec<Arc<Account>>,
    /// The senders that sleep, or did.
    blocked: Vec<Arc<Account>>,
}

/// What one sender and the receiver share: the count of messages, and the sender's bell.
#[derive(Debug)]
pub(crate) struct Account {
    number: u64,
    credit: Credit,
    bell: Bell,
    /// How many messages there have been, when the sender has gone.
    total: AtomicU64,
}

impl Account {
    /// The sender has gone, and its messages have been read.
    fn is_closed(&self) -> bool {
        self.total.load(Ordering::Acquire) == self.credit.taken()
    }
}

/// What a high-water mark adds to a limit: 0 is no limit at all.
fn allows(mark: usize) -> u64 {
    if mark == 0 { u64::MAX } else { mark as u64 }
}

impl Lane {
    /// A lane for one sender, and that sender.
    pub(crate) fn for_one(mark: usize) -> (Outbox, Inbox) {
        let (writer, reader) = tape::tape();
        let depot = Arc::clone(writer.depot());
        let inbox = Lane::with(None, reader);
        let lane = Arc::clone(&inbox.lane);
        let account = lane.enter(&mut lock(&lane.state));
        (Outbox::new(lane, account, Pen::Own(writer), depot, mark), inbox)
    }

    /// A lane for several senders, of which there is none yet. The receiver's mark counts from
    /// [`Inbox::open_up`] on.
    pub(crate) fn for_many() -> Inbox {
        let (writer, reader) = tape::tape();
        Lane::with(Some(Arc::new(Mutex::new(writer))), reader)
    }

    fn with(writer: Option<Arc<Mutex<Writer>>>, reader: Reader) -> Inbox {
        let lane = Arc::new(Lane {
            closed: AtomicBool::new(false),
            left: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            receiver_allows: AtomicU64::new(0),
            bell: Bell::new(),
            writer,
            state: Mutex::default(),
        });
        Inbox {
            lane,
            reader,
            page: Vec::new(),
            lent: Vec::new(),
            accounts: Vec::new(),
            current: 0,
            ended: false,
        }
    }

    /// One more sender, with its high-water mark; `None` if nobody will read any more.
    pub(crate) fn join(self: &Arc<Self>, mark: usize) -> Option<Outbox> {
        let writer = self.writer.as_ref()?;
        let depot = Arc::clone(lock(writer).depot());
        let mut state = lock(&self.state);
        if self.is_closed() || state.joined == tape::SENDERS {
            return None;
        }
        let account = self.enter(&mut state);
        drop(state);
        Some(Outbox::new(Arc::clone(self), account, Pen::Shared(Arc::clone(writer)), depot, mark))
    }

    fn enter(&self, state: &mut State) -> Arc<Account> {
        let account = Arc::new(Account {
            number: state.joined,
            credit: Credit::new(),
            bell: Bell::new(),
            total: AtomicU64::new(u64::MAX),
        });
        state.senders += 1;
        state.joined += 1;
        state.newcomers.push(Arc::clone(&account));
        self.left.store(false, Ordering::Release);
        account
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Rings for the receiver, if it sleeps.
    #[inline]
    fn wake_receiver(&self) {
        if self.asleep.load(Ordering::Relaxed) {
            self.ring();
        }
    }

    #[cold]
    fn ring(&self) {
        if self.asleep.swap(false, Ordering::AcqRel) {
            self.bell.ring();
        }
    }
}

/// Where a sender writes.
#[derive(Debug)]
enum Pen {
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
    fn new(lane: Arc<Lane>, account: Arc<Account>, pen: Pen, depot: Arc<Depot>, mark: usize) -> Self {
        let number = account.number;
        let own_limit = allows(mark);
        Outbox { lane, account, number, pen, depot, sent: 0, taken: 0, limit: 0, own_limit }
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
                let message = fill(self.depot.buffer(), message).map_err(|_| Refused::NoMemory)?;
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
            fence(Ordering::SeqCst);
            self.lane.wake_receiver();
        }
    }
}

/// The receiver's end.
#[derive(Debug)]
pub(crate) struct Inbox {
    lane: Arc<Lane>,
    reader: Reader,
    /// The message that was handed out last, and what is left of those before it.
    page: Vec<u8>,
    /// The same, if it was a long one.
    lent: Vec<u8>,
    /// The senders, by number, and whose message was the last.
    accounts: Vec<Arc<Account>>,
    current: usize,
    /// All senders are gone, and everything has been read.
    ended: bool,
}

/// Where a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// So many bytes of the page.
    Page(usize),
    /// In a buffer of its own.
    Buffer,
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
        state.senders == 0 && !self.reader.has_news()
    }

    #[inline]
    pub(crate) fn look(&mut self) -> Look {
        if !self.lent.is_empty() {
            self.reader.give_back(std::mem::take(&mut self.lent));
        }
        let Some(record) = self.reader.next(&mut self.page) else { return self.look_for_end() };
        if self.accounts.get(self.current).is_none_or(|account| account.number != record.sender) {
            self.find(record.sender);
        }
        if let Some(sender) = self.accounts.get(self.current)
            && sender.credit.take_one()
        {
            sender.bell.ring();
        }
        Look::Message(match record.length {
            Some(length) => Place::Page(length),
            None => {
                self.lent = self.reader.fetch();
                Place::Buffer
            }
        })
    }

    /// Makes `current` the place of a sender's account.
    #[cold]
    fn find(&mut self, number: u64) {
        let place = |accounts: &[Arc<Account>]| {
            accounts.binary_search_by_key(&number, |account| account.number).ok()
        };
        self.current = place(&self.accounts).unwrap_or_else(|| {
            // Numbers rise, so those who come are put behind those who are there.
            self.accounts.retain(|account| !account.is_closed());
            self.accounts.append(&mut lock(&self.lane.state).newcomers);
            place(&self.accounts).unwrap_or_default()
        });
    }

    /// There is no message: looks whether there ever will be one.
    fn look_for_end(&mut self) -> Look {
        if self.ended {
            return Look::Ended;
        }
        if !self.lane.left.load(Ordering::Acquire) {
            return Look::Nothing;
        }
        {
            let state = lock(&self.lane.state);
            if state.senders > 0 {
                return Look::Nothing;
            }
            if !self.reader.has_news() {
                self.ended = true;
                self.lane.closed.store(true, Ordering::Release);
                return Look::Ended;
            }
        }
        // What was sent before the last sender went.
        self.look()
    }

    #[inline]
    pub(crate) fn bytes(&self, place: Place) -> &[u8] {
        match place {
            Place::Page(length) => self.page.get(..length).unwrap_or_default(),
            Place::Buffer => &self.lent,
        }
    }

    /// Sleeps until there may be something.
    pub(crate) fn sleep(&mut self, shutdown: &Receiver<Infallible>, limit: Option<Duration>) {
        self.lane.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let has_news = (0..LOOKS).any(|_| {
            spin_loop();
            self.reader.has_news()
        });
        if !has_news && !self.lane.left.load(Ordering::Acquire) {
            self.lane.bell.sleep(shutdown, Some(limit.map_or(NAP, |limit| limit.min(NAP))));
        }
        self.lane.asleep.store(false, Ordering::Relaxed);
    }
}

/// The senders learn of it at once.
impl Drop for Inbox {
    fn drop(&mut self) {
        let mut state = lock(&self.lane.state);
        self.lane.closed.store(true, Ordering::Release);
        state.blocked.drain(..).for_each(|account| account.bell.ring());
    }
}
