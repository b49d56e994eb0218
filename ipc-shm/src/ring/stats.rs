//! What an end of a ring has seen.

/// Counts since an end was opened; what [`ShmSender::stats`](super::ShmSender::stats) and
/// [`ShmReceiver::stats`](super::ShmReceiver::stats) give.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Messages sent, or received.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How often there was no room for a message (a sender), or none was there (a receiver), at the first
    /// look.
    pub waits: u64,
    /// How often it went to sleep.
    pub sleeps: u64,
    /// The peer's process id, once it has come; as it is in the peer's own pid namespace.
    pub peer_pid: Option<u32>,
}
