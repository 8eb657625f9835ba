//! Every bound of the node that is not a bound of the protocol (`waypost_proto::limit`).
//!
//! Sizes are in bytes and times in seconds unless the name says otherwise.

/// A value in the store. Larger things are cut into chunks (DESIGN 7: larger pages would leave the
/// sled file for files that it never syncs).
pub const VALUE_BYTES: usize = 32 * 1024;
/// A key in the store, with owner and space.
pub const KEY_BYTES: usize = 512;
/// Keys and values of one commit. Below a segment of the sled store (8 MiB), so that a commit cannot
/// outrun the sync that makes its predecessors durable (`docs/decisions/001-sled-with-a-second-sync.md`).
pub const COMMIT_BYTES: usize = 4 * 1024 * 1024;
/// Rows of one scan.
pub const SCAN_ROWS: usize = 1024;
/// Values of one scan; the row that exceeds it is the last.
pub const SCAN_BYTES: usize = 1024 * 1024;
/// Memory that the sled store keeps pages in.
pub const STORE_CACHE_BYTES: u64 = 256 * 1024 * 1024;
/// How long the store's write to disk may take before it counts as failed.
pub const FLUSH_SECONDS: u64 = 60;

/// Slots of one vault: one key each.
pub const VAULT_SLOTS: u32 = 1 << 28;
/// Slots by which the vault's file grows at a time.
pub const VAULT_GROWTH_SLOTS: u32 = 1024;

/// Transactions that wait for the sequencer; further callers wait for a place.
pub const QUEUE_TRANSACTIONS: usize = 1024;
/// Transactions of one commit.
pub const BATCH_TRANSACTIONS: usize = 256;
/// What one transaction may stage.
pub const TRANSACTION_BYTES: usize = 2 * 1024 * 1024;
/// Staged bytes from which no further transaction joins a commit. With a last transaction of
/// [`TRANSACTION_BYTES`] and the heads of the touched logs it stays below [`COMMIT_BYTES`].
pub const BATCH_BYTES: usize = 1024 * 1024;
/// Log entries that one call may read.
pub const READ_ENTRIES: usize = 1024;
/// Appended-notices that a slow subscriber may fall behind before it is told to look everywhere.
pub const NOTICES: usize = 1024;
