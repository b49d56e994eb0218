//! Who owns the key of a System V queue, and whether they live.
//!
//! A System V queue has no descriptor, so nothing about it is released when its owner dies. Beside each
//! queue that is bound stands a small file in `/dev/shm`, which the owner keeps locked (see `lock`), and
//! which has the queue's identifier in it. The kernel gives each queue a new identifier, so:
//!
//! * file locked: the owner lives;
//! * file not locked, and its identifier is that of the queue under the key: the owner died;
//! * anything else: another program made the queue, and nobody can tell whether it is still wanted.
//!
//! The file's name has the user, the IPC namespace and the key in it. A file belongs to the user in its
//! name, or it is not believed.

use crate::lock::{self, Seat};
use ipc_core::{Error, ErrorKind};
use libc::key_t;
use nix::unistd::Uid;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;

/// The lock on a key, held as long as this lives.
#[derive(Debug)]
pub(super) struct Claim {
    file: File,
    path: PathBuf,
}

/// What the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// Nothing, or nothing that makes sense.
    Nothing,
    /// Somebody was about to make a queue.
    Making,
    /// Somebody made this queue.
    Made(i32),
}

/// Records are of one length, so that one replaces another in one write.
const RECORD_LEN: usize = 12;

impl Claim {
    /// Takes the lock. `None` if somebody has it.
    pub(super) fn take(key: key_t) -> Result<Option<Claim>, Error> {
        const OPERATION: &str = "bind";
        let own = Uid::effective().as_raw();
        let path = path(own, key);
        let failed = |source| {
            Error::from_io(source, OPERATION).with_detail(format!("the lock file is {}", path.display()))
        };
        loop {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o644)
                .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
                .open(&path)
                .map_err(failed)?;
            let found = file.metadata().map_err(failed)?;
            if found.uid() != own || !found.is_file() {
                return Err(Error::new(ErrorKind::WrongOwner, OPERATION)
                    .with_detail(format!("the lock file {} is not ours", path.display())));
            }
            if !lock::take(&file, Seat::Owner).map_err(failed)? {
                return Ok(None);
            }
            // Its owner may have removed it between our open and our lock.
            let names = file.metadata().map_err(failed)?.nlink();
            if names > 1 {
                // Not made here: somebody has given a file of ours this name, to have it written to and
                // shown to everybody.
                return Err(Error::new(ErrorKind::WrongOwner, OPERATION).with_detail(format!(
                    "the lock file {} has another name too; remove it",
                    path.display()
                )));
            }
            if names > 0 {
                // So that other users can ask, whatever the umask.
                file.set_permissions(Permissions::from_mode(0o644)).map_err(failed)?;
                return Ok(Some(Claim { file, path }));
            }
        }
    }

    pub(super) fn read(&self) -> Record {
        read(&self.file)
    }

    pub(super) fn write(&self, record: Record) -> io::Result<()> {
        let number = match record {
            Record::Nothing => -2,
            Record::Making => -1,
            Record::Made(id) => id,
        };
        let width = RECORD_LEN - 1;
        self.file.write_all_at(format!("{number:width$}\n").as_bytes(), 0)
    }

    /// Leaves the file as a killed owner does.
    #[cfg(test)]
    pub(super) fn abandon(self) {
        lock::release(&self.file, Seat::Owner);
    }

    /// Removes the file: there is no queue that it speaks of.
    pub(super) fn discard(&self) {
        // There is nobody to tell, and a file that is left is used again.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether the owner of this queue lives and holds its key.
pub(super) fn is_held(owner: u32, key: key_t, id: i32) -> io::Result<bool> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path(owner, key));
    let file = match file {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let believed = file.metadata()?.uid() == owner && read(&file) == Record::Made(id);
    Ok(believed && lock::is_taken(&file, Seat::Owner)?)
}

/// Removes the lock file of a queue that was removed, unless its owner lives, who does so.
pub(super) fn forget(owner: u32, key: key_t, id: i32) {
    let path = path(owner, key);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(&path);
    let Ok(file) = file else { return };
    if lock::take(&file, Seat::Owner).unwrap_or(false) && read(&file) == Record::Made(id) {
        // There is nobody to tell, and a file that is left is used again.
        let _ = fs::remove_file(&path);
    }
}

fn read(file: &File) -> Record {
    let mut bytes = [0; RECORD_LEN];
    let text = file.read_exact_at(&mut bytes, 0).ok().and_then(|()| str::from_utf8(&bytes).ok());
    match text.and_then(|text| text.trim().parse::<i32>().ok()) {
        Some(-1) => Record::Making,
        Some(id) if id >= 0 => Record::Made(id),
        _ => Record::Nothing,
    }
}

fn path(owner: u32, key: key_t) -> PathBuf {
    let namespace = fs::metadata("/proc/self/ns/ipc").map_or(0, |namespace| namespace.ino());
    format!("/dev/shm/ipc-msgq.{owner}.{namespace}.{key:08x}").into()
}

/// Whether this user has a lock file for the key.
#[cfg(test)]
pub(super) fn is_there(key: key_t) -> bool {
    path(Uid::effective().as_raw(), key).exists()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use tempfile::NamedTempFile;

    #[test]
    fn another_file_of_ours_that_somebody_has_linked_there_is_left_alone() {
        let mut secret = NamedTempFile::new_in("/dev/shm").unwrap();
        secret.write_all(b"a secret of this user").unwrap();
        let key = 0x7e57_0000_u32.cast_signed() | (std::process::id() & 0xffff).cast_signed();
        let path = path(Uid::effective().as_raw(), key);
        fs::hard_link(secret.path(), &path).unwrap();
        let taken = Claim::take(key);
        fs::remove_file(&path).unwrap();
        assert_eq!(taken.unwrap_err().kind(), ErrorKind::WrongOwner);
        assert_eq!(secret.as_file().metadata().unwrap().mode() & 0o777, 0o600);
    }
}
