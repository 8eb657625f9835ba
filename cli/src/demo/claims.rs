//! What the reader need not believe: each claim is tried in front of them.

use std::path::PathBuf;

use serde::Serialize;
use waypost_proto::wire;

use super::cast::{ABROAD, Player};
use super::hostile;
use super::search::search;
use super::stage::{Stage, shown};
use super::story::{Part, Story};
use crate::context::Context;
use crate::output::Failure;

/// A claim, how it was tried, and whether it holds.
#[derive(Debug, Serialize)]
pub(super) struct Claim {
    pub(super) claim: &'static str,
    pub(super) tried: String,
    pub(super) holds: bool,
}

/// Tries every claim.
pub(super) async fn prove(
    stage: &Stage,
    story: &Story,
    context: &Context,
) -> Result<Vec<Claim>, Failure> {
    let values = story.canaries();
    let first = story.parts.first();
    let first = first.ok_or_else(|| Failure::error("nothing was played"))?;
    let mut claims = vec![
        blind(stage, &values)?,
        planted(stage, &values)?,
        forgetful(stage, &values)?,
        logs(stage).await,
        receipts(stage, story).await?,
    ];
    let cast = &stage.cast;
    let envelope = hostile::captured(stage, &cast.school, &first.sent.message, context).await?;
    claims.push(replayed(stage, first, &envelope, context).await?);
    claims.push(replayed_by_another(stage, &envelope, context).await?);
    claims.push(tampered(stage, envelope, context).await?);
    claims.push(other_operator(stage).await);
    Ok(claims)
}

fn searched(folders: &[PathBuf], values: &[String]) -> Result<(usize, u64, usize), Failure> {
    let mut sum = (0, 0, 0);
    for folder in folders {
        let found = search(folder, values)
            .map_err(|e| Failure::error("a folder cannot be searched").caused_by(&e))?;
        sum = (
            sum.0 + found.files,
            sum.1 + found.bytes,
            sum.2 + found.hits.len(),
        );
    }
    Ok(sum)
}

fn blind(stage: &Stage, values: &[String]) -> Result<Claim, Failure> {
    let (files, bytes, hits) = searched(&stage.cast.all().map(Player::node), values)?;
    Ok(Claim {
        claim: "the nodes cannot read what they carry",
        tried: format!(
            "searched {files} files ({bytes} bytes) of all four nodes for {} values of the forms: {hits} found",
            values.len()
        ),
        holds: hits == 0 && files > 0,
    })
}

/// The search that found nothing must be able to find something.
fn planted(stage: &Stage, values: &[String]) -> Result<Claim, Failure> {
    let failed = |e: std::io::Error| Failure::error("no value can be planted").caused_by(&e);
    let children = &stage.cast.children;
    let path = children.data().join("planted");
    std::fs::write(&path, values.last().cloned().unwrap_or_default()).map_err(failed)?;
    let (_, _, hits) = searched(&[children.node()], values)?;
    std::fs::remove_file(&path).map_err(failed)?;
    Ok(Claim {
        claim: "that search would have found one",
        tried: format!("planted one value in a node's folder and searched again: {hits} found"),
        holds: hits == 1,
    })
}

fn forgetful(stage: &Stage, values: &[String]) -> Result<Claim, Failure> {
    let (files, _, hits) = searched(&stage.cast.all().map(Player::desk), values)?;
    Ok(Claim {
        claim: "the officers' machines keep nothing that was opened",
        tried: format!("searched {files} files of all four desks: {hits} found"),
        holds: hits == 0 && files > 0,
    })
}

async fn logs(stage: &Stage) -> Claim {
    let verified = stage
        .each(async |player| {
            let folder = shown(&player.folder.join("log-export"));
            let home = player.desk();
            stage.waypost(&home, &["log", "export", &folder]).await?;
            stage.waypost(&home, &["log", "verify", &folder]).await
        })
        .await;
    Claim {
        claim: "every log verifies offline",
        tried: "exported the four logs and recomputed their signed roots from the entries"
            .to_owned(),
        holds: verified.is_ok(),
    }
}

