//! Signed notes: C2SP `signed-note`, with Ed25519 keys of type 0x01 (`spec/log.md`, LOG-05 to LOG-07).
//!
//! A note is a text, a blank line and signature lines. The text of a note is only ever seen through
//! [`open`], which has verified it.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::rand;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::id::{AgencyId, Digest};
use crate::limit;

/// C2SP's identifier of plain Ed25519 signatures.
const ED25519_TYPE: u8 = 0x01;
const ED25519_KEY_BYTES: usize = 32;
const KEY_ID_BYTES: usize = 4;
/// Em dash and space: what a signature line starts with.
const SIGNATURE_PREFIX: &str = "\u{2014} ";

/// A key name, verifier key or note that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// LOG-05: not a key name.
    #[error("a key name has 1 to {max} bytes, without spaces, `+` and control characters", max = limit::NOTE_NAME_BYTES)]
    Name,
    /// LOG-05: not `name+keyid+base64`, or a key of another type or length.
    #[error(
        "not an Ed25519 verifier key: expected `name+keyid+base64`, the key id in 8 lower-case hexadecimal digits"
    )]
    VerifierKey,
    /// LOG-05: the key id is not that of the name and key.
    #[error("the verifier key's id does not fit its name and key")]
    KeyId,
    /// The seed of a signer was refused by the cryptographic library.
    #[error("the seed was refused")]
    Seed,
    /// LOG-06: longer than any note.
    #[error("the note has {found} bytes, more than {max}", max = limit::NOTE_BYTES)]
    TooLong {
        /// Bytes found.
        found: usize,
    },
    /// LOG-06: not UTF-8, or with control characters.
    #[error("the note is not plain UTF-8 text")]
    NotText,
    /// LOG-06: no text that ends in a newline, blank line and signature lines.
    #[error("the note has no text, blank line and signature lines")]
    Shape,
    /// LOG-06: more signature lines than accepted.
    #[error("the note has more than {max} signatures", max = limit::NOTE_SIGNATURES)]
    TooManySignatures,
    /// LOG-06: a line that is not a signature line.
    #[error("signature line {line} is malformed")]
    SignatureLine {
        /// Which, from 1.
        line: usize,
    },
    /// LOG-07: the known key did not sign it.
    #[error("the note is not signed by the expected key")]
    NotSigned,
    /// LOG-07: a line that names the known key does not verify.
    #[error("the note's signature is false")]
    BadSignature,
}

/// Name of a key, which for a log is its origin: not empty, no spaces, no `+`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(Box<str>);

impl KeyName {
    /// The name of an agency's log: `waypost/<agency id>`.
    #[must_use]
    pub fn of_log(agency: &AgencyId) -> Self {
        // INVARIANT (log name): an agency id has neither spaces nor `+`, and at most 168 bytes.
        Self(format!("waypost/{agency}").into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = NoteError;

    fn from_str(name: &str) -> Result<Self, NoteError> {
        if !is_name(name) || name.len() > limit::NOTE_NAME_BYTES || name.contains(char::is_control)
        {
            return Err(NoteError::Name);
        }
        Ok(Self(name.into()))
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// C2SP's rule for the names of all keys, known or not.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == '+')
}

/// First four bytes of SHA-256 of name, newline, type and key.
fn key_id(name: &KeyName, key: &[u8; ED25519_KEY_BYTES]) -> [u8; KEY_ID_BYTES] {
    let digest = Digest::of_parts(&[name.as_str().as_bytes(), b"\n", &[ED25519_TYPE], key]);
    let [a, b, c, d, ..] = *digest.as_bytes();
    [a, b, c, d]
}

/// The public half of a note key. Its text form is `name+keyid+base64(0x01 || key)` (LOG-05).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Verifier {
    name: KeyName,
    id: [u8; KEY_ID_BYTES],
    key: [u8; ED25519_KEY_BYTES],
}

impl Verifier {
    /// From a name and an Ed25519 public key.
    #[must_use]
    pub fn new(name: KeyName, key: [u8; ED25519_KEY_BYTES]) -> Self {
        let id = key_id(&name, &key);
        Self { name, id, key }
    }

    /// The key's name: for a log, its origin.
    #[must_use]
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// The Ed25519 public key.
    #[must_use]
    pub const fn key(&self) -> &[u8; ED25519_KEY_BYTES] {
        &self.key
    }

    fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.key)
            .verify(text.as_bytes(), signature)
            .is_ok()
    }
}

