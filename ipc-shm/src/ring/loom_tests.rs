//! The ring under loom: every order in which the steps of two threads may come, and every value that the
//! memory model lets a load see. A sleep has no limit here, so a lost wake-up is a deadlock, which loom
//! finds. And it is shown that it does: with a fence or an order taken away, the same models fail.

use super::core::{ASLEEP, Consumer, Producer, WORD};
use super::memory::{Memory, Word};
use loom::sync::atomic::{AtomicU64, fence};
use loom::sync::{Condvar, Mutex};
use loom::thread;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What is taken away.
#[derive(Clone, Copy, PartialEq)]
enum Weakness {
    None,
    /// The fence between publishing and looking whether the other side sleeps.
    LightFence,
    /// The fence between going to sleep and looking once more.
    HeavyFence,
    /// Stores that publish are relaxed.
    Release,
    /// Loads that find what was published are relaxed.
    Acquire,
}

struct ModelWord {
    value: AtomicU64,
    weakness: Weakness,
}

impl Word for ModelWord {
    fn load(&self, order: Ordering) -> u64 {
        let weak = self.weakness == Weakness::Acquire;
        self.value.load(if weak { Ordering::Relaxed } else { order })
    }

    fn store(&self, value: u64, order: Ordering) {
        let weak = self.weakness == Weakness::Release;
        self.value.store(value, if weak { Ordering::Relaxed } else { order });
    }

    fn swap(&self, value: u64, order: Ordering) -> u64 {
        self.value.swap(value, order)
    }
}

struct Model {
    data: Vec<ModelWord>,
    /// Head, then who waits, then who has closed; each the consumer's first.
    words: Vec<ModelWord>,
    weakness: Weakness,
    /// What the kernel does for a futex: to compare the word and to begin to sleep is one step.
    bed: Mutex<()>,
    bell: Condvar,
}

/// Four words of data: room for one record of one word at a time.
const DATA: usize = 4;

impl Model {
    fn new(weakness: Weakness) -> Arc<Model> {
        let words = |count| {
            (0..count).map(|_| ModelWord { value: AtomicU64::new(0), weakness }).collect::<Vec<_>>()
        };
        let (bed, bell) = (Mutex::new(()), Condvar::new());
        Arc::new(Model { data: words(DATA), words: words(5), weakness, bed, bell })
    }
}

impl Memory for Arc<Model> {
    type Word = ModelWord;

    fn data(&self) -> &[ModelWord] {
        &self.data
    }

    fn head(&self) -> &ModelWord {
        &self.words[0]
    }

    fn consumer_waits(&self) -> &ModelWord {
        &self.words[1]
    }

    fn producer_waits(&self) -> &ModelWord {
        &self.words[2]
    }

    fn consumer_closed(&self) -> &ModelWord {
        &self.words[3]
    }

    fn producer_closed(&self) -> &ModelWord {
        &self.words[4]
    }

    fn light_fence(&self) {
        if self.weakness != Weakness::LightFence {
            fence(Ordering::SeqCst);
        }
    }

    fn heavy_fence(&self) {
        if self.weakness != Weakness::HeavyFence {
            fence(Ordering::SeqCst);
        }
    }

    fn sleep(&self, word: &ModelWord, _limit: Duration) {
        let bed = self.bed.lock().unwrap();
        if word.value.load(Ordering::Relaxed) == ASLEEP {
            drop(self.bell.wait(bed).unwrap());
        }
    }

    fn wake(&self, _word: &ModelWord) {
        let _bed = self.bed.lock().unwrap();
        self.bell.notify_all();
    }
}

const FOREVER: Duration = Duration::MAX;

fn send(producer: &mut Producer<Arc<Model>>, value: u64) {
    while !producer.push(&value.to_ne_bytes(), false).unwrap() {
        producer.sleep(WORD, FOREVER).unwrap();
    }
}

/// The next message, or `None` at the end.
fn receive(consumer: &mut Consumer<Arc<Model>>) -> Option<u64> {
    loop {
        let closed = consumer.is_closed();
        if let Some(record) = consumer.peek().unwrap() {
            let mut value = [0; WORD];
            consumer.read(record, &mut value);
            consumer.advance(record);
            return Some(u64::from_ne_bytes(value));
        }
        if closed {
            return None;
        }
        consumer.sleep(FOREVER).unwrap();
    }
}

/// Runs a model with up to three preemptions in every place; more take much longer and find no more.
fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// One thread sends so many messages, another receives them, and each sleeps when it has to.
fn model(messages: u64, weakness: Weakness) {
    check(move || {
        let memory = Model::new(weakness);
        let mut producer = Producer::new(Arc::clone(&memory));
        let sending = thread::spawn(move || (1..=messages).for_each(|value| send(&mut producer, value)));
        let mut consumer = Consumer::new(memory);
        for value in 1..=messages {
            assert_eq!(receive(&mut consumer), Some(value));
        }
        // What was received last may not have been given back; nobody waits for it.
        sending.join().unwrap();
    });
}

#[test]
fn every_message_arrives_whole_and_nobody_sleeps_for_ever() {
    model(3, Weakness::None);
}

#[test]
fn the_end_wakes_a_sleeper_and_comes_after_the_messages() {
    check(|| {
        let memory = Model::new(Weakness::None);
        let mut consumer = Consumer::new(Arc::clone(&memory));
        let receiving = thread::spawn(move || {
            assert_eq!(receive(&mut consumer), Some(7));
            assert_eq!(receive(&mut consumer), None);
        });
        let mut producer = Producer::new(memory);
        send(&mut producer, 7);
        producer.close();
        receiving.join().unwrap();
    });
}

#[test]
fn a_receiver_that_leaves_wakes_who_waits_for_room() {
    check(|| {
        let memory = Model::new(Weakness::None);
        let consumer = Consumer::new(Arc::clone(&memory));
        let mut producer = Producer::new(memory);
        send(&mut producer, 7);
        let leaving = thread::spawn(move || consumer.close());
        // It is full, and nobody reads.
        while !producer.is_closed() {
            producer.sleep(WORD, FOREVER).unwrap();
        }
        leaving.join().unwrap();
    });
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_fence_of_who_publishes_a_wake_up_is_lost() {
    model(2, Weakness::LightFence);
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_fence_of_who_sleeps_a_wake_up_is_lost() {
    model(2, Weakness::HeavyFence);
}

#[test]
#[should_panic(expected = "left == right")]
fn without_release_a_message_is_torn() {
    model(2, Weakness::Release);
}

#[test]
#[should_panic(expected = "left == right")]
fn without_acquire_a_message_is_torn() {
    model(2, Weakness::Acquire);
}
