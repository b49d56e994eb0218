//! Calls: a request goes out, its answer comes back, over any [`Pair`](crate::Pair).
//!
//! There are three ways to talk to another process:
//!
//! * **asynchronous**: send, and go on. That is [`Sender::send`]; to collect an answer later, keep the
//!   [`Ticket`] that [`Caller::request`] gives.
//! * **synchronous**: send, and wait until the other has dealt with it: [`Caller::call`], with an answer
//!   that may be empty.
//! * **remote call**: the request names a procedure and its arguments, the answer is the result; the
//!   caller waits like one of a function. That is [`Caller::call`] again, and [`Server::serve`] on the other
//!   side.
//!
//! What is on the wire is told by [`Caller`].

use crate::{Attempt, Error, ErrorKind, Receiver, Result, Sender, Wait};
use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Weak};

const NUMBER: usize = 8;

/// The side that asks, over any [`Pair`](crate::Pair); a [`Server`] is the other.
///
/// To send and go on, keep the [`Ticket`] that [`request`](Caller::request) gives; to wait for the answer, use
/// [`call`](Caller::call).
///
/// ```
/// # use ipc_core::{Caller, Pair, Result, Server, Wait};
/// fn ask(pair: impl Pair) -> Result<()> {
///     let mut caller = Caller::new(pair);
///     let sum = caller.call(b"1 + 1", Wait::Forever)?;
///     assert_eq!(sum, b"2");
///
///     let first = caller.request(b"2 + 2", Wait::Forever)?;
///     let second = caller.request(b"3 + 3", Wait::Forever)?;
///     assert_eq!(caller.collect(&second, Wait::Forever)?, b"6");
///     assert_eq!(caller.collect(&first, Wait::Forever)?, b"4");
///     Ok(())
/// }
/// ```
///
/// # On the wire
///
/// A request is a number of eight bytes, little-endian, and then the caller's bytes; the answer is the same
/// number, and then the server's bytes. The caller counts the numbers up, from one drawn at random: in a queue,
/// which outlives those who use it, the late answer to an earlier caller may be waiting. So answers may come in
/// any order, and one that comes after its call had run out of time is known for what it is and dropped, instead
/// of being taken for the next call's.
///
/// The longest request is eight bytes shorter than the transport's longest message. The eight bytes may be any:
/// so of the [framings](crate::Framing) of a stream `lines` and `nul` fail sooner or later, and `raw` does not
/// keep messages apart. Over UDP a request or its answer may be lost: give each call a deadline, and make it
/// again.
#[derive(Debug)]
pub struct Caller<P> {
    pair: P,
    last: u64,
    /// The requests that are not answered, or whose answers are not collected.
    open: BTreeMap<u64, Open>,
    /// How many of them there were after those had been thrown out that nobody holds a ticket of.
    kept: usize,
    request: Vec<u8>,
    answer: Vec<u8>,
}

#[derive(Debug)]
struct Open {
    ticket: Weak<()>,
    answer: Option<Vec<u8>>,
}

/// A request under way, whose answer can be collected with it. Dropping it gives the answer up.
#[must_use = "dropped, it gives the answer up"]
#[derive(Debug)]
pub struct Ticket {
    number: u64,
    held: Arc<()>,
}

impl<P: Sender + Receiver> Caller<P> {
    /// Asks over `pair`, which is used for nothing else meanwhile.
    pub fn new(pair: P) -> Self {
        let last = random();
        Caller { pair, last, open: BTreeMap::new(), kept: 0, request: Vec::new(), answer: Vec::new() }
    }

    /// Sends a request, and waits for its answer, both within `wait`.
    ///
    /// # Errors
    ///
    /// Those of [`Sender::send`] and [`Receiver::recv`]. After [`TimedOut`](ErrorKind::TimedOut) the
    /// request may have been dealt with or not; its answer is dropped when it comes, and the next call
    /// is as good as the first. [`Corrupted`](ErrorKind::Corrupted) if the peer sends what is no answer.
    pub fn call(&mut self, request: &[u8], wait: Wait) -> Result<&[u8]> {
        // Nobody else asks for this answer, so there is no ticket, and nothing to allocate.
        let number = self.send(request, wait)?;
        self.receive(number, wait)?;
        Ok(&self.answer)
    }

    /// Sends a request, and leaves the answer for later. `wait` is for room to send.
    pub fn request(&mut self, request: &[u8], wait: Wait) -> Result<Ticket> {
        let number = self.send(request, wait)?;
        let held = Arc::new(());
        self.open.insert(number, Open { ticket: Arc::downgrade(&held), answer: None });
        if self.open.len() > self.kept.saturating_mul(2).max(16) {
            self.open.retain(|_, open| open.ticket.strong_count() > 0);
            self.kept = self.open.len();
        }
        Ok(Ticket { number, held })
    }

    /// Waits for the answer to an earlier request. Other answers that come meanwhile are kept for whoever
    /// holds their tickets. After a time-out it may be tried again.
    ///
    /// # Errors
    ///
    /// Those of [`Receiver::recv`]; [`NotFound`](ErrorKind::NotFound) if it has been collected before, or
    /// the ticket is another caller's; [`Corrupted`](ErrorKind::Corrupted) if the peer sends what is no
    /// answer.
    pub fn collect(&mut self, ticket: &Ticket, wait: Wait) -> Result<&[u8]> {
        let Some(open) = self.open.get_mut(&ticket.number).filter(|open| open.is_of(ticket)) else {
            let error = Error::new(ErrorKind::NotFound, "collect");
            return Err(error.with_detail("this answer was collected before, or is another caller's"));
        };
        if let Some(answer) = open.answer.take() {
            self.answer = answer;
        } else {
            self.receive(ticket.number, wait)?;
        }
        self.open.remove(&ticket.number);
        Ok(&self.answer)
    }

