//! Every bound of the protocol, in one place.
//!
//! Each is checked before the thing it bounds is decoded or stored. Sizes are in bytes unless the
//! name says otherwise; times are in seconds.

/// A header, encoded.
pub const HEADER_BYTES: usize = 16 * 1024;
/// A sealed body: one OpenPGP message.
pub const BODY_BYTES: usize = 256 * 1024;
/// A form, encoded, before sealing: leaves room for padding, signature and session keys in a body.
pub const PAYLOAD_BYTES: usize = 192 * 1024;
/// A detached signature.
pub const SIGNATURE_BYTES: usize = 8 * 1024;
/// Encryption subkeys of one certificate.
pub const ENCRYPTION_KEYS: usize = 8;
/// Recipients of one body.
pub const RECIPIENTS: usize = 4;
/// A certificate's user id.
pub const USER_ID_BYTES: usize = 256;
/// An OpenPGP certificate.
pub const CERTIFICATE_BYTES: usize = 64 * 1024;
/// A form or submission as JSON text, before parsing.
pub const FORM_JSON_BYTES: usize = 1024 * 1024;
/// Characters of one text field of a form.
pub const TEXT_CHARS: usize = 15_000;
/// Values of one repeated field of a form.
pub const REPEATED_VALUES: usize = 128;
/// Nesting of a form.
pub const FORM_DEPTH: usize = 8;
/// A log entry, encoded (C2SP tlog-tiles allows 65,535; a stored value is smaller).
pub const ENTRY_BYTES: usize = 30 * 1024;
/// A signed note, such as a checkpoint.
pub const NOTE_BYTES: usize = 16 * 1024;
/// A tlog-proof file.
pub const PROOF_BYTES: usize = 32 * 1024;
/// Hashes of one inclusion or consistency proof: enough for 2^62 leaves.
pub const PROOF_HASHES: usize = 126;
/// The name of a note's key.
pub const NOTE_NAME_BYTES: usize = 255;
/// The text of a checkpoint, extension lines included.
pub const CHECKPOINT_TEXT_BYTES: usize = 2 * 1024;
/// Signature lines of one note.
pub const NOTE_SIGNATURES: usize = 16;
/// A signed roster, encoded.
pub const ROSTER_BYTES: usize = 512 * 1024;
/// Officers of one roster: their certificates of up to 14 kB are stored with it in one commit.
pub const ROSTER_OFFICERS: usize = 128;
/// Desks of one roster.
pub const ROSTER_DESKS: usize = 64;
/// Revoked keys of one roster: those of officers who left, and the desk keys that they knew.
pub const ROSTER_REVOKED: usize = 1024;
/// An officer's request: little more than their certificate.
pub const OFFICER_REQUEST_BYTES: usize = 2 * CERTIFICATE_BYTES;
/// An admission: a registration, and every key of an officer's desks.
pub const ADMISSION_BYTES: usize = 2 * REGISTRATION_BYTES;
/// Desk keys of one admission.
pub const HANDED_KEYS: usize = ROSTER_DESKS * ENCRYPTION_KEYS;
/// One directory record, encoded.
pub const RECORD_BYTES: usize = 16 * 1024;
/// Records of one directory (DESIGN 10: 10^5 agencies, ten times over).
pub const DIRECTORY_RECORDS: usize = 1_000_000;
/// A directory file: records and certificates of every agency.
pub const DIRECTORY_BYTES: usize = 1 << 30;
/// Log keys of one agency: past epochs and the current one.
pub const LOG_KEYS: usize = 64;
/// A policy bundle, encoded.
pub const BUNDLE_BYTES: usize = 1024 * 1024;
/// Files of one policy bundle.
pub const BUNDLE_FILES: usize = 64;
/// Parts of one manifest.
pub const MANIFEST_PARTS: usize = 64;
/// Clock codes of one manifest.
pub const MANIFEST_CLOCKS: usize = 8;
/// Legal bases of one manifest.
pub const MANIFEST_BASES: usize = 16;
/// A TLS certificate, DER.
pub const TLS_CERTIFICATE_BYTES: usize = 4 * 1024;
/// One gRPC message between nodes: an envelope with its evidence, or a bundle.
pub const PEER_CALL_BYTES: usize = 2 * 1024 * 1024;
/// One gRPC message between a node and a desk: a roster with the certificates of its officers.
pub const DESK_CALL_BYTES: usize = 16 * 1024 * 1024;
/// What an agency hands to its host, encoded.
pub const REGISTRATION_BYTES: usize = DESK_CALL_BYTES;

/// How long a message may wait for delivery unless its header says otherwise.
pub const EXPIRY_SECONDS: u64 = 72 * 3600;
/// The longest expiry a header may ask for.
pub const EXPIRY_MAX_SECONDS: u64 = 14 * 24 * 3600;
/// How far a peer's clock may run ahead of ours.
pub const CLOCK_SKEW_SECONDS: u64 = 5 * 60;
/// The longest validity of a roster.
pub const ROSTER_VALID_SECONDS: u64 = 30 * 24 * 3600;
/// The longest validity of a directory head.
pub const DIRECTORY_VALID_SECONDS: u64 = 30 * 24 * 3600;
/// How long a changed agency fingerprint waits in public when the old key did not sign it.
pub const FINGERPRINT_WAIT_SECONDS: u64 = 7 * 24 * 3600;
