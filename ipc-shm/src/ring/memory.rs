//! What the ring asks of the memory it lies in, so that the same code runs over a mapped segment, over
//! plain memory (under miri), and over loom's model of memory.
//!
//! All shared memory is words of 64 bits, touched atomically and in no other way. So whatever another
//! process does to them meanwhile, reading them is defined: it gives some value.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Where a ring lies, and how its two sides wake each other. What each part is for is said in the
/// [core](super::core).
pub(crate) trait Memory {
    /// An atomic word.
    type Word: Word;

    /// The records: a power of two of words.
    fn data(&self) -> &[Self::Word];

    /// How many bytes have ever been given back; only the consumer writes it.
    fn head(&self) -> &Self::Word;

    /// Set by the consumer before it sleeps, cleared by whoever wakes it.
    fn consumer_waits(&self) -> &Self::Word;

    /// Set by the producer when it wants room, cleared by whoever gives it.
    fn producer_waits(&self) -> &Self::Word;

    /// Not zero when the producer will send no more.
    fn producer_closed(&self) -> &Self::Word;

    /// Not zero when the consumer will read no more.
    fn consumer_closed(&self) -> &Self::Word;

    /// Copies bytes into the data from the word `start` on. What is left of the last word is undefined.
    #[inline]
    fn write(&self, start: usize, bytes: &[u8]) {
        copy_in(self.data().get(start..).unwrap_or_default(), bytes);
    }

    /// Copies bytes out of the data from the word `start` on.
    #[inline]
    fn read(&self, start: usize, bytes: &mut [u8]) {
        copy_out(self.data().get(start..).unwrap_or_default(), bytes);
    }

    /// A fence on the way that every message takes. Together with the other side's
    /// [`heavy_fence`](Memory::heavy_fence) it is sequentially consistent.
    fn light_fence(&self);

    /// A fence on the way to sleep.
    fn heavy_fence(&self);

    /// Sleeps until woken through `word`, at most `limit`, unless `word` does not say
    /// [`ASLEEP`](super::core::ASLEEP) any more.
    fn sleep(&self, word: &Self::Word, limit: Duration);

    /// Wakes who sleeps on `word`.
    fn wake(&self, word: &Self::Word);
}

/// One word of shared memory.
pub(crate) trait Word: Sized {
    /// See [`AtomicU64::load`].
    fn load(&self, order: Ordering) -> u64;
    /// See [`AtomicU64::store`].
    fn store(&self, value: u64, order: Ordering);
    /// See [`AtomicU64::swap`].
    fn swap(&self, value: u64, order: Ordering) -> u64;
}

impl Word for AtomicU64 {
    #[inline(always)]
    fn load(&self, order: Ordering) -> u64 {
        self.load(order)
    }

    #[inline(always)]
    fn store(&self, value: u64, order: Ordering) {
        self.store(value, order);
    }

    #[inline(always)]
    fn swap(&self, value: u64, order: Ordering) -> u64 {
        self.swap(value, order)
    }
}

/// Copies bytes into words, in order of memory. Stops at the end of the shorter one.
#[inline]
pub(crate) fn copy_in<W: Word>(words: &[W], bytes: &[u8]) {
    let (whole, rest) = bytes.as_chunks::<8>();
    for (word, chunk) in words.iter().zip(whole) {
        word.store(u64::from_ne_bytes(*chunk), Ordering::Relaxed);
    }
    if let (Some(word), [_, ..]) = (words.get(whole.len()), rest) {
        let mut last = [0; 8];
        last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        word.store(u64::from_ne_bytes(last), Ordering::Relaxed);
    }
}

/// Copies words out into bytes; the counterpart of [`copy_in`].
#[inline]
pub(crate) fn copy_out<W: Word>(words: &[W], bytes: &mut [u8]) {
    let (whole, rest) = bytes.as_chunks_mut::<8>();
    let count = whole.len();
    for (word, chunk) in words.iter().zip(whole) {
        *chunk = word.load(Ordering::Relaxed).to_ne_bytes();
    }
    if let (Some(word), [_, ..]) = (words.get(count), &*rest) {
        let last = word.load(Ordering::Relaxed).to_ne_bytes();
        rest.iter_mut().zip(last).for_each(|(to, from)| *to = from);
    }
}
