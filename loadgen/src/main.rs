//! Load generator for mail servers.
fn main() {}
