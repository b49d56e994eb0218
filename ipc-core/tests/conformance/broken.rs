//! Transports that break a rule each, and the suite that has to see it: a suite that cannot fail proves
//! nothing.

use crate::datagram::Datagrams;
use crate::stream::{self, Stream};
use ipc_core::conformance::rules::{
    delivery, ending, full, many, names, pairs, resources, signals, waiting,
};
use ipc_core::conformance::{End, Fixture, Opened, Place, Placement, Setup, serve};
use ipc_core::{
    Capabilities, Endpoint, Error, ErrorKind, FramedReceiver, Pair, Receiver, Result, Sender, Wait,
};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::any::Any;
use std::os::fd::{AsFd, IntoRawFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Makes the faults, and for each the test that a rule fails in a placement, saying certain words.
macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $fault:ident, $test:ident:
        $theme:ident::$rule:ident in $placement:ident says $words:literal;)+) => {
        /// How a transport is broken.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Fault {
            $($(#[doc = $doc])+ $fault,)+
        }

        const FAULTS: &[Fault] = &[$(Fault::$fault),+];

        $(#[test]
        fn $test() {
            let setup = new_setup(Fault::$fault, Placement::$placement);
            let said = failure(setup, stringify!($rule), $theme::$rule);
            assert!(said.contains($words), "it said: {said}");
        })+
    };
}

