//! Every example program is in the catalogue and on the front page, and the other way round.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use ipc_examples::catalogue::RECIPES;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn catalogue() -> BTreeSet<String> {
    RECIPES.iter().flat_map(|recipe| recipe.parts).map(|part| part.name.to_owned()).collect()
}

#[test]
fn every_program_is_in_the_catalogue() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let programs: BTreeSet<_> =
        names.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(programs, catalogue());
}

#[test]
fn every_recipe_is_on_the_front_page() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let missing: Vec<_> =
        catalogue().into_iter().filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "not in README.md: {missing:?}");
}
