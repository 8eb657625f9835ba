//! Writes what `interop/openpgp` opens: `seal_for_interop DIR` makes in DIR/pq and DIR/classical a
//! `body.pgp`, the recipient's exported `desk-key.pgp`, the `sender.pgp` and the `plaintext`, with
//! keys made for this and thrown away.

use std::error::Error;
use std::path::Path;

use waypost_proto::id::Timestamp;
use waypost_proto::openpgp::{KeyRole, SecretKey, Suite, seal};

const NOW: Timestamp = Timestamp(1_767_225_600);

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args_os()
        .nth(1)
        .ok_or("usage: seal_for_interop DIR")?;
    for (name, suite) in [("pq", Suite::PostQuantum), ("classical", Suite::Classical)] {
        write(&Path::new(&directory).join(name), suite)?;
    }
    Ok(())
}

fn write(directory: &Path, suite: Suite) -> Result<(), Box<dyn Error>> {
    let generate = |role, name| SecretKey::generate(role, suite, name, NOW);
    let officer = generate(KeyRole::Officer, "officer 7f3a (duty social worker)")?;
    let desks = [
        generate(KeyRole::Desk, "gb.example-county.child-protection/intake")?,
        generate(KeyRole::Desk, "gb.example-school/intake")?,
    ];
    let mut recipients = Vec::new();
    let mut exported = Vec::new();
    for desk in &desks {
        for subkey in desk.certificate().encryption_keys() {
            recipients.push(desk.certificate().recipient(&subkey, NOW)?);
            exported.push(desk.desk_key(&subkey)?.export()?);
        }
    }
    let plaintext = b"a payload that stands for a form\n".repeat(300);
    let body = seal(&plaintext, &officer.signing_key()?, &recipients, NOW)?;

    std::fs::create_dir_all(directory)?;
    let write = |name: &str, bytes: &[u8]| std::fs::write(directory.join(name), bytes);
    write("body.pgp", &body)?;
    write("desk-key.pgp", exported.first().ok_or("no key")?)?;
    write("sender.pgp", officer.certificate().as_bytes())?;
    write("plaintext", &plaintext)?;
    Ok(())
}
