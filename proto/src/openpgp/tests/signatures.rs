use pgp::packet::Packet;
use pgp::packet::signature::SignatureBuilder;
use pgp::packet::signature::subpacket::NotationDataFlags;
use pgp::serialize::MarshalInto;
use pgp::types::{HashAlgorithm, SignatureType};

use super::*;
use crate::limit;
use crate::openpgp::packets::{FramingError, frames};
use crate::openpgp::policy::openpgp_time;

fn custom(
    world: &World,
    typ: SignatureType,
    change: impl FnOnce(SignatureBuilder) -> pgp::Result<SignatureBuilder>,
) -> Result<(), VerifyError> {
    let time = openpgp_time(NOW).unwrap();
    let builder = SignatureBuilder::new(typ)
        .set_hash_algo(HashAlgorithm::SHA512)
        .set_signature_creation_time(time)
        .unwrap();
    let signer = world.signer();
    let mut pair = signer.signer(NOW).unwrap();
    let message = [Context::Roster.line(), b"x"].concat();
    let signature = change(builder)
        .unwrap()
        .sign_message(&mut pair, message)
        .unwrap();
    let bytes = Packet::from(signature).to_vec().unwrap();
    world
        .officer
        .certificate()
        .verify(Context::Roster, b"x", &bytes, NOW)
}

// OPG-17
#[test]
fn a_signature_verifies_over_its_own_context_and_content_only() {
    for suite in [Suite::Classical, Suite::PostQuantum] {
        let world = World::new(suite);
        let signature = world
            .signer()
            .sign(Context::Envelope, b"content", NOW)
            .unwrap();
        assert!(signature.len() <= limit::SIGNATURE_BYTES);
        let certificate = world.officer.certificate();
        assert_eq!(
            certificate.verify(Context::Envelope, b"content", &signature, NOW),
            Ok(())
        );
        for (context, content) in [
            (Context::Envelope, &b"other"[..]),
            (Context::Roster, b"content"),
        ] {
            let verified = certificate.verify(context, content, &signature, NOW);
            assert_eq!(verified, Err(VerifyError::Bad));
        }
        let mut changed = signature.clone();
        *changed.last_mut().unwrap() ^= 1;
        let verified = certificate.verify(Context::Envelope, b"content", &changed, NOW);
        assert_eq!(verified, Err(VerifyError::Bad));
    }
}

// OPG-12: both halves of a composite signature count.
#[test]
fn a_composite_signature_with_either_half_broken_is_refused() {
    let world = World::new(Suite::PostQuantum);
    let signature = world.signer().sign(Context::Envelope, b"x", NOW).unwrap();
    // RFC 9980: 64 bytes of Ed25519, then 3,309 of ML-DSA-65, at the end of the packet.
    for from_end in [3309 + 64, 3309 + 1, 3309, 1] {
        let mut changed = signature.clone();
        let at = changed.len() - from_end;
        changed[at] ^= 1;
        let verified = world
            .officer
            .certificate()
            .verify(Context::Envelope, b"x", &changed, NOW);
        assert_eq!(
            verified,
            Err(VerifyError::Bad),
            "{from_end} bytes from the end"
        );
    }
}

// OPG-14
#[test]
fn a_signature_by_another_key_is_refused() {
    let (world, other) = (World::new(Suite::Classical), World::new(Suite::Classical));
    let signature = other.signer().sign(Context::Roster, b"x", NOW).unwrap();
    let verified = world
        .officer
        .certificate()
        .verify(Context::Roster, b"x", &signature, NOW);
    let expected = world.officer.certificate().fingerprint();
    let found = other.officer.certificate().fingerprint();
    assert_eq!(verified, Err(VerifyError::WrongSigner { expected, found }));
}

// OPG-14
#[test]
fn a_desk_signs_nothing() {
    let world = World::new(Suite::Classical);
    assert!(matches!(
        world.sender.signing_key(),
        Err(SignError::MayNotSign)
    ));
}

// OPG-15, OPG-16
#[test]
fn a_signature_is_judged_at_the_time_given() {
    let world = World::new(Suite::Classical);
    let certificate = world.officer.certificate();
    let made = NOW.plus(1000);
    let signature = world.signer().sign(Context::Roster, b"x", made).unwrap();
    let verify = |at| certificate.verify(Context::Roster, b"x", &signature, at);
    assert_eq!(verify(made), Ok(()));
    assert_eq!(
        verify(Timestamp(made.0 - limit::CLOCK_SKEW_SECONDS)),
        Ok(())
    );
    let early = Timestamp(made.0 - limit::CLOCK_SKEW_SECONDS - 1);
    assert_eq!(
        verify(early),
        Err(VerifyError::FromTheFuture {
            created: made,
            at: early
        })
    );
    let before = Timestamp(NOW.0 - limit::CLOCK_SKEW_SECONDS - 1);
    let error = world
        .signer()
        .sign(Context::Roster, b"x", before)
        .unwrap_err();
    assert_eq!(error, SignError::NotValid { at: before });
    let beyond = Timestamp(u64::from(u32::MAX) + 1);
    let error = world
        .signer()
        .sign(Context::Roster, b"x", beyond)
        .unwrap_err();
    assert_eq!(error, SignError::Time { at: beyond });
}