impl FromStr for Verifier {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        // The base64 may hold a `+` of its own; a name may not.
        let mut fields = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (fields.next(), fields.next(), fields.next())
        else {
            return Err(NoteError::VerifierKey);
        };
        let name: KeyName = name.parse()?;
        let mut bytes = [0; 1 + ED25519_KEY_BYTES];
        let length = STANDARD
            .decode_slice(key, &mut bytes)
            .map_err(|_| NoteError::VerifierKey)?;
        let [ED25519_TYPE, key @ ..] = bytes else {
            return Err(NoteError::VerifierKey);
        };
        if length != bytes.len() || !is_key_id(id) {
            return Err(NoteError::VerifierKey);
        }
        let verifier = Self::new(name, key);
        if id == hex::encode(verifier.id) {
            Ok(verifier)
        } else {
            Err(NoteError::KeyId)
        }
    }
}

fn is_key_id(text: &str) -> bool {
    text.len() == 2 * KEY_ID_BYTES
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![ED25519_TYPE];
        bytes.extend(self.key);
        write!(
            f,
            "{}+{}+{}",
            self.name,
            hex::encode(self.id),
            STANDARD.encode(bytes)
        )
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The secret half of a note key.
pub struct NoteSigner {
    verifier: Verifier,
    pair: Ed25519KeyPair,
    seed: Zeroizing<[u8; 32]>,
}

impl NoteSigner {
    /// A new key, from the system's randomness.
    ///
    /// # Errors
    ///
    /// [`NoteError::Seed`]: no randomness could be had.
    pub fn generate(name: KeyName) -> Result<Self, NoteError> {
        let mut seed = Zeroizing::new([0; 32]);
        rand::fill(seed.as_mut_slice()).map_err(|_| NoteError::Seed)?;
        Self::from_seed(name, seed)
    }

    /// The key of an RFC 8032 seed.
    ///
    /// # Errors
    ///
    /// [`NoteError::Seed`].
    pub fn from_seed(name: KeyName, seed: Zeroizing<[u8; 32]>) -> Result<Self, NoteError> {
        let pair =
            Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).map_err(|_| NoteError::Seed)?;
        let key = pair
            .public_key()
            .as_ref()
            .try_into()
            .map_err(|_| NoteError::Seed)?;
        Ok(Self {
            verifier: Verifier::new(name, key),
            pair,
            seed,
        })
    }

    /// The seed, to be stored where secrets are.
    #[must_use]
    pub const fn seed(&self) -> &Zeroizing<[u8; 32]> {
        &self.seed
    }

    /// The public half.
    #[must_use]
    pub const fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// The note of `text`, with this key's signature.
    ///
    /// # Errors
    ///
    /// The caller's text is none that a note can hold: [`NoteError::Shape`] without a newline at its
    /// end, [`NoteError::NotText`] with control characters, [`NoteError::TooLong`].
    pub fn sign(&self, text: &str) -> Result<Vec<u8>, NoteError> {
        if !text.ends_with('\n') {
            return Err(NoteError::Shape);
        }
        if has_control(text) {
            return Err(NoteError::NotText);
        }
        let note = self.sign_checked(text);
        if note.len() > limit::NOTE_BYTES {
            return Err(NoteError::TooLong { found: note.len() });
        }
        Ok(note)
    }

    /// The note of a text that is known to be of a note's form and size.
    pub(crate) fn sign_checked(&self, text: &str) -> Vec<u8> {
        let mut signature = self.verifier.id.to_vec();
        signature.extend(self.pair.sign(text.as_bytes()).as_ref());
        let encoded = STANDARD.encode(signature);
        format!(
            "{text}\n{SIGNATURE_PREFIX}{} {encoded}\n",
            self.verifier.name
        )
        .into_bytes()
    }
}

impl fmt::Debug for NoteSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NoteSigner")
            .field("verifier", &self.verifier)
            .finish_non_exhaustive()
    }
}

fn has_control(text: &str) -> bool {
    text.bytes().any(|b| b < 0x20 && b != b'\n')
}

/// What [`open`] has verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened<'a> {
    /// The text, its last newline included.
    pub text: &'a str,
    /// The known key's signature line, newline included.
    pub signature_line: &'a str,
}

