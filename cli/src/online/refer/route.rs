//! From desk to desk: who the recipient is, and the rules between the two.

use std::collections::BTreeMap;

use waypost_policies::{RecipientDesk, SenderFacts};
use waypost_proto::id::{DeskAddress, DeskName};
use waypost_proto::kind::Kind;
use waypost_proto::roster::{Desk, VerifiedRoster};
use waypost_proto::vocabulary::Role;

use crate::args::{Destination, Refer};
use crate::context::Context;
use crate::home::HomeFile;
use crate::online::chain::{self, Counterpart};
use crate::online::policy::{self, BothRules};
use crate::online::send;
use crate::online::session::{self, Session};
use crate::output::Failure;

/// The role of the desk that a message which starts a case is for.
const fn role_for(kind: Kind) -> Role {
    match kind {
        Kind::ReferralChild => Role::Cpa,
        Kind::LiaisonRequest => Role::Liai,
        _ => Role::NrmCa,
    }
}

/// The two desks and the rules between them.
pub(super) struct Route {
    pub(super) from: DeskAddress,
    pub(super) to: Destination,
    pub(super) name: String,
    pub(super) jurisdiction: String,
    pub(super) sender: SenderFacts,
    pub(super) recipient: RecipientDesk,
    pub(super) rules: BothRules,
}

impl Route {
    /// Whether it crosses a border.
    pub(super) fn is_abroad(&self) -> bool {
        self.from.agency.country() != self.to.agency.country()
    }
}

/// The route by the rosters and bundles of now.
pub(super) async fn live(
    session: &mut Session<'_>,
    wanted: &Refer,
    to: &Destination,
    kind: Kind,
    own: &Counterpart,
    theirs: &Counterpart,
) -> Result<Route, Failure> {
    let rules = both_rules(session, own, theirs).await?;
    let from = DeskAddress {
        agency: session.agency.clone(),
        desk: wanted.desk.clone().unwrap_or_else(|| session.desk.clone()),
    };
    send::check_officer(session, &own.party, &from)?;
    let desks = &theirs.party.roster().roster().desks;
    let desk = choose_desk(desks, to, role_for(kind))?;
    Ok(Route {
        sender: policy::sender(&own.party, &from.desk)?,
        recipient: policy::recipient(&theirs.party, &desk, &from.agency)?,
        name: theirs.party.record().name.clone(),
        jurisdiction: theirs.party.record().jurisdiction.clone(),
        to: Destination {
            agency: to.agency.clone(),
            desk: Some(desk),
        },
        from,
        rules,
    })
}

/// The rules of both sides: the own ones from this home, the recipient's by their digest.
pub(crate) async fn both_rules(
    session: &mut Session<'_>,
    own: &Counterpart,
    theirs: &Counterpart,
) -> Result<BothRules, Failure> {
    let bundle = policy::own_bundle(session.context)?;
    if own.bundle != bundle.digest() {
        return Err(Failure::error("your agency's node decides by another policy bundle than this home")
            .because(format!("here {}, at the node {}", bundle.digest(), own.bundle))
            .next("put the files of your agency's bundle into the folder `bundle` of this home, or update the software"));
    }
    let rules = policy::compile(&bundle)?;
    let theirs = if theirs.bundle == bundle.digest() {
        rules.clone()
    } else {
        let agency = &theirs.party.record().id;
        let fetched = chain::bundle(&mut session.client, agency, theirs.bundle).await?;
        policy::compile(&fetched)?
    };
    Ok(BothRules { own: rules, theirs })
}

/// The route by what is installed: the recipient's role from the directory, no attestation of its
/// desk, the own bundle for both.
pub(super) fn offline(
    wanted: &Refer,
    to: &Destination,
    kind: Kind,
    context: &Context,
) -> Result<Route, Failure> {
    let settings = context.home.agency()?;
    let directory = context.directory()?;
    let record = session::record(&directory, &to.agency)?;
    let own = session::record(&directory, &settings.agency)?;
    let desk = wanted.desk.clone().unwrap_or(settings.desk);
    let role = match record.roles.iter().next() {
        _ if record.roles.contains(&role_for(kind)) => role_for(kind),
        Some(role) => *role,
        None => {
            return Err(
                Failure::error(format!("the directory gives `{}` no role", record.id))
                    .next("tell the scheme operator"),
            );
        }
    };
    let bytes = context.home.read(&HomeFile::Roster)?;
    let broken = |e: &dyn std::error::Error| {
        Failure::error("your agency's roster cannot be used")
            .caused_by(e)
            .next("waypost roster show")
    };
    let certificate = context.certificate(&HomeFile::AgencyCertificate)?;
    let roster = VerifiedRoster::verify(&bytes, &settings.agency, &certificate, context.now())
        .map_err(|e| broken(&e))?;
    let own_desk = roster.roster().desks.get(&desk).ok_or_else(|| {
        Failure::invalid(format!("your agency has no desk `{desk}`")).next("waypost roster show")
    })?;
    let rules = policy::compile(&policy::own_bundle(context)?)?;
    Ok(Route {
        sender: SenderFacts {
            role: own_desk.role,
            desk: own_desk.attestations.clone(),
            agency: own.attestations.clone(),
        },
        recipient: RecipientDesk {
            role,
            desk: std::collections::BTreeSet::new(),
            agency: record.attestations.clone(),
            zone: policy::zone(&settings.agency, &record.id),
        },
        name: record.name.clone(),
        jurisdiction: record.jurisdiction.clone(),
        to: to.clone(),
        from: DeskAddress {
            agency: settings.agency,
            desk,
        },
        rules: BothRules {
            own: rules.clone(),
            theirs: rules,
        },
    })
}

