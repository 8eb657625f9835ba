//! Forms: what a message says, as fields with parts.
//!
//! A form is made from JSON text (an officer's draft), from a payload (after opening), or field by
//! field (an adapter); all three pass the same checks, FORM-01.. of proto/spec/catalogue.md. Values
//! never stand in an error or in `Debug`, and are overwritten when the form is dropped.

mod builder;
mod check;
mod json;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, SerializeOptions, Value};
use zeroize::{Zeroize, Zeroizing};

use crate::catalogue::{Catalogue, CatalogueError, Field, FormFields, Shape};
use crate::kind::Kind;
use crate::limit;
use crate::taxonomy::TaxonomyError;
use crate::vocabulary::Part;

pub use builder::FormBuilder;

/// A form that breaks a rule of proto/spec/catalogue.md. Names fields, never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// FORM-01: larger than its limit.
    #[error("FORM-01: the form is {found} bytes; at most {limit} are allowed: shorten its texts")]
    TooLarge {
        /// Bytes found.
        found: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// FORM-02: not JSON.
    #[error("FORM-02: the form is not JSON at line {line}, column {column}: correct it there")]
    Json {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// FORM-03: a key that the form does not have.
    #[error(
        "FORM-03: `{path}` is not a field of this form: take it out, or see proto/spec/catalogue.md"
    )]
    UnknownField {
        /// The path.
        path: String,
    },
    /// FORM-03: a field that stands twice.
    #[error("FORM-03: `{path}` stands twice: keep one")]
    Twice {
        /// The path.
        path: String,
    },
    /// FORM-04: a value of the wrong type.
    #[error("FORM-04: `{path}` must be {expected}; leave the key out if it is not known")]
    Type {
        /// The path.
        path: String,
        /// What is expected, such as `true or false`.
        expected: &'static str,
    },
    /// FORM-05: a text longer than its limit.
    #[error("FORM-05: `{path}` is longer than {limit} characters: shorten it")]
    TooLong {
        /// The path.
        path: String,
        /// Characters allowed.
        limit: usize,
    },
    /// FORM-06: a list that is too long, or has an empty or repeated value.
    #[error("FORM-06: `{path}` has more than {limit} values, an empty one, or a code twice")]
    List {
        /// The path.
        path: String,
        /// Values allowed.
        limit: usize,
    },
    /// FORM-07: a control character or one that reorders text.
    #[error("FORM-07: `{path}` holds a control character or one that reorders text: type it again")]
    Control {
        /// The path.
        path: String,
    },
    /// FORM-08: not a date.
    #[error("FORM-08: `{path}` must be a date, as YYYY-MM-DD, YYYY-MM or YYYY")]
    Date {
        /// The path.
        path: String,
    },
    /// FORM-09: not a value of the closed list.
    #[error("FORM-09: `{path}` must be one of: {allowed}")]
    OneOf {
        /// The path.
        path: String,
        /// The values, joined by commas.
        allowed: String,
    },
    /// FORM-10: not a code.
    #[error("FORM-10: `{path}` must hold {expected}")]
    Code {
        /// The path.
        path: String,
        /// What is expected.
        expected: &'static str,
    },
    /// FORM-11: a payload that is not the one encoding of a form.
    #[error(
        "FORM-11: the payload is not the canonical encoding of a `{kind}` form, or has unknown fields"
    )]
    Encoding {
        /// The kind.
        kind: Kind,
    },
    /// FORM-12: the text names another kind than is read, or none that exists.
    #[error("FORM-12: `kind` is not the code of a kind that fits here, such as `M01/CHILD`")]
    Kind,
    /// A wrong build.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// A wrong build.
    #[error(transparent)]
    Taxonomy(#[from] TaxonomyError),
}

/// One value that can be taken out on its own: a field, or one code of a list of codes.
#[derive(Clone, Copy)]
pub struct Leaf<'a> {
    field: &'static Field,
    code: Option<&'a str>,
}

impl<'a> Leaf<'a> {
    /// The field.
    #[must_use]
    pub const fn field(&self) -> &'static Field {
        self.field
    }

    /// Its path in the form.
    #[must_use]
    pub fn path(&self) -> &'static str {
        self.field.path()
    }

    /// The part that it belongs to itself; see [`Leaf::parts`].
    #[must_use]
    pub const fn part(&self) -> Part {
        self.field.part()
    }

    /// The taxonomy code, if it is one. A code is a value: not for logs.
    #[must_use]
    pub const fn code(&self) -> Option<&'a str> {
        self.code
    }

    /// Its own part and those that it leaks.
    ///
    /// # Errors
    /// FORM-10 if it is a code that the taxonomy does not have; forms hold none.
    pub fn parts(&self) -> Result<BTreeSet<Part>, FormError> {
        let mut parts = BTreeSet::from([self.part()]);
        if let Some(code) = self.code {
            let leaks = check::taxonomy()?
                .leaks(code)
                .ok_or_else(|| check::not_a_code(self.field))?;
            parts.extend(leaks);
        }
        Ok(parts)
    }
}

