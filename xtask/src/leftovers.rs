//! Sees to it that the tests leave no kernel object behind: shared memory, queues, temporary files.

use std::collections::BTreeSet;
use std::fs;

/// The named kernel objects and temporary files there are.
pub(crate) struct Objects(BTreeSet<String>);

impl Objects {
    /// Those of this moment.
    pub(crate) fn now() -> Objects {
        let mut objects = BTreeSet::new();
        // /dev/mqueue is not mounted everywhere; then the tests of the queues are their only witness.
        for folder in ["/dev/shm", "/dev/mqueue", "/tmp"] {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                objects.insert(entry.path().display().to_string());
            }
        }
        // One line for each object, behind a head; the second field is its number.
        for table in ["/proc/sysvipc/msg", "/proc/sysvipc/shm"] {
            let text = fs::read_to_string(table).unwrap_or_default();
            for id in text.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)) {
                objects.insert(format!("{table}: {id}"));
            }
        }
        Objects(objects)
    }

    /// Fails if there is something now, with our mark, that was not there before.
    ///
    /// Other programs make objects too, so only what bears the prefix of the tests' names counts among
    /// files, and all that is new among System V objects.
    pub(crate) fn nothing_left_behind(&self) -> Result<(), String> {
        let ours = |name: &&String| {
            let file = name.rsplit('/').next().unwrap_or_default();
            name.starts_with("/proc/sysvipc/") || file.starts_with("ipc-") || file.starts_with(".ipc-")
        };
        let now = Objects::now();
        let left: Vec<_> = now.0.difference(&self.0).filter(ours).cloned().collect();
        if left.is_empty() {
            return Ok(());
        }
        Err(format!("it left objects behind, {}", left.join(", ")))
    }
}
