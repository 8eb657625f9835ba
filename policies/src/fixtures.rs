//! Desks and facts that the tests share. No person is behind them.

use std::collections::BTreeSet;
use std::sync::Arc;

use waypost_proto::manifest::Facts;
use waypost_proto::vocabulary::{
    AgencyAttestation, ConsentState, DeskAttestation, Handling, LegalBasis, MinorStatus, Part,
    Purpose, Role,
};

use crate::{Bundle, Judge, RecipientDesk, Rules, SenderFacts, Zone};

/// The default bundle, compiled.
pub(crate) fn built_in() -> Arc<Rules> {
    Arc::new(Rules::compile(&Bundle::builtin().unwrap()).unwrap())
}

/// The bundle of the invented State, compiled.
pub(crate) fn abroad() -> Arc<Rules> {
    Arc::new(Rules::compile(&Bundle::of_invented_state().unwrap()).unwrap())
}

/// The default bundle with one more file.
pub(crate) fn built_in_and(text: &str) -> Bundle {
    let bundle = Bundle::builtin().unwrap();
    let files = bundle.files().map(|(n, t)| (n.to_owned(), t.to_owned()));
    Bundle::new(files.chain([("zz-extra.cedar".to_owned(), text.to_owned())])).unwrap()
}

/// A domestic desk that holds every attestation.
pub(crate) fn attested(role: Role) -> RecipientDesk {
    RecipientDesk {
        role,
        desk: DeskAttestation::ALL.iter().copied().collect(),
        agency: AgencyAttestation::ALL.iter().copied().collect(),
        zone: Zone::Domestic,
    }
}

/// A sending desk of an agency with a policy document.
pub(crate) fn sender(role: Role) -> SenderFacts {
    SenderFacts {
        role,
        desk: BTreeSet::new(),
        agency: BTreeSet::from([AgencyAttestation::PolicyDocument]),
    }
}

/// Facts of an identification: an adult who consents to everything, with every basis it may need.
pub(crate) fn adult_who_consents() -> Facts {
    Facts {
        purpose: Purpose::Ident,
        legal_bases: BTreeSet::from([LegalBasis::Lb6e, LegalBasis::Lb9g, LegalBasis::Lb10]),
        minor_status: MinorStatus::Adult,
        consent: ConsentState::Given,
        consented_parts: Part::ALL.iter().copied().collect(),
        override_ground: None,
        danger: false,
        handling: Handling::H0,
        retention_days: 365,
        transfer_basis: None,
        represented: false,
    }
}

/// The same of an adult who refused.
pub(crate) fn adult_who_refuses() -> Facts {
    Facts {
        consent: ConsentState::Refused,
        consented_parts: BTreeSet::new(),
        ..adult_who_consents()
    }
}

/// The same of a child.
pub(crate) fn child() -> Facts {
    Facts {
        minor_status: MinorStatus::Child,
        consent: ConsentState::NotRequired,
        consented_parts: BTreeSet::new(),
        ..adult_who_consents()
    }
}

/// The same desk in another State.
pub(crate) fn attested_abroad(role: Role) -> RecipientDesk {
    RecipientDesk {
        zone: Zone::Other,
        ..attested(role)
    }
}

/// The facts as they go across a border: with safeguards, and after the danger test.
pub(crate) fn across_the_border(mut facts: Facts) -> Facts {
    facts.transfer_basis = Some(LegalBasis::LbT46);
    facts.legal_bases.insert(LegalBasis::LbH96p37);
    facts.legal_bases.insert(LegalBasis::Lb9c);
    facts
}

/// A judge under the given bundles, the sender's first.
pub(crate) fn between(
    sender_rules: &Arc<Rules>,
    recipient_rules: &Arc<Rules>,
    from: Role,
    to: RecipientDesk,
) -> Judge {
    Judge {
        sender_rules: Arc::clone(sender_rules),
        recipient_rules: Arc::clone(recipient_rules),
        recipient: to,
        sender: sender(from),
    }
}

/// A judge under the default bundle on both sides.
pub(crate) fn judge(from: Role, to: RecipientDesk) -> Judge {
    let rules = built_in();
    between(&rules, &rules, from, to)
}
