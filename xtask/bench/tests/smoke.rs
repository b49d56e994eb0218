//! Every row that needs no other library still works: each is run once, for a moment.

use std::process::Command;

#[test]
fn every_row_works() {
    let output = Command::new(env!("CARGO_BIN_EXE_bench")).arg("--smoke").output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}
