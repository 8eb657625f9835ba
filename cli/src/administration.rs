//! An agency's roster as its administrator changes it: what is written, and in which order.
//!
//! 1. What nothing refers to yet: a desk key with a new subkey, keys sealed to this home's officer.
//! 2. `public/registration.pb`: the new roster with every certificate.
//! 3. What follows from it: `public/roster.pb`, the certificates, admissions for other officers.
//! 4. `state.json`.
//!
//! INVARIANT (one file decides): a change is made when `public/registration.pb` is. A command that was
//! interrupted before has changed nothing that counts, one that was interrupted after has only to do
//! the rest: typed again, each does what is left (OFF-22).

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;
use waypost_proto::id::{DeskName, Digest, Fingerprint, Timestamp};
use waypost_proto::officer::{Admission, HandedKey};
use waypost_proto::openpgp::{Certificate, DeskKey, SecretKey, SigningKey};
use waypost_proto::roster::{CertificateRef, Roster};
use waypost_proto::{limit, wire};

use crate::context::Context;
use crate::home::{AgencySettings, HomeFile, Seen};
use crate::online;
use crate::output::Failure;
use crate::registration::Registered;
use crate::roster;

/// An administrator at work.
pub struct Administration<'c> {
    /// The command's context.
    pub context: &'c Context,
    /// Of the home.
    pub settings: AgencySettings,
    /// The agency as it is.
    pub before: Registered,
    /// When the command started.
    pub now: Timestamp,
    signer: SigningKey,
    seen: u64,
}

impl std::fmt::Debug for Administration<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Administration")
            .field("agency", &self.settings.agency)
            .finish_non_exhaustive()
    }
}

/// Files of a home, and what is to stand in them.
pub type Files = Vec<(HomeFile, Vec<u8>)>;

/// A change of the roster, ready to be written.
#[derive(Debug)]
pub struct Change {
    /// What nothing refers to yet.
    pub first: Files,
    /// The agency as it will be.
    pub after: Registered,
    /// What follows from it.
    pub then: Files,
}

impl<'c> Administration<'c> {
    /// Unlocks the agency's key.
    ///
    /// # Errors
    /// Not the administrator's home, or a wrong passphrase.
    pub fn open(context: &'c Context) -> Result<Self, Failure> {
        let settings = context.home.agency()?;
        let before = roster::registered(context)?;
        let seen = context.home.state()?.rosters.get(&settings.agency).copied();
        let signer = context
            .agency_key()?
            .signing_key()
            .map_err(|e| Failure::error("the agency's key does not sign").caused_by(&e))?;
        Ok(Self {
            context,
            before,
            now: context.now(),
            signer,
            seen: seen.map_or(0, |seen| seen.version),
            settings,
        })
    }

    /// The roster as it is.
    #[must_use]
    pub const fn roster(&self) -> &Roster {
        self.before.roster().roster()
    }

    /// The next version of the roster, to be changed and signed.
    #[must_use]
    pub fn next(&self, valid_seconds: u64) -> Roster {
        self.roster().next(self.seen, self.now, valid_seconds)
    }

    /// Signs a roster. `record` is the agency's; `certificates` are new ones, and any others to keep
    /// besides those that the roster names.
    ///
    /// # Errors
    /// When what comes of it does not verify.
    pub fn sign(
        &self,
        roster: &Roster,
        record: Option<wire::AgencyRecord>,
        certificates: &[&Certificate],
    ) -> Result<Registered, Failure> {
        let signed = roster
            .sign(&self.signer)
            .map_err(|e| Failure::error("the roster cannot be signed").caused_by(&e))?;
        let signed = wire::Signed::decode(signed.as_slice())
            .map_err(|e| Failure::error("the roster cannot be encoded").caused_by(&e))?;
        let desks = roster.desks.values().map(|desk| desk.certificate.digest);
        let officers = roster.officers.values().map(|o| o.certificate.digest);
        let kept = certificates.iter().map(|c| c.digest());
        let named: BTreeSet<Digest> = desks.chain(officers).chain(kept).collect();
        let known = self.before.parsed().chain(certificates.iter().copied());
        let by_digest: BTreeMap<Digest, &Certificate> = known
            .map(|certificate| (certificate.digest(), certificate))
            .filter(|(digest, _)| named.contains(digest))
            .collect();
        let agency = self.before.agency().as_bytes().to_vec();
        let others = by_digest.values().map(|c| c.as_bytes().to_vec());
        let registration = wire::Registration {
            record: record.or_else(|| self.before.wire().record.clone()),
            roster: Some(signed),
            certificates: std::iter::once(agency).chain(others).collect(),
        };
        Registered::verify(&registration.encode_to_vec(), self.now)
    }

    /// Seals a desk's keys to an officer: those up to the one in use, since what was sealed to former
    /// ones is still to be read.
    ///
    /// # Errors
    /// When the officer has no key for it.
    pub fn hand_over(
        &self,
        desk: &DeskName,
        secret: &SecretKey,
        in_use: &Fingerprint,
        officer: &Certificate,
    ) -> Result<Vec<HandedKey>, Failure> {
        let keys = secret.certificate().encryption_keys();
        let until = keys.iter().position(|key| key == in_use);
        let count = until.map_or(0, |last| last.saturating_add(1));
        let sealed = keys.iter().take(count).map(|key| {
            let sealed = self.seal(&secret.desk_key(key).map_err(unsealed)?, officer)?;
            Ok(HandedKey {
                desk: desk.clone(),
                key: *key,
                sealed,
            })
        });
        sealed.collect()
    }

