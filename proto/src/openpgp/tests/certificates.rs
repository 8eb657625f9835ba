use pgp::cert::{CertBuilder, CipherSuite};
use pgp::packet::signature::SignatureBuilder;
use pgp::packet::{Packet, UserID};
use pgp::parse::Parse;
use pgp::serialize::MarshalInto;
use pgp::types::SignatureType;

use super::*;
use crate::limit;
use crate::openpgp::packets::{FramingError, frames, tag};
use crate::openpgp::policy::{encryption_flags, openpgp_time};

fn packets(certificate: &Certificate) -> Vec<Vec<u8>> {
    frames(certificate.as_bytes())
        .unwrap()
        .iter()
        .map(|f| f.bytes.to_vec())
        .collect()
}

fn refused(packets: &[&[u8]]) -> CertificateError {
    Certificate::parse(&packets.concat()).unwrap_err()
}

// OPG-20, OPG-23
#[test]
fn a_certificate_keeps_its_exact_bytes() {
    for suite in [Suite::Classical, Suite::PostQuantum] {
        for role in [
            KeyRole::Operator,
            KeyRole::Agency,
            KeyRole::Desk,
            KeyRole::Officer,
        ] {
            let key = SecretKey::generate(role, suite, "gb.example/desk é", NOW).unwrap();
            let certificate = Certificate::parse(key.certificate().as_bytes()).unwrap();
            assert_eq!(&certificate, key.certificate());
            assert_eq!(certificate.suite(), suite);
            assert_eq!(certificate.user_id(), "gb.example/desk é");
            assert_eq!(
                certificate.digest(),
                crate::id::Digest::of(certificate.as_bytes())
            );
            let keys = usize::from(matches!(role, KeyRole::Desk | KeyRole::Officer));
            assert_eq!(certificate.encryption_keys().len(), keys);
        }
    }
}

// OPG-21
#[test]
fn a_certificate_with_a_packet_out_of_place_is_refused() {
    let world = World::new(Suite::Classical);
    let own = packets(world.sender.certificate());
    let [key, direct, user_id, binding, subkey, bound] =
        [0, 1, 2, 3, 4, 5].map(|i| own[i].as_slice());
    assert!(Certificate::parse(&[key, direct, user_id, binding].concat()).is_ok());
    assert_eq!(refused(&[]), CertificateError::Incomplete);
    assert_eq!(
        refused(&[key, direct, user_id]),
        CertificateError::Incomplete
    );
    assert_eq!(
        refused(&[key, user_id, binding]),
        CertificateError::Packet {
            index: 1,
            tag: tag::USER_ID
        }
    );
    let two_users = refused(&[key, direct, user_id, binding, user_id, binding]);
    assert_eq!(
        two_users,
        CertificateError::Packet {
            index: 4,
            tag: tag::USER_ID
        }
    );
    let unbound = refused(&[key, direct, user_id, binding, subkey]);
    assert_eq!(unbound, CertificateError::Incomplete);
    let twice = refused(&[key, direct, user_id, binding, subkey, bound, subkey, bound]);
    let fingerprint = world.sender.certificate().encryption_keys()[0];
    assert_eq!(twice, CertificateError::Repeated { fingerprint });
    let padding = refused(&[key, direct, user_id, binding, &[0xd5, 1, 0]]);
    assert_eq!(
        padding,
        CertificateError::Packet {
            index: 4,
            tag: tag::PADDING
        }
    );
    let trailing = refused(&[key, direct, user_id, binding, subkey, bound, b"\0"]);
    let offset = world.sender.certificate().as_bytes().len();
    assert_eq!(
        trailing,
        CertificateError::Framing {
            source: FramingError::NotBinary { offset }
        }
    );
    let long = Certificate::parse(&vec![0; limit::CERTIFICATE_BYTES + 1]).unwrap_err();
    assert_eq!(
        long,
        CertificateError::TooLong {
            bytes: limit::CERTIFICATE_BYTES + 1
        }
    );
}

// OPG-21
#[test]
fn a_secret_key_is_not_taken_for_a_certificate() {
    let world = World::new(Suite::Classical);
    let exported = desk_key(&world.sender).export().unwrap();
    assert_eq!(
        Certificate::parse(&exported).unwrap_err(),
        CertificateError::Secret
    );
}

