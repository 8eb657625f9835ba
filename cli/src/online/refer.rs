//! `refer`: a message that starts a case, minimised under both bundles, shown, confirmed, sealed, and
//! proved submitted; to several recipients, each its own.
//!
//! ```text
//! form --+--> minimised for A --> shown --+              +--> sealed to A, a case of its own
//!        +--> minimised for B --> shown --+--> confirmed-+--> sealed to B, a case of its own
//! ```
//!
//! All are decided before anything is sent. What may not go to one stops all, unless `--partial`.

use std::collections::BTreeSet;

use anstream::adapter::strip_str;
use waypost_proto::draft::{Draft, DraftError, Minimisation, Request, no_origin_conflict};
use waypost_proto::envelope::Addressing;
use waypost_proto::form::Form;
use waypost_proto::id::{DeskAddress, SubjectRef};
use waypost_proto::kind::Kind;
use waypost_proto::vocabulary::Role;

use super::chain::{self, Counterpart};
use super::input::{self, Draft as Given};
use super::policy::Selection;
use super::send::{self, Ends, Sent};
use super::session::Session;
use crate::args::{Destination, Refer};
use crate::context::Context;
use crate::output::{Failure, Output};

pub(crate) use route::both_rules;

use report::{One, Referral, Several};
use route::Route;

mod report;
mod route;

/// The word that sends it.
pub(crate) const WORD: &str = "send";
/// What an officer says besides, of whatever crosses a border (Hague 1996 Art 37).
pub(crate) const ABROAD: &str =
    ", and that it puts neither the person nor a relative in danger in that State";
/// Recipients of one command.
const MOST: usize = 16;

/// One recipient's message on its way.
struct Letter {
    to: Destination,
    decided: Option<Decided>,
    /// Why it does not go.
    failure: Option<Failure>,
}

/// What the rules made of it.
struct Decided {
    route: Route,
    /// None where the node could not be asked.
    theirs: Option<Counterpart>,
    minimisation: Minimisation,
    sent: Option<Sent>,
}

/// Where the rules are asked.
enum Office<'c> {
    /// At the node: the rosters and bundles of now.
    Open(Box<Session<'c>>, Box<Counterpart>),
    /// In this home alone, for a dry run.
    Closed,
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
    if wanted.to.len() > MOST {
        return Err(
            Failure::invalid(format!("there are more than {MOST} recipients"))
                .because("nothing was sent")
                .next(
                    "type the command for some of them, and again with `--subject` for the others",
                ),
        );
    }
    let mut office = Office::enter(&wanted, context).await?;
    let mut letters = Vec::new();
    for to in &wanted.to {
        let decided = office.decide(&wanted, to, &given, context).await;
        letters.push(Letter::of(to, decided, wanted.dry_run));
    }
    check_distinct(&letters)?;
    let subject = match &mut office {
        Office::Open(session, own) if !wanted.dry_run => {
            send_all(session, own, &wanted, &given, &mut letters).await?
        }
        _ => None,
    };
    let shown = !wanted.yes && !wanted.dry_run && subject.is_some();
    told(&wanted, &given, letters, subject, shown, context)
}

