//! The command line of `waypost`.

fn main() {}
