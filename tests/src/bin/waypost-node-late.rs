//! A faulty node, to see that the tests notice: `waypost-node run` on a store that answers before it
//! has written. Everything else is the node itself.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use waypost_node::config::Config;
use waypost_node::serve;
use waypost_node::start::{STORE_FOLDER, StartError};
use waypost_node::store::Store;
use waypost_node::store::sled::SledStore;
use waypost_tests::late_store::LateStore;

#[tokio::main]
async fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let ["run", "--config", config, "--ready-file", ready] = words.as_slice() else {
        bail!("usage: run --config FILE --ready-file PATH");
    };
    let config = Config::load(Path::new(config))?;
    let store = SledStore::open(&config.data.join(STORE_FOLDER))?;
    let store: Arc<dyn Store> = Arc::new(LateStore::before(store).context("the late store")?);
    let open = |_: &Config| Ok::<_, StartError>(store);
    Ok(serve::run(&config, open, Some(Path::new(ready))).await?)
}