impl fmt::Debug for Leaf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaf")
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}

/// A form of one kind: checked, and canonical.
#[derive(Clone)]
pub struct Form {
    fields: &'static FormFields,
    message: DynamicMessage,
}

impl Form {
    /// From an officer's JSON text: an object of categories, with the field names of `form.proto`.
    /// An empty text or object is the same as none.
    ///
    /// # Errors
    /// FORM-01 to FORM-10, FORM-12.
    pub fn from_json(kind: Kind, text: &str) -> Result<Self, FormError> {
        json::read(text, |named| match named {
            Some(code) if code != kind.code() => None,
            _ => Some(kind),
        })
    }

    /// The same, of the kind that the text names; of `unnamed` where it names none.
    ///
    /// # Errors
    /// FORM-01 to FORM-10, FORM-12.
    pub fn from_named_json(text: &str, unnamed: Kind) -> Result<Self, FormError> {
        json::read(text, |named| match named {
            Some(code) => code.parse().ok(),
            None => Some(unnamed),
        })
    }

    /// From a payload. Only the one encoding that [`Form::to_bytes`] gives is accepted.
    ///
    /// # Errors
    /// FORM-01 and FORM-05 to FORM-11.
    pub fn from_bytes(kind: Kind, bytes: &[u8]) -> Result<Self, FormError> {
        if bytes.len() > limit::PAYLOAD_BYTES {
            return Err(FormError::TooLarge {
                found: bytes.len(),
                limit: limit::PAYLOAD_BYTES,
            });
        }
        let fields = form_fields(kind)?;
        let message = DynamicMessage::decode(fields.message().clone(), bytes)
            .map_err(|_| FormError::Encoding { kind })?;
        let form = Self { fields, message };
        if !is_strict(&form.message) || form.to_bytes().as_slice() != bytes {
            return Err(FormError::Encoding { kind });
        }
        for field in fields.fields() {
            if let Some(value) = form.value(field) {
                check::value(field, value)?;
            }
        }
        Ok(form)
    }

