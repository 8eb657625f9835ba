//! What a node takes of the machine's memory.

use std::fs;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use prost::Message as _;
use waypost_node::clock::SystemClock;
use waypost_node::config::Config;
use waypost_node::record;
use waypost_node::sequencer::{Abort, Log, LogConfig, Sequencer, TxError};
use waypost_node::setup;
use waypost_node::start::VAULT_FILE;
use waypost_node::store::Store;
use waypost_node::store::sled::SledStore;
use waypost_node::vault::Vault;
use waypost_proto::id::{AgencyId, CaseId, MessageId};
use waypost_proto::openpgp::Suite;
use waypost_proto::wire::{self, log_entry::Event};

use crate::ledger;
use crate::letter::{self, Letter};
use crate::node::Node;
use crate::officer::Officer;
use crate::scheme::{AUTHORITY, NGO, Scheme};

/// Messages stored.
const MESSAGES: usize = 10_000;
/// Of one commit: as many as a busy node takes at a time.
const MESSAGES_OF_A_COMMIT: usize = 20;
/// What the node may take with all of them.
const RESIDENT_KIB: usize = 64 * 1024;

/// A message as it is stored after it was received: all that is written for it.
#[derive(Clone)]
struct Stored {
    message: record::Message,
    signature: Vec<u8>,
    state: Vec<u8>,
    evidence: Vec<u8>,
    case: Vec<u8>,
    event: wire::Received,
    body_bytes: usize,
}

impl Stored {
    fn read(store: &Arc<dyn Store>, agency: &AgencyId, letter: &Letter) -> Result<Self> {
        let get = |key| store.get(&key)?.context("a record of a message");
        let message = record::Message::decode(&get(record::message(agency, &letter.id))?)?;
        let log = Log::new(Arc::clone(store), agency.clone());
        let entry = wire::LogEntry::decode(log.entry(message.position)?.as_slice())?;
        let Some(Event::Received(event)) = entry.event else {
            bail!("the message was not received by this entry");
        };
        Ok(Self {
            signature: get(record::signature(agency, &letter.id))?,
            state: get(record::state(agency, &letter.id))?,
            evidence: get(record::evidence(agency, &letter.id))?,
            case: get(record::case(agency, &letter.case))?,
            event,
            body_bytes: usize::try_from(message.body_bytes)?,
            message,
        })
    }
}

/// Writes `count` messages like one that was really received, through the node's own sequencer, store
/// and vault: the same records, of the same sizes, and bodies that do not compress.
async fn fill(node: &Node, agency: &AgencyId, letter: &Letter, count: usize) -> Result<()> {
    let store: Arc<dyn Store> = Arc::new(SledStore::open(&node.store())?);
    let vault = Arc::new(Vault::open(&node.data().join(VAULT_FILE))?);
    let config = Config::load(&node.config())?;
    let log_key = setup::load_agency(&config, agency)?.log_key;
    let like = Stored::read(&store, agency, letter)?;
    let log = LogConfig::new(agency.clone(), 1, log_key)?;
    let sequencer = Sequencer::start(store, vault, vec![log], Arc::new(SystemClock))?;
    let mut left = count;
    while left > 0 {
        let now = left.min(MESSAGES_OF_A_COMMIT);
        let mut ids = Vec::new();
        for _ in 0..now {
            ids.push((
                letter::random()?,
                letter::random()?,
                letter::noise(like.body_bytes)?,
            ));
        }
        let (like, owner) = (like.clone(), agency.clone());
        let run = sequencer.handle().run(agency, move |tx| {
            for (id, case, body) in ids {
                let (id, case) = (MessageId::new(id), CaseId::new(case));
                let mut event = like.event.clone();
                if let Some(message) = &mut event.message {
                    message.message_id = id.as_bytes().to_vec();
                    message.case_id = case.as_bytes().to_vec();
                }
                let position = tx.append(Event::Received(event))?;
                let message = record::Message {
                    position,
                    ..like.message.clone()
                };
                tx.put(record::message(&owner, &id), message.encode())?;
                tx.put(record::signature(&owner, &id), like.signature.clone())?;
                tx.put(record::state(&owner, &id), like.state.clone())?;
                tx.put(record::evidence(&owner, &id), like.evidence.clone())?;
                let named = id.as_bytes().to_vec();
                tx.put(record::list_item(&owner, position), named.clone())?;
                tx.put(record::case_message(&owner, &case, position), named)?;
                tx.put(record::case(&owner, &case), like.case.clone())?;
                tx.put_body(id, body)?;
            }
            Ok::<(), Abort<TxError>>(())
        });
        run.await?;
        left -= now;
    }
    sequencer.shutdown().await;
    Ok(())
}

/// What the kernel says of a process's memory, in KiB: `VmRSS` now, `VmHWM` at most.
fn kib(node: &Node, name: &str) -> Result<usize> {
    let status = fs::read_to_string(format!("/proc/{}/status", node.pid()?))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = line.context("a line of the status")?;
    Ok(number.trim().trim_end_matches(" kB").parse()?)
}

#[tokio::test]
async fn a_node_with_ten_thousand_messages_stays_under_64_mib_after_a_restart() {
    let mut scheme = Scheme::running(Suite::PostQuantum, &[NGO, AUTHORITY])
        .await
        .unwrap();
    let letter = Letter::referral_of(4096).unwrap();
    let authority = scheme.agencies[1].id.clone();
    let mut sender = Officer::of(&scheme, &scheme.agencies[0]).await.unwrap();
    sender.deliver(&authority, &letter).await.unwrap();
    for index in 0..2 {
        let ended = scheme.node_mut(index).unwrap().stop().await.unwrap();
        assert!(ended.success(), "{ended}");
    }
    fill(&scheme.agencies[1].node, &authority, &letter, MESSAGES - 1)
        .await
        .unwrap();

    scheme.node_mut(1).unwrap().start().await.unwrap();
    let started = kib(&scheme.agencies[1].node, "VmHWM").unwrap();
    let mut recipient = Officer::of(&scheme, &scheme.agencies[1]).await.unwrap();
    let request = wire::ListRequest {
        limit: 100,
        ..Default::default()
    };
    let inbox = recipient.desk.list(request).await.unwrap().into_inner();
    assert!(inbox.more);
    let last = inbox.items.last().unwrap();
    let request = wire::LogProofRequest {
        index: last.position,
    };
    let reply = recipient.desk.log_proof(request).await.unwrap();
    let evidence = reply.into_inner().evidence.unwrap();
    let record = ledger::record(&scheme, &scheme.agencies[1]).unwrap();
    let (index, _) = ledger::prove(&evidence, &record).unwrap();
    assert_eq!(index, last.position);

    let node = &scheme.agencies[1].node;
    let (resident, most) = (kib(node, "VmRSS").unwrap(), kib(node, "VmHWM").unwrap());
    let [own, mapped] = ["RssAnon", "RssFile"].map(|name| kib(node, name).unwrap());
    let found = format!(
        "KiB: {started} when started, {resident} now ({own} its own, {mapped} of files), {most} at most"
    );
    assert!(most < RESIDENT_KIB, "{found}");
}
