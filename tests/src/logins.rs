//! Log-ins: who may act at a desk, on which connection (proto/spec/desk.md).

use prost::Message as _;
use tonic::{Code, Status};
use waypost_cli::connection::{self, Connection};
use waypost_proto::context::Context;
use waypost_proto::openpgp::{KeyRole, SecretKey, SigningKey, Suite};
use waypost_proto::wire;

use crate::scheme::{self, AUTHORITY, Agency, NGO, Scheme};

async fn connect(agency: &Agency) -> Connection {
    let endpoint = agency.node.desks.address().to_string();
    connection::connect(&endpoint, &[agency.node.pin().unwrap()])
        .await
        .unwrap()
}

/// Asks for a challenge as `officer`, and makes the honest answer to it.
async fn challenged(
    connection: &mut Connection,
    agency: &Agency,
    officer: &SigningKey,
) -> wire::LogInContent {
    let fingerprint = officer.certificate().fingerprint().as_bytes().to_vec();
    let request = wire::ChallengeRequest {
        agency: agency.id.to_string(),
        officer: fingerprint.clone(),
    };
    let challenge = connection
        .desk
        .challenge(request)
        .await
        .unwrap()
        .into_inner();
    wire::LogInContent {
        agency: agency.id.to_string(),
        node: challenge.node,
        officer: fingerprint,
        node_nonce: challenge.nonce,
        client_nonce: vec![7; 32],
        exporter: connection.exporter.to_vec(),
    }
}

async fn log_in(
    connection: &mut Connection,
    content: &wire::LogInContent,
    officer: &SigningKey,
) -> Result<(), Status> {
    let content = content.encode_to_vec();
    let signature = officer
        .sign(Context::Login, &content, scheme::now())
        .unwrap();
    connection
        .desk
        .log_in(wire::LogInRequest { content, signature })
        .await
        .map(|_| ())
}

/// LGN-01 to LGN-03.
#[tokio::test]
async fn a_log_in_that_was_signed_for_something_else_is_refused() {
    let scheme = Scheme::running(Suite::Classical, &[NGO, AUTHORITY])
        .await
        .unwrap();
    let ngo = &scheme.agencies[0];
    let officer = ngo.officer(0).unwrap().signing_key().unwrap();
    let elsewhere = connect(ngo).await.exporter.to_vec();
    type Change = Box<dyn Fn(&mut wire::LogInContent)>;
    let changes: [(&str, Change); 5] = [
        ("LGN-01", Box::new(|c| c.agency = AUTHORITY.id.to_owned())),
        ("LGN-01", Box::new(|c| c.node = AUTHORITY.id.to_owned())),
        ("LGN-01", Box::new(|c| c.officer[0] ^= 1)),
        ("LGN-02", Box::new(|c| c.node_nonce[0] ^= 1)),
        (
            "LGN-03",
            Box::new(move |c| c.exporter.clone_from(&elsewhere)),
        ),
    ];
    for (check, change) in changes {
        let mut connection = connect(ngo).await;
        let mut content = challenged(&mut connection, ngo, &officer).await;
        change(&mut content);
        let status = log_in(&mut connection, &content, &officer)
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
        assert!(status.message().starts_with(check), "{status:?}");
    }
}

/// LGN-02: a challenge serves once, and holds on its own connection only.
#[tokio::test]
async fn a_log_in_cannot_be_played_again() {
    let scheme = Scheme::running(Suite::Classical, &[NGO]).await.unwrap();
    let ngo = &scheme.agencies[0];
    let officer = ngo.officer(0).unwrap().signing_key().unwrap();
    let mut connection = connect(ngo).await;
    let content = challenged(&mut connection, ngo, &officer).await;
    log_in(&mut connection, &content, &officer).await.unwrap();
    let again = log_in(&mut connection, &content, &officer)
        .await
        .unwrap_err();
    assert!(again.message().starts_with("LGN-02"), "{again:?}");
    let mut other = connect(ngo).await;
    let elsewhere = log_in(&mut other, &content, &officer).await.unwrap_err();
    assert!(elsewhere.message().starts_with("LGN-02"), "{elsewhere:?}");
    let status = other
        .desk
        .list(wire::ListRequest::default())
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
}

/// LGN-04.
#[tokio::test]
async fn only_an_officer_of_the_roster_logs_in() {
    let scheme = Scheme::running(Suite::Classical, &[NGO, AUTHORITY])
        .await
        .unwrap();
    let [ngo, authority] = &scheme.agencies[..] else {
        unreachable!()
    };
    let unknown = SecretKey::generate(
        KeyRole::Officer,
        Suite::Classical,
        "officer-9",
        scheme::now(),
    )
    .unwrap();
    let of_another = authority.officer(0).unwrap();
    for officer in [&unknown, of_another] {
        let officer = officer.signing_key().unwrap();
        let mut connection = connect(ngo).await;
        let content = challenged(&mut connection, ngo, &officer).await;
        let status = log_in(&mut connection, &content, &officer)
            .await
            .unwrap_err();
        assert!(status.message().starts_with("LGN-04"), "{status:?}");
    }
    // Another officer's signature under the right name.
    let officer = ngo.officer(0).unwrap().signing_key().unwrap();
    let mut connection = connect(ngo).await;
    let content = challenged(&mut connection, ngo, &officer).await;
    let impostor = ngo.officer(1).unwrap().signing_key().unwrap();
    let status = log_in(&mut connection, &content, &impostor)
        .await
        .unwrap_err();
    assert!(status.message().starts_with("LGN-04"), "{status:?}");
}
