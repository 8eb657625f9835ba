//! One referral to several recipients: to each its own message, and nothing that links them.

use serde_json::Value;

use crate::bureau::{Country, text};
use crate::scheme::{AUTHORITY, NGO, OTHER_AUTHORITY, Wanted};
use waypost_proto::vocabulary::Role;

/// An agency to whose desk no referral may go.
const SHELTER: Wanted = Wanted {
    id: "gb.example.shelter",
    role: Role::Ngo,
};

fn of(said: &Value, index: usize) -> &Value {
    &said["recipients"][index]
}

#[tokio::test]
async fn each_recipient_gets_its_own_message_in_a_case_of_its_own() {
    let country = Country::running(&[NGO, AUTHORITY, OTHER_AUTHORITY])
        .await
        .unwrap();
    let [ngo, one, other] = &country.agencies[..] else {
        unreachable!()
    };
    let sender = ngo.home("admin");
    let to = [one.id.as_str(), other.id.as_str()];
    let said = country.refer(&sender, &to).await.unwrap();
    assert!(text(&said, "subject").is_ok(), "one file at the own agency");
    let mut ids = Vec::new();
    for (index, agency) in [one, other].into_iter().enumerate() {
        let told = of(&said, index);
        assert_eq!(told["status"], "done");
        assert!(told["withheld"].is_array() && !told["shared"].as_array().unwrap().is_empty());
        let message = text(&told["sent"], "message").unwrap();
        let case = text(&told["sent"], "case").unwrap();
        let home = agency.home("admin");
        country.outcome(&home, &message, "received").await.unwrap();
        let opened = country.run(&home, &["open", &message]).await.unwrap();
        assert_eq!(opened["case"], case.as_str());
        assert_eq!(opened["truthful"], true);
        assert_eq!(
            opened["form"]["idn"]["given_name"],
            crate::letter::VALUES[0]
        );
        country.run(&home, &["ack", &message]).await.unwrap();
        country
            .outcome(&sender, &message, "delivered")
            .await
            .unwrap();
        ids.push((home, [message, case]));
    }
    assert!(ids[0].1.iter().all(|id| !ids[1].1.contains(id)));
    // Neither recipient's log holds anything that the other's does.
    for (home, theirs) in [(&ids[0].0, &ids[1].1), (&ids[1].0, &ids[0].1)] {
        let log = country
            .run(home, &["log", "show"])
            .await
            .unwrap()
            .to_string();
        assert!(theirs.iter().all(|id| !log.contains(id)), "{home}");
        assert!(!log.contains(&text(&said, "subject").unwrap()));
    }
}

#[tokio::test]
async fn what_one_may_not_have_stops_all_unless_the_others_may_go_without_it() {
    let country = Country::running(&[NGO, AUTHORITY, SHELTER]).await.unwrap();
    let [ngo, authority, shelter] = &country.agencies[..] else {
        unreachable!()
    };
    let sender = ngo.home("admin");
    let desk = format!("{}/intake", shelter.id);
    let to = [authority.id.as_str(), desk.as_str()];
    let (code, said) = country
        .refused(&sender, &country.referral(&to, &[]).unwrap())
        .await
        .unwrap();
    assert_eq!(code, 2);
    assert!(said.get("subject").is_none());
    assert_eq!(of(&said, 1)["status"], "denied");
    assert_eq!(of(&said, 0)["status"], "denied");
    let held = text(&of(&said, 0)["error"], "next").unwrap();
    assert!(held.contains("--partial"), "{held}");
    let inbox = country.run(&sender, &["inbox", "--all"]).await.unwrap();
    assert_eq!(
        inbox["messages"].as_array().unwrap().len(),
        0,
        "nothing went"
    );

    let (code, said) = country
        .refused(&sender, &country.referral(&to, &["--partial"]).unwrap())
        .await
        .unwrap();
    assert_eq!(code, 2, "not all went");
    assert_eq!(of(&said, 0)["status"], "done");
    assert_eq!(of(&said, 1)["status"], "denied");
    let message = text(&of(&said, 0)["sent"], "message").unwrap();
    let home = authority.home("admin");
    country.outcome(&home, &message, "received").await.unwrap();
    let home = shelter.home("admin");
    let inbox = country.run(&home, &["inbox", "--all"]);
    assert_eq!(
        inbox.await.unwrap()["messages"].as_array().unwrap().len(),
        0
    );

    let nobody = [authority.id.as_str(), "gb.example.nobody"];
    let (code, said) = country
        .refused(&sender, &country.referral(&nobody, &["--partial"]).unwrap())
        .await
        .unwrap();
    assert_eq!(code, 1);
    assert_eq!(of(&said, 0)["status"], "done");
    assert_eq!(of(&said, 1)["to"], "gb.example.nobody");
}
