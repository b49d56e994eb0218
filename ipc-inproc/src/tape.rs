//! The tape: short messages, written by one thread and read by another, without a lock between them.
//!
//! A tape is made of reels, which are words of 64 bits. A record is a word of head and the message, padded
//! to whole words. The reader looks at one word only, the head of the next record, which is zero until
//! that record is there: so a small message is found in the very cache line that brings it.
//!
//! ```text
//!   been read              there, to be read
//! [head|message......][head|message][head|message....][ 0 ]..........
//!                     ^ reader                        ^ writer
//! ```
//!
//! To publish a record the writer writes the message, then zero where the next head will be, and then
//! (release) the head, which is not zero. So whoever reads a head that is not zero (acquire) finds the message
//! whole, and the next head zero.
//!
//! One word of a reel always stays free for that zero. When the next record does not fit before it, the
//! writer takes another reel, leaves it at the [`Depot`] for the reader, and writes there "it goes on
//! elsewhere". The reader fetches the next reel, and leaves the one that it has read, to be written again.
//! The depot has a lock, which is taken once for hundreds of messages. So a tape is as long as it has to be,
//! and allocates nothing once there are as many reels as are needed at a time.
//!
//! A long message travels in a buffer of its own: copying it word by word, and out again, would cost more
//! than the lock of the depot, where it waits. Its record on the tape is a head only, and says when it is due.
//!
//! Neither side looks at what the other does, unless it has to: the writer never reads what it has written, and
//! learns from the [credit](crate::credit) how far the reader is, only when that seems to be needed.

use crate::atomic::AtomicU64;
use crate::atomic::Ordering::{Acquire, Relaxed, Release};
use crate::lock;
use crate::spares::{Buffers, Stack};
use crate::sync::{Arc, Mutex};
use std::collections::{TryReserveError, VecDeque};

/// From this length on, in bytes, a message travels in a buffer of its own.
pub(crate) const LONG: usize = 4 * 1024;

/// The words of a reel: 16 KiB, room for 200 messages of 64 bytes, or for a few of nearly the longest.
const REEL: usize = 2 * 1024;

/// Buffers are taken and given back together, up to so many bytes of them.
const HANDFUL: usize = 64 * 1024;

/// The bits of a head: the length of the message in bytes, and above it the number of its sender.
const LENGTH: u64 = 0xffff;
const SENDER: u32 = 16;
/// How many senders there can be, ever.
pub(crate) const SENDERS: u64 = 1 << 45;
/// The message is long, and waits at the depot.
const AT_DEPOT: u64 = 1 << 61;
/// No message: it goes on with the next reel.
const ELSEWHERE: u64 = 1 << 62;
/// Set in every head, so that none is zero.
const HERE: u64 = 1 << 63;

#[derive(Debug)]
struct Reel(Vec<AtomicU64>);

impl Reel {
    fn new(words: usize) -> Result<Self, TryReserveError> {
        let mut reel = Vec::new();
        reel.try_reserve_exact(words)?;
        reel.resize_with(words, || AtomicU64::new(0));
        Ok(Reel(reel))
    }

    fn from(&self, word: usize) -> &[AtomicU64] {
        self.0.get(word..).unwrap_or_default()
    }

    #[inline]
    fn load(&self, word: usize) -> u64 {
        self.0.get(word).map_or(0, |word| word.load(Acquire))
    }

    #[inline]
    fn store(&self, word: usize, value: u64, order: crate::atomic::Ordering) {
        if let Some(word) = self.0.get(word) {
            word.store(value, order);
        }
    }
}

/// Where the two sides leave things for each other. No other data lies on its cache lines.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Depot {
    /// How many words a reel has.
    words: usize,
    stock: Mutex<Stock>,
}

#[derive(Debug, Default)]
struct Stock {
    /// The reels to be read, behind the one that is being read.
    ahead: VecDeque<Arc<Reel>>,
    /// Those that have been read.
    blank: Stack<Arc<Reel>, 256>,
    /// The long messages, in order.
    long: VecDeque<Vec<u8>>,
    /// The buffers of those that have been read.
    buffers: Buffers,
}

impl Depot {
    /// A buffer for a long message; without memory if there is none to be used again. Leaves a handful in
    /// the caller's `stash`, which is looked into first.
    pub(crate) fn buffer(&self, stash: &mut Vec<Vec<u8>>) -> Vec<u8> {
        if stash.is_empty() {
            let mut stock = lock(&self.stock);
            let mut bytes = 0;
            while bytes < HANDFUL
                && let Some(buffer) = stock.buffers.take()
            {
                bytes += buffer.capacity().max(LONG);
                stash.push(buffer);
            }
        }
        stash.pop().unwrap_or_default()
    }

