use pgp::packet::{Literal, Packet};
use pgp::serialize::MarshalInto;
use pgp::types::DataFormat;
use zeroize::Zeroizing;

use super::*;
use crate::id::Fingerprint;
use crate::limit;
use crate::openpgp::packets::{FramingError, frames, tag};
use crate::openpgp::seal::{encrypt, inner, pad, padme, sign};

/// Seals `content` as given, context line included, for `intended`.
fn seal_raw(world: &World, content: &[u8], intended: &[Fingerprint]) -> Vec<u8> {
    let signature = sign(content, &world.signer(), intended, NOW).unwrap();
    let inner = pad(inner(&signature, content).unwrap()).unwrap();
    encrypt(&inner, &world.desks()).unwrap()
}

fn intended(world: &World) -> [Fingerprint; 2] {
    [
        world.recipient.certificate().fingerprint(),
        world.sender.certificate().fingerprint(),
    ]
}

/// The inner packets of a good body, to rearrange.
fn parts(world: &World) -> Vec<Vec<u8>> {
    let content = [Context::Body.line(), b"content"].concat();
    let signature = sign(&content, &world.signer(), &intended(world), NOW).unwrap();
    let inner = inner(&signature, &content).unwrap();
    frames(&inner)
        .unwrap()
        .iter()
        .map(|f| f.bytes.to_vec())
        .collect()
}

fn open_parts(world: &World, parts: &[&[u8]]) -> Result<Vec<u8>, OpenError> {
    let inner = pad(Zeroizing::new(parts.concat())).unwrap();
    world.open(&encrypt(&inner, &world.desks()).unwrap())
}

// OPG-30, OPG-31
#[test]
fn a_sealed_body_opens_for_both_desks_and_names_both() {
    for suite in [Suite::Classical, Suite::PostQuantum] {
        let world = World::new(suite);
        let plaintext = vec![7; 10_000];
        let body = world.seal(&plaintext);
        for desk in [&world.sender, &world.recipient] {
            let key = desk_key(desk);
            let signer = world.officer.certificate();
            let opened = open(&body, &key, signer, &world.desks(), NOW).unwrap();
            assert_eq!(*opened, plaintext);
        }
        let outline = outline(&body).unwrap();
        assert_eq!(outline.suite, suite);
        assert_eq!(outline.recipients, world.desks().map(|r| r.fingerprint()));
        assert_eq!(recipients(&body).unwrap(), outline.recipients);
    }
}

#[test]
fn an_empty_and_a_full_payload_both_fit_a_body() {
    let world = World::new(Suite::PostQuantum);
    assert_eq!(world.open(&world.seal(b"")).unwrap(), b"");
    let full = vec![1; limit::PAYLOAD_BYTES + 64];
    assert_eq!(world.open(&world.seal(&full)).unwrap(), full);
    let error = seal(
        &vec![0; limit::BODY_BYTES],
        &world.signer(),
        &world.desks(),
        NOW,
    );
    assert!(matches!(error, Err(SealError::TooLong { .. })));
}

// OPG-35
#[test]
fn lengths_within_one_bucket_give_bodies_of_one_size() {
    for suite in [Suite::Classical, Suite::PostQuantum] {
        let world = World::new(suite);
        let sizes: std::collections::BTreeSet<usize> = (0..64)
            .map(|i| world.seal(&vec![0; 20_000 + 8 * i]).len())
            .collect();
        assert!(sizes.len() <= 2, "{sizes:?}");
    }
}

