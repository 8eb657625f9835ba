//! The catalogue: every leaf field of every form, and the one part that it belongs to.
//!
//! Read from the descriptors of `form.proto`; the rules CAT-01.. are in proto/spec/catalogue.md.
//!
//! INVARIANT (total catalogue): a catalogue holds no form with a leaf field that has not exactly one
//! known part. [`Catalogue::from_descriptors`] is the only constructor and refuses any other.

use std::fmt::Write as _;
use std::sync::LazyLock;

use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind as Type, MessageDescriptor, Value,
};

use crate::id::Digest;
use crate::kind::Kind;
use crate::limit;
use crate::vocabulary::Part;
use crate::wire;

/// Descriptors that break a rule of proto/spec/catalogue.md. Only a wrong build gives one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueError {
    /// The descriptors do not decode.
    #[error("the descriptors of the forms do not decode")]
    Descriptors,
    /// CAT-01: a kind without its form.
    #[error("CAT-01: `{kind}` has no form `{message}`")]
    NoForm {
        /// The kind.
        kind: Kind,
        /// The form's full name.
        message: &'static str,
    },
    /// CAT-02: a leaf field without a part, or with one that is not in the vocabulary.
    #[error("CAT-02: `{path}` has no part of the vocabulary")]
    NoPart {
        /// The field's path.
        path: String,
    },
    /// CAT-03: a field of a type that forms do not use, or marks that contradict it.
    #[error(
        "CAT-03: `{path}` is a list of messages, a map, a oneof, of a type that forms do not use, nested too deep, or has marks that contradict it"
    )]
    Shape {
        /// The field's path.
        path: String,
    },
}

/// What the values of a field may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// Any text of at most so many characters.
    Text {
        /// Characters allowed.
        max_chars: usize,
    },
    /// `YYYY-MM-DD`, `YYYY-MM` or `YYYY`.
    Date,
    /// One of these.
    OneOf(Vec<String>),
    /// A code of the taxonomy.
    TaxonomyCode,
    /// A part code.
    PartCode,
    /// So many bytes in lower-case hexadecimal digits.
    Hex {
        /// Bytes.
        bytes: usize,
    },
    /// Yes or no.
    Flag,
    /// A number from 0 to 4,294,967,295.
    Number,
}

/// One leaf field of a form.
#[derive(Debug, Clone)]
pub struct Field {
    path: String,
    label: String,
    part: Part,
    shape: Shape,
    steps: Vec<FieldDescriptor>,
    list: bool,
}

impl Field {
    /// Its path in the form, such as `idn.given_name`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What people call it, such as `Core identity: given name`.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The part that it belongs to.
    #[must_use]
    pub const fn part(&self) -> Part {
        self.part
    }

    /// What its values may be.
    #[must_use]
    pub const fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Whether it is a list of values.
    #[must_use]
    pub const fn is_list(&self) -> bool {
        self.list
    }

    /// The descriptors from the form down to the field.
    pub(crate) fn steps(&self) -> &[FieldDescriptor] {
        &self.steps
    }
}

/// The form of one kind.
#[derive(Debug, Clone)]
pub struct FormFields {
    kind: Kind,
    message: MessageDescriptor,
    fields: Vec<Field>,
}

impl FormFields {
    /// The kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Its leaf fields, in order of declaration.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The field at a path.
    #[must_use]
    pub fn field(&self, path: &str) -> Option<&Field> {
        self.fields.iter().find(|f| f.path == path)
    }

    /// Whether fields stand below this path: a category, or a message inside one.
    #[must_use]
    pub fn has_category(&self, path: &str) -> bool {
        self.fields.iter().any(|f| {
            f.path
                .strip_prefix(path)
                .is_some_and(|rest| rest.starts_with('.'))
        })
    }

    pub(crate) const fn message(&self) -> &MessageDescriptor {
        &self.message
    }
}

/// The forms of every kind.
#[derive(Debug, Clone)]
pub struct Catalogue {
    forms: Vec<FormFields>,
    digest: Digest,
}

impl Catalogue {
    /// The catalogue that this program was built with.
    ///
    /// # Errors
    /// CAT-01 to CAT-03, if it was built from wrong forms.
    pub fn current() -> Result<&'static Self, &'static CatalogueError> {
        static CURRENT: LazyLock<Result<Catalogue, CatalogueError>> =
            LazyLock::new(|| Catalogue::from_descriptors(wire::DESCRIPTORS));
        CURRENT.as_ref()
    }