impl<'c> Office<'c> {
    async fn enter(wanted: &Refer, context: &'c Context) -> Result<Self, Failure> {
        match Session::open(context).await {
            Ok(mut session) => {
                let agency = session.agency.clone();
                let own = chain::look_up(&mut session, &agency).await?;
                Ok(Self::Open(Box::new(session), Box::new(own)))
            }
            Err(failure) if wanted.dry_run => {
                context.note(&format!("The node could not be asked: {failure}"));
                Ok(Self::Closed)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Judges the form for one recipient.
    async fn decide(
        &mut self,
        wanted: &Refer,
        to: &Destination,
        given: &Given,
        context: &Context,
    ) -> Result<Decided, Failure> {
        let kind = given.form.kind();
        let (route, theirs) = match self {
            Self::Open(session, own) => {
                let theirs = chain::look_up(session, &to.agency).await?;
                let route = route::live(session, wanted, to, kind, own, &theirs).await?;
                (route, Some(theirs))
            }
            Self::Closed => (route::offline(wanted, to, kind, context)?, None),
        };
        let judge = route
            .rules
            .judge(route.recipient.clone(), route.sender.clone());
        let draft = Draft::new(given.form.clone(), request(wanted, &given.form, &route))
            .map_err(|e| unfit(&e))?;
        let minimisation = draft
            .minimise(&judge, route.rules.versions()?)
            .map_err(|e| unfit(&e))?;
        Ok(Decided {
            route,
            theirs,
            minimisation,
            sent: None,
        })
    }
}

impl Letter {
    fn of(to: &Destination, decided: Result<Decided, Failure>, dry_run: bool) -> Self {
        let (decided, failure) = match decided {
            Ok(decided) if dry_run || decided.says_something() => (Some(decided), None),
            Ok(decided) => (Some(decided), Some(nothing_may_go())),
            Err(failure) => (None, Some(failure)),
        };
        Self {
            to: to.clone(),
            decided,
            failure,
        }
    }

    /// The message, if nothing keeps it.
    fn sendable(&mut self) -> Option<&mut Decided> {
        match self.failure {
            None => self.decided.as_mut(),
            Some(_) => None,
        }
    }

    fn referral(&self, wanted: &Refer, given: &Given) -> Option<Referral> {
        let decided = self.decided.as_ref()?;
        let kind = given.form.kind();
        Some(Referral {
            dry_run: wanted.dry_run,
            from: decided.route.from.to_string(),
            to: decided.route.to.to_string(),
            recipient: decided.route.name.clone(),
            kind: kind.code(),
            title: kind.title(),
            purpose: wanted.purpose.code(),
            live: decided.theirs.is_some(),
            selection: Selection::of(&decided.minimisation),
            not_carried: given.not_carried.clone(),
            subject: None,
            sent: decided.sent.clone(),
            shown: false,
        })
    }
}

impl Decided {
    fn says_something(&self) -> bool {
        Selection::of(&self.minimisation).says_something()
    }
}

fn nothing_may_go() -> Failure {
    Failure::denied("the rules let nothing about the referral go to this recipient")
        .because("nothing was sent to it")
        .next("see what would help: the same command with `--dry-run`")
}

/// One desk gets one message.
fn check_distinct(letters: &[Letter]) -> Result<(), Failure> {
    let mut seen = BTreeSet::new();
    for letter in letters {
        let to = match &letter.decided {
            Some(decided) => decided.route.to.to_string(),
            None => letter.to.to_string(),
        };
        if !seen.insert(to.clone()) {
            return Err(Failure::invalid(format!("`{to}` stands twice in `--to`"))
                .because("nothing was sent")
                .next("name each recipient once"));
        }
    }
    Ok(())
}

/// Confirms and sends what may go. Gives the person's file, if anything was to be sent.
async fn send_all(
    session: &mut Session<'_>,
    own: &Counterpart,
    wanted: &Refer,
    given: &Given,
    letters: &mut [Letter],
) -> Result<Option<SubjectRef>, Failure> {
    hold_back(letters, wanted.partial);
    if letters.iter_mut().all(|letter| letter.sendable().is_none()) {
        return Ok(None);
    }
    if !wanted.yes {
        confirm(session.context, wanted, given, letters)?;
    }
    let subject = wanted.subject.map_or_else(send::new_subject, Ok)?;
    // Not in the order given: it would tell those who compare their logs who stood beside whom.
    for index in shuffled(letters.len())? {
        let Some(letter) = letters.get_mut(index) else {
            continue;
        };
        let Some(decided) = letter.sendable() else {
            continue;
        };
        match send_one(session, own, wanted, decided, subject).await {
            Ok(sent) => decided.sent = Some(sent),
            Err(failure) => letter.failure = Some(failure),
        }
    }
    Ok(Some(subject))
}

/// What may not go to one keeps the others, unless they may go without it.
fn hold_back(letters: &mut [Letter], partial: bool) {
    let mut failures = letters.iter().filter_map(|l| l.failure.as_ref());
    let Some(status) = failures.next().map(Failure::status) else {
        return;
    };
    if partial {
        return;
    }
    for letter in letters {
        letter.failure.get_or_insert_with(|| {
            Failure::new(status, "held back, since not every recipient can have it")
                .because("nothing was sent to it")
                .next("correct what is named; or send to those who can have it: `--partial`")
        });
    }
}

fn confirm(
    context: &Context,
    wanted: &Refer,
    given: &Given,
    letters: &mut [Letter],
) -> Result<(), Failure> {
    let mut question = String::new();
    for referral in letters.iter().filter_map(|l| l.referral(wanted, given)) {
        question.push_str(&strip_str(Output::of(&referral).text()).to_string());
        question.push('\n');
    }
    let going: Vec<&Decided> = letters
        .iter_mut()
        .filter_map(|letter| letter.sendable().map(|decided| &*decided))
        .collect();
    let to: Vec<String> = going.iter().map(|d| d.route.to.to_string()).collect();
    let abroad = going.iter().any(|decided| decided.route.is_abroad());
    context.confirm(
        &format!(
            "{question}Send this to {}? By sending you also say that nobody there is implicated in the case{}.",
            to.join(", "),
            if abroad { ABROAD } else { "" }
        ),
        WORD,
        "--yes",
    )
}

/// The numbers below `count` in random order.
fn shuffled(count: usize) -> Result<Vec<usize>, Failure> {
    let keys = (0..count).map(|index| Ok((send::random_id()?, index)));
    let mut keys = keys.collect::<Result<Vec<_>, Failure>>()?;
    keys.sort_unstable();
    Ok(keys.into_iter().map(|(_, index)| index).collect())
}

/// Seals one message under ids of its own and hands it to the node.
async fn send_one(
    session: &mut Session<'_>,
    own: &Counterpart,
    wanted: &Refer,
    decided: &Decided,
    subject: SubjectRef,
) -> Result<Sent, Failure> {
    let theirs = decided.theirs.as_ref();
    let theirs = theirs.ok_or_else(|| Failure::error("the node was not asked"))?;
    // The officer may have read for a while, and each is sealed at its own time.
    session.now = session.context.now();
    let ends = Ends {
        sender: &own.party,
        recipient: &theirs.party,
        suite: theirs.head.suite(),
    };
    let addressing = addressing(session, wanted, &decided.route)?;
    let minimised = &decided.minimisation.minimised;
    send::seal_and_submit(session, minimised, addressing, ends, Some(subject)).await
}

/// The result: of the one recipient, or of each.
fn told(
    wanted: &Refer,
    given: &Given,
    mut letters: Vec<Letter>,
    subject: Option<SubjectRef>,
    shown: bool,
    context: &Context,
) -> Result<Output, Failure> {
    let referral = |letter: &Letter| {
        let referral = letter.referral(wanted, given)?;
        Some(Referral { shown, ..referral })
    };
    if let [letter] = letters.as_mut_slice() {
        let referral = referral(letter);
        let Some(failure) = letter.failure.take() else {
            let nothing = || Failure::error("nothing was decided");
            return Ok(Output::of(&Referral {
                subject: subject.map(|subject| subject.to_string()),
                ..referral.ok_or_else(nothing)?
            }));
        };
        if let Some(referral) = referral.filter(|r| !r.selection.says_something()) {
            context.note(&strip_str(Output::of(&referral).text()).to_string());
        }
        return Err(failure);
    }
    let sent = |letter: &Letter| letter.decided.as_ref().is_some_and(|d| d.sent.is_some());
    let recipients = letters.iter().map(|letter| {
        One::of(
            letter.to.to_string(),
            referral(letter),
            letter.failure.as_ref(),
        )
    });
    Ok(Output::of(&Several {
        dry_run: wanted.dry_run,
        subject: subject
            .filter(|_| letters.iter().any(sent))
            .map(|subject| subject.to_string()),
        recipients: recipients.collect(),
    }))
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
    use super::*;
    use crate::output::Status;

    fn letter(to: &str, failure: Option<Failure>) -> Letter {
        Letter {
            to: to.parse().unwrap(),
            decided: None,
            failure,
        }
    }

    fn words(letters: &[Letter]) -> Vec<Option<String>> {
        let words = letters.iter().map(|l| l.failure.as_ref());
        words.map(|f| f.map(ToString::to_string)).collect()
    }

    #[test]
    fn a_recipient_that_may_have_nothing_holds_the_others_back_unless_they_may_go_without_it() {
        let letters = || [letter("gb.a", None), letter("gb.b", Some(nothing_may_go()))];
        let mut held = letters();
        hold_back(&mut held, false);
        let [first, second] = &words(&held)[..] else {
            unreachable!("two letters")
        };
        assert!(first.as_ref().unwrap().contains("--partial"));
        assert!(second.as_ref().unwrap().contains("the rules let nothing"));
        let status = held[0].failure.as_ref().map(Failure::status);
        assert_eq!(status, Some(Status::Denied));
        let mut partial = letters();
        hold_back(&mut partial, true);
        assert_eq!(words(&partial)[0], None);
        let mut none = [letter("gb.a", None), letter("gb.b", None)];
        hold_back(&mut none, false);
        assert_eq!(words(&none), [None, None]);
    }

    #[test]
    fn a_desk_that_is_named_twice_is_refused() {
        let distinct = |names: [&str; 2]| check_distinct(&names.map(|name| letter(name, None)));
        assert!(distinct(["gb.a", "gb.b"]).is_ok());
        assert!(distinct(["gb.a/x", "gb.a/y"]).is_ok());
        let said = distinct(["gb.a/x", "gb.a/x"]).unwrap_err().to_string();
        assert!(said.contains("`gb.a/x` stands twice"), "{said}");
    }

    #[test]
    fn an_order_holds_each_once() {
        let mut order = shuffled(16).unwrap();
        order.sort_unstable();
        assert_eq!(order, (0..16).collect::<Vec<_>>());
    }

    #[test]
    fn what_did_not_go_gives_the_exit_code_and_is_told_beside_what_went() {
        let several = Several {
            dry_run: false,
            subject: None,
            recipients: vec![
                One::of("gb.a".into(), None, Some(&nothing_may_go())),
                One::of("gb.b".into(), None, Some(&Failure::error("away"))),
            ],
        };
        let output = Output::of(&several);
        assert_eq!(output.status(), Status::Denied);
        assert_eq!(output.json()["recipients"][1]["status"], "error");
        assert_eq!(output.json()["recipients"][1]["to"], "gb.b");
        assert_eq!(
            output.json()["recipients"][0]["error"]["what"],
            nothing_may_go_words()
        );
        assert!(
            output.text().contains("to gb.b: NOT SENT"),
            "{}",
            output.text()
        );
    }

    fn nothing_may_go_words() -> String {
        let words = nothing_may_go().to_string();
        words.lines().next().unwrap().to_owned()
    }
}
