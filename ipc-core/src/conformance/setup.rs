//! What a rule is given: a transport, a place, and where the two ends are to live.

use super::ends::{Background, Both, Rx, Tx, Watched};
use super::remote::{Process, RemoteEnd, start};
use super::watch::Activity;
use super::{End, Fixture, Opened, lock};
use crate::{Capabilities, Result};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Where the two ends live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Both in this process, each opened in a thread of its own.
    InProcess,
    /// The sender, or the connecting end of a pair, in a child process.
    SenderAcross,
    /// The receiver, or the binding end of a pair, in a child process.
    ReceiverAcross,
}

/// A place of a transport's, to try one rule at.
pub struct Setup {
    fixture: Arc<dyn Fixture>,
    placement: Placement,
    peer_test: String,
    patience: Duration,
    place: String,
    keep: Mutex<Option<Box<dyn Any + Send>>>,
    activities: Mutex<Vec<Arc<Activity>>>,
    children: Mutex<Vec<Arc<Process>>>,
}

impl Setup {
    /// How long a single call may take before it counts as hanging.
    pub const PATIENCE: Duration = Duration::from_secs(10);

    /// How many times its patience a whole rule may take.
    const WHOLE_RULE: u32 = 6;

    /// A new place. `peer_test` is the path, within the test binary, of the test that calls
    /// [`serve`](super::serve).
    pub fn new(fixture: Arc<dyn Fixture>, placement: Placement, peer_test: &str) -> Setup {
        let place = fixture.place();
        Setup {
            fixture,
            placement,
            peer_test: peer_test.to_owned(),
            patience: Setup::PATIENCE,
            place: place.text,
            keep: Mutex::new(Some(place.keep)),
            activities: Mutex::default(),
            children: Mutex::default(),
        }
    }

    /// Sets how long a single call may take.
    pub fn with_patience(mut self, patience: Duration) -> Setup {
        self.patience = patience;
        self
    }

    /// Tries one rule.
    ///
    /// # Panics
    ///
    /// If the transport breaks it, or a call hangs. Children are gone and the place is cleaned up then,
    /// too.
    pub fn run(self, name: &str, rule: fn(&Setup)) {
        let Setup { placement, patience, .. } = self;
        if placement != Placement::InProcess && !self.capabilities().crosses_processes {
            return println!("passed over: the ends cannot be in two processes");
        }
        let setup = Arc::new(self);
        let (done, result) = mpsc::channel();
        let of_rule = Arc::clone(&setup);
        let start = thread::Builder::new().name(name.to_owned()).spawn(move || {
            // A rule is not used again after a panic.
            let result = catch_unwind(AssertUnwindSafe(|| rule(&of_rule)));
            drop(of_rule);
            // The receiver is gone if the rule was given up.
            let _ = done.send(result);
        });
        start.expect("a thread for the rule");
        let started = Instant::now();
        let result = loop {
            if let Ok(result) = result.recv_timeout(Duration::from_millis(50)) {
                break result;
            }
            let too_long = setup.overdue().or_else(|| {
                let limit = patience * Setup::WHOLE_RULE;
                (started.elapsed() > limit).then(|| format!("{limit:?} for the rule to end"))
            });
            if let Some(too_long) = too_long {
                setup.clean_up();
                panic!("{name}, {placement:?}: waited more than {too_long}");
            }
        };
        setup.clean_up();
        if let Err(panic) = result {
            resume_unwind(panic);
        }
    }

    /// What the transport can do.
    pub fn capabilities(&self) -> Capabilities {
        self.fixture.capabilities()
    }

    /// Says whether the rule applies, and prints why not: `needs` is what the transport would have to be.
    pub fn applies(&self, condition: bool, needs: &str) -> bool {
        if !condition {
            println!("passed over: the transport is not {needs}");
        }
        condition
    }

    /// Where the ends live.
    pub fn placement(&self) -> Placement {
        self.placement
    }

    /// The transport.
    pub fn fixture(&self) -> &dyn Fixture {
        &*self.fixture
    }

    /// The place, as text.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// How long a single call may take.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Opens a sender and a receiver.
    pub fn open(&self) -> (Tx, Rx) {
        let (mut senders, receiver) = self.open_many(1);
        (senders.remove(0), receiver)
    }

    /// Opens several senders and a receiver.
    pub fn open_many(&self, senders: usize) -> (Vec<Tx>, Rx) {
        let senders: Vec<_> = (0..senders).map(|_| self.begin(End::Sender, sender)).collect();
        let receiver = self.begin(End::Receiver, receiver);
        let senders = senders.into_iter().map(|sender| sender.finish()).collect();
        both(senders, receiver.finish())
    }