faults! {
    /// Every seventh message is lost.
    Loses, a_lost_message_is_seen:
        delivery::many_messages_keep_their_boundaries_and_order in InProcess says "same up to byte 0";
    /// The last byte of a long message is lost.
    Cuts, a_cut_message_is_seen:
        delivery::a_message_of_any_size_arrives_as_sent in InProcess says "one of 100 received";
    /// The same, in the child.
    CutsInTheChild, a_cut_message_is_seen_across_processes:
        delivery::a_message_of_any_size_arrives_as_sent in SenderAcross says "one of 100 received";
    /// Two messages change places now and then.
    Swaps, swapped_messages_are_seen:
        delivery::many_messages_keep_their_boundaries_and_order in InProcess says "same up to byte 0";
    /// Two messages become one now and then.
    Joins, joined_messages_are_seen:
        delivery::many_messages_keep_their_boundaries_and_order in InProcess says "received";
    /// Empty messages are lost.
    LosesEmpty, a_lost_empty_message_is_seen:
        delivery::an_empty_message_is_a_message in InProcess says "a message of 0 bytes was sent";
    /// Messages may be longer than it says.
    TakesTooLong, a_limit_that_is_not_kept_is_seen:
        delivery::a_message_that_is_too_long_is_refused_and_the_channel_goes_on in InProcess
        says "it is too long";
    /// A batch is said to be sent, of which the first half is.
    LosesHalfOfBatches, a_batch_that_is_cut_is_seen:
        delivery::a_batch_arrives_in_order in InProcess says "the receiver to end its recv";
    /// Timeouts are over in no time.
    TimesOutEarly, an_early_timeout_is_seen:
        waiting::recv_timeout_on_nothing_times_out_in_time in InProcess says "too early";
    /// Timeouts are not looked at.
    NeverTimesOut, a_timeout_that_is_not_kept_is_seen:
        waiting::recv_timeout_on_nothing_times_out_in_time in InProcess
        says "waited more than 1s for the receiver to end its recv";
    /// `try_recv` waits.
    TryWaits, a_try_that_waits_is_seen:
        waiting::try_recv_on_nothing_would_block in InProcess says "for the receiver to end its recv";
    /// Interrupted calls fail.
    ShowsSignals, a_signal_that_shows_is_seen:
        signals::a_storm_of_signals_changes_no_timeout in InProcess says "System";
    /// Interrupted calls fail, in the child.
    ShowsSignalsInTheChild, a_signal_that_shows_is_seen_across_processes:
        signals::a_storm_of_signals_changes_no_timeout in ReceiverAcross says "System";
    /// Interrupted calls wait for the whole time once more.
    StartsAgain, a_timeout_that_starts_again_is_seen:
        signals::a_storm_of_signals_changes_no_timeout in InProcess
        says "for the receiver to end its recv";
    /// The end is waited for.
    HidesTheEnd, a_hidden_end_is_seen:
        ending::what_was_sent_is_read_before_disconnected in InProcess
        says "for the receiver to end its recv";
    /// The end is told once only.
    EndsOnce, an_end_that_does_not_last_is_seen:
        ending::what_was_sent_is_read_before_disconnected in InProcess says "would have to wait";
    /// `recv_into` empties the buffer before it knows of a message.
    SpoilsTheBuffer, a_spoilt_buffer_is_seen:
        ending::what_was_sent_is_read_before_disconnected in InProcess
        says "an error leaves the buffer as it was";
    /// The same, in the child.
    SpoilsTheBufferInTheChild, a_spoilt_buffer_is_seen_across_processes:
        ending::what_was_sent_is_read_before_disconnected in ReceiverAcross
        says "an error leaves the buffer as it was";
    /// A message that was refused is sent at the next occasion.
    SendsTheRefused, a_refused_message_that_arrives_is_seen:
        full::try_send_on_a_full_channel_would_block in InProcess says "received";
    /// A message for which there was no room is accepted.
    LosesTheAccepted, an_accepted_message_that_is_lost_is_seen:
        full::try_send_on_a_full_channel_would_block in InProcess says "received";
    /// A batch is said to be longer than it was sent.
    CountsWrong, a_batch_that_is_counted_wrong_is_seen:
        full::a_batch_on_a_full_channel_reports_what_was_sent in InProcess says "received";
    /// The waiting receiver keeps a processor busy.
    CostsTime, a_receiver_that_is_not_idle_is_seen:
        resources::a_receiver_that_waits_costs_nothing in InProcess says "spent on waiting";
    /// Errors name no endpoint.
    NamesNothing, an_error_without_endpoint_is_seen:
        resources::errors_name_the_operation_and_the_endpoint in InProcess says "names no endpoint";
    /// A descriptor of the end has no close-on-exec.
    Inherited, an_inherited_descriptor_is_seen:
        resources::no_descriptor_is_inherited_by_children in ReceiverAcross
        says "without close-on-exec";
    /// A descriptor outlives its end.
    Leaks, a_leaked_descriptor_is_seen:
        resources::a_dropped_end_leaves_no_descriptor in ReceiverAcross says "still open";
    /// It panics.
    Panics, a_child_that_panics_is_seen:
        delivery::recv_vec_gives_a_vector in ReceiverAcross says "as it was told to";
    /// It cannot be opened.
    CannotOpen, an_end_that_cannot_be_opened_is_seen:
        delivery::recv_vec_gives_a_vector in ReceiverAcross says "the receiver cannot be opened";
    /// A name can be bound twice.
    BindsTwice, a_name_bound_twice_is_seen:
        names::a_name_is_bound_once_and_free_when_dropped in InProcess says "bound twice";
    /// A pair receives what it sent.
    HearsItself, a_pair_that_hears_itself_is_seen:
        pairs::a_pair_carries_messages_both_ways in InProcess says "received";
    /// Among several senders, one message is lost.
    LosesAmongMany, a_message_lost_among_many_is_seen:
        many::several_senders_lose_and_mix_nothing in InProcess says "received";
}

/// The child of this module's tests.
#[test]
fn peer() {
    let Ok(place) = std::env::var("IPC_CONFORMANCE_PLACE") else { return };
    let name = place.split(' ').next().unwrap();
    let fault = FAULTS.iter().find(|fault| format!("{fault:?}") == name).unwrap();
    serve(&Broken(*fault));
}

fn new_setup(fault: Fault, placement: Placement) -> Setup {
    let setup = Setup::new(Arc::new(Broken(fault)), placement, "broken::peer");
    // A child takes its time to start; what hangs for this long in one process will not come back.
    if placement == Placement::InProcess { setup.with_patience(Duration::from_secs(1)) } else { setup }
}

