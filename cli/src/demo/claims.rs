//! What the reader need not believe: each claim is tried in front of them.

use std::path::Path;

use serde::Serialize;
use waypost_proto::wire;

use super::hostile;
use super::search::{canaries, search};
use super::stage::{Player, SUBMISSION, Stage};
use super::story::Story;
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
    let mut claims = vec![blind(stage)?, planted(stage)?, forgetful(stage)?];
    for player in [&stage.ngo, &stage.authority] {
        claims.push(log(stage, player).await?);
    }
    claims.push(receipt(stage, story).await?);
    let envelope = hostile::captured(stage, &story.referral.message, context).await?;
    claims.push(replayed(stage, story, &envelope, context).await?);
    claims.push(replayed_by_another(stage, &envelope, context).await?);
    claims.push(tampered(stage, envelope, context).await?);
    Ok(claims)
}

fn searched(folders: &[&Path], values: &[String]) -> Result<(usize, u64, usize), Failure> {
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

fn blind(stage: &Stage) -> Result<Claim, Failure> {
    let values = canaries(SUBMISSION);
    let (files, bytes, hits) = searched(&[&stage.ngo.node(), &stage.authority.node()], &values)?;
    Ok(Claim {
        claim: "the nodes cannot read what they carry",
        tried: format!(
            "searched {files} files ({bytes} bytes) of both nodes for {} values of the form: {hits} found",
            values.len()
        ),
        holds: hits == 0 && files > 0,
    })
}

/// The search that found nothing must be able to find something.
fn planted(stage: &Stage) -> Result<Claim, Failure> {
    let values = canaries(SUBMISSION);
    let failed = |e: std::io::Error| Failure::error("no value can be planted").caused_by(&e);
    let path = stage.ngo.data().join("planted");
    std::fs::write(&path, values.last().cloned().unwrap_or_default()).map_err(failed)?;
    let (_, _, hits) = searched(&[&stage.ngo.node()], &values)?;
    std::fs::remove_file(&path).map_err(failed)?;
    Ok(Claim {
        claim: "that search would have found one",
        tried: format!("planted one value in a node's folder and searched again: {hits} found"),
        holds: hits == 1,
    })
}

fn forgetful(stage: &Stage) -> Result<Claim, Failure> {
    let values = canaries(SUBMISSION);
    let (files, _, hits) = searched(&[&stage.ngo.desk(), &stage.authority.desk()], &values)?;
    Ok(Claim {
        claim: "the officers' machines keep nothing that was opened",
        tried: format!("searched {files} files of both desks: {hits} found"),
        holds: hits == 0 && files > 0,
    })
}

async fn log(stage: &Stage, player: &Player) -> Result<Claim, Failure> {
    let folder = player.folder.join("log-export");
    let folder = folder.to_string_lossy();
    stage
        .waypost(&player.desk(), &["log", "export", &folder])
        .await?;
    let verified = stage
        .waypost(&player.desk(), &["log", "verify", &folder])
        .await;
    Ok(Claim {
        claim: "the log verifies offline",
        tried: format!(
            "exported the log of {} and recomputed its signed root from the entries",
            player.id
        ),
        holds: verified.is_ok(),
    })
}

async fn receipt(stage: &Stage, story: &Story) -> Result<Claim, Failure> {
    let authority = &stage.authority;
    let path = |name: &str| authority.folder.join(name).to_string_lossy().into_owned();
    let (proof, entry, vkey) = (
        path("receipt.tlog-proof"),
        path("receipt.entry"),
        path("log-export/vkey"),
    );
    let index = story.received_index.to_string();
    let prove = ["log", "prove", &index, "--out", &proof, "--entry", &entry];
    stage.waypost(&authority.desk(), &prove).await?;
    let verify = [
        "log", "verify", "--proof", &proof, "--entry", &entry, "--vkey", &vkey,
    ];
    // By the other side, with nothing but the files.
    let verified = stage.waypost(&stage.ngo.desk(), &verify).await;
    Ok(Claim {
        claim: "the receipt checks offline",
        tried: format!("proved entry {index} of the recipient's log from three files"),
        holds: verified.is_ok(),
    })
}

async fn log_size(stage: &Stage) -> Result<u64, Failure> {
    let checkpoint = stage
        .waypost(&stage.authority.desk(), &["log", "checkpoint"])
        .await?;
    checkpoint
        .get("size")
        .or_else(|| checkpoint.get("entries"))
        .and_then(serde_json::Value::as_u64)
        .ok_or_else(|| Failure::error("the checkpoint does not tell its size"))
}

async fn replayed(
    stage: &Stage,
    story: &Story,
    envelope: &wire::Envelope,
    context: &Context,
) -> Result<Claim, Failure> {
    let before = log_size(stage).await?;
    let answer = hostile::offer(stage, &stage.ngo, envelope.clone(), context).await?;
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
        holds: answer.is_ok_and(|index| index == story.received_index) && before == after,
    })
}

async fn replayed_by_another(
    stage: &Stage,
    envelope: &wire::Envelope,
    context: &Context,
) -> Result<Claim, Failure> {
    // The authority's own node, registered and pinned, but not the sender's.
    let answer = hostile::offer(stage, &stage.authority, envelope.clone(), context).await?;
    Ok(refused(
        "a message replayed by another node is refused",
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
    let answer = hostile::offer(stage, &stage.ngo, envelope, context).await?;
    Ok(refused(
        "a message with one bit changed is refused",
        answer,
        "signature",
    ))
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
