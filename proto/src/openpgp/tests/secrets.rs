use std::io::Read;

use pgp::cert::Cert;
use pgp::crypto::SessionKey;
use pgp::packet::{PKESK, Packet, SKESK};
use pgp::parse::Parse;
use pgp::parse::stream::{
    DecryptionHelper, DecryptorBuilder, MessageLayer, MessageStructure, VerificationHelper,
};
use pgp::policy::StandardPolicy;
use pgp::serialize::MarshalInto;
use pgp::types::SymmetricAlgorithm;
use zeroize::Zeroizing;

use super::*;
use crate::limit;
use crate::openpgp::packets::{canonical, frames, tag};
use crate::openpgp::policy::openpgp_time;

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(Zeroizing::new(text.to_owned()))
}

// OPG-40, OPG-43
#[test]
fn a_locked_key_unlocks_with_its_passphrase_only() {
    for suite in [Suite::Classical, Suite::PostQuantum] {
        let world = World::new(suite);
        let locked = world.officer.lock(&passphrase("correct horse")).unwrap();
        let unlocked = SecretKey::unlock(&locked, &passphrase("correct horse")).unwrap();
        assert_eq!(unlocked.certificate(), world.officer.certificate());
        let signature = unlocked
            .signing_key()
            .unwrap()
            .sign(Context::Login, b"x", NOW)
            .unwrap();
        let certificate = world.officer.certificate();
        assert_eq!(
            certificate.verify(Context::Login, b"x", &signature, NOW),
            Ok(())
        );
        assert_eq!(
            desk_key(&unlocked).fingerprint(),
            desk_key(&world.officer).fingerprint()
        );
        let error = SecretKey::unlock(&locked, &passphrase("wrong")).unwrap_err();
        assert_eq!(error, KeyError::Passphrase);
    }
}

// OPG-41
#[test]
fn a_locked_key_holds_no_secret_in_the_clear_and_nothing_but_argon2_unlocks() {
    let world = World::new(Suite::Classical);
    let locked = world.officer.lock(&passphrase("p")).unwrap();
    for frame in frames(&locked).unwrap() {
        let secret = match canonical(&frame) {
            Some(Packet::SecretKey(key)) => key.optional_secret().cloned(),
            Some(Packet::SecretSubkey(key)) => key.optional_secret().cloned(),
            _ => None,
        };
        assert!(secret.is_none_or(|s| s.is_encrypted()));
    }
    let exported = desk_key(&world.officer).export().unwrap();
    let error = SecretKey::unlock(&exported, &passphrase("p")).unwrap_err();
    assert_eq!(error, KeyError::Protection);

    // 2^31 KiB of memory asked for: refused before any is taken.
    let mut greedy = locked.clone();
    let argon2 = |w: &[u8]| w[0] == 4 && w[17..] == [3, 4, 16];
    let at = greedy.windows(20).position(argon2).unwrap() + 19;
    greedy[at] = 31;
    let error = SecretKey::unlock(&greedy, &passphrase("p")).unwrap_err();
    assert_eq!(error, KeyError::Protection);
}

// OPG-42
#[test]
fn a_public_key_or_garbage_does_not_unlock() {
    let world = World::new(Suite::Classical);
    let public = world.officer.certificate().as_bytes();
    for bytes in [
        public,
        b"",
        b"-----BEGIN",
        &vec![0; 2 * limit::CERTIFICATE_BYTES + 1],
    ] {
        assert!(SecretKey::unlock(bytes, &passphrase("p")).is_err());
    }
    assert_eq!(
        SecretKey::unlock(public, &passphrase("p")).unwrap_err(),
        KeyError::Malformed
    );
}

#[test]
fn nothing_secret_shows_in_debug_output() {
    let world = World::new(Suite::Classical);
    assert_eq!(
        format!("{:?}", passphrase("correct horse")),
        "Passphrase(..)"
    );
    let shown = format!(
        "{:?} {:?} {:?}",
        world.officer,
        world.signer(),
        desk_key(&world.sender)
    );
    assert!(!shown.contains("secret:") && shown.len() < 600, "{shown}");
}