// OPG-36
#[test]
fn a_body_changed_anywhere_is_refused() {
    let world = World::new(Suite::Classical);
    let body = world.seal(b"content");
    let framed = frames(&body).unwrap();
    // Another recipient's session key, past its header, fingerprint and algorithm, is no business
    // of ours: the envelope's signature covers the body's bytes (OPG-36).
    let (ours, others) = (framed[0].bytes.len(), framed[1].bytes.len());
    let not_ours = ours + 38..ours + others;
    for at in (0..body.len()).filter(|at| !not_ours.contains(at)) {
        let mut changed = body.clone();
        changed[at] ^= 1;
        assert!(world.open(&changed).is_err(), "byte {at}");
    }
    let mut last = body.clone();
    *last.last_mut().unwrap() ^= 1;
    assert_eq!(world.open(&last), Err(OpenError::Decrypt));
    // A whole chunk taken off the end, the length corrected.
    let long = world.seal(&vec![1; 20_000]);
    let framed = frames(&long).unwrap();
    let container = framed.last().unwrap();
    let cut = container.body.len() - 4096 - 16;
    let mut cut_short: Vec<u8> = framed[..2].iter().flat_map(|f| f.bytes).copied().collect();
    cut_short.extend([0xc0 | tag::SEIPD, 0xff]);
    cut_short.extend(u32::try_from(cut).unwrap().to_be_bytes());
    cut_short.extend(&container.body[..cut]);
    assert_eq!(world.open(&cut_short), Err(OpenError::Decrypt));
}

// OPG-14
#[test]
fn a_body_by_another_signer_is_refused() {
    let world = World::new(Suite::Classical);
    let other = World::new(Suite::Classical);
    let error = world
        .open_as(&world.seal(b"x"), other.officer.certificate())
        .unwrap_err();
    assert!(matches!(
        error,
        OpenError::Signature(VerifyError::WrongSigner { .. })
    ));
}

// OPG-31
#[test]
fn a_body_to_other_recipients_than_expected_is_refused() {
    let world = World::new(Suite::Classical);
    let stranger = SecretKey::generate(KeyRole::Desk, Suite::Classical, "x", NOW).unwrap();
    let [recipient, sender] = world.desks();
    let wider = [recipient.clone(), sender, only_key(&stranger)];
    for others in [&wider[..], &wider[..1], &[recipient, only_key(&stranger)]] {
        let body = seal(b"x", &world.signer(), others, NOW).unwrap();
        assert_eq!(world.open(&body), Err(OpenError::Recipients));
    }
    let key = desk_key(&stranger);
    let error = open(
        &world.seal(b"x"),
        &key,
        world.officer.certificate(),
        &world.desks(),
        NOW,
    );
    assert_eq!(
        error.unwrap_err(),
        OpenError::NotForThisKey {
            fingerprint: key.fingerprint()
        }
    );
}

// OPG-34
#[test]
fn a_signature_for_other_recipients_or_for_none_is_refused() {
    let world = World::new(Suite::Classical);
    let content = [Context::Body.line(), b"x"].concat();
    let [recipient, sender] = intended(&world);
    assert!(
        world
            .open(&seal_raw(&world, &content, &[sender, recipient]))
            .is_ok()
    );
    for wrong in [
        &[recipient][..],
        &[sender, sender],
        &[recipient, sender, sender],
    ] {
        let error = world.open(&seal_raw(&world, &content, wrong)).unwrap_err();
        assert_eq!(error, OpenError::Signature(VerifyError::IntendedRecipients));
    }
    let error = world.open(&seal_raw(&world, &content, &[])).unwrap_err();
    assert_eq!(
        error,
        OpenError::Signature(VerifyError::Missing { tag: 35 })
    );
}

// OPG-37
#[test]
fn a_body_signed_for_another_use_is_refused() {
    let world = World::new(Suite::Classical);
    let content = [Context::HandOver.line(), b"x"].concat();
    let error = world.open(&seal_raw(&world, &content, &intended(&world)));
    assert_eq!(error, Err(OpenError::Context));
}

// OPG-15
#[test]
fn a_body_signed_after_the_time_it_is_judged_at_is_refused() {
    let world = World::new(Suite::Classical);
    let later = NOW.plus(limit::CLOCK_SKEW_SECONDS + 1);
    let body = seal(b"x", &world.signer(), &world.desks(), later).unwrap();
    let error = world.open(&body).unwrap_err();
    assert_eq!(
        error,
        OpenError::Signature(VerifyError::FromTheFuture {
            created: later,
            at: NOW
        })
    );
}

