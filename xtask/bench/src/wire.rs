//! What is measured: one side of a channel that carries messages both ways, whoever's it is.

use std::error::Error;

/// Anything that can go wrong in a subject. It is only ever shown.
pub(crate) type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// One side of a channel. The loops are generic over it, so that nothing but the subject is measured.
pub(crate) trait Wire {
    /// Messages are written and read where they lie, so the loops touch their first bytes only.
    const IN_PLACE: bool = false;

    /// Sends one message, waiting for room.
    fn send(&mut self, message: &[u8]) -> Result<()>;

    /// Receives one message, waiting for it, and shows it to `look`.
    ///
    /// What the subject must copy so that its user can read the message at leisure is a part of this.
    fn recv<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T>;

    /// Sends several messages with as few calls as the subject can.
    fn send_batch(&mut self, messages: &[&[u8]]) -> Result<()> {
        messages.iter().try_for_each(|message| self.send(message))
    }
}

/// Makes one side, in the process or thread that will use it.
pub(crate) type Opener<W> = Box<dyn FnOnce() -> Result<W> + Send>;

/// The two sides of a new channel, before they are opened.
///
/// What both must inherit (descriptors, a name) is made with this; all else is made by the openers.
pub(crate) struct Ends<W> {
    /// The side that begins.
    pub(crate) near: Opener<W>,
    /// The side that answers.
    pub(crate) far: Opener<W>,
}

impl<W> Ends<W> {
    pub(crate) fn new(
        near: impl FnOnce() -> Result<W> + Send + 'static,
        far: impl FnOnce() -> Result<W> + Send + 'static,
    ) -> Ends<W> {
        Ends { near: Box::new(near), far: Box::new(far) }
    }
}
