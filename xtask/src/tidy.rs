//! What no compiler checks: the top level is the design's, no transport depends on a transport, every
//! module opens with its purpose, one that has unsafe code says so there, and links in the pages lead
//! somewhere.

use cargo_metadata::MetadataCommand;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const TRANSPORTS: [&str; 6] =
    ["ipc-inproc", "ipc-pipe", "ipc-fifo", "ipc-socket", "ipc-msgq", "ipc-shm"];

/// What may stand at the top level, beside dot files. `target` is not checked in.
const TOP_LEVEL: [&str; 19] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "SECURITY.md",
    "ipc-core",
    "ipc-examples",
    "ipc-fifo",
    "ipc-inproc",
    "ipc-msgq",
    "ipc-pipe",
    "ipc-shm",
    "ipc-socket",
    "target",
    "xtask",
];

/// Runs all checks and tells everything that is wrong.
pub(crate) fn check() -> Result<(), String> {
    let root = root();
    let mut problems = Vec::new();
    top_level(&root, &mut problems)?;
    dependencies(&root, &mut problems)?;
    modules(&root, &mut problems)?;
    links(&root, &mut problems)?;
    if problems.is_empty() {
        return Ok(());
    }
    Err(format!("not tidy:\n    {}", problems.join("\n    ")))
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

fn top_level(root: &Path, problems: &mut Vec<String>) -> Result<(), String> {
    let found: BTreeSet<String> =
        names(root)?.into_iter().filter(|name| !name.starts_with('.')).collect();
    let allowed: BTreeSet<String> = TOP_LEVEL.iter().map(ToString::to_string).collect();
    for name in found.difference(&allowed) {
        problems.push(format!("{name} does not belong at the top level"));
    }
    for name in allowed.difference(&found).filter(|name| *name != "target") {
        problems.push(format!("{name} is missing at the top level"));
    }
    Ok(())
}

fn dependencies(root: &Path, problems: &mut Vec<String>) -> Result<(), String> {
    let metadata = MetadataCommand::new().current_dir(root).no_deps().exec();
    let packages = metadata.map_err(|error| format!("cargo metadata: {error}"))?.packages;
    for transport in TRANSPORTS {
        if !packages.iter().any(|package| package.name == transport) {
            problems.push(format!("{transport} is not a package of the workspace"));
        }
    }
    for package in &packages {
        let name = package.name.as_str();
        if name != "ipc-core" && !TRANSPORTS.contains(&name) {
            continue;
        }
        for dependency in &package.dependencies {
            if TRANSPORTS.contains(&dependency.name.as_str()) {
                let dependency = &dependency.name;
                problems.push(format!("{name} depends on {dependency}: crates here know ipc-core only"));
            }
        }
    }
    Ok(())
}

fn modules(root: &Path, problems: &mut Vec<String>) -> Result<(), String> {
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for name in names(&folder)? {
            let path = folder.join(&name);
            if path.is_dir() {
                if !name.starts_with('.') && name != "target" {
                    folders.push(path);
                }
            } else if name.ends_with(".rs") {
                let source =
                    fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
                let path = path.strip_prefix(root).unwrap_or(&path);
                if !source.starts_with("//!") && !source.starts_with("#![doc = include_str!") {
                    problems.push(format!("{} does not open with its purpose (//!)", path.display()));
                }
                // The tests and the benchmark are no code that others run.
                let is_ours = path.components().nth(1).is_some_and(|part| part.as_os_str() == "src");
                if is_ours && is_silent_about_unsafe_code(&source) {
                    problems
                        .push(format!("{} has unsafe code, and does not open with it", path.display()));
                }
            }
        }
    }
    Ok(())
}

fn is_silent_about_unsafe_code(source: &str) -> bool {
    const UNSAFE: [&str; 5] = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe trait", "unsafe extern"];
    let mut code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut head = source.lines().take_while(|line| line.starts_with("//!"));
    code.any(|line| UNSAFE.iter().any(|word| line.contains(word)))
        && !head.any(|line| line.to_lowercase().contains("unsafe"))
}

/// A page is also read where rustdoc does not resolve items: what is written `](…)` is the page's own, an address
/// or a file. (An item is ``[`Type::item`]``, which is a link in rustdoc and a name elsewhere.)
fn links(root: &Path, problems: &mut Vec<String>) -> Result<(), String> {
    let of_crates = TRANSPORTS.iter().chain(&["ipc-core", "ipc-examples"]);
    let folders = of_crates.map(|name| root.join(name)).chain([root.to_path_buf()]);
    for folder in folders {
        for name in names(&folder)?.iter().filter(|name| name.ends_with(".md")) {
            let path = folder.join(name);
            let page =
                fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            let dead = targets(&page).filter(|target| {
                !target.starts_with("https://")
                    && !target.starts_with('#')
                    && !folder.join(target).exists()
            });
            let shown = path.strip_prefix(root).unwrap_or(&path).display();
            problems.extend(dead.map(|target| format!("{shown} links to {target}, which is not there")));
        }
    }
    Ok(())
}

/// What the links of a page lead to, beside those in code.
fn targets(page: &str) -> impl Iterator<Item = &str> {
    let prose = page.split("```").step_by(2);
    prose.flat_map(|prose| prose.split("](").skip(1)).filter_map(|rest| rest.split(')').next())
}

fn names(folder: &Path) -> Result<Vec<String>, String> {
    let wrong = |error| format!("{}: {error}", folder.display());
    let entries = fs::read_dir(folder).map_err(wrong)?;
    entries.map(|entry| Ok(entry.map_err(wrong)?.file_name().to_string_lossy().into_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::targets;

    #[test]
    fn links_are_found_in_prose_and_not_in_code() {
        let page =
            "see [this](a.md) and [`that`](b::C).\n```\nlet x = y[0](1);\n```\n[`Item`], [x](https://x)";
        assert_eq!(targets(page).collect::<Vec<_>>(), ["a.md", "b::C", "https://x"]);
    }
}
