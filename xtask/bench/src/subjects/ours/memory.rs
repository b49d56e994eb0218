//! What goes through memory: between processes, and between threads. Messages are copied in and out.

use super::{Whole, soon};
use crate::subjects::{fresh_name, mark};
use crate::wire::{Ends, Result};
use ipc_core::Waiting;
use ipc_inproc::{Context, InprocPair};
use ipc_shm::ShmPair;

/// Two rings in a named segment.
pub(super) fn shm(options: &str) -> Result<Ends<Whole<ShmPair>>> {
    let endpoint = format!("shm://{}{options}", fresh_name());
    let name = endpoint.clone();
    Ok(Ends::new(
        move || Ok(Whole(ShmPair::connect_within(endpoint, soon())?)),
        move || Ok(Whole(ShmPair::bind(name)?)),
    ))
}

/// Threads of one process. An inproc endpoint has no options, so they are set on the context.
pub(super) fn inproc(waiting: Waiting, size: usize) -> Result<Ends<Whole<InprocPair>>> {
    let options = move || {
        let options = Context::global().options().waiting(waiting);
        options.send_high_water_mark(mark(size)).recv_high_water_mark(mark(size))
    };
    Ok(Ends::new(
        move || Ok(Whole(options().connect("inproc://bench")?)),
        move || Ok(Whole(options().bind("inproc://bench")?)),
    ))
}
