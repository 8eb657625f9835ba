//! Strict OpenPGP (`proto/spec/openpgp.md`): certificates, detached signatures, sealed bodies, and
//! the secrets behind them. The only module of the workspace that names sequoia.
//!
//! ```text
//! SecretKey --signing_key--> SigningKey --sign-------------------------------> Certificate::verify
//!     |                          |
//!     |                          +--seal--> body --outline (a node, no key)
//!     +------desk_key------> DeskKey ----------+--open (a desk)--> plaintext
//!                               +--hand_over--> body --accept--> DeskKey
//! ```
//!
//! Sequoia supplies packets, digests and ciphers; what a packet sequence may look like is decided
//! here ([`Certificate::parse`], [`outline`], [`open`]), by allow-lists, so its policies and its
//! lenient parsers play no part. Signing, verifying and wrapping session keys is aws-lc's, with keys
//! imported once (`docs/decisions/007-keys-are-imported-once-into-aws-lc.md`).
//!
//! INVARIANT (nothing before everything): no byte of a body's content is returned before its
//! encryption, structure, signature, signer and recipients have all been verified.
//!
//! INVARIANT (no growing cache): sequoia keeps every signature verified through its `Signature`
//! type in a process-wide table (32 bytes of digest and two flags each, some 60 bytes with the tree
//! around it) that is never evicted and cannot be bounded. Signatures are therefore verified by a
//! verifier of ours and never enter it ([`cached_signatures`] stays 0, tested). What a long-running
//! node holds is only the [`Certificate`]s that it keeps itself.
//!
//! Secret keys rest in sequoia's encrypted memory, that of a [`SigningKey`] expanded in aws-lc's, which
//! zeroes it; buffers of ours that held secrets are zeroed. Sequoia's own buffers, through which a body
//! passes while it is decrypted, are freed without that.

mod certificate;
mod desk_key;
mod key;
mod open;
mod packets;
mod policy;
mod primary;
mod seal;
mod session_key;
mod signature;

#[cfg(test)]
mod tests;

pub use certificate::{Certificate, CertificateError, Recipient};
pub use desk_key::{AcceptError, DeskKey};
pub use key::{KeyError, KeyRole, Passphrase, SecretKey, SigningKey};
pub use open::{BodyError, OpenError, Outline, open, outline, recipients};
pub use packets::FramingError;
pub use policy::{Suite, UnknownSuite};
pub use seal::{SealError, seal};
pub use signature::{SignError, VerifyError};

/// Signatures that sequoia has put into its process-wide table since the start: 0, by
/// INVARIANT (no growing cache). For tests and for a node's self-check.
#[must_use]
pub fn cached_signatures() -> usize {
    sequoia_openpgp::packet::signature::cache::SignatureVerificationCache::insertions()
}
