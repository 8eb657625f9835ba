//! Sealing with real keys: what is sealed passes every check, and what would not pass is not sealed.

use std::collections::BTreeSet;

use super::*;
use crate::catalogue::Catalogue;
use crate::draft::{Decider, Draft, Request, Verdict};
use crate::form::Form;
use crate::kind::Kind;
use crate::manifest::{Facts, Versions};
use crate::taxonomy::Taxonomy;
use crate::testing::{DAY, NOW, intake, scheme};
use crate::vocabulary::{Handling, LegalBasis, Part, Purpose};

struct AllowAll;

impl Decider for AllowAll {
    fn decide(&self, _: &Facts, _: Part) -> Verdict {
        Verdict::Allow { rules: Vec::new() }
    }
}

fn minimised() -> Minimised {
    let json = r#"{"idn":{"given_name":"a"},"age":{"minor_status":"adult"},
        "cns":{"participation_consent":"given","sharing_consent":{"whole_referral":true}}}"#;
    let request = Request {
        purpose: Purpose::Ident,
        legal_bases: BTreeSet::from([LegalBasis::Lb6e]),
        handling: Handling::H0,
        retention_days: 30,
        transfer_basis: None,
        override_ground: None,
        represented: false,
        no_origin_conflict: true,
        no_implicated_party: true,
        profile: "GB-EAW-NRM".to_owned(),
    };
    let versions = Versions {
        sender_bundle: Digest::of(b"1"),
        recipient_bundle: Digest::of(b"2"),
        catalogue: Catalogue::current().unwrap().digest(),
        taxonomy: Taxonomy::current().unwrap().digest(),
    };
    let form = Form::from_json(Kind::ReferralNrm, json).unwrap();
    let draft = Draft::new(form, request).unwrap();
    draft.minimise(&AllowAll, versions).unwrap().minimised
}

fn addressing() -> Addressing {
    let of = |agency: &crate::testing::Agency| DeskAddress {
        agency: agency.id.clone(),
        desk: intake(),
    };
    Addressing {
        message_id: MessageId::new([1; 16]),
        case_id: CaseId::new([2; 16]),
        in_reply_to: None,
        sender: of(&scheme().sender),
        recipient: of(&scheme().recipient),
        created: NOW,
        expires: NOW.plus(DAY),
        case_seen: 0,
    }
}

fn sealed_by(officer: &SigningKey, addressing: Addressing) -> Result<Sealed, SealMessageError> {
    let (sender, recipient) = (scheme().sender.party(), scheme().recipient.party());
    seal(&minimised(), addressing, officer, &sender, &recipient)
}

#[test]
fn what_is_sealed_is_authenticated_opened_and_truthful() {
    let (sender, recipient) = (scheme().sender.party(), scheme().recipient.party());
    let officer = scheme().sender.signer();
    let sealed = seal(&minimised(), addressing(), &officer, &sender, &recipient).unwrap();
    assert_eq!(sealed.message_id(), MessageId::new([1; 16]));
    let received = Received::decode(sealed.into_wire()).unwrap();
    let authenticated = received
        .authenticate(&sender, &recipient, Suite::Classical, NOW)
        .unwrap();
    let desk = &scheme().recipient.desk;
    let key = desk
        .desk_key(&desk.certificate().encryption_keys()[0])
        .unwrap();
    let opened = authenticated.open(&key, &sender, &recipient).unwrap();
    let truthful = opened.truthful().unwrap();
    assert_eq!(truthful.form().text("idn.given_name"), Some("a"));
}

/// HDR-06, HDR-07.
#[test]
fn a_header_that_any_node_would_refuse_is_not_sealed() {
    let officer = scheme().sender.signer();
    for broken in [
        Addressing {
            expires: NOW,
            ..addressing()
        },
        Addressing {
            in_reply_to: Some(MessageId::new([3; 16])),
            ..addressing()
        },
    ] {
        let error = sealed_by(&officer, broken).unwrap_err();
        assert!(matches!(error, SealMessageError::Header(_)), "{error}");
    }
}

#[test]
fn an_officer_of_another_agency_does_not_seal() {
    let error = sealed_by(&scheme().recipient.signer(), addressing()).unwrap_err();
    assert!(error.to_string().starts_with("CHN-04"), "{error}");
}

#[test]
fn nothing_is_sealed_under_an_expired_roster() {
    let late = Addressing {
        created: NOW.plus(31 * DAY),
        expires: NOW.plus(32 * DAY),
        ..addressing()
    };
    let error = sealed_by(&scheme().sender.signer(), late).unwrap_err();
    assert!(error.to_string().starts_with("CHN-03"), "{error}");
}

#[test]
fn a_message_is_sealed_only_to_the_agency_that_it_addresses() {
    let swapped = Addressing {
        recipient: addressing().sender,
        ..addressing()
    };
    let error = sealed_by(&scheme().sender.signer(), swapped).unwrap_err();
    let is_recipient = matches!(error, SealMessageError::Agency { side: "recipient" });
    assert!(is_recipient, "{error}");
}
