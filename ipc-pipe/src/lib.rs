#![doc = include_str!("../README.md")]

mod capacity;
mod channel;
mod end;
mod fork;
mod inherit;
mod pipeline;
// The only place of this crate where unsafe code may stand.
#[allow(unsafe_code)]
mod sys;

pub use capacity::{PIPE_BUF, PipeExt};
pub use channel::{CAPABILITIES, PipeReceiver, PipeSender, pipe, pipe_with};
pub use fork::{Forked, fork};
pub use inherit::{hand_over, hand_over_as};
pub use ipc_core::common::*;
pub use pipeline::{Pipeline, PipelineOutput, RunningPipeline};
