use super::*;
use crate::directory_file::DirectoryDraft;
use crate::openpgp::{KeyRole, SigningKey};
use crate::testing::{DAY, NOW, key, record, scheme};
use crate::wire;

/// A directory of one node, `<country>.host`, which holds the TLS key `tls`.
fn of_one_node(
    operator: &SigningKey,
    country: &str,
    suite: Suite,
    version: u64,
    tls: u8,
) -> Arc<VerifiedDirectory> {
    let node = wire::NodeRecord {
        id: format!("{country}.host"),
        peer_endpoint: "host.example:1".into(),
        desk_endpoint: "host.example:2".into(),
        tls_key: vec![tls; 32],
        tls_key_next: Vec::new(),
    };
    let draft = DirectoryDraft {
        country: country.into(),
        version,
        suite,
        records: vec![record(wire::record::Record::Node(node))],
        certificates: Vec::new(),
    };
    let bytes = draft.sign(operator, NOW, NOW.plus(DAY)).unwrap();
    let pinned = operator.certificate().fingerprint();
    Arc::new(VerifiedDirectory::verify(&bytes, &pinned, NOW).unwrap())
}

fn operator() -> SigningKey {
    key(KeyRole::Operator, "operator of fr")
        .signing_key()
        .unwrap()
}

fn country(text: &str) -> Country {
    text.parse().unwrap()
}

fn home() -> Directories {
    let directory = VerifiedDirectory::verify(
        &scheme().file,
        &scheme().operator.certificate().fingerprint(),
        NOW,
    );
    Directories::default()
        .with(&country("gb"), Arc::new(directory.unwrap()))
        .unwrap()
}

fn both() -> Directories {
    let foreign = of_one_node(&operator(), "fr", Suite::Classical, 2, 77);
    home().with(&country("fr"), foreign).unwrap()
}

fn check(result: Result<Directories, DirectoryError>, number: &str) {
    let error = result.unwrap_err().to_string();
    assert!(error.starts_with(number), "{error}");
}

#[test]
fn a_record_is_looked_up_in_the_directory_of_its_country() {
    let both = both();
    let (id, host) = (&scheme().sender.id, "fr.host".parse().unwrap());
    assert!(both.agency(id).is_some() && both.certificate(id).is_some());
    assert_eq!(both.node(&host).map(|node| &node.id), Some(&host));
    let named = both.node_of_tls_key(&Digest::new([77; 32]));
    assert_eq!(named.map(|node| &node.id), Some(&host));
    assert!(home().node(&host).is_none());
    assert!(both.agency(&"de.example".parse().unwrap()).is_none());
}

#[test]
fn a_directory_by_the_operator_of_another_country_is_refused() {
    // DIR-14: signed by the pinned operator, of a country that it is not pinned for.
    let operator = operator();
    let other = of_one_node(&operator, "de", Suite::Classical, 1, 77);
    check(home().with(&country("fr"), Arc::clone(&other)), "DIR-14");
    check(home().with(&country("gb"), other), "DIR-14");
}

#[test]
fn an_older_directory_of_a_country_is_refused_and_a_newer_one_takes_its_place() {
    // DIR-07: for each country by itself.
    let operator = operator();
    let version = |version| of_one_node(&operator, "fr", Suite::Classical, version, 77);
    let (fr, before) = (country("fr"), home());
    let before = before.with(&fr, version(2)).unwrap();
    check(before.with(&fr, version(1)), "DIR-07");
    let after = before.with(&fr, version(3)).unwrap();
    assert_eq!(after.of(&fr).unwrap().head().version(), 3);
    assert_eq!(after.iter().count(), 2);
}

#[test]
fn a_tls_key_that_a_node_of_another_country_holds_is_refused() {
    // DIR-13: across the directories in force. `gb.node1` holds this key.
    let foreign = of_one_node(&operator(), "fr", Suite::Classical, 1, 1);
    check(home().with(&country("fr"), foreign), "DIR-13");
}

#[test]
fn two_agencies_have_a_suite_only_if_both_directories_name_it() {
    let (one, other): (_, &AgencyId) = (&scheme().sender.id, &"fr.example".parse().unwrap());
    assert_eq!(both().suite(one, other), Some(Suite::Classical));
    assert_eq!(both().suite(one, &"de.example".parse().unwrap()), None);
    let hybrid = of_one_node(&operator(), "fr", Suite::PostQuantum, 1, 77);
    let mixed = home().with(&country("fr"), hybrid).unwrap();
    assert_eq!(mixed.suite(one, other), None);
}

#[test]
fn each_directory_expires_by_itself() {
    let both = both();
    let later = NOW.plus(2 * DAY);
    assert!(both.is_fresh(&country("gb"), later));
    assert!(!both.is_fresh(&country("fr"), later));
    assert!(!both.is_fresh(&country("de"), NOW));
}
