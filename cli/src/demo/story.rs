//! The story: a referral is sent, opened, acknowledged and answered.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::stage::{Player, SUBMISSION, Stage, text};
use crate::output::{self, Failure};

/// How long a message may take on the loopback interface.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was withheld for one reason.
#[derive(Debug, Serialize)]
pub(super) struct Withheld {
    /// The rule, or the reason without one.
    pub(super) why: String,
    /// Where the rule comes from; empty without one.
    pub(super) source: String,
    /// Fields, by their labels.
    pub(super) fields: Vec<String>,
}

/// The referral as it was sent.
#[derive(Debug, Serialize)]
pub(super) struct Referral {
    pub(super) message: String,
    pub(super) case: String,
    pub(super) shared_fields: usize,
    pub(super) withheld: Vec<Withheld>,
    pub(super) not_carried: usize,
    pub(super) sealed_bytes: u64,
    pub(super) log_index: u64,
}

/// What happened.
#[derive(Debug, Serialize)]
pub(super) struct Story {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) referral: Referral,
    /// What the sender's client says of the recipient's entry, after verifying it.
    pub(super) receipt: String,
    /// Index of the recipient's `Received` entry.
    pub(super) received_index: u64,
    /// Who fetched the referral, and when, from the recipient's log.
    pub(super) fetched: Vec<String>,
    pub(super) acknowledged: String,
    /// Message id of the reply.
    pub(super) reply: String,
    pub(super) reply_text: String,
    /// How the case stands, in words.
    pub(super) case_stands: String,
    pub(super) timeline: Vec<String>,
}

/// Plays it.
pub(super) async fn play(stage: &Stage) -> Result<Story, Failure> {
    let (ngo, authority) = (&stage.ngo, &stage.authority);
    let form = stage.folder.join("submission.json");
    std::fs::write(&form, SUBMISSION)
        .map_err(|e| Failure::error("the submission cannot be written").caused_by(&e))?;
    output::note("The NGO refers ..");
    let form = form.to_string_lossy();
    let refer = [
        "refer",
        "--to",
        authority.id.as_str(),
        "--form",
        &form,
        "--as",
        "uk-nrm",
        "--purpose",
        "P-IDENT",
        "--basis",
        "LB-6E,LB-9G,LB-10,LB-COE10",
        "--yes",
    ];
    let referral = referral(&stage.waypost(&ngo.desk(), &refer).await?)?;
    output::note("The authority opens, acknowledges and answers ..");
    arrived(stage, authority, &referral.message).await?;
    let opened = stage
        .waypost(&authority.desk(), &["open", &referral.message])
        .await?;
    let received_index = number(&opened, "log_index")?;
    let ack = stage
        .waypost(&authority.desk(), &["ack", &referral.message])
        .await?;
    let ack = text(sent(&ack)?, "message")?;
    let reply = reply(stage, &referral.message).await?;
    output::note("The NGO reads the answer ..");
    arrived(stage, ngo, &ack).await?;
    arrived(stage, ngo, &reply).await?;
    let ack = stage.waypost(&ngo.desk(), &["open", &ack]).await?;
    let answer = stage.waypost(&ngo.desk(), &["open", &reply]).await?;
    let own = stage
        .waypost(&ngo.desk(), &["open", &referral.message])
        .await?;
    let case = stage
        .waypost(&ngo.desk(), &["case", "show", &referral.case])
        .await?;
    Ok(Story {
        from: format!("{} ({})", ngo.id, ngo.name),
        to: format!("{} ({})", authority.id, authority.name),
        receipt: text(&own, "counterpart_log")?,
        received_index,
        fetched: fetches(stage, &referral.message).await?,
        acknowledged: format!(
            "{}, {}",
            text(&ack, "officer_title")?,
            text(&ack, "created")?
        ),
        reply,
        reply_text: form_text(&answer).unwrap_or_default(),
        case_stands: text(&case, "words")?,
        timeline: timeline(&case),
        referral,
    })
}

