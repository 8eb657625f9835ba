//! The list of `docs/bad-input.md`, line by line: nodes are processes of `waypost-node`, and who lies to
//! them is a process with registered keys (`hostile`) or an officer with a client of their own making
//! (`forgery`).

mod content;
mod directories;
mod disk;
mod forms;
mod framing;
mod manifests;
mod receipts;
mod rosters;
mod senders;
mod stand;
mod times;