async fn receipts(stage: &Stage, story: &Story) -> Result<Claim, Failure> {
    let mut holds = 0;
    for part in &story.parts {
        let (from, to) = (stage.cast.named(&part.from), stage.cast.named(&part.to));
        if let (Some(from), Some(to)) = (from, to) {
            holds += usize::from(receipt(stage, from, to, part.received_index).await?);
        }
    }
    Ok(Claim {
        claim: "the receipts check offline",
        tried: format!(
            "proved the three entries of the recipients' logs, each from three files: {holds} hold"
        ),
        holds: holds == story.parts.len(),
    })
}

async fn receipt(stage: &Stage, from: &Player, to: &Player, index: u64) -> Result<bool, Failure> {
    let path = |name: &str| shown(&to.folder.join(name));
    let (proof, entry) = (path("receipt.tlog-proof"), path("receipt.entry"));
    let (vkey, index) = (path("log-export/vkey"), index.to_string());
    let prove = ["log", "prove", &index, "--out", &proof, "--entry", &entry];
    stage.waypost(&to.desk(), &prove).await?;
    let verify = ["log", "verify", "--proof", &proof, "--entry", &entry];
    let verify = [&verify, ["--vkey", &vkey].as_slice()].concat();
    // By the other side, with nothing but the files.
    Ok(stage.waypost(&from.desk(), &verify).await.is_ok())
}

async fn log_size(stage: &Stage) -> Result<u64, Failure> {
    let checkpoint = stage
        .waypost(&stage.cast.children.desk(), &["log", "checkpoint"])
        .await?;
    checkpoint
        .get("size")
        .or_else(|| checkpoint.get("entries"))
        .and_then(serde_json::Value::as_u64)
        .ok_or_else(|| Failure::error("the checkpoint does not tell its size"))
}

async fn replayed(
    stage: &Stage,
    part: &Part,
    envelope: &wire::Envelope,
    context: &Context,
) -> Result<Claim, Failure> {
    let before = log_size(stage).await?;
    let cast = &stage.cast;
    let (school, children) = (&cast.school, &cast.children);
    let answer = hostile::offer(stage, school, children, envelope.clone(), context).await?;
    let after = log_size(stage).await?;
    Ok(Claim {
        claim: "a replayed message is not accepted twice",
        tried: match &answer {
            Ok(index) => format!(
                "offered it again from its own node: the original receipt (entry {index}), {} new entries",
                after - before
            ),
            Err(reason) => format!("offered it again from its own node: refused, `{reason}`"),
        },
        holds: answer.is_ok_and(|index| index == part.received_index) && before == after,
    })
}

async fn replayed_by_another(
    stage: &Stage,
    envelope: &wire::Envelope,
    context: &Context,
) -> Result<Claim, Failure> {
    // The other State's node: registered there, pinned here, and not the sender's.
    let cast = &stage.cast;
    let (liaison, children) = (&cast.liaison, &cast.children);
    let answer = hostile::offer(stage, liaison, children, envelope.clone(), context).await?;
    Ok(refused(
        "a message replayed by another State's node is refused",
        answer,
        "not-hosted-by-peer",
    ))
}

async fn tampered(
    stage: &Stage,
    mut envelope: wire::Envelope,
    context: &Context,
) -> Result<Claim, Failure> {
    if let Some(last) = envelope.body.last_mut() {
        *last ^= 1;
    }
    let cast = &stage.cast;
    let answer = hostile::offer(stage, &cast.school, &cast.children, envelope, context).await?;
    Ok(refused(
        "a message with one bit changed is refused",
        answer,
        "signature",
    ))
}

/// The school pins its own operator only.
async fn other_operator(stage: &Stage) -> Claim {
    let directory = shown(&stage.signed(ABROAD));
    let install = ["directory", "install", &directory, "--pin", &stage.pin];
    let installed = stage.waypost(&stage.cast.school.desk(), &install).await;
    Claim {
        claim: "an operator is believed for its own State only",
        tried: match &installed {
            Ok(_) => "the other State's directory was installed under this State's pin".to_owned(),
            Err(_) => {
                "offered the other State's directory under this State's pin: refused".to_owned()
            }
        },
        holds: installed.is_err_and(|failure| failure.to_string().contains("DIR-02")),
    }
}

fn refused(claim: &'static str, answer: Result<u64, String>, expected: &str) -> Claim {
    Claim {
        claim,
        tried: match &answer {
            Ok(index) => format!("it was accepted as entry {index}"),
            Err(reason) => format!("offered over a real connection: refused, `{reason}`"),
        },
        holds: answer.is_err_and(|reason| reason == expected),
    }
}
