//! The names of a context: who is bound to them, and who waits for somebody to bind.
//!
//! A connection is made by the one who connects, with all four ends of its two lanes. Two of them he keeps;
//! the other two, the [`Link`], go to the pair that is bound to the name, or wait in line until one is. So it
//! makes no difference to anybody who came first.

use crate::lane::{Inbox, Lane, Outbox};
use crate::lock;
use crossbeam_channel::Sender;
use ipc_core::ErrorKind;
use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock, Weak};

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Names(Mutex<HashMap<String, Name>>);

#[derive(Debug, Default)]
struct Name {
    owner: Option<Owner>,
    line: Line,
}

/// Who is bound to a name.
#[derive(Clone, Debug)]
pub(crate) enum Owner {
    /// A pair.
    Pair(Arc<Slot>),
    /// A receiver for several senders: its lane.
    Receiver(Arc<Lane>),
}

/// Who waits for a name to be bound.
#[derive(Debug, Default)]
enum Line {
    #[default]
    Nobody,
    /// Connections of pairs. Only the last can have somebody at its other end; those before him have left
    /// messages behind. Each waits for a bind of its own.
    Pairs(VecDeque<Link>),
    /// Senders, who share the lane that the receiver will find here.
    Senders(Inbox),
}

/// A bound pair's place for its one peer.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Set when the peer comes.
    peer: OnceLock<Connector>,
    /// To the pair's two halves, which wait for their ends of the connection there.
    outboxes: Sender<Outbox>,
    inboxes: Sender<Inbox>,
    marks: Marks,
}

/// A pair's high-water marks, in messages; 0 is no limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marks {
    pub(crate) send: usize,
    pub(crate) recv: usize,
}

/// The far ends of a connection, and who has the near ones.
#[derive(Debug)]
struct Link {
    outbox: Outbox,
    inbox: Inbox,
    connector: Connector,
}

/// Whoever has connected. Nothing is asked of them but whether they have gone.
#[derive(Debug)]
pub(crate) struct Connector(Weak<dyn Any + Send + Sync>);

/// Why a name could not be bound or connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Somebody is bound to it.
    InUse,
    /// It has a pair connected to it, or waiting for it.
    Busy,
    /// It is bound by a pair, or has pairs waiting for it, and the caller is not one.
    IsPair,
    /// The same for a receiver and senders.
    IsReceiver,
}

impl Refused {
    /// What it is for the user, and what would be right.
    pub(crate) fn explain(self) -> (ErrorKind, &'static str) {
        match self {
            Refused::InUse => (ErrorKind::AddrInUse, "somebody in this context is bound to the name"),
            Refused::Busy => (
                ErrorKind::Busy,
                "a pair has one peer at a time; for several senders, bind a receiver: bind_receiver",
            ),
            Refused::IsPair => (
                ErrorKind::WrongType,
                "pairs meet at this name: use bind and connect, not bind_receiver and connect_sender",
            ),
            Refused::IsReceiver => (
                ErrorKind::WrongType,
                "a receiver and its senders meet at this name: use bind_receiver and connect_sender",
            ),
        }
    }
}

impl Names {
    /// Binds a pair, which gets as its peer who has waited longest.
    pub(crate) fn bind_pair(&self, name: &str, slot: &Arc<Slot>) -> Result<(), Refused> {
        self.at(name, |name| {
            name.check_free()?;
            match &mut name.line {
                Line::Senders(_) => return Err(Refused::IsReceiver),
                Line::Pairs(line) if slot.is_free() => {
                    line.pop_front().into_iter().for_each(|link| slot.engage(link));
                }
                Line::Nobody | Line::Pairs(_) => {}
            }
            name.owner = Some(Owner::Pair(Arc::clone(slot)));
            Ok(())
        })
    }

    /// Connects a pair, now or as soon as somebody binds.
    pub(crate) fn connect_pair(
        &self,
        name: &str,
        marks: Marks,
        connector: Connector,
    ) -> Result<(Outbox, Inbox), Refused> {
        self.at(name, |name| {
            let free = match &name.owner {
                Some(Owner::Receiver(_)) => return Err(Refused::IsReceiver),
                Some(Owner::Pair(slot)) if slot.has_peer() => return Err(Refused::Busy),
                Some(Owner::Pair(slot)) => slot.is_free().then_some(slot),
                None => None,
            };
            let line = match &mut name.line {
                Line::Senders(_) => return Err(Refused::IsReceiver),
                Line::Nobody => None,
                Line::Pairs(line) if line.back().is_some_and(Link::is_live) => {
                    return Err(Refused::Busy);
                }
                Line::Pairs(line) => Some(line),
            };
            let (outbox, far_inbox) = Lane::for_one(marks.send);
            let (far_outbox, inbox) = Lane::for_one(0);
            inbox.open_up(marks.recv);
            let link = Link { outbox: far_outbox, inbox: far_inbox, connector };
            match (free, line) {
                (Some(slot), _) => slot.engage(link),
                (None, Some(line)) => line.push_back(link),
                (None, None) => name.line = Line::Pairs([link].into()),
            }
            Ok((outbox, inbox))
        })
    }

