//! A roster, and every way in which it is refused.

use super::*;
use crate::testing::{Agency, BORN, DAY, NOW, intake, scheme, signed};

fn sender() -> &'static Agency {
    &scheme().sender
}

fn verified(bytes: &[u8]) -> Result<VerifiedRoster, RosterError> {
    VerifiedRoster::verify(bytes, &sender().id, &sender().certificate, NOW)
}

/// The roster's content as it stands on the wire, changed and signed again.
fn changed(change: impl FnOnce(&mut wire::Roster)) -> Result<VerifiedRoster, RosterError> {
    let mut content = strict::decode(&sender().roster.encode(), limit::ROSTER_BYTES).unwrap();
    change(&mut content);
    of_content(content.encode_to_vec())
}

fn of_content(content: Vec<u8>) -> Result<VerifiedRoster, RosterError> {
    verified(&signed(&sender().key, Context::Roster, content).encode_to_vec())
}

#[track_caller]
fn refused(result: Result<VerifiedRoster, RosterError>, check: &str) {
    let error = result.map(|_| ()).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{check}: ")), "{error}");
}

#[test]
fn a_signed_roster_comes_back_whole_and_is_named_by_its_exact_bytes() {
    let bytes = &sender().roster_bytes;
    let roster = verified(bytes).unwrap();
    assert_eq!(*roster.roster(), sender().roster);
    assert_eq!(roster.as_bytes(), bytes);
    assert_eq!(roster.digest(), Digest::of(bytes));
    let end = sender().roster.valid_until;
    assert!(roster.is_fresh(Timestamp(end.0 - 1)) && !roster.is_fresh(end));
    changed(|_| ()).unwrap();
}

#[test]
fn a_roster_that_is_not_one_canonical_encoding_is_refused() {
    let unknown_field = [0xf8, 0x07, 0x01];
    let bytes = &sender().roster_bytes;
    refused(
        verified(&[bytes, &unknown_field[..]].concat()),
        "ROS-01: STR-03",
    );
    refused(verified(&bytes[1..]), "ROS-01: STR-02");
    let too_long = vec![0; limit::ROSTER_BYTES + 1];
    refused(verified(&too_long), "ROS-01: STR-01");
    let content = sender().roster.encode();
    refused(
        of_content([&content, &unknown_field[..]].concat()),
        "ROS-01: STR-03",
    );
    refused(of_content(content[1..].to_vec()), "ROS-01: STR-02");
}

#[test]
fn a_roster_that_the_agency_did_not_sign_as_a_roster_is_refused() {
    let content = sender().roster.encode();
    let by = |key, context| signed(key, context, content.clone()).encode_to_vec();
    refused(
        verified(&by(&scheme().recipient.key, Context::Roster)),
        "ROS-02",
    );
    refused(verified(&by(&sender().key, Context::Directory)), "ROS-02");
    let mut other_content: wire::Signed =
        strict::decode(&sender().roster_bytes, limit::ROSTER_BYTES).unwrap();
    let mut roster = sender().roster.clone();
    roster.version += 1;
    other_content.content = roster.encode();
    refused(verified(&other_content.encode_to_vec()), "ROS-02");
}

#[test]
fn an_id_code_or_fingerprint_that_does_not_parse_is_refused() {
    let changes: [fn(&mut wire::Roster); 10] = [
        |roster| roster.agency = "GB.example".into(),
        |roster| roster.officers[0].certificate = None,
        |roster| roster.officers[0].desks = vec!["In take".into()],
        |roster| roster.desks[0].name = String::new(),
        |roster| roster.desks[0].role = "ngo".into(),
        |roster| roster.desks[0].certificate = None,
        |roster| roster.desks[0].encryption_key = vec![0; 31],
        |roster| roster.desks[0].attestations = vec!["trusted".into()],
        |roster| roster.revoked = vec![vec![0; 33]],
        |roster| roster.revoked = vec![Vec::new()],
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let error = changed(change).map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with("ROS-03: "), "{index}: {error}");
    }
}

