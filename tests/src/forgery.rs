//! Messages that no stock client makes: sealed with real keys, and wrong in one thing.

use anyhow::{Context as _, Result};
use prost::Message as _;
use waypost_proto::context::Context;
use waypost_proto::id::{Digest, Fingerprint};
use waypost_proto::openpgp::{self, KeyRole, Recipient, SecretKey, SigningKey};
use waypost_proto::wire;

use crate::letter::{Ends, Letter};
use crate::scheme;

/// Stands before the payload in every body.
const SALT: [u8; 32] = [7; 32];

/// What a message is made of. A test changes one thing, and seals.
#[derive(Debug)]
pub struct Forgery {
    /// The header.
    pub header: wire::Header,
    /// The header that the body names; this one when there is none.
    pub names: Option<Digest>,
    /// The form's bytes; the header commits to them unless it is told otherwise.
    pub payload: Vec<u8>,
    /// Signs the body.
    pub inner: SigningKey,
    /// Signs the envelope.
    pub outer: SigningKey,
    /// Whom the body is sealed to.
    pub recipients: Vec<Recipient>,
}

impl Forgery {
    /// An honest message, before it is sealed.
    ///
    /// # Errors
    /// When the letter cannot be minimised, or a key does not serve.
    pub fn of(ends: &Ends, letter: &Letter, officer: &SecretKey) -> Result<Self> {
        let now = scheme::now();
        let minimised = ends.minimise(letter)?;
        let own = ends.sender.recipient(&ends.from.desk, now)?;
        let theirs = ends.recipient.recipient(&ends.to.desk, now)?;
        let answered = letter.answers.map(|id| id.as_bytes().to_vec());
        let header = wire::Header {
            version: 1,
            message_id: letter.id.as_bytes().to_vec(),
            case_id: letter.case.as_bytes().to_vec(),
            kind: letter.kind.to_wire().into(),
            in_reply_to: answered.unwrap_or_default(),
            sender_agency: ends.from.agency.to_string(),
            sender_desk: ends.from.desk.to_string(),
            recipient_agency: ends.to.agency.to_string(),
            recipient_desk: ends.to.desk.to_string(),
            officer: bytes(&officer.certificate().fingerprint()),
            sender_key: bytes(&own.fingerprint()),
            recipient_key: bytes(&theirs.fingerprint()),
            suite: wire::Suite::from(officer.certificate().suite()).into(),
            sender_roster: ends.sender.roster().digest().as_bytes().to_vec(),
            recipient_roster: ends.recipient.roster().digest().as_bytes().to_vec(),
            created: now.0,
            expires: now.plus(letter.lasts).0,
            case_seen: 0,
            manifest: Some(minimised.manifest().to_wire()),
            commitment: commitment(minimised.payload()),
        };
        Ok(Self {
            header,
            names: None,
            payload: minimised.payload().to_vec(),
            inner: officer.signing_key()?,
            outer: officer.signing_key()?,
            recipients: vec![theirs, own],
        })
    }

    /// Changes the manifest.
    ///
    /// # Errors
    /// When there is none.
    pub fn declare(mut self, change: impl FnOnce(&mut wire::Manifest)) -> Result<Self> {
        change(self.header.manifest.as_mut().context("a manifest")?);
        Ok(self)
    }

    /// Carries another form's bytes, and commits to them.
    #[must_use]
    pub fn carry(mut self, payload: Vec<u8>) -> Self {
        self.header.commitment = commitment(&payload);
        self.payload = payload;
        self
    }

    /// Is sealed to `key` in the place of one's own desk's key, and says so.
    #[must_use]
    pub fn from_key(mut self, key: Recipient) -> Self {
        self.header.sender_key = bytes(&key.fingerprint());
        self.recipients.truncate(1);
        self.recipients.push(key);
        self
    }

    /// Is sealed to `key` in the place of the addressed desk's key, and says so.
    #[must_use]
    pub fn to_key(mut self, key: Recipient) -> Self {
        self.header.recipient_key = bytes(&key.fingerprint());
        self.recipients.truncate(2);
        self.recipients.swap(0, 1);
        self.recipients.truncate(1);
        self.recipients.insert(0, key);
        self
    }

    /// Seals it as it is.
    ///
    /// # Errors
    /// When a key does not serve.
    pub fn seal(self) -> Result<wire::Envelope> {
        let header = self.header.encode_to_vec();
        let digest = Digest::of(&header);
        let names = self.names.unwrap_or(digest);
        let plaintext = [names.as_bytes().as_slice(), &SALT, &self.payload].concat();
        let body = openpgp::seal(&plaintext, &self.inner, &self.recipients, scheme::now())?;
        let unsigned = wire::Envelope {
            header,
            body,
            signature: Vec::new(),
        };
        sign(unsigned, &self.outer)
    }
}

/// The same header and body with a new signature over both.
///
/// # Errors
/// When the key does not sign.
pub fn sign(envelope: wire::Envelope, officer: &SigningKey) -> Result<wire::Envelope> {
    let digests = [&envelope.header, &envelope.body].map(|part| *Digest::of(part).as_bytes());
    let signature = officer.sign(Context::Envelope, &digests.concat(), scheme::now())?;
    Ok(wire::Envelope {
        signature,
        ..envelope
    })
}

/// A desk's key that no roster names.
///
/// # Errors
/// When no key can be made.
pub fn stranger(like: &SecretKey) -> Result<Recipient> {
    let suite = like.certificate().suite();
    let name = "gb.example.other/intake";
    let born = scheme::born();
    let key = SecretKey::generate(KeyRole::Desk, suite, name, born)?;
    let certificate = key.certificate();
    let subkey = *certificate.encryption_keys().last().context("a subkey")?;
    Ok(certificate.recipient(&subkey, scheme::now())?)
}

fn bytes(fingerprint: &Fingerprint) -> Vec<u8> {
    fingerprint.as_bytes().to_vec()
}

fn commitment(payload: &[u8]) -> Vec<u8> {
    let parts = [Context::Commitment.line(), &SALT, payload];
    Digest::of_parts(&parts).as_bytes().to_vec()
}