// OPG-44
#[test]
fn a_rotated_key_keeps_the_old_ones_until_they_are_retired() {
    let mut world = World::new(Suite::Classical);
    let old = desk_key(&world.recipient);
    let body = world.seal(b"before");
    let desks = world.desks();
    let later = NOW.plus(1000);
    let new = world.recipient.rotate_encryption_key(later).unwrap();
    let certificate = world.recipient.certificate().clone();
    assert_eq!(certificate.encryption_keys(), [old.fingerprint(), new]);
    assert_eq!(
        certificate.fingerprint(),
        old.desk_certificate().fingerprint()
    );
    assert!(certificate.recipient(&new, NOW).is_err());
    assert!(certificate.recipient(&new, later).is_ok());
    let signer = world.officer.certificate();
    assert_eq!(
        *open(&body, &old, signer, &desks, later).unwrap(),
        b"before"
    );

    while world.recipient.certificate().encryption_keys().len() < limit::ENCRYPTION_KEYS {
        world.recipient.rotate_encryption_key(later).unwrap();
    }
    let full = world.recipient.rotate_encryption_key(later);
    assert_eq!(full, Err(KeyError::TooManyKeys));
    let retired = world
        .recipient
        .retire_encryption_key(&old.fingerprint())
        .unwrap();
    assert_eq!(retired.fingerprint(), old.fingerprint());
    assert_eq!(world.recipient.certificate().encryption_keys()[0], new);
    assert_eq!(desk_key(&world.recipient).fingerprint(), new);
    assert!(world.recipient.desk_key(&old.fingerprint()).is_err());
    let gone = world
        .recipient
        .retire_encryption_key(&old.fingerprint())
        .unwrap_err();
    assert_eq!(
        gone,
        KeyError::NoSuchKey {
            fingerprint: old.fingerprint()
        }
    );
}

// OPG-20, OPG-44
#[test]
fn a_post_quantum_certificate_with_every_key_it_may_have_is_within_its_bound() {
    let mut desk = SecretKey::generate(KeyRole::Desk, Suite::PostQuantum, "x", NOW).unwrap();
    for _ in 1..limit::ENCRYPTION_KEYS {
        desk.rotate_encryption_key(NOW).unwrap();
    }
    assert!(Certificate::parse(desk.certificate().as_bytes()).is_ok());
}

// OPG-50
#[test]
fn a_handed_over_key_opens_what_its_desk_receives() {
    for suite in [Suite::Classical, Suite::PostQuantum] {
        let world = World::new(suite);
        let agency = SecretKey::generate(KeyRole::Agency, suite, "gb.example", NOW).unwrap();
        let admin = agency.signing_key().unwrap();
        let handed = desk_key(&world.recipient)
            .hand_over(&admin, world.officer.certificate(), NOW)
            .unwrap();
        let accept = |admin: &Certificate| DeskKey::accept(&handed, &world.officer, admin, NOW);
        let key = accept(agency.certificate()).unwrap();
        assert_eq!(key.desk_certificate(), world.recipient.certificate());
        let body = world.seal(b"content");
        let opened = open(
            &body,
            &key,
            world.officer.certificate(),
            &world.desks(),
            NOW,
        )
        .unwrap();
        assert_eq!(*opened, b"content");

        let error = accept(world.officer.certificate()).unwrap_err();
        let wrong = matches!(
            error,
            AcceptError::Open(OpenError::Signature(VerifyError::WrongSigner { .. }))
        );
        assert!(wrong, "{error:?}");
    }
}

// OPG-50, OPG-51
#[test]
fn a_hand_over_to_another_officer_or_a_body_in_its_place_is_refused() {
    let world = World::new(Suite::Classical);
    let admin = world.signer();
    let handed = desk_key(&world.recipient)
        .hand_over(&admin, world.officer.certificate(), NOW)
        .unwrap();
    let other = World::new(Suite::Classical).officer;
    let error = DeskKey::accept(&handed, &other, admin.certificate(), NOW).unwrap_err();
    assert!(matches!(
        error,
        AcceptError::Recipient(CertificateError::NoSuchKey { .. })
    ));

    let to_officer = [only_key(&world.officer)];
    let body = seal(b"x", &admin, &to_officer, NOW).unwrap();
    let error = DeskKey::accept(&body, &world.officer, admin.certificate(), NOW).unwrap_err();
    assert_eq!(error, AcceptError::Open(OpenError::Context));
    let agency = SecretKey::generate(KeyRole::Agency, Suite::Classical, "gb.example", NOW).unwrap();
    let error = desk_key(&world.recipient).hand_over(&admin, agency.certificate(), NOW);
    assert_eq!(error, Err(SealError::Recipients { found: 0 }));
}