#[test]
fn a_roster_of_another_agency_is_refused() {
    let other = scheme().recipient.id.to_string();
    refused(changed(|roster| roster.agency = other), "ROS-04");
}

#[test]
fn a_roster_is_valid_for_thirty_days_at_most_and_not_created_in_the_future() {
    let from_to = |created: u64, valid_until: u64| {
        changed(|roster| {
            roster.created = created;
            roster.valid_until = valid_until;
        })
    };
    let (now, skew) = (NOW.0, limit::CLOCK_SKEW_SECONDS);
    for (created, valid_until) in [
        (now, now + 30 * DAY),
        (now, now + 1),
        (now + skew, now + skew + 1),
        // Expired: it verifies, and whether it may be used is for the caller.
        (BORN.0, BORN.0 + DAY),
    ] {
        from_to(created, valid_until).unwrap();
    }
    for (created, valid_until) in [
        (now, now + 30 * DAY + 1),
        (now, now),
        (now, now - 1),
        (now + skew + 1, now + skew + 2),
        (0, u64::MAX),
    ] {
        refused(from_to(created, valid_until), "ROS-05");
    }
}

#[test]
fn an_unsorted_repeated_empty_or_too_long_list_is_refused() {
    let changes: [fn(&mut wire::Roster); 12] = [
        |roster| roster.officers.clear(),
        |roster| roster.desks.clear(),
        |roster| roster.officers.push(roster.officers[0].clone()),
        |roster| roster.desks.push(roster.desks[0].clone()),
        |roster| {
            let name = "a-desk".into();
            let desk = wire::RosterDesk {
                name,
                ..roster.desks[0].clone()
            };
            roster.desks.push(desk);
        },
        |roster| roster.officers[0].desks = vec!["b".into(), "a".into()],
        |roster| roster.officers[0].desks = vec!["a".into(), "a".into()],
        |roster| roster.desks[0].attestations.reverse(),
        |roster| roster.revoked = vec![vec![1; 32], vec![0; 32]],
        |roster| roster.revoked = vec![vec![1; 32], vec![1; 32]],
        |roster| roster.desks = vec![roster.desks[0].clone(); limit::ROSTER_DESKS + 1],
        |roster| roster.revoked = vec![vec![1; 32]; limit::ROSTER_REVOKED + 1],
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let error = changed(change).map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with("ROS-06: "), "{index}: {error}");
    }
}

/// ROS-06: the other side of every limit.
#[test]
fn sorted_lists_within_their_limits_are_accepted() {
    let roster = changed(|roster| {
        let officer = roster.officers[0].clone();
        roster.officers = (0..u8::try_from(limit::ROSTER_OFFICERS).unwrap())
            .map(|byte| {
                let mut officer = officer.clone();
                if let Some(certificate) = &mut officer.certificate {
                    certificate.fingerprint = vec![byte; 32];
                }
                officer
            })
            .collect();
        let desk = roster.desks[0].clone();
        roster.desks = (0..limit::ROSTER_DESKS)
            .map(|number| wire::RosterDesk {
                name: format!("desk{number:02}"),
                ..desk.clone()
            })
            .collect();
        roster.revoked = vec![vec![0; 32], vec![1; 32]];
    })
    .unwrap();
    assert_eq!(roster.roster().officers.len(), limit::ROSTER_OFFICERS);
    assert_eq!(roster.roster().desks.len(), limit::ROSTER_DESKS);
    assert!(!roster.roster().desks.contains_key(&intake()));
}

#[test]
fn a_title_is_short_and_plain() {
    let titled = |title: &str| changed(|roster| roster.officers[0].title = title.into());
    for title in ["x", "Sozialarbeiter/in (Dienst), 2. Stock", &"é".repeat(64)] {
        titled(title).unwrap();
    }
    for title in ["", "line\nbreak", "a@b.example", "<b>", &"é".repeat(65)] {
        refused(titled(title), "ROS-07");
    }
}
