//! ENT-01 and ENT-02 of proto/spec/log.md.

use super::*;

fn wire_entry() -> wire::LogEntry {
    let agency: AgencyId = "gb.example-charity".parse().unwrap();
    wire::LogEntry {
        version: VERSION,
        time: 1_800_000_000,
        event: Some(roster_accepted(&agency, 3, Digest::of(b"a roster"))),
    }
}

fn refused(check: &str, bytes: &[u8]) {
    let error = Entry::decode(bytes).unwrap_err().to_string();
    assert!(error.starts_with(check), "{check}: {error}");
}

#[test]
fn an_entry_is_read_and_written_without_a_change() {
    let bytes = wire_entry().encode_to_vec();
    let entry = Entry::decode(&bytes).unwrap();
    assert_eq!(entry.encode(), bytes);
    assert_eq!(entry.name(), "roster-accepted");
    assert_eq!(entry.message_id(), None);
}

/// ENT-01.
#[test]
fn an_entry_of_more_than_30_kib_is_refused() {
    refused("ENT-01: STR-01", &[0; 30_721]);
}

/// ENT-01.
#[test]
fn bytes_that_are_no_entry_are_refused() {
    let bytes = wire_entry().encode_to_vec();
    refused("ENT-01: STR-02", &bytes[..bytes.len() - 1]);
}

/// ENT-01.
#[test]
fn an_entry_that_is_not_canonical_is_refused() {
    let unknown = [wire_entry().encode_to_vec(), vec![0xf8, 0x07, 0x01]].concat();
    refused("ENT-01: STR-03", &unknown);
}

/// ENT-02.
#[test]
fn another_version_and_an_entry_without_an_event_are_refused() {
    for version in [0, 2] {
        let wire = wire::LogEntry {
            version,
            ..wire_entry()
        };
        refused("ENT-02", &wire.encode_to_vec());
    }
    let wire = wire::LogEntry {
        event: None,
        ..wire_entry()
    };
    refused("ENT-02", &wire.encode_to_vec());
}
