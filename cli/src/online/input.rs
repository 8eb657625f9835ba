//! What the officer gives: a form or a text, from a file or from standard input, never as an argument
//! (shells keep those).

use std::io::{self, Read as _};
use std::path::Path;

use serde::Serialize;
use waypost_proto::form::Form;
use waypost_proto::kind::Kind;
use waypost_proto::limit;
use zeroize::Zeroizing;

use crate::adapter::uk_nrm;
use crate::args::FormFormat;
use crate::home::read_file;
use crate::output::Failure;

/// A form as given, whole.
pub(crate) struct Draft {
    /// The form.
    pub(crate) form: Form,
    /// Answers that have no place in it.
    pub(crate) not_carried: Vec<NotCarried>,
}

/// An answer of another system's form that has no place in ours.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct NotCarried {
    /// The key in the other system.
    pub(crate) key: &'static str,
    /// Why.
    pub(crate) reason: &'static str,
}

/// Reads at most `limit` bytes of text from a file, or from standard input for `-`.
pub(crate) fn text(path: &Path, limit: usize) -> Result<Zeroizing<String>, Failure> {
    let bytes = if path == Path::new("-") {
        standard_input(limit)?
    } else {
        read_file(path, limit)?
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| {
        Failure::invalid(format!("`{}` is not UTF-8 text", path.display()))
            .next("save it as UTF-8 and type the command again")
    })?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn standard_input(limit: usize) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(limit.saturating_add(1)));
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    io::stdin()
        .lock()
        .take(most)
        .read_to_end(&mut bytes)
        .map_err(|e| Failure::error("standard input cannot be read").caused_by(&e))?;
    if bytes.len() > limit {
        return Err(Failure::invalid(format!(
            "standard input is longer than {limit} bytes"
        )));
    }
    Ok(bytes)
}

/// Reads a referral's form.
pub(crate) fn referral(path: &Path, format: FormFormat) -> Result<Draft, Failure> {
    let text = text(path, limit::FORM_JSON_BYTES)?;
    let invalid = |e: &dyn std::error::Error| {
        Failure::invalid(format!("`{}` is not a referral", path.display()))
            .caused_by(e)
            .next("correct the file and type the command again")
    };
    match format {
        FormFormat::Waypost => Ok(Draft {
            form: Form::from_named_json(&text, Kind::ReferralNrm).map_err(|e| invalid(&e))?,
            not_carried: Vec::new(),
        }),
        FormFormat::UkNrm => {
            let adapted = uk_nrm::read(&text).map_err(|e| invalid(&e))?;
            let not_carried = adapted.not_carried.iter().map(|n| NotCarried {
                key: n.key,
                reason: n.reason,
            });
            Ok(Draft {
                not_carried: not_carried.collect(),
                form: adapted.form,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Status;

    fn file(content: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        file
    }

    #[test]
    fn a_form_is_read_from_a_file() {
        let file = file(r#"{"age": {"minor_status": "child"}}"#);
        let draft = referral(file.path(), FormFormat::Waypost).unwrap();
        assert_eq!(draft.form.text("age.minor_status"), Some("child"));
        assert!(draft.not_carried.is_empty());
    }

    #[test]
    fn a_form_says_itself_of_which_kind_it_is() {
        let file = file(r#"{"kind": "M01/CHILD", "age": {"minor_status": "child"}}"#);
        let draft = referral(file.path(), FormFormat::Waypost).unwrap();
        assert_eq!(draft.form.kind(), Kind::ReferralChild);
    }

    #[test]
    fn a_file_that_is_no_form_is_refused_without_a_value_of_it() {
        let file = file(r#"{"idn": {"given_name": ["a secret name"]}}"#);
        let failure = referral(file.path(), FormFormat::Waypost).err().unwrap();
        assert_eq!(failure.status(), Status::Invalid);
        assert!(!failure.to_string().contains("secret"));
    }
}