    /// Seals one desk key to an officer.
    ///
    /// # Errors
    /// When the officer has no key for it.
    pub fn seal(&self, key: &DeskKey, officer: &Certificate) -> Result<Vec<u8>, Failure> {
        key.hand_over(&self.signer, officer, self.now)
            .map_err(unsealed)
    }

    /// What an officer joins with: the agency as it will be, and the keys of the officer's desks.
    ///
    /// # Errors
    /// When the officer is not on that roster, or a key cannot be sealed.
    pub fn admission(
        &self,
        after: &Registered,
        officer: &Fingerprint,
        secrets: &BTreeMap<DeskName, SecretKey>,
    ) -> Result<Vec<u8>, Failure> {
        let roster = after.roster().roster();
        let listed = roster.officers.get(officer);
        let (listed, certificate) = listed
            .and_then(|listed| Some((listed, after.named(&listed.certificate)?)))
            .ok_or_else(|| Failure::error("the roster does not hold the officer"))?;
        let mut keys = Vec::new();
        for name in &listed.desks {
            let (Some(desk), Some(secret)) = (roster.desks.get(name), secrets.get(name)) else {
                return Err(Failure::error(format!(
                    "there is no key of the desk `{name}`"
                )));
            };
            keys.extend(self.hand_over(name, secret, &desk.encryption_key, certificate)?);
        }
        keys.sort_by(|a, b| (&a.desk, a.key).cmp(&(&b.desk, b.key)));
        let admission = Admission {
            officer: *officer,
            operator: self.settings.own_operator(),
            registration: after.wire().clone(),
            keys,
        };
        admission
            .sign(&self.signer, self.now)
            .map_err(|e| Failure::error("the admission cannot be signed").caused_by(&e))
    }

    /// The secret keys of desks.
    ///
    /// # Errors
    /// One is not in this home, or stays locked.
    pub fn secrets<'d>(
        &self,
        desks: impl IntoIterator<Item = &'d DeskName>,
    ) -> Result<BTreeMap<DeskName, SecretKey>, Failure> {
        let unlocked = desks
            .into_iter()
            .map(|desk| Ok((desk.clone(), self.context.desk_secret(desk)?)));
        unlocked.collect()
    }

    /// The locked form of a desk's key, for its file.
    ///
    /// # Errors
    /// When it cannot be locked.
    pub fn locked(&self, desk: &DeskName, secret: &SecretKey) -> Result<Vec<u8>, Failure> {
        // The one that has unlocked the agency's key.
        let passphrase = self.context.new_passphrase(&format!("the desk `{desk}`"))?;
        secret.lock(&passphrase).map_err(|e| {
            Failure::error(format!("the key of the desk `{desk}` cannot be locked")).caused_by(&e)
        })
    }

    /// Writes a change, in the order that this module's head gives, while other commands wait.
    ///
    /// # Errors
    /// Another command has changed the roster meanwhile, or what the system refuses.
    pub fn commit(&self, change: Change) -> Result<Registered, Failure> {
        let home = &self.context.home;
        let after = change.after;
        home.update_state(|state| {
            if *home.read(&HomeFile::Registration)? != *self.before.as_bytes() {
                return Err(
                    Failure::error("another command has changed the roster meanwhile")
                        .because("nothing was changed by this one")
                        .next("look at it: `waypost roster show`; then type the command again"),
                );
            }
            for (file, content) in &change.first {
                home.write(file, content)?;
            }
            home.write(&HomeFile::Registration, after.as_bytes())?;
            home.write(&HomeFile::Roster, after.roster().as_bytes())?;
            for (name, desk) in &after.roster().roster().desks {
                if let Some(certificate) = after.named(&desk.certificate) {
                    let file = HomeFile::DeskCertificate(name.clone());
                    home.write(&file, certificate.as_bytes())?;
                }
            }
            for (file, content) in &change.then {
                home.write(file, content)?;
            }
            let seen = Seen {
                version: after.roster().roster().version,
                digest: after.roster().digest(),
            };
            state.rosters.insert(self.settings.agency.clone(), seen);
            Ok(())
        })?;
        Ok(after)
    }
}

/// Gives a roster to the agency's node.
///
/// # Errors
/// The node cannot be reached, or refuses.
pub async fn publish(context: &Context, registered: &Registered) -> Result<(), Failure> {
    let roster = registered.roster().as_bytes();
    online::publish_roster(context, roster, registered.certificates())
        .await
        .map_err(|failure| {
            failure
                .because("the roster is signed and kept, but the node does not have it yet")
                .because("type `waypost roster publish` once the node is reached")
        })
}

/// What is left to do when a roster was signed and not given to the node.
#[must_use]
pub fn publish_step(published: bool) -> Option<String> {
    (!published).then(|| {
        "Give the roster to the agency's node, or nothing of this is in force: waypost roster publish"
            .to_owned()
    })
}

/// Seconds that a roster is valid unless another time is asked for.
pub const VALID_SECONDS: u64 = limit::ROSTER_VALID_SECONDS;

/// Whether the roster lists this certificate.
#[must_use]
pub fn lists(roster: &Roster, certificate: &Certificate) -> bool {
    roster
        .officers
        .get(&certificate.fingerprint())
        .is_some_and(|officer| officer.certificate == CertificateRef::of(certificate))
}

fn unsealed(error: impl std::error::Error) -> Failure {
    Failure::error("the desk's key cannot be handed over").caused_by(&error)
}