    /// Sends a request, and says which number it has.
    fn send(&mut self, request: &[u8], wait: Wait) -> Result<u64> {
        let number = self.last.wrapping_add(1);
        write(&mut self.request, number, request);
        self.pair.send_within(&self.request, wait)?;
        self.last = number;
        Ok(number)
    }

    /// Receives until the answer to `wanted` is there.
    fn receive(&mut self, wanted: u64, wait: Wait) -> Result<()> {
        let mut attempt = Attempt::new(wait);
        loop {
            let (number, answer) = read(self.pair.recv_within(wait)?)?;
            if number == wanted {
                self.answer.clear();
                self.answer.extend_from_slice(answer);
                return Ok(());
            }
            match self.open.get_mut(&number) {
                Some(open) if open.ticket.strong_count() > 0 => open.answer = Some(answer.to_vec()),
                _ => drop(self.open.remove(&number)),
            }
            attempt.passed_over().map_err(|kind| Error::new(kind, "recv"))?;
        }
    }

    /// The pair. What is received from it here is missing from the answers.
    pub fn into_inner(self) -> P {
        self.pair
    }
}

impl Open {
    fn is_of(&self, ticket: &Ticket) -> bool {
        std::ptr::eq(self.ticket.as_ptr(), Arc::as_ptr(&ticket.held))
    }
}

/// The side that answers one caller. For several, make one for each, in a thread of its own.
#[derive(Debug)]
pub struct Server<P> {
    pair: P,
    answer: Vec<u8>,
}

impl<P: Sender + Receiver> Server<P> {
    /// Answers over `pair`.
    pub fn new(pair: P) -> Self {
        Server { pair, answer: Vec::new() }
    }

    /// Waits for one request, has `handler` make the answer, and sends it, all within `wait` but for the
    /// handler's own time.
    ///
    /// # Errors
    ///
    /// Those of [`Receiver::recv`] and [`Sender::send`]. If the answer cannot be sent, the request has been
    /// dealt with all the same. [`Corrupted`](ErrorKind::Corrupted) if the peer sends what is no request.
    pub fn serve_one<A: AsRef<[u8]>>(
        &mut self,
        wait: Wait,
        handler: impl FnOnce(&[u8]) -> A,
    ) -> Result<()> {
        let (number, request) = read(self.pair.recv_within(wait)?)?;
        let answer = handler(request);
        write(&mut self.answer, number, answer.as_ref());
        self.pair.send_within(&self.answer, wait)
    }

    /// Answers request after request, until the caller has gone.
    ///
    /// A pair that hears several callers, such as a bound datagram socket, is better served by
    /// [`serve_one`](Server::serve_one) again and again: here one caller that has gone, or sends what is no
    /// request, is the end for all.
    ///
    /// # Errors
    ///
    /// As [`serve_one`](Server::serve_one), but for [`Disconnected`](ErrorKind::Disconnected), which is the
    /// normal end.
    pub fn serve<A: AsRef<[u8]>>(&mut self, mut handler: impl FnMut(&[u8]) -> A) -> Result<()> {
        loop {
            match self.serve_one(Wait::Forever, &mut handler) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Disconnected => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

/// A number that no other caller has drawn: the standard library's random hash keys, with the process,
/// since a forked child has the same keys.
fn random() -> u64 {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish()
}

fn write(buffer: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    buffer.clear();
    buffer.extend_from_slice(&number.to_le_bytes());
    buffer.extend_from_slice(bytes);
}

fn read(message: &[u8]) -> Result<(u64, &[u8])> {
    match message.split_first_chunk() {
        Some((number, rest)) => Ok((u64::from_le_bytes(*number), rest)),
        None => Err(Error::new(ErrorKind::Corrupted, "recv").with_detail(format!(
            "a call's message begins with a number of {NUMBER} bytes; this one has {} in all",
            message.len()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// A peer that answers each request with itself.
    #[derive(Debug, Default)]
    struct Echo {
        answers: VecDeque<Vec<u8>>,
        last: Vec<u8>,
    }

    impl Sender for Echo {
        fn send_within(&mut self, message: &[u8], _: Wait) -> Result<()> {
            self.answers.push_back(message.to_vec());
            Ok(())
        }
    }

    impl Receiver for Echo {
        fn recv_within(&mut self, _: Wait) -> Result<&[u8]> {
            self.last = self.answers.pop_front().ok_or(Error::new(ErrorKind::WouldBlock, "recv"))?;
            Ok(&self.last)
        }
    }

    #[test]
    fn requests_whose_tickets_were_dropped_cost_no_memory() {
        let mut caller = Caller::new(Echo::default());
        let kept = caller.request(b"kept", Wait::Never).unwrap();
        for _ in 0..10_000 {
            drop(caller.request(b"given up", Wait::Never).unwrap());
            assert!(caller.open.len() <= 32, "{}", caller.open.len());
        }
        // Nor do their answers, which come before this one.
        assert_eq!(caller.call(b"last", Wait::Forever).unwrap(), b"last");
        assert!(caller.open.values().filter(|open| open.answer.is_some()).count() <= 1);
        assert_eq!(caller.collect(&kept, Wait::Never).unwrap(), b"kept");
    }
}
