//! The loops: there and back, one way, idle and paced, each with the side that begins (near) and the side
//! that answers (far).
//!
//! The first byte of a message says what it is for; see [`Flag`]. A round warms up first, with messages
//! that are not counted, so that caches, buffers and whatever a subject learns have settled.

use crate::figures::Side;
use crate::plan::{Job, Pattern};
use crate::sys::{self, Cpu};
use crate::wire::{Result, Wire};
use hdrhistogram::Histogram;
use std::time::{Duration, Instant};

/// What a message is for: its first byte.
mod flag {
    /// To be measured.
    pub(super) const GO: u8 = 0;
    /// The last one.
    pub(super) const STOP: u8 = 1;
    /// Not to be measured yet.
    pub(super) const WARM: u8 = 2;
}

/// How many bytes the loops look at where messages lie in shared memory.
const HEAD: usize = 8;

/// How many messages make a batch, at most; and at most how many bytes.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 256 << 10;

/// The side that begins.
pub(crate) fn near<W: Wire>(wire: &mut W, job: &Job) -> Result<Side> {
    match job.pattern {
        Pattern::RoundTrip => ask(wire, job),
        Pattern::OneWay | Pattern::Batched => pour(wire, job),
        Pattern::Idle | Pattern::Paced => drip(wire, job),
    }
}

/// The side that answers.
pub(crate) fn far<W: Wire>(wire: &mut W, job: &Job) -> Result<Side> {
    match job.pattern {
        Pattern::RoundTrip => echo(wire, job),
        _ => drain(wire, job),
    }
}

/// There and back: sends a message, waits for the same to come back, and records how long that took.
fn ask<W: Wire>(wire: &mut W, job: &Job) -> Result<Side> {
    let mut message = vec![0xA5; job.size];
    let mut histogram = Histogram::<u64>::new_with_max(60_000_000_000, 3)?;
    message[0] = flag::WARM;
    let warm = Instant::now();
    while warm.elapsed() < job.warm_up() {
        wire.send(&message)?;
        wire.recv(|back| back[0])?;
    }
    message[0] = flag::GO;
    let cpu = Cpu::now(job.threads);
    let started = Instant::now();
    let mut before = started;
    let ended = loop {
        wire.send(&message)?;
        wire.recv(|back| back[0])?;
        let now = Instant::now();
        histogram.saturating_record((now - before).as_nanos() as u64);
        before = now;
        if now - started >= job.time {
            break now;
        }
    };
    let cpu = cpu.since();
    message[0] = flag::STOP;
    wire.send(&message)?;
    Ok(Side {
        messages: histogram.len(),
        seconds: (ended - started).as_secs_f64(),
        cpu,
        quantiles: [0.5, 0.99, 0.999].map(|quantile| histogram.value_at_quantile(quantile) as f64 / 1e9),
    })
}

/// There and back: copies what comes out of the channel, and sends the copy.
fn echo<W: Wire>(wire: &mut W, job: &Job) -> Result<Side> {
    let mut copy = vec![0; job.size];
    let mut start = None;
    let mut messages = 0;
    loop {
        wire.recv(|message| take(&mut copy, message, W::IN_PLACE))??;
        match copy[0] {
            flag::STOP => break,
            flag::WARM => {}
            _ => {
                start.get_or_insert_with(|| (Instant::now(), Cpu::now(job.threads)));
                messages += 1;
            }
        }
        wire.send(&copy)?;
    }
    let (started, cpu) = start.ok_or("nothing came")?;
    Ok(Side { messages, seconds: started.elapsed().as_secs_f64(), cpu: cpu.since(), ..Side::default() })
}

fn take(copy: &mut [u8], message: &[u8], in_place: bool) -> Result<()> {
    if message.len() != copy.len() {
        return Err(format!("{} bytes came instead of {}", message.len(), copy.len()).into());
    }
    let len = if in_place { HEAD.min(copy.len()) } else { copy.len() };
    copy[..len].copy_from_slice(&message[..len]);
    Ok(())
}

/// One way: sends as fast as it can until the time is over.
fn pour<W: Wire>(wire: &mut W, job: &Job) -> Result<Side> {
    let mut message = vec![0xA5; job.size];
    message[0] = flag::WARM;
    pour_for(wire, &message, job, job.warm_up())?;
    message[0] = flag::GO;
    let cpu = Cpu::now(job.threads);
    let started = Instant::now();
    let messages = pour_for(wire, &message, job, job.time)?;
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), cpu.since());
    message[0] = flag::STOP;
    wire.send(&message)?;
    Ok(Side { messages, seconds, cpu, ..Side::default() })
}

/// Looks at the clock seldom enough for it not to count, and often enough for the time to be kept.
fn pour_for<W: Wire>(wire: &mut W, message: &[u8], job: &Job, time: Duration) -> Result<u64> {
    let in_a_batch = BATCH.min(BATCH_BYTES / job.size).max(1);
    let batch = vec![message; in_a_batch];
    let started = Instant::now();
    let mut messages = 0;
    while started.elapsed() < time {
        if job.pattern == Pattern::Batched {
            wire.send_batch(&batch)?;
        } else {
            for _ in 0..in_a_batch {
                wire.send(message)?;
            }
        }
        messages += in_a_batch as u64;
    }
    Ok(messages)
}

/// Idle: sends one message, nothing for a time, and the last. Paced: a thousand messages a second.
fn drip<W: Wire>(wire: &mut W, job: &Job) -> Result<Side> {
    let mut message = vec![0xA5; job.size];
    let pause = match job.pattern {
        Pattern::Idle => job.time,
        _ => Duration::from_millis(1),
    };
    message[0] = flag::GO;
    let cpu = Cpu::now(job.threads);
    let started = Instant::now();
    let mut next = started;
    let mut messages = 0;
    while started.elapsed() < job.time {
        wire.send(&message)?;
        messages += 1;
        next += pause;
        sys::sleep_until(next);
    }
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), cpu.since());
    message[0] = flag::STOP;
    wire.send(&message)?;
    Ok(Side { messages, seconds, cpu, ..Side::default() })
}

/// One way, idle, paced: counts what comes, and times it from the first to the last.
fn drain<W: Wire>(wire: &mut W, job: &Job) -> Result<Side> {
    let size = job.size;
    let look =
        move |message: &[u8]| if message.len() == size { Ok(message[0]) } else { Err(message.len()) };
    let mut next = || -> Result<u8> {
        wire.recv(look)?.map_err(|len| format!("{len} bytes came instead of {size}").into())
    };
    while next()? == flag::WARM {}
    let cpu = Cpu::now(job.threads);
    let started = Instant::now();
    let mut messages = 0;
    while next()? != flag::STOP {
        messages += 1;
    }
    Ok(Side { messages, seconds: started.elapsed().as_secs_f64(), cpu: cpu.since(), ..Side::default() })
}
