//! The ring itself: how records go in and come out, whoever owns the memory.
//!
//! Each side keeps a counter of all bytes it has ever gone through; the counter modulo the capacity is
//! its place in the ring. The producer's is private to it; the consumer's is shared as `head`, so that
//! the producer knows what is free again.
//!
//! ```text
//!   free           there, to be read                     free
//! |..............|[head|payload.....][head|payload][ 0 ]|..........|
//!                ^ consumer                         ^ producer
//! ```
//!
//! A record is a word of head and the payload, padded to whole words, and always in one piece: one that
//! does not fit before the end of the ring goes to its beginning, and the end is filled with a record to
//! be skipped. The consumer looks at one word only: the head of the next record, which is zero until that
//! record is there. So a small message is found in the very cache line that brings it.
//!
//! To publish a record, the producer writes its payload, then zero where the next head will be, and then
//! (release) its head, which is not zero. So whoever reads a head that is not zero (acquire) finds the
//! payload whole and the next head zeroed; a record whose producer died before the last store was never
//! there. No one sees a torn one. The zero needs room too: one word always stays free.
//!
//! **Giving back.** The consumer stores its counter to `head` (release) after having read; the producer
//! loads it (acquire) before it writes there again.
//!
//! **Sleeping.** Who wants to sleep says so in its word, makes a fence, and looks once more; who
//! publishes, or gives back, makes a fence afterwards and then looks at that word. Because of the fences,
//! at least one of the two sees what the other has written: the sleeper does not go to sleep, or it is
//! woken.
//!
//! **Trust.** Everything read from the memory is read once and checked before it is used. A record that
//! leaves the ring, or a counter that goes back or overtakes, is [`Corrupted`] and costs the connection.
//! A wrong word to sleep on costs a delay, since all sleeps are short.
//!
//! **Speed.** The producer reads `head` only when the last it knows of says full. The consumer gives room
//! back by eighths of the ring, or when it finds nothing, or when the producer asks for it: to give it
//! back at every message would send a cache line to the other processor and back for each.

use super::memory::{Memory, Word};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::time::Duration;

/// The size of a record's head, and what records are rounded up to.
pub(crate) const WORD: usize = 8;

/// The bits of a record's head that count its payload.
pub(crate) const LENGTH: u64 = 0xffff_ffff;
/// More pieces of the same message follow.
pub(crate) const MORE: u64 = 1 << 32;
/// No message, but the filled-up end of the ring.
pub(crate) const SKIP: u64 = 1 << 33;
/// Set in every record, so that no head is zero.
pub(crate) const HERE: u64 = 1 << 34;

/// Values of the word that a side sets when it waits.
pub(crate) const AWAKE: u64 = 0;
/// It does not sleep, but is held up: what it waits for is to be given early.
pub(crate) const WANTS: u64 = 1;
/// It sleeps, or is about to.
pub(crate) const ASLEEP: u64 = 2;

/// The memory says what the layout does not allow: what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Corrupted(pub(crate) &'static str);

/// A record in the ring, or room for one; its payload lies within the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Where its payload begins, in words.
    start: usize,
    /// How many bytes the payload has.
    pub(crate) len: usize,
    /// More pieces of the same message follow.
    pub(crate) more: bool,
}

impl Record {
    /// How many bytes it takes, with its head and padding.
    const fn size(&self) -> u64 {
        (WORD + self.len.next_multiple_of(WORD)) as u64
    }

    /// The words of its payload.
    pub(crate) fn words<'a, M: Memory>(&self, memory: &'a M) -> &'a [M::Word] {
        let end = self.start + self.len.div_ceil(WORD);
        memory.data().get(self.start..end).unwrap_or_default()
    }
}

/// The longest payload of one record in a ring of `capacity` bytes.
///
/// Half of the ring: an empty ring has room for it in one piece, wherever its sides stand, once all has been given
/// back.
pub(crate) const fn max_record(capacity: u64) -> usize {
    (capacity / 2) as usize - WORD
}

/// The side that writes.
#[derive(Debug)]
pub(crate) struct Producer<M> {
    memory: M,
    capacity: u64,
    /// How many bytes it has gone through.
    tail: u64,
    /// The last that was seen of the consumer's counter.
    head: u64,
    /// It has asked for room early, and not got enough yet.
    wants: bool,
}

impl<M: Memory> Producer<M> {
    /// The only producer of this memory, through which nothing has gone yet.
    pub(crate) fn new(memory: M) -> Self {
        let capacity = (memory.data().len() * WORD) as u64;
        Producer { memory, capacity, tail: 0, head: 0, wants: false }
    }

    pub(crate) fn memory(&self) -> &M {
        &self.memory
    }

