//! Commits to the embedded store in a folder, and says so after each: for recordings of the store alone.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use waypost_node::store::sled::SledStore;
use waypost_tests::overwriting::Owner;

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let (folder, first, last) = (words.next(), words.next(), words.next());
    let store = SledStore::open(Path::new(&folder.context("a folder")?))?;
    let owner = Owner::new()?;
    let (first, last): (u64, u64) = (
        first.context("the first commit")?.parse()?,
        last.context("the last commit")?.parse()?,
    );
    for commit in first..=last {
        owner.commit(&store, commit)?;
        // The answer.
        writeln!(std::io::stdout(), "{commit}")?;
    }
    Ok(())
}
