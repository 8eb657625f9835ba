use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;

use super::*;

struct Fixture {
    folder: tempfile::TempDir,
    agency: AgencyId,
}

impl Fixture {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            agency: "gb.school".parse().unwrap(),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("vault.slots")
    }

    fn open(&self) -> Vault {
        Vault::open(&self.path()).unwrap()
    }
}

const MESSAGE: MessageId = MessageId::new([1; 16]);

fn body() -> Vec<u8> {
    (0..100_000_u32).flat_map(u32::to_be_bytes).collect()
}

#[test]
fn a_body_opens_again_from_values_that_the_store_takes() {
    let fixture = Fixture::new();
    let vault = fixture.open();
    for body in [vec![], b"short".to_vec(), body()] {
        let sealed = vault.put(&fixture.agency, MESSAGE, body.clone()).unwrap();
        assert!(
            sealed
                .chunks
                .iter()
                .all(|chunk| chunk.len() <= limit::VALUE_BYTES)
        );
        let chunks = sealed.chunks.concat();
        assert!(
            body.is_empty()
                || !chunks
                    .windows(body.len().min(16))
                    .any(|w| body.starts_with(w))
        );
        assert_eq!(
            vault
                .open_body(&fixture.agency, MESSAGE, sealed.slot, chunks)
                .unwrap(),
            body
        );
    }
}

#[test]
fn a_body_opens_only_as_the_message_and_for_the_agency_that_it_was_put_for() {
    let fixture = Fixture::new();
    let vault = fixture.open();
    let sealed = vault.put(&fixture.agency, MESSAGE, body()).unwrap();
    let chunks = || sealed.chunks.concat();
    let other: AgencyId = "gb.other".parse().unwrap();
    for (agency, message) in [
        (&other, MESSAGE),
        (&fixture.agency, MessageId::new([2; 16])),
    ] {
        let opened = vault.open_body(agency, message, sealed.slot, chunks());
        assert!(matches!(opened, Err(VaultError::Damaged)));
    }
    let mut changed = chunks();
    changed[50_000] ^= 1;
    let opened = vault.open_body(&fixture.agency, MESSAGE, sealed.slot, changed);
    assert!(matches!(opened, Err(VaultError::Damaged)));
}

#[test]
fn an_erased_body_is_gone_and_so_is_every_byte_of_its_key() {
    let fixture = Fixture::new();
    let vault = fixture.open();
    let sealed = vault.put(&fixture.agency, MESSAGE, body()).unwrap();
    let slots = || {
        std::fs::read(fixture.path())
            .unwrap()
            .split_off(HEADER_BYTES)
    };
    assert!(slots().iter().any(|byte| *byte != 0));
    vault.erase(&[sealed.slot]).unwrap();
    assert!(slots().iter().all(|byte| *byte == 0));
    let opened = vault.open_body(
        &fixture.agency,
        MESSAGE,
        sealed.slot,
        sealed.chunks.concat(),
    );
    assert!(matches!(opened, Err(VaultError::Erased)));
}

#[test]
fn a_late_erasure_does_not_destroy_the_key_that_came_after() {
    let fixture = Fixture::new();
    let vault = fixture.open();
    let first = vault.put(&fixture.agency, MESSAGE, body()).unwrap();
    vault.erase(&[first.slot]).unwrap();
    let second = vault.put(&fixture.agency, MESSAGE, body()).unwrap();
    assert_eq!(first.slot.index, second.slot.index);
    vault.erase(&[first.slot]).unwrap();
    let opened = vault.open_body(
        &fixture.agency,
        MESSAGE,
        second.slot,
        second.chunks.concat(),
    );
    assert_eq!(opened.unwrap(), body());
    let opened = vault.open_body(&fixture.agency, MESSAGE, first.slot, first.chunks.concat());
    assert!(matches!(opened, Err(VaultError::Erased)));
}

#[test]
fn a_torn_slot_is_detected_wherever_it_was_torn() {
    let fixture = Fixture::new();
    let vault = fixture.open();
    let sealed = vault
        .put(&fixture.agency, MESSAGE, b"body".to_vec())
        .unwrap();
    let whole = std::fs::read(fixture.path()).unwrap();
    for at in 0..SLOT_BYTES {
        let file = File::options().write(true).open(fixture.path()).unwrap();
        file.write_all_at(
            &[whole[HEADER_BYTES + at] ^ 0x80],
            (HEADER_BYTES + at) as u64,
        )
        .unwrap();
        let opened = vault.open_body(
            &fixture.agency,
            MESSAGE,
            sealed.slot,
            sealed.chunks.concat(),
        );
        assert!(matches!(opened, Err(VaultError::Damaged)), "byte {at}");
        file.write_all_at(&whole, 0).unwrap();
    }
}

