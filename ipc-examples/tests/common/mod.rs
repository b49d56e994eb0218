//! What the tests of the recipes share: playing a recipe or a C program, and reading what was printed.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use ipc_examples::stage::{Role, Start, Transcript, play};
use ipc_examples::{catalogue, programs};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use tempfile::TempDir;

/// Held by a test whose programs use port 2000, which all socket recipes of the documents do.
pub(crate) fn port_2000() -> MutexGuard<'static, ()> {
    static PORT: Mutex<()> = Mutex::new(());
    PORT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A folder of a test's own.
pub(crate) fn folder() -> TempDir {
    tempfile::Builder::new().prefix("ipc-").tempdir().unwrap()
}

/// The example programs; built once, where the test was not started in a way that has built them.
fn example(name: &str) -> PathBuf {
    static BUILD: Once = Once::new();
    programs::path(name).unwrap_or_else(|_| {
        BUILD.call_once(|| programs::build().unwrap());
        programs::path(name).unwrap()
    })
}

/// A part of a recipe, started at once, that types `answers` at its prompts.
pub(crate) fn ours(name: &str, answers: &[&[u8]]) -> Role {
    let recipe = catalogue::find(name).unwrap();
    let part = recipe.parts.iter().find(|part| part.name == name).unwrap();
    assert!(answers.len() <= part.dialogue.len(), "{name} has {} prompts", part.dialogue.len());
    let prompts = part.dialogue.iter().map(|(prompt, _)| prompt.to_string());
    Role {
        name: name.into(),
        path: example(name),
        start: Start::AtOnce,
        dialogue: prompts.zip(answers.iter().map(|answer| answer.to_vec())).collect(),
    }
}

/// The C program of this name, compiled into `folder`.
pub(crate) fn theirs(name: &str, folder: &Path, dialogue: &[(&str, &str)]) -> Role {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c").join(name).with_extension("c");
    let path = folder.join(format!("{name}.c.out"));
    let status = Command::new("cc")
        .args(["-O1", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-o"])
        .arg(&path)
        .arg(&source)
        .status()
        .expect("a C compiler called cc is needed");
    assert!(status.success(), "{} does not compile", source.display());
    Role {
        name: format!("{name} in C"),
        path,
        start: Start::AtOnce,
        dialogue: dialogue
            .iter()
            .map(|(prompt, answer)| (prompt.to_string(), answer.as_bytes().to_vec()))
            .collect(),
    }
}

/// The same role, started when the role of this index has printed that.
pub(crate) fn after_output(mut role: Role, index: usize, text: &str) -> Role {
    role.start = Start::AfterOutput(index, text.into());
    role
}

/// The same role, started when the role of this index has ended.
pub(crate) fn after_end(mut role: Role, index: usize) -> Role {
    role.start = Start::AfterEnd(index);
    role
}

/// The same role, started when that file is there.
pub(crate) fn after_file(mut role: Role, name: &str) -> Role {
    role.start = Start::AfterFile(name.into());
    role
}

/// Plays the roles in `folder` and returns what each printed; all must succeed.
pub(crate) fn texts(roles: &[Role], folder: &Path) -> Vec<String> {
    let transcripts = play(roles, folder, false).unwrap();
    let text = |(transcript, role): (Transcript, &Role)| {
        let text = String::from_utf8_lossy(&transcript.text).into_owned();
        assert!(transcript.status.success(), "{}: {}\n{text}", role.name, transcript.status);
        text
    };
    transcripts.into_iter().zip(roles).map(text).collect()
}