    /// Opens the binding and the connecting end of a pair.
    pub fn open_pair(&self) -> (Both, Both) {
        let binder = self.begin(End::Binder, pair);
        let connector = self.begin(End::Connector, pair);
        both(binder.finish(), connector.finish())
    }

    /// Does something with an end in a thread of its own.
    pub fn background<E: Send + 'static, T: Send + 'static>(
        &self,
        end: Watched<E>,
        work: impl FnOnce(&mut Watched<E>) -> T + Send + 'static,
    ) -> Background<E, T> {
        Background::start(end, self.patience, work)
    }

    /// Takes a pair apart.
    pub fn split(&self, pair: Both) -> (Tx, Rx) {
        let (sender, receiver) = pair.split();
        lock(&self.activities).extend([Arc::clone(sender.activity()), Arc::clone(receiver.activity())]);
        (sender, receiver)
    }

    /// Begins to open an end where the placement has it, at the same time as the other.
    fn begin<E: Send + 'static>(&self, end: End, concrete: fn(Opened) -> E) -> Opening<E> {
        let activity = self.new_activity(format!("the {end:?}").to_lowercase());
        let across = match self.placement {
            Placement::InProcess => false,
            Placement::SenderAcross => matches!(end, End::Sender | End::Connector),
            Placement::ReceiverAcross => matches!(end, End::Receiver | End::Binder),
        };
        if across {
            let what = (end, &*self.place, &*self.peer_test);
            let remote = start(&*self.fixture, what, &activity);
            lock(&self.children).push(Arc::clone(remote.process()));
            return Opening::Child(remote, activity);
        }
        let (fixture, place) = (Arc::clone(&self.fixture), self.place.clone());
        let recorded = Arc::clone(&activity);
        let thread = thread::spawn(move || {
            recorded.during("open", true, || fixture.open(end, &place)).map(concrete)
        });
        Opening::Here(thread, activity)
    }

    fn new_activity(&self, who: String) -> Arc<Activity> {
        let activity = Arc::new(Activity::new(who));
        lock(&self.activities).push(Arc::clone(&activity));
        activity
    }

    fn overdue(&self) -> Option<String> {
        lock(&self.activities).iter().find_map(|activity| activity.overdue(self.patience))
    }

    /// No child and no object is left, though a hanging thread may still hold on to this.
    fn clean_up(&self) {
        lock(&self.children).drain(..).for_each(|child| child.kill());
        *lock(&self.keep) = None;
    }
}

/// An end that is being opened.
enum Opening<E> {
    Here(JoinHandle<Result<E>>, Arc<Activity>),
    Child(RemoteEnd, Arc<Activity>),
}

impl<E> Opening<E> {
    /// The end, or what went wrong.
    fn finish(self) -> Result<Watched<E>, String> {
        let (who, opened) = match self {
            Opening::Here(thread, activity) => {
                let end = thread.join().unwrap_or_else(|panic| resume_unwind(panic));
                (activity.who().to_owned(), end.map(|end| Watched::here(end, activity)))
            }
            Opening::Child(end, activity) => {
                let opened = end.opened(&activity);
                (activity.who().to_owned(), opened.map(|()| Watched::in_child(end, activity)))
            }
        };
        opened.map_err(|error| format!("{who} cannot be opened: {error:?}"))
    }
}

/// Both ends, or what went wrong with either: often the one that waited is not the one to blame.
fn both<A, B>(one: Result<A, String>, other: Result<B, String>) -> (A, B) {
    match (one, other) {
        (Ok(one), Ok(other)) => (one, other),
        (one, other) => {
            let errors: Vec<_> = [one.err(), other.err()].into_iter().flatten().collect();
            panic!("{}", errors.join("; "))
        }
    }
}

fn sender(opened: Opened) -> Box<dyn crate::Sender> {
    match opened {
        Opened::Sender(sender) => sender,
        _ => panic!("the fixture was asked for a sender, and opened something else"),
    }
}

fn receiver(opened: Opened) -> Box<dyn crate::Receiver> {
    match opened {
        Opened::Receiver(receiver) => receiver,
        _ => panic!("the fixture was asked for a receiver, and opened something else"),
    }
}

fn pair(opened: Opened) -> Box<dyn crate::Pair> {
    match opened {
        Opened::Pair(pair) => pair,
        _ => panic!("the fixture was asked for a pair, and opened something else"),
    }
}

/// Waits until something is so, for which there is no event to wait on.
///
/// # Panics
///
/// If it is not so within the time; `what` says what was waited for.
pub fn until(what: &str, patience: Duration, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < patience, "waited {patience:?} until {what}");
        thread::sleep(Duration::from_micros(200));
    }
}
