//! Bytes that are not a message.

use tonic::Code;
use waypost_proto::limit;
use waypost_proto::openpgp::{SigningKey, Suite};
use waypost_proto::wire;

use super::stand::Stand;
use crate::forgery;
use crate::hostile::DELIVER;
use crate::letter::Letter;

/// A field that no message of ours has: number 1000, a varint.
const UNKNOWN_FIELD: &[u8] = &[0xc0, 0x3e, 1];

fn officer(stand: &Stand) -> SigningKey {
    stand.sender().officer(0).unwrap().signing_key().unwrap()
}

/// A signed message with its header or body changed before it was signed.
fn changed(stand: &Stand, change: impl FnOnce(&mut wire::Envelope)) -> wire::Envelope {
    let mut envelope = stand.forgery().seal().unwrap();
    change(&mut envelope);
    forgery::sign(envelope, &officer(stand)).unwrap()
}

/// ENV-02, ENV-03.
#[tokio::test]
async fn a_truncated_header_or_body_is_refused_and_counted() {
    let mut stand = Stand::new(Suite::Classical).await;
    for keep in [0, 1, 100] {
        let header = changed(&stand, |e| e.header.truncate(keep));
        stand.assert_counted(header, "malformed").await;
        let body = changed(&stand, |e| e.body.truncate(keep));
        stand.assert_counted(body, "malformed").await;
    }
    let without_end = changed(&stand, |e| {
        e.body.pop();
    });
    stand.assert_counted(without_end, "malformed").await;
    // A call that ends early is none.
    let (before, counted) = (stand.ledger().await, stand.counted());
    let node = &stand.scheme.agencies[1].node;
    let reply = stand.hostile.call(node, DELIVER, vec![0x0a, 0x7f, 1]).await;
    assert_ne!(reply.unwrap().code, Code::Ok as i32);
    assert_eq!(stand.ledger().await.bytes, before.bytes);
    assert_eq!(stand.counted(), counted);
}

/// ENV-01.
#[tokio::test]
async fn an_oversized_header_body_signature_or_call_is_refused_and_counted() {
    let mut stand = Stand::new(Suite::Classical).await;
    let header = changed(&stand, |e| e.header.resize(limit::HEADER_BYTES + 1, 0));
    stand.assert_counted(header, "malformed").await;
    let body = changed(&stand, |e| e.body.resize(limit::BODY_BYTES + 1, 0));
    stand.assert_counted(body, "malformed").await;
    let mut signature = stand.forgery().seal().unwrap();
    signature.signature.resize(limit::SIGNATURE_BYTES + 1, 0);
    stand.assert_counted(signature, "malformed").await;
    // A larger call is not read at all.
    let node = &stand.scheme.agencies[1].node;
    let call = vec![0; limit::PEER_CALL_BYTES + 1];
    let reply = stand.hostile.call(node, DELIVER, call).await.unwrap();
    assert_ne!(reply.code, Code::Ok as i32);
    stand.unharmed().await;
}

/// STR-03, ENV-02. Unknown fields of a body are found on opening.
#[tokio::test]
async fn a_header_with_unknown_fields_is_refused_and_counted() {
    let mut stand = Stand::new(Suite::Classical).await;
    let header = changed(&stand, |e| e.header.extend_from_slice(UNKNOWN_FIELD));
    stand.assert_counted(header, "malformed").await;
    // An unknown packet around the body.
    let body = changed(&stand, |e| e.body.extend_from_slice(&[0xff, 1, 0]));
    stand.assert_counted(body, "malformed").await;
}

/// The packets of a body: session keys, then the container.
fn packets(body: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = body;
    let mut packets = Vec::new();
    while let [_, length @ ..] = rest {
        let (octets, length) = match *length {
            [short, ..] if short < 192 => (1, usize::from(short)),
            [first, second, ..] if first < 224 => (
                2,
                ((usize::from(first) - 192) << 8) + usize::from(second) + 192,
            ),
            [0xff, a, b, c, d, ..] => (5, u32::from_be_bytes([a, b, c, d]) as usize),
            _ => panic!("not a length"),
        };
        let (packet, after) = rest.split_at(1 + octets + length);
        packets.push(packet.to_vec());
        rest = after;
    }
    packets
}

/// The session key of the second recipient, of whom nothing but its first packet is used.
fn session_key_of(envelope: &wire::Envelope) -> Vec<u8> {
    packets(&envelope.body).swap_remove(1)
}

/// ENV-11.
#[tokio::test]
async fn a_classical_only_message_is_refused_where_the_directory_names_the_hybrid_suite() {
    let mut stand = Stand::new(Suite::PostQuantum).await;
    let classical = stand.classical().seal().unwrap();
    stand.assert_counted(classical, "suite").await;
}

/// ENV-03, OPG-24, OPG-31.
#[tokio::test]
async fn a_message_to_mixed_or_v4_keys_is_refused_and_counted() {
    let mut stand = Stand::new(Suite::PostQuantum).await;
    let classical = stand.classical();
    let classical_key = classical.header.sender_key.clone();
    let classical = session_key_of(&classical.seal().unwrap());
    let mut forgery = stand.forgery();
    forgery.header.sender_key = classical_key;
    let mut mixed = forgery.seal().unwrap();
    let mut parts = packets(&mixed.body);
    assert_eq!(parts.len(), 3);
    parts[1] = classical.clone();
    mixed.body = parts.concat();
    let mixed = forgery::sign(mixed, &officer(&stand)).unwrap();
    stand.assert_counted(mixed, "malformed").await;

    // The version of a session key packet, and that of the key which it names.
    for (place, version) in [(2, 3), (4, 4)] {
        let mut older = classical.clone();
        assert_eq!(older[place], 6);
        older[place] = version;
        let envelope = changed(&stand, |e| {
            let mut parts = packets(&e.body);
            parts[1].clone_from(&older);
            e.body = parts.concat();
        });
        stand.assert_counted(envelope, "malformed").await;
    }
    // The same message untouched is taken.
    let honest = stand.forge(&Letter::referral().unwrap()).seal().unwrap();
    stand.offer(honest).await.receipt().unwrap();
}
