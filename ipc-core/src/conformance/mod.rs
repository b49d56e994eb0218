//! The conformance suite: one public function for each rule of the contract, for every transport, ours
//! or yours.

mod fixture;

pub use fixture::{End, Fixture, Opened, Place};
