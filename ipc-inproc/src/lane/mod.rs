//! The queue: messages go in at [`Outbox`]es, and come out, in order, at one [`Inbox`].
//!
//! They travel on a [tape](crate::tape). A pair's one sender writes it without a lock; several senders share
//! the writer, and its lock, which the receiver never takes.
//!
//! Who sleeps, and who wakes it:
//!
//! * The receiver sets the [alarm](crate::alarm), and looks again before it sleeps. A sender publishes its
//!   message, and then looks at the alarm.
//! * A sender sleeps when it is at its limit. The receiver hands messages out without a lock, so here
//!   atomics decide: see [`credit`](crate::credit). What may also set a sender free (the receiver came with
//!   its own mark, or went) happens under the lock, and so does the sender's last look before it sleeps,
//!   when it enters itself in `blocked`.

mod inbox;
mod outbox;

pub(crate) use inbox::{Inbox, Look, Place};
pub(crate) use outbox::{Outbox, Refused};

use crate::alarm::Alarm;
use crate::bell::Bell;
use crate::credit::Credit;
use crate::fences::Fences;
use crate::lock;
use crate::tape::{self, Reader, Writer};
use outbox::Pen;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// What the ends share. Both look at the first four with every message, or nearly, and write them seldom.
#[derive(Debug)]
pub(crate) struct Lane {
    /// Nobody will read any more. Set under the lock.
    closed: AtomicBool,
    /// There have been senders, and there is none now. Set under the lock.
    left: AtomicBool,
    /// The receiver sleeps, or is about to.
    alarm: Alarm,
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
        let inbox = Lane::with(None, reader);
        let lane = Arc::clone(inbox.lane());
        let account = lane.enter(&mut lock(&lane.state));
        (Outbox::new(lane, account, Pen::Own(writer), mark), inbox)
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
            alarm: Alarm::new(Fences::new()),
            receiver_allows: AtomicU64::new(0),
            bell: Bell::new(),
            writer,
            state: Mutex::default(),
        });
        Inbox::new(lane, reader)
    }

    /// One more sender, with its high-water mark; `None` if nobody will read any more.
    pub(crate) fn join(self: &Arc<Self>, mark: usize) -> Option<Outbox> {
        let writer = self.writer.as_ref()?;
        let mut state = lock(&self.state);
        if self.is_closed() || state.joined == tape::SENDERS {
            return None;
        }
        let account = self.enter(&mut state);
        drop(state);
        Some(Outbox::new(Arc::clone(self), account, Pen::Shared(Arc::clone(writer)), mark))
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
        if self.alarm.is_due() {
            self.bell.ring();
        }
    }
}
