//! INVARIANT (no growing cache), in a process of its own: the table is the process's.

use waypost_proto::context::Context;
use waypost_proto::id::Timestamp;
use waypost_proto::openpgp::{
    Certificate, DeskKey, KeyRole, SecretKey, Suite, cached_signatures, open, seal,
};

const NOW: Timestamp = Timestamp(1_800_000_000);

#[test]
fn no_signature_that_we_verify_stays_in_sequoias_cache() {
    let generate = |role| SecretKey::generate(role, Suite::Classical, "x", NOW).unwrap();
    let (officer, desk) = (generate(KeyRole::Officer), generate(KeyRole::Desk));
    let signer = officer.signing_key().unwrap();

    let signature = signer.sign(Context::Envelope, b"content", NOW).unwrap();
    let certificate = Certificate::parse(officer.certificate().as_bytes()).unwrap();
    certificate
        .verify(Context::Envelope, b"content", &signature, NOW)
        .unwrap();

    let subkey = desk.certificate().encryption_keys()[0];
    let recipients = [desk.certificate().recipient(&subkey, NOW).unwrap()];
    let key = desk.desk_key(&subkey).unwrap();
    let body = seal(b"content", &signer, &recipients, NOW).unwrap();
    open(&body, &key, &certificate, &recipients, NOW).unwrap();
    let handed = key.hand_over(&signer, &certificate, NOW).unwrap();
    DeskKey::accept(&handed, &officer, &certificate, NOW).unwrap();

    assert_eq!(cached_signatures(), 0);
}