/// Opens a note: checks its form (LOG-06) and the known key's signature (LOG-07).
///
/// Signatures of other keys are ignored, whatever they hold, but must have the form of one.
///
/// # Errors
///
/// [`NoteError`], from [`NoteError::TooLong`] on.
pub fn open<'a>(note: &'a [u8], verifier: &Verifier) -> Result<Opened<'a>, NoteError> {
    if note.len() > limit::NOTE_BYTES {
        return Err(NoteError::TooLong { found: note.len() });
    }
    let note = std::str::from_utf8(note).map_err(|_| NoteError::NotText)?;
    if has_control(note) {
        return Err(NoteError::NotText);
    }
    // The text keeps its own newline; the blank line's is dropped.
    let blank = note.rfind("\n\n").ok_or(NoteError::Shape)?;
    let (text, lines) = note.split_at_checked(blank + 1).ok_or(NoteError::Shape)?;
    let lines = lines
        .strip_prefix('\n')
        .filter(|l| l.ends_with('\n'))
        .ok_or(NoteError::Shape)?;

    let mut known = None;
    for (number, line) in lines.split_inclusive('\n').enumerate() {
        if number >= limit::NOTE_SIGNATURES {
            return Err(NoteError::TooManySignatures);
        }
        let malformed = NoteError::SignatureLine { line: number + 1 };
        let (name, id, signature) = parse_line(line).ok_or(malformed)?;
        if name != verifier.name().as_str() || id != verifier.id {
            continue;
        }
        if !verifier.verifies(text, &signature) {
            return Err(NoteError::BadSignature);
        }
        known = Some(line);
    }
    let signature_line = known.ok_or(NoteError::NotSigned)?;
    Ok(Opened {
        text,
        signature_line,
    })
}

