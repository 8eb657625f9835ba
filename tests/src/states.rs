//! Two States: an operator and a directory each.

use std::fs;

use waypost_proto::id::{Country, Timestamp};
use waypost_proto::kind::Kind;
use waypost_proto::limit;
use waypost_proto::openpgp::Suite;
use waypost_proto::wire::Outcome;

use crate::ledger::Ledger;
use crate::letter::Letter;
use crate::officer::{Officer, Submitted};
use crate::scheme::{self, AUTHORITY, FOREIGN_LIAISON, LIAISON, NGO, Scheme};
use crate::wait;

const DAY: u64 = 86_400;

fn country(text: &str) -> Country {
    text.parse().unwrap()
}

/// The node of the first agency reads `directory` in the place of `xx`'s, and says why it does not put
/// it in force.
async fn refused(scheme: &Scheme, directory: &[u8], refusals: &mut usize, why: &str) {
    fs::write(scheme.file(&country("xx")).unwrap(), directory).unwrap();
    let node = &scheme.agencies[0].node;
    node.reload().await.unwrap();
    *refusals += 1;
    let line = wait::until(&format!("a refusal with {why}"), async || {
        let log = fs::read_to_string(node.log())?;
        let mut lines = log
            .lines()
            .filter(|l| l.contains("directory in force stays"));
        Ok(lines.nth(*refusals - 1).map(str::to_owned))
    })
    .await
    .unwrap();
    assert!(line.contains(why) && line.contains("country=xx"), "{line}");
}