    /// Reads the forms from an encoded `FileDescriptorSet`.
    ///
    /// # Errors
    /// CAT-01 to CAT-03.
    pub fn from_descriptors(descriptors: &[u8]) -> Result<Self, CatalogueError> {
        let pool = DescriptorPool::decode(descriptors).map_err(|_| CatalogueError::Descriptors)?;
        let forms = Kind::ALL
            .iter()
            .map(|kind| {
                let name = kind.form_message();
                let message = pool
                    .get_message_by_name(name)
                    .ok_or(CatalogueError::NoForm {
                        kind: *kind,
                        message: name,
                    })?;
                let mut fields = Vec::new();
                collect(&pool, &message, &mut Vec::new(), &mut fields)?;
                Ok(FormFields {
                    kind: *kind,
                    message,
                    fields,
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let digest = Digest::of(listing(&forms).as_bytes());
        Ok(Self { forms, digest })
    }

    /// The form of a kind.
    ///
    /// # Errors
    /// CAT-01; never for a kind of the table, because [`Self::from_descriptors`] reads them all.
    pub fn form(&self, kind: Kind) -> Result<&FormFields, CatalogueError> {
        self.forms
            .iter()
            .find(|f| f.kind == kind)
            .ok_or(CatalogueError::NoForm {
                kind,
                message: kind.form_message(),
            })
    }

    /// Every form.
    #[must_use]
    pub fn forms(&self) -> &[FormFields] {
        &self.forms
    }

    /// The canonical listing, as proto/spec/catalogue.md defines it (CAT-05).
    #[must_use]
    pub fn listing(&self) -> String {
        listing(&self.forms)
    }

    /// SHA-256 of the canonical listing.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}

fn listing(forms: &[FormFields]) -> String {
    let mut text = String::from("waypost/v1 catalogue\n");
    for form in forms {
        let ceiling: Vec<&str> = form.kind.ceiling().iter().map(|p| p.code()).collect();
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "{}\t{}\t{}",
            form.kind,
            form.message.full_name(),
            ceiling.join("+")
        );
        for field in &form.fields {
            let numbers: Vec<String> = field.steps.iter().map(|s| s.number().to_string()).collect();
            let _ = writeln!(
                text,
                "{}\t{}\t{}\t{}{}",
                numbers.join("."),
                field.path,
                field.part,
                if field.list { "list of " } else { "" },
                shape_name(&field.shape)
            );
        }
    }
    text
}

fn shape_name(shape: &Shape) -> String {
    match shape {
        Shape::Text { max_chars } => format!("text {max_chars}"),
        Shape::Date => "date".to_owned(),
        Shape::OneOf(values) => format!("one of {}", values.join("|")),
        Shape::TaxonomyCode => "taxonomy code".to_owned(),
        Shape::PartCode => "part code".to_owned(),
        Shape::Hex { bytes } => format!("hex {bytes}"),
        Shape::Flag => "flag".to_owned(),
        Shape::Number => "number".to_owned(),
    }
}

fn collect(
    pool: &DescriptorPool,
    message: &MessageDescriptor,
    steps: &mut Vec<FieldDescriptor>,
    fields: &mut Vec<Field>,
) -> Result<(), CatalogueError> {
    for field in message.fields() {
        steps.push(field.clone());
        let path = steps
            .iter()
            .map(FieldDescriptor::name)
            .collect::<Vec<_>>()
            .join(".");
        let real_oneof = field.containing_oneof().is_some_and(|o| !o.is_synthetic());
        if field.is_map() || real_oneof || steps.len() > limit::FORM_DEPTH {
            return Err(CatalogueError::Shape { path });
        }
        match field.kind() {
            Type::Message(_) if field.is_list() => return Err(CatalogueError::Shape { path }),
            Type::Message(inner) => collect(pool, &inner, steps, fields)?,
            kind => fields.push(leaf(pool, &field, &kind, steps, path)?),
        }
        steps.pop();
    }
    Ok(())
}

fn leaf(
    pool: &DescriptorPool,
    field: &FieldDescriptor,
    kind: &Type,
    steps: &[FieldDescriptor],
    path: String,
) -> Result<Field, CatalogueError> {
    let marks = Marks::of(pool, field);
    let Some(part) = marks.part.as_deref().and_then(|code| code.parse().ok()) else {
        return Err(CatalogueError::NoPart { path });
    };
    // Single flags and numbers have presence: "no" and "not said" are different answers.
    let single = !field.is_list();
    let shape = match kind {
        Type::String => marks.text_shape(),
        Type::Bool if single && field.supports_presence() && marks.none() => Some(Shape::Flag),
        Type::Uint32 if single && field.supports_presence() && marks.none() => Some(Shape::Number),
        _ => None,
    };
    let Some(shape) = shape else {
        return Err(CatalogueError::Shape { path });
    };
    Ok(Field {
        label: label(steps),
        part,
        shape,
        steps: steps.to_vec(),
        list: field.is_list(),
        path,
    })
}

/// The options of `options.proto` that stand at one field.
struct Marks {
    part: Option<String>,
    taxonomy_codes: bool,
    date: bool,
    one_of: Vec<String>,
    max_chars: u32,
    part_codes: bool,
    hex_bytes: u32,
}

impl Marks {
    fn of(pool: &DescriptorPool, field: &FieldDescriptor) -> Self {
        let options = field.options();
        let value = |name: &str| option_value(pool, &options, name);
        let flag = |name: &str| value(name).and_then(|v| v.as_bool()).unwrap_or(false);
        let number = |name: &str| value(name).and_then(|v| v.as_u32()).unwrap_or(0);
        Self {
            part: value("part").and_then(|v| v.as_str().map(str::to_owned)),
            taxonomy_codes: flag("taxonomy_codes"),
            date: flag("date"),
            one_of: value("one_of")
                .and_then(|v| {
                    let list = v.as_list()?;
                    Some(
                        list.iter()
                            .filter_map(|v| v.as_str().map(str::to_owned))
                            .collect(),
                    )
                })
                .unwrap_or_default(),
            max_chars: number("max_chars"),
            part_codes: flag("part_codes"),
            hex_bytes: number("hex_bytes"),
        }
    }

    const fn none(&self) -> bool {
        !self.taxonomy_codes
            && !self.date
            && !self.part_codes
            && self.one_of.is_empty()
            && self.max_chars == 0
            && self.hex_bytes == 0
    }

    /// The shape of a text field; none if its marks contradict one another.
    fn text_shape(self) -> Option<Shape> {
        let max_chars = usize::try_from(self.max_chars).ok()?;
        let bytes = usize::try_from(self.hex_bytes).ok()?;
        let shapes = [
            self.taxonomy_codes.then_some(Shape::TaxonomyCode),
            self.date.then_some(Shape::Date),
            (!self.one_of.is_empty()).then_some(Shape::OneOf(self.one_of)),
            (max_chars > 0).then_some(Shape::Text { max_chars }),
            self.part_codes.then_some(Shape::PartCode),
            (bytes > 0).then_some(Shape::Hex { bytes }),
        ];
        let mut marked = shapes.into_iter().flatten();
        let shape = marked.next().unwrap_or(Shape::Text {
            max_chars: limit::TEXT_CHARS,
        });
        let within = !matches!(shape, Shape::Text { max_chars } if max_chars > limit::TEXT_CHARS);
        (marked.next().is_none() && within).then_some(shape)
    }
}

fn option_value(pool: &DescriptorPool, options: &DynamicMessage, name: &str) -> Option<Value> {
    let extension = pool.get_extension_by_name(&format!("waypost.v1.{name}"))?;
    options
        .has_extension(&extension)
        .then(|| options.get_extension(&extension).into_owned())
}

/// `Core identity: given name`, from the names of the category's message and of the field.
fn label(steps: &[FieldDescriptor]) -> String {
    let name = steps.last().map_or("", |s| s.name()).replace('_', " ");
    let category = match steps.first().map(FieldDescriptor::kind) {
        Some(Type::Message(message)) => spaced(message.name()),
        _ => return first_upper(&name),
    };
    format!("{category}: {name}")
}

/// `CoreIdentity` to `Core identity`.
fn spaced(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !text.is_empty() {
            text.push(' ');
            text.push(c.to_ascii_lowercase());
        } else {
            text.push(c);
        }
    }
    text
}

fn first_upper(name: &str) -> String {
    let mut chars = name.chars();
    chars
        .next()
        .map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests;
