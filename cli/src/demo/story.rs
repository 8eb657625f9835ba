//! The story, in three parts: each is a message that is sent, opened, acknowledged and answered.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use waypost_proto::id::AgencyId;

use super::cast::Player;
use super::search::canaries;
use super::stage::{Stage, shown, text};
use crate::output::{self, Failure};

/// How long a message may take on the loopback interface.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was withheld for one reason.
#[derive(Debug, Serialize)]
pub(super) struct Withheld {
    /// Whose rules keep it: the `sender`'s, the `recipient`'s, those of `both`; empty: no rule's.
    pub(super) whose: String,
    /// The rule; empty without one.
    pub(super) rule: String,
    /// Where the rule comes from; empty without one.
    pub(super) source: String,
    /// The reason in words.
    pub(super) why: String,
    /// Fields, by their labels.
    pub(super) fields: Vec<String>,
}

/// A message as it was sent.
#[derive(Debug, Serialize)]
pub(super) struct Sent {
    pub(super) message: String,
    pub(super) case: String,
    pub(super) lane: String,
    pub(super) shared_fields: usize,
    pub(super) withheld: Vec<Withheld>,
    pub(super) not_carried: usize,
    pub(super) sealed_bytes: u64,
    pub(super) log_index: u64,
}

/// One part of the story.
#[derive(Debug, Serialize)]
pub(super) struct Part {
    pub(super) title: &'static str,
    pub(super) told: &'static str,
    #[serde(serialize_with = "plain")]
    pub(super) from: AgencyId,
    pub(super) from_desk: &'static str,
    #[serde(serialize_with = "plain")]
    pub(super) to: AgencyId,
    pub(super) desk: &'static str,
    /// What the recipient's State decides by, if it is another bundle than the sender's.
    pub(super) abroad: bool,
    /// What was written: it must be found nowhere.
    #[serde(skip)]
    pub(super) forms: Vec<&'static str>,
    pub(super) sent: Sent,
    /// What the sender's client says of the recipient's entry, after verifying it.
    pub(super) receipt: String,
    /// Index of the recipient's `Received` entry.
    pub(super) received_index: u64,
    /// Who fetched it, and when, from the recipient's log.
    pub(super) fetched: Vec<String>,
    pub(super) acknowledged: String,
    pub(super) answer: Sent,
    pub(super) answer_text: String,
    /// How the case stands, in words.
    pub(super) case_stands: String,
    pub(super) timeline: Vec<String>,
}

fn plain<S: serde::Serializer>(id: &AgencyId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

/// What happened.
#[derive(Debug, Serialize)]
pub(super) struct Story {
    pub(super) parts: Vec<Part>,
}

impl Story {
    /// The values that must be found nowhere.
    pub(super) fn canaries(&self) -> Vec<String> {
        let forms = self.parts.iter().flat_map(|part| &part.forms);
        forms.flat_map(|form| canaries(form)).collect()
    }
}

/// What a part needs to be played.
struct Script<'s> {
    title: &'static str,
    told: &'static str,
    from: (&'s Player, &'static str),
    to: (&'s Player, &'static str),
    form: &'static str,
    /// Options of `refer`.
    options: &'static [&'static str],
    answer: Answer,
}

