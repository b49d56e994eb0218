//! iceoryx2, publish and subscribe: a service each way, received from in a loop without sleeping, as its
//! own benchmarks do. Here every message is copied in and copied out; beside it, `iceoryx_in_place`.
//!
//! Nothing may be lost, so the subscriber's buffer does not overflow and the publisher waits. The buffer is
//! large, which is to iceoryx2's advantage.
//!
//! It leaves a folder in /tmp and a file in /dev/shm behind. Each run has its own, which bear its number, and
//! removes them in the end.

use crate::subjects::fresh_name;
use crate::wire::{Ends, Result, Wire};
use iceoryx2::node::{Node, NodeBuilder};
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;
use iceoryx2::sample::Sample;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Where a run keeps its files: a folder of its own, and a prefix for what is in /dev/shm.
fn places(run: u32) -> (PathBuf, String) {
    let name = format!("ipc-bench-{run}-iceoryx2");
    (std::env::temp_dir().join(&name), name + "_")
}

fn config(run: u32) -> Result<Config> {
    let (folder, prefix) = places(run);
    let wrong = |error| format!("{}: {error:?}", folder.display());
    let mut config = Config::global_config().clone();
    config.global.prefix = FileName::new(prefix.as_bytes()).map_err(wrong)?;
    config.global.set_root_path(&Path::new(folder.as_os_str().as_bytes()).map_err(wrong)?);
    Ok(config)
}

/// Removes what this run has left; it is called by who has called `ends`, when nobody is at work any more.
pub(super) fn clean_up() {
    let (folder, prefix) = places(std::process::id());
    let _ = std::fs::remove_dir_all(folder);
    for entry in std::fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
        if entry.file_name().as_bytes().starts_with(prefix.as_bytes()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// A publisher, a subscriber, and the node that they belong to.
pub(super) struct Ports {
    pub(super) publisher: Publisher<ipc::Service, [u8], ()>,
    subscriber: Subscriber<ipc::Service, [u8], ()>,
    _node: Node<ipc::Service>,
}

impl Ports {
    fn open(run: u32, out: &str, back: &str, size: usize) -> Result<Ports> {
        set_log_level(LogLevel::Fatal);
        let node = NodeBuilder::new()
            .config(&config(run)?)
            .signal_handling_mode(SignalHandlingMode::Disabled)
            .create()?;
        let buffer = ((16 << 20) / size).clamp(16, 1000);
        let service = |name: &str| -> Result<_> {
            Ok(node
                .service_builder(&name.try_into()?)
                .publish_subscribe::<[u8]>()
                .enable_safe_overflow(false)
                .history_size(0)
                .subscriber_max_buffer_size(buffer)
                .max_publishers(1)
                .max_subscribers(1)
                .open_or_create()?)
        };
        let publisher = service(out)?
            .publisher_builder()
            .initial_max_slice_len(size)
            .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
            .create()?;
        let subscriber = service(back)?.subscriber_builder().buffer_size(buffer).create()?;
        Ok(Ports { publisher, subscriber, _node: node })
    }

    /// Polls until a message is there.
    pub(super) fn next(&self) -> Result<Sample<ipc::Service, [u8], ()>> {
        loop {
            if let Some(sample) = self.subscriber.receive()? {
                return Ok(sample);
            }
            std::hint::spin_loop();
        }
    }
}

/// Both sides, each as `wire` makes it of its ports.
pub(super) fn ends<W: 'static>(size: usize, wire: fn(Ports, usize) -> W) -> Result<Ends<W>> {
    let (name, run) = (fresh_name(), std::process::id());
    let open = |out: String, back: String| move || Ok(wire(Ports::open(run, &out, &back, size)?, size));
    let (to_near, to_far) = (format!("{name}/near"), format!("{name}/far"));
    Ok(Ends::new(open(to_far.clone(), to_near.clone()), open(to_near, to_far)))
}

/// Copied in and out.
pub(super) struct Copied(Ports, Vec<u8>);

impl Wire for Copied {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        self.0.publisher.loan_slice_uninit(message.len())?.write_from_slice(message).send()?;
        Ok(())
    }

    fn recv<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let sample = self.0.next()?;
        let message = self.1.get_mut(..sample.len()).ok_or("a message is too long")?;
        message.copy_from_slice(&sample);
        Ok(look(message))
    }
}

pub(super) fn copied(size: usize) -> Result<Ends<Copied>> {
    ends(size, |ports, size| Copied(ports, vec![0; size]))
}
