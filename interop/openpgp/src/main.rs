//! Opens a sealed body with rPGP, an implementation that shares no code with ours.
//!
//! `interop-openpgp DIR` reads from DIR
//!
//! - `body.pgp`: a sealed body,
//! - `desk-key.pgp`: an exported desk key (its primary a stub, its subkey unprotected),
//! - `sender.pgp`: the sending officer's certificate,
//!
//! decrypts, verifies the signature and that it names the desk as an intended recipient, and prints
//! the SHA-256 and the length of the plaintext, without the context line that stands before it.
//! Used only to check ours: rPGP's cryptography is not constant time.

use std::error::Error;
use std::path::Path;

use pgp::composed::{Deserializable, Message, SignedPublicKey, SignedSecretKey};
use pgp::packet::SubpacketData;
use pgp::types::{KeyDetails, Password};
use sha2::{Digest, Sha256};

const CONTEXT: &[u8] = b"waypost/v1 body\n";

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args_os()
        .nth(1)
        .ok_or("usage: interop-openpgp DIR")?;
    let plaintext = open(Path::new(&directory))?;
    println!("sha256 {}", hex::encode(Sha256::digest(&plaintext)));
    println!("length {}", plaintext.len());
    Ok(())
}

fn open(directory: &Path) -> Result<Vec<u8>, Box<dyn Error>> {
    let read = |name| std::fs::read(directory.join(name));
    let (body, key, sender) = (
        read("body.pgp")?,
        read("desk-key.pgp")?,
        read("sender.pgp")?,
    );
    let key = SignedSecretKey::from_bytes(&key[..])?;
    let sender = SignedPublicKey::from_bytes(&sender[..])?;
    key.verify_bindings()?;
    sender.verify_bindings()?;

    let mut message = Message::from_bytes(&body[..])?.decrypt(&Password::empty(), &key)?;
    let content = message.as_data_vec()?;
    let signature = message.verify(&sender.primary_key)?;
    let fingerprint = key.primary_key.fingerprint();
    let intended = signature.config().into_iter().flat_map(|c| c.hashed_subpackets()).any(|s| {
        matches!(&s.data, SubpacketData::IntendedRecipientFingerprint(f) if *f == fingerprint)
    });
    if !intended {
        return Err("the signature does not name the desk as an intended recipient".into());
    }
    let plaintext = content
        .strip_prefix(CONTEXT)
        .ok_or("the content has no context line")?;
    Ok(plaintext.to_vec())
}