    /// A reel to be written, with nothing on it.
    fn blank_reel(&self) -> Result<Arc<Reel>, TryReserveError> {
        let used = lock(&self.stock).blank.take();
        let reel = match used {
            Some(reel) => reel,
            None => Arc::new(Reel::new(self.words)?),
        };
        reel.store(0, 0, Relaxed);
        Ok(reel)
    }
}

/// A tape with nothing on it.
pub(crate) fn tape() -> (Writer, Reader) {
    tape_of(REEL)
}

/// The same, made of reels of so many words.
pub(crate) fn tape_of(words: usize) -> (Writer, Reader) {
    // The first reel has room for the zero only. The first message brings a real one.
    let reel = Arc::new(Reel(vec![AtomicU64::new(0)]));
    let depot = Arc::new(Depot { words, stock: Mutex::default() });
    let reader = Reader {
        reel: Arc::clone(&reel),
        at: 0,
        depot: Arc::clone(&depot),
        fetched: VecDeque::new(),
        read: Vec::new(),
        read_bytes: 0,
    };
    (Writer { reel, at: 0, depot }, reader)
}

/// The end that is written at.
#[derive(Debug)]
pub(crate) struct Writer {
    reel: Arc<Reel>,
    /// Where the next head goes.
    at: usize,
    depot: Arc<Depot>,
}

impl Writer {
    /// Writes a message shorter than [`LONG`]; fails, with nothing written, if there is no memory for it.
    #[inline]
    pub(crate) fn push(&mut self, message: &[u8], sender: u64) -> Result<(), TryReserveError> {
        debug_assert!(message.len() < LONG && sender < SENDERS);
        let words = 1 + message.len().div_ceil(8);
        self.reserve(words)?;
        copy_in(self.reel.from(self.at + 1), message);
        self.publish(words, message.len() as u64 | sender << SENDER);
        Ok(())
    }

    /// The same for one that is not shorter.
    pub(crate) fn push_long(&mut self, message: Vec<u8>, sender: u64) -> Result<(), TryReserveError> {
        debug_assert!(sender < SENDERS);
        self.reserve(1)?;
        {
            let mut stock = lock(&self.depot.stock);
            stock.long.try_reserve(1)?;
            stock.long.push_back(message);
        }
        self.publish(1, AT_DEPOT | sender << SENDER);
        Ok(())
    }

    pub(crate) fn depot(&self) -> &Arc<Depot> {
        &self.depot
    }

    #[inline]
    fn publish(&mut self, words: usize, head: u64) {
        self.reel.store(self.at + words, 0, Relaxed);
        self.reel.store(self.at, HERE | head, Release);
        self.at += words;
    }

    /// Sees to it that so many words fit.
    #[inline]
    fn reserve(&mut self, words: usize) -> Result<(), TryReserveError> {
        if self.at + words < self.reel.0.len() { Ok(()) } else { self.next_reel() }
    }

    #[cold]
    fn next_reel(&mut self) -> Result<(), TryReserveError> {
        let reel = self.depot.blank_reel()?;
        let second = if self.reel.0.len() < self.depot.words {
            // A tape begins with two, as the reader leaves none before the writer has gone on to the next.
            Some(Arc::new(Reel::new(self.depot.words)?))
        } else {
            None
        };
        {
            let mut stock = lock(&self.depot.stock);
            stock.ahead.try_reserve(1)?;
            stock.ahead.push_back(Arc::clone(&reel));
            second.into_iter().for_each(|reel| _ = stock.blank.put(reel));
        }
        self.reel.store(self.at, HERE | ELSEWHERE, Release);
        self.reel = reel;
        self.at = 0;
        Ok(())
    }
}

/// The end that is read at.
#[derive(Debug)]
pub(crate) struct Reader {
    reel: Arc<Reel>,
    at: usize,
    depot: Arc<Depot>,
    /// Long messages that have been fetched from the depot.
    fetched: VecDeque<Vec<u8>>,
    /// Buffers to be given back, and how many bytes they have.
    read: Vec<Vec<u8>>,
    read_bytes: usize,
}

/// What stands next on the tape.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) sender: u64,
    /// The length of a short message; a long one has to be [fetched](Reader::fetch).
    pub(crate) length: Option<usize>,
}

impl Reader {
    /// Whether there is a record.
    #[inline]
    pub(crate) fn has_news(&self) -> bool {
        self.reel.load(self.at) != 0
    }