enum Answer {
    Text(&'static str),
    Form(&'static str),
}

impl Answer {
    const fn text(&self) -> &'static str {
        match self {
            Self::Text(text) | Self::Form(text) => text,
        }
    }
}

/// Plays it.
pub(super) async fn play(stage: &Stage) -> Result<Story, Failure> {
    let cast = &stage.cast;
    let scripts = [
        Script {
            title: "A school escalates: a child in immediate danger",
            told: "A pupil tells a teacher. The school's safeguarding lead writes to child protection.",
            from: (&cast.school, "safeguarding"),
            to: (&cast.children, "intake"),
            form: include_str!("../../../fixtures/school/in-danger.json"),
            options: &["--purpose", "P-CHILD", "--basis", "LB-6E,LB-9G,LB-S1-18"],
            answer: Answer::Text("We are on the way and there in twenty minutes. Stay together."),
        },
        Script {
            title: "Child protection refers to the National Referral Mechanism",
            told: "A submission of the United Kingdom's NRM form, about an invented boy.",
            from: (&cast.children, "intake"),
            to: (&cast.authority, "intake"),
            form: include_str!("../../../fixtures/uk-nrm/child.json"),
            options: &[
                "--as",
                "uk-nrm",
                "--purpose",
                "P-IDENT",
                "--basis",
                "LB-6E,LB-9G,LB-10,LB-COE10",
            ],
            answer: Answer::Text(
                "We have the referral in hand. A decision is expected within five working days.",
            ),
        },
        Script {
            title: "A request to another State, with an operator and policies of its own",
            told: "A child was last seen abroad. The liaison desk asks its counterpart to look for her.",
            from: (&cast.children, "liaison"),
            to: (&cast.liaison, "liaison"),
            form: include_str!("../../../fixtures/liaison/locate-child.json"),
            options: &[
                "--purpose",
                "P-TRACE",
                "--basis",
                "LB-6E,LB-H96-31C,LB-H96-37",
                "--transfer-basis",
                "LB-T46",
            ],
            answer: Answer::Form(include_str!("../../../fixtures/liaison/reply-found.json")),
        },
    ];
    let mut parts = Vec::new();
    for script in &scripts {
        output::note(&format!("{} ..", script.title));
        parts.push(part(stage, script).await?);
    }
    Ok(Story { parts })
}

async fn part(stage: &Stage, script: &Script<'_>) -> Result<Part, Failure> {
    let ((from, from_desk), (to, desk)) = (script.from, script.to);
    let form = file(stage, "form.json", script.form)?;
    let address = format!("{}/{desk}", to.id);
    let refer = [
        "refer", "--to", &address, "--form", &form, "--desk", from_desk, "--yes",
    ];
    let refer = [&refer, script.options].concat();
    let sent = sent(&stage.waypost(&from.desk(), &refer).await?)?;
    arrived(stage, to, &sent.message).await?;
    let opened = stage.waypost(&to.desk(), &["open", &sent.message]).await?;
    let ack = stage.waypost(&to.desk(), &["ack", &sent.message]).await?;
    let ack = text(ack.get("sent").unwrap_or(&Value::Null), "message")?;
    let answer = answer(stage, script, &sent.message).await?;
    arrived(stage, from, &ack).await?;
    arrived(stage, from, &answer.message).await?;
    let home = from.desk();
    let ack = stage.waypost(&home, &["open", &ack]).await?;
    let read = stage.waypost(&home, &["open", &answer.message]).await?;
    let own = stage.waypost(&home, &["open", &sent.message]).await?;
    let case = stage.waypost(&home, &["case", "show", &sent.case]).await?;
    let title = text(&ack, "officer_title")?;
    Ok(Part {
        title: script.title,
        told: script.told,
        from: from.id.clone(),
        from_desk,
        to: to.id.clone(),
        desk,
        abroad: from.state != to.state,
        forms: vec![script.form, script.answer.text()],
        receipt: text(&own, "counterpart_log")?,
        received_index: number(&opened, "log_index")?,
        fetched: fetches(stage, to, &sent.message).await?,
        acknowledged: format!("{title}, {}", text(&ack, "created")?),
        answer_text: told(&read),
        answer,
        case_stands: text(&case, "words")?,
        timeline: timeline(&case),
        sent,
    })
}

fn file(stage: &Stage, name: &str, content: &str) -> Result<String, Failure> {
    let path = stage.folder.join(name);
    std::fs::write(&path, content)
        .map_err(|e| Failure::error("a form cannot be written").caused_by(&e))?;
    Ok(shown(&path))
}

async fn answer(stage: &Stage, script: &Script<'_>, message: &str) -> Result<Sent, Failure> {
    let file = file(stage, "answer", script.answer.text())?;
    let reply = match script.answer {
        Answer::Text(_) => vec!["reply", message, "--text-file", &file],
        Answer::Form(_) => vec!["reply", message, "--form", &file, "--yes"],
    };
    sent(&stage.waypost(&script.to.0.desk(), &reply).await?)
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

fn sent(said: &Value) -> Result<Sent, Failure> {
    let sent = said
        .get("sent")
        .ok_or_else(|| Failure::error("a command sent nothing"))?;
    Ok(Sent {
        message: text(sent, "message")?,
        case: text(sent, "case")?,
        lane: text(sent, "lane")?,
        shared_fields: list(said, "shared").len(),
        withheld: withheld(list(said, "withheld")),
        not_carried: list(said, "not_carried").len(),
        sealed_bytes: number(sent, "sealed_bytes")?,
        log_index: number(sent, "log_index")?,
    })
}

/// What was withheld, grouped by reason, the largest group last.
fn withheld(fields: &[Value]) -> Vec<Withheld> {
    let mut groups: BTreeMap<[String; 4], Vec<String>> = BTreeMap::new();
    for field in fields {
        let told = |key| text(field, key).unwrap_or_default();
        groups
            .entry(["whose", "rule", "source", "why"].map(told))
            .or_default()
            .push(told("label"));
    }
    let groups = groups.into_iter();
    let mut groups: Vec<Withheld> = groups
        .map(|([whose, rule, source, why], fields)| Withheld {
            whose,
            rule,
            source,
            why,
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
async fn fetches(stage: &Stage, by: &Player, message: &str) -> Result<Vec<String>, Failure> {
    let log = stage.waypost(&by.desk(), &["log", "show"]).await?;
    let fetched = list(&log, "entries").iter().filter(|entry| {
        text(entry, "event").is_ok_and(|event| event == "fetched")
            && text(entry, "message").is_ok_and(|id| id == message)
    });
    Ok(fetched.map(line).collect())
}

fn timeline(case: &Value) -> Vec<String> {
    list(case, "timeline").iter().map(line).collect()
}

fn line(step: &Value) -> String {
    let time = text(step, "time").unwrap_or_default();
    format!("{time}  {}", text(step, "words").unwrap_or_default())
}

/// What an answer says: its note, or the result of a request.
fn told(opened: &Value) -> String {
    let texts = [
        "/form/note",
        "/form/result/result",
        "/form/loc/current_area",
    ];
    let texts = texts.map(|at| opened.pointer(at).and_then(Value::as_str));
    let texts: Vec<&str> = texts.into_iter().flatten().collect();
    texts.join(": ")
}
