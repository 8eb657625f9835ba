//! `refer`: a referral, minimised under both bundles, shown, confirmed, sealed, and proved submitted.

use std::collections::BTreeMap;

use anstream::adapter::strip_str;
use serde::Serialize;
use waypost_policies::{RecipientDesk, SenderFacts};
use waypost_proto::draft::{Draft, DraftError, Minimisation, Request, no_origin_conflict};
use waypost_proto::envelope::Addressing;
use waypost_proto::form::Form;
use waypost_proto::id::{DeskAddress, DeskName};
use waypost_proto::kind::Kind;
use waypost_proto::roster::{Desk, VerifiedRoster};
use waypost_proto::vocabulary::Role;

use super::chain::{self, Counterpart};
use super::input::{self, Draft as Given, NotCarried};
use super::policy::{self, BothRules, Selection};
use super::send::{self, Ends, Sent};
use super::session::{self, Session};
use crate::args::{Destination, Refer};
use crate::context::Context;
use crate::home::HomeFile;
use crate::output::{Failure, Output, Page, Report, Status};

/// The role of the desk that a message which starts a case is for.
const fn role_for(kind: Kind) -> Role {
    match kind {
        Kind::ReferralChild => Role::Cpa,
        Kind::LiaisonRequest => Role::Liai,
        _ => Role::NrmCa,
    }
}

/// The word that sends it.
pub(crate) const WORD: &str = "send";
/// What an officer says besides, of whatever crosses a border (Hague 1996 Art 37).
pub(crate) const ABROAD: &str =
    ", and that it puts neither the person nor a relative in danger in that State";

/// A referral as decided, and as sent.
#[derive(Debug, Serialize)]
struct Referral {
    dry_run: bool,
    from: String,
    to: String,
    recipient: String,
    kind: &'static str,
    #[serde(skip)]
    title: &'static str,
    purpose: &'static str,
    /// Decided by the rosters of now; else by the installed directory alone.
    live: bool,
    #[serde(flatten)]
    selection: Selection,
    /// Answers of the given file that have no place in a referral.
    not_carried: Vec<NotCarried>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<Sent>,
    /// The selection was shown before it was confirmed.
    #[serde(skip)]
    shown: bool,
}

impl Report for Referral {
    const COMMAND: &'static str = "refer";

    fn page(&self, page: &mut Page) {
        if !self.shown {
            self.decided(page);
        }
        match (&self.sent, self.dry_run) {
            (Some(sent), _) => {
                page.heading("Sent");
                page.good("your agency's node holds it durably and delivers it; this is proved");
                sent.page(page);
                if let Some(subject) = &self.subject {
                    page.field("person's file", &format_args!("{subject} (keep it; for another message about the same person: --subject)"));
                }
                page.next_steps(&[format!("waypost case show {}", sent.case)]);
            }
            (None, true) => {
                page.heading("Nothing was sent");
                page.line(if self.selection.says_something() {
                    "this was a dry run"
                } else {
                    "this was a dry run; the rules let nothing about the referral go to this recipient"
                });
            }
            (None, false) => {}
        }
    }

    fn status(&self) -> Status {
        if self.selection.says_something() {
            Status::Done
        } else {
            Status::Denied
        }
    }
}

impl Referral {
    fn decided(&self, page: &mut Page) {
        page.heading(self.title);
        page.field("from", &self.from);
        page.field("to", &format_args!("{} ({})", self.to, self.recipient));
        page.field("for", &self.purpose);
        if !self.live {
            page.warning("decided by the installed directory alone: the node could not be asked, so the desk's attestations and the recipient's own rules are not known");
        }
        self.selection.page(page);
        if !self.not_carried.is_empty() {
            page.heading("Answers of the file that a referral has no place for");
            for answer in &self.not_carried {
                page.item(&format!("{}: {}", answer.key, answer.reason));
            }
        }
    }
}

