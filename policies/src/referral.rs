//! A referral from draft to permit, under the built-in bundle. No person is behind it.

use std::collections::BTreeSet;

use waypost_proto::draft::{Draft, Minimisation, Request};
use waypost_proto::form::Form;
use waypost_proto::id::Digest;
use waypost_proto::kind::Kind;
use waypost_proto::manifest::Versions;
use waypost_proto::vocabulary::{Handling, LegalBasis, Part, Purpose, Role};

use crate::fixtures::{attested, built_in, judge};
use crate::{Judge, explain, permit};

const FORM: &str = r#"{
  "idn": {"given_name": "Example", "gender": "female"},
  "age": {"minor_status": "MINOR"},
  "cns": {"participation_consent": "CONSENT"},
  "ind": {"codes": ["IND-PHY-01", "IND-PHY-06", "IND-PSY-07"]},
  "cop": {"crime_reference": "example"},
  "off": {"convictions": "example"}
}"#;

fn minimise(judge: &Judge, minor: &str, consent: &str, bases: &[LegalBasis]) -> Minimisation {
    let text = FORM.replace("MINOR", minor).replace("CONSENT", consent);
    let request = Request {
        purpose: Purpose::Ident,
        legal_bases: bases.iter().copied().collect(),
        handling: Handling::H0,
        retention_days: 365,
        transfer_basis: None,
        override_ground: None,
        represented: false,
        no_origin_conflict: true,
        no_implicated_party: true,
        profile: "GB-EAW-NRM".to_owned(),
    };
    let versions = Versions {
        sender_bundle: built_in().digest(),
        recipient_bundle: built_in().digest(),
        catalogue: Digest::of(b"catalogue"),
        taxonomy: Digest::of(b"taxonomy"),
    };
    let form = Form::from_json(Kind::ReferralNrm, &text).unwrap();
    Draft::new(form, request)
        .unwrap()
        .minimise(judge, versions)
        .unwrap()
}

fn withheld(outcome: &Minimisation) -> Vec<String> {
    let name = |code: &Option<String>, path: &str| code.clone().unwrap_or_else(|| path.to_owned());
    outcome
        .withheld
        .iter()
        .map(|w| name(&w.code, w.path))
        .collect()
}

#[test]
fn a_childs_referral_leaves_without_credibility_and_offences_and_is_permitted() {
    let judge = judge(Role::Pol, attested(Role::NrmCa));
    for minor in ["child", "unknown"] {
        let outcome = minimise(&judge, minor, "refused", &[LegalBasis::Lb6e]);
        // IND-PHY-06 is a sign of a compelled act, for which no basis of Article 10 is cited.
        let out: BTreeSet<_> = withheld(&outcome).into_iter().collect();
        let expected = [
            "IND-PHY-06",
            "IND-PSY-07",
            "cop.crime_reference",
            "off.convictions",
        ];
        assert_eq!(out, expected.map(str::to_owned).into(), "{minor}");
        let manifest = outcome.minimised.manifest().clone();
        let permitted = permit(&judge, manifest, |m| m).unwrap();
        assert!(permitted.message().parts.contains(&Part::Ind), "{minor}");
    }
}

#[test]
fn a_basis_for_offence_data_lets_the_indicator_of_a_compelled_act_through() {
    let judge = judge(Role::Pol, attested(Role::NrmCa));
    let bases = [LegalBasis::Lb6e, LegalBasis::Lb10];
    let outcome = minimise(&judge, "child", "refused", &bases);
    assert!(!withheld(&outcome).contains(&"IND-PHY-06".to_owned()));
    assert!(outcome.minimised.manifest().parts.contains(&Part::OffSign));
}

#[test]
fn an_adult_who_refuses_leaves_nothing_in_the_referral() {
    let judge = judge(Role::Ngo, attested(Role::NrmCa));
    let outcome = minimise(&judge, "adult", "refused", &[LegalBasis::Lb6e]);
    let parts = &outcome.minimised.manifest().parts;
    assert!(
        parts.is_subset(&BTreeSet::from([Part::Env, Part::Pro])),
        "{parts:?}"
    );
}

#[test]
fn the_explanation_of_a_minimisation_names_every_part_once_and_no_value() {
    let judge = judge(Role::Pol, attested(Role::NrmCa));
    let outcome = minimise(&judge, "child", "refused", &[LegalBasis::Lb6e]);
    let explained = explain::minimisation(&judge, &outcome);
    let outside: Vec<_> = explained.outside_kind.iter().copied().collect();
    assert_eq!(outside, [Part::OffRest, Part::CopCrimeRef, Part::CopRest]);
    let withheld: Vec<_> = explained.withheld.iter().map(|w| w.part).collect();
    assert_eq!(withheld, [Part::OffSign]);
    let text = explained.to_string();
    assert!(text.contains("  OFF.sign: a sign of an offence"), "{text}");
    assert!(
        text.contains("a further legal basis applies, such as LB-10"),
        "{text}"
    );
    assert!(!text.to_lowercase().contains("example"), "{text}");
}