// OPG-21: revocation is the roster's.
#[test]
fn a_certificate_with_a_revocation_is_refused() {
    let world = World::new(Suite::Classical);
    let own = packets(world.officer.certificate());
    let signer = world.signer();
    let mut pair = signer.signer(NOW).unwrap();
    let revocation = SignatureBuilder::new(SignatureType::KeyRevocation)
        .sign_direct_key(&mut pair, signer.certificate().primary())
        .unwrap();
    let revocation = Packet::from(revocation).to_vec().unwrap();
    let mut with: Vec<&[u8]> = own.iter().map(Vec::as_slice).collect();
    with.insert(1, &revocation);
    assert_eq!(
        refused(&with),
        CertificateError::Packet {
            index: 2,
            tag: tag::SIGNATURE
        }
    );
    let instead = [&own[0][..], &revocation, &own[2], &own[3]];
    let expected = u8::from(SignatureType::DirectKey);
    let found = u8::from(SignatureType::KeyRevocation);
    let source = VerifyError::Type { expected, found };
    assert_eq!(
        refused(&instead),
        CertificateError::SelfSignature { index: 1, source }
    );
}

// OPG-02, OPG-22, OPG-24
#[test]
fn older_keys_and_other_algorithms_are_refused() {
    let v4 = |suite| {
        let (cert, _) = CertBuilder::general_purpose(Some("x"))
            .set_cipher_suite(suite)
            .generate()
            .unwrap();
        // In the order that is expected here, so that only the version is wrong.
        let key = Packet::from(cert.primary_key().key().clone())
            .to_vec()
            .unwrap();
        let signature = &packets(World::new(Suite::Classical).officer.certificate())[1].clone();
        let user_id = Packet::from(UserID::from("x")).to_vec().unwrap();
        refused(&[&key, signature, &user_id, signature])
    };
    assert_eq!(
        v4(CipherSuite::Cv25519),
        CertificateError::Version { found: 4 }
    );

    let (cert, _) = CertBuilder::new()
        .set_profile(pgp::Profile::RFC9580)
        .unwrap()
        .set_cipher_suite(CipherSuite::Cv448)
        .add_userid("x")
        .generate()
        .unwrap();
    let error = Certificate::parse(&cert.to_vec().unwrap()).unwrap_err();
    assert!(
        matches!(error, CertificateError::Algorithm { .. }),
        "{error:?}"
    );

    let (classical, quantum) = (World::new(Suite::Classical), World::new(Suite::PostQuantum));
    let (c, q) = (
        packets(classical.sender.certificate()),
        packets(quantum.sender.certificate()),
    );
    let mixed = refused(&[&c[0], &c[1], &c[2], &c[3], &q[4], &q[5]]);
    assert!(matches!(mixed, CertificateError::Algorithm { .. }));
}

// OPG-25
#[test]
fn a_user_id_is_short_printable_text() {
    let long = "x".repeat(limit::USER_ID_BYTES + 1);
    for bad in ["", "a\nb", "a\u{7f}b", &long] {
        let made = SecretKey::generate(KeyRole::Agency, Suite::Classical, bad, NOW);
        assert_eq!(made.unwrap_err(), KeyError::UserId);
    }
    let world = World::new(Suite::Classical);
    let own = packets(world.officer.certificate());
    for bad in [&[0xcd, 2, 0xff, 0xfe][..], &[0xcd, 0], &[0xcd, 1, 10]] {
        let error = refused(&[&own[0], &own[1], bad, &own[3]]);
        assert_eq!(error, CertificateError::UserId);
    }
}

// OPG-23
#[test]
fn a_certificate_in_other_bytes_of_the_same_meaning_is_refused() {
    let world = World::new(Suite::Classical);
    let own = packets(world.officer.certificate());
    let user_id = &own[2];
    let longer = [&[0xcd, 0xff, 0, 0, 0, user_id[1]][..], &user_id[2..]].concat();
    let error = refused(&[&own[0], &own[1], &longer, &own[3]]);
    assert_eq!(error, CertificateError::NotCanonical { index: 2 });
    let mut legacy = own[0].clone();
    legacy[0] = 0x98;
    let error = refused(&[&legacy, &own[1], &own[2], &own[3]]);
    assert_eq!(
        error,
        CertificateError::Framing {
            source: FramingError::LegacyHeader { offset: 0 }
        }
    );
}

// OPG-26
#[test]
fn a_certificate_with_a_foreign_or_changed_binding_is_refused() {
    let (world, other) = (World::new(Suite::Classical), World::new(Suite::Classical));
    let (own, foreign) = (
        packets(world.sender.certificate()),
        packets(other.sender.certificate()),
    );
    let with = |index: usize, packet: &[u8]| {
        let mut packets: Vec<&[u8]> = own.iter().map(Vec::as_slice).collect();
        packets[index] = packet;
        refused(&packets)
    };
    for index in [1, 3, 5] {
        let CertificateError::SelfSignature {
            index: found,
            source,
        } = with(index, &foreign[index])
        else {
            panic!("another error");
        };
        assert_eq!(found, index);
        assert!(matches!(source, VerifyError::WrongSigner { .. }));
        let mut changed = own[index].clone();
        *changed.last_mut().unwrap() ^= 1;
        let source = VerifyError::Bad;
        assert_eq!(
            with(index, &changed),
            CertificateError::SelfSignature { index, source }
        );
    }
    let source = VerifyError::Bad;
    let stolen = with(4, &foreign[4]);
    assert_eq!(stolen, CertificateError::SelfSignature { index: 5, source });
}