// OPG-01, OPG-30
#[test]
fn anything_around_the_body_is_refused() {
    let world = World::new(Suite::Classical);
    let body = world.seal(b"x");
    let marker = [0xca, 3, b'P', b'G', b'P'];
    let framed = frames(&body).unwrap();
    let (first, container) = (framed[0].bytes, framed[2].bytes);

    let trailing = outline(&[&body[..], &marker].concat()).unwrap_err();
    assert_eq!(
        trailing,
        BodyError::Packet {
            index: 2,
            tag: tag::SEIPD
        }
    );
    let leading = outline(&[&marker, &body[..]].concat()).unwrap_err();
    assert_eq!(leading, BodyError::Packet { index: 0, tag: 10 });
    let garbage = outline(&[&body[..], b"\0"].concat()).unwrap_err();
    assert_eq!(
        garbage,
        BodyError::Framing {
            source: FramingError::NotBinary { offset: body.len() }
        }
    );
    assert_eq!(outline(container), Err(BodyError::Recipients { found: 0 }));
    assert_eq!(outline(first), Err(BodyError::Incomplete));
    assert_eq!(outline(b""), Err(BodyError::Incomplete));
    let twice = outline(&[first, &body[..]].concat()).unwrap_err();
    assert!(matches!(twice, BodyError::Repeated { .. }));
    let crowd = outline(&[&first.repeat(4)[..], container].concat()).unwrap_err();
    assert!(matches!(crowd, BodyError::Repeated { .. }));
    let skesk = outline(&[&[0xc3, 1, 6][..], &body].concat()).unwrap_err();
    assert_eq!(skesk, BodyError::Packet { index: 0, tag: 3 });
    assert!(matches!(
        outline(&vec![0; limit::BODY_BYTES + 1]),
        Err(BodyError::TooLong { .. })
    ));
}

#[test]
fn an_armored_body_is_refused() {
    let world = World::new(Suite::Classical);
    let mut writer = pgp::armor::Writer::new(Vec::new(), pgp::armor::Kind::Message).unwrap();
    std::io::Write::write_all(&mut writer, &world.seal(b"x")).unwrap();
    let armored = writer.finalize().unwrap();
    let error = outline(&armored).unwrap_err();
    assert_eq!(
        error,
        BodyError::Framing {
            source: FramingError::NotBinary { offset: 0 }
        }
    );
}

// OPG-31, OPG-32
#[test]
fn older_or_other_packets_in_the_outside_are_refused() {
    let world = World::new(Suite::Classical);
    let body = world.seal(b"x");
    let framed = frames(&body).unwrap();
    let first = framed[0].bytes.len();
    let container = first + framed[1].bytes.len();
    let changed = |at: usize, to: u8| {
        let mut changed = body.clone();
        changed[at] = to;
        outline(&changed).unwrap_err()
    };
    let header = |frame: usize| framed[frame].bytes.len() - framed[frame].body.len();
    assert_eq!(
        changed(header(0), 3),
        BodyError::SessionKeyVersion { found: 3 }
    );
    let v1 = changed(container + header(2), 1);
    assert_eq!(v1, BodyError::ContainerVersion { found: 1 });
    for (offset, value) in [(1, 7), (2, 1), (3, 17)] {
        let error = changed(container + header(2) + offset, value);
        assert!(matches!(error, BodyError::Container { .. }), "{error:?}");
    }
    // An anonymous recipient: no fingerprint.
    let anonymous = [
        &[0xc1, u8::try_from(framed[0].body.len() - 33).unwrap(), 6, 0][..],
        &framed[0].body[35..],
    ];
    let body = [&anonymous.concat()[..], framed[2].bytes].concat();
    assert_eq!(outline(&body), Err(BodyError::SessionKey { index: 0 }));
}

