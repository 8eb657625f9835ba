//! JSON text into a form: strict, with the path of what is wrong and never its value.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use zeroize::{Zeroize, Zeroizing};

use super::{Form, FormBuilder, FormError, check};
use crate::kind::Kind;
use crate::limit;

/// The key under which a text may name its kind.
const KIND: &str = "kind";

/// JSON with every key kept, so that a repeated one is seen.
enum Json {
    Null,
    Flag(bool),
    Number(u32),
    OtherNumber,
    Text(Zeroizing<String>),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Json, E> {
        Ok(Json::Flag(flag))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(u32::try_from(number).map_or(Json::OtherNumber, Json::Number))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Json, E> {
        Ok(Json::OtherNumber)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::OtherNumber)
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(Zeroizing::new(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut object = Vec::new();
        while let Some(item) = items.next_entry()? {
            object.push(item);
        }
        Ok(Json::Object(object))
    }
}

/// Reads an object of categories, into a form of the kind that `choose` makes of the code under
/// `kind`.
pub(super) fn read(
    text: &str,
    choose: impl FnOnce(Option<&str>) -> Option<Kind>,
) -> Result<Form, FormError> {
    if text.len() > limit::FORM_JSON_BYTES {
        return Err(FormError::TooLarge {
            found: text.len(),
            limit: limit::FORM_JSON_BYTES,
        });
    }
    let json: Json = serde_json::from_str(text).map_err(|e| FormError::Json {
        line: e.line(),
        column: e.column(),
    })?;
    let Json::Object(mut entries) = json else {
        return Err(FormError::Json { line: 1, column: 1 });
    };
    let kind = match entries.iter().position(|(key, _)| key == KIND) {
        None => choose(None),
        Some(at) => match entries.remove(at).1 {
            Json::Text(code) => choose(Some(&code)),
            _ => None,
        },
    };
    let mut builder = FormBuilder::new(kind.ok_or(FormError::Kind)?)?;
    object(&mut builder, "", entries)?;
    Ok(builder.build())
}

fn object(
    builder: &mut FormBuilder,
    parent: &str,
    entries: Vec<(String, Json)>,
) -> Result<(), FormError> {
    let mut seen: Vec<String> = Vec::new();
    for (mut key, json) in entries {
        let path = if parent.is_empty() {
            key.clone()
        } else {
            format!("{parent}.{key}")
        };
        key.zeroize();
        if seen.contains(&path) {
            return Err(FormError::Twice {
                path: check::shown(&path),
            });
        }
        put(builder, &path, json)?;
        seen.push(path);
    }
    Ok(())
}

fn put(builder: &mut FormBuilder, path: &str, json: Json) -> Result<(), FormError> {
    if let Json::Object(entries) = json {
        return if builder.fields().has_category(path) {
            object(builder, path, entries)
        } else {
            builder
                .field(path)
                .and_then(|field| Err(check::wrong_type(field)))
        };
    }
    if builder.fields().has_category(path) {
        return Err(FormError::Type {
            path: check::shown(path),
            expected: "an object of fields",
        });
    }
    let field = builder.field(path)?;
    match json {
        Json::Text(text) if !field.is_list() => builder.text(path, &text),
        Json::Flag(flag) => builder.flag(path, flag),
        Json::Number(number) => builder.number(path, number),
        Json::List(list) if field.is_list() => list.into_iter().try_for_each(|item| match item {
            Json::Text(text) => builder.text(path, &text),
            _ => Err(check::wrong_type(field)),
        }),
        _ => Err(check::wrong_type(field)),
    }
}
