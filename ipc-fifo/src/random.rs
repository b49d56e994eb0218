//! Numbers at random: for writers, and for names that are there for a moment.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::SystemTime;

/// A number that nobody can foresee, and another one in a forked child: a hash of the time and the process, by the
/// standard library's random keys.
pub(crate) fn random() -> u64 {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.write_u128(
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos(),
    );
    hasher.finish()
}