// OPG-24
#[test]
fn one_body_has_one_suite() {
    let (classical, quantum) = (World::new(Suite::Classical), World::new(Suite::PostQuantum));
    let mixed = [only_key(&classical.sender), only_key(&quantum.recipient)];
    let error = seal(b"x", &classical.signer(), &mixed, NOW).unwrap_err();
    assert_eq!(
        error,
        SealError::MixedSuites {
            fingerprint: mixed[1].fingerprint()
        }
    );
    let body = encrypt(b"x", &mixed).unwrap();
    assert!(matches!(outline(&body), Err(BodyError::Algorithm { .. })));
    let error = classical.open_as(&quantum.seal(b"x"), classical.officer.certificate());
    assert_eq!(error, Err(OpenError::Suite));
}

// OPG-33, OPG-35
#[test]
fn another_structure_inside_is_refused() {
    let world = World::new(Suite::Classical);
    let parts = parts(&world);
    let [one_pass, literal, signature] = [&parts[0][..], &parts[1], &parts[2]];
    assert_eq!(
        open_parts(&world, &[one_pass, literal, signature]).unwrap(),
        b"content"
    );

    let wrong = |parts: &[&[u8]]| open_parts(&world, parts).unwrap_err();
    assert_eq!(
        wrong(&[one_pass, literal]),
        OpenError::Signatures { found: 0 }
    );
    let twice = wrong(&[one_pass, one_pass, literal, signature, signature]);
    assert_eq!(twice, OpenError::Signatures { found: 2 });
    assert_eq!(wrong(&[signature, literal]), OpenError::Structure);
    assert_eq!(
        wrong(&[one_pass, literal, literal, signature]),
        OpenError::Structure
    );
    let compressed = [0xc8, 2, 0, 0];
    assert_eq!(wrong(&[&compressed]), OpenError::Compressed);
    let padding = [0xd5, 1, 0];
    assert_eq!(
        wrong(&[one_pass, literal, signature, &padding]),
        OpenError::Structure
    );

    let unpadded = encrypt(&[one_pass, literal, signature].concat(), &world.desks()).unwrap();
    assert_eq!(world.open(&unpadded), Err(OpenError::Padding));
    let mut inner = [one_pass, literal, signature, &padding].concat();
    if padme(inner.len()) == Some(inner.len()) {
        inner.extend([0xd5, 0]);
    }
    assert!(
        world
            .open(&encrypt(&inner, &world.desks()).unwrap())
            .is_err()
    );
}

// OPG-33
#[test]
fn a_literal_with_a_name_or_a_date_or_a_foreign_one_pass_signature_is_refused() {
    let world = World::new(Suite::Classical);
    let (mine, other) = (parts(&world), parts(&world));
    let error = open_parts(&world, &[&other[0], &mine[1], &mine[2]]).unwrap_err();
    assert_eq!(error, OpenError::Form);

    let mut literal = Literal::new(DataFormat::Binary);
    literal.set_body([Context::Body.line(), b"content"].concat());
    literal.set_filename("name").unwrap();
    let named = Packet::from(literal).to_vec().unwrap();
    let error = open_parts(&world, &[&mine[0], &named, &mine[2]]).unwrap_err();
    assert_eq!(error, OpenError::Form);

    let mut changed = mine[1].clone();
    *changed.last_mut().unwrap() ^= 1;
    let error = open_parts(&world, &[&mine[0], &changed, &mine[2]]).unwrap_err();
    assert_eq!(error, OpenError::Signature(VerifyError::Bad));
}

#[test]
fn recipients_are_one_to_four_and_each_once() {
    let world = World::new(Suite::Classical);
    let sealing = |recipients: &[Recipient]| seal(b"x", &world.signer(), recipients, NOW);
    assert_eq!(sealing(&[]), Err(SealError::Recipients { found: 0 }));
    let desk = only_key(&world.sender);
    let fingerprint = desk.fingerprint();
    assert_eq!(
        sealing(&[desk.clone(), desk.clone()]),
        Err(SealError::Repeated { fingerprint })
    );
    let many = vec![desk; limit::RECIPIENTS + 1];
    assert_eq!(
        sealing(&many),
        Err(SealError::Recipients { found: many.len() })
    );
}
