//! What a command says, and its exit code.
//!
//! A result goes to standard output: one JSON object with `--json`, plain words otherwise. Progress
//! and failures go to standard error; with `--json` a failure is also an object on standard output.
//!
//! INVARIANT (no terminal control): text that others wrote reaches a terminal only through
//! [`printable`]; every method of [`Page`] applies it.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::io::{self, Write as _};

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Version of the JSON objects: grows when a field changes or goes, not when one is added.
pub const JSON_VERSION: u32 = 1;

const STRONG: Style = Style::new().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const WARN: Style = AnsiColor::Yellow.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// How a command ended; each is an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Done.
    Done,
    /// It went wrong: a file, the node, a check that fails.
    Error,
    /// The rules forbid it.
    Denied,
    /// What was given is malformed or incomplete.
    Invalid,
    /// It cannot be said: a proof without result, a delivery unconfirmed.
    Undetermined,
    /// The command line is wrong.
    Usage,
}

impl Status {
    /// The exit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Error => 1,
            Self::Denied => 2,
            Self::Invalid => 3,
            Self::Undetermined => 4,
            Self::Usage => 64,
        }
    }

    /// The word in JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Error => "error",
            Self::Denied => "denied",
            Self::Invalid => "invalid",
            Self::Undetermined => "undetermined",
            Self::Usage => "usage",
        }
    }
}

/// A result that can be shown in both forms.
pub trait Report: Serialize {
    /// The command, such as `agency init`.
    const COMMAND: &'static str;

    /// In plain words.
    fn page(&self, page: &mut Page);

    /// How it ended. A result need not be good news.
    fn status(&self) -> Status {
        Status::Done
    }
}

/// A command's result, in both forms.
#[derive(Debug)]
pub struct Output {
    status: Status,
    json: Value,
    text: String,
}

impl Output {
    /// Of a report, which must serialise as a map.
    #[must_use]
    pub fn of<R: Report>(report: &R) -> Self {
        let mut object = Map::new();
        object.insert("waypost".into(), JSON_VERSION.into());
        object.insert("command".into(), R::COMMAND.into());
        object.insert("status".into(), report.status().word().into());
        match serde_json::to_value(report) {
            Ok(Value::Object(fields)) => object.extend(fields),
            Ok(other) => {
                object.insert("result".into(), other);
            }
            // A report is made of texts, numbers and lists: it serialises.
            Err(error) => {
                object.insert("result".into(), error.to_string().into());
            }
        }
        let mut page = Page::default();
        report.page(&mut page);
        Self {
            status: report.status(),
            json: Value::Object(object),
            text: page.text,
        }
    }

    /// How the command ended.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.status
    }

    /// The JSON object.
    #[must_use]
    pub const fn json(&self) -> &Value {
        &self.json
    }

    /// The plain words, with terminal styles.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// A command that could not do what was asked: what happened, why, and what to type next.
///
/// Its texts hold nothing from a form and no name.
#[derive(Debug)]
pub struct Failure {
    status: Status,
    what: String,
    why: Vec<String>,
    next: Option<String>,
}

impl Failure {
    /// Of this kind, in one sentence without a full stop.
    #[must_use]
    pub fn new(status: Status, what: impl Into<String>) -> Self {
        Self {
            status,
            what: what.into(),
            why: Vec::new(),
            next: None,
        }
    }

    /// Something went wrong.
    #[must_use]
    pub fn error(what: impl Into<String>) -> Self {
        Self::new(Status::Error, what)
    }

    /// What was given is malformed or incomplete.
    #[must_use]
    pub fn invalid(what: impl Into<String>) -> Self {
        Self::new(Status::Invalid, what)
    }

    /// The rules forbid it.
    #[must_use]
    pub fn denied(what: impl Into<String>) -> Self {
        Self::new(Status::Denied, what)
    }

    /// It cannot be said.
    #[must_use]
    pub fn undetermined(what: impl Into<String>) -> Self {
        Self::new(Status::Undetermined, what)
    }

    /// Why, in plain words.
    #[must_use]
    pub fn because(mut self, why: impl Into<String>) -> Self {
        self.why.push(why.into());
        self
    }

    /// Why: an error and its sources.
    #[must_use]
    pub fn caused_by(mut self, error: &dyn Error) -> Self {
        let mut cause = Some(error);
        while let Some(error) = cause {
            self.why.push(error.to_string());
            cause = error.source();
        }
        self
    }

