//! Servo's ipc-channel: its channel of bytes, without serialisation.

use crate::wire::{Ends, Result, Wire};
use ipc_channel::ipc::{IpcBytesReceiver, IpcBytesSender, bytes_channel};

/// A channel each way.
pub(super) struct Channels(IpcBytesSender, IpcBytesReceiver);

impl Wire for Channels {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        Ok(self.0.send(message)?)
    }

    fn recv<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let message = self.1.recv().map_err(|error| format!("{error:?}"))?;
        Ok(look(&message))
    }
}

/// Made before the fork; the descriptors are inherited.
pub(super) fn bytes(_: usize) -> Result<Ends<Channels>> {
    let (to_near, near) = bytes_channel()?;
    let (to_far, far) = bytes_channel()?;
    Ok(Ends::new(move || Ok(Channels(to_far, near)), move || Ok(Channels(to_near, far))))
}
