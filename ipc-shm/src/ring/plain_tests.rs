//! The ring over plain memory, which miri can watch too: `cargo miri test -p ipc-shm ring::plain`.

use super::core::{Consumer, Corrupted, HERE, Producer, SKIP, max_record};
use super::memory::Memory;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::Duration;

#[derive(Debug)]
struct Plain {
    data: Vec<AtomicU64>,
    words: [AtomicU64; 5],
}

impl Plain {
    fn new(capacity: usize) -> Arc<Plain> {
        let data = (0..capacity / 8).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Plain { data, words: Default::default() })
    }
}

impl Memory for Arc<Plain> {
    type Word = AtomicU64;

    fn data(&self) -> &[AtomicU64] {
        &self.data
    }

    fn head(&self) -> &AtomicU64 {
        &self.words[0]
    }

    fn consumer_waits(&self) -> &AtomicU64 {
        &self.words[1]
    }

    fn producer_waits(&self) -> &AtomicU64 {
        &self.words[2]
    }

    fn consumer_closed(&self) -> &AtomicU64 {
        &self.words[3]
    }

    fn producer_closed(&self) -> &AtomicU64 {
        &self.words[4]
    }

    fn light_fence(&self) {
        fence(Ordering::SeqCst);
    }

    fn heavy_fence(&self) {
        fence(Ordering::SeqCst);
    }

    fn sleep(&self, _word: &AtomicU64, _limit: Duration) {
        std::thread::yield_now();
    }

    fn wake(&self, _word: &AtomicU64) {}
}

fn pop(consumer: &mut Consumer<Arc<Plain>>) -> Result<Option<Vec<u8>>, Corrupted> {
    let Some(record) = consumer.peek()? else { return Ok(None) };
    let mut message = vec![0; record.len];
    consumer.read(record, &mut message);
    consumer.advance(record);
    Ok(Some(message))
}

#[test]
fn two_threads_pass_messages_of_all_lengths() {
    let count = if cfg!(miri) { 100 } else { 20_000 };
    let memory = Plain::new(256);
    let mut producer = Producer::new(Arc::clone(&memory));
    let sending = std::thread::spawn(move || {
        for number in 0..count {
            let message = vec![number as u8; number % (max_record(256) + 1)];
            while !producer.push(&message, false).unwrap() {
                producer.sleep(message.len(), Duration::ZERO).unwrap();
            }
        }
    });
    let mut consumer = Consumer::new(memory);
    for number in 0..count {
        let message = loop {
            match pop(&mut consumer).unwrap() {
                Some(message) => break message,
                None => consumer.sleep(Duration::ZERO).unwrap(),
            }
        };
        assert_eq!(message, vec![number as u8; number % (max_record(256) + 1)]);
    }
    sending.join().unwrap();
}

#[test]
fn a_reader_that_was_made_to_skip_more_than_a_counter_counts_goes_on() {
    // A hostile peer gets it there in minutes: each record may skip four gigabytes.
    let memory = Plain::new(256);
    let mut consumer = Consumer::having_read(Arc::clone(&memory), 0u64.wrapping_sub(16));
    memory.data[240 / 8].store(HERE | SKIP | 8, Ordering::Relaxed);
    memory.data[0].store(HERE | 3, Ordering::Relaxed);
    assert_eq!(pop(&mut consumer), Ok(Some(vec![0; 3])));
    assert_eq!(pop(&mut consumer), Ok(None));
    consumer.give_back();
    assert_eq!(memory.words[0].load(Ordering::Relaxed), 16);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 2 } else { 256 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Whatever is pushed and popped in whatever order, it is a queue; and an empty one takes the longest.
    #[test]
    fn it_is_a_queue(steps in prop::collection::vec(prop::option::of(0..=max_record(256)), 1..200)) {
        let memory = Plain::new(256);
        let (mut producer, mut consumer) = (Producer::new(Arc::clone(&memory)), Consumer::new(memory));
        let mut queue = VecDeque::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Some(len) => {
                    let message = vec![number as u8; len];
                    let pushed = producer.push(&message, false).unwrap();
                    prop_assert!(pushed || !queue.is_empty());
                    if pushed {
                        queue.push_back(message);
                    }
                }
                None => {
                    prop_assert_eq!(pop(&mut consumer).unwrap(), queue.pop_front());
                    consumer.give_back();
                }
            }
        }
    }

    /// Whatever the memory holds, whoever reads it gets an error, nothing, or bytes of the ring.
    #[test]
    fn noise_is_never_more_than_noise(words in prop::collection::vec(any::<u64>(), 32), shift in 0u32..64) {
        let memory = Plain::new(256);
        for (word, noise) in memory.data.iter().zip(words) {
            word.store(noise >> shift | 1 << 34, Ordering::Relaxed);
        }
        memory.words[0].store(shift.into(), Ordering::Relaxed);
        let (mut producer, mut consumer) = (Producer::new(Arc::clone(&memory)), Consumer::new(memory));
        for _ in 0..100 {
            let Ok(Some(message)) = pop(&mut consumer) else { break };
            prop_assert!(message.len() < 256);
        }
        for _ in 0..100 {
            if producer.push(&[1; 40], false).is_err() {
                break;
            }
        }
    }
}