    /// What to type, or to do, next.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// Its kind.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.status
    }

    /// What, why and what to do next, for JSON.
    #[must_use]
    pub fn error_json(&self) -> Value {
        json!({ "what": self.what, "why": self.why, "next": self.next })
    }

    fn json(&self) -> Value {
        json!({
            "waypost": JSON_VERSION,
            "status": self.status.word(),
            "error": self.error_json(),
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", printable(&self.what))?;
        for why in &self.why {
            write!(f, "\n  why: {}", printable(why).replace('\n', "\n       "))?;
        }
        if let Some(next) = &self.next {
            write!(
                f,
                "\n  next: {}",
                printable(next).replace('\n', "\n        ")
            )?;
        }
        Ok(())
    }
}

impl Error for Failure {}

/// Text for people, built line by line.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

impl Page {
    fn styled(&mut self, style: Style, text: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{style}{}{style:#}", printable(text));
    }

    /// A heading, after an empty line unless it is the first.
    pub fn heading(&mut self, text: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.styled(STRONG, text);
    }

    /// A line.
    pub fn line(&mut self, text: &str) {
        self.styled(Style::new(), text);
    }

    /// An indented line: a name and its value.
    pub fn field(&mut self, name: &str, value: &dyn fmt::Display) {
        let value = printable(&value.to_string()).replace('\n', "\n                      ");
        let _ = writeln!(self.text, "  {:<18}  {value}", printable(name));
    }

    /// An indented line of a list.
    pub fn item(&mut self, text: &str) {
        let _ = writeln!(self.text, "  - {}", printable(text).replace('\n', "\n    "));
    }

    /// A line of good news.
    pub fn good(&mut self, text: &str) {
        self.styled(GOOD, text);
    }

    /// A line to be careful about.
    pub fn warning(&mut self, text: &str) {
        self.styled(WARN, text);
    }

    /// A line of bad news.
    pub fn bad(&mut self, text: &str) {
        self.styled(BAD, text);
    }

    /// What to do next, in order.
    pub fn next_steps(&mut self, steps: &[String]) {
        if !steps.is_empty() {
            self.heading("Next");
        }
        for (number, step) in (1..).zip(steps) {
            let _ = writeln!(
                self.text,
                "  {number}. {}",
                printable(step).replace('\n', "\n     ")
            );
        }
    }
}

/// The text without what could steer a terminal or reorder a line: control characters other than
/// newline and tab, and bidirectional overrides, are shown as `\u{FFFD}`.
#[must_use]
pub fn printable(text: &str) -> String {
    let steers = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .map(|c| {
            if steers(c) {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect()
}

/// Writes what a command ended with, and gives its exit code.
///
/// # Errors
/// When standard output cannot be written.
pub fn write(ended: &Result<Output, Failure>, as_json: bool) -> io::Result<u8> {
    let mut out = anstream::stdout();
    match (ended, as_json) {
        (Ok(output), true) => writeln!(out, "{}", output.json)?,
        (Ok(output), false) => write!(out, "{}", output.text)?,
        (Err(failure), _) => {
            writeln!(
                anstream::stderr(),
                "{BAD}{}:{BAD:#} {failure}",
                failure.status.word()
            )?;
            if as_json {
                writeln!(out, "{}", failure.json())?;
            }
        }
    }
    out.flush()?;
    Ok(ended
        .as_ref()
        .map_or_else(Failure::status, Output::status)
        .code())
}

/// Writes one line of progress to standard error.
pub fn note(text: &str) {
    // Progress that cannot be shown is not worth failing for.
    let _ = writeln!(anstream::stderr(), "{}", printable(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Sample {
        agency: String,
    }

    impl Report for Sample {
        const COMMAND: &'static str = "sample";

        fn page(&self, page: &mut Page) {
            page.heading("Sample");
            page.field("agency", &self.agency);
        }

        fn status(&self) -> Status {
            Status::Undetermined
        }
    }

    #[test]
    fn a_result_is_one_versioned_json_object() {
        let output = Output::of(&Sample {
            agency: "gb.example".into(),
        });
        assert_eq!(
            output.json,
            json!({"waypost": 1, "command": "sample", "status": "undetermined", "agency": "gb.example"})
        );
        assert_eq!(output.status().code(), 4);
    }

    #[test]
    fn every_status_has_its_own_exit_code() {
        let codes = [
            Status::Done,
            Status::Error,
            Status::Denied,
            Status::Invalid,
            Status::Undetermined,
            Status::Usage,
        ]
        .map(Status::code);
        assert_eq!(codes, [0, 1, 2, 3, 4, 64]);
    }

    #[test]
    fn a_failure_says_what_why_and_what_to_type_next() {
        let failure = Failure::denied("nothing was sent")
            .because("the rules forbid it")
            .next("waypost policy explain");
        assert_eq!(
            failure.to_string(),
            "nothing was sent\n  why: the rules forbid it\n  next: waypost policy explain"
        );
        assert_eq!(failure.json()["error"]["next"], "waypost policy explain");
        assert_eq!(failure.json()["status"], "denied");
    }

    #[test]
    fn text_of_others_cannot_steer_the_terminal() {
        let output = Output::of(&Sample {
            agency: "a\u{1b}[2Jb\u{202e}c\r".into(),
        });
        assert!(
            output.text.contains("a\u{fffd}[2Jb\u{fffd}c\u{fffd}"),
            "{:?}",
            output.text
        );
    }
}