/// The two desks and the rules between them.
struct Route {
    from: DeskAddress,
    to: Destination,
    name: String,
    jurisdiction: String,
    sender: SenderFacts,
    recipient: RecipientDesk,
    rules: BothRules,
}

impl Route {
    fn is_abroad(&self) -> bool {
        self.from.agency.country() != self.to.agency.country()
    }
}

/// Runs the command.
pub(crate) async fn run(wanted: Refer, context: &Context) -> Result<Output, Failure> {
    let given = input::referral(&wanted.form, wanted.format)?;
    let kind = given.form.kind();
    if !kind.opens_case() {
        return Err(
            Failure::invalid(format!("a form of the kind `{kind}` answers a message"))
                .because("nothing was sent")
                .next("waypost reply ID --form FILE"),
        );
    }
    if wanted.dry_run {
        return dry_run(&wanted, given, context).await;
    }
    let mut session = Session::open(context).await?;
    let own = chain::look_up(&mut session, &own_agency(context)?).await?;
    let theirs = chain::look_up(&mut session, &wanted.to.agency).await?;
    let route = live(&mut session, &wanted, kind, &own, &theirs).await?;
    let (minimisation, not_carried) = decide(&wanted, given, &route)?;
    let mut referral = referral(&wanted, &route, true, &minimisation, not_carried);
    if !referral.selection.says_something() {
        context.note(&strip_str(Output::of(&referral).text()).to_string());
        return Err(nothing_may_go());
    }
    if !wanted.yes {
        let question = format!(
            "{}\nSend this to {}? By sending you also say that nobody there is implicated in the case{}.",
            strip_str(Output::of(&referral).text()),
            route.to,
            if route.is_abroad() { ABROAD } else { "" }
        );
        context.confirm(&question, WORD, "--yes")?;
        referral.shown = true;
    }
    let subject = wanted.subject.map_or_else(send::new_subject, Ok)?;
    let addressing = addressing(&session, &wanted, &route)?;
    let ends = Ends {
        sender: &own.party,
        recipient: &theirs.party,
        suite: theirs.head.suite(),
    };
    let sent = send::seal_and_submit(
        &mut session,
        &minimisation.minimised,
        addressing,
        ends,
        Some(subject),
    )
    .await?;
    referral.subject = Some(subject.to_string());
    referral.sent = Some(sent);
    Ok(Output::of(&referral))
}

fn own_agency(context: &Context) -> Result<waypost_proto::id::AgencyId, Failure> {
    Ok(context.home.agency()?.agency)
}

fn nothing_may_go() -> Failure {
    Failure::denied("the rules let nothing about the referral go to this recipient")
        .because("nothing was sent")
        .next("see what would help: the same command with `--dry-run`")
}

/// Decides without sending: with the rosters of now if the node answers.
async fn dry_run(wanted: &Refer, given: Given, context: &Context) -> Result<Output, Failure> {
    let kind = given.form.kind();
    let (route, live) = match Session::open(context).await {
        Ok(mut session) => {
            let own = chain::look_up(&mut session, &own_agency(context)?).await?;
            let theirs = chain::look_up(&mut session, &wanted.to.agency).await?;
            (live(&mut session, wanted, kind, &own, &theirs).await?, true)
        }
        Err(failure) => {
            context.note(&format!("The node could not be asked: {failure}"));
            (offline(wanted, kind, context)?, false)
        }
    };
    let (minimisation, not_carried) = decide(wanted, given, &route)?;
    let referral = referral(wanted, &route, live, &minimisation, not_carried);
    Ok(Output::of(&referral))
}

