//! Options set one after the other: `Options::default().mode(0o600).capacity(4096)`.

use super::Options;
use crate::{Framing, Waiting};
use std::num::NonZeroU8;

macro_rules! setters {
    ($($option:ident: $value:ty),* $(,)?) => {
        impl Options {
            $(
                #[doc = concat!("Sets [`", stringify!($option), "`](field@Options::", stringify!($option), ").")]
                #[must_use]
                pub fn $option(mut self, $option: $value) -> Self {
                    self.$option = Some($option);
                    self
                }
            )*
        }
    };
}

setters! {
    mode: u32,
    framing: Framing,
    max_message: usize,
    capacity: usize,
    waiting: Waiting,
    id: NonZeroU8,
    message_type: i64,
    priority: u32,
    uid: u32,
    persist: bool,
    backlog: u32,
    descriptors: bool,
}