    /// The kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.fields.kind()
    }

    /// The payload: the canonical protobuf encoding. Overwritten when dropped.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.message.encode_to_vec())
    }

    /// JSON text as [`Form::from_named_json`] reads it, for display.
    #[must_use]
    pub fn to_json(&self) -> Zeroizing<String> {
        let fields = self.fields_to_json();
        let Some(rest) = fields.strip_prefix('{') else {
            return fields;
        };
        let comma = if rest.trim() == "}" { "\n" } else { "," };
        Zeroizing::new(format!("{{\n  \"kind\": \"{}\"{comma}{rest}", self.kind()))
    }

    fn fields_to_json(&self) -> Zeroizing<String> {
        let mut out = Vec::with_capacity(4096);
        let options = SerializeOptions::new().use_proto_field_name(true);
        let mut serializer = serde_json::Serializer::pretty(&mut out);
        // Writing text and flags to memory does not fail; were it to, nothing is shown.
        if self
            .message
            .serialize_with_options(&mut serializer, &options)
            .is_err()
        {
            out.zeroize();
        }
        Zeroizing::new(String::from_utf8(out).unwrap_or_default())
    }

    /// Every value that can be taken out on its own, in order of the catalogue.
    #[must_use]
    pub fn leaves(&self) -> Vec<Leaf<'_>> {
        let mut leaves = Vec::new();
        for field in self.fields.fields() {
            match self.value(field) {
                None => {}
                Some(Value::List(codes)) if *field.shape() == Shape::TaxonomyCode => {
                    leaves.extend(codes.iter().map(|c| Leaf {
                        field,
                        code: c.as_str(),
                    }));
                }
                Some(value) if *field.shape() == Shape::TaxonomyCode => {
                    leaves.push(Leaf {
                        field,
                        code: value.as_str(),
                    });
                }
                Some(_) => leaves.push(Leaf { field, code: None }),
            }
        }
        leaves
    }

    /// The parts that it discloses, those leaked by codes included.
    ///
    /// # Errors
    /// Those of a wrong build.
    pub fn parts(&self) -> Result<BTreeSet<Part>, FormError> {
        let mut parts = BTreeSet::new();
        for leaf in self.leaves() {
            parts.extend(leaf.parts()?);
        }
        Ok(parts)
    }

    /// Keeps only the leaves for which `keep` is true, and overwrites the others.
    pub fn retain(&mut self, mut keep: impl FnMut(&Leaf<'_>) -> bool) {
        for field in self.fields.fields() {
            let Some(value) = leaf_mut(&mut self.message, field.steps()) else {
                continue;
            };
            let emptied = match value {
                Value::List(codes) if *field.shape() == Shape::TaxonomyCode => {
                    codes.retain_mut(|c| {
                        let kept = keep(&Leaf {
                            field,
                            code: c.as_str(),
                        });
                        if !kept {
                            wipe(c);
                        }
                        kept
                    });
                    codes.is_empty()
                }
                value => {
                    let code = (*field.shape() == Shape::TaxonomyCode)
                        .then(|| value.as_str())
                        .flatten();
                    let kept = keep(&Leaf { field, code });
                    if !kept {
                        wipe(value);
                    }
                    !kept
                }
            };
            if emptied {
                clear(&mut self.message, field.steps());
            }
        }
    }

    /// The text at a path, if there.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<&str> {
        self.at(path)?.as_str()
    }

    /// The texts of the list at a path.
    #[must_use]
    pub fn texts(&self, path: &str) -> Vec<&str> {
        let list = self.at(path).and_then(Value::as_list).unwrap_or_default();
        list.iter().filter_map(Value::as_str).collect()
    }

    /// The flag at a path, if there.
    #[must_use]
    pub fn flag(&self, path: &str) -> Option<bool> {
        self.at(path)?.as_bool()
    }

    /// The number at a path, if there.
    #[must_use]
    pub fn number(&self, path: &str) -> Option<u32> {
        self.at(path)?.as_u32()
    }

    fn at(&self, path: &str) -> Option<&Value> {
        self.value(self.fields.field(path)?)
    }

    fn value(&self, field: &Field) -> Option<&Value> {
        let (last, parents) = field.steps().split_last()?;
        let mut message = &self.message;
        for step in parents {
            message = present(message, step)?.as_message()?;
        }
        present(message, last)
    }
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Form")
            .field("kind", &self.kind())
            .finish_non_exhaustive()
    }
}

impl Drop for Form {
    fn drop(&mut self) {
        wipe_message(&mut self.message);
    }
}

fn form_fields(kind: Kind) -> Result<&'static FormFields, FormError> {
    let catalogue = Catalogue::current().map_err(Clone::clone)?;
    Ok(catalogue.form(kind)?)
}

fn present<'a>(message: &'a DynamicMessage, step: &FieldDescriptor) -> Option<&'a Value> {
    match message.get_field(step) {
        Cow::Borrowed(value) if message.has_field(step) => Some(value),
        _ => None,
    }
}

fn leaf_mut<'a>(
    message: &'a mut DynamicMessage,
    steps: &[FieldDescriptor],
) -> Option<&'a mut Value> {
    let (first, rest) = steps.split_first()?;
    if !message.has_field(first) {
        return None;
    }
    let value = message.get_field_mut(first);
    if rest.is_empty() {
        Some(value)
    } else {
        leaf_mut(value.as_message_mut()?, rest)
    }
}

/// Clears the field, and each message above it that this leaves empty.
fn clear(message: &mut DynamicMessage, steps: &[FieldDescriptor]) {
    let Some((first, rest)) = steps.split_first() else {
        return;
    };
    let empty = match message.get_field_mut(first).as_message_mut() {
        Some(inner) if !rest.is_empty() => {
            clear(inner, rest);
            inner.fields().next().is_none()
        }
        _ => true,
    };
    if empty {
        message.clear_field(first);
    }
}

/// No unknown fields and no empty message, at any depth.
fn is_strict(message: &DynamicMessage) -> bool {
    message.unknown_fields().next().is_none()
        && message.fields().all(|(_, value)| {
            value
                .as_message()
                .is_none_or(|m| m.fields().next().is_some() && is_strict(m))
        })
}

fn wipe_message(message: &mut DynamicMessage) {
    for (_, value) in message.fields_mut() {
        wipe(value);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::List(list) => list.iter_mut().for_each(wipe),
        Value::Message(message) => wipe_message(message),
        Value::Bool(flag) => flag.zeroize(),
        Value::U32(number) => number.zeroize(),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
