//! MAN-01 to MAN-09 of proto/spec/message.md.

use super::*;

/// A manifest that passes every check.
pub(crate) fn wire_manifest() -> wire::Manifest {
    wire::Manifest {
        purpose: "P-IDENT".into(),
        legal_bases: vec!["LB-6E".into()],
        minor_status: wire::MinorStatus::Adult.into(),
        consent: wire::ConsentState::Given.into(),
        consented_parts: vec!["EDU".into(), "IND".into()],
        handling: "H1".into(),
        retention_days: 365,
        no_origin_conflict: true,
        no_implicated_party: true,
        parts: vec!["EDU".into(), "IND".into()],
        sender_bundle: vec![1; 32],
        recipient_bundle: vec![2; 32],
        catalogue: vec![3; 32],
        taxonomy: vec![4; 32],
        ..Default::default()
    }
}

/// The manifest with one change is refused by `check`, which its error names.
fn refused(check: &str, change: impl FnOnce(&mut wire::Manifest)) {
    let mut wire = wire_manifest();
    change(&mut wire);
    let error = Manifest::parse(&wire).unwrap_err().to_string();
    assert!(error.starts_with(check), "{check}: {error}");
}

fn accepted(change: impl FnOnce(&mut wire::Manifest)) {
    let mut wire = wire_manifest();
    change(&mut wire);
    assert_eq!(Manifest::parse(&wire).unwrap().to_wire(), wire);
}

#[test]
fn a_manifest_is_read_and_written_without_a_change() {
    accepted(|_| ());
    accepted(|m| m.danger = true);
    accepted(|m| m.transfer_basis = "LB-T45".into());
    accepted(|m| m.profile = "GB-EAW-NRM".into());
    accepted(|m| m.parts.clear());
}

/// MAN-01.
#[test]
fn a_code_outside_its_vocabulary_is_refused() {
    refused("MAN-01", |m| m.purpose = "P-OTHER".into());
    refused("MAN-01", |m| m.purpose.clear());
    refused("MAN-01", |m| m.purpose = "p-ident".into());
    refused("MAN-01", |m| m.legal_bases = vec!["LB-0".into()]);
    refused("MAN-01", |m| m.consented_parts = vec!["SEC".into()]);
    refused("MAN-01", |m| m.parts = vec![String::new()]);
    refused("MAN-01", |m| m.handling = "H4".into());
    refused("MAN-01", |m| m.transfer_basis = "LB-T".into());
    refused("MAN-01", |m| {
        m.consent = wire::ConsentState::Overridden.into();
        m.override_ground = "OG-9".into();
    });
}

/// MAN-01. A peer could put a value of a form there, and errors end in logs.
#[test]
fn an_error_does_not_repeat_what_a_peer_sent() {
    let mut wire = wire_manifest();
    wire.purpose = "a-name".into();
    let error = Manifest::parse(&wire).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("a-name"));
}

/// MAN-02. Numbers that a later version may use stand for no value here.
#[test]
fn minor_status_and_consent_are_set_to_known_values() {
    refused("MAN-02", |m| m.minor_status = 0);
    refused("MAN-02", |m| m.minor_status = 4);
    refused("MAN-02", |m| m.consent = 0);
    refused("MAN-02", |m| m.consent = 6);
}

/// MAN-03.
#[test]
fn lists_are_sorted_and_hold_each_value_once() {
    let lists: [fn(&mut wire::Manifest) -> &mut Vec<String>; 2] =
        [|m| &mut m.parts, |m| &mut m.consented_parts];
    for list in lists {
        refused("MAN-03", |m| list(m).reverse());
        refused("MAN-03", |m| *list(m) = vec!["IND".into(); 2]);
    }
    refused("MAN-03", |m| m.legal_bases = vec!["LB-6E".into(); 2]);
    refused("MAN-03", |m| {
        m.legal_bases = vec!["LB-T45".into(), "LB-6E".into()];
    });
    refused("MAN-03", |m| m.clocks = vec!["C2".into(), "C1".into()]);
}

/// MAN-03.
#[test]
fn lists_are_not_longer_than_their_limits() {
    let codes = |count: usize| -> Vec<String> { (0..count).map(|i| format!("X{i:03}")).collect() };
    refused("MAN-03", |m| m.parts = codes(limit::MANIFEST_PARTS + 1));
    refused("MAN-03", |m| {
        m.consented_parts = codes(limit::MANIFEST_PARTS + 1);
    });
    refused("MAN-03", |m| {
        m.legal_bases = codes(limit::MANIFEST_BASES + 1);
    });
    refused("MAN-03", |m| m.clocks = codes(limit::MANIFEST_CLOCKS + 1));
    accepted(|m| m.clocks = codes(limit::MANIFEST_CLOCKS));
}

/// MAN-04.
#[test]
fn a_manifest_without_a_legal_basis_is_refused() {
    refused("MAN-04", |m| m.legal_bases.clear());
}

/// MAN-05.
#[test]
fn both_constant_assertions_are_made() {
    refused("MAN-05", |m| m.no_origin_conflict = false);
    refused("MAN-05", |m| m.no_implicated_party = false);
}

/// MAN-06.
#[test]
fn bundles_catalogue_and_taxonomy_are_cited_by_32_bytes() {
    refused("MAN-06", |m| m.sender_bundle.clear());
    refused("MAN-06", |m| m.recipient_bundle.truncate(31));
    refused("MAN-06", |m| m.catalogue.push(0));
    refused("MAN-06", |m| m.taxonomy.clear());
}

/// MAN-07.
#[test]
fn an_override_ground_and_an_overridden_consent_go_together() {
    let ground = OverrideGround::ALL.first().unwrap().code();
    refused("MAN-07", |m| m.override_ground = ground.into());
    refused("MAN-07", |m| {
        m.consent = wire::ConsentState::Overridden.into();
    });
    accepted(|m| {
        m.consent = wire::ConsentState::Overridden.into();
        m.override_ground = ground.into();
    });
}

/// MAN-08.
#[test]
fn profile_clocks_and_calendar_are_plain_codes() {
    refused("MAN-08", |m| m.profile = "two words".into());
    refused("MAN-08", |m| m.profile = "X".repeat(33));
    refused("MAN-08", |m| m.clocks = vec![String::new()]);
    refused("MAN-08", |m| m.clocks = vec!["C1\n".into()]);
    refused("MAN-08", |m| {
        m.due_at = Some(1);
        m.calendar = "gb/2026".into();
    });
}

/// MAN-08.
#[test]
fn a_due_time_and_its_calendar_go_together() {
    refused("MAN-08", |m| m.due_at = Some(1_800_000_000));
    refused("MAN-08", |m| m.calendar = "gb-eaw@2026.1".into());
    accepted(|m| {
        m.due_at = Some(1_800_000_000);
        m.calendar = "gb-eaw@2026.1".into();
    });
}

/// MAN-09.
#[test]
fn a_basis_that_is_not_one_of_a_transfer_is_refused_as_one() {
    refused("MAN-09", |m| m.transfer_basis = "LB-6E".into());
}
