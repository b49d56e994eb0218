//! What the recipes have in common: typed lines in, lines of bytes out; the catalogue of all recipes; and
//! the stage on which they are played.

pub mod catalogue;
pub mod programs;
pub mod stage;
mod terminal;

pub use terminal::{prompt, show};

/// The code of the repository's front page, as a test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct FrontPage;
