//! The `zctrace` command.

fn main() {}
