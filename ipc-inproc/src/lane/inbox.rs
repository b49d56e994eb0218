//! The receiver's end of a lane.

use super::{Account, Lane, allows};
use crate::lock;
use crate::patience::{Patience, pause};
use crate::tape::Reader;
use crossbeam_channel::Receiver;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long the receiver sleeps at most where it is not certain that it will be woken.
const NAP: Duration = Duration::from_millis(20);

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
    patience: Patience,
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
    pub(super) fn new(lane: Arc<Lane>, reader: Reader) -> Self {
        let (page, lent, accounts) = (Vec::new(), Vec::new(), Vec::new());
        Inbox {
            lane,
            reader,
            page,
            lent,
            accounts,
            current: 0,
            patience: Patience::default(),
            ended: false,
        }
    }

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
            self.reader.finish(std::mem::take(&mut self.lent));
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
                self.fetch();
                Place::Buffer
            }
        })
    }

    /// Fetches a long message, with others if there are some.
    fn fetch(&mut self) {
        let patient = !self.reader.has_fetched() && self.patience.advises_pause();
        if patient {
            pause();
        }
        self.lent = self.reader.fetch();
        if patient && !self.reader.has_fetched() {
            self.patience.paused_in_vain();
        }
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
        self.reader.give_back();
        self.patience.looked_in_vain();
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
        let is_certain = self.lane.alarm.set();
        if !self.reader.has_news() && !self.lane.left.load(Ordering::Acquire) {
            let nap = limit.map_or(NAP, |limit| limit.min(NAP));
            self.lane.bell.sleep(shutdown, if is_certain { limit } else { Some(nap) });
        }
        self.lane.alarm.clear();
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
