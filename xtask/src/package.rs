//! Packages the crates as for publishing, and builds them from the packages.
//!
//! The crates depend on one another in versions that are not published, so cargo unpacks them from the
//! packages it has just made, into a cache that it keeps for each target folder and version, and does not
//! look whether they have changed since. So a target folder of its own serves one run only, and what has
//! been unpacked for it is removed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Packages all crates, also those that are not published.
pub(crate) fn package() -> Result<(), String> {
    let target = env::temp_dir().join(format!("ipc-package-{}", std::process::id()));
    let before = unpacked();
    let status = Command::new(env!("CARGO"))
        .args(["package", "--workspace", "--allow-dirty"])
        .arg("--target-dir")
        .arg(&target)
        .status();
    remove(&target);
    unpacked().difference(&before).for_each(|folder| remove(folder));
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("cargo package failed: {status}")),
        Err(error) => Err(format!("cargo package cannot be run: {error}")),
    }
}

/// Where cargo has unpacked packages that are on no registry: those folders have a name without one.
fn unpacked() -> BTreeSet<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| env::home_dir().map(|home| home.join(".cargo"))).unwrap_or_default();
    let folders = fs::read_dir(home.join("registry/src")).into_iter().flatten().flatten();
    let local = |folder: &PathBuf| {
        folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with('-'))
    };
    folders.map(|folder| folder.path()).filter(local).collect()
}

fn remove(folder: &Path) {
    if let Err(error) = fs::remove_dir_all(folder) {
        eprintln!("{} cannot be removed: {error}", folder.display());
    }
}
