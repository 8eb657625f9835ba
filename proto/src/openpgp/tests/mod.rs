//! Many-part tests: bodies, signatures, certificates and secrets against each other. Most use the
//! classical suite, for speed; the rules are the same.

mod bodies;
mod certificates;
mod secrets;
mod signatures;

use sequoia_openpgp as pgp;

use super::*;
use crate::context::Context;
use crate::id::Timestamp;

const NOW: Timestamp = Timestamp(1_800_000_000);

/// A sender's and a recipient's desk, and an officer who signs.
struct World {
    officer: SecretKey,
    sender: SecretKey,
    recipient: SecretKey,
}

impl World {
    fn new(suite: Suite) -> Self {
        let generate = |role, name| SecretKey::generate(role, suite, name, NOW).unwrap();
        Self {
            officer: generate(KeyRole::Officer, "officer 7f3a (duty social worker)"),
            sender: generate(KeyRole::Desk, "gb.example-school/intake"),
            recipient: generate(KeyRole::Desk, "gb.example-county.child-protection/intake"),
        }
    }

    fn signer(&self) -> SigningKey {
        self.officer.signing_key().unwrap()
    }

    fn desks(&self) -> [Recipient; 2] {
        [only_key(&self.recipient), only_key(&self.sender)]
    }

    fn seal(&self, plaintext: &[u8]) -> Vec<u8> {
        seal(plaintext, &self.signer(), &self.desks(), NOW).unwrap()
    }

    fn open(&self, body: &[u8]) -> Result<Vec<u8>, OpenError> {
        self.open_as(body, self.officer.certificate())
    }

    fn open_as(&self, body: &[u8], signer: &Certificate) -> Result<Vec<u8>, OpenError> {
        let key = desk_key(&self.recipient);
        open(body, &key, signer, &self.desks(), NOW).map(|plaintext| plaintext.to_vec())
    }
}

fn only_key(secret: &SecretKey) -> Recipient {
    let certificate = secret.certificate();
    certificate
        .recipient(&certificate.encryption_keys()[0], NOW)
        .unwrap()
}

fn desk_key(secret: &SecretKey) -> DeskKey {
    secret
        .desk_key(&secret.certificate().encryption_keys()[0])
        .unwrap()
}