fn sweep(vault: &Vault, live: &[Slot]) -> Swept {
    let live = live.iter().copied().map(Ok::<_, VaultError>);
    vault.sweep(live).unwrap()
}

#[test]
fn a_sweep_that_cannot_read_what_is_live_destroys_nothing() {
    let fixture = Fixture::new();
    let vault = fixture.open();
    let sealed = vault.put(&fixture.agency, MESSAGE, body()).unwrap();
    let failing = std::iter::once(Err(VaultError::Stopped));
    vault.sweep(failing).unwrap_err();
    let opened = vault.open_body(
        &fixture.agency,
        MESSAGE,
        sealed.slot,
        sealed.chunks.concat(),
    );
    assert_eq!(opened.unwrap(), body());
}

#[test]
fn a_start_keeps_the_keys_of_stored_bodies_and_destroys_the_others() {
    let fixture = Fixture::new();
    let vault = fixture.open();
    let kept = vault.put(&fixture.agency, MESSAGE, body()).unwrap();
    let orphan = vault.put(&fixture.agency, MESSAGE, body()).unwrap();
    vault.sync().unwrap();
    drop(vault);

    let vault = fixture.open();
    let lost = Slot {
        index: 77,
        ticket: [7; 8],
    };
    let swept = sweep(&vault, &[kept.slot, lost]);
    assert_eq!(
        swept,
        Swept {
            orphans: 1,
            missing: 1
        }
    );
    let opened = vault.open_body(&fixture.agency, MESSAGE, kept.slot, kept.chunks.concat());
    assert_eq!(opened.unwrap(), body());
    let opened = vault.open_body(
        &fixture.agency,
        MESSAGE,
        orphan.slot,
        orphan.chunks.concat(),
    );
    assert!(matches!(opened, Err(VaultError::Erased)));
    assert_eq!(sweep(&vault, &[kept.slot]), Swept::default());
}

#[test]
fn the_file_grows_and_slots_are_used_again() {
    let fixture = Fixture::new();
    let vault = fixture.open();
    let put = || {
        vault
            .put(&fixture.agency, MESSAGE, b"body".to_vec())
            .unwrap()
            .slot
    };
    let slots: Vec<Slot> = (0..=limit::VAULT_GROWTH_SLOTS).map(|_| put()).collect();
    assert_eq!(
        slots
            .iter()
            .map(|slot| slot.index)
            .collect::<BTreeSet<_>>()
            .len(),
        slots.len()
    );
    let bytes = std::fs::metadata(fixture.path()).unwrap().len();
    vault.discard(&slots).unwrap();
    for _ in &slots {
        put();
    }
    assert_eq!(std::fs::metadata(fixture.path()).unwrap().len(), bytes);
}

#[test]
fn only_the_owner_reads_the_vault_and_only_one_process_opens_it() {
    let fixture = Fixture::new();
    let _vault = fixture.open();
    let mode = std::fs::metadata(fixture.path())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let refused = Vault::open(&fixture.path()).unwrap_err();
    assert!(refused.to_string().contains("stop that node"), "{refused}");
}

#[test]
fn a_vault_that_a_crash_cut_short_while_it_was_made_is_made_anew() {
    let fixture = Fixture::new();
    std::fs::write(fixture.path(), &HEADER[..10]).unwrap();
    drop(fixture.open());
    std::fs::write(fixture.path(), vec![b'x'; HEADER_BYTES]).unwrap();
    assert!(matches!(
        Vault::open(&fixture.path()),
        Err(VaultError::Foreign { .. })
    ));
}

#[test]
fn after_a_failure_the_vault_is_stopped() {
    let fixture = Fixture::new();
    let vault = fixture.open();
    let failed = Err::<(), _>(io::Error::other("injected"));
    assert!(
        Vault::fatal(&mut vault.running().unwrap(), failed, "syncing keys")
            .unwrap_err()
            .is_fatal()
    );
    assert!(matches!(vault.sync(), Err(VaultError::Stopped)));
    assert!(matches!(
        vault.put(&fixture.agency, MESSAGE, body()),
        Err(VaultError::Stopped)
    ));
}

#[test]
fn a_slot_reads_back_from_its_bytes() {
    let slot = Slot {
        index: 0x0102_0304,
        ticket: *b"ticket89",
    };
    assert_eq!(Slot::from_bytes(&slot.to_bytes()), Some(slot));
    assert_eq!(Slot::from_bytes(&slot.to_bytes()[1..]), None);
}
