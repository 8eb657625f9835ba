//! Where the node keeps its records: a contract, and two stores that keep it.
//!
//! [`contract`] says what a store promises; `sled` is the embedded default and `memory` the one for
//! tests and simulation. Both pass the same `conformance` suite. Nothing else in the node names sled.

pub mod contract;
pub mod key;
pub mod memory;
pub mod sled;

#[cfg(test)]
mod conformance;
mod overlay;

pub use contract::{Batch, Expected, Page, Store, StoreError};
pub use key::{Key, KeyRange, Space};
pub(crate) use overlay::{Overlay, overlaid, rows};
