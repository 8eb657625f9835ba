//! The submission of the UK National Referral Mechanism's digital form, into an NRM referral.
//!
//! A submission is a JSON object of texts, as the service emits it (UKHomeOffice/modern-slavery,
//! commit 54dfce7). [`table::TABLE`] holds every one of its 140 keys. The account and the boxes
//! that tell of it become narrative fields, which no message carries; a reference to the account
//! goes instead.

mod table;

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use waypost_proto::form::{Form, FormBuilder, FormError};
use waypost_proto::kind::Kind;
use waypost_proto::limit;
use zeroize::Zeroizing;

use table::{TABLE, To};

/// A submission that cannot be read. Names keys, never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SubmissionError {
    /// Larger than a form may be.
    #[error("the submission is {found} bytes; at most {limit} are read")]
    TooLarge {
        /// Bytes found.
        found: usize,
        /// Bytes read at most.
        limit: usize,
    },
    /// Not a JSON object of texts.
    #[error(
        "the submission is not a JSON object of texts at line {line}, column {column}, or has a key twice: export it again"
    )]
    NotTexts {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// A key that the form's version does not have.
    #[error(
        "`{key}` is not a key of this version of the UK form: update the software, or take it out"
    )]
    UnknownKey {
        /// The key, if it looks like one.
        key: String,
    },
    /// The person does not want to be referred.
    #[error(
        "the submission is a duty-to-notify report, not a referral: this version sends referrals only; use the official form for it"
    )]
    DutyToNotify,
    /// A choice that the form does not offer.
    #[error("`{key}` must be one of: {allowed}")]
    Choice {
        /// The key.
        key: &'static str,
        /// The choices, joined by commas.
        allowed: String,
    },
    /// A number that is not one.
    #[error("`{key}` must be a whole number")]
    Number {
        /// The key.
        key: &'static str,
    },
    /// A value that the referral refuses.
    #[error("`{key}`: {source}")]
    Value {
        /// The key.
        key: &'static str,
        /// What is wrong.
        source: FormError,
    },
    /// A wrong build.
    #[error(transparent)]
    Form(#[from] FormError),
}

/// A key with an answer that has no place in the referral.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotCarried {
    /// The key.
    pub(crate) key: &'static str,
    /// Why.
    pub(crate) reason: &'static str,
}

/// A submission as a referral.
#[derive(Debug)]
pub(crate) struct Adapted {
    /// The referral, whole: minimisation comes later.
    pub(crate) form: Form,
    /// Answers that were not taken over.
    pub(crate) not_carried: Vec<NotCarried>,
}

/// Reads a submission.
///
/// # Errors
/// Whatever is not a referral of the known version of the form; empty answers are no answers.
pub(crate) fn read(text: &str) -> Result<Adapted, SubmissionError> {
    if text.len() > limit::FORM_JSON_BYTES {
        let (found, limit) = (text.len(), limit::FORM_JSON_BYTES);
        return Err(SubmissionError::TooLarge { found, limit });
    }
    let submission: Submission =
        serde_json::from_str(text).map_err(|e| SubmissionError::NotTexts {
            line: e.line(),
            column: e.column(),
        })?;
    let known = |key: &str| TABLE.iter().any(|(known, _)| *known == key);
    if let Some((key, _)) = submission.answers.iter().find(|(key, _)| !known(key)) {
        return Err(SubmissionError::UnknownKey { key: shown(key) });
    }
    Adapter::new(&submission)?.run()
}

/// Answers in the order of the submission, each key once.
struct Submission {
    answers: Vec<(String, Zeroizing<String>)>,
}

impl Submission {
    /// The answer to a key, without space around it; none if empty.
    fn answer(&self, key: &str) -> Option<Zeroizing<String>> {
        let (_, answer) = self.answers.iter().find(|(k, _)| k == key)?;
        let answer = Zeroizing::new(answer.trim().replace("\r\n", "\n"));
        (!answer.is_empty()).then_some(answer)
    }
}

impl<'de> Deserialize<'de> for Submission {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;

        impl<'de> Visitor<'de> for Texts {
            type Value = Submission;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Submission, A::Error> {
                let mut seen = BTreeSet::new();
                let mut answers = Vec::new();
                while let Some((key, answer)) = map.next_entry::<String, String>()? {
                    if !seen.insert(key.clone()) {
                        return Err(serde::de::Error::custom("a key stands twice"));
                    }
                    answers.push((key, Zeroizing::new(answer)));
                }
                Ok(Submission { answers })
            }
        }

        deserializer.deserialize_map(Texts)
    }
}

struct Adapter<'a> {
    submission: &'a Submission,
    builder: FormBuilder,
    not_carried: Vec<NotCarried>,
    /// List values that several keys give: each is set once.
    given: BTreeSet<(&'static str, &'static str)>,
    /// Texts that several keys make up together.
    joined: Vec<(&'static str, &'static str, Zeroizing<String>)>,
}

impl<'a> Adapter<'a> {
    fn new(submission: &'a Submission) -> Result<Self, SubmissionError> {
        Ok(Self {
            submission,
            builder: FormBuilder::new(Kind::ReferralNrm)?,
            not_carried: Vec::new(),
            given: BTreeSet::new(),
            joined: Vec::new(),
        })
    }