/// The route by the rosters and bundles of now.
async fn live(
    session: &mut Session<'_>,
    wanted: &Refer,
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
    let desk = choose_desk(desks, &wanted.to, role_for(kind))?;
    Ok(Route {
        sender: policy::sender(&own.party, &from.desk)?,
        recipient: policy::recipient(&theirs.party, &desk, &from.agency)?,
        name: theirs.party.record().name.clone(),
        jurisdiction: theirs.party.record().jurisdiction.clone(),
        to: Destination {
            agency: wanted.to.agency.clone(),
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
fn offline(wanted: &Refer, kind: Kind, context: &Context) -> Result<Route, Failure> {
    let settings = context.home.agency()?;
    let directory = context.directory()?;
    let record = session::record(&directory, &wanted.to.agency)?;
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
        to: wanted.to.clone(),
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

/// What the officer says of the disclosure, besides the form.
fn request(wanted: &Refer, form: &Form, route: &Route) -> Request {
    let (from, to) = (route.from.agency.country(), route.to.agency.country());
    let jurisdiction = route.jurisdiction.chars();
    let plain: String = jurisdiction
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .collect();
    Request {
        purpose: wanted.purpose,
        legal_bases: wanted.basis.iter().copied().collect(),
        handling: wanted.handling,
        retention_days: wanted.retention_days,
        transfer_basis: wanted.transfer_basis,
        override_ground: wanted.override_ground,
        represented: wanted.represented,
        // A consulate acts for a State that may be the person's.
        no_origin_conflict: no_origin_conflict(form, from.as_str(), to.as_str())
            && route.recipient.role != Role::Emb,
        // Confirmed by the officer before it is sent.
        no_implicated_party: true,
        profile: match form.kind() {
            Kind::LiaisonRequest => "HCCH96".to_owned(),
            Kind::ReferralChild => format!("{plain}-CHILD"),
            _ => format!("{plain}-NRM"),
        },
    }
}

fn decide(
    wanted: &Refer,
    given: Given,
    route: &Route,
) -> Result<(Minimisation, Vec<NotCarried>), Failure> {
    let judge = route
        .rules
        .judge(route.recipient.clone(), route.sender.clone());
    let request = request(wanted, &given.form, route);
    let draft = Draft::new(given.form, request).map_err(|e| unfit(&e))?;
    let minimisation = draft
        .minimise(&judge, route.rules.versions()?)
        .map_err(|e| unfit(&e))?;
    Ok((minimisation, given.not_carried))
}

/// A draft that cannot go as it is.
pub(crate) fn unfit(error: &DraftError) -> Failure {
    let failure = match error {
        DraftError::OriginConflict | DraftError::ImplicatedParty => {
            Failure::denied("the referral cannot be sent to this recipient")
        }
        _ => Failure::invalid("the message cannot be sent as it is"),
    };
    failure.caused_by(error).because("nothing was sent")
}

fn referral(
    wanted: &Refer,
    route: &Route,
    live: bool,
    minimisation: &Minimisation,
    not_carried: Vec<NotCarried>,
) -> Referral {
    Referral {
        dry_run: wanted.dry_run,
        from: route.from.to_string(),
        to: route.to.to_string(),
        recipient: route.name.clone(),
        kind: minimisation.minimised.kind().code(),
        title: minimisation.minimised.kind().title(),
        purpose: wanted.purpose.code(),
        live,
        selection: Selection::of(minimisation),
        not_carried,
        subject: None,
        sent: None,
        shown: false,
    }
}

fn addressing(session: &Session<'_>, wanted: &Refer, route: &Route) -> Result<Addressing, Failure> {
    // `live` names the desk.
    let desk = route.to.desk.clone().ok_or_else(|| {
        Failure::invalid("no desk is named").next("name the desk: `--to AGENCY/DESK`")
    })?;
    Ok(Addressing {
        message_id: send::new_message()?,
        case_id: send::new_case()?,
        in_reply_to: None,
        sender: route.from.clone(),
        recipient: DeskAddress {
            agency: route.to.agency.clone(),
            desk,
        },
        created: session.now,
        expires: session.now.plus(wanted.expires_hours.saturating_mul(3600)),
        case_seen: 0,
    })
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