/// Name, key id and signature of a signature line.
fn parse_line(line: &str) -> Option<(&str, [u8; KEY_ID_BYTES], Vec<u8>)> {
    let (name, encoded) = line
        .strip_suffix('\n')?
        .strip_prefix(SIGNATURE_PREFIX)?
        .split_once(' ')?;
    let bytes = STANDARD.decode(encoded).ok()?;
    let (id, signature) = bytes.split_first_chunk()?;
    (is_name(name) && !signature.is_empty()).then(|| (name, *id, signature.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The note and key of the C2SP reference implementation (golang.org/x/mod/sumdb/note).
    const VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const TEXT: &str = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    const LINE: &str = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    fn signer(name: &str, seed: u8) -> NoteSigner {
        NoteSigner::from_seed(name.parse().unwrap(), Zeroizing::new([seed; 32])).unwrap()
    }

    fn note(text: &str, lines: &[&str]) -> Vec<u8> {
        format!("{text}\n{}", lines.concat()).into_bytes()
    }

    /// LOG-05, LOG-07.
    #[test]
    fn the_reference_note_opens_and_its_key_round_trips() {
        let verifier: Verifier = VKEY.parse().unwrap();
        assert_eq!(verifier.to_string(), VKEY);
        let reference = note(TEXT, &[LINE]);
        let opened = open(&reference, &verifier).unwrap();
        assert_eq!(
            opened,
            Opened {
                text: TEXT,
                signature_line: LINE
            }
        );
    }

    #[test]
    fn the_reference_seed_gives_the_reference_note() {
        // PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz
        let bytes = STANDARD
            .decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")
            .unwrap();
        let seed = Zeroizing::new(<[u8; 32]>::try_from(&bytes[1..]).unwrap());
        let signer = NoteSigner::from_seed("PeterNeumann".parse().unwrap(), seed).unwrap();
        assert_eq!(signer.verifier().to_string(), VKEY);
        assert_eq!(signer.sign(TEXT).unwrap(), note(TEXT, &[LINE]));
    }

    /// LOG-05.
    #[test]
    fn a_verifier_key_that_is_not_exact_is_refused() {
        let refused = |text: &str| text.parse::<Verifier>().unwrap_err();
        assert_eq!(refused("PeterNeumann"), NoteError::VerifierKey);
        assert_eq!(
            refused(&VKEY.replace("c74f20a3", "C74F20A3")),
            NoteError::VerifierKey
        );
        assert_eq!(
            refused(&VKEY.replace("c74f20a3", "c74f20a4")),
            NoteError::KeyId
        );
        assert_eq!(refused(&VKEY.replace("+AR", "+BB")), NoteError::VerifierKey);
        assert_eq!(
            refused(&VKEY.replace("10TW", "10T=")),
            NoteError::VerifierKey
        );
        assert_eq!(
            refused(&VKEY.replace("PeterNeumann", "Peter Neumann")),
            NoteError::Name
        );
        assert_eq!(refused(&VKEY.replace("PeterNeumann", "")), NoteError::Name);
        assert_eq!(refused(&format!("{VKEY}\n")), NoteError::VerifierKey);
    }

    /// LOG-07: unknown keys are ignored, even those that share the name.
    #[test]
    fn signatures_of_other_keys_are_ignored_but_one_of_the_known_key_is_needed() {
        let verifier: Verifier = VKEY.parse().unwrap();
        let other = signer("PeterNeumann", 1).sign(TEXT).unwrap();
        assert_eq!(open(&other, &verifier), Err(NoteError::NotSigned));
        let foreign = "\u{2014} witness.example/w1 AAAAAAAA\n";
        open(&note(TEXT, &[foreign, LINE, foreign]), &verifier).unwrap();
    }

    /// LOG-07: a false signature of the known key refuses the note, even beside a true one.
    #[test]
    fn a_false_signature_of_the_known_key_refuses_the_note() {
        let verifier: Verifier = VKEY.parse().unwrap();
        let false_line = LINE.replace("x08go/ZJ", "x08go/ZK");
        assert_eq!(
            open(&note(TEXT, &[&false_line]), &verifier),
            Err(NoteError::BadSignature)
        );
        assert_eq!(
            open(&note(TEXT, &[LINE, &false_line]), &verifier),
            Err(NoteError::BadSignature)
        );
        let other_text = TEXT.replace("problem is", "problem Is");
        assert_eq!(
            open(&note(&other_text, &[LINE]), &verifier),
            Err(NoteError::BadSignature)
        );
    }

    /// LOG-06.
    #[test]
    fn a_note_of_another_form_is_refused() {
        let verifier: Verifier = VKEY.parse().unwrap();
        let refused = |bytes: &[u8]| open(bytes, &verifier).unwrap_err();
        assert_eq!(refused(b""), NoteError::Shape);
        assert_eq!(refused(TEXT.as_bytes()), NoteError::Shape);
        assert_eq!(refused(&note(TEXT, &[])), NoteError::Shape);
        assert_eq!(refused(&note(TEXT, &[LINE.trim_end()])), NoteError::Shape);
        assert_eq!(refused(&note(TEXT, &[LINE, "\n"])), NoteError::Shape);
        assert_eq!(
            refused(&note(&TEXT.replace('\n', "\r\n"), &[LINE])),
            NoteError::NotText
        );
        assert_eq!(
            refused(b"\xff\n\n\xe2\x80\x94 a AAAAAAAA\n"),
            NoteError::NotText
        );
        let line = |line: &str| refused(&note(TEXT, &[line, LINE]));
        for bad in [
            "a\n",
            "- a AAAAAAAA\n",
            "\u{2014} a\n",
            "\u{2014} a AAAA\n",
            "\u{2014} a AAAAAAA\n",
            "\u{2014}  AAAAAAAA\n",
        ] {
            assert_eq!(line(bad), NoteError::SignatureLine { line: 1 }, "{bad:?}");
        }
        let foreign = vec!["\u{2014} a AAAAAAAA\n"; limit::NOTE_SIGNATURES];
        assert_eq!(refused(&note(TEXT, &foreign)), NoteError::NotSigned);
        let mut many = foreign.clone();
        many.push(LINE);
        assert_eq!(refused(&note(TEXT, &many)), NoteError::TooManySignatures);
        let long = vec![b'a'; limit::NOTE_BYTES + 1];
        assert_eq!(refused(&long), NoteError::TooLong { found: long.len() });
    }

    #[test]
    fn a_text_that_no_note_can_hold_is_not_signed() {
        let signer = signer("waypost/gb.example", 1);
        assert_eq!(signer.sign("no newline"), Err(NoteError::Shape));
        assert_eq!(signer.sign("a\tb\n"), Err(NoteError::NotText));
        let long = "a".repeat(limit::NOTE_BYTES) + "\n";
        assert!(matches!(signer.sign(&long), Err(NoteError::TooLong { .. })));
        // Blank lines within the text are the text's own.
        let note = signer.sign("a\n\nb\n").unwrap();
        assert_eq!(open(&note, signer.verifier()).unwrap().text, "a\n\nb\n");
    }

    #[test]
    fn a_signer_never_shows_its_seed() {
        let signer = NoteSigner::generate("waypost/gb.example".parse().unwrap()).unwrap();
        let again =
            NoteSigner::from_seed(signer.verifier().name().clone(), signer.seed().clone()).unwrap();
        assert_eq!(again.verifier(), signer.verifier());
        let shown = format!("{signer:?}");
        assert!(!shown.contains(&hex::encode(signer.seed().as_slice())) && !shown.contains("seed"));
    }
}