    fn run(mut self) -> Result<Adapted, SubmissionError> {
        for (key, to) in TABLE {
            if let Some(answer) = self.submission.answer(key) {
                self.take(key, to, &answer)?;
            }
        }
        for (key, path, text) in std::mem::take(&mut self.joined) {
            refused(key, self.builder.text(path, &text))?;
        }
        self.consent()?;
        Ok(Adapted {
            form: self.builder.build(),
            not_carried: self.not_carried,
        })
    }

    fn take(
        &mut self,
        key: &'static str,
        to: &'static To,
        answer: &str,
    ) -> Result<(), SubmissionError> {
        match to {
            To::Text(path) => refused(key, self.builder.text(path, answer)),
            To::Date(path) => refused(key, self.builder.text(path, &iso_date(answer))),
            To::Joined(path) => {
                self.join(key, path, answer);
                Ok(())
            }
            To::Number(path) => {
                let number = answer
                    .parse()
                    .map_err(|_| SubmissionError::Number { key })?;
                refused(key, self.builder.number(path, number))
            }
            To::YesNo(path) => {
                let yes = choice(key, answer, table::YES_NO)? == "yes";
                refused(key, self.builder.flag(path, yes))
            }
            To::Choice(path, choices) => {
                let value = choice(key, answer, choices)?;
                refused(key, self.builder.text(path, value))
            }
            To::IfYes(values) => match choice(key, answer, table::YES_NO)? {
                "yes" => self.give(key, values),
                _ => Ok(()),
            },
            To::ReferralOrDuty => match choice(key, answer, table::REFERRAL_OR_DUTY)? {
                "referral" => Ok(()),
                _ => Err(SubmissionError::DutyToNotify),
            },
            To::NotCarried(reason) => {
                self.not_carried.push(NotCarried { key, reason });
                Ok(())
            }
        }
    }

    fn give(
        &mut self,
        key: &'static str,
        values: &'static [(&str, &str)],
    ) -> Result<(), SubmissionError> {
        for (path, value) in values {
            if self.given.insert((path, value)) {
                refused(key, self.builder.text(path, value))?;
            }
        }
        Ok(())
    }

    fn join(&mut self, key: &'static str, path: &'static str, answer: &str) {
        match self.joined.iter_mut().find(|(_, p, _)| *p == path) {
            Some((_, _, text)) => {
                text.push(' ');
                text.push_str(answer);
            }
            None => self
                .joined
                .push((key, path, Zeroizing::new(answer.to_owned()))),
        }
    }

    /// The UK form refers an adult only with the adult's consent to the whole referral, and a child
    /// or possible child without asking (its `automatic-referral` rule).
    fn consent(&mut self) -> Result<(), SubmissionError> {
        let choose = |key: &'static str, choices| {
            let answer = self.submission.answer(key);
            answer.map(|a| choice(key, &a, choices)).transpose()
        };
        let adult = choose("AdultOrChild", table::ADULT_OR_CHILD)? == Some("adult");
        let referral = choose("NRMOrDuty", table::REFERRAL_OR_DUTY)? == Some("referral");
        if adult && referral {
            self.builder.text("cns.participation_consent", "given")?;
            self.builder.text("cns.consent_given_by", "person")?;
            self.builder
                .flag("cns.sharing_consent.whole_referral", true)?;
        }
        Ok(())
    }
}

fn refused(key: &'static str, result: Result<(), FormError>) -> Result<(), SubmissionError> {
    result.map_err(|source| SubmissionError::Value { key, source })
}

/// The value that a choice stands for. Case, spaces and punctuation do not count: the service emits
/// labels for some fields and option names for others.
fn choice(
    key: &'static str,
    answer: &str,
    choices: &[(&'static str, &'static str)],
) -> Result<&'static str, SubmissionError> {
    let plain = plain(answer);
    let found = choices
        .iter()
        .find(|(label, _)| self::plain(label) == plain);
    found
        .map(|(_, value)| *value)
        .ok_or_else(|| SubmissionError::Choice {
            key,
            allowed: choices
                .iter()
                .map(|(label, _)| *label)
                .collect::<Vec<_>>()
                .join(", "),
        })
}

/// A key that came from outside, as an error may show it.
fn shown(key: &str) -> String {
    let like_a_key = key.len() <= 60 && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
    if like_a_key {
        key.to_owned()
    } else {
        "(something that does not look like a key)".to_owned()
    }
}

fn plain(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

/// `31/3/1980` or `31 3 1980` as `1980-03-31`; anything else as it is, for the form to judge.
fn iso_date(answer: &str) -> String {
    let pieces: Vec<&str> = answer.split(['/', ' ']).collect();
    match pieces.as_slice() {
        [day, month, year] if day.len() <= 2 && month.len() <= 2 => {
            format!("{year}-{month:0>2}-{day:0>2}")
        }
        _ => answer.to_owned(),
    }
}

#[cfg(test)]
mod tests;