// OPG-52
#[test]
fn a_hand_over_of_anything_but_a_key_of_its_certificate_is_refused() {
    use crate::openpgp::seal::seal_in;
    let world = World::new(Suite::Classical);
    let admin = world.signer();
    let to_officer = [only_key(&world.officer)];
    let secret_of = |key: &SecretKey| {
        let exported = desk_key(key).export().unwrap();
        frames(&exported).unwrap()[4].bytes.to_vec()
    };
    let certificate = world.recipient.certificate().as_bytes();
    let good = [certificate, &secret_of(&world.recipient)].concat();
    let foreign = [certificate, &secret_of(&world.sender)].concat();
    let swapped = {
        // Our public part with another's secret: as many bytes from the end as an X25519 secret.
        let mut swapped = good.clone();
        let other = secret_of(&world.sender);
        let at = swapped.len() - 32;
        swapped.truncate(at);
        swapped.extend(&other[other.len() - 32..]);
        swapped
    };
    let accept = |content: &[u8]| {
        let handed = seal_in(Context::HandOver, content, &admin, &to_officer, NOW).unwrap();
        DeskKey::accept(&handed, &world.officer, admin.certificate(), NOW)
    };
    assert!(accept(&good).is_ok());
    for bad in [
        &foreign[..],
        &swapped,
        certificate,
        &secret_of(&world.sender),
        b"",
    ] {
        assert_eq!(accept(bad).unwrap_err(), AcceptError::Content);
    }
}

/// Sequoia's own decryption and verification, with its standard policy.
struct Foreign {
    key: Cert,
    signer: Cert,
    checked: usize,
}

impl VerificationHelper for Foreign {
    fn get_certs(&mut self, _ids: &[pgp::KeyHandle]) -> pgp::Result<Vec<Cert>> {
        Ok(vec![self.signer.clone()])
    }

    fn check(&mut self, structure: MessageStructure<'_>) -> pgp::Result<()> {
        for layer in structure {
            if let MessageLayer::SignatureGroup { results } = layer {
                for result in results {
                    result.map_err(pgp::Error::from)?;
                    self.checked += 1;
                }
            }
        }
        Ok(())
    }
}

impl DecryptionHelper for Foreign {
    fn decrypt(
        &mut self,
        pkesks: &[PKESK],
        _: &[SKESK],
        algo: Option<SymmetricAlgorithm>,
        decrypt: &mut dyn FnMut(Option<SymmetricAlgorithm>, &SessionKey) -> bool,
    ) -> pgp::Result<Option<Cert>> {
        for key in self.key.keys().unencrypted_secret() {
            let mut pair = key.key().clone().into_keypair()?;
            for pkesk in pkesks {
                if pkesk
                    .decrypt(&mut pair, algo)
                    .is_some_and(|(algo, sk)| decrypt(algo, &sk))
                {
                    return Ok(Some(self.key.clone()));
                }
            }
        }
        Ok(None)
    }
}

// OPG-53
#[test]
fn an_exported_key_is_a_standard_key_without_the_primary_and_opens_a_body() {
    for suite in [Suite::Classical, Suite::PostQuantum] {
        let world = World::new(suite);
        let plaintext = vec![9; 5000];
        let body = world.seal(&plaintext);
        let exported = desk_key(&world.recipient).export().unwrap();
        let key = Cert::from_bytes(&exported[..]).unwrap();
        assert!(!key.primary_key().key().has_unencrypted_secret());
        assert_eq!(key.keys().unencrypted_secret().count(), 1);
        assert_eq!(key.as_tsk().to_vec().unwrap(), *exported);

        let signer = Cert::from_bytes(world.officer.certificate().as_bytes()).unwrap();
        let time = std::time::SystemTime::from(openpgp_time(NOW).unwrap());
        let policy = StandardPolicy::new();
        let mut decryptor = DecryptorBuilder::from_bytes(&body)
            .unwrap()
            .with_policy(
                &policy,
                time,
                Foreign {
                    key,
                    signer,
                    checked: 0,
                },
            )
            .unwrap();
        let mut content = Vec::new();
        decryptor.read_to_end(&mut content).unwrap();
        assert_eq!(content, [Context::Body.line(), &plaintext].concat());
        assert_eq!(decryptor.helper_ref().checked, 1);
    }
}

// OPG-53
#[test]
fn an_export_holds_only_its_own_subkey() {
    let mut world = World::new(Suite::Classical);
    let new = world.recipient.rotate_encryption_key(NOW).unwrap();
    let exported = world.recipient.desk_key(&new).unwrap().export().unwrap();
    let tags: Vec<u8> = frames(&exported).unwrap().iter().map(|f| f.tag).collect();
    let signature = tag::SIGNATURE;
    assert_eq!(
        tags,
        [
            tag::SECRET_KEY,
            signature,
            tag::USER_ID,
            signature,
            tag::SECRET_SUBKEY,
            signature
        ]
    );
}