    /// See [`max_record`].
    pub(crate) fn max_record(&self) -> usize {
        max_record(self.capacity)
    }

    /// Writes and publishes a record, if there is room for it.
    #[inline]
    pub(crate) fn push(&mut self, payload: &[u8], more: bool) -> Result<bool, Corrupted> {
        let Some(record) = self.reserve(payload.len())? else { return Ok(false) };
        self.memory.write(record.start, payload);
        self.publish(Record { more, ..record });
        Ok(true)
    }

    /// Room for a record with `len` bytes of payload; `None` if there is none now, or never will be.
    ///
    /// Nothing of it is visible before [`publish`](Producer::publish); reserving again without
    /// publishing gives the same room.
    #[inline]
    pub(crate) fn reserve(&mut self, len: usize) -> Result<Option<Record>, Corrupted> {
        if len > self.max_record() {
            return Ok(None);
        }
        let record = Record { start: 0, len, more: false };
        let to_end = self.capacity - self.place(self.tail);
        let skip = if record.size() > to_end { to_end } else { 0 };
        let needed = skip + record.size() + WORD as u64;
        if !self.has_room(needed) {
            self.refresh()?;
            if !self.has_room(needed) {
                return Ok(None);
            }
            if self.wants {
                self.wants = false;
                self.memory.producer_waits().store(AWAKE, Relaxed);
            }
        }
        if skip > 0 {
            self.store_head(self.tail + skip, 0, Relaxed);
            self.store_head(self.tail, HERE | SKIP | (skip - WORD as u64), Release);
            self.tail += skip;
        }
        Ok(Some(Record { start: self.place(self.tail) as usize / WORD + 1, ..record }))
    }

    /// Makes the record that was reserved last visible, and wakes the consumer if it sleeps. It may
    /// have become shorter.
    #[inline]
    pub(crate) fn publish(&mut self, record: Record) {
        let next = self.tail + record.size();
        let more = if record.more { MORE } else { 0 };
        self.store_head(next, 0, Relaxed);
        self.store_head(self.tail, HERE | more | record.len as u64, Release);
        self.tail = next;
        self.memory.light_fence();
        wake(&self.memory, self.memory.consumer_waits());
    }

    /// Whether the consumer has said that it will read no more.
    #[inline(always)]
    pub(crate) fn is_closed(&self) -> bool {
        self.memory.consumer_closed().load(Acquire) != 0
    }

    /// Says that no more will be sent, and wakes the consumer.
    pub(crate) fn close(&self) {
        self.memory.producer_closed().store(1, Release);
        self.memory.heavy_fence();
        wake(&self.memory, self.memory.consumer_waits());
    }

    /// Asks the consumer to give everything back at once, until there is room for what was asked for last.
    pub(crate) fn want_room(&mut self) {
        self.wants = true;
        self.memory.producer_waits().store(WANTS, Relaxed);
    }

    /// Sleeps until the consumer gives room back, or `limit` is over, or a signal comes; not at all if
    /// there is room for `len` bytes of payload already.
    pub(crate) fn sleep(&mut self, len: usize, limit: Duration) -> Result<(), Corrupted> {
        self.memory.producer_waits().swap(ASLEEP, AcqRel);
        self.memory.heavy_fence();
        if self.reserve(len)?.is_none() && !self.is_closed() {
            self.memory.sleep(self.memory.producer_waits(), limit);
        }
        self.memory.producer_waits().store(AWAKE, Relaxed);
        Ok(())
    }

    #[inline(always)]
    fn has_room(&self, needed: u64) -> bool {
        self.capacity - (self.tail - self.head) >= needed
    }

    /// Looks at the consumer's counter, which never goes back nor overtakes.
    fn refresh(&mut self) -> Result<(), Corrupted> {
        let head = self.memory.head().load(Acquire);
        if head < self.head || head > self.tail || !head.is_multiple_of(WORD as u64) {
            return Err(Corrupted("the receiver's counter lies outside of what was sent"));
        }
        self.head = head;
        Ok(())
    }

    #[inline(always)]
    fn place(&self, counter: u64) -> u64 {
        counter & (self.capacity - 1)
    }

    #[inline(always)]
    fn store_head(&self, counter: u64, head: u64, order: std::sync::atomic::Ordering) {
        if let Some(word) = self.memory.data().get(self.place(counter) as usize / WORD) {
            word.store(head, order);
        }
    }
}

/// The side that reads.
#[derive(Debug)]
pub(crate) struct Consumer<M> {
    memory: M,
    capacity: u64,
    /// How many bytes it has gone through. A hostile producer can make it wrap around, and that does no harm.
    head: u64,
    /// How much of that the producer may know.
    given_back: u64,
}

