//! From a recipe in the catalogue to programs that can be run: builds the examples, finds them, and makes
//! the folder that they run in.

use crate::catalogue::{self, Recipe};
use crate::stage::{Role, Start};
use std::env;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// Builds all examples, in the profile of this program.
pub fn build() -> io::Result<()> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let release = if cfg!(debug_assertions) { "--profile=dev" } else { "--profile=release" };
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--examples", release, "--manifest-path", manifest])
        .status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other("the examples do not build")) }
}

/// Where the example of this name is: beside this program, or beside the folder of the tests.
pub fn path(name: &str) -> io::Result<PathBuf> {
    let here = env::current_exe()?;
    here.ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("examples").join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| io::Error::other(format!("the example {name} has not been built")))
}

/// A temporary folder with the files that the recipe wants.
pub fn folder(recipe: &Recipe) -> io::Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("ipc-").tempdir()?;
    for file in recipe.files {
        File::create(folder.path().join(file))?;
    }
    Ok(folder)
}

/// The recipe's programs, with this input in the order of the prompts, and the catalogue's where there is
/// less.
pub fn roles(recipe: &Recipe, input: &[Vec<u8>]) -> io::Result<Vec<Role>> {
    let mut input = input.iter();
    let mut roles = Vec::new();
    for (index, part) in recipe.parts.iter().enumerate() {
        let before = index.saturating_sub(1);
        let dialogue = part.dialogue.iter().map(|(prompt, usual)| {
            let answer = input.next().cloned().unwrap_or_else(|| usual.as_bytes().to_vec());
            (prompt.to_string(), answer)
        });
        roles.push(Role {
            name: part.name.into(),
            path: path(part.name)?,
            dialogue: dialogue.collect(),
            start: match part.start {
                catalogue::Start::AtOnce => Start::AtOnce,
                catalogue::Start::AfterOutput(text) => Start::AfterOutput(before, text.into()),
                catalogue::Start::AfterEnd => Start::AfterEnd(before),
            },
        });
    }
    Ok(roles)
}
