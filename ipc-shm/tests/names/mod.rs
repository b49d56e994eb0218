//! The names of the tests' objects, which bear the process id of the test run; and the removal of what runs
//! that were killed have left, as soon as another run asks for its first name.

#![allow(dead_code)] // no test file uses all of it

use ipc_shm::Segment;
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::NamedTempFile;

const PREFIX: &str = "ipc-shm-test-";

/// The highest eight bits of the tests' keys. Below are the lower half of the process id, and a number.
const KEYS: u32 = 0x5f << 24;

/// A name that no other test uses.
pub(crate) fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    clean_up();
    format!("{PREFIX}{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A System V endpoint that no other test uses, if a test binary asks for at most 256.
pub(crate) fn unique_key() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    clean_up();
    let number = NEXT.fetch_add(1, Ordering::Relaxed) & 0xff;
    format!("sysvshm://{:#x}", KEYS | (std::process::id() & 0xffff) << 8 | number)
}

/// An empty file of the test's own, and the System V endpoint of the key that ftok(3) makes of it.
pub(crate) fn unique_file() -> (NamedTempFile, String) {
    clean_up();
    let prefix = format!("{PREFIX}{}-", std::process::id());
    let file = tempfile::Builder::new().prefix(&prefix).tempfile().unwrap();
    let endpoint = endpoint_of(file.path());
    (file, endpoint)
}

fn endpoint_of(file: &Path) -> String {
    format!("sysvshm://{}?id=a", file.display())
}

/// Removes what the dead have left. That others may do the same, and it is gone, is no matter.
fn clean_up() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for object in left_in(Path::new("/dev/shm")) {
            let _ = fs::remove_file(object);
        }
        for file in left_in(&std::env::temp_dir()) {
            let _ = Segment::remove(endpoint_of(&file));
            let _ = fs::remove_file(file);
        }
        let list = fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
        for key in list.lines().filter_map(left_key) {
            let _ = Segment::remove(format!("sysvshm://{key:#x}"));
        }
    });
}

fn left_in(directory: &Path) -> Vec<PathBuf> {
    let is_left = |path: &PathBuf| {
        let name = path.file_name()?.to_str()?.strip_prefix(PREFIX)?;
        Some(is_dead(name.split('-').next()?.parse().ok()?))
    };
    let entries = fs::read_dir(directory).unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    entries.filter(|path| is_left(path) == Some(true)).collect()
}

/// The key in a line of the list, if it is one of the tests', whose maker is dead, and nobody has the
/// segment.
fn left_key(line: &str) -> Option<u32> {
    let fields: Vec<i64> = line.split_whitespace().map_while(|field| field.parse().ok()).collect();
    let [key, _id, _mode, _size, maker, _last, attached, ..] = fields[..] else { return None };
    let key = i32::try_from(key).ok()?.cast_unsigned();
    let left = key & 0xff00_0000 == KEYS && attached == 0 && is_dead(maker.try_into().ok()?);
    left.then_some(key)
}

fn is_dead(pid: i32) -> bool {
    pid > 0 && kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH)
}