// OPG-16
#[test]
fn a_signature_by_a_key_that_has_expired_is_refused() {
    let world = World::new(Suite::Classical);
    let signer = world.signer();
    let own = frames(signer.certificate().as_bytes()).unwrap();
    let time = openpgp_time(NOW).unwrap();
    let mut pair = signer.signer(NOW).unwrap();
    let direct = SignatureBuilder::new(SignatureType::DirectKey)
        .set_hash_algo(HashAlgorithm::SHA512)
        .set_signature_creation_time(time)
        .unwrap()
        .set_key_flags(
            pgp::types::KeyFlags::empty()
                .set_certification()
                .set_signing(),
        )
        .unwrap()
        .set_key_validity_period(std::time::Duration::from_secs(1000))
        .unwrap()
        .sign_direct_key(&mut pair, signer.certificate().primary())
        .unwrap();
    let direct = Packet::from(direct).to_vec().unwrap();
    let bytes = [own[0].bytes, &direct, own[2].bytes, own[3].bytes].concat();
    let expiring = Certificate::parse(&bytes).unwrap();
    let signature = signer.sign(Context::Roster, b"x", NOW).unwrap();
    let verify = |at| expiring.verify(Context::Roster, b"x", &signature, at);
    assert_eq!(verify(NOW.plus(999)), Ok(()));
    let at = NOW.plus(1000);
    assert_eq!(verify(at), Err(VerifyError::KeyNotValid { at }));
}

// OPG-17
#[test]
fn a_signature_changed_anywhere_is_refused() {
    let world = World::new(Suite::Classical);
    let signature = world.signer().sign(Context::Roster, b"x", NOW).unwrap();
    for at in 0..signature.len() {
        let mut changed = signature.clone();
        changed[at] ^= 1;
        let verified = world
            .officer
            .certificate()
            .verify(Context::Roster, b"x", &changed, NOW);
        assert!(verified.is_err(), "byte {at}");
    }
}

// OPG-01, OPG-10
#[test]
fn a_signature_is_exactly_one_packet() {
    let world = World::new(Suite::Classical);
    let signature = world.signer().sign(Context::Roster, b"x", NOW).unwrap();
    let verify = |bytes: &[u8]| {
        world
            .officer
            .certificate()
            .verify(Context::Roster, b"x", bytes, NOW)
    };
    assert_eq!(
        verify(&signature.repeat(2)),
        Err(VerifyError::Count { found: 2 })
    );
    assert_eq!(verify(b""), Err(VerifyError::Count { found: 0 }));
    assert_eq!(verify(&[0xcd, 1, b'a']), Err(VerifyError::Malformed));
    assert!(matches!(
        verify(&[0; limit::SIGNATURE_BYTES + 1]),
        Err(VerifyError::TooLong { .. })
    ));
    let trailing = [&signature[..], b"\0"].concat();
    let framing = FramingError::NotBinary {
        offset: signature.len(),
    };
    assert_eq!(
        verify(&trailing),
        Err(VerifyError::Framing { source: framing })
    );
    // The same packet with a longer length field is other bytes with the same meaning.
    let body = &signature[2..];
    let longer = [
        &[0xc2, 0xff, 0, 0, 0, u8::try_from(body.len()).unwrap()][..],
        body,
    ]
    .concat();
    assert_eq!(verify(&longer), Err(VerifyError::Malformed));
}

// OPG-11, OPG-12, OPG-13
#[test]
fn anything_in_a_signature_that_has_no_use_is_refused() {
    let world = World::new(Suite::Classical);
    assert_eq!(custom(&world, SignatureType::Binary, Ok), Ok(()));
    let text = custom(&world, SignatureType::Text, Ok);
    assert_eq!(
        text,
        Err(VerifyError::Type {
            expected: 0,
            found: 1
        })
    );
    let sha256 = custom(&world, SignatureType::Binary, |b| {
        Ok(b.set_hash_algo(HashAlgorithm::SHA256))
    });
    assert!(matches!(
        sha256,
        Err(VerifyError::Algorithm { hash: 8, .. })
    ));
    let notation = custom(&world, SignatureType::Binary, |b| {
        b.set_notation("note@example.org", b"x", NotationDataFlags::empty(), false)
    });
    assert_eq!(notation, Err(VerifyError::Subpacket { tag: 20 }));
    let intended = custom(&world, SignatureType::Binary, |b| {
        b.set_intended_recipients([pgp::Fingerprint::V6([1; 32])])
    });
    assert_eq!(intended, Err(VerifyError::Subpacket { tag: 35 }));
    let unhashed = custom(&world, SignatureType::Binary, |b| {
        b.modify_unhashed_area(|mut area| {
            use pgp::packet::signature::subpacket::{Subpacket, SubpacketValue};
            area.add(Subpacket::new(
                SubpacketValue::SignersUserID(b"x".to_vec()),
                false,
            )?)?;
            Ok(area)
        })
    });
    assert_eq!(unhashed, Err(VerifyError::Subpacket { tag: 28 }));
}

// OPG-11
#[test]
fn a_v4_signature_is_refused() {
    let world = World::new(Suite::Classical);
    let key: pgp::packet::Key<pgp::packet::key::SecretParts, pgp::packet::key::PrimaryRole> =
        pgp::packet::key::Key4::generate_ed25519().unwrap().into();
    let signature = SignatureBuilder::new(SignatureType::Binary)
        .sign_message(&mut key.into_keypair().unwrap(), b"x")
        .unwrap();
    let bytes = Packet::from(signature).to_vec().unwrap();
    let verified = world
        .officer
        .certificate()
        .verify(Context::Roster, b"x", &bytes, NOW);
    assert_eq!(verified, Err(VerifyError::Version { found: 4 }));
}
