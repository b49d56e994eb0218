//! Sees to it that the tests leave nothing behind: shared memory, queues, temporary files.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

/// What there was before a step, and a folder for its temporary files.
pub(crate) struct Leftovers {
    before: BTreeSet<String>,
    folder: TempDir,
}

impl Leftovers {
    /// Those of this moment, and a folder that is still empty.
    pub(crate) fn before() -> Result<Leftovers, String> {
        let folder = tempfile::Builder::new()
            .prefix("ipc-")
            // As /tmp is: some tests are two users.
            .permissions(Permissions::from_mode(0o1777))
            .tempdir()
            .map_err(|error| format!("a folder for temporary files cannot be made: {error}"))?;
        // What the umask has taken away.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o1777))
            .map_err(|error| format!("{}: {error}", folder.path().display()))?;
        Ok(Leftovers { before: objects(), folder })
    }

    /// Where the step is to make its temporary files, by `TMPDIR`.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Fails if there is something now that was not there before.
    ///
    /// Other programs make objects too, so only what bears the prefix of the tests' names counts among
    /// shared memory and queues; among System V objects, and in the folder of the step, everything does.
    pub(crate) fn nothing_left(&self) -> Result<(), String> {
        let ours = |name: &&String| {
            let file = name.rsplit('/').next().unwrap_or_default();
            name.starts_with("/proc/sysvipc/") || file.starts_with("ipc-") || file.starts_with(".ipc-")
        };
        let now = objects();
        let mut left: Vec<_> = now.difference(&self.before).filter(ours).cloned().collect();
        left.extend(entries(self.folder()));
        if left.is_empty() {
            return Ok(());
        }
        Err(format!("it left behind {}", left.join(", ")))
    }
}

/// The named kernel objects there are.
fn objects() -> BTreeSet<String> {
    // /dev/mqueue is not mounted everywhere; then the tests of the queues are their only witness.
    let mut objects: BTreeSet<_> =
        ["/dev/shm", "/dev/mqueue"].iter().flat_map(|folder| entries(Path::new(folder))).collect();
    // One line for each object, behind a head; the second field is its number.
    for table in ["/proc/sysvipc/msg", "/proc/sysvipc/shm"] {
        let text = fs::read_to_string(table).unwrap_or_default();
        for id in text.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)) {
            objects.insert(format!("{table}: {id}"));
        }
    }
    objects
}

fn entries(folder: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path().display().to_string())
}