    /// The next record, if there is one. A long message is to be
    /// [fetched](Reader::fetch) before the next is looked for.
    ///
    /// A short message is copied to the beginning of `page`, which grows as needed.
    #[inline]
    pub(crate) fn next(&mut self, page: &mut Vec<u8>) -> Option<Record> {
        loop {
            let head = self.reel.load(self.at);
            if head == 0 {
                return None;
            }
            if head & ELSEWHERE != 0 {
                self.next_reel()?;
                continue;
            }
            self.at += 1;
            let sender = (head & !(HERE | AT_DEPOT)) >> SENDER;
            if head & AT_DEPOT != 0 {
                return Some(Record { sender, length: None });
            }
            let length = (head & LENGTH) as usize;
            if page.len() < length {
                page.resize(LONG, 0);
            }
            if let Some(message) = page.get_mut(..length) {
                copy_out(self.reel.from(self.at), message);
            }
            self.at += length.div_ceil(8);
            return Some(Record { sender, length: Some(length) });
        }
    }

    /// The long message whose record was read last.
    pub(crate) fn fetch(&mut self) -> Vec<u8> {
        if self.fetched.is_empty() {
            let mut stock = lock(&self.depot.stock);
            std::mem::swap(&mut self.fetched, &mut stock.long);
            self.read.drain(..).for_each(|buffer| stock.buffers.put(buffer));
            self.read_bytes = 0;
        }
        self.fetched.pop_front().unwrap_or_default()
    }

    /// Whether there are more that need not be fetched any more.
    pub(crate) fn has_fetched(&self) -> bool {
        !self.fetched.is_empty()
    }

    /// Takes a buffer whose message has been read. It is given back with the next that is fetched, when there
    /// is a handful, or by [`give_back`](Reader::give_back).
    pub(crate) fn finish(&mut self, buffer: Vec<u8>) {
        self.read_bytes += buffer.capacity();
        self.read.push(buffer);
        if self.read_bytes >= HANDFUL {
            self.give_back();
        }
    }

    /// Gives back all buffers whose messages have been read.
    pub(crate) fn give_back(&mut self) {
        if !self.read.is_empty() {
            let mut stock = lock(&self.depot.stock);
            self.read.drain(..).for_each(|buffer| stock.buffers.put(buffer));
            self.read_bytes = 0;
        }
    }

    #[cold]
    fn next_reel(&mut self) -> Option<()> {
        let mut stock = lock(&self.depot.stock);
        let reel = stock.ahead.pop_front()?;
        let read = std::mem::replace(&mut self.reel, reel);
        if read.0.len() == self.depot.words {
            stock.blank.put(read);
        }
        self.at = 0;
        Some(())
    }
}

#[cfg(test)]
impl Reader {
    pub(crate) fn blank_reels(&self) -> usize {
        lock(&self.depot.stock).blank.len()
    }
}

/// What has not been read will not be.
impl Drop for Reader {
    fn drop(&mut self) {
        *lock(&self.depot.stock) = Stock::default();
    }
}

/// Copies bytes into words, in order of memory; by eight words, as the processor then waits for several cache
/// lines at a time.
#[inline]
fn copy_in(words: &[AtomicU64], bytes: &[u8]) {
    let (bytes, rest) = bytes.as_chunks::<8>();
    let (lines, bytes) = bytes.as_chunks::<8>();
    let (word_lines, words) = words.split_at_checked(8 * lines.len()).unwrap_or((words, &[]));
    for (words, line) in word_lines.as_chunks::<8>().0.iter().zip(lines) {
        words.iter().zip(line).for_each(|(word, bytes)| word.store(u64::from_ne_bytes(*bytes), Relaxed));
    }
    words.iter().zip(bytes).for_each(|(word, bytes)| word.store(u64::from_ne_bytes(*bytes), Relaxed));
    if let (Some(word), [_, ..]) = (words.get(bytes.len()), rest) {
        let mut last = [0; 8];
        last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        word.store(u64::from_ne_bytes(last), Relaxed);
    }
}

/// Copies words out into bytes; the counterpart of [`copy_in`].
#[inline]
fn copy_out(words: &[AtomicU64], bytes: &mut [u8]) {
    let (bytes, rest) = bytes.as_chunks_mut::<8>();
    let (lines, bytes) = bytes.as_chunks_mut::<8>();
    let (word_lines, words) = words.split_at_checked(8 * lines.len()).unwrap_or((words, &[]));
    for (words, line) in word_lines.as_chunks::<8>().0.iter().zip(lines) {
        words.iter().zip(line).for_each(|(word, bytes)| *bytes = word.load(Relaxed).to_ne_bytes());
    }
    let count = bytes.len();
    words.iter().zip(bytes).for_each(|(word, bytes)| *bytes = word.load(Relaxed).to_ne_bytes());
    if let (Some(word), [_, ..]) = (words.get(count), &*rest) {
        let last = word.load(Relaxed).to_ne_bytes();
        rest.iter_mut().zip(last).for_each(|(to, from)| *to = from);
    }
}