/// What a rule says when it fails, which it must.
pub(crate) fn failure(setup: Setup, name: &str, rule: fn(&Setup)) -> String {
    let panic = catch_unwind(AssertUnwindSafe(|| setup.run(name, rule))).expect_err("the rule holds");
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string())).unwrap()
}

/// A transport with a fault.
struct Broken(Fault);

impl Broken {
    fn base(&self) -> &dyn Fixture {
        if self.0 == Fault::LosesAmongMany { &Datagrams } else { &Stream("") }
    }
}

impl Fixture for Broken {
    fn capabilities(&self) -> Capabilities {
        let capabilities = self.base().capabilities();
        if self.0 == Fault::TakesTooLong { capabilities.max_message(1_000) } else { capabilities }
    }

    fn place(&self) -> Place {
        let place = self.base().place();
        Place { text: format!("{:?} {}", self.0, place.text), keep: place.keep }
    }

    fn open(&self, end: End, place: &str) -> Result<Opened> {
        let fault = self.0;
        let (_, place) = place.split_once(' ').unwrap();
        if fault == Fault::CannotOpen {
            return Err(Error::new(ErrorKind::Unsupported, "open"));
        }
        if matches!(fault, Fault::ShowsSignals | Fault::ShowsSignalsInTheChild | Fault::StartsAgain)
            && end == End::Receiver
        {
            let endpoint = Endpoint::parse(place)?;
            let stream = stream::open_stream(end, place, Setup::PATIENCE)?;
            let receiver = FramedReceiver::new(stream, &endpoint);
            return Ok(Opened::Receiver(Box::new(Jumpy { receiver, fault })));
        }
        Ok(match self.base().open(end, place)? {
            Opened::Sender(inner) => Opened::Sender(Box::new(Spoilt::new(inner, fault))),
            Opened::Receiver(inner) => Opened::Receiver(Box::new(Spoilt::new(inner, fault))),
            Opened::Pair(inner) => Opened::Pair(Box::new(Spoilt::new(inner, fault))),
        })
    }

    fn bind(&self, place: &str) -> Option<Result<Box<dyn Any + Send>>> {
        let (_, place) = place.split_once(' ')?;
        let bound = self.base().bind(place)?;
        Some(if self.0 == Fault::BindsTwice { Ok(Box::new(bound.ok())) } else { bound })
    }
}

/// An end with a fault.
struct Spoilt<E> {
    inner: E,
    fault: Fault,
    calls: usize,
    /// A message that is held back.
    held: Option<Vec<u8>>,
}

impl<E> Spoilt<E> {
    fn new(inner: E, fault: Fault) -> Self {
        let descriptor = || UnixStream::pair().unwrap().0;
        match fault {
            Fault::Inherited => drop(nix::unistd::dup(descriptor()).unwrap().into_raw_fd()),
            Fault::Leaks => drop(descriptor().into_raw_fd()),
            _ => {}
        }
        Spoilt { inner, fault, calls: 0, held: None }
    }
}

impl<E: Sender> Sender for Spoilt<E> {
    fn send_within(&mut self, message: &[u8], wait: Wait) -> Result<()> {
        let Spoilt { inner, fault, calls, held } = self;
        *calls += 1;
        match fault {
            Fault::Loses | Fault::LosesAmongMany if *calls % 7 == 0 => Ok(()),
            Fault::LosesEmpty if message.is_empty() => Ok(()),
            Fault::Cuts | Fault::CutsInTheChild if message.len() > 100 => {
                inner.send_within(&message[..100], wait)
            }
            Fault::Swaps if *calls % 7 == 0 => {
                *held = Some(message.to_vec());
                Ok(())
            }
            Fault::Swaps => {
                inner.send_within(message, wait)?;
                held.take().map_or(Ok(()), |held| inner.send_within(&held, wait))
            }
            Fault::Joins if *calls % 7 == 0 => {
                *held = Some(message.to_vec());
                Ok(())
            }
            Fault::Joins => {
                let joined = [&held.take().unwrap_or_default(), message].concat();
                inner.send_within(&joined, wait)
            }
            Fault::HearsItself => {
                *held = Some(message.to_vec());
                inner.send_within(message, wait)
            }
            Fault::SendsTheRefused => {
                if let Some(refused) = held {
                    inner.send_within(refused, wait)?;
                }
                let result = inner.send_within(message, wait);
                *held = result.is_err().then(|| message.to_vec());
                result
            }
            Fault::LosesTheAccepted => match inner.send_within(message, wait) {
                Err(error) if error.kind() == ErrorKind::WouldBlock && held.is_none() => {
                    *held = Some(Vec::new());
                    Ok(())
                }
                result => result,
            },
            _ => inner.send_within(message, wait),
        }
    }