impl<M: Memory> Consumer<M> {
    /// The only consumer of this memory, through which nothing has gone yet.
    pub(crate) fn new(memory: M) -> Self {
        let capacity = (memory.data().len() * WORD) as u64;
        Consumer { memory, capacity, head: 0, given_back: 0 }
    }

    /// One that has gone through, and given back, so many bytes.
    #[cfg(test)]
    pub(crate) fn having_read(memory: M, bytes: u64) -> Self {
        Consumer { head: bytes, given_back: bytes, ..Consumer::new(memory) }
    }

    pub(crate) fn memory(&self) -> &M {
        &self.memory
    }

    /// The next record, if one is there. The same is there the next time, until
    /// [`advance`](Consumer::advance).
    #[inline]
    pub(crate) fn peek(&mut self) -> Result<Option<Record>, Corrupted> {
        // The end is skipped at most once before something comes from the beginning, or nothing does.
        for _ in 0..2 {
            let place = self.head & (self.capacity - 1);
            let start = place as usize / WORD;
            let head = self.memory.data().get(start).map_or(0, |word| word.load(Acquire));
            if head == 0 {
                return Ok(None);
            }
            let len = (head & LENGTH) as usize;
            let record = Record { start: start + 1, len, more: head & MORE != 0 };
            if record.size() > self.capacity - place || head & !(LENGTH | MORE | SKIP) != HERE {
                return Err(Corrupted("the head of a record is not one"));
            }
            if head & SKIP == 0 {
                return Ok(Some(record));
            }
            self.head = self.head.wrapping_add(record.size());
        }
        Err(Corrupted("the ring says to skip all of it"))
    }

    /// Copies the payload of a record out.
    #[inline]
    pub(crate) fn read(&self, record: Record, bytes: &mut [u8]) {
        self.memory.read(record.start, bytes);
    }

    /// Goes beyond the record that [`peek`](Consumer::peek) gave; its room is the producer's again, soon.
    #[inline]
    pub(crate) fn advance(&mut self, record: Record) {
        self.head = self.head.wrapping_add(record.size());
        if self.head.wrapping_sub(self.given_back) >= self.capacity / 8
            || self.memory.producer_waits().load(Relaxed) != AWAKE
        {
            self.give_back();
        }
    }

    /// Whether the producer has said that it will send no more. What it has sent may still be there.
    #[inline(always)]
    pub(crate) fn is_closed(&self) -> bool {
        self.memory.producer_closed().load(Acquire) != 0
    }

    /// Says that no more will be read, and wakes the producer.
    pub(crate) fn close(&self) {
        self.memory.consumer_closed().store(1, Release);
        self.memory.heavy_fence();
        wake(&self.memory, self.memory.producer_waits());
    }

    /// Gives back the room of all that was gone beyond, and wakes the producer if it sleeps.
    #[inline]
    pub(crate) fn give_back(&mut self) {
        if self.given_back != self.head {
            self.given_back = self.head;
            self.memory.head().store(self.head, Release);
            self.memory.light_fence();
            wake(&self.memory, self.memory.producer_waits());
        }
    }

    /// Sleeps until the producer publishes something, or `limit` is over, or a signal comes; not at all
    /// if something is there already.
    pub(crate) fn sleep(&mut self, limit: Duration) -> Result<(), Corrupted> {
        self.lie_down();
        self.memory.heavy_fence();
        if !self.has_news()? {
            self.memory.sleep(self.memory.consumer_waits(), limit);
        }
        self.get_up();
        Ok(())
    }

    /// Says that it is about to sleep. A heavy fence and a look at [`has_news`](Consumer::has_news) must follow
    /// before it does.
    pub(crate) fn lie_down(&mut self) {
        self.give_back();
        self.memory.consumer_waits().swap(ASLEEP, AcqRel);
    }

    /// Says that it sleeps no more.
    pub(crate) fn get_up(&self) {
        self.memory.consumer_waits().store(AWAKE, Relaxed);
    }

    /// Whether there is a record, or the end.
    pub(crate) fn has_news(&mut self) -> Result<bool, Corrupted> {
        Ok(self.peek()?.is_some() || self.is_closed())
    }
}

/// Wakes who sleeps on `waits`. The words to sleep on are set and cleared by exchanges, so that of two who
/// meet there one comes after the other for everybody. If we are killed inside, the sleeper wakes by itself after a while.
#[inline(always)]
fn wake<M: Memory>(memory: &M, waits: &M::Word) {
    #[cold]
    fn wake_sleeper<M: Memory>(memory: &M, waits: &M::Word) {
        if waits.swap(AWAKE, AcqRel) == ASLEEP {
            memory.wake(waits);
        }
    }
    if waits.load(Relaxed) == ASLEEP {
        wake_sleeper(memory, waits);
    }
}