#[tokio::test]
async fn a_directory_that_another_operator_signed_or_that_is_older_expired_or_changed_is_not_put_in_force()
 {
    // DIR-02, DIR-03, DIR-07, DIR-14.
    let scheme = Scheme::running(Suite::Classical, &[NGO, FOREIGN_LIAISON])
        .await
        .unwrap();
    let (gb, xx) = (country("gb"), country("xx"));
    let sign = |of: &Country, by: &Country, version, at: Timestamp, valid| {
        let operator = scheme.operator(by).unwrap();
        let signed = scheme.signed_directory(of, version, at, at.plus(valid), operator);
        signed.unwrap()
    };
    let (now, month) = (scheme::now(), limit::DIRECTORY_VALID_SECONDS);
    let mut changed = sign(&xx, &xx, 9, now, month);
    // The head, and with it its signature, stands first in the file.
    changed[100] ^= 1;
    let earlier = Timestamp(now.0 - 2 * DAY);
    let mut refusals = 0;
    for (directory, why) in [
        (sign(&xx, &gb, 9, now, month), "DIR-02"),
        (sign(&gb, &gb, 9, now, month), "DIR-02"),
        (sign(&gb, &xx, 9, now, month), "DIR-14"),
        (changed, "DIR-03"),
        (sign(&xx, &xx, 9, earlier, DAY), "has expired"),
        (sign(&xx, &xx, 1, earlier, month), "DIR-07"),
    ] {
        refused(&scheme, &directory, &mut refusals, why).await;
    }

    // The last good one is in force: the other State's agency is found, under its own operator.
    let [ngo, liaison] = &scheme.agencies[..] else {
        unreachable!()
    };
    let mut officer = Officer::of(&scheme, ngo).await.unwrap();
    officer.look_up(&liaison.id).await.unwrap();
    let ledger = Ledger::read(&scheme, ngo, &mut officer).await.unwrap();
    assert_eq!(ledger.count("directory-accepted"), 2, "one of each country");
    // And a newer one takes its place, logged.
    let newer = sign(&xx, &xx, 2, now, month);
    fs::write(scheme.file(&xx).unwrap(), newer).unwrap();
    ngo.node.reload().await.unwrap();
    wait::until("the newer directory is in force", async || {
        let ledger = Ledger::read(&scheme, ngo, &mut officer).await?;
        Ok((ledger.count("directory-accepted") == 3).then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_node_does_not_start_on_a_directory_that_another_countrys_operator_signed() {
    // DIR-14.
    let mut scheme = Scheme::new(Suite::Classical, &[NGO, FOREIGN_LIAISON])
        .await
        .unwrap();
    let (gb, xx, now) = (country("gb"), country("xx"), scheme::now());
    let operator = scheme.operator(&xx).unwrap();
    let forged = scheme.signed_directory(&gb, 9, now, now.plus(DAY), operator);
    fs::write(scheme.file(&xx).unwrap(), forged.unwrap()).unwrap();
    let failed = scheme.node_mut(0).unwrap().start().await.unwrap_err();
    assert!(format!("{failed:#}").contains("DIR-14"), "{failed:#}");
}

#[tokio::test]
async fn a_request_goes_to_another_state_as_far_as_both_bundles_allow_and_is_acknowledged() {
    let scheme = Scheme::running(Suite::PostQuantum, &[LIAISON, FOREIGN_LIAISON])
        .await
        .unwrap();
    let [here, abroad] = &scheme.agencies[..] else {
        unreachable!()
    };
    let mut asks = Officer::of(&scheme, here).await.unwrap();
    let mut answers = Officer::of(&scheme, abroad).await.unwrap();
    let request = Letter::request_abroad().unwrap();
    asks.send(&abroad.id, &request).await.unwrap();
    let (header, truthful) = answers.receive(&request.id).await.unwrap();
    assert_eq!(header.kind, Kind::LiaisonRequest);
    let versions = &header.manifest.versions;
    assert_ne!(versions.sender_bundle, versions.recipient_bundle);
    assert!(truthful.form().text("idn.family_name").is_some());
    assert_eq!(
        truthful.form().text("edu.school"),
        None,
        "neither allows it"
    );

    let acknowledgement = Letter::acknowledgement(&header).unwrap();
    answers.deliver(&here.id, &acknowledgement).await.unwrap();
    let (answer, _) = asks.receive(&acknowledgement.id).await.unwrap();
    assert_eq!(answer.in_reply_to, Some(request.id));
    // Each side's log says under which directory of either State it was.
    for (agency, officer) in [(here, &mut asks), (abroad, &mut answers)] {
        let ledger = Ledger::read(&scheme, agency, officer).await.unwrap();
        assert_eq!(ledger.count("directory-accepted"), 2);
        assert_eq!(ledger.count("bundle-accepted"), 2);
    }
}

#[tokio::test]
async fn an_expired_directory_stops_the_messages_with_its_state_and_no_others() {
    let mut scheme = Scheme::running(
        Suite::Classical,
        &[NGO, LIAISON, FOREIGN_LIAISON, AUTHORITY],
    )
    .await
    .unwrap();
    let abroad = scheme.agencies[2].id.clone();
    let mut liaison = Officer::of(&scheme, &scheme.agencies[1]).await.unwrap();
    let ends = liaison.ends(&abroad).await.unwrap();
    let letter = Letter::request_abroad().unwrap();
    let sealed = ends.seal(&letter, &liaison.signing).unwrap().into_wire();

    // The directory that the nodes find when they start again has ended yesterday.
    let xx = country("xx");
    let at = Timestamp(scheme::now().0 - 2 * DAY);
    let operator = scheme.operator(&xx).unwrap();
    let expired = scheme.signed_directory(&xx, 2, at, at.plus(DAY), operator);
    fs::write(scheme.file(&xx).unwrap(), expired.unwrap()).unwrap();
    for index in 0..scheme.agencies.len() {
        let node = scheme.node_mut(index).unwrap();
        node.stop().await.unwrap();
        node.start().await.unwrap();
        let log = fs::read_to_string(node.log()).unwrap();
        assert!(log.contains("degraded: the directory has expired"), "{log}");
    }

    let [ngo, liaison, _, authority] = &scheme.agencies[..] else {
        unreachable!()
    };
    let mut liaison = Officer::of(&scheme, liaison).await.unwrap();
    let answer = liaison.submit(sealed).await.unwrap();
    assert!(
        matches!(&answer, Submitted::Refused(reason) if reason == "degraded"),
        "{answer:?}"
    );
    let mut officer = Officer::of(&scheme, ngo).await.unwrap();
    let referral = Letter::referral().unwrap();
    officer.send(&authority.id, &referral).await.unwrap();
    officer
        .outcome(&referral.id, Outcome::Delivered)
        .await
        .unwrap();
}