/// The desk that was named, or the only one whose role fits.
fn choose_desk(
    desks: &BTreeMap<DeskName, Desk>,
    to: &Destination,
    role: Role,
) -> Result<DeskName, Failure> {
    let names = |fits: &dyn Fn(&Desk) -> bool| -> Vec<String> {
        let desks = desks.iter().filter(|(_, d)| fits(d));
        desks
            .map(|(name, d)| format!("`{name}` ({})", d.role))
            .collect()
    };
    let agency = &to.agency;
    if let Some(desk) = &to.desk {
        return if desks.contains_key(desk) {
            Ok(desk.clone())
        } else {
            Err(Failure::invalid(format!("`{agency}` has no desk `{desk}`"))
                .because(format!("its desks are {}", names(&|_| true).join(", ")))
                .next(format!("waypost refer --to {agency}/DESK ..")))
        };
    }
    let mut fitting = desks.iter().filter(|(_, d)| d.role == role);
    match (fitting.next(), fitting.next()) {
        (Some((desk, _)), None) => Ok(desk.clone()),
        (None, _) => Err(Failure::invalid(format!(
            "no desk of `{agency}` has the role {role} that such a message is for"
        ))
        .because(format!("its desks are {}", names(&|_| true).join(", ")))
        .next("choose another agency, or name the desk: `--to AGENCY/DESK`")),
        (Some(_), Some(_)) => Err(Failure::invalid(format!(
            "several desks of `{agency}` have the role {role}"
        ))
        .because(names(&|d| d.role == role).join(", "))
        .next(format!("name one: `--to {agency}/DESK`"))),
    }
}

#[cfg(test)]
mod tests {
    use waypost_proto::id::{Digest, Fingerprint};
    use waypost_proto::roster::CertificateRef;

    use super::*;

    fn desks(roles: &[(&str, Role)]) -> BTreeMap<DeskName, Desk> {
        let desk = |role| Desk {
            role,
            certificate: CertificateRef {
                fingerprint: Fingerprint::new([1; 32]),
                digest: Digest::of(b"certificate"),
            },
            encryption_key: Fingerprint::new([2; 32]),
            attestations: std::collections::BTreeSet::new(),
        };
        roles
            .iter()
            .map(|(name, role)| (name.parse().unwrap(), desk(*role)))
            .collect()
    }

    fn choose(roles: &[(&str, Role)], to: &str) -> Result<String, String> {
        let chosen = choose_desk(&desks(roles), &to.parse().unwrap(), Role::NrmCa);
        chosen.map(|d| d.to_string()).map_err(|f| f.to_string())
    }

    #[test]
    fn without_a_name_the_only_desk_whose_role_fits_is_chosen() {
        let roles = [("intake", Role::Lass), ("nrm", Role::NrmCa)];
        assert_eq!(choose(&roles, "gb.authority").unwrap(), "nrm");
    }

    #[test]
    fn each_kind_goes_to_the_role_that_it_is_for() {
        assert_eq!(role_for(Kind::ReferralNrm), Role::NrmCa);
        assert_eq!(role_for(Kind::ReferralChild), Role::Cpa);
        assert_eq!(role_for(Kind::LiaisonRequest), Role::Liai);
    }

    #[test]
    fn several_desks_that_fit_are_named_and_none_is_guessed() {
        let roles = [("a", Role::NrmCa), ("b", Role::NrmCa)];
        let said = choose(&roles, "gb.authority").unwrap_err();
        assert!(said.contains("`a` (NRMCA), `b` (NRMCA)"), "{said}");
        assert!(said.contains("--to gb.authority/DESK"), "{said}");
        assert_eq!(choose(&roles, "gb.authority/b").unwrap(), "b");
    }

    #[test]
    fn a_desk_that_does_not_exist_is_refused_with_those_that_do() {
        let said = choose(&[("nrm", Role::NrmCa)], "gb.authority/intake").unwrap_err();
        assert!(said.contains("its desks are `nrm` (NRMCA)"), "{said}");
        let said = choose(&[("intake", Role::Sch)], "gb.authority").unwrap_err();
        assert!(
            said.contains("no desk of `gb.authority` has the role NRMCA"),
            "{said}"
        );
    }
}
