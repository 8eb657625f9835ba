//! The checks of one value, FORM-04 to FORM-10: the same for every way into a form.

use prost_reflect::Value;

use super::FormError;
use crate::catalogue::{Field, Shape};
use crate::limit;
use crate::taxonomy::Taxonomy;
use crate::vocabulary::Part;

pub(super) fn taxonomy() -> Result<&'static Taxonomy, FormError> {
    Ok(Taxonomy::current().map_err(Clone::clone)?)
}

/// Checks the value of a field against its shape.
pub(super) fn value(field: &Field, value: &Value) -> Result<(), FormError> {
    match (field.shape(), value) {
        (Shape::Flag, Value::Bool(_)) | (Shape::Number, Value::U32(_)) => Ok(()),
        (Shape::Flag | Shape::Number, _) => Err(wrong_type(field)),
        (_, Value::List(values)) if field.is_list() => list(field, values),
        (_, Value::String(s)) if !field.is_list() => text(field, s),
        _ => Err(wrong_type(field)),
    }
}

fn list(field: &Field, values: &[Value]) -> Result<(), FormError> {
    values.iter().enumerate().try_for_each(|(index, value)| {
        let value = value.as_str().ok_or_else(|| wrong_type(field))?;
        item(field, values.get(..index).unwrap_or_default(), value)
    })
}

/// Checks one value of a list, after those `before` it.
pub(super) fn item(field: &Field, before: &[Value], value: &str) -> Result<(), FormError> {
    let free = matches!(field.shape(), Shape::Text { .. });
    let repeated = !free && before.iter().any(|b| b.as_str() == Some(value));
    if value.is_empty() || repeated || before.len() >= limit::REPEATED_VALUES {
        let (path, limit) = (field.path().to_owned(), limit::REPEATED_VALUES);
        return Err(FormError::List { path, limit });
    }
    text(field, value)
}

fn text(field: &Field, text: &str) -> Result<(), FormError> {
    let path = || field.path().to_owned();
    let max_chars = match field.shape() {
        Shape::Text { max_chars } => *max_chars,
        _ => limit::TEXT_CHARS,
    };
    // A character is one to four bytes: the cheap test first.
    if text.len() > max_chars && text.chars().count() > max_chars {
        return Err(FormError::TooLong {
            path: path(),
            limit: max_chars,
        });
    }
    if text.chars().any(is_refused) {
        return Err(FormError::Control { path: path() });
    }
    match field.shape() {
        Shape::Text { .. } => Ok(()),
        Shape::Date if is_date(text) => Ok(()),
        Shape::Date => Err(FormError::Date { path: path() }),
        Shape::OneOf(allowed) if allowed.iter().any(|a| a == text) => Ok(()),
        Shape::OneOf(allowed) => Err(FormError::OneOf {
            path: path(),
            allowed: allowed.join(", "),
        }),
        Shape::TaxonomyCode if taxonomy()?.part(text) == Some(field.part()) => Ok(()),
        Shape::TaxonomyCode => Err(not_a_code(field)),
        Shape::PartCode if text.parse::<Part>().is_ok() => Ok(()),
        Shape::PartCode => Err(code(field, "part codes, such as IDN.gender")),
        Shape::Hex { bytes } if is_hex(text, *bytes) => Ok(()),
        Shape::Hex { .. } => Err(code(
            field,
            "a digest or id in lower-case hexadecimal digits",
        )),
        Shape::Flag | Shape::Number => Err(wrong_type(field)),
    }
}

pub(super) fn not_a_code(field: &Field) -> FormError {
    code(
        field,
        "codes of the taxonomy that belong to this field (proto/data/taxonomy.tsv)",
    )
}

fn code(field: &Field, expected: &'static str) -> FormError {
    FormError::Code {
        path: field.path().to_owned(),
        expected,
    }
}

pub(super) fn wrong_type(field: &Field) -> FormError {
    let expected = match (field.is_list(), field.shape()) {
        (true, _) => "a list of texts",
        (false, Shape::Flag) => "true or false",
        (false, Shape::Number) => "a whole number from 0 to 4294967295",
        (false, _) => "a text",
    };
    FormError::Type {
        path: field.path().to_owned(),
        expected,
    }
}

/// A path that came from outside, as an error may show it.
pub(super) fn shown(path: &str) -> String {
    let plain = path.len() <= 80
        && path
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if plain {
        path.to_owned()
    } else {
        "(a key that is not a field name)".to_owned()
    }
}

/// Control characters except line feed and tab, and those that override the direction of text.
fn is_refused(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}' => true,
        c => c.is_control(),
    }
}

fn is_hex(text: &str, bytes: usize) -> bool {
    text.len() == bytes.saturating_mul(2)
        && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_date(text: &str) -> bool {
    let digits = |s: &str, n: usize| -> Option<u32> {
        (s.len() == n && s.bytes().all(|b| b.is_ascii_digit()))
            .then(|| s.parse().ok())
            .flatten()
    };
    let mut pieces = text.split('-');
    let year = pieces.next().and_then(|y| digits(y, 4));
    let month = pieces.next().map(|m| digits(m, 2));
    let day = pieces.next().map(|d| digits(d, 2));
    match (year, month, day, pieces.next()) {
        (Some(1..), None, None, None) => true,
        (Some(1..), Some(Some(1..=12)), None, None) => true,
        (Some(year @ 1..), Some(Some(month @ 1..=12)), Some(Some(day @ 1..)), None) => {
            day <= days_in(year, month)
        }
        _ => false,
    }
}

const fn days_in(year: u32, month: u32) -> u32 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // FORM-08
    #[test]
    fn only_days_months_and_years_of_the_calendar_are_dates() {
        for good in ["1999", "1999-12", "2024-02-29", "2000-02-29", "1999-12-31"] {
            assert!(is_date(good), "{good}");
        }
        for bad in [
            "",
            "99",
            "0000",
            "1999-13",
            "1999-00",
            "2023-02-29",
            "1900-02-29",
            "1999-04-31",
            "1999-1-1",
            "1999-12-31-",
            "1999-12-31T00",
            "١٩٩٩",
        ] {
            assert!(!is_date(bad), "{bad}");
        }
    }
}
