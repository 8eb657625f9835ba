//! What was accepted is on disk before it is answered, and the kernel saw it.

use std::fs;

use waypost_node::start::VAULT_FILE;
use waypost_proto::openpgp::Suite;
use waypost_proto::wire::Outcome;

use crate::letter::Letter;
use crate::officer::Officer;
use crate::scheme::{AUTHORITY, NGO, Scheme};
use crate::trace;

/// Messages in the trace.
const MESSAGES: usize = 3;

/// INVARIANT (durable before answered), of both services.
#[tokio::test]
async fn neither_submit_nor_deliver_answers_before_the_message_is_on_disk() {
    let mut scheme = Scheme::new(Suite::Classical, &[NGO, AUTHORITY])
        .await
        .unwrap();
    let traces = tempfile::tempdir().unwrap();
    for (index, agency) in scheme.agencies.iter_mut().enumerate() {
        let output = traces.path().join(index.to_string());
        agency
            .node
            .start_under(&trace::tracer(&output))
            .await
            .unwrap();
    }
    let [ngo, authority] = &scheme.agencies[..] else {
        unreachable!()
    };
    let mut sender = Officer::of(&scheme, ngo).await.unwrap();
    let mut watcher = Officer::of(&scheme, ngo).await.unwrap();
    for _ in 0..MESSAGES {
        let letter = Letter::referral_of(4096).unwrap();
        sender.send(&authority.id, &letter).await.unwrap();
        // One after the other: what is synced after a request is then synced for it.
        watcher
            .outcome(&letter.id, Outcome::Delivered)
            .await
            .unwrap();
    }
    let listening = [ngo, authority].map(|agency| agency.node.listening().unwrap());
    let listeners = [listening[0].desks, listening[1].peers];
    for (index, listener) in listeners.into_iter().enumerate() {
        assert!(
            scheme
                .node_mut(index)
                .unwrap()
                .stop()
                .await
                .unwrap()
                .success()
        );
        let text = fs::read_to_string(traces.path().join(index.to_string())).unwrap();
        let calls = trace::parse(&text);
        let node = &scheme.agencies[index].node;
        let vault = node.data().canonicalize().unwrap().join(VAULT_FILE);
        let store = node.store().canonicalize().unwrap();
        let checked = trace::durable_before_answered(&calls, listener, &vault, &store.join("db"));
        assert_eq!(checked, Ok(MESSAGES), "{}", node.id());
        // The same trace with the syncs taken out is caught: the check looks at them.
        let unsynced: Vec<_> = calls
            .into_iter()
            .filter(|call| call.name != "fdatasync")
            .collect();
        trace::durable_before_answered(&unsynced, listener, &vault, &store.join("db")).unwrap_err();
        // Whatever sled puts there is never synced.
        assert_eq!(fs::read_dir(store.join("blobs")).unwrap().count(), 0);
    }
}