/// The authority answers; gives the reply's message id.
async fn reply(stage: &Stage, message: &str) -> Result<String, Failure> {
    let file = stage.folder.join("reply.txt");
    let note = "We have the referral in hand. A decision is expected within five working days.";
    std::fs::write(&file, note)
        .map_err(|e| Failure::error("the reply cannot be written").caused_by(&e))?;
    let file = file.to_string_lossy();
    let reply = ["reply", message, "--text-file", &file];
    let said = stage.waypost(&stage.authority.desk(), &reply).await?;
    text(sent(&said)?, "message")
}

fn sent(value: &Value) -> Result<&Value, Failure> {
    value
        .get("sent")
        .ok_or_else(|| Failure::error("a command sent nothing"))
}

fn number(value: &Value, key: &str) -> Result<u64, Failure> {
    value
        .get(key)
        .and_then(Value::as_u64)
        .ok_or_else(|| Failure::error(format!("a command did not tell `{key}`")))
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn referral(said: &Value) -> Result<Referral, Failure> {
    let sent = sent(said)?;
    Ok(Referral {
        message: text(sent, "message")?,
        case: text(sent, "case")?,
        shared_fields: list(said, "shared").len(),
        withheld: withheld(list(said, "withheld")),
        not_carried: list(said, "not_carried").len(),
        sealed_bytes: number(sent, "sealed_bytes")?,
        log_index: number(sent, "log_index")?,
    })
}

/// What was withheld, grouped by reason, the largest group last.
fn withheld(fields: &[Value]) -> Vec<Withheld> {
    let mut groups: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for field in fields {
        let told = |key| text(field, key).unwrap_or_default();
        let why = match told("rule") {
            rule if rule.is_empty() => told("why"),
            rule => format!("rule `{rule}`"),
        };
        groups
            .entry((why, told("source")))
            .or_default()
            .push(told("label"));
    }
    let mut groups: Vec<Withheld> = groups
        .into_iter()
        .map(|((why, source), fields)| Withheld {
            why,
            source,
            fields,
        })
        .collect();
    groups.sort_by_key(|group| group.fields.len());
    groups
}

/// Waits until the agency's inbox shows the message.
async fn arrived(stage: &Stage, player: &Player, message: &str) -> Result<(), Failure> {
    let looked = tokio::time::timeout(PATIENCE, async {
        loop {
            let inbox = stage.waypost(&player.desk(), &["inbox", "--all"]).await?;
            if list(&inbox, "messages")
                .iter()
                .any(|m| text(m, "id").is_ok_and(|id| id == message))
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    looked
        .await
        .map_err(|_| Failure::error(format!("a message to {} did not arrive", player.id)))?
}

/// Who fetched the message, from the recipient's log.
async fn fetches(stage: &Stage, message: &str) -> Result<Vec<String>, Failure> {
    let log = stage
        .waypost(&stage.authority.desk(), &["log", "show"])
        .await?;
    let fetched = list(&log, "entries").iter().filter(|entry| {
        text(entry, "event").is_ok_and(|event| event == "fetched")
            && text(entry, "message").is_ok_and(|id| id == message)
    });
    Ok(fetched
        .map(|entry| {
            let time = text(entry, "time").unwrap_or_default();
            format!("{time}  {}", text(entry, "words").unwrap_or_default())
        })
        .collect())
}

fn timeline(case: &Value) -> Vec<String> {
    list(case, "timeline")
        .iter()
        .map(|step| {
            let time = text(step, "time").unwrap_or_default();
            format!("{time}  {}", text(step, "words").unwrap_or_default())
        })
        .collect()
}

/// The note of a reply.
fn form_text(opened: &Value) -> Option<String> {
    let form = opened.get("form")?;
    form.as_object()?
        .values()
        .filter_map(Value::as_object)
        .find_map(|category| {
            category
                .get("note")
                .and_then(Value::as_str)
                .map(str::to_owned)
        })
        .or_else(|| form.get("note").and_then(Value::as_str).map(str::to_owned))
}
