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
pub const STORE_CACHE_BYTES: u64 = 64 * 1024 * 1024;
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

/// How long authenticated refusals of one peer are counted together, in seconds.
pub const REFUSAL_WINDOW_SECONDS: u64 = 3600;
/// Authenticated refusals of one peer that get an entry of their own in that time.
pub const REFUSAL_ENTRIES: u64 = 100;
/// At most one line of the node's own log in this time tells of refusals that are only counted, in
/// seconds.
pub const REFUSAL_LINE_SECONDS: u64 = 60;
/// Channels to peers that are kept open.
pub const PEER_CHANNELS: usize = 4096;
/// Chains of counterparts that are kept in memory.
pub const PARTIES: usize = 4096;
/// How long a chain is used before it is asked for again, in seconds.
pub const PARTY_SECONDS: u64 = 60;
/// For offers that cite a chain which is not at hand, a counterpart's node is asked at most once in
/// this time, in seconds.
pub const PARTY_ASK_SECONDS: u64 = 1;
/// Compiled policy bundles of counterparts that are kept in memory.
pub const BUNDLES: usize = 64;
/// What may be under way on one HTTP/2 stream, and on one connection, before it is acknowledged: a whole
/// request of offers.
pub const HTTP2_WINDOW: u32 = 2 * 1024 * 1024;
/// Offers of one request between nodes (proto/spec/peer.md).
pub const OFFERS: usize = 64;
/// Requests of one pair and lane that are under way at once: while one is being committed, the
/// signatures of the next are checked.
pub const REQUESTS: usize = 2;
/// Bytes of envelopes from which no further offer joins a request.
pub const OFFER_BYTES: usize = 1024 * 1024;
/// Offers of one message in a row, while the recipient corrects what it last saw.
pub const OFFER_ATTEMPTS: u32 = 3;
/// First pause before a message is offered again, in milliseconds.
pub const BACKOFF_FIRST_MS: u64 = 250;
/// Longest pause before a message is offered again, in milliseconds.
pub const BACKOFF_MOST_MS: u64 = 60 * 1000;
/// The same in the danger lane.
pub const BACKOFF_DANGER_MS: u64 = 5 * 1000;
/// What an officer signs to log in.
pub const LOG_IN_BYTES: usize = 1024;
/// Certificates that may come with a roster.
pub const ROSTER_CERTIFICATES: usize = 256;
/// Items of one list.
pub const LIST_ITEMS: usize = 1000;
/// Events that wait for a watcher.
pub const WATCH_EVENTS: usize = 64;
/// A directory file: records and certificates of every agency.
pub const DIRECTORY_FILE_BYTES: usize = 1 << 30;
/// The files of a policy bundle's folder.
pub const BUNDLE_FOLDER_BYTES: usize = 1024 * 1024;
/// Evidence that comes with a message or a receipt: kept in one value with its header and signature.
pub const EVIDENCE_BYTES: usize = 7 * 1024;
/// A `Submitted` event: leaves room for its proof in [`EVIDENCE_BYTES`].
pub const SUBMITTED_BYTES: usize = 4 * 1024;
