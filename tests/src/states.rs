//! Two States: an operator and a directory each.

use std::fs;

use waypost_proto::id::{Country, Timestamp};
use waypost_proto::limit;
use waypost_proto::openpgp::Suite;

use crate::ledger::Ledger;
use crate::officer::Officer;
use crate::scheme::{self, FOREIGN_LIAISON, NGO, Scheme};
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
