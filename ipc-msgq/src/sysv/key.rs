//! From an endpoint to the key of a queue: ftok(3), for C programs to find the same.
//!
//! ftok makes the key of the lowest 8 bits of the id, the lowest 8 of the device's number, and the lowest
//! 16 of the file's. So two files can have the same key (on one device, one file in 65,536 has that of
//! any other), and a file that is removed and made again most often has another: whoever meets at a path
//! must leave the file alone.

use ipc_core::{Address, Endpoint, Error, Result};
use libc::key_t;
use std::fs;
use std::num::NonZeroU8;
use std::os::unix::fs::MetadataExt;

/// The key. It fails with `NotFound` if there is no file at the path.
pub(super) fn of(endpoint: &Endpoint, operation: &'static str) -> Result<key_t> {
    match endpoint.address() {
        Address::Path(path) => {
            let file = fs::metadata(path).map_err(|source| {
                Error::from_io(source, operation)
                    .at(endpoint.text())
                    .with_detail("the key is made from a file that is there, see ftok(3)")
            })?;
            let id = endpoint.options().id.map_or(0, NonZeroU8::get);
            Ok(ftok(id, file.dev(), file.ino()).cast_signed())
        }
        Address::Key(key) => Ok(key.cast_signed()),
        // The scheme is checked before; 0 is IPC_PRIVATE, which opens nothing.
        _ => Ok(libc::IPC_PRIVATE),
    }
}

fn ftok(id: u8, device: u64, inode: u64) -> u32 {
    // Each part is masked to its width.
    u32::from(id) << 24 | ((device & 0xff) as u32) << 16 | (inode & 0xffff) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_has_id_device_and_inode_in_their_places() {
        assert_eq!(ftok(b'a', 0x1234, 0xabcd_5678), 0x6134_5678);
    }

    #[test]
    fn an_inode_that_differs_above_16_bits_collides() {
        assert_eq!(ftok(1, 0, 5), ftok(1, 0, 5 + 65_536));
    }
}