    fn send_batch(&mut self, messages: &[&[u8]], wait: Wait) -> Result<usize> {
        match self.fault {
            Fault::LosesHalfOfBatches => {
                self.inner.send_batch(&messages[..messages.len() / 2], wait).map(|_| messages.len())
            }
            Fault::CountsWrong => {
                self.inner.send_batch(messages, wait).map(|sent| (sent + 1).min(messages.len()))
            }
            _ => self.inner.send_batch(messages, wait),
        }
    }
}

impl<E: Receiver> Receiver for Spoilt<E> {
    fn recv_within(&mut self, wait: Wait) -> Result<&[u8]> {
        match (self.fault, wait) {
            (Fault::TimesOutEarly, Wait::Until(_)) => {
                self.inner.recv_within(Wait::timeout(Duration::ZERO))
            }
            (Fault::NeverTimesOut, Wait::Until(_)) | (Fault::TryWaits, Wait::Never) => {
                self.inner.recv_within(Wait::Forever)
            }
            (Fault::CostsTime, Wait::Forever) => {
                let waiting = |inner: &mut E| inner.try_recv().map(|_| ()).is_err();
                // Not quite right either: the message is lost. But nobody gets that far.
                while waiting(&mut self.inner) {
                    let started = Instant::now();
                    while started.elapsed() < Duration::from_millis(1) {}
                    thread::sleep(Duration::from_millis(1));
                }
                Ok(&[])
            }
            (Fault::Panics, _) => panic!("as it was told to"),
            (Fault::HearsItself, _) if self.held.is_some() => {
                Ok(self.held.insert(b"my own words".to_vec()))
            }
            (fault, wait) => {
                self.calls += 1;
                let calls = self.calls;
                match self.inner.recv_within(wait) {
                    Err(error) if error.kind() == ErrorKind::Disconnected => match fault {
                        Fault::HidesTheEnd => loop {
                            thread::park();
                        },
                        Fault::EndsOnce if calls > 4 => Err(error.with_kind(ErrorKind::WouldBlock)),
                        _ => Err(error),
                    },
                    Err(error) if fault == Fault::NamesNothing => {
                        Err(Error::new(error.kind(), error.operation()))
                    }
                    result => result,
                }
            }
        }
    }

    fn recv_into(&mut self, buffer: &mut Vec<u8>) -> Result<usize> {
        if matches!(self.fault, Fault::SpoilsTheBuffer | Fault::SpoilsTheBufferInTheChild) {
            buffer.clear();
        }
        self.inner.recv_into(buffer)
    }
}

impl Pair for Spoilt<Box<dyn Pair>> {
    fn split_boxed(self: Box<Self>) -> (Box<dyn Sender>, Box<dyn Receiver>) {
        self.inner.split_boxed()
    }
}

/// A receiver that does not take signals well.
struct Jumpy {
    receiver: FramedReceiver<UnixStream>,
    fault: Fault,
}

impl Receiver for Jumpy {
    fn recv_within(&mut self, wait: Wait) -> Result<&[u8]> {
        let timeout = wait.remaining();
        let limit = timeout.map_or(PollTimeout::NONE, |limit| limit.try_into().unwrap());
        let fd = self.receiver.as_fd().try_clone_to_owned().unwrap();
        while let Err(Errno::EINTR) = poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], limit) {
            if self.fault != Fault::StartsAgain {
                return Err(Error::from_io(Errno::EINTR.into(), "recv"));
            }
        }
        self.receiver.recv_within(wait)
    }
}
