//! Making a form field by field.

use prost_reflect::{DynamicMessage, Value};

use super::{Form, FormError, check, form_fields, leaf_mut};
use crate::catalogue::{Field, FormFields, Shape};
use crate::kind::Kind;

/// Makes a form field by field, each checked as it comes.
#[derive(Debug)]
pub struct FormBuilder {
    form: Form,
}

impl FormBuilder {
    /// An empty form.
    ///
    /// # Errors
    /// Those of a wrong build.
    pub fn new(kind: Kind) -> Result<Self, FormError> {
        let fields = form_fields(kind)?;
        let message = DynamicMessage::new(fields.message().clone());
        Ok(Self {
            form: Form { fields, message },
        })
    }

    /// Sets a text field, or appends to a list. An empty text leaves a field absent.
    ///
    /// # Errors
    /// FORM-03 to FORM-10.
    pub fn text(&mut self, path: &str, text: &str) -> Result<(), FormError> {
        let field = self.field(path)?;
        if matches!(field.shape(), Shape::Flag | Shape::Number) {
            return Err(check::wrong_type(field));
        }
        if text.is_empty() && !field.is_list() {
            return Ok(());
        }
        let value = Value::String(text.to_owned());
        if !field.is_list() {
            return self.put(field, value);
        }
        let mut list = match leaf_mut(&mut self.form.message, field.steps()) {
            Some(Value::List(list)) => std::mem::take(list),
            _ => Vec::new(),
        };
        let checked = check::item(field, &list, text);
        if checked.is_ok() {
            list.push(value);
        }
        if !list.is_empty() {
            self.set(field, Value::List(list));
        }
        checked
    }

    /// Sets a flag.
    ///
    /// # Errors
    /// FORM-03 and FORM-04.
    pub fn flag(&mut self, path: &str, flag: bool) -> Result<(), FormError> {
        let field = self.field(path)?;
        self.put(field, Value::Bool(flag))
    }

    /// Sets a number.
    ///
    /// # Errors
    /// FORM-03 and FORM-04.
    pub fn number(&mut self, path: &str, number: u32) -> Result<(), FormError> {
        let field = self.field(path)?;
        self.put(field, Value::U32(number))
    }

    /// The form.
    #[must_use]
    pub fn build(self) -> Form {
        self.form
    }

    pub(super) const fn fields(&self) -> &'static FormFields {
        self.form.fields
    }

    pub(super) fn field(&self, path: &str) -> Result<&'static Field, FormError> {
        self.form
            .fields
            .field(path)
            .ok_or_else(|| FormError::UnknownField {
                path: check::shown(path),
            })
    }

    fn put(&mut self, field: &'static Field, value: Value) -> Result<(), FormError> {
        if self.form.value(field).is_some() {
            return Err(FormError::Twice {
                path: field.path().to_owned(),
            });
        }
        check::value(field, &value)?;
        self.set(field, value);
        Ok(())
    }

    fn set(&mut self, field: &Field, value: Value) {
        let Some((last, parents)) = field.steps().split_last() else {
            return;
        };
        let mut message = &mut self.form.message;
        for step in parents {
            let Some(inner) = message.get_field_mut(step).as_message_mut() else {
                return;
            };
            message = inner;
        }
        message.set_field(last, value);
    }
}