/// A desk certificate whose subkey has these flags and validity.
fn with_subkey(flags: pgp::types::KeyFlags, seconds: u64) -> Result<Certificate, CertificateError> {
    let world = World::new(Suite::Classical);
    let own = packets(world.officer.certificate());
    let signer = world.signer();
    let mut pair = signer.signer(NOW).unwrap();
    let Some(Packet::PublicSubkey(subkey)) = pgp::PacketPile::from_bytes(&own[4])
        .unwrap()
        .into_children()
        .next()
    else {
        panic!("no subkey");
    };
    let binding = SignatureBuilder::new(SignatureType::SubkeyBinding)
        .set_hash_algo(pgp::types::HashAlgorithm::SHA512)
        .set_signature_creation_time(openpgp_time(NOW).unwrap())
        .unwrap()
        .set_key_flags(flags)
        .unwrap()
        .set_key_validity_period(std::time::Duration::from_secs(seconds))
        .unwrap()
        .sign_subkey_binding(&mut pair, signer.certificate().primary(), &subkey)
        .unwrap();
    let binding = Packet::from(binding).to_vec().unwrap();
    Certificate::parse(&[&own[0][..], &own[1], &own[2], &own[3], &own[4], &binding].concat())
}

// OPG-27
#[test]
fn a_subkey_for_anything_but_encryption_is_refused() {
    let encryption = encryption_flags();
    assert!(with_subkey(encryption.clone(), 1000).is_ok());
    for flags in [
        encryption.clone().set_authentication(),
        encryption.clear_storage_encryption(),
    ] {
        let error = with_subkey(flags, 1000).unwrap_err();
        assert_eq!(error, CertificateError::Flags { index: 5 });
    }
}

// OPG-28
#[test]
fn a_key_is_a_recipient_only_while_it_is_valid() {
    let certificate = with_subkey(encryption_flags(), 1000).unwrap();
    let fingerprint = certificate.encryption_keys()[0];
    assert!(certificate.recipient(&fingerprint, NOW.plus(999)).is_ok());
    for at in [
        NOW.plus(1000),
        Timestamp(NOW.0 - limit::CLOCK_SKEW_SECONDS - 1),
    ] {
        let error = certificate.recipient(&fingerprint, at).unwrap_err();
        assert_eq!(error, CertificateError::NotValid { fingerprint, at });
    }
    let fingerprint = certificate.fingerprint();
    let error = certificate.recipient(&fingerprint, NOW).unwrap_err();
    assert_eq!(error, CertificateError::NoSuchKey { fingerprint });
}

#[test]
fn a_certificate_is_a_standard_one() {
    for suite in [Suite::Classical, Suite::PostQuantum] {
        let world = World::new(suite);
        let cert = pgp::Cert::from_bytes(world.sender.certificate().as_bytes()).unwrap();
        let policy = pgp::policy::StandardPolicy::new();
        let time = openpgp_time(NOW).unwrap();
        let valid = cert
            .with_policy(&policy, std::time::SystemTime::from(time))
            .unwrap();
        assert_eq!(valid.keys().for_transport_encryption().count(), 1);
        assert_eq!(valid.userids().count(), 1);
        assert_eq!(cert.bad_signatures().count(), 0);
        assert_eq!(
            cert.to_vec().unwrap(),
            world.sender.certificate().as_bytes()
        );
    }
}

// OPG-23, OPG-26
#[test]
fn a_certificate_changed_anywhere_is_refused() {
    let world = World::new(Suite::Classical);
    let bytes = world.sender.certificate().as_bytes();
    for at in 0..bytes.len() {
        let mut changed = bytes.to_vec();
        changed[at] ^= 1;
        assert!(Certificate::parse(&changed).is_err(), "byte {at}");
        assert!(Certificate::parse(&bytes[..at]).is_err() || at == whole_without_subkeys(bytes));
    }
}

/// Where the certificate would be whole, had it no subkeys.
fn whole_without_subkeys(bytes: &[u8]) -> usize {
    frames(bytes).unwrap()[..4]
        .iter()
        .map(|f| f.bytes.len())
        .sum()
}
