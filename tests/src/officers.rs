//! Officers who come and go, at running nodes: what each of them can still do, and read.

use std::fs;

use waypost_proto::id::Fingerprint;
use waypost_proto::openpgp::{self, DeskKey, OpenError};

use crate::bureau::{Bureau, Country, plain, text};
use crate::link::Passage;
use crate::scheme::{self, AUTHORITY, NGO};

/// A referral that arrives. A node keeps a counterpart's roster for a while: the first message after a
/// change is refused, and sent again.
async fn referred(country: &Country, from: &Bureau, to: &Bureau) -> String {
    let home = from.home("admin");
    let said = country.refer(&home, &[to.id.as_str()]).await.unwrap();
    let mut message = text(&said["sent"], "message").unwrap();
    let row = country.settled(&home, &message).await.unwrap();
    if row["outcome"] == "refused" {
        assert!(
            text(&row, "state").unwrap().contains("another roster"),
            "{row}"
        );
        let said = country.refer(&home, &[to.id.as_str()]).await.unwrap();
        message = text(&said["sent"], "message").unwrap();
        country.outcome(&home, &message, "delivered").await.unwrap();
    }
    message
}

/// Every desk key that is in a home, as its officer can still use it.
fn kept_keys(country: &Country, home: &str) -> Vec<DeskKey> {
    let context = country.context(home).unwrap();
    let officer = context.officer_key().unwrap();
    let agency = fs::read(country.path(home).join("public/agency.pgp")).unwrap();
    let agency = openpgp::Certificate::parse(&agency).unwrap();
    let files = fs::read_dir(country.path(home).join("officer")).unwrap();
    let files = files.map(|file| file.unwrap().path());
    let sealed = files.filter(|path| path.extension().is_some_and(|e| e == "sealed"));
    let keys = sealed.map(|path| {
        DeskKey::accept(&fs::read(path).unwrap(), &officer, &agency, scheme::now()).unwrap()
    });
    keys.collect()
}

/// CHN-04, LGN-04, OFF-20 and OFF-21: from the removal on, and for what came before.
#[tokio::test]
async fn a_second_officer_opens_what_came_before_and_after_them_and_a_removed_one_nothing_after() {
    let country = Country::running(&[NGO, AUTHORITY]).await.unwrap();
    let [ngo, authority] = &country.agencies[..] else {
        unreachable!()
    };
    let admin = authority.home("admin");
    let before = referred(&country, ngo, authority).await;
    let second = country.join(authority, "second").await.unwrap();
    let third = country.join(authority, "third").await.unwrap();
    // The desk's key opens what was sealed before they joined.
    let opened = country.run(&second, &["open", &before]).await.unwrap();
    assert_eq!(
        opened["form"]["idn"]["given_name"],
        crate::letter::VALUES[0]
    );
    country.run(&second, &["ack", &before]).await.unwrap();
    let between = referred(&country, ngo, authority).await;
    country.run(&third, &["open", &between]).await.unwrap();

    let gone = country
        .context(&third)
        .unwrap()
        .home
        .agency()
        .unwrap()
        .officer
        .to_string();
    let remove = ["officer", "remove", &gone, "--yes", "--publish"];
    let removed = country.run(&admin, &remove).await.unwrap();
    let after = referred(&country, ngo, authority).await;

    // The one who left: neither a log-in, nor a key that opens it.
    let (code, said) = country.refused(&third, &["inbox"]).await.unwrap();
    assert_eq!(code, 1, "{said}");
    assert!(said.to_string().contains("LGN-04"), "{said}");
    let body = country.path("body.pgp");
    let export = ["message", "export", &after, "--out", plain(&body).unwrap()];
    country.run(&admin, &export).await.unwrap();
    let body = fs::read(&body).unwrap();
    let keys = kept_keys(&country, &third);
    assert_eq!(keys.len(), 1);
    let recipients: Vec<Fingerprint> = openpgp::recipients(&body).unwrap();
    for key in &keys {
        assert!(!recipients.contains(&key.fingerprint()));
        let certificate = key.desk_certificate();
        let own = certificate
            .recipient(&key.fingerprint(), scheme::now())
            .unwrap();
        let refused = openpgp::open(&body, key, certificate, &[own], scheme::now());
        assert_eq!(refused.unwrap_err(), OpenError::Recipients);
    }

    // Those who remain: the administrator at once, the second officer with the new key.
    let (_, said) = country.refused(&second, &["open", &after]).await.unwrap();
    let next = said["error"]["next"].as_str().unwrap();
    assert!(next.contains("waypost officer join FILE"), "{said}");
    let admission = removed["admissions"][0]["file"].as_str().unwrap();
    country
        .run(&second, &["officer", "join", admission])
        .await
        .unwrap();
    for home in [&admin, &second] {
        for message in [&before, &between, &after] {
            let opened = country.run(home, &["open", message]).await.unwrap();
            assert_eq!(opened["truthful"], true);
        }
    }
    // What they answer is signed under the roster in force.
    country.run(&second, &["ack", &after]).await.unwrap();
}

/// ENV-07, decision 005.
#[tokio::test]
async fn what_is_on_its_way_when_a_desk_changes_its_key_is_refused_and_its_sender_told_to_send_again()
 {
    let country = Country::running(&[NGO, AUTHORITY]).await.unwrap();
    let [ngo, authority] = &country.agencies[..] else {
        unreachable!()
    };
    let (sender, admin) = (ngo.home("admin"), authority.home("admin"));
    referred(&country, ngo, authority).await;
    let second = country.join(authority, "second").await.unwrap();
    referred(&country, ngo, authority).await;
    authority.node.peers.set(Passage::Cut);
    let said = country
        .refer(&sender, &[authority.id.as_str()])
        .await
        .unwrap();
    let on_its_way = text(said.get("sent").unwrap(), "message").unwrap();

    let gone = country
        .context(&second)
        .unwrap()
        .home
        .agency()
        .unwrap()
        .officer
        .to_string();
    let remove = ["officer", "remove", &gone, "--yes", "--publish"];
    country.run(&admin, &remove).await.unwrap();
    authority.node.peers.set(Passage::Open);

    let row = country
        .outcome(&sender, &on_its_way, "refused")
        .await
        .unwrap();
    let state = text(&row, "state").unwrap();
    assert!(
        state.contains("another roster") && state.contains("send again"),
        "{state}"
    );
    let again = referred(&country, ngo, authority).await;
    country.run(&admin, &["open", &again]).await.unwrap();
}
