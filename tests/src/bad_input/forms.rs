//! Forms that an officer gives to the stock client: refused before anything is asked of a node.

use std::fs;

use waypost_proto::openpgp::Suite;

use crate::client::{Client, Ran};
use crate::scheme::{AUTHORITY, NGO, Scheme};

/// What nobody may read in an error.
const SECRET: &str = "Zelphinora";
/// The exit code of malformed input.
const INVALID: Option<i32> = Some(3);

async fn refer(form: &str) -> Ran {
    let scheme = Scheme::new(Suite::Classical, &[NGO, AUTHORITY])
        .await
        .unwrap();
    let client = Client::of(&scheme, &scheme.agencies[0]).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), form).unwrap();
    let arguments = [
        "refer",
        "--to",
        AUTHORITY.id,
        "--purpose",
        "P-IDENT",
        "--basis",
        "LB-6E",
        "--yes",
        "--form",
        file.path().to_str().unwrap(),
    ];
    client.run(&arguments).await.unwrap()
}

fn assert_refused(ran: &Ran, told: &str) {
    assert_eq!(ran.code, INVALID, "{}", ran.text);
    assert!(ran.text.contains(told), "{}", ran.text);
    assert!(!ran.text.contains(SECRET), "{}", ran.text);
    assert!(ran.text.len() < 4096, "{} bytes", ran.text.len());
}

/// FORM-03.
#[tokio::test]
async fn a_form_with_unknown_keys_is_refused_by_the_client_with_exit_code_3() {
    let ran = refer(r#"{"idn": {"given_name": "Zelphinora", "nickname": "Zelphinora"}}"#).await;
    assert_refused(&ran, "idn.nickname");
}

/// FORM-04.
#[tokio::test]
async fn a_form_with_wrong_types_is_refused_by_the_client_with_exit_code_3() {
    let ran = refer(r#"{"idn": {"given_name": ["Zelphinora"]}}"#).await;
    assert_refused(&ran, "idn.given_name");
    let ran = refer(r#"{"idn": {"given_name": 17}}"#).await;
    assert_refused(&ran, "idn.given_name");
}

/// FORM-01.
#[tokio::test]
async fn a_form_with_10_mb_of_text_is_refused_by_the_client_with_exit_code_3() {
    let text = SECRET.repeat(1024 * 1024);
    assert!(text.len() >= 10_000_000);
    let ran = refer(&format!(r#"{{"idn": {{"given_name": "{text}"}}}}"#)).await;
    assert_refused(&ran, "1048576");
}