    /// Binds a receiver for several senders, which gets all those who wait.
    pub(crate) fn bind_receiver(&self, name: &str, mark: usize) -> Result<Inbox, Refused> {
        self.at(name, |name| {
            name.check_free()?;
            let inbox = match std::mem::take(&mut name.line) {
                Line::Nobody => Lane::for_many(),
                Line::Senders(inbox) => inbox,
                pairs @ Line::Pairs(_) => {
                    name.line = pairs;
                    return Err(Refused::IsPair);
                }
            };
            inbox.open_up(mark);
            name.owner = Some(Owner::Receiver(Arc::clone(inbox.lane())));
            Ok(inbox)
        })
    }

    /// Connects a sender, now or as soon as somebody binds.
    pub(crate) fn connect_sender(&self, name: &str, mark: usize) -> Result<Outbox, Refused> {
        self.at(name, |name| {
            match &name.owner {
                Some(Owner::Pair(_)) => return Err(Refused::IsPair),
                Some(Owner::Receiver(lane)) => {
                    if let Some(outbox) = lane.join(mark) {
                        return Ok(outbox);
                    }
                    // The receiver has come to its end, and is about to let go of the name.
                }
                None => {}
            }
            match &name.line {
                Line::Pairs(_) => Err(Refused::IsPair),
                // The one who waits in line reads nothing, and so never comes to an end.
                Line::Senders(inbox) => inbox.lane().join(mark).ok_or(Refused::InUse),
                Line::Nobody => {
                    let inbox = Lane::for_many();
                    let outbox = inbox.lane().join(mark).ok_or(Refused::InUse)?;
                    name.line = Line::Senders(inbox);
                    Ok(outbox)
                }
            }
        })
    }

    /// Lets go of a name; false if it was not the owner's.
    pub(crate) fn unbind(&self, name: &str, owner: &Owner) -> bool {
        self.at(name, |name| {
            let owned = name.owner.as_ref().is_some_and(|bound| bound.is(owner));
            if owned {
                name.owner = None;
            }
            owned
        })
    }

    /// Forgets those who waited for a name, have gone, and left nothing behind.
    pub(crate) fn tidy(&self, name: &str) {
        self.at(name, |_| ());
    }

    /// Forgets everything: the context is shut down.
    pub(crate) fn clear(&self) {
        let names = std::mem::take(&mut *lock(&self.0));
        drop(names);
    }

    /// Does something with a name, and keeps in the table only what is worth it.
    fn at<T>(&self, name: &str, work: impl FnOnce(&mut Name) -> T) -> T {
        let mut names = lock(&self.0);
        // Looked up first, so that only a new name is copied.
        if !names.contains_key(name) {
            names.insert(name.to_owned(), Name::default());
        }
        let Some(entry) = names.get_mut(name) else {
            return work(&mut Name::default());
        };
        entry.line.tidy();
        let result = work(entry);
        if entry.owner.is_none() && entry.line.tidy() {
            names.remove(name);
        }
        result
    }
}

impl Name {
    fn check_free(&self) -> Result<(), Refused> {
        if self.owner.is_some() { Err(Refused::InUse) } else { Ok(()) }
    }
}

impl Line {
    /// Forgets who has gone and left nothing behind. True if nobody is left.
    fn tidy(&mut self) -> bool {
        let empty = match self {
            Line::Nobody => true,
            Line::Pairs(line) => {
                line.retain(|link| link.is_live() || !link.inbox.is_spent());
                line.is_empty()
            }
            Line::Senders(inbox) => inbox.is_spent(),
        };
        if empty {
            *self = Line::Nobody;
        }
        empty
    }
}

impl Owner {
    fn is(&self, other: &Owner) -> bool {
        match (self, other) {
            (Owner::Pair(one), Owner::Pair(other)) => Arc::ptr_eq(one, other),
            (Owner::Receiver(one), Owner::Receiver(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Slot {
    pub(crate) fn new(outboxes: Sender<Outbox>, inboxes: Sender<Inbox>, marks: Marks) -> Self {
        Slot { peer: OnceLock::new(), outboxes, inboxes, marks }
    }

    /// No peer has come so far.
    pub(crate) fn is_free(&self) -> bool {
        self.peer.get().is_none()
    }

    /// There is a peer, and it has not gone.
    fn has_peer(&self) -> bool {
        self.peer.get().is_some_and(Connector::is_live)
    }

    fn engage(&self, link: Link) {
        let Link { mut outbox, inbox, connector } = link;
        let _ = self.peer.set(connector);
        outbox.set_mark(self.marks.send);
        inbox.open_up(self.marks.recv);
        // There is room for the one peer that ever comes. If a half of the pair has gone, so does its end
        // of the connection, which tells the peer.
        let _ = self.outboxes.try_send(outbox);
        let _ = self.inboxes.try_send(inbox);
    }
}

impl Link {
    fn is_live(&self) -> bool {
        self.connector.is_live()
    }
}

impl Connector {
    /// They have gone when `who` is dropped.
    pub(crate) fn new<T: Any + Send + Sync>(who: &Arc<T>) -> Self {
        let who: Weak<T> = Arc::downgrade(who);
        Connector(who)
    }

    fn is_live(&self) -> bool {
        self.0.strong_count() > 0
    }
}
