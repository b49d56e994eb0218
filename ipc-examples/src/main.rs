//! Lists the recipes and runs them.
fn main() {}
