//! A ring in a mapped segment: views of its words, and the ways of copying and sleeping that real memory
//! and a real kernel have. To make the views is unsafe; to use them is not.

use super::core::ASLEEP;
use super::kernel;
use super::layout::{self, Layout, Side};
use super::memory::{Memory, copy_in, copy_out};
use super::presence::Presence;
use crate::futex;
use crate::map::Map;
use crate::segment::Segment;
use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, compiler_fence, fence};
use std::time::Duration;

/// From this length on, the C library's copy is faster than a loop over words.
const LONG: usize = 256;

/// The memory of one ring of a segment.
#[derive(Debug)]
pub(super) struct Area {
    /// Keeps the memory mapped; all pointers below lead into it.
    map: Arc<Map>,
    head: NonNull<AtomicU64>,
    consumer_waits: NonNull<AtomicU64>,
    producer_waits: NonNull<AtomicU64>,
    producer_closed: NonNull<AtomicU64>,
    consumer_closed: NonNull<AtomicU64>,
    data: NonNull<[AtomicU64]>,
    /// Where `data` begins in the map.
    data_at: usize,
    /// This process makes fences for all; see the [layout].
    fences_all: bool,
    /// So does the peer, and this process has joined: it need not make any for every message.
    peer_fences_all: Cell<bool>,
}

// SAFETY: the pointers lead to atomics in memory that belongs to the process, not to a thread, and is
// mapped as long as `map` lives; `Cell` is not shared, as the type is not `Sync`.
unsafe impl Send for Area {}

impl Area {
    /// The ring that goes out of `from`. `None` if the segment is too short, which the layout has ruled out.
    pub(super) fn new(segment: &Segment, layout: &Layout, from: Side, fences_all: bool) -> Option<Area> {
        let map = segment.map();
        let word = |word| map.place::<AtomicU64>(layout.ring_at(from, word));
        let data_at = layout.data_at(from);
        let first = map.place::<AtomicU64>(data_at)?;
        // The last one is inside, so all are.
        map.place::<AtomicU64>(data_at + layout.capacity - size_of::<AtomicU64>())?;
        Some(Area {
            head: word(layout::HEAD)?,
            consumer_waits: word(layout::CONSUMER_WAITS)?,
            producer_waits: word(layout::PRODUCER_WAITS)?,
            producer_closed: word(layout::PRODUCER_CLOSED)?,
            consumer_closed: word(layout::CONSUMER_CLOSED)?,
            data: NonNull::slice_from_raw_parts(first, layout.capacity / size_of::<AtomicU64>()),
            data_at,
            map: Arc::clone(map),
            fences_all,
            peer_fences_all: Cell::new(false),
        })
    }

    /// From now on, leaves fences to the peer, if it is there and makes them for all.
    #[inline]
    pub(super) fn rely_on_peer(&self, presence: &Presence) {
        if self.fences_all && !self.peer_fences_all.get() {
            self.peer_fences_all.set(presence.peer_fences_all());
        }
    }

    /// The payload's words as bytes, for those who read and write in place.
    pub(super) fn payload(&self, words: &[AtomicU64]) -> NonNull<u8> {
        NonNull::from(words).cast()
    }

    #[inline(always)]
    fn word(&self, place: NonNull<AtomicU64>) -> &AtomicU64 {
        // SAFETY: `new` has it from `Map::place`, which has checked bounds and alignment; the memory is
        // mapped as long as `self.map`, and every bit pattern is a valid atomic.
        unsafe { place.as_ref() }
    }
}

impl Memory for Area {
    type Word = AtomicU64;

    #[inline(always)]
    fn data(&self) -> &[AtomicU64] {
        // SAFETY: `new` has checked that the first and the last word lie in the map, which lives as long
        // as `self`; every bit pattern is a valid atomic, and others change them as atomics do.
        unsafe { self.data.as_ref() }
    }

    #[inline(always)]
    fn head(&self) -> &AtomicU64 {
        self.word(self.head)
    }

    #[inline(always)]
    fn consumer_waits(&self) -> &AtomicU64 {
        self.word(self.consumer_waits)
    }

    #[inline(always)]
    fn producer_waits(&self) -> &AtomicU64 {
        self.word(self.producer_waits)
    }

    #[inline(always)]
    fn producer_closed(&self) -> &AtomicU64 {
        self.word(self.producer_closed)
    }

    #[inline(always)]
    fn consumer_closed(&self) -> &AtomicU64 {
        self.word(self.consumer_closed)
    }

    #[inline(always)]
    fn write(&self, start: usize, bytes: &[u8]) {
        if bytes.len() < LONG {
            copy_in(self.data().get(start..).unwrap_or_default(), bytes);
        } else {
            // Inside, by the checks of whoever asks; if not, nothing is written.
            self.map.write_at(self.data_at + start * size_of::<AtomicU64>(), bytes);
        }
    }

    #[inline(always)]
    fn read(&self, start: usize, bytes: &mut [u8]) {
        if bytes.len() < LONG {
            copy_out(self.data().get(start..).unwrap_or_default(), bytes);
        } else {
            self.map.read_at(self.data_at + start * size_of::<AtomicU64>(), bytes);
        }
    }

    #[inline(always)]
    fn light_fence(&self) {
        if self.peer_fences_all.get() {
            compiler_fence(Ordering::SeqCst);
        } else {
            fence(Ordering::SeqCst);
        }
    }

    fn heavy_fence(&self) {
        fence(Ordering::SeqCst);
        if self.fences_all {
            kernel::fence_all();
        }
    }

    fn sleep(&self, word: &AtomicU64, limit: Duration) {
        futex::wait(word, ASLEEP as u32, limit);
    }

    fn wake(&self, word: &AtomicU64) {
        futex::wake(word, 1);
    }
}
